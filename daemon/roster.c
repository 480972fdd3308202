/* Who is connected; see roster.h. */
#include "daemon/roster.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/cleanup.h"

#define FILE_NAME    "vpn-server.roster"
#define TELL_TIMES   3
#define TELL_AT_ONCE 500
#define BOOT_ID_LEN  36

/* What the file is of; the notes of another boot or release mean nothing. */
struct head {
    char magic[16];
    char boot_id[BOOT_ID_LEN];
    uint8_t zero[12];
};

struct note {
    uint64_t noted_ms; /* CLOCK_BOOTTIME; 0: nobody */
    uint32_t server_index, client_index;
    uint32_t scope, socket;
    uint16_t port;
    uint8_t family, local_family;
    uint8_t remote[16], local[16];
    uint8_t zero[4];
};

static_assert(sizeof(struct head) == 64 && sizeof(struct note) == 64, "no padding in the file");

struct roster {
    int fd;
    uint32_t high; /* slots up to here were noted */
    struct note *lost;
    size_t n_lost, told; /* told: of lost, in this round */
    unsigned int rounds; /* that are left */
    uint64_t next_ms;
};

/* Nobody else can have written it, and it is nothing else under another name. */
static bool is_ours(int fd)
{
    struct stat st;

    return fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_nlink == 1 &&
           st.st_uid == geteuid() && (st.st_mode & (S_IRWXG | S_IRWXO)) == 0;
}

int roster_file(const char *socket, struct err *err)
{
    const int flags = O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK;
    char folder[PATH_MAX], path[PATH_MAX + sizeof(FILE_NAME) + 1];
    int fd;

    snprintf(folder, sizeof(folder), "%s", socket);
    snprintf(path, sizeof(path), "%s/" FILE_NAME, dirname(folder));
    fd = open(path, flags, 0600);
    if (fd >= 0 && !is_ours(fd)) {
        close_fdp(&fd);
        fd = unlink(path) < 0 ? -1 : open(path, flags | O_EXCL, 0600);
    }
    return fd < 0 ? err_set(err, -errno, "%s: %s", path, strerror(errno)) : fd;
}

static void head_make(struct head *head)
{
    _cleanup_(close_fdp) int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);

    *head = (struct head){.magic = "vpn roster 1"};
    if (fd < 0 || read(fd, head->boot_id, BOOT_ID_LEN) != BOOT_ID_LEN)
        memset(head->boot_id, 0, BOOT_ID_LEN);
}

struct roster *roster_new(int fd)
{
    struct roster *r = calloc(1, sizeof(*r));
    struct head want, have = {0};
    struct stat st;

    if (!r)
        return NULL;
    r->fd = fd;
    if (fd < 0)
        return r;
    head_make(&want);
    if (pread(fd, &have, sizeof(have), 0) == sizeof(have) &&
        memcmp(&want, &have, sizeof(want)) == 0 && fstat(fd, &st) == 0) {
        off_t notes = st.st_size / (off_t)sizeof(struct note);

        r->high = notes > IPC_MAX_PEERS ? IPC_MAX_PEERS : (uint32_t)notes;
        roster_recall(r);
    }
    if (ftruncate(fd, 0) < 0 || pwrite(fd, &want, sizeof(want), 0) != sizeof(want))
        close_fdp(&r->fd);
    return r;
}

void roster_free(struct roster *r)
{
    if (!r)
        return;
    close_fdp(&r->fd);
    free(r->lost);
    free(r);
}

static off_t offset_of(uint32_t slot)
{
    return (off_t)sizeof(struct head) + (off_t)sizeof(struct note) * (slot - 1);
}

/* A full or broken file system: that one client will find out by itself. */
static void put(struct roster *r, uint32_t slot, const struct note *note)
{
    if (r->fd < 0 || slot == 0 || slot > IPC_MAX_PEERS)
        return;
    (void)!pwrite(r->fd, note, sizeof(*note), offset_of(slot));
    if (slot > r->high)
        r->high = slot;
}

void roster_note(struct roster *r, uint32_t slot, uint32_t server_index, uint32_t client_index,
                 const struct path *path, uint64_t now_ms)
{
    struct note note = {
        .noted_ms = now_ms,
        .server_index = server_index,
        .client_index = client_index,
        .scope = path->remote.scope,
        .socket = path->socket,
        .port = path->remote.port,
        .family = path->remote.addr.family,
        .local_family = path->local.family,
    };

    memcpy(note.remote, path->remote.addr.bytes, sizeof(note.remote));
    memcpy(note.local, path->local.bytes, sizeof(note.local));
    put(r, slot, &note);
}

void roster_strike(struct roster *r, uint32_t slot)
{
    const struct note nobody = {0};

    put(r, slot, &nobody);
}

void roster_recall(struct roster *r)
{
    /* Those of an earlier loss that are still to be told stay. */
    size_t had = r->rounds > 0 ? r->n_lost : 0, room = r->high, i;
    struct note *all;
    ssize_t got;

    if (had + room > IPC_MAX_PEERS)
        room = had < IPC_MAX_PEERS ? IPC_MAX_PEERS - had : 0;
    all = realloc(r->lost, (had + room + 1) * sizeof(*all));
    if (!all)
        return;
    got = r->fd < 0 ? 0 : pread(r->fd, all + had, room * sizeof(*all), sizeof(struct head));
    room = got > 0 ? (size_t)got / sizeof(*all) : 0;
    r->lost = all;
    r->n_lost = had;
    for (i = had; i < had + room; i++)
        if (all[i].noted_ms)
            all[r->n_lost++] = all[i];
    r->told = 0;
    r->rounds = TELL_TIMES;
    r->next_ms = 0;
}

static bool is_family(uint8_t family)
{
    return family == 4 || family == 6;
}

static void tell(const struct note *note, struct datapath *dp, const struct clock *now)
{
    uint8_t msg[WIRE_STALE_LEN];
    struct path to = {
        .remote = {.addr.family = note->family, .port = note->port, .scope = note->scope},
        .local.family = note->local_family,
        .socket = note->socket,
    };

    if (now->mono_ms < note->noted_ms || now->mono_ms - note->noted_ms > ROSTER_LIFE_MS ||
        !is_family(note->family) || (note->local_family && !is_family(note->local_family)))
        return;
    memcpy(to.remote.addr.bytes, note->remote, sizeof(note->remote));
    memcpy(to.local.bytes, note->local, sizeof(note->local));
    stale_build_unasked(&dp->mac, note->server_index, note->client_index, now->stamp_ms, msg);
    /* The listen addresses may be others now: then it finds out by itself. */
    (void)datapath_send(dp, msg, sizeof(msg), &to);
}

void roster_tell(struct roster *r, struct datapath *dp, const struct clock *now)
{
    size_t i;

    if (r->rounds == 0 || now->mono_ms < r->next_ms)
        return;
    for (i = 0; i < TELL_AT_ONCE && r->told < r->n_lost; i++)
        tell(&r->lost[r->told++], dp, now);
    r->next_ms = now->mono_ms + 900;
    if (r->told < r->n_lost)
        return;
    r->told = 0;
    if (--r->rounds > 0)
        return;
    free(r->lost);
    r->lost = NULL;
    r->n_lost = 0;
}

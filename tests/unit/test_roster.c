/* Who is connected: what a killed server leaves behind, and what its successor makes of it. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daemon/roster.h"

static char folder[] = "/tmp/vpn-roster.XXXXXX", file[64], socket_path[64];
static struct datapath dp;
static struct clock now = {.mono_ms = 1000000, .stamp_ms = 77};

/* What would have gone out. */
static struct sent {
    uint8_t msg[WIRE_STALE_LEN];
    struct path to;
} sent[4096];
static size_t n_sent;

int datapath_send(struct datapath *d, const void *buf, size_t len, const struct path *to)
{
    assert_ptr_equal(d, &dp);
    assert_int_equal(len, WIRE_STALE_LEN);
    memcpy(sent[n_sent].msg, buf, len);
    sent[n_sent++].to = *to;
    return 0;
}

static int setup(void **state)
{
    uint8_t key[WIRE_KEY_LEN] = {5};

    (void)state;
    if (sodium_init() < 0 || !mkdtemp(folder))
        return -1;
    snprintf(file, sizeof(file), "%s/vpn-server.roster", folder);
    snprintf(socket_path, sizeof(socket_path), "%s/vpn.sock", folder);
    mac_keys_init(&dp.mac, key);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    unlink(file);
    return rmdir(folder);
}

static struct roster *open_roster(void)
{
    struct roster *r;
    struct err err;
    int fd = roster_file(socket_path, &err);

    assert_true(fd >= 0);
    r = roster_new(fd);
    assert_non_null(r);
    n_sent = 0;
    return r;
}

static struct path path_of(const char *remote, uint16_t port, const char *local)
{
    struct path path = {.remote.port = port, .socket = 1};

    assert_int_equal(ip_addr_parse(remote, &path.remote.addr), 0);
    if (local)
        assert_int_equal(ip_addr_parse(local, &path.local), 0);
    return path;
}

static void assert_told(const struct sent *s, uint32_t server, uint32_t client,
                        const struct path *to)
{
    uint32_t index;

    assert_true(stale_valid(&dp.mac, s->msg));
    assert_int_equal(be32_get(s->msg + 24), server);
    assert_true(stale_is_unasked(s->msg + 24, &index));
    assert_int_equal(index, client);
    assert_true(ip_endpoint_equal(&s->to.remote, &to->remote));
    assert_true(ip_addr_equal(&s->to.local, &to->local));
    assert_int_equal(s->to.socket, to->socket);
}

/* Three sessions, one of which is over before the end comes. */
static void note_three(struct roster *r, const struct path *four, const struct path *six)
{
    roster_note(r, 1, 11, 12, four, now.mono_ms);
    roster_note(r, 2, 21, 22, four, now.mono_ms);
    roster_note(r, 300, 31, 32, six, now.mono_ms);
    roster_note(r, 300, 33, 34, six, now.mono_ms + 1000);
    roster_strike(r, 2);
}

static void told_three_times(void **state)
{
    struct path four = path_of("192.0.2.2", 40000, "192.0.2.1"), six = path_of("fe80::2", 4, NULL);
    struct clock later = now;
    struct roster *r;

    (void)state;
    six.remote.scope = 3;
    unlink(file);
    r = open_roster();
    roster_tell(r, &dp, &now);
    assert_int_equal(n_sent, 0);
    note_three(r, &four, &six);
    roster_free(r); /* killed: nothing more is written */

    r = open_roster();
    later.mono_ms += 5000;
    for (unsigned int i = 0; i < 6; i++, later.mono_ms += 500)
        roster_tell(r, &dp, &later);
    assert_int_equal(n_sent, 3 * 2);
    for (size_t i = 0; i < n_sent; i += 2) {
        assert_told(&sent[i], 11, 12, &four);
        assert_told(&sent[i + 1], 33, 34, &six);
    }
    later.mono_ms += 10000;
    roster_tell(r, &dp, &later);
    assert_int_equal(n_sent, 6);
    roster_free(r);
    /* Nobody has come back: the next one has nothing to tell. */
    r = open_roster();
    roster_tell(r, &dp, &later);
    assert_int_equal(n_sent, 0);
    roster_free(r);
}

/* The enclave dies: the same in one run. */
static void recalled(void **state)
{
    struct path four = path_of("192.0.2.2", 40000, NULL);
    struct roster *r;

    (void)state;
    unlink(file);
    r = open_roster();
    note_three(r, &four, &four);
    roster_recall(r);
    roster_strike(r, 1);
    roster_strike(r, 300);
    roster_tell(r, &dp, &now);
    assert_int_equal(n_sent, 1); /* the other one was noted in the future */
    assert_told(&sent[0], 11, 12, &four);
    /* It dies again before all were told: those of the first time stay. */
    roster_note(r, 5, 51, 52, &four, now.mono_ms);
    roster_recall(r);
    n_sent = 0;
    roster_tell(r, &dp, &now);
    assert_int_equal(n_sent, 2);
    assert_told(&sent[0], 11, 12, &four);
    assert_told(&sent[1], 51, 52, &four);
    roster_free(r);
}

static void old_notes(void **state)
{
    struct path four = path_of("192.0.2.2", 40000, NULL);
    struct clock later = now;
    struct roster *r;

    (void)state;
    unlink(file);
    r = open_roster();
    roster_note(r, 1, 1, 1, &four, now.mono_ms);
    roster_note(r, 2, 2, 2, &four, now.mono_ms + 1);
    roster_free(r);
    r = open_roster();
    later.mono_ms += ROSTER_LIFE_MS + 1;
    roster_tell(r, &dp, &later);
    assert_int_equal(n_sent, 1);
    assert_int_equal(be32_get(sent[0].msg + 24), 2);
    roster_free(r);
}

static void many(void **state)
{
    struct path four = path_of("192.0.2.2", 40000, NULL);
    struct clock later = now;
    struct roster *r;

    (void)state;
    unlink(file);
    r = open_roster();
    for (uint32_t i = 1; i <= 1200; i++)
        roster_note(r, i, i, i, &four, now.mono_ms);
    roster_free(r);
    r = open_roster();
    roster_tell(r, &dp, &later);
    assert_int_equal(n_sent, 500);
    for (unsigned int i = 0; i < 8; i++) {
        later.mono_ms += 1000;
        roster_tell(r, &dp, &later);
    }
    assert_int_equal(n_sent, 3600);
    assert_int_equal(be32_get(sent[1199].msg + 24), 1200);
    roster_free(r);
}

/* Whatever lies in the file: nothing breaks, and nobody is told nonsense of another boot. */
static void hostile_files(void **state)
{
    struct path four = path_of("192.0.2.2", 40000, NULL);
    uint8_t good[64 + 3 * 64], bad[sizeof(good)];
    struct roster *r;
    int fd;

    (void)state;
    unlink(file);
    r = open_roster();
    for (uint32_t i = 1; i <= 3; i++)
        roster_note(r, i, i, i, &four, now.mono_ms);
    roster_free(r);
    fd = open(file, O_RDONLY);
    assert_int_equal(read(fd, good, sizeof(good)), sizeof(good));
    close(fd);
    srand(5);
    for (unsigned int round = 0; round < 300; round++) {
        size_t len = round % 3 ? sizeof(good) : 1 + (size_t)rand() % (sizeof(good) - 1);
        size_t at = (size_t)rand() % len;

        memcpy(bad, good, sizeof(good));
        bad[at] ^= (uint8_t)(1 + rand() % 255);
        if (round % 7 == 0)
            for (size_t i = 64; i < len; i++)
                bad[i] = (uint8_t)rand();
        fd = open(file, O_WRONLY | O_TRUNC);
        assert_int_equal(write(fd, bad, len), len);
        close(fd);
        r = open_roster();
        roster_tell(r, &dp, &now);
        assert_true(n_sent <= 3);
        if (at < 64 || len < 64)
            assert_int_equal(n_sent, 0);
        for (size_t i = 0; i < n_sent; i++)
            assert_true(sent[i].to.remote.addr.family == 4 || sent[i].to.remote.addr.family == 6);
        roster_free(r);
    }
}

/* What others may have written is thrown away, and a file of ours takes its place. */
static void assert_not_believed(void)
{
    struct roster *r = open_roster();
    struct stat st;

    roster_tell(r, &dp, &now);
    assert_int_equal(n_sent, 0);
    assert_int_equal(lstat(file, &st), 0);
    assert_true(S_ISREG(st.st_mode) && st.st_nlink == 1 && st.st_uid == geteuid());
    assert_int_equal(st.st_mode & 07777, 0600);
    roster_free(r);
}

static void note_one(void)
{
    struct path four = path_of("192.0.2.2", 40000, NULL);
    struct roster *r = open_roster();

    roster_note(r, 1, 1, 1, &four, now.mono_ms);
    roster_free(r);
}

static void files_of_others(void **state)
{
    char other[80];
    struct roster *r;

    (void)state;
    snprintf(other, sizeof(other), "%s/other", folder);
    unlink(file);
    note_one();
    assert_int_equal(chmod(file, 0620), 0);
    assert_not_believed();
    note_one();
    assert_int_equal(chmod(file, 0602), 0);
    assert_not_believed();
    note_one();
    assert_int_equal(link(file, other), 0);
    assert_not_believed();
    assert_int_equal(unlink(other), 0);
    unlink(file);
    assert_int_equal(mkfifo(file, 0600), 0);
    assert_not_believed();
    if (geteuid() == 0) {
        note_one();
        assert_int_equal(chown(file, 65534, 0), 0);
        assert_not_believed();
    }
    /* And what is ours alone still is. */
    note_one();
    r = open_roster();
    roster_tell(r, &dp, &now);
    assert_int_equal(n_sent, 1);
    roster_free(r);
}

/* No file: the server runs without. */
static void no_file(void **state)
{
    struct path four = path_of("192.0.2.2", 40000, NULL);
    struct roster *r = roster_new(-1);
    struct err err;

    (void)state;
    n_sent = 0;
    roster_note(r, 1, 1, 1, &four, now.mono_ms);
    roster_recall(r);
    roster_tell(r, &dp, &now);
    assert_int_equal(n_sent, 0);
    roster_free(r);
    unlink(file);
    assert_int_equal(symlink("/etc/passwd", file), 0);
    assert_int_equal(roster_file(socket_path, &err), -ELOOP);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(told_three_times), cmocka_unit_test(recalled),
        cmocka_unit_test(old_notes),        cmocka_unit_test(many),
        cmocka_unit_test(hostile_files),    cmocka_unit_test(files_of_others),
        cmocka_unit_test(no_file),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}

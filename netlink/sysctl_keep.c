/* Former values of network settings, kept in a file; see sysctl_keep.h. */
#include "netlink/sysctl_keep.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "netlink/sysctl.h"

#define KEEP_MAGIC    "vpn-sysctl 1"
#define KEEP_MAX      4096 /* entries */
#define KEEP_FILE_MAX ((size_t)KEEP_MAX * (NET_SETTING_PATH + 2 * NET_SETTING_VALUE + 3))
#define BOOT_ID_LEN   36

/* One line of the file.  A companion has no value of ours. */
struct entry {
    char path[NET_SETTING_PATH];
    char former[NET_SETTING_VALUE];
    char ours[NET_SETTING_VALUE]; /* empty: a companion of the last entry that has one */
};

struct net_sysctl_keep {
    char *file;
    char where[BOOT_ID_LEN + 24]; /* this boot and network namespace */
    struct entry *entries;
    size_t n, size;
};

/* What a setting changes along: one, and one of every device below a folder. */
static const struct companions {
    const char *path, *one, *folder, *leaf;
} companions[] = {
    {"ipv4/ip_forward", "ipv4/conf/all/accept_redirects", "ipv4/conf", "forwarding"},
    {"ipv6/conf/all/forwarding", NULL, "ipv6/conf", "forwarding"},
};

/* ---- single settings ------------------------------------------------------------------------- */

static int setting_read(const char *path, char value[NET_SETTING_VALUE], struct err *err)
{
    char copy[NET_SETTING_PATH], text[NET_SYSCTL_VALUE_SIZE];
    struct net_sysctl key;
    int rc = net_sysctl_split(path, copy, &key);

    if (rc < 0)
        return err_set(err, rc, "%.64s: no setting can be called so", path);
    rc = net_sysctl_read(&key, text, err);
    if (rc < 0)
        return rc;
    if (strlen(text) >= NET_SETTING_VALUE)
        return err_set(err, -EMSGSIZE, "%s: its value is too long", path);
    memcpy(value, text, strlen(text) + 1);
    return 0;
}

static int setting_write(const char *path, const char *value, struct err *err)
{
    char copy[NET_SETTING_PATH];
    struct net_sysctl key;
    int rc = net_sysctl_split(path, copy, &key);

    if (rc < 0)
        return err_set(err, rc, "%.64s: no setting can be called so", path);
    return net_sysctl_write(&key, value, err);
}

/* Numbers are all that we keep. */
static bool value_valid(const char *value)
{
    const char *digits = value + (value[0] == '-');
    const size_t len = strspn(digits, "0123456789");

    return len > 0 && len < NET_SETTING_VALUE - 1 && digits[len] == '\0';
}

/* ---- entries --------------------------------------------------------------------------------- */

static int entry_add(struct net_sysctl_keep *keep, const char *path, const char *former,
                     const char *ours)
{
    struct entry *e;

    if (strlen(path) >= NET_SETTING_PATH || keep->n >= KEEP_MAX)
        return -ENOSPC;
    if (keep->n == keep->size) {
        const size_t size = keep->size ? 2 * keep->size : 16;
        struct entry *entries = reallocarray(keep->entries, size, sizeof(*entries));

        if (!entries)
            return -ENOMEM;
        keep->entries = entries;
        keep->size = size;
    }
    e = &keep->entries[keep->n++];
    memset(e, 0, sizeof(*e));
    strcpy(e->path, path);
    strcpy(e->former, former);
    strcpy(e->ours, ours);
    return 0;
}

static struct entry *entry_find(const struct net_sysctl_keep *keep, const char *path)
{
    for (size_t i = 0; i < keep->n; i++)
        if (keep->entries[i].ours[0] && strcmp(keep->entries[i].path, path) == 0)
            return &keep->entries[i];
    return NULL;
}

/* An entry and its companions: up to the next that is no companion. */
static size_t group_end(const struct net_sysctl_keep *keep, size_t first)
{
    size_t end = first + 1;

    while (end < keep->n && !keep->entries[end].ours[0])
        end++;
    return end;
}

static void group_remove(struct net_sysctl_keep *keep, size_t first)
{
    const size_t end = group_end(keep, first);

    memmove(&keep->entries[first], &keep->entries[end], (keep->n - end) * sizeof(*keep->entries));
    keep->n -= end - first;
}

/* A companion that cannot be read has none to be put back. */
static int companion_add(struct net_sysctl_keep *keep, const char *path)
{
    char former[NET_SETTING_VALUE] = "";

    if (setting_read(path, former, NULL) < 0 || !value_valid(former))
        return 0;
    return entry_add(keep, path, former, "");
}

static int companions_add(struct net_sysctl_keep *keep, const struct companions *c)
{
    char path[NET_SETTING_PATH + NAME_MAX];
    struct dirent *d;
    int rc = c->one ? companion_add(keep, c->one) : 0;
    DIR *dir;

    snprintf(path, sizeof(path), NET_SYSCTL_ROOT "/%s", c->folder);
    dir = opendir(path);
    while (rc == 0 && dir && (d = readdir(dir)) != NULL) {
        snprintf(path, sizeof(path), "%s/%s/%s", c->folder, d->d_name, c->leaf);
        if (d->d_name[0] != '.' && strcmp(d->d_name, "all") != 0)
            rc = companion_add(keep, path);
    }
    if (dir)
        closedir(dir);
    return rc;
}

/* Remember what is there now.  Return: 1 when it is as wanted already, 0, or -errno. */
static int group_add(struct net_sysctl_keep *keep, const struct net_setting *want, struct err *err)
{
    char former[NET_SETTING_VALUE] = "";
    int rc = setting_read(want->path, former, err);

    if (rc < 0)
        return rc;
    if (strcmp(former, want->value) == 0)
        return 1;
    if (!value_valid(former) || !value_valid(want->value))
        return err_set(err, -EINVAL, "%s: not a number", want->path);
    rc = entry_add(keep, want->path, former, want->value);
    for (size_t i = 0; rc == 0 && i < ARRAY_SIZE(companions); i++)
        if (strcmp(companions[i].path, want->path) == 0)
            rc = companions_add(keep, &companions[i]);
    return rc < 0 ? err_set(err, rc, "%s: cannot be remembered: %s", want->path, strerror(-rc)) : 0;
}

/* ---- the file -------------------------------------------------------------------------------- */

static int here(char where[static BOOT_ID_LEN + 24])
{
    _cleanup_(close_fdp) int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
    char boot[BOOT_ID_LEN + 1];
    struct stat st;

    if (fd < 0 || read(fd, boot, sizeof(boot)) < BOOT_ID_LEN || stat("/proc/self/ns/net", &st) < 0)
        return errno ? -errno : -EIO;
    boot[BOOT_ID_LEN] = '\0';
    snprintf(where, BOOT_ID_LEN + 24, "%s %" PRIu64, boot, (uint64_t)st.st_ino);
    return 0;
}

/* Return: 0; -EBADMSG for what we never write; -ENOMEM. */
static int parse_line(struct net_sysctl_keep *keep, char *line)
{
    char copy[NET_SETTING_PATH], *rest = NULL;
    const char *path = strtok_r(line, " ", &rest);
    const char *former = strtok_r(NULL, " ", &rest), *ours = strtok_r(NULL, " ", &rest);
    struct net_sysctl key;
    int rc;

    if (!path || (strncmp(path, "ipv4/", 5) != 0 && strncmp(path, "ipv6/", 5) != 0) ||
        strlen(path) >= sizeof(copy))
        return -EBADMSG;
    if (!former || !ours || strtok_r(NULL, " ", &rest) || !value_valid(former) ||
        net_sysctl_split(path, copy, &key) < 0)
        return -EBADMSG;
    if (strcmp(ours, "-") == 0)
        ours = "";
    else if (!value_valid(ours) || entry_find(keep, path))
        return -EBADMSG;
    if (!ours[0] && keep->n == 0)
        return -EBADMSG;
    rc = entry_add(keep, path, former, ours);
    return rc == -ENOSPC ? -EBADMSG : rc;
}

/* Return: 0; 1 for another boot's or namespace's; -EBADMSG; -ENOMEM. */
static int parse_file(struct net_sysctl_keep *keep, char *text, size_t len)
{
    char *rest = NULL, *line;
    int rc = 0;

    if (len == 0 || text[len - 1] != '\n' || memchr(text, '\0', len))
        return -EBADMSG;
    line = strtok_r(text, "\n", &rest);
    if (!line || strcmp(line, KEEP_MAGIC) != 0)
        return -EBADMSG;
    line = strtok_r(NULL, "\n", &rest);
    if (!line)
        return -EBADMSG;
    if (strcmp(line, keep->where) != 0)
        return 1;
    while (rc == 0 && (line = strtok_r(NULL, "\n", &rest)) != NULL)
        rc = parse_line(keep, line);
    return rc;
}

/* Return: the text, to be freed; NULL with @rc 0 when there is no file. */
static char *slurp(const char *file, size_t *len, int *rc)
{
    _cleanup_(close_fdp) int fd = open(file, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    char *text;
    ssize_t n;

    *rc = 0;
    *len = 0;
    if (fd < 0) {
        *rc = errno == ENOENT ? 0 : errno == ELOOP ? -EBADMSG : -errno;
        return NULL;
    }
    text = malloc(KEEP_FILE_MAX + 1);
    if (!text) {
        *rc = -ENOMEM;
        return NULL;
    }
    while (*len < KEEP_FILE_MAX && (n = read(fd, text + *len, KEEP_FILE_MAX - *len)) != 0) {
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0) {
            *rc = -errno;
            break;
        }
        *len += (size_t)n;
    }
    text[*len] = '\0';
    return text;
}

static int load(struct net_sysctl_keep *keep, struct err *note)
{
    size_t len;
    int rc;
    char *text = slurp(keep->file, &len, &rc);

    if (text && rc == 0)
        rc = parse_file(keep, text, len);
    free(text);
    if (rc == 0)
        return 0;
    keep->n = 0;
    if (rc == -EBADMSG)
        err_set(note, rc,
                "%s: damaged, and not believed: settings that an earlier run changed stay as they "
                "are",
                keep->file);
    return rc == -EBADMSG || rc == 1 ? 0 : rc;
}

static int write_entries(const struct net_sysctl_keep *keep, int fd)
{
    FILE *f = fdopen(fd, "w");
    bool good;

    if (!f) {
        close(fd);
        return -errno;
    }
    good = fprintf(f, KEEP_MAGIC "\n%s\n", keep->where) > 0;
    for (size_t i = 0; good && i < keep->n; i++) {
        const struct entry *e = &keep->entries[i];

        good = fprintf(f, "%s %s %s\n", e->path, e->former, e->ours[0] ? e->ours : "-") > 0;
    }
    good = good && fflush(f) == 0 && fsync(fileno(f)) == 0;
    return fclose(f) == 0 && good ? 0 : -EIO;
}

/* Whole or not at all: beside it first, then in its place. */
static int save(const struct net_sysctl_keep *keep, struct err *err)
{
    char temp[PATH_MAX];
    int fd, rc;

    if (keep->n == 0)
        return unlink(keep->file) < 0 && errno != ENOENT
                   ? err_set(err, -errno, "cannot remove %s: %s", keep->file, strerror(errno))
                   : 0;
    if ((size_t)snprintf(temp, sizeof(temp), "%s.new", keep->file) >= sizeof(temp))
        return err_set(err, -ENAMETOOLONG, "%s: the name is too long", keep->file);
    (void)unlink(temp);
    fd = open(temp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    rc = fd < 0 ? -errno : write_entries(keep, fd);
    if (rc == 0 && rename(temp, keep->file) < 0)
        rc = -errno;
    if (rc < 0) {
        (void)unlink(temp);
        return err_set(err, rc, "former settings cannot be kept in %s: %s", keep->file,
                       strerror(-rc));
    }
    return 0;
}

/* ---- for callers ----------------------------------------------------------------------------- */

int net_sysctl_keep_open(struct net_sysctl_keep **out, const char *path, struct err *note,
                         struct err *err)
{
    struct net_sysctl_keep *keep = calloc(1, sizeof(*keep));
    int rc;

    if (!keep || !(keep->file = strdup(path))) {
        net_sysctl_keep_free(keep);
        return err_set(err, -ENOMEM, "out of memory");
    }
    rc = here(keep->where);
    if (rc == 0)
        rc = load(keep, note);
    if (rc < 0) {
        net_sysctl_keep_free(keep);
        return err_set(err, rc, "cannot read %s: %s", path, strerror(-rc));
    }
    *out = keep;
    return 0;
}

void net_sysctl_keep_free(struct net_sysctl_keep *keep)
{
    if (!keep)
        return;
    free(keep->file);
    free(keep->entries);
    free(keep);
}

/* Whatever went away with its device needs nothing. */
static void put_back(const char *path, const char *former, int *rc, struct err *err)
{
    struct err why;
    int one = setting_write(path, former, &why);

    if (one < 0 && one != -ENOENT && *rc == 0)
        *rc = err_set(err, one, "%s", why.msg);
}

/* The setting, and then what the kernel changed along with it. */
static int group_restore(const struct net_sysctl_keep *keep, size_t first, struct err *err)
{
    const struct entry *e = &keep->entries[first];
    const size_t end = group_end(keep, first);
    char now[NET_SETTING_VALUE];
    int rc = setting_read(e->path, now, err);

    if (rc < 0)
        return rc == -ENOENT ? 0 : rc;
    /* Set to what it was by somebody, the kernel has changed the others once more. */
    if (strcmp(now, e->ours) == 0)
        put_back(e->path, e->former, &rc, err);
    else if (strcmp(now, e->former) != 0)
        return 0;
    for (size_t i = first + 1; rc == 0 && i < end; i++) {
        e = &keep->entries[i];
        if (setting_read(e->path, now, NULL) == 0 && strcmp(now, e->former) != 0)
            put_back(e->path, e->former, &rc, err);
    }
    return rc;
}

static bool is_wanted(const struct entry *e, const struct net_setting *settings, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (strcmp(e->path, settings[i].path) == 0 && strcmp(e->ours, settings[i].value) == 0)
            return true;
    return false;
}

/* Return: as net_sysctl_keep_restore(), for all that is not wanted. */
static int restore_unwanted(struct net_sysctl_keep *keep, const struct net_setting *settings,
                            size_t n, struct err *err)
{
    size_t i = 0;
    int first = 0;

    while (i < keep->n) {
        struct err why;
        int rc;

        if (is_wanted(&keep->entries[i], settings, n)) {
            i = group_end(keep, i);
            continue;
        }
        rc = group_restore(keep, i, &why);
        if (rc == 0) {
            group_remove(keep, i);
            continue;
        }
        if (first == 0)
            first = err_set(err, rc, "%s", why.msg);
        i = group_end(keep, i);
    }
    return first;
}

int net_sysctl_keep_note(struct net_sysctl_keep *keep, const struct net_setting *settings, size_t n,
                         struct err *err)
{
    const size_t had = keep->n;
    int first = restore_unwanted(keep, settings, n, err);
    bool changed = keep->n != had;
    struct err why;
    int rc;

    for (size_t i = 0; i < n; i++) {
        if (entry_find(keep, settings[i].path))
            continue;
        rc = group_add(keep, &settings[i], &why);
        if (rc < 0 && first == 0)
            first = err_set(err, rc, "%s", why.msg);
        changed = changed || rc == 0;
    }
    /* A full disk must not keep a router from forwarding: then only this process can put it back.
     */
    rc = changed ? save(keep, &why) : 0;
    if (rc < 0 && first == 0)
        first = err_set(err, rc, "%s", why.msg);
    return first;
}

int net_sysctl_keep_want(struct net_sysctl_keep *keep, const struct net_setting *settings, size_t n,
                         struct err *err)
{
    int first = net_sysctl_keep_note(keep, settings, n, err);
    struct err why;
    int rc;

    for (size_t i = 0; i < n; i++) {
        if (!entry_find(keep, settings[i].path))
            continue;
        rc = setting_write(settings[i].path, settings[i].value, &why);
        if (rc < 0 && first == 0)
            first = err_set(err, rc, "%s", why.msg);
    }
    return first;
}

bool net_sysctl_keep_has(const struct net_sysctl_keep *keep, const char *path)
{
    return entry_find(keep, path) != NULL;
}

int net_sysctl_keep_restore(struct net_sysctl_keep *keep, struct err *err)
{
    int first = restore_unwanted(keep, NULL, 0, err);
    struct err why;
    int rc = save(keep, &why);

    if (rc < 0 && first == 0)
        first = err_set(err, rc, "%s", why.msg);
    return first;
}

/* Network settings under /proc/sys/net, and putting them back as they were. */
#include "netlink/sysctl.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/cleanup.h"

/* One name in a path: nothing that leads elsewhere.  Device names may hold almost any byte. */
static bool part_valid(const char *part)
{
    if (part[0] == '\0' || strcmp(part, ".") == 0 || strcmp(part, "..") == 0)
        return false;
    for (const char *c = part; *c; c++) {
        if (*c == '/' || (unsigned char)*c <= ' ' || *c == 0x7f)
            return false;
    }
    return true;
}

int net_sysctl_split(const char *path, char *copy, struct net_sysctl *key)
{
    struct net_sysctl out = {{NULL}};
    char *part = strcpy(copy, path);

    for (size_t n = 0; part; n++) {
        char *end = strchr(part, '/');

        if (end)
            *end++ = '\0';
        if (n == NET_SYSCTL_DEPTH || !part_valid(part))
            return -EINVAL;
        out.part[n] = part;
        part = end;
    }
    *key = out;
    return 0;
}

static int path_build(const struct net_sysctl *key, char *path, struct err *err)
{
    size_t used = (size_t)snprintf(path, NET_SYSCTL_PATH_SIZE, "%s", NET_SYSCTL_ROOT);
    size_t i;

    for (i = 0; i < NET_SYSCTL_DEPTH && key->part[i]; i++) {
        size_t len = strlen(key->part[i]);

        if (!part_valid(key->part[i]))
            return err_set(err, -EINVAL, "\"%.32s\" cannot be part of a setting's name",
                           key->part[i]);
        if (used + 1 + len >= NET_SYSCTL_PATH_SIZE)
            return err_set(err, -ENAMETOOLONG, "a setting's name is too long");
        path[used] = '/';
        memcpy(path + used + 1, key->part[i], len + 1);
        used += 1 + len;
    }
    return i > 0 ? 0 : err_set(err, -EINVAL, "a setting needs a name");
}

static int path_read(const char *path, char *buf, struct err *err)
{
    _cleanup_(close_fdp) int fd = open(path, O_RDONLY | O_CLOEXEC);
    char text[NET_SYSCTL_VALUE_SIZE];
    ssize_t n;

    if (fd < 0)
        return err_set(err, -errno, "cannot read %s: %s", path, strerror(errno));
    n = read(fd, text, sizeof(text));
    if (n < 0)
        return err_set(err, -errno, "cannot read %s: %s", path, strerror(errno));
    if ((size_t)n == sizeof(text))
        return err_set(err, -EMSGSIZE, "cannot read %s: the value is too long", path);
    while (n > 0 && (text[n - 1] == '\n' || text[n - 1] == '\0'))
        n--;
    memcpy(buf, text, (size_t)n);
    buf[n] = '\0';
    return 0;
}

static int path_write(const char *path, const char *value, struct err *err)
{
    _cleanup_(close_fdp) int fd = -1;
    size_t len = strlen(value);
    ssize_t n;

    if (len == 0 || len >= NET_SYSCTL_VALUE_SIZE || strchr(value, '\n'))
        return err_set(err, -EINVAL, "cannot set %s: not one short line", path);
    fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0)
        return err_set(err, -errno, "cannot set %s: %s", path, strerror(errno));
    /* One write: each is a value of its own to the kernel. */
    n = write(fd, value, len);
    if (n < 0)
        return err_set(err, -errno, "cannot set %s to \"%s\": %s", path, value, strerror(errno));
    if ((size_t)n != len)
        return err_set(err, -EIO, "cannot set %s to \"%s\": taken only in part", path, value);
    return 0;
}

int net_sysctl_read(const struct net_sysctl *key, char *buf, struct err *err)
{
    char path[NET_SYSCTL_PATH_SIZE];
    int rc = path_build(key, path, err);

    return rc < 0 ? rc : path_read(path, buf, err);
}

int net_sysctl_write(const struct net_sysctl *key, const char *value, struct err *err)
{
    char path[NET_SYSCTL_PATH_SIZE];
    int rc = path_build(key, path, err);

    return rc < 0 ? rc : path_write(path, value, err);
}

int net_sysctl_change(const struct net_sysctl *key, const char *value,
                      struct net_sysctl_saved *saved, struct err *err)
{
    struct net_sysctl_saved now = {.changed = false};
    int rc = path_build(key, now.path, err);

    if (rc == 0)
        rc = path_read(now.path, now.former, err);
    if (rc == 0 && strcmp(now.former, value) != 0) {
        rc = path_write(now.path, value, err);
        if (rc == 0) {
            memcpy(now.ours, value, strlen(value) + 1);
            now.changed = true;
        }
    }
    if (rc == 0)
        *saved = now;
    return rc;
}

int net_sysctl_restore(struct net_sysctl_saved *saved, struct err *err)
{
    char value[NET_SYSCTL_VALUE_SIZE];
    int rc = 0;

    if (!saved->changed)
        return 0;
    rc = path_read(saved->path, value, err);
    if (rc == 0 && strcmp(value, saved->ours) == 0)
        rc = path_write(saved->path, saved->former, err);
    if (rc == -ENOENT)
        rc = 0;
    if (rc == 0)
        saved->changed = false;
    return rc;
}

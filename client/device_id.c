/* Which device of its user this tunnel is; see device_id.h. */
#include "client/device_id.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "common/cleanup.h"

#define TEXT_LEN (2 * WIRE_DEVICE_ID_LEN + 1) /* hex and a newline */

static int nibble(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool decode(const char text[TEXT_LEN], uint8_t id[WIRE_DEVICE_ID_LEN])
{
    for (size_t i = 0; i < WIRE_DEVICE_ID_LEN; i++) {
        const int high = nibble(text[2 * i]), low = nibble(text[2 * i + 1]);

        if (high < 0 || low < 0)
            return false;
        id[i] = (uint8_t)(high << 4 | low);
    }
    return text[TEXT_LEN - 1] == '\n';
}

static int load(const char *path, uint8_t id[WIRE_DEVICE_ID_LEN], struct err *err)
{
    _cleanup_(close_fdp) int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    char text[TEXT_LEN + 1];
    uint8_t found[WIRE_DEVICE_ID_LEN];
    ssize_t n;

    if (fd < 0)
        return errno == ENOENT
                   ? -ENOENT
                   : err_set(err, -errno, "%s: cannot be read (%s)", path, strerror(errno));
    n = read(fd, text, sizeof(text));
    if (n < 0)
        return err_set(err, -errno, "%s: cannot be read (%s)", path, strerror(errno));
    if (n != TEXT_LEN || !decode(text, found))
        return err_set(err, -EINVAL,
                       "%s: is damaged (remove it; the server then takes this for a new device)",
                       path);
    memcpy(id, found, sizeof(found));
    return 0;
}

/* All of it reaches the disk before the file has its name: after a crash it is whole or absent. */
static int store(const char *path, const uint8_t id[WIRE_DEVICE_ID_LEN])
{
    _cleanup_(close_fdp) int fd = -1;
    char temp[PATH_MAX + 8], text[TEXT_LEN + 1];
    int rc = 0;

    for (size_t i = 0; i < WIRE_DEVICE_ID_LEN; i++)
        snprintf(text + 2 * i, 3, "%02x", id[i]);
    text[TEXT_LEN - 1] = '\n';
    snprintf(temp, sizeof(temp), "%s.new", path);
    if (unlink(temp) < 0 && errno != ENOENT)
        return -errno;
    fd = open(temp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return -errno;
    if (write(fd, text, TEXT_LEN) != TEXT_LEN || fsync(fd) < 0 || rename(temp, path) < 0) {
        rc = errno ? -errno : -EIO;
        unlink(temp);
    }
    return rc;
}

int device_id_load(const char *folder, const char *name, uint8_t id[WIRE_DEVICE_ID_LEN],
                   struct err *err)
{
    uint8_t made[WIRE_DEVICE_ID_LEN];
    char path[PATH_MAX];
    int rc = snprintf(path, sizeof(path), "%s/%s.device", folder, name);

    if (rc < 0 || (size_t)rc >= sizeof(path))
        return err_set(err, -ENAMETOOLONG, "%s: the state folder's name is too long", folder);
    rc = load(path, id, err);
    if (rc != -ENOENT)
        return rc;
    if (getrandom(made, sizeof(made), 0) != sizeof(made))
        return err_set(err, -EIO, "the kernel gives no random numbers");
    rc = store(path, made);
    if (rc < 0)
        return err_set(err, rc,
                       "%s: this device's id cannot be kept there (%s); the state folder must "
                       "belong to the user that vpn-client runs as",
                       path, strerror(-rc));
    memcpy(id, made, sizeof(made));
    return 0;
}

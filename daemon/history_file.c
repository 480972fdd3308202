/* Files that are replaced whole or not at all; see history_file.h. */
#include "daemon/history_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/bundle.h"
#include "common/cleanup.h"

#define HEADER_MAX ((size_t)1 << 20)

static void temporary_name(const char *name, char out[HISTORY_NAME_SIZE])
{
    snprintf(out, HISTORY_NAME_SIZE, "%s" HISTORY_TEMPORARY, name);
}

static int read_all(int fd, char **out, size_t *len)
{
    _cleanup_(free_p) char *buf = NULL;
    struct stat st;
    size_t have = 0;

    if (fstat(fd, &st) < 0)
        return -errno;
    if (!S_ISREG(st.st_mode) || (size_t)st.st_size > HEADER_MAX + BUNDLE_BYTES_MAX)
        return -EBADMSG;
    buf = malloc((size_t)st.st_size + 1);
    if (!buf)
        return -ENOMEM;
    while (have < (size_t)st.st_size) {
        ssize_t n = read(fd, buf + have, (size_t)st.st_size - have);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -errno;
        if (n == 0)
            break;
        have += (size_t)n;
    }
    *out = TAKE(buf);
    *len = have;
    return 0;
}

int history_file_read(int dir, const char *name, json_t **out, char **texts, size_t *len)
{
    _cleanup_(close_fdp) int fd = openat(dir, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    _cleanup_(free_p) char *buf = NULL;
    const char *line_end;
    size_t size = 0, header;
    json_t *json;
    int rc = fd < 0 ? -errno : read_all(fd, &buf, &size);

    if (rc < 0)
        return rc;
    /* The analyzer does not know that _cleanup_ frees. */
    if (!buf || size == 0)
        return -EBADMSG; // NOLINT(clang-analyzer-unix.Malloc)
    line_end = memchr(buf, '\n', size);
    header = line_end ? (size_t)(line_end - buf) : size;
    json = json_loadb(buf, header, JSON_REJECT_DUPLICATES, NULL);
    if (!json_is_object(json)) {
        json_decref(json);
        return -EBADMSG;
    }
    *out = json;
    if (texts) {
        *len = line_end ? size - header - 1 : 0;
        memmove(buf, buf + size - *len, *len);
        *texts = TAKE(buf);
    }
    return 0;
}

static int write_all(int fd, const char *text, size_t len)
{
    while (len > 0) {
        ssize_t n = write(fd, text, len);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -errno;
        text += n;
        len -= (size_t)n;
    }
    return 0;
}

int history_file_stage(int dir, const char *name, const json_t *json, const struct bundle *bundle)
{
    _cleanup_(close_fdp) int fd = -1;
    _cleanup_(free_p) char *text = json_dumps(json, JSON_COMPACT);
    char temporary[HISTORY_NAME_SIZE];
    int rc;

    if (!text)
        return -ENOMEM;
    temporary_name(name, temporary);
    fd = openat(dir, temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0640);
    if (fd < 0)
        return -errno;
    rc = write_all(fd, text, strlen(text));
    if (rc == 0)
        rc = write_all(fd, "\n", 1);
    for (size_t i = 0; rc == 0 && bundle && i < bundle->n; i++)
        rc = write_all(fd, bundle->files[i].text, bundle->files[i].len);
    if (rc == 0 && fsync(fd) < 0)
        rc = -errno;
    if (rc < 0)
        (void)unlinkat(dir, temporary, 0);
    return rc;
}

int history_file_commit(int dir, const char *name)
{
    char temporary[HISTORY_NAME_SIZE];

    temporary_name(name, temporary);
    if (renameat(dir, temporary, dir, name) < 0 || fsync(dir) < 0)
        return -errno;
    return 0;
}

void history_file_abort(int dir, const char *name)
{
    char temporary[HISTORY_NAME_SIZE];

    temporary_name(name, temporary);
    (void)unlinkat(dir, temporary, 0);
}

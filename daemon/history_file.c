/* JSON files that are replaced whole or not at all; see history_file.h. */
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

/* Escapes may make a text longer: a newline is two bytes, a control character six. */
#define FILE_MAX ((off_t)(6 * BUNDLE_BYTES_MAX))

static void temporary_name(const char *name, char out[HISTORY_NAME_SIZE])
{
    snprintf(out, HISTORY_NAME_SIZE, "%s" HISTORY_TEMPORARY, name);
}

int history_file_read(int dir, const char *name, json_t **out)
{
    _cleanup_(close_fdp) int fd = openat(dir, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    struct stat st;
    json_t *json;

    if (fd < 0 || fstat(fd, &st) < 0)
        return -errno;
    if (!S_ISREG(st.st_mode) || st.st_size > FILE_MAX)
        return -EBADMSG;
    json = json_loadfd(fd, JSON_REJECT_DUPLICATES, NULL);
    if (!json_is_object(json)) {
        json_decref(json);
        return -EBADMSG;
    }
    *out = json;
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
    return fsync(fd) < 0 ? -errno : 0;
}

int history_file_stage(int dir, const char *name, const json_t *json)
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

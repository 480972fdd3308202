/*
 * A configuration file and the drop-ins beside it become one tree.
 *
 * Theory of operation: `vpn.yaml` says most, and each `vpn.yaml.d/NAME.yaml` may add to it or
 * change it, so that a tool or a package can bring a user or a setting along without editing the
 * file of a person.  The files are parsed one by one and laid over each other in the order of their
 * names.
 */
#include "common/dropin.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/yaml.h"

/* The whole of a file, one byte more than the limit at most, so that the limit is noticed. */
static int file_read(const char *path, char **out, size_t *len)
{
    _cleanup_(close_fdp) int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    _cleanup_(free_p) char *buf = NULL;
    size_t used = 0, cap = 0;

    if (fd < 0)
        return -errno;
    while (used <= DOC_FILE_MAX) {
        ssize_t n;

        if (used == cap) {
            char *bigger;

            cap = cap ? cap * 2 : 16384;
            if (cap > DOC_FILE_MAX + 1)
                cap = DOC_FILE_MAX + 1;
            bigger = realloc(buf, cap);
            if (!bigger)
                return -ENOMEM;
            buf = bigger;
        }
        n = read(fd, buf + used, cap - used);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -errno;
        if (n == 0)
            break;
        used += (size_t)n;
    }
    *out = TAKE(buf);
    *len = used;
    return 0;
}

static int file_parse(struct arena *arena, const char *path, struct doc_node **out,
                      struct problems *problems)
{
    _cleanup_(free_p) char *text = NULL;
    struct doc_pos pos = {path, 0, 0};
    size_t len = 0;
    int rc = file_read(path, &text, &len);

    if (rc < 0) {
        problem_add(problems, PROBLEM_ERROR, &pos, NULL, "cannot read it: %s", strerror(-rc));
        return rc;
    }
    return doc_parse(arena, path, text, len, out, problems);
}

static int is_dropin(const struct dirent *entry)
{
    size_t len = strlen(entry->d_name);

    return entry->d_name[0] != '.' && len > 5 && strcmp(entry->d_name + len - 5, ".yaml") == 0;
}

/* strcmp order, not the locale's: the same files give the same configuration everywhere. */
static int by_name(const struct dirent **a, const struct dirent **b)
{
    return strcmp((*a)->d_name, (*b)->d_name);
}

/* Lay the drop-ins over @base.  The first failure is returned, but each file is read. */
static int dropins_load(struct arena *arena, const char *dir, struct doc_node *base,
                        struct problems *problems)
{
    struct doc_pos pos = {dir, 0, 0};
    struct dirent **names = NULL;
    int n = scandir(dir, &names, is_dropin, by_name);
    int failed = 0;

    if (n < 0) {
        if (errno == ENOENT)
            return 0;
        failed = -errno;
        problem_add(problems, PROBLEM_ERROR, &pos, NULL, "cannot read it: %s", strerror(-failed));
        return failed;
    }
    if (n > DOC_DROPINS_MAX) {
        problem_add(problems, PROBLEM_ERROR, &pos, NULL, "more than %d drop-in files",
                    DOC_DROPINS_MAX);
        failed = -EINVAL;
    }
    for (int i = 0; i < n; i++) {
        _cleanup_(free_p) char *path = NULL;
        struct doc_node *over = NULL;
        int rc = -ENOMEM;

        if (n <= DOC_DROPINS_MAX && asprintf(&path, "%s/%s", dir, names[i]->d_name) >= 0)
            rc = file_parse(arena, path, &over, problems);
        else
            path = NULL;
        if (rc == 0 && base)
            rc = doc_merge(arena, base, over);
        if (rc < 0 && failed == 0)
            failed = rc;
        free(names[i]);
    }
    free(names);
    return failed;
}

int doc_load(struct arena *arena, const char *path, struct doc_node **out,
             struct problems *problems)
{
    _cleanup_(free_p) char *dir = NULL;
    struct doc_node *root = NULL;
    int rc = file_parse(arena, path, &root, problems);
    int rc_dropins;

    if (asprintf(&dir, "%s.d", path) < 0) {
        dir = NULL;
        return -ENOMEM;
    }
    rc_dropins = dropins_load(arena, dir, root, problems);
    if (rc == 0)
        rc = rc_dropins;
    if (rc < 0 && problems->n_errors == 0)
        problem_add(problems, PROBLEM_ERROR, &(struct doc_pos){path, 0, 0}, "",
                    "cannot read it: %s", strerror(-rc));
    if (rc == 0)
        *out = root;
    return rc;
}

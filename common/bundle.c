/* The texts that make up a configuration; see bundle.h. */
#include "common/bundle.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/text.h"
#include "common/wire.h"
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

/* Takes over the text. */
static int append(struct bundle *bundle, const char *name, char *text, size_t len)
{
    const size_t bytes = strlen(name) + len;
    struct bundle_file *files;
    char *copy;

    if (bundle->n == BUNDLE_FILES_MAX || bytes > BUNDLE_BYTES_MAX - bundle->bytes) {
        free(text);
        return -EFBIG;
    }
    files = reallocarray(bundle->files, bundle->n + 1, sizeof(*files));
    if (files)
        bundle->files = files;
    copy = files ? strdup(name) : NULL;
    if (!copy) {
        free(text);
        return -ENOMEM;
    }
    bundle->files[bundle->n++] = (struct bundle_file){copy, text, len};
    bundle->bytes += bytes;
    return 0;
}

int bundle_add(struct bundle *bundle, const char *name, const void *text, size_t len)
{
    char *copy = malloc(len ? len : 1);

    if (!copy)
        return -ENOMEM;
    if (len)
        memcpy(copy, text, len);
    return append(bundle, name, copy, len);
}

static bool is_utf8(const char *text)
{
    const uint8_t *in = (const uint8_t *)text;
    size_t left = strlen(text), n;
    uint32_t code;

    for (; left > 0; in += n, left -= n) {
        n = utf8_decode(in, left, &code);
        if (n == 0)
            return false;
    }
    return true;
}

static int read_one(struct bundle *bundle, const char *path, struct problems *problems)
{
    struct doc_pos pos = {path, 0, 0};
    char *text = NULL;
    size_t len = 0;
    int rc;

    /* It is sent and kept as JSON, which holds nothing else. */
    if (!is_utf8(path)) {
        problem_add(problems, PROBLEM_ERROR, &pos, NULL, "its name is not UTF-8 (rename it)");
        return -EINVAL;
    }
    rc = file_read(path, &text, &len);
    if (rc == 0)
        rc = append(bundle, path, text, len);
    if (rc == -EFBIG)
        problem_add(problems, PROBLEM_ERROR, &pos, NULL,
                    "the files together are over %zu MiB (shorten them)", BUNDLE_BYTES_MAX >> 20);
    else if (rc == -ENOENT)
        problem_add(problems, PROBLEM_ERROR, &pos, NULL,
                    "there is no such file (vpn-server --init writes a server's first one, vpnctl"
                    " user add a client's)");
    else if (rc < 0)
        problem_add(problems, PROBLEM_ERROR, &pos, NULL, "cannot read it: %s", strerror(-rc));
    return rc;
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

/* The first failure is returned, but each file is read. */
static int read_dropins(struct bundle *bundle, const char *dir, struct problems *problems)
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
    if (n > BUNDLE_DROPINS_MAX) {
        problem_add(problems, PROBLEM_ERROR, &pos, NULL, "more than %d drop-in files",
                    BUNDLE_DROPINS_MAX);
        failed = -EINVAL;
    }
    for (int i = 0; i < n; i++) {
        _cleanup_(free_p) char *path = NULL;
        int rc = 0;

        if (asprintf(&path, "%s/%s", dir, names[i]->d_name) < 0) {
            path = NULL;
            rc = -ENOMEM;
        } else if (n <= BUNDLE_DROPINS_MAX) {
            rc = read_one(bundle, path, problems);
        }
        if (rc < 0 && failed == 0)
            failed = rc;
        free(names[i]);
    }
    free(names);
    return failed;
}

int bundle_read(const char *path, struct bundle *out, struct problems *problems)
{
    _cleanup_(free_p) char *dir = NULL;
    int rc = read_one(out, path, problems), rc_dropins;

    if (asprintf(&dir, "%s.d", path) < 0) {
        dir = NULL;
        return -ENOMEM;
    }
    rc_dropins = read_dropins(out, dir, problems);
    return rc < 0 ? rc : rc_dropins;
}

void bundle_clear(struct bundle *bundle)
{
    for (size_t i = 0; i < bundle->n; i++) {
        free(bundle->files[i].name);
        free(bundle->files[i].text);
    }
    free(bundle->files);
    *bundle = (struct bundle){0};
}

void bundle_clearp(struct bundle *bundle)
{
    bundle_clear(bundle);
}

void bundle_move(struct bundle *to, struct bundle *from)
{
    *to = *from;
    *from = (struct bundle){0};
}

void bundle_hash(const struct bundle *bundle, uint8_t hash[BUNDLE_HASH_LEN])
{
    crypto_generichash_state state;

    crypto_generichash_init(&state, NULL, 0, BUNDLE_HASH_LEN);
    for (size_t i = 0; i < bundle->n; i++) {
        const struct bundle_file *file = &bundle->files[i];
        const char *slash = strrchr(file->name, '/');
        /* The main file may be kept under any name; a drop-in's name is part of what it says. */
        const char *name = i == 0 ? "" : slash ? slash + 1 : file->name;
        uint8_t lengths[8];

        be32_put(lengths, (uint32_t)strlen(name));
        be32_put(lengths + 4, (uint32_t)file->len);
        crypto_generichash_update(&state, lengths, sizeof(lengths));
        crypto_generichash_update(&state, (const uint8_t *)name, strlen(name));
        crypto_generichash_update(&state, (const uint8_t *)file->text, file->len);
    }
    crypto_generichash_final(&state, hash, BUNDLE_HASH_LEN);
}

int bundle_parse(const struct bundle *bundle, struct arena *arena, struct doc_node **out,
                 struct problems *problems)
{
    struct doc_node *root = NULL;
    int failed = bundle->n ? 0 : -EINVAL;

    for (size_t i = 0; i < bundle->n; i++) {
        const struct bundle_file *file = &bundle->files[i];
        struct doc_node *tree = NULL;
        int rc = doc_parse(arena, file->name, file->text, file->len, &tree, problems);

        if (rc == 0 && i == 0)
            root = tree;
        else if (rc == 0 && root)
            rc = doc_merge(arena, root, tree);
        if (rc < 0 && failed == 0)
            failed = rc;
    }
    if (failed == 0)
        *out = root;
    return failed;
}

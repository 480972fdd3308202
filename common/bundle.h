/*
 * The texts that make up a configuration: a file and, in the order of their names, its drop-ins.
 *
 * `vpn.yaml` says most, and each `vpn.yaml.d/NAME.yaml` may add to it or change it, so that a tool
 * or a package can bring a user or a setting along without editing the file of a person.  A bundle
 * holds them as they are, so that they can be sent, kept, and compared as one.
 */
#ifndef COMMON_BUNDLE_H
#define COMMON_BUNDLE_H

#include <stddef.h>
#include <stdint.h>

#include "common/arena.h"
#include "common/doc.h"
#include "common/problem.h"

#define BUNDLE_DROPINS_MAX 256
#define BUNDLE_FILES_MAX   (1 + BUNDLE_DROPINS_MAX)
#define BUNDLE_BYTES_MAX   ((size_t)12 << 20) /* of all texts and names together */
#define BUNDLE_HASH_LEN    32

struct bundle_file {
    char *name; /* as it was opened */
    char *text; /* not NUL-terminated */
    size_t len;
};

/* Starts zeroed; the first file is the main one. */
struct bundle {
    struct bundle_file *files;
    size_t n;
    size_t bytes;
};

/**
 * bundle_read() - a file and its drop-ins `<path>.d/` + `*.yaml`
 *
 * What can be read is read even when something else cannot, so that all errors come at once; after
 * a failure the bundle holds the former.
 *
 * Return: 0, or -errno with an error in @problems.
 */
int bundle_read(const char *path, struct bundle *out, struct problems *problems);

/**
 * bundle_add() - append a copy of a text
 *
 * Return: 0; -EFBIG when there are more files or bytes than allowed; -ENOMEM.
 */
int bundle_add(struct bundle *bundle, const char *name, const void *text, size_t len);

/** bundle_clear() - free the contents; the struct may be used again. */
void bundle_clear(struct bundle *bundle);
/** bundle_clearp() - for _cleanup_(). */
void bundle_clearp(struct bundle *bundle);

/** bundle_move() - @to, which is empty, becomes @from, which becomes empty. */
void bundle_move(struct bundle *to, struct bundle *from);

/**
 * bundle_hash() - what the texts say, as a number
 *
 * The folder they lie in does not count, the names in it do: they are the order.
 */
void bundle_hash(const struct bundle *bundle, uint8_t hash[BUNDLE_HASH_LEN]);

/**
 * bundle_parse() - the texts as one tree, each laid over those before
 *
 * Every file is read even when an earlier one is wrong.  Return: as doc_parse().
 */
int bundle_parse(const struct bundle *bundle, struct arena *arena, struct doc_node **out,
                 struct problems *problems);

#endif

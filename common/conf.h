/* A configuration file becomes a checked struct: the way that all of our files go. */
#ifndef COMMON_CONF_H
#define COMMON_CONF_H

#include "common/bundle.h"
#include "common/schema.h"

#define CONF_ARENA_MAX ((size_t)512 << 20) /* for a main file and drop-ins of any use */

/* What kind of file it is. */
struct conf_kind {
    const struct schema_table *table;
    size_t size;         /* of the struct */
    size_t arena_offset; /* of its `struct arena *`: all it points to lies there */
    /* What no table can say.  Return: 0, also with errors in @problems; -ENOMEM. */
    int (*check)(void *out, const struct doc_node *root, struct problems *problems);
};

/**
 * conf_load() - read a file and its drop-ins, and check all of it
 * @bundle: the texts if they have been read already, else NULL
 * @out: the struct; its arena is to be freed
 * @problems: gets every error and note, sorted; zeroed or used before
 *
 * Text becomes a tree (common/yaml), the tree is checked against the tables and becomes values
 * (common/schema), and what no table can say is checked last.  The tree lives in an arena of its
 * own that is gone before this returns.
 *
 * Return: 0, also with notes; -EINVAL when the contents are wrong; another -errno when a file could
 * not be read or memory ran out.  Every failure leaves at least one error in @problems.
 */
int conf_load(const struct conf_kind *kind, const char *path, const struct bundle *bundle,
              void **out, struct problems *problems);

/**
 * conf_parse() - the same for one text in memory
 * @name: stands for the file's name in messages
 */
int conf_parse(const struct conf_kind *kind, const char *name, const void *text, size_t len,
               void **out, struct problems *problems);

#endif

/* YAML files become trees: the strict part of YAML that a configuration needs. */
#ifndef COMMON_YAML_H
#define COMMON_YAML_H

#include <stddef.h>

#include "common/arena.h"
#include "common/doc.h"
#include "common/problem.h"

#define DOC_FILE_MAX  ((size_t)4 << 20) /* bytes of one file */
#define DOC_DEPTH_MAX 16                /* maps and lists inside each other */
#define DOC_NODES_MAX ((size_t)256 << 10)

/**
 * doc_parse() - one text
 * @name: the file's name in messages; copied
 * @out: the root, a map, empty for an empty text; written on success
 *
 * Refused: aliases, anchors, tags beyond the core schema, equal keys, keys that are no scalars,
 * more than one document, invalid UTF-8, texts over the limits above.  A syntax error ends the
 * parse; all else is collected.
 *
 * Return: 0 when there is a tree, also with errors in @problems: what they concern is marked bad in
 * it; -EINVAL (and an error) when the parse ended; -ENOMEM (and an error).
 */
int doc_parse(struct arena *arena, const char *name, const void *text, size_t len,
              struct doc_node **out, struct problems *problems);

#endif

/* A configuration file and the drop-ins beside it become one tree. */
#ifndef COMMON_DROPIN_H
#define COMMON_DROPIN_H

#include "common/arena.h"
#include "common/doc.h"
#include "common/problem.h"

#define DOC_DROPINS_MAX 256
#define DOC_ARENA_MAX   ((size_t)512 << 20) /* for a main file and drop-ins of any use */

/**
 * doc_load() - a file and, over it, its drop-ins `<path>.d/` + `*.yaml` in lexical order
 *
 * Every file is read even when an earlier one is wrong, so that all errors come at once.
 *
 * Return: as doc_parse(), or another -errno when a file cannot be read (also in @problems).
 */
int doc_load(struct arena *arena, const char *path, struct doc_node **out,
             struct problems *problems);

#endif

/* Memory that is taken piece by piece and given back all at once. */
#ifndef COMMON_ARENA_H
#define COMMON_ARENA_H

#include <stddef.h>

struct arena;

/**
 * arena_new() - an empty arena
 * @limit: the most bytes it may ever hold, its own bookkeeping aside
 *
 * Return: NULL when there is no memory.
 */
struct arena *arena_new(size_t limit);

/** arena_free() - everything in it, in one call.  Accepts NULL. */
void arena_free(struct arena *arena);

/** arena_alloc() - zeroed and aligned for any type.  Return: NULL: no memory or over the limit. */
void *arena_alloc(struct arena *arena, size_t size);

/** arena_array() - @n zeroed elements; the product is checked.  Never NULL for @n = 0. */
void *arena_array(struct arena *arena, size_t n, size_t size);

/** arena_strndup() - a copy of @len bytes with a NUL behind them.  Return: as arena_alloc(). */
char *arena_strndup(struct arena *arena, const char *text, size_t len);

/** arena_strdup() - a copy of a NUL-terminated text. */
char *arena_strdup(struct arena *arena, const char *text);

#endif

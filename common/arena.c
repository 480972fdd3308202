/*
 * Memory that is taken piece by piece and given back all at once.
 *
 * Theory of operation: a chain of chunks; a piece is cut off the newest chunk by moving one offset,
 * and a chunk that has no room left is simply followed by a bigger one.  A configuration is built
 * in one arena, so freeing it cannot forget a part, and no part can outlive the whole.
 */
#include "common/arena.h"

#include <stdalign.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define CHUNK_MIN ((size_t)4 << 10)
#define CHUNK_MAX ((size_t)256 << 10)
#define ALIGN     alignof(max_align_t)

struct chunk {
    struct chunk *older;
    size_t size;
    size_t used;
    alignas(max_align_t) unsigned char bytes[];
};

struct arena {
    struct chunk *newest;
    size_t left;
};

struct arena *arena_new(size_t limit)
{
    struct arena *arena = calloc(1, sizeof(*arena));

    if (arena)
        arena->left = limit;
    return arena;
}

void arena_free(struct arena *arena)
{
    struct chunk *chunk, *older;

    if (!arena)
        return;
    for (chunk = arena->newest; chunk; chunk = older) {
        older = chunk->older;
        free(chunk);
    }
    free(arena);
}

static struct chunk *chunk_new(struct arena *arena, size_t size)
{
    size_t want = arena->newest ? arena->newest->size * 2 : CHUNK_MIN;
    struct chunk *chunk;

    if (want > CHUNK_MAX)
        want = CHUNK_MAX;
    if (want < size)
        want = size;
    chunk = calloc(1, sizeof(*chunk) + want);
    if (!chunk)
        return NULL;
    chunk->size = want;
    chunk->older = arena->newest;
    arena->newest = chunk;
    return chunk;
}

void *arena_alloc(struct arena *arena, size_t size)
{
    struct chunk *chunk = arena->newest;
    void *piece;

    if (size > arena->left || size > SIZE_MAX / 2) /* the rounding below must not wrap */
        return NULL;
    size = (size + ALIGN - 1) / ALIGN * ALIGN;
    if (size == 0)
        size = ALIGN;
    if (size > arena->left)
        return NULL;

    if (!chunk || chunk->size - chunk->used < size)
        chunk = chunk_new(arena, size);
    if (!chunk)
        return NULL;
    piece = chunk->bytes + chunk->used;
    chunk->used += size;
    arena->left -= size;
    return piece;
}

void *arena_array(struct arena *arena, size_t n, size_t size)
{
    size_t total;

    if (__builtin_mul_overflow(n, size, &total))
        return NULL;
    return arena_alloc(arena, total);
}

char *arena_strndup(struct arena *arena, const char *text, size_t len)
{
    char *copy = len < SIZE_MAX / 2 ? arena_alloc(arena, len + 1) : NULL;

    /* Zeroed memory ends the text already. */
    if (copy && len)
        memcpy(copy, text, len);
    return copy;
}

char *arena_strdup(struct arena *arena, const char *text)
{
    return arena_strndup(arena, text, strlen(text));
}

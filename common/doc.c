/*
 * A document as a tree.
 *
 * Theory of operation: a map keeps its entries in the order of the file, which is the order people
 * expect errors in, and beside them an index sorted by key.  The index finds duplicates
 * (neighbours) and looks keys up in logarithmic time, so ten thousand users cost no more than
 * sorting them.
 */
#include "common/doc.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

bool doc_is_null(const struct doc_node *node)
{
    static const char *const words[] = {"", "~", "null", "Null", "NULL"};

    if (node->kind != DOC_SCALAR || node->quoted || node->bad)
        return false;
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        if (strcmp(node->text, words[i]) == 0)
            return true;
    }
    return false;
}

static int index_cmp(const void *a, const void *b, void *ctx)
{
    const struct doc_entry *entries = ctx;
    uint32_t ia = *(const uint32_t *)a, ib = *(const uint32_t *)b;
    int order = strcmp(entries[ia].key, entries[ib].key);

    /* Equal keys in the order of the file, so that the later one is the one in error. */
    return order ? order : (ia > ib) - (ia < ib);
}

int doc_index(struct arena *arena, struct doc_node *map, const char *path,
              struct problems *problems)
{
    uint32_t *by_key = arena_array(arena, map->n, sizeof(*by_key));
    size_t kept = 0;

    if (!by_key)
        return -ENOMEM;
    for (size_t i = 0; i < map->n; i++)
        by_key[i] = (uint32_t)i;
    if (map->n)
        qsort_r(by_key, map->n, sizeof(*by_key), index_cmp, map->entries);

    for (size_t i = 0; i < map->n; i++) {
        const struct doc_entry *e = &map->entries[by_key[i]];
        const struct doc_entry *first = kept ? &map->entries[by_key[kept - 1]] : NULL;

        if (!first || strcmp(e->key, first->key) != 0) {
            by_key[kept++] = by_key[i];
            continue;
        }
        problem_add(problems, PROBLEM_ERROR, &e->pos, path,
                    "the key \"%s\" is here twice, first in line %u (remove one)", e->key,
                    first->pos.line);
    }

    /* Without duplicates the two arrays have the same length again. */
    if (kept < map->n) {
        struct doc_entry *entries = arena_array(arena, kept, sizeof(*entries));

        if (!entries)
            return -ENOMEM;
        for (size_t i = 0; i < kept; i++) {
            entries[i] = map->entries[by_key[i]];
            by_key[i] = (uint32_t)i;
        }
        map->entries = entries;
        map->n = kept;
    }
    map->by_key = by_key;
    return 0;
}

const struct doc_entry *doc_entry_find(const struct doc_node *map, const char *key)
{
    size_t low = 0, high;

    if (!map || map->kind != DOC_MAP)
        return NULL;
    high = map->n;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        const struct doc_entry *e = &map->entries[map->by_key[mid]];
        int order = strcmp(key, e->key);

        if (order == 0)
            return e;
        if (order < 0)
            high = mid;
        else
            low = mid + 1;
    }
    return NULL;
}

const struct doc_node *doc_get(const struct doc_node *map, const char *key)
{
    const struct doc_entry *e = doc_entry_find(map, key);

    return e ? e->value : NULL;
}

/* The recursion is bounded: the parser refuses deep documents. */
int doc_merge(struct arena *arena, struct doc_node *base, const struct doc_node *over)
{
    struct doc_entry *entries;
    struct problems none = {0};
    size_t n = base->n;
    int rc;

    if (doc_is_null(over) && base->kind == DOC_MAP)
        return 0;
    if (base->kind != DOC_MAP || over->kind != DOC_MAP) {
        *base = *over;
        return 0;
    }

    entries = arena_array(arena, base->n + over->n, sizeof(*entries));
    if (!entries)
        return -ENOMEM;
    if (base->n)
        memcpy(entries, base->entries, base->n * sizeof(*entries));
    for (size_t i = 0; i < over->n; i++) {
        const struct doc_entry *new = &over->entries[i];
        const struct doc_entry *old = doc_entry_find(base, new->key);

        if (!old) {
            entries[n++] = *new;
            continue;
        }
        rc = doc_merge(arena, old->value, new->value);
        if (rc < 0)
            return rc;
        /* What replaced a value brought its own key's place along. */
        if (old->value->kind != DOC_MAP)
            entries[old - base->entries].pos = new->pos;
    }
    base->entries = entries;
    base->n = n;
    /* Neither side has equal keys any more, so there is nothing to complain about. */
    return doc_index(arena, base, NULL, &none);
}

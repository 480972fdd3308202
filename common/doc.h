/* A document as a tree: maps, lists and scalars, each with its place in the file. */
#ifndef COMMON_DOC_H
#define COMMON_DOC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/arena.h"
#include "common/problem.h"

enum doc_kind {
    DOC_SCALAR,
    DOC_LIST,
    DOC_MAP,
};

struct doc_node;

struct doc_entry {
    const char *key;
    struct doc_pos pos; /* of the key */
    struct doc_node *value;
};

/* Lives in an arena together with all it points to. */
struct doc_node {
    enum doc_kind kind;
    bool quoted; /* a scalar in quotes is text, whatever it spells */
    bool bad;    /* complained about already; stands for a value that cannot be used */
    struct doc_pos pos;
    const char *text;          /* scalar: NUL-terminated UTF-8 without inner NULs */
    struct doc_node **items;   /* list */
    struct doc_entry *entries; /* map: in the order of the file */
    uint32_t *by_key;          /* map: indexes into entries, sorted by key */
    size_t n;                  /* of items or entries */
};

/** doc_is_null() - an empty plain scalar, ~ or null: a key without a value. */
bool doc_is_null(const struct doc_node *node);

/**
 * doc_index() - make a map ready for doc_entry_find(); equal keys become errors
 * @path: the map's own, for messages
 *
 * The first of equal keys stays.  Return: 0 or -ENOMEM.
 */
int doc_index(struct arena *arena, struct doc_node *map, const char *path,
              struct problems *problems);

/** doc_entry_find() - Return: NULL when @map is NULL, no map, or has no such key. */
const struct doc_entry *doc_entry_find(const struct doc_node *map, const char *key);

/** doc_get() - the value of a key, or NULL likewise. */
const struct doc_node *doc_get(const struct doc_node *map, const char *key);

/**
 * doc_merge() - lay one tree over another, as netplan does with drop-ins
 *
 * Maps merge key by key; a later scalar or list replaces the earlier value; a key without a value
 * leaves a map as it is.  Each value keeps its own place.  @base is changed, and shares nodes with
 * @over afterwards.
 *
 * Return: 0 or -ENOMEM.
 */
int doc_merge(struct arena *arena, struct doc_node *base, const struct doc_node *over);

#endif

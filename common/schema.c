/*
 * What a configuration file may say, as tables.
 *
 * Theory of operation: the walk follows the table, not the file: for each field of a table the key
 * is looked up in the map and its value converted and stored at the member's offset.  A missing key
 * takes its default through the same conversion, so a default is written as a person would write
 * it and cannot differ from what the documentation says.  Keys of the map that no field asked for
 * are unknown.  Nothing stops the walk but lack of memory: a wrong value leaves its member zero.
 */
#include "common/schema.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/field.h"
#include "common/ip.h"
#include "common/text.h"
#include "common/value.h"

#define PATH_SIZE   512
#define KEYS_TO_SAY 8 /* an unknown key's message lists the known ones up to this many */

/* Where the walk is. */
struct walk {
    struct arena *arena;
    struct problems *problems;
    char path[PATH_SIZE];
    size_t path_len;
};

static int table_read(struct walk *w, const struct schema_table *table, const struct doc_node *map,
                      const struct doc_pos *pos, void *out);

/* Step down to a key; the former length is the way back up. */
static size_t path_push(struct walk *w, const char *key)
{
    const size_t before = w->path_len, len = strlen(key);
    size_t at = before, room;

    /* By hand: it is done for every key of ten thousand users. */
    if (before && at + 1 < PATH_SIZE)
        w->path[at++] = '.';
    room = PATH_SIZE - 1 - at;
    memcpy(w->path + at, key, len < room ? len : room);
    w->path_len = at + (len < room ? len : room);
    w->path[w->path_len] = '\0';
    return before;
}

static size_t path_push_index(struct walk *w, size_t index)
{
    size_t before = w->path_len;
    int n = snprintf(w->path + before, PATH_SIZE - before, "[%zu]", index);

    w->path_len += (size_t)n < PATH_SIZE - before ? (size_t)n : PATH_SIZE - before - 1;
    return before;
}

static void path_pop(struct walk *w, size_t before)
{
    w->path_len = before;
    w->path[before] = '\0';
}

static void complain(struct walk *w, const struct doc_pos *pos, const char *what)
{
    problem_add(w->problems, PROBLEM_ERROR, pos, w->path, "%s", what);
}

/* A scalar of the tree: right kind, a value at all, plain where quotes would make it text. */
static int scalar_read(struct walk *w, const struct schema_field *f, const struct doc_node *node,
                       void *out, size_t *n)
{
    struct err err;
    int rc;

    *n = 0;
    if (node->bad)
        return 0;
    if (node->kind != DOC_SCALAR) {
        complain(w, &node->pos, "must be a single value (remove the brackets, braces or lines)");
        return 0;
    }
    if (doc_is_null(node)) {
        complain(w, &node->pos, "has no value (write one, or remove the key)");
        return 0;
    }
    if (node->quoted && (f->type == SCHEMA_BOOL || f->type == SCHEMA_UINT)) {
        complain(w, &node->pos, "is text because of its quotes (remove the quotes)");
        return 0;
    }
    rc = field_parse(f, node->text, w->arena, out, n, &err);
    if (rc == -ENOMEM)
        return rc;
    if (rc < 0) {
        complain(w, &node->pos, err.msg);
        *n = 0;
    }
    return 0;
}

static void list_store(const struct schema_field *f, void *out, void *items, size_t n)
{
    memcpy((char *)out + f->offset, &items, sizeof(items));
    memcpy((char *)out + f->n_offset, &n, sizeof(n));
}

/* `listen: 51820` means that port on every address of both families. */
static int listen_port_read(struct walk *w, const struct schema_field *f,
                            const struct doc_node *node, void *out)
{
    struct ip_endpoint *both;
    struct err err;
    uint32_t port;

    if (node->bad)
        return 0;
    if (node->quoted || value_uint(node->text, 1, 65535, &port, &err) < 0) {
        complain(w, &node->pos,
                 "must be a port, 1 to 65535, or a list of addresses with ports "
                 "(write it like 51820 or [\"10.0.0.1:51820\"])");
        return 0;
    }
    both = arena_array(w->arena, 2, sizeof(*both));
    if (!both)
        return -ENOMEM;
    both[0] = (struct ip_endpoint){.addr.family = 4, .port = (uint16_t)port};
    both[1] = (struct ip_endpoint){.addr.family = 6, .port = (uint16_t)port};
    list_store(f, out, both, 2);
    return 0;
}

static int list_read(struct walk *w, const struct schema_field *f, const struct doc_node *node,
                     void *out)
{
    size_t size = field_size(f), n = 0;
    char *items;

    if (node->bad)
        return 0;
    if (f->type == SCHEMA_LISTEN && node->kind == DOC_SCALAR)
        return listen_port_read(w, f, node, out);
    if (node->kind != DOC_LIST) {
        complain(w, &node->pos, "must be a list (write it like [a, b], or [] for none)");
        return 0;
    }
    if (node->n > f->max_items) {
        problem_add(w->problems, PROBLEM_ERROR, &node->pos, w->path,
                    "has %zu items (at most %u are allowed)", node->n, f->max_items);
        return 0;
    }
    items = arena_array(w->arena, node->n * FIELD_VALUES_MAX, size);
    if (!items)
        return -ENOMEM;
    for (size_t i = 0; i < node->n; i++) {
        size_t before = path_push_index(w, i);
        size_t got = 0;
        int rc = scalar_read(w, f, node->items[i], items + n * size, &got);

        path_pop(w, before);
        if (rc < 0)
            return rc;
        n += got;
    }
    list_store(f, out, items, n);
    return 0;
}

/* "default" may stand alone where a list would hold its two prefixes. */
static int word_read(struct walk *w, const struct schema_field *f, const struct doc_node *node,
                     void *out)
{
    char *items = arena_array(w->arena, FIELD_VALUES_MAX, field_size(f));
    size_t n;
    int rc;

    if (!items)
        return -ENOMEM;
    rc = scalar_read(w, f, node, items, &n);
    if (rc == 0)
        list_store(f, out, items, n);
    return rc;
}

static int items_read(struct walk *w, const struct schema_field *f, const struct doc_node *node,
                      void *out)
{
    const size_t size = f->table->entry_size;
    char *items;

    if (node->bad || doc_is_null(node))
        return 0;
    if (node->kind != DOC_LIST) {
        complain(w, &node->pos, "must be a list (begin each entry with \"- \")");
        return 0;
    }
    if (node->n > f->max_items) {
        problem_add(w->problems, PROBLEM_ERROR, &node->pos, w->path,
                    "has %zu entries (at most %u are allowed)", node->n, f->max_items);
        return 0;
    }
    items = arena_array(w->arena, node->n, size);
    if (!items)
        return -ENOMEM;
    for (size_t i = 0; i < node->n; i++) {
        size_t before = path_push_index(w, i);
        int rc = table_read(w, f->table, node->items[i], &node->items[i]->pos, items + i * size);

        path_pop(w, before);
        if (rc < 0)
            return rc;
    }
    list_store(f, out, items, node->n);
    return 0;
}

static int name_check(const struct schema_table *table, const char *name, struct err *err)
{
    return table->name_type == SCHEMA_USER ? value_user(name, err) : value_name(name, err);
}

static int map_read(struct walk *w, const struct schema_field *f, const struct doc_node *node,
                    void *out)
{
    const struct schema_table *table = f->table;
    size_t n = 0;
    char *items;

    if (node->bad || doc_is_null(node))
        return 0;
    if (node->kind != DOC_MAP) {
        complain(w, &node->pos, "must be a map of names (write \"name:\" and its keys below it)");
        return 0;
    }
    if (node->n > f->max_items) {
        problem_add(w->problems, PROBLEM_ERROR, &node->pos, w->path,
                    "has %zu entries (at most %u are allowed)", node->n, f->max_items);
        return 0;
    }
    items = arena_array(w->arena, node->n, table->entry_size);
    if (!items)
        return -ENOMEM;
    for (size_t i = 0; i < node->n; i++) {
        const struct doc_entry *e = &node->entries[node->by_key[i]];
        char *item = items + n * table->entry_size;
        size_t before = path_push(w, e->key);
        struct err err;
        int rc;

        if (name_check(table, e->key, &err) < 0)
            complain(w, &e->pos, err.msg);
        else if (strlen(e->key) < table->name_size)
            memcpy(item + table->name_offset, e->key, strlen(e->key) + 1);
        rc = table_read(w, table, e->value, &e->pos, item);
        path_pop(w, before);
        if (rc < 0)
            return rc;
        n++;
    }
    list_store(f, out, items, n);
    return 0;
}

/* The default, through the same door as a value of the file. */
static int preset_read(struct walk *w, const struct schema_field *f, const struct doc_pos *pos,
                       void *out)
{
    struct doc_node value = {.kind = DOC_SCALAR, .pos = *pos, .text = f->preset};
    struct doc_node *item = &value;
    struct doc_node list = {.kind = DOC_LIST, .pos = *pos, .items = &item, .n = 1};
    size_t n;

    if (f->shape == SCHEMA_ONE)
        return scalar_read(w, f, &value, (char *)out + f->offset, &n);
    return list_read(w, f, f->type == SCHEMA_LISTEN ? &value : &list, out);
}

/* @e is NULL when the key is not there; @pos is its table's place. */
static int field_read(struct walk *w, const struct schema_field *f, const struct doc_entry *e,
                      const struct doc_pos *pos, void *out)
{
    const struct doc_node *node = e ? e->value : NULL;
    size_t n;

    if (!node && f->required) {
        problem_add(w->problems, PROBLEM_ERROR, pos, w->path, "is missing (%s)", f->mend);
        return 0;
    }
    if (f->type == SCHEMA_IGNORED) {
        if (node)
            problem_add(w->problems, PROBLEM_NOTE, &node->pos, w->path, "%s", f->mend);
        return 0;
    }
    if (f->type == SCHEMA_TABLE && f->shape == SCHEMA_ONE)
        return table_read(w, f->table, node, e ? &e->pos : pos, (char *)out + f->offset);
    if (!node)
        return f->preset ? preset_read(w, f, pos, out) : 0;

    switch (f->shape) {
    case SCHEMA_LIST:
        return list_read(w, f, node, out);
    case SCHEMA_WORD:
        return word_read(w, f, node, out);
    case SCHEMA_ITEMS:
        return items_read(w, f, node, out);
    case SCHEMA_MAP:
        return map_read(w, f, node, out);
    case SCHEMA_ONE:
        break;
    }
    return scalar_read(w, f, node, (char *)out + f->offset, &n);
}

static void unknown_key(struct walk *w, const struct schema_table *table, const struct doc_entry *e)
{
    const char *keys[64];
    char all[256] = "";
    const char *nearest;
    size_t n = 0, before;

    for (; n < table->n && n + 1 < ARRAY_SIZE(keys); n++) {
        size_t used = strlen(all);

        keys[n] = table->fields[n].key;
        snprintf(all + used, sizeof(all) - used, "%s%s", n ? ", " : "", keys[n]);
    }
    keys[n] = NULL;

    before = path_push(w, e->key);
    nearest = text_nearest(e->key, keys);
    if (nearest)
        problem_add(w->problems, PROBLEM_ERROR, &e->pos, w->path,
                    "unknown key (did you mean \"%s\"?)", nearest);
    else if (n <= KEYS_TO_SAY)
        problem_add(w->problems, PROBLEM_ERROR, &e->pos, w->path,
                    "unknown key (the known ones are: %s)", all);
    else
        complain(w, &e->pos, "unknown key (check the spelling and the indentation)");
    path_pop(w, before);
}

static const struct schema_field *field_find(const struct schema_table *table, const char *key)
{
    for (size_t i = 0; i < table->n; i++) {
        if (strcmp(table->fields[i].key, key) == 0)
            return &table->fields[i];
    }
    return NULL;
}

/* A missing or empty map still has its defaults and its required keys. */
static int table_read(struct walk *w, const struct schema_table *table, const struct doc_node *map,
                      const struct doc_pos *pos, void *out)
{
    if (map && map->bad)
        return 0;
    if (map && map->kind != DOC_MAP && !doc_is_null(map)) {
        complain(w, &map->pos, "must be a map of keys (write \"key: value\" lines below it)");
        return 0;
    }
    for (size_t i = 0; i < table->n; i++) {
        const struct schema_field *f = &table->fields[i];
        size_t before = path_push(w, f->key);
        const struct doc_entry *e = doc_entry_find(map, f->key);
        int rc = field_read(w, f, e, pos, out);

        path_pop(w, before);
        if (rc < 0)
            return rc;
    }
    for (size_t i = 0; map && map->kind == DOC_MAP && i < map->n; i++) {
        if (!field_find(table, map->entries[i].key))
            unknown_key(w, table, &map->entries[i]);
    }
    return 0;
}

int schema_read(const struct schema_table *table, const struct doc_node *root, struct arena *arena,
                void *out, struct problems *problems)
{
    struct walk w = {.arena = arena, .problems = problems};
    const struct doc_pos start = root->pos;

    return table_read(&w, table, root, &start, out);
}

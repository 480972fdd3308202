/*
 * What a configuration file may say, as tables.
 *
 * One table describes a map: its keys, their types, limits, defaults and meaning.  The same table
 * checks a file, fills a struct and has all that a JSON Schema needs.
 */
#ifndef COMMON_SCHEMA_H
#define COMMON_SCHEMA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/arena.h"
#include "common/doc.h"
#include "common/problem.h"

/* The type decides what the struct's member is. */
enum schema_type {
    SCHEMA_BOOL,     /* bool */
    SCHEMA_UINT,     /* uint16_t or uint32_t, min to max; `word` stands for 0 */
    SCHEMA_DURATION, /* uint32_t seconds, min to max seconds */
    SCHEMA_DATE,     /* uint64_t: the first second after that day, UTC */
    SCHEMA_RATE,     /* uint64_t bits per second */
    SCHEMA_ENUM,     /* an enum; its value is the index in `names` */
    SCHEMA_TEXT,     /* const char *, at most max bytes; this and all below until the key */
    SCHEMA_PATH,     /* const char *, from the root */
    SCHEMA_FILE,     /* const char *, a path that may be relative */
    SCHEMA_ENDPOINT, /* const char *, "host:port" */
    SCHEMA_USER,     /* const char *, a user's name */
    SCHEMA_REALM,    /* const char * */
    SCHEMA_NAME,     /* const char *, fit to be a file's name */
    SCHEMA_KEY,      /* uint8_t[WIRE_KEY_LEN] */
    SCHEMA_DEVICE,   /* char[IFNAMSIZ] */
    SCHEMA_ADDR,     /* struct ip_addr */
    SCHEMA_PREFIX,   /* struct ip_prefix, host bits kept */
    SCHEMA_RANGE,    /* struct ip_range */
    SCHEMA_LISTEN,   /* struct ip_endpoint; a list that may be a port alone: both families */
    SCHEMA_ROUTE,    /* struct ip_prefix without host bits; "default" is both families' /0 */
    SCHEMA_NETWORK,  /* struct ip_prefix without host bits */
    SCHEMA_MARK,     /* struct value_mark */
    SCHEMA_UIDS,     /* struct value_span */
    SCHEMA_TABLE,    /* the members of `table`, at the member's offset */
    SCHEMA_IGNORED,  /* nothing: accepted, with `mend` as a note */
    SCHEMA_TYPE_NUM,
};

enum schema_shape {
    SCHEMA_ONE,
    SCHEMA_LIST,  /* a pointer to an array of the type, and a size_t */
    SCHEMA_WORD,  /* likewise, from a single value: "default" is two prefixes */
    SCHEMA_ITEMS, /* a list of tables: a pointer to an array of structs, and a size_t */
    SCHEMA_MAP,   /* of tables: a pointer to an array of structs sorted by name, and a size_t */
};

struct schema_table;

struct schema_field {
    const char *key;
    const char *doc; /* one sentence for people, also in the JSON Schema */
    enum schema_type type;
    enum schema_shape shape;
    bool required;
    size_t offset, size;      /* of the member */
    size_t n_offset;          /* list, map: of its count */
    uint32_t min, max;        /* see the type */
    uint32_t max_items;       /* list, map */
    const char *word;         /* number: what 0 is called */
    const char *const *names; /* enum: NULL-terminated */
    const char *preset;       /* the default as a file would say it; NULL: zero */
    const char *mend;         /* required: what to do when it is missing; ignored: the note */
    const struct schema_table *table;
};

struct schema_table {
    const struct schema_field *fields;
    size_t n;
    size_t entry_size; /* list, map: of the struct that each entry becomes */
    /* Only for the tables of a map. */
    enum schema_type name_type; /* SCHEMA_USER or SCHEMA_NAME */
    size_t name_offset;         /* of a char[name_size] */
    size_t name_size;
};

/* A member's place, for `offset, size`; and with its count beside it. */
#define SCHEMA_AT(type_, member)                                                                   \
    .offset = offsetof(struct type_, member), .size = sizeof(((struct type_ *)0)->member)
#define SCHEMA_AT_N(type_, member, count)                                                          \
    SCHEMA_AT(type_, member), .n_offset = offsetof(struct type_, count)

/**
 * schema_read() - check a tree against a table and fill a struct
 * @root: a map
 * @arena: where texts, lists and maps of the result go; nothing in it points into the tree
 * @out: the struct, zeroed
 *
 * All errors are collected; a value in error leaves its member zero.
 *
 * Return: 0, also with errors in @problems; -ENOMEM.
 */
int schema_read(const struct schema_table *table, const struct doc_node *root, struct arena *arena,
                void *out, struct problems *problems);

#endif

/*
 * YAML files become trees.
 *
 * Theory of operation: libyaml's event interface is the one that hides nothing: aliases, tags and
 * places arrive as they are written (its document interface resolves aliases and turns `&l [*l]`
 * into a cycle).  A stack of open maps and lists, at most DOC_DEPTH_MAX deep, collects their
 * members in buffers that are reused; a finished map or list is copied into the arena.  Errors that
 * leave the structure intact are noted and the value is marked bad, so that one run shows them all.
 */
#include "common/yaml.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <yaml.h>

#include "common/cleanup.h"
#include "common/text.h"

#define TAG_PREFIX "tag:yaml.org,2002:"
#define PATH_SIZE  512

/* A map or list that is still open. */
struct frame {
    struct doc_node *node;
    struct doc_entry *members; /* of a list: without keys */
    size_t n, cap;
    const char *key; /* map: a key that waits for its value */
    struct doc_pos key_pos;
};

struct build {
    struct arena *arena;
    struct problems *problems;
    const char *file; /* in the arena */
    const char *text;
    size_t len;
    struct frame frames[DOC_DEPTH_MAX];
    size_t depth;
    size_t n_nodes;
    struct doc_node *root;
};

static struct doc_pos pos_of(const struct build *b, yaml_mark_t mark)
{
    return (struct doc_pos){b->file, (uint32_t)mark.line + 1, (uint32_t)mark.column + 1};
}

static size_t path_append(char *buf, size_t used, const char *text)
{
    size_t len = strlen(text), room = PATH_SIZE - 1 - used;

    len = len < room ? len : room;
    memcpy(buf + used, text, len);
    buf[used + len] = '\0';
    return used + len;
}

/* "users.alice.address[1]": the keys that lead to the value which comes next. */
static const char *path_now(const struct build *b, size_t depth, char *buf)
{
    size_t used = 0;

    buf[0] = '\0';
    for (size_t i = 0; i < depth && used < PATH_SIZE; i++) {
        const struct frame *f = &b->frames[i];
        char index[32];

        if (f->node->kind == DOC_LIST) {
            snprintf(index, sizeof(index), "[%zu]", f->n);
            used = path_append(buf, used, index);
        } else {
            /* By hand: a map ends for each of ten thousand users. */
            used = used ? path_append(buf, used, ".") : 0;
            used = path_append(buf, used, f->key ? f->key : "");
        }
    }
    return buf;
}

static void complain(struct build *b, struct doc_pos pos, const char *what)
{
    char path[PATH_SIZE];

    problem_add(b->problems, PROBLEM_ERROR, &pos, path_now(b, b->depth, path), "%s", what);
}

static int no_memory(struct build *b)
{
    struct doc_pos pos = {b->file, 0, 0};

    problem_add(b->problems, PROBLEM_ERROR, &pos, NULL, "not enough memory to read it");
    return -ENOMEM;
}

static struct doc_node *node_new(struct build *b, enum doc_kind kind, struct doc_pos pos)
{
    struct doc_node *node = arena_alloc(b->arena, sizeof(*node));

    if (node) {
        node->kind = kind;
        node->pos = pos;
        node->text = "";
    }
    return node;
}

/* Put a finished value where it belongs: into the innermost open map or list, or at the root. */
static int value_put(struct build *b, struct doc_node *node)
{
    struct frame *f;

    if (b->depth == 0) {
        b->root = node;
        return 0;
    }
    f = &b->frames[b->depth - 1];
    if (f->n == f->cap) {
        size_t cap = f->cap ? f->cap * 2 : 16;
        struct doc_entry *members = reallocarray(f->members, cap, sizeof(*members));

        if (!members)
            return -ENOMEM;
        f->members = members;
        f->cap = cap;
    }
    f->members[f->n++] = (struct doc_entry){f->key, f->key_pos, node};
    f->key = NULL;
    return 0;
}

/* The next scalar is a key. */
static bool key_expected(const struct build *b)
{
    const struct frame *f = b->depth ? &b->frames[b->depth - 1] : NULL;

    return f && f->node->kind == DOC_MAP && !f->key;
}

static void anchor_check(struct build *b, const yaml_char_t *anchor, struct doc_pos pos)
{
    if (anchor)
        complain(b, pos, "anchors and aliases are not supported (write the value out)");
}

/* Is @tag one of the core schema's that fit this kind of node?  No tag and "!" fit any. */
static bool tag_fits(const yaml_char_t *tag, enum doc_kind kind)
{
    static const char *const scalar_tags[] = {"str", "int", "bool", "null", "float"};
    const char *name = (const char *)tag;

    if (!name || strcmp(name, "!") == 0)
        return true;
    if (strncmp(name, TAG_PREFIX, strlen(TAG_PREFIX)) != 0)
        return false;
    name += strlen(TAG_PREFIX);
    if (kind == DOC_MAP)
        return strcmp(name, "map") == 0;
    if (kind == DOC_LIST)
        return strcmp(name, "seq") == 0;
    for (size_t i = 0; i < ARRAY_SIZE(scalar_tags); i++) {
        if (strcmp(name, scalar_tags[i]) == 0)
            return true;
    }
    return false;
}

static void tag_check(struct build *b, const yaml_char_t *tag, struct doc_node *node)
{
    if (tag_fits(tag, node->kind))
        return;
    complain(b, node->pos, "this tag is not supported (remove the word that begins with \"!\")");
    node->bad = true;
}

static int on_scalar(struct build *b, const yaml_event_t *event)
{
    const char *text = (const char *)event->data.scalar.value;
    const char *tag = (const char *)event->data.scalar.tag;
    size_t len = event->data.scalar.length;
    struct doc_pos pos = pos_of(b, event->start_mark);
    struct doc_node *node;

    anchor_check(b, event->data.scalar.anchor, pos);
    if (key_expected(b)) {
        struct frame *f = &b->frames[b->depth - 1];

        if (memchr(text, '\0', len))
            complain(b, pos, "a key has a NUL character in it (remove \\0)");
        f->key = arena_strdup(b->arena, text);
        f->key_pos = pos;
        return f->key ? 0 : -ENOMEM;
    }

    node = node_new(b, DOC_SCALAR, pos);
    if (!node)
        return -ENOMEM;
    node->text = arena_strndup(b->arena, text, len);
    if (!node->text)
        return -ENOMEM;
    /* `!!str 5` is text like "5"; `!!int "5"` is a number. */
    node->quoted = event->data.scalar.style != YAML_PLAIN_SCALAR_STYLE;
    if (tag)
        node->quoted = strcmp(tag, "!") == 0 || strcmp(tag, TAG_PREFIX "str") == 0;
    tag_check(b, event->data.scalar.tag, node);
    if (strlen(node->text) != len) {
        complain(b, pos, "the text has a NUL character in it (remove \\0)");
        node->bad = true;
    }
    return value_put(b, node);
}

static int on_alias(struct build *b, const yaml_event_t *event)
{
    struct doc_node *node = node_new(b, DOC_SCALAR, pos_of(b, event->start_mark));

    if (!node)
        return -ENOMEM;
    anchor_check(b, event->data.alias.anchor, node->pos);
    if (key_expected(b))
        return -EINVAL;
    node->bad = true;
    return value_put(b, node);
}

static int on_open(struct build *b, const yaml_event_t *event, enum doc_kind kind)
{
    bool map = kind == DOC_MAP;
    struct doc_pos pos = pos_of(b, event->start_mark);
    struct frame *f;

    if (key_expected(b)) {
        complain(b, pos,
                 "a key must be a word, not a list or a map (put texts with [ or { in quotes)");
        return -EINVAL;
    }
    if (b->depth == DOC_DEPTH_MAX) {
        problem_add(b->problems, PROBLEM_ERROR, &pos, NULL,
                    "more than %d levels inside each other (nothing here needs that many)",
                    DOC_DEPTH_MAX);
        return -EINVAL;
    }
    f = &b->frames[b->depth];
    f->node = node_new(b, kind, pos);
    if (!f->node)
        return -ENOMEM;
    anchor_check(b, map ? event->data.mapping_start.anchor : event->data.sequence_start.anchor,
                 pos);
    tag_check(b, map ? event->data.mapping_start.tag : event->data.sequence_start.tag, f->node);
    f->n = 0;
    f->key = NULL;
    b->depth++;
    return 0;
}

static int on_close(struct build *b)
{
    struct doc_node *node;
    struct frame *f;
    char path[PATH_SIZE];

    /* libyaml closes only what it opened; a mistake there must not become a wild pointer here. */
    if (b->depth == 0)
        return -EINVAL;
    f = &b->frames[--b->depth];
    node = f->node;
    node->n = f->n;
    if (node->kind == DOC_LIST) {
        node->items = arena_array(b->arena, f->n, sizeof(struct doc_node *));
        if (!node->items)
            return -ENOMEM;
        for (size_t i = 0; i < f->n; i++)
            node->items[i] = f->members[i].value;
        return value_put(b, node);
    }

    node->entries = arena_array(b->arena, f->n, sizeof(*node->entries));
    if (!node->entries)
        return -ENOMEM;
    if (f->n)
        memcpy(node->entries, f->members, f->n * sizeof(*node->entries));
    if (doc_index(b->arena, node, path_now(b, b->depth, path), b->problems) < 0)
        return -ENOMEM;
    return value_put(b, node);
}

/* libyaml tells what it expected; this tells what people usually did. */
static const char *syntax_hint(const char *problem)
{
    static const struct {
        const char *problem, *hint;
    } hints[] = {
        {"mapping values are not allowed", "check the indentation, or quote a text with \": \""},
        {"did not find expected key", "check the indentation of this line and the one before"},
        {"could not find expected ':'", "write a colon and a space behind the key"},
        {"cannot start any token", "indent with spaces, never tabs; quote a text with @ ` or %"},
        {"did not find expected ',' or", "close the bracket, and part its values with commas"},
        {"unexpected end of stream", "close the quotes or the bracket"},
        {"did not find expected '-' indicator", "all items of a list begin in the same column"},
    };

    for (size_t i = 0; problem && i < ARRAY_SIZE(hints); i++) {
        if (strstr(problem, hints[i].problem))
            return hints[i].hint;
    }
    return "see the line above as well";
}

static struct doc_pos pos_of_offset(const struct build *b, size_t offset)
{
    struct doc_pos pos = {b->file, 1, 1};
    size_t i = 0;

    while (i < offset && i < b->len) {
        uint32_t code = 0;
        size_t n = utf8_decode((const uint8_t *)b->text + i, b->len - i, &code);

        i += n ? n : 1;
        pos.column++;
        if (code == '\n') {
            pos.line++;
            pos.column = 1;
        }
    }
    return pos;
}

static int on_syntax_error(struct build *b, const yaml_parser_t *parser)
{
    struct doc_pos pos;

    switch (parser->error) {
    case YAML_MEMORY_ERROR:
        return -ENOMEM;
    case YAML_READER_ERROR:
        pos = pos_of_offset(b, parser->problem_offset);
        problem_add(b->problems, PROBLEM_ERROR, &pos, NULL,
                    "not valid YAML: %s (remove the character)", parser->problem);
        break;
    default:
        pos = pos_of(b, parser->problem_mark);
        problem_add(b->problems, PROBLEM_ERROR, &pos, NULL, "not valid YAML: %s%s%s (%s)",
                    parser->context ? parser->context : "", parser->context ? ", " : "",
                    parser->problem, syntax_hint(parser->problem));
    }
    return -EINVAL;
}

static int on_event(struct build *b, const yaml_event_t *event)
{
    if (++b->n_nodes > DOC_NODES_MAX) {
        struct doc_pos pos = pos_of(b, event->start_mark);

        problem_add(b->problems, PROBLEM_ERROR, &pos, NULL, "more than %zu values in one file",
                    DOC_NODES_MAX);
        return -EINVAL;
    }

    switch (event->type) {
    case YAML_SCALAR_EVENT:
        return on_scalar(b, event);
    case YAML_ALIAS_EVENT:
        return on_alias(b, event);
    case YAML_MAPPING_START_EVENT:
        return on_open(b, event, DOC_MAP);
    case YAML_SEQUENCE_START_EVENT:
        return on_open(b, event, DOC_LIST);
    case YAML_MAPPING_END_EVENT:
    case YAML_SEQUENCE_END_EVENT:
        return on_close(b);
    case YAML_DOCUMENT_START_EVENT:
        if (b->root) {
            complain(b, pos_of(b, event->start_mark),
                     "a second document begins here (keep one, remove the ---)");
            return -EINVAL;
        }
        return 0;
    case YAML_NO_EVENT:
    case YAML_STREAM_START_EVENT:
    case YAML_STREAM_END_EVENT:
    case YAML_DOCUMENT_END_EVENT:
        return 0;
    }
    return 0;
}

static int events_run(struct build *b, yaml_parser_t *parser)
{
    bool done = false;

    while (!done) {
        yaml_event_t event;
        int rc;

        if (!yaml_parser_parse(parser, &event))
            return on_syntax_error(b, parser);
        done = event.type == YAML_STREAM_END_EVENT;
        rc = on_event(b, &event);
        yaml_event_delete(&event);
        if (rc < 0)
            return rc;
    }
    return 0;
}

/* The root must be a map; nothing but comments is an empty one. */
static int root_check(struct build *b)
{
    if (!b->root || doc_is_null(b->root)) {
        b->root = node_new(b, DOC_MAP, (struct doc_pos){b->file, 1, 1});
        if (!b->root || doc_index(b->arena, b->root, NULL, b->problems) < 0)
            return -ENOMEM;
    }
    if (b->root->kind != DOC_MAP) {
        problem_add(b->problems, PROBLEM_ERROR, &b->root->pos, NULL,
                    "the file must be a map of keys (write \"key: value\" lines)");
        return -EINVAL;
    }
    return 0;
}

static int text_check(struct build *b)
{
    size_t i = 0;

    if (b->len > DOC_FILE_MAX) {
        struct doc_pos pos = {b->file, 0, 0};

        problem_add(b->problems, PROBLEM_ERROR, &pos, NULL,
                    "larger than %zu MiB (use drop-ins, FILE.d/*.yaml, for very many users)",
                    DOC_FILE_MAX >> 20);
        return -EINVAL;
    }
    /* libyaml would also take UTF-16; one encoding is enough, and the rest of us relies on it. */
    while (i < b->len) {
        uint32_t code;
        size_t n = utf8_decode((const uint8_t *)b->text + i, b->len - i, &code);

        if (!n) {
            struct doc_pos pos = pos_of_offset(b, i);

            problem_add(b->problems, PROBLEM_ERROR, &pos, NULL,
                        "not valid UTF-8 (save the file as UTF-8)");
            return -EINVAL;
        }
        i += n;
    }
    return 0;
}

int doc_parse(struct arena *arena, const char *name, const void *text, size_t len,
              struct doc_node **out, struct problems *problems)
{
    struct build b = {.arena = arena, .problems = problems, .text = text, .len = len};
    yaml_parser_t parser;
    int rc;

    b.file = arena_strdup(arena, name);
    if (!b.file) {
        b.file = name;
        return no_memory(&b);
    }
    rc = text_check(&b);
    if (rc < 0)
        return rc;
    if (!yaml_parser_initialize(&parser))
        return no_memory(&b);
    yaml_parser_set_encoding(&parser, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&parser, text, len);

    rc = events_run(&b, &parser);
    if (rc == 0)
        rc = root_check(&b);

    yaml_parser_delete(&parser);
    for (size_t i = 0; i < DOC_DEPTH_MAX; i++)
        free(b.frames[i].members);
    if (rc == -ENOMEM)
        return no_memory(&b);
    if (rc == 0)
        *out = b.root;
    return rc;
}

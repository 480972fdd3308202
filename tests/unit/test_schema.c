/* common/schema: a file through a table that covers every type and shape. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <net/if.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/schema.h"
#include "common/value.h"
#include "common/yaml.h"

#define KEY "hSDwCYkwp1R0i33ctD73Wg2/Og0mOBr066SpjqqbTmo="

/* A struct and a table with every type and shape. */
struct child {
    char name[65];
    uint16_t size;
    const char *user;
};

struct item {
    struct ip_prefix network;
    struct value_mark mark;
    struct value_span uids;
};

struct sample {
    bool flag;
    uint16_t small;
    uint32_t large, lanes, seconds, color;
    const char *text, *path, *file, *endpoint, *realm;
    uint8_t key[32];
    char device[IFNAMSIZ];
    struct ip_addr addr;
    struct ip_prefix *routes;
    size_t n_routes;
    struct ip_endpoint *listen;
    size_t n_listen;
    uint32_t *numbers;
    size_t n_numbers;
    const char **words;
    size_t n_words;
    struct ip_prefix *word;
    size_t n_word;
    struct item *items;
    size_t n_items;
    struct child *children;
    size_t n_children;
};

static const char *const colors[] = {"red", "green", "blue", NULL};

static const struct schema_field child_fields[] = {
    {.key = "size", .type = SCHEMA_UINT, SCHEMA_AT(child, size), .min = 1, .max = 9, .preset = "3"},
    {.key = "user",
     .type = SCHEMA_USER,
     SCHEMA_AT(child, user),
     .required = true,
     .mend = "name it"},
};
static const struct schema_table child_table = {
    .fields = child_fields,
    .n = ARRAY_SIZE(child_fields),
    .entry_size = sizeof(struct child),
    .name_type = SCHEMA_NAME,
    .name_offset = offsetof(struct child, name),
    .name_size = 65,
};
static const struct schema_field item_fields[] = {
    {.key = "network",
     .type = SCHEMA_NETWORK,
     SCHEMA_AT(item, network),
     .required = true,
     .mend = "write it"},
    {.key = "mark", .type = SCHEMA_MARK, SCHEMA_AT(item, mark)},
    {.key = "uids", .type = SCHEMA_UIDS, SCHEMA_AT(item, uids)},
};
static const struct schema_table item_table = {
    .fields = item_fields,
    .n = ARRAY_SIZE(item_fields),
    .entry_size = sizeof(struct item),
};
static const struct schema_field group_fields[] = {
    {.key = "flag", .type = SCHEMA_BOOL, SCHEMA_AT(sample, flag), .preset = "true"},
    {.key = "small", .type = SCHEMA_UINT, SCHEMA_AT(sample, small), .max = 65535},
    {.key = "large", .type = SCHEMA_UINT, SCHEMA_AT(sample, large), .max = UINT32_MAX},
    {.key = "lanes",
     .type = SCHEMA_UINT,
     SCHEMA_AT(sample, lanes),
     .min = 1,
     .max = 9,
     .word = "auto",
     .preset = "auto"},
};
static const struct schema_table group_table = {.fields = group_fields,
                                                .n = ARRAY_SIZE(group_fields)};
static const struct schema_field sample_fields[] = {
    {.key = "group", .type = SCHEMA_TABLE, .table = &group_table},
    {.key = "seconds",
     .type = SCHEMA_DURATION,
     SCHEMA_AT(sample, seconds),
     .max = 86400,
     .preset = "5m"},
    {.key = "color",
     .type = SCHEMA_ENUM,
     SCHEMA_AT(sample, color),
     .names = colors,
     .preset = "blue"},
    {.key = "text", .type = SCHEMA_TEXT, SCHEMA_AT(sample, text), .max = 8},
    {.key = "path", .type = SCHEMA_PATH, SCHEMA_AT(sample, path)},
    {.key = "file", .type = SCHEMA_FILE, SCHEMA_AT(sample, file)},
    {.key = "endpoint", .type = SCHEMA_ENDPOINT, SCHEMA_AT(sample, endpoint)},
    {.key = "realm", .type = SCHEMA_REALM, SCHEMA_AT(sample, realm)},
    {.key = "key", .type = SCHEMA_KEY, SCHEMA_AT(sample, key)},
    {.key = "device", .type = SCHEMA_DEVICE, SCHEMA_AT(sample, device)},
    {.key = "addr", .type = SCHEMA_ADDR, SCHEMA_AT(sample, addr)},
    {.key = "routes",
     .type = SCHEMA_ROUTE,
     .shape = SCHEMA_LIST,
     SCHEMA_AT_N(sample, routes, n_routes),
     .max_items = 3},
    {.key = "listen",
     .type = SCHEMA_LISTEN,
     .shape = SCHEMA_LIST,
     SCHEMA_AT_N(sample, listen, n_listen),
     .max_items = 3,
     .preset = "7"},
    {.key = "numbers",
     .type = SCHEMA_UINT,
     .shape = SCHEMA_LIST,
     SCHEMA_AT_N(sample, numbers, n_numbers),
     .max = 99,
     .max_items = 5,
     .preset = "42"},
    {.key = "words",
     .type = SCHEMA_TEXT,
     .shape = SCHEMA_LIST,
     SCHEMA_AT_N(sample, words, n_words),
     .max_items = 5},
    {.key = "word", .type = SCHEMA_ROUTE, .shape = SCHEMA_WORD, SCHEMA_AT_N(sample, word, n_word)},
    {.key = "items",
     .type = SCHEMA_TABLE,
     .shape = SCHEMA_ITEMS,
     SCHEMA_AT_N(sample, items, n_items),
     .max_items = 3,
     .table = &item_table},
    {.key = "old", .type = SCHEMA_IGNORED, .mend = "is ignored"},
    {.key = "children",
     .type = SCHEMA_TABLE,
     .shape = SCHEMA_MAP,
     SCHEMA_AT_N(sample, children, n_children),
     .max_items = 3,
     .table = &child_table},
};
static const struct schema_table sample_table = {.fields = sample_fields,
                                                 .n = ARRAY_SIZE(sample_fields)};

struct reading {
    struct arena *arena;
    struct problems problems;
    struct sample out;
};

static void reading_start(struct reading *r, const char *text)
{
    struct arena *tree = arena_new(1 << 20);
    struct doc_node *root;

    *r = (struct reading){.arena = arena_new(1 << 20)};
    assert_non_null(tree);
    assert_non_null(r->arena);
    assert_int_equal(doc_parse(tree, "f", text, strlen(text), &root, &r->problems), 0);
    assert_int_equal(schema_read(&sample_table, root, r->arena, &r->out, &r->problems), 0);
    /* Nothing of the result may lie in the tree; a sanitizer run would find it. */
    arena_free(tree);
    problems_sort(&r->problems);
}

static void reading_end(struct reading *r)
{
    problems_clear(&r->problems);
    arena_free(r->arena);
}

static void test_defaults(void **state)
{
    static const struct sample zero;
    struct reading r;

    (void)state;
    reading_start(&r, "");
    assert_int_equal(r.problems.n, 0);
    assert_true(r.out.flag);
    assert_int_equal(r.out.lanes, 0);
    assert_int_equal(r.out.seconds, 300);
    assert_int_equal(r.out.color, 2);
    assert_null(r.out.text);
    assert_int_equal(r.out.n_listen, 2);
    assert_int_equal(r.out.listen[1].port, 7);
    assert_int_equal(r.out.n_numbers, 1);
    assert_int_equal(r.out.numbers[0], 42);
    assert_int_equal(r.out.n_children, 0);
    assert_memory_equal(r.out.key, zero.key, 32);
    reading_end(&r);
}

static void test_values(void **state)
{
    struct reading r;

    (void)state;
    reading_start(&r, "group: {flag: FALSE, small: 65535, large: 4294967295, lanes: 9}\n"
                      "seconds: 1d\ncolor: green\ntext: \"12345678\"\npath: /p\nfile: f\n"
                      "endpoint: a.b:1\nrealm: r-0123456789abcdef\nkey: " KEY "\ndevice: tun7\n"
                      "addr: fd08::1\nroutes: [10.1.2.3/8, default]\nlisten: [\"10.0.0.1:5\"]\n"
                      "numbers: [1, 2, 3]\nwords: [one, 2]\nold: {whatever: [1]}\n"
                      "children: {zoe: {user: z, size: 9}, adam: {user: a}}\n"
                      "word: default\n"
                      "items:\n  - {network: 10.1.2.3/8, uids: 7, mark: 0x1/0x3}\n"
                      "  - network: fd08::1/64\n");
    assert_int_equal(r.problems.n_errors, 0);
    assert_int_equal(r.problems.n, 1);
    assert_string_equal(r.problems.items[0].text, "f:16:6: old: is ignored");
    assert_false(r.out.flag);
    assert_int_equal(r.out.small, 65535);
    assert_int_equal(r.out.large, UINT32_MAX);
    assert_int_equal(r.out.lanes, 9);
    assert_int_equal(r.out.seconds, 86400);
    assert_int_equal(r.out.color, 1);
    assert_string_equal(r.out.text, "12345678");
    assert_string_equal(r.out.path, "/p");
    assert_string_equal(r.out.file, "f");
    assert_string_equal(r.out.endpoint, "a.b:1");
    assert_string_equal(r.out.realm, "r-0123456789abcdef");
    assert_int_equal(r.out.key[0], 0x85);
    assert_string_equal(r.out.device, "tun7");
    assert_int_equal(r.out.addr.family, 6);
    /* Host bits are cleared; "default" is two routes. */
    assert_int_equal(r.out.n_routes, 3);
    assert_int_equal(r.out.routes[0].addr.bytes[1], 0);
    assert_int_equal(r.out.routes[1].addr.family, 4);
    assert_int_equal(r.out.routes[2].addr.family, 6);
    assert_int_equal(r.out.routes[2].len, 0);
    assert_int_equal(r.out.n_listen, 1);
    assert_int_equal(r.out.n_numbers, 3);
    assert_int_equal(r.out.numbers[2], 3);
    assert_string_equal(r.out.words[1], "2");
    assert_int_equal(r.out.n_children, 2);
    assert_string_equal(r.out.children[0].name, "adam");
    assert_int_equal(r.out.children[0].size, 3);
    assert_string_equal(r.out.children[1].user, "z");
    assert_int_equal(r.out.children[1].size, 9);
    assert_int_equal(r.out.n_word, 2);
    assert_int_equal(r.out.word[1].addr.family, 6);
    assert_int_equal(r.out.n_items, 2);
    assert_int_equal(r.out.items[0].network.addr.bytes[1], 0);
    assert_int_equal(r.out.items[0].uids.last, 7);
    assert_int_equal(r.out.items[0].mark.mask, 3);
    assert_int_equal(r.out.items[1].network.len, 64);
    assert_int_equal(r.out.items[1].mark.mask, 0);
    reading_end(&r);
}

static void test_errors(void **state)
{
    static const char *const expected[] = {
        "f:1:15: group.flag: is text because of its quotes (remove the quotes)",
        "f:2:8: color: no such choice as \"gren\" (did you mean \"green\"?)",
        "f:3:7: text: is longer than 8 bytes (shorten it)",
        "f:4:9: routes: has 4 items (at most 3 are allowed)",
        "f:5:14: numbers[1]: \"x\" is not a number from 0 to 99 (write one of them)",
        "f:6:11: children: has 4 entries (at most 3 are allowed)",
        "f:7:1: seconts: unknown key (did you mean \"seconds\"?)",
        "f:8:1: nothing-like-it: unknown key (check the spelling and the indentation)",
        "f:9:7: addr: has no value (write one, or remove the key)",
        "f:10:9: items[0].network: is missing (write it)",
        "f:10:13: items[1]: must be a map of keys (write \"key: value\" lines below it)",
    };
    struct reading r;

    (void)state;
    reading_start(&r, "group: {flag: \"true\"}\ncolor: gren\ntext: 123456789\n"
                      "routes: [a, b, c, d]\nnumbers: [1, x, 3]\nchildren: {a: , b: , c: , d: }\n"
                      "seconts: 5s\nnothing-like-it: 1\naddr: ~\n"
                      "items: [{}, 7]\n");
    assert_int_equal(r.problems.n, ARRAY_SIZE(expected));
    for (size_t i = 0; i < ARRAY_SIZE(expected); i++)
        assert_string_equal(r.problems.items[i].text, expected[i]);
    /* What is in error is zero, what is right is there. */
    assert_int_equal(r.out.n_numbers, 2);
    assert_int_equal(r.out.numbers[1], 3);
    assert_null(r.out.text);
    reading_end(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_defaults),
        cmocka_unit_test(test_values),
        cmocka_unit_test(test_errors),
    };

    return cmocka_run_group_tests_name("schema", tests, NULL, NULL);
}

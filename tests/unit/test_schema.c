/* Words to values, and a table that covers every type and shape. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <net/if.h>
#include <sodium.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/schema.h"
#include "common/value.h"
#include "common/yaml.h"

#define KEY "hSDwCYkwp1R0i33ctD73Wg2/Og0mOBr066SpjqqbTmo="

static void test_numbers(void **state)
{
    static const char *const bad[] = {"",    "-1",  "+5", "05",         "5 ",
                                      "0x5", "5.0", "11", "4294967296", "99999999999999999999",
                                      "five"};
    uint32_t n = 77;
    bool b = false;

    (void)state;
    assert_int_equal(value_uint("0", 0, 10, &n, NULL), 0);
    assert_int_equal(n, 0);
    assert_int_equal(value_uint("4294967295", 0, UINT32_MAX, &n, NULL), 0);
    assert_int_equal(n, UINT32_MAX);
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
        assert_int_equal(value_uint(bad[i], 1, 10, &n, NULL), -EINVAL);
    assert_int_equal(n, UINT32_MAX);

    assert_int_equal(value_bool("True", &b, NULL), 0);
    assert_true(b);
    assert_int_equal(value_bool("false", &b, NULL), 0);
    assert_false(b);
    assert_int_equal(value_bool("yes", &b, NULL), -EINVAL);
    assert_int_equal(value_bool("tRUE", &b, NULL), -EINVAL);
}

static void test_durations(void **state)
{
    static const struct {
        const char *text;
        uint32_t seconds;
    } good[] = {{"30s", 30}, {"5m", 300}, {"1h", 3600}, {"2d", 172800}, {"90m", 5400}};
    static const char *const bad[] = {"",    "s",  "30", "1w",  "1.5h", "1h30m",
                                      "-1s", "0s", "4d", " 1h", "01h",  "4294967295d"};
    struct err err;
    uint32_t n;
    char buf[16];

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
        assert_int_equal(value_duration(good[i].text, 1, 3 * 86400, &n, NULL), 0);
        assert_int_equal(n, good[i].seconds);
    }
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
        assert_int_equal(value_duration(bad[i], 1, 3 * 86400, &n, NULL), -EINVAL);
    value_duration("30", 1, 86400, &n, &err);
    assert_string_equal(err.msg, "\"30\" has no unit (write 30s, or use m, h, d)");
    assert_string_equal(value_duration_format(0, buf), "0s");
    assert_string_equal(value_duration_format(90, buf), "90s");
    assert_string_equal(value_duration_format(7200, buf), "2h");
    assert_string_equal(value_duration_format(UINT32_MAX, buf), "4294967295s");
}

static void test_dates(void **state)
{
    static const struct {
        const char *text;
        uint64_t end; /* date -u -d "TEXT + 1 day" +%s */
    } good[] = {{"1970-01-01", 86400},      {"2000-02-29", 951868800},   {"2024-02-29", 1709251200},
                {"2026-12-31", 1798761600}, {"2027-01-31", 1801440000},  {"2100-02-28", 4107542400},
                {"2100-03-01", 4107628800}, {"9999-12-31", 253402300800}};
    static const char *const bad[] = {"",           "2027",       "2027-1-31",  "2027-02-29",
                                      "2100-02-29", "2027-13-01", "2027-00-10", "2027-04-31",
                                      "2027-01-00", "1969-12-31", "2027/01/31", " 2027-01-31",
                                      "2027-01-3x", "+027-01-31", "2027-01-31 "};
    uint64_t end = 7;

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
        assert_int_equal(value_date(good[i].text, &end, NULL), 0);
        assert_int_equal(end, good[i].end);
    }
    end = 7;
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
        assert_int_equal(value_date(bad[i], &end, NULL), -EINVAL);
    assert_int_equal(end, 7);
}

static void test_marks_and_uids(void **state)
{
    static const struct {
        const char *text;
        uint32_t value, mask;
    } good[] = {{"7", 7, UINT32_MAX},
                {"0x1/0xff", 1, 0xff},
                {"0xdeadBEEF", 0xdeadbeef, UINT32_MAX},
                {"1/3", 1, 3},
                {"0/0x1", 0, 1},
                {"0xffffffff/0xffffffff", UINT32_MAX, UINT32_MAX}};
    static const char *const bad[] = {"",    "0x",  "0xg",   "0x123456789", "1/",        "/1",
                                      "1/0", "2/1", "1/2/3", "0X1",         "-1",        "07",
                                      " 7",  "7 ",  "x",     "1/0x",        "4294967296"};
    static const char *const bad_uids[] = {"",    "-",          "5-", "-5",           "6-5",
                                           "0x5", "4294967295", "a",  "5-4294967295", "1-2-3"};
    struct value_mark mark;
    struct value_span uids = {1, 2};

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
        assert_int_equal(value_mark(good[i].text, &mark, NULL), 0);
        assert_int_equal(mark.value, good[i].value);
        assert_int_equal(mark.mask, good[i].mask);
    }
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
        assert_int_equal(value_mark(bad[i], &mark, NULL), -EINVAL);
    for (size_t i = 0; i < ARRAY_SIZE(bad_uids); i++)
        assert_int_equal(value_uids(bad_uids[i], &uids, NULL), -EINVAL);
    assert_int_equal(uids.last, 2);
    assert_int_equal(value_uids("0-4294967294", &uids, NULL), 0);
    assert_int_equal(uids.first, 0);
    assert_int_equal(uids.last, UINT32_MAX - 1);
    assert_int_equal(value_uids("1101", &uids, NULL), 0);
    assert_int_equal(uids.last, 1101);
}

static void test_names(void **state)
{
    static const char *const devices[] = {"tun0", "a", "fifteen-letters", "eth0.5", "\xc3\xa4"};
    static const char *const bad_devices[] = {
        "", "sixteen-letters.", "a/b", "a b", "a:b", "tun%d", ".", "..", "a\tb", "\x7f"};
    char out[IFNAMSIZ];

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(devices) - 1; i++) {
        assert_int_equal(value_device(devices[i], out, NULL), 0);
        assert_string_equal(out, devices[i]);
    }
    assert_int_equal(value_device(devices[4], out, NULL), -EINVAL);
    for (size_t i = 0; i < ARRAY_SIZE(bad_devices); i++)
        assert_int_equal(value_device(bad_devices[i], out, NULL), -EINVAL);

    assert_int_equal(value_name("office-1.x_Y", NULL), 0);
    assert_int_equal(value_name(".hidden", NULL), -EINVAL);
    assert_int_equal(value_name("a/b", NULL), -EINVAL);
    assert_int_equal(value_name("", NULL), -EINVAL);
    assert_int_equal(value_path("/a/b", true, 4, NULL), 0);
    assert_int_equal(value_path("/a/b", true, 3, NULL), -EINVAL);
    assert_int_equal(value_path("a/b", true, 100, NULL), -EINVAL);
    assert_int_equal(value_path("a/b", false, 100, NULL), 0);
    assert_int_equal(value_path("/", true, 100, NULL), 0);
    assert_int_equal(value_path("/a/", true, 100, NULL), -EINVAL);
    assert_int_equal(value_path("/a\nb", true, 100, NULL), -EINVAL);
    assert_int_equal(value_path("", false, 100, NULL), -EINVAL);
}

static void test_endpoints(void **state)
{
    static const struct {
        const char *text, *host;
        uint16_t port;
    } good[] = {
        {"vpn.example.org:51820", "vpn.example.org", 51820},
        {"localhost:1", "localhost", 1},
        {"10.0.0.1:65535", "10.0.0.1", 65535},
        {"[fd08::1]:51820", "fd08::1", 51820},
        {"4you.example:5", "4you.example", 5},
    };
    static const char *const bad[] = {"vpn.example.org",
                                      "vpn.example.org:",
                                      "vpn.example.org:0",
                                      "vpn.example.org:65536",
                                      ":51820",
                                      "fd08::1",
                                      "fd08::1:51820",
                                      "[fd08::1]",
                                      "[10.0.0.1]:5",
                                      "[vpn.example.org]:5",
                                      "a..b:5",
                                      "-a.b:5",
                                      "a-.b:5",
                                      "10.8.0.300:5",
                                      "1234:5",
                                      "a b:5",
                                      "a.:5",
                                      "a:05",
                                      "[]:5",
                                      "a/b:5"};
    char host[VALUE_HOST_MAX + 1], label[80];
    uint16_t port;

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
        assert_int_equal(value_endpoint(good[i].text, host, &port, NULL), 0);
        assert_string_equal(host, good[i].host);
        assert_int_equal(port, good[i].port);
    }
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        if (value_endpoint(bad[i], host, &port, NULL) != -EINVAL)
            fail_msg("%s was accepted", bad[i]);
    }
    memset(label, 'a', sizeof(label));
    memcpy(label + 63, ".b:5", 5);
    assert_int_equal(value_endpoint(label, NULL, NULL, NULL), 0);
    memcpy(label + 63, "a.b:5", 6);
    assert_int_equal(value_endpoint(label, NULL, NULL, NULL), -EINVAL);
}

static void test_ranges(void **state)
{
    static const char *const bad[] = {"10.8.0.1",          "10.8.0.1-",
                                      "-10.8.0.1",         "10.8.0.1 - 10.8.0.2",
                                      "10.8.0.2-10.8.0.1", "10.8.0.1-fd08::1",
                                      "10.8.0.0/24",       ""};
    struct ip_endpoint ep;
    struct ip_prefix prefix;
    struct ip_range range;

    (void)state;
    assert_int_equal(value_range("fd08::10-fd08::ffff", &range, NULL), 0);
    assert_int_equal(range.last.bytes[14], 0xff);
    assert_int_equal(value_range("10.8.0.1-10.8.0.1", &range, NULL), 0);
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
        assert_int_equal(value_range(bad[i], &range, NULL), -EINVAL);
    assert_int_equal(value_prefix("10.8.0.1/24", &prefix, NULL), 0);
    assert_int_equal(prefix.addr.bytes[3], 1);
    assert_int_equal(value_prefix("10.8.0.1", &prefix, NULL), -EINVAL);
    assert_int_equal(value_listen("[::]:51820", &ep, NULL), 0);
    assert_int_equal(ep.addr.family, 6);
    assert_int_equal(value_listen("::51820", &ep, NULL), -EINVAL);
    assert_int_equal(value_listen("localhost:51820", &ep, NULL), -EINVAL);
    assert_int_equal(value_listen("[fe80::1]:51820", &ep, NULL), -EINVAL);
    assert_int_equal(value_listen("255.255.255.255:1", &ep, NULL), -EINVAL);
}

/* libsodium is the judge: what its X25519 refuses as a peer, the configuration refuses too. */
static void test_low_order_keys(void **state)
{
    static const char *const low[] = {
        "0000000000000000000000000000000000000000000000000000000000000000",
        "0100000000000000000000000000000000000000000000000000000000000000",
        "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
        "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
    };
    static const uint8_t scalar[32] = {8, 1, 2, 3, 4};
    uint8_t point[32], shared[32], out[32];

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(low); i++) {
        assert_int_equal(sodium_hex2bin(point, 32, low[i], 64, NULL, NULL, NULL), 0);
        assert_int_equal(crypto_scalarmult(shared, scalar, point), -1);
        assert_int_equal(value_key(low[i], out, NULL), -EINVAL);
    }
    assert_int_equal(value_key(KEY, out, NULL), 0);
    assert_int_equal(crypto_scalarmult(shared, scalar, out), 0);
    assert_int_equal(value_key("abc", out, NULL), -EINVAL);
}

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
        cmocka_unit_test(test_numbers),  cmocka_unit_test(test_durations),
        cmocka_unit_test(test_dates),    cmocka_unit_test(test_marks_and_uids),
        cmocka_unit_test(test_names),    cmocka_unit_test(test_endpoints),
        cmocka_unit_test(test_ranges),   cmocka_unit_test(test_low_order_keys),
        cmocka_unit_test(test_defaults), cmocka_unit_test(test_values),
        cmocka_unit_test(test_errors),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* The server's configuration: the bad files with their exact messages, defaults, the whole, size.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <glob.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "common/cred.h"
#include "daemon/config.h"

#define BAD_FILES_MIN 40 /* fewer would mean that the folder was not found */
#define MANY          10000

#define KEY_A "4f3e1d5c2b9a78695f4e3d2c1b0a99887766554433221100ffeeddccbbaa9901"
#define KEY_B "4f3e1d5c2b9a78695f4e3d2c1b0a99887766554433221100ffeeddccbbaa9902"
#define REALM "server: {realm: home-3f9c81d2a47be650}\n"

static char *file_text(const char *path)
{
    FILE *in = fopen(path, "r");
    char *text = calloc(1, 65536);

    assert_non_null(text);
    if (!in)
        fail_msg("%s is missing", path);
    else {
        assert_true(fread(text, 1, 65535, in) > 0);
        fclose(in);
    }
    return text;
}

static char *problems_text(const struct problems *problems)
{
    char *text = NULL;
    size_t size;
    FILE *out = open_memstream(&text, &size);

    assert_non_null(out);
    problems_print(problems, out);
    fclose(out);
    return text;
}

/* Each bad/NAME.yaml gives exactly the lines of bad/NAME.expect.  client-* are test_profile's. */
static void test_bad_files(void **state)
{
    size_t files = 0;
    glob_t found;

    (void)state;
    assert_int_equal(chdir("tests/unit/bad"), 0);
    assert_int_equal(glob("*.yaml", 0, NULL, &found), 0);
    for (size_t i = 0; i < found.gl_pathc; i++) {
        const char *path = found.gl_pathv[i];
        struct problems problems = {0};
        struct config *config = NULL;
        char expect[256];
        char *want, *got;

        if (strncmp(path, "client-", 7) == 0)
            continue;
        files++;
        if (config_load(path, &config, &problems) != -EINVAL || config)
            fail_msg("%s was accepted", path);
        assert_true(problems.n_errors > 0);
        snprintf(expect, sizeof(expect), "%.*s.expect", (int)strlen(path) - 5, path);
        want = file_text(expect);
        got = problems_text(&problems);
        if (strcmp(got, want) != 0)
            fail_msg("%s\n--- said ---\n%s--- expected ---\n%s", path, got, want);
        free(got);
        free(want);
        problems_clear(&problems);
    }
    globfree(&found);
    assert_int_equal(chdir("../../.."), 0);
    assert_true(files >= BAD_FILES_MIN);
}

static struct config *parse(const char *text)
{
    struct problems problems = {0};
    struct config *config = NULL;

    if (config_parse("vpn.yaml", text, strlen(text), &config, &problems) != 0)
        fail_msg("refused: %s", problems.n ? problems.items[0].text : "without a word");
    problems_clear(&problems);
    return config;
}

static void assert_addr(const struct ip_addr *addr, const char *text)
{
    char buf[IP_ADDR_STRLEN];

    assert_string_equal(ip_addr_format(addr, buf), text);
}

static void assert_pool(const struct config *config, size_t i, const char *first, const char *last)
{
    assert_true(i < config->n_pool);
    assert_addr(&config->pool[i].first, first);
    assert_addr(&config->pool[i].last, last);
}

static void test_defaults(void **state)
{
    struct config *config = parse(REALM);

    (void)state;
    assert_int_equal(config->n_listen, 2);
    assert_addr(&config->listen[0].addr, "0.0.0.0");
    assert_addr(&config->listen[1].addr, "::");
    assert_int_equal(config->listen[0].port, 51820);
    assert_int_equal(config->listen[1].port, 51820);
    assert_null(config->endpoint);
    assert_string_equal(config->identity, "/etc/vpn/identity.key");
    assert_string_equal(config->realm, "home-3f9c81d2a47be650");
    assert_int_equal(config->max_clients, 200);
    assert_int_equal(config->session_timeout_s, 3600);
    assert_int_equal(config->workers, 0);
    assert_string_equal(config->device, "tun0");
    assert_int_equal(config->n_addresses, 1);
    assert_addr(&config->addresses[0].addr, "10.8.0.1");
    assert_int_equal(config->addresses[0].len, 24);
    assert_int_equal(config->mtu, 1400);
    assert_int_equal(config->n_pool, 1);
    assert_pool(config, 0, "10.8.0.10", "10.8.0.254");
    assert_int_equal(config->dns4.family, 0);
    assert_int_equal(config->dns6.family, 0);
    assert_false(config->client_to_client);
    assert_int_equal(config->n_users, 0);
    assert_null(config_user_find(config, "alice"));
    assert_int_equal(config->log_level, LOG_LEVEL_INFO);
    assert_null(config->log_file);
    assert_string_equal(config->control_socket, "/run/vpn/vpn.sock");
    assert_string_equal(config->control_group, "vpn");
    assert_string_equal(config->state, "/var/lib/vpn");
    assert_int_equal(config->n_routes + config->n_rules + config->n_masquerade, 0);
    assert_false(config->forwarding);
    assert_int_equal(config->reconcile_interval_s, 60);
    assert_int_equal(config->drift, CONFIG_DRIFT_REPAIR);
    assert_int_equal(config->on_invalid, CONFIG_INVALID_LAST_GOOD);
    assert_non_null(config_prefix(config, 4));
    assert_null(config_prefix(config, 6));
    config_free(config);
    config_free(NULL);
}

static void assert_routing(const struct config *config)
{
    const struct config_route *route = config->routes;
    const struct config_rule *rule = config->rules;

    assert_int_equal(config->n_routes, 3);
    assert_int_equal(route[0].n_to, 2);
    assert_int_equal(route[0].to[1].addr.family, 6);
    assert_string_equal(route[0].device, "tun101");
    assert_int_equal(route[0].table, 101);
    /* A gateway says which of the two families is meant. */
    assert_int_equal(route[1].n_to, 1);
    assert_int_equal(route[1].to[0].addr.family, 6);
    assert_int_equal(route[1].table, CONFIG_TABLE_MAIN);
    assert_int_equal(route[1].metric, 50);
    assert_addr(&route[1].via, "fd00::7");
    assert_addr(&route[2].to[0].addr, "10.66.0.0");
    assert_int_equal(route[2].type, CONFIG_ROUTE_BLACKHOLE);
    assert_int_equal(route[2].table, CONFIG_TABLE_MAIN);

    assert_int_equal(config->n_rules, 3);
    assert_int_equal(rule[0].priority, 10101);
    assert_true(rule[0].ip4 && rule[0].ip6 && rule[0].has_uids && !rule[0].has_suppress);
    assert_int_equal(rule[0].uids.first, 1101);
    assert_int_equal(rule[0].uids.last, 1101);
    assert_int_equal(rule[0].mark.mask, 0);
    assert_true(rule[1].ip4 && !rule[1].ip6 && !rule[1].has_uids);
    assert_addr(&rule[1].from.addr, "10.8.0.0");
    assert_string_equal(rule[1].iif, "vpn0");
    assert_string_equal(rule[1].oif, "eth0");
    assert_int_equal(rule[1].mark.value, 1);
    assert_int_equal(rule[1].mark.mask, 255);
    assert_true(!rule[2].ip4 && rule[2].ip6 && rule[2].has_suppress);
    assert_int_equal(rule[2].suppress_prefixlen, 0);
    assert_int_equal(rule[2].uids.last, 9);
    assert_int_equal(rule[2].mark.mask, UINT32_MAX);
    assert_int_equal(rule[2].table, CONFIG_TABLE_MAIN);

    assert_true(config->forwarding);
    assert_int_equal(config->n_masquerade, 1);
    assert_string_equal(config->masquerade[0].device, "eth0");
    assert_int_equal(config->reconcile_interval_s, 300);
    assert_int_equal(config->drift, CONFIG_DRIFT_REPORT);
    assert_int_equal(config->on_invalid, CONFIG_INVALID_REFUSE);
}

static void test_whole(void **state)
{
    static const char text[] =
        "version: 1\n"
        "server:\n"
        "  listen: [\"10.0.0.1:5\", \"[fd00::1]:6\"]\n"
        "  endpoint: vpn.example.org:51820\n"
        "  identity: /i\n"
        "  realm: home-3f9c81d2a47be650\n"
        "  max-clients: 65535\n"
        "  session-timeout: 2d\n"
        "  workers: 4\n"
        "tunnel:\n"
        "  device: vpn0\n"
        "  addresses: [\"fd08::1/64\", 10.8.0.1/24]\n"
        "  mtu: 1920\n"
        "  pool: [\"fd08::10-fd08::ffff\", 10.8.0.200-10.8.0.254, 10.8.0.10-10.8.0.199]\n"
        "  dns: [\"fd08::1\", 10.8.0.1]\n"
        "  client-to-client: true\n"
        "users:\n"
        "  zoe:\n"
        "    key: \"hSDwCYkwp1R0i33ctD73Wg2/Og0mOBr066SpjqqbTmo=\"\n"
        "  adam:\n"
        "    key: \"3p7bfXt9wbTTW2HC7OQ1Nz+DQ8hbeGdNrfx+FG+IK08=\"\n"
        "    address: [10.8.0.10, \"fd08::5\"]\n"
        "    max-devices: 7\n"
        "    enabled: false\n"
        "routes:\n"
        "  - {to: default, device: tun101, table: 101}\n"
        "  - {to: default, via: \"fd00::7\", metric: 50, table: main}\n"
        "  - {to: 10.66.1.2/16, type: blackhole}\n"
        "rules:\n"
        "  - {priority: 10101, uids: 1101, table: 101}\n"
        "  - {priority: 200, from: 10.8.0.9/24, iif: vpn0, oif: eth0, mark: 0x1/0xff, table: "
        "200}\n"
        "  - {priority: 300, uids: 5-9, family: ipv6, mark: 0xF, suppress-prefixlength: 0, table: "
        "main}\n"
        "forwarding: true\n"
        "masquerade: [{from: 10.8.0.0/24, device: eth0}]\n"
        "reconcile: {interval: 5m, drift: report}\n"
        "on-invalid: refuse\n"
        "log: {level: debug, file: /l}\n"
        "control: {socket: /c, group: wheel}\n"
        "state: /s\n";
    struct config *config = parse(text);
    const struct config_user *user;

    (void)state;
    assert_int_equal(config->listen[1].port, 6);
    assert_string_equal(config->endpoint, "vpn.example.org:51820");
    assert_int_equal(config->max_clients, 65535);
    assert_int_equal(config->session_timeout_s, 172800);
    assert_int_equal(config->workers, 4);
    assert_string_equal(config->device, "vpn0");
    assert_addr(&config_prefix(config, 6)->addr, "fd08::1");
    assert_int_equal(config_prefix(config, 6)->len, 64);
    assert_int_equal(config->mtu, 1920);
    /* Sorted, whatever the order of the file. */
    assert_int_equal(config->n_pool, 3);
    assert_pool(config, 0, "10.8.0.10", "10.8.0.199");
    assert_pool(config, 1, "10.8.0.200", "10.8.0.254");
    assert_pool(config, 2, "fd08::10", "fd08::ffff");
    assert_addr(&config->dns4, "10.8.0.1");
    assert_addr(&config->dns6, "fd08::1");
    assert_true(config->client_to_client);
    assert_int_equal(config->n_users, 2);
    assert_string_equal(config->users[0].name, "adam");
    user = config_user_find(config, "adam");
    assert_ptr_equal(user, &config->users[0]);
    assert_int_equal(user->n_fixed, 2);
    assert_addr(&user->fixed[0], "10.8.0.10");
    assert_int_equal(user->max_devices, 7);
    assert_false(user->enabled);
    assert_string_equal(user->file, "vpn.yaml");
    assert_int_equal(user->line, 20);
    user = config_user_find(config, "zoe");
    assert_int_equal(user->key[0], 0x85);
    assert_int_equal(user->n_fixed, 0);
    assert_int_equal(user->max_devices, 2);
    assert_true(user->enabled);
    assert_int_equal(config->log_level, LOG_LEVEL_DEBUG);
    assert_string_equal(config->log_file, "/l");
    assert_string_equal(config->control_socket, "/c");
    assert_string_equal(config->control_group, "wheel");
    assert_string_equal(config->state, "/s");
    assert_routing(config);
    config_free(config);
}

/* The default pool leaves out what no client may have. */
static void test_default_pools(void **state)
{
    struct config *config = parse(REALM "tunnel: {addresses: [10.8.0.100/24, \"fd08::20/64\"]}\n");

    (void)state;
    assert_int_equal(config->n_pool, 4);
    assert_pool(config, 0, "10.8.0.10", "10.8.0.99");
    assert_pool(config, 1, "10.8.0.101", "10.8.0.254");
    assert_pool(config, 2, "fd08::10", "fd08::1f");
    assert_pool(config, 3, "fd08::21", "fd08::ffff");
    config_free(config);

    config = parse(REALM "tunnel: {addresses: [10.8.0.1/30, \"fd08::1/124\"]}\n");
    assert_int_equal(config->n_pool, 2);
    assert_pool(config, 0, "10.8.0.2", "10.8.0.2");
    assert_pool(config, 1, "fd08::2", "fd08::f");
    config_free(config);

    config = parse(REALM "tunnel: {addresses: [10.8.0.254/24, \"fd08::ffff/112\"]}\n");
    assert_int_equal(config->n_pool, 2);
    assert_pool(config, 0, "10.8.0.10", "10.8.0.253");
    assert_pool(config, 1, "fd08::10", "fd08::fffe");
    config_free(config);

    config = parse(REALM "tunnel: {pool: []}\n");
    assert_int_equal(config->n_pool, 0);
    config_free(config);
}

static void test_examples(void **state)
{
    struct problems problems = {0};
    struct config *config = NULL;

    (void)state;
    assert_int_equal(config_load("etc/vpn.yaml", &config, &problems), 0);
    assert_int_equal(problems.n, 0);
    assert_string_equal(config->state, "/var/lib/vpn");
    config_free(config);

    config = NULL;
    assert_int_equal(config_load("etc/no-such-file.yaml", &config, &problems), -ENOENT);
    assert_null(config);
    assert_int_equal(problems.n_errors, 1);
    problems_clear(&problems);
}

static void many_put(FILE *out, int n, int twin)
{
    fputs(REALM "tunnel: {addresses: [10.0.0.1/8]}\nusers:\n", out);
    for (int i = 0; i < n; i++) {
        uint8_t key[32] = {9};
        char text[CRED_KEY_TEXT_LEN + 1];
        int number = i == n - 1 && twin >= 0 ? twin : i;

        memcpy(key + 1, &number, sizeof(number));
        cred_key_encode(key, text);
        fprintf(out, "  user%d:\n    key: \"%s\"\n    address: [10.1.%d.%d]\n", i, text,
                number / 250, number % 250);
    }
}

/* A quadratic algorithm would need minutes for this; the bound is loose for slow machines. */
static void test_many_users(void **state)
{
    struct problems problems = {0};
    struct config *config = NULL;
    char *text = NULL;
    clock_t start;
    size_t size;
    FILE *out = open_memstream(&text, &size);

    (void)state;
    assert_non_null(out);
    many_put(out, MANY, -1);
    fclose(out);
    start = clock();
    assert_int_equal(config_parse("many", text, size, &config, &problems), 0);
    assert_true((clock() - start) / CLOCKS_PER_SEC < 10);
    assert_int_equal(config->n_users, MANY);
    assert_string_equal(config_user_find(config, "user1234")->name, "user1234");
    config_free(config);
    free(text);

    /* One pair of twins among them is found, both in key and in address. */
    config = NULL;
    text = NULL;
    out = open_memstream(&text, &size);
    assert_non_null(out);
    many_put(out, MANY, 77);
    fclose(out);
    assert_int_equal(config_parse("many", text, size, &config, &problems), -EINVAL);
    assert_null(config);
    assert_int_equal(problems.n_errors, 2);
    assert_non_null(strstr(problems.items[0].text, "users user77 and user9999 have the same key"));
    assert_non_null(strstr(problems.items[1].text, "10.1.0.77 belongs to user user77 already"));
    problems_clear(&problems);
    free(text);
}

static const struct config_class *class_of(const struct config *config, const char *user)
{
    const struct config_user *u = config_user_find(config, user);

    assert_non_null(u);
    return u->cls;
}

static void test_qos(void **state)
{
    static const char text[] = REALM "qos:\n"
                                     "  download: 50Mbps\n"
                                     "  upload: 2.5mbit\n"
                                     "  default-class: normal\n"
                                     "  leaf: bfifo\n"
                                     "  classes:\n"
                                     "    vip: {rate: 5mbit, ceil: 10mbit, priority: 1,\n"
                                     "          upload: {rate: 640kbit}, guaranteed: true}\n"
                                     "    normal: {rate: 1500kbit, shared: true}\n"
                                     "users:\n"
                                     "  alice: {key: \"" KEY_A "\", class: vip}\n"
                                     "  bob: {key: \"" KEY_B "\"}\n";
    struct problems problems = {0};
    const struct config_class *vip, *normal;
    struct config *config;

    (void)state;
    assert_int_equal(config_parse("qos.yaml", text, strlen(text), &config, &problems), 0);
    assert_int_equal(problems.n, 0);
    assert_true(config->qos.download == 50000000 && config->qos.upload == 2500000);
    assert_int_equal(config->qos.leaf, CONFIG_LEAF_BFIFO);
    vip = class_of(config, "alice");
    normal = class_of(config, "bob");
    assert_string_equal(vip->name, "vip");
    assert_true(vip->download.rate == 5000000 && vip->download.ceil == 10000000);
    assert_true(vip->upload.rate == 640000 && vip->upload.ceil == 640000);
    assert_true(vip->priority == 1 && vip->guaranteed && !vip->shared);
    assert_string_equal(normal->name, "normal");
    assert_true(normal->upload.rate == 1500000 && normal->upload.ceil == 1500000);
    assert_true(normal->priority == 4 && !normal->guaranteed && normal->shared);
    config_free(config);
    problems_clear(&problems);
}

/* More is promised than there is: said, but no error, because rates then scale. */
static void test_qos_scaled(void **state)
{
    static const char text[] = REALM "qos:\n"
                                     "  download: 8mbit\n"
                                     "  upload: 20mbit\n"
                                     "  classes: {vip: {rate: 5mbit}}\n"
                                     "users:\n"
                                     "  alice: {key: \"" KEY_A "\", class: vip}\n"
                                     "  bob: {key: \"" KEY_B "\", class: vip}\n";
    struct problems problems = {0};
    struct config *config;
    char *said;

    (void)state;
    assert_int_equal(config_parse("qos.yaml", text, strlen(text), &config, &problems), 0);
    said = problems_text(&problems);
    assert_non_null(strstr(said, "with everybody connected, 2 vip at 5mbit = 10mbit is more than "
                                 "qos.download, 8mbit"));
    free(said);
    config_free(config);
    problems_clear(&problems);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bad_files),  cmocka_unit_test(test_qos),
        cmocka_unit_test(test_qos_scaled), cmocka_unit_test(test_defaults),
        cmocka_unit_test(test_whole),      cmocka_unit_test(test_default_pools),
        cmocka_unit_test(test_examples),   cmocka_unit_test(test_many_users),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

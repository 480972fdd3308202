/* A configuration and who is connected, as kernel objects; and what two configurations differ in.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <sodium.h>
#include <stdio.h>
#include <string.h>

#include "common/cleanup.h"
#include "daemon/config_diff.h"
#include "daemon/config_keep.h"
#include "daemon/desired.h"
#include "netlink/noun.h"

#define HEAD  "server: {realm: home-3f9c81d2a47be650}\n"
#define KEY_A "hSDwCYkwp1R0i33ctD73Wg2/Og0mOBr066SpjqqbTmo="
#define KEY_B "3p7bfXt9wbTTW2HC7OQ1Nz+DQ8hbeGdNrfx+FG+IK08="

static struct config *config_of(const char *text)
{
    struct problems problems = {0};
    struct config *config = NULL;

    if (config_parse("vpn.yaml", text, strlen(text), &config, &problems) != 0)
        fail_msg("%s", problems.n ? problems.items[0].text : "refused");
    problems_clear(&problems);
    return config;
}

static const struct desired_support all = {
    .firewall = true, .fib = true, .forward4 = true, .forward6 = true};
static const struct desired_support none;

static struct net_set *set_of(const struct config *config, const struct desired_support *support,
                              const bool *connected)
{
    struct net_set *set = net_set_new();
    struct err err = {{0}};

    assert_int_equal(desired_config(config, support, set, &err), 0);
    if (connected)
        assert_int_equal(desired_sessions(config, connected, set, &err), 0);
    /* No two of one identity differ, whatever a valid file says. */
    if (net_set_sort(set, &err) < 0)
        fail_msg("%s", err.msg);
    return set;
}

static void assert_objects(const struct net_set *set, const char *const *want, size_t n)
{
    char text[NET_FORMAT_SIZE];

    for (size_t i = 0; i < n; i++)
        assert_string_equal(net_object_format(net_set_at(set, i), text), want[i]);
    assert_int_equal(net_set_count(set), n);
}

static void test_config(void **state)
{
    static const char *const want[] = {
        "link tun7 type tun mtu 1380 up addrgenmode none alias vpn-server",
        "setting ipv4/ip_forward = 1",
        "setting ipv6/conf/all/forwarding = 1",
        "address 10.8.0.1/24 dev tun7",
        "address fd08::1/64 dev tun7",
        "route default dev tun101 table 101 proto 86",
        "route default (IPv6) dev tun101 table 101 metric 1024 proto 86",
        "route 10.20.0.0/16 via 192.168.1.2 metric 50 proto 86",
        "route blackhole 10.66.0.0/16 proto 86",
        "rule 200: from 10.8.0.0/24 to 10.9.0.0/16 fwmark 0x1/0xff iif tun7 lookup 200 proto 86",
        "rule 10101: from all uidrange 1101-1101 lookup 101 proto 86",
        "rule 300: (IPv6) from all lookup main suppress_prefixlength 0 proto 86",
        "rule 10101: (IPv6) from all uidrange 1101-1101 lookup 101 proto 86",
    };
    struct config *config = config_of(
        HEAD "tunnel: {device: tun7, mtu: 1380, addresses: [10.8.0.1/24, \"fd08::1/64\"]}\n"
             "routes:\n"
             "  - {to: default, device: tun101, table: 101}\n"
             "  - {to: 10.20.0.0/16, via: 192.168.1.2, metric: 50}\n"
             "  - {to: 10.66.0.0/16, type: blackhole}\n"
             "rules:\n"
             "  - {priority: 10101, uids: 1101, table: 101}\n"
             "  - {priority: 200, from: 10.8.0.0/24, to: 10.9.0.0/16, iif: tun7, mark: 0x1/0xff, "
             "table: 200}\n"
             "  - {priority: 300, family: ipv6, table: main, suppress-prefixlength: 0}\n"
             "forwarding: true\n");
    struct desired_support support = all;
    struct net_set *set;

    (void)state;
    support.firewall = false;
    set = set_of(config, &support, NULL);
    assert_objects(set, want, ARRAY_SIZE(want));
    net_set_free(set);

    /* What the kernel cannot do is not wanted of it. */
    set = set_of(config, &none, NULL);
    assert_int_equal(net_set_count(set), ARRAY_SIZE(want) - 2);
    net_set_free(set);
    set = set_of(config, &all, NULL);
    assert_int_equal(net_set_count(set), ARRAY_SIZE(want) + 1);
    assert_int_equal(net_set_at(set, 1)->kind, NET_KIND_FIREWALL);
    net_set_free(set);
    config_free(config);
}

static void test_sessions(void **state)
{
    static const char *const want[] = {
        "link tun0 type tun mtu 1400 up addrgenmode none alias vpn-server",
        "address 10.8.0.1/24 dev tun0",
        "route 192.168.60.0/24 dev tun0 proto 86",
    };
    static const bool nobody[] = {false, false}, bob[] = {false, true};
    struct config *config =
        config_of(HEAD "users:\n"
                       "  ann: {key: \"" KEY_A "\", networks: [192.168.50.0/24]}\n"
                       "  bob: {key: \"" KEY_B "\", networks: [192.168.60.0/24]}\n");
    struct net_set *set = set_of(config, &none, nobody);

    (void)state;
    assert_objects(set, want, 2);
    net_set_free(set);
    set = set_of(config, &none, bob);
    assert_objects(set, want, 3);
    net_set_free(set);
    config_free(config);
}

/* What config_diff() says of two texts; "" for nothing. */
static void assert_diff(const char *before, const char *after, const char *const *want, size_t n)
{
    struct config *then = config_of(before), *now = config_of(after);
    struct user_change *users = NULL;
    char kept[CONFIG_KEEP_SIZE];
    size_t n_users = 0;
    json_t *lines;

    assert_int_equal(config_keep(now, then, kept), 0);
    assert_int_equal(users_diff(then, now, &users, &n_users), 0);
    lines = config_diff(then, now, users, n_users, kept);
    for (size_t i = 0; i < n; i++)
        assert_string_equal(json_string_value(json_array_get(lines, i)), want[i]);
    assert_int_equal(json_array_size(lines), n);
    json_decref(lines);
    free(users);
    config_free(then);
    config_free(now);
}

static void test_diff(void **state)
{
    static const char *const want[] = {
        ("~ server.listen: 0.0.0.0:4000, [::]:4000 (these sockets are made anew; clients follow if "
         "they can)"),
        "~ server.session-timeout: 60, was 3600",
        "~ tunnel.device: tun9, was tun0 (the device is made anew; sessions stay)",
        "~ tunnel.addresses: 10.9.0.1/24 (who does not fit gets another address)",
        "~ tunnel.mtu: 1300, was 1400",
        "~ tunnel.pool: 10.9.0.10-10.9.0.254",
        "~ tunnel.client-to-client: true, was false",
        "~ tunnel.push-routes: none",
        "~ user ann: enabled, expires",
        "- user bob",
        "+ user carl",
        "~ reconcile.drift: report",
        "= server.workers, state: not before a restart",
    };
    static const char before[] = HEAD "tunnel: {push-routes: [10.1.0.0/16]}\nusers:\n"
                                      "  ann: {key: \"" KEY_A "\"}\n  bob: {key: \"" KEY_B "\"}\n";

    (void)state;
    assert_diff(before, before, NULL, 0);
    assert_diff(before,
                "server: {realm: home-3f9c81d2a47be650, listen: 4000, session-timeout: 60s, "
                "workers: 3}\n"
                "tunnel: {device: tun9, mtu: 1300, addresses: [10.9.0.1/24], client-to-client: "
                "true}\n"
                "users:\n  ann: {key: \"" KEY_A "\", enabled: false}\n"
                "  carl: {key: \"" KEY_B "\"}\n"
                "reconcile: {drift: report}\nstate: /tmp/elsewhere\n",
                want, ARRAY_SIZE(want));
}

/* Rates that nobody has at the moment are a change all the same. */
static void test_diff_qos(void **state)
{
    static const char *const want[] = {
        "~ user ann: class",
        "~ user bob: networks, class",
        "~ qos.download: 20mbit, was 10mbit",
        "~ qos.default-class: slow, was absent",
        "~ qos.leaf: bfifo, was auto",
        "- qos.classes.alt: 1mbit, priority 4",
        ("~ qos.classes.fast: 3mbit to 4mbit, priority 1, guaranteed, was 2mbit to 4mbit, "
         "priority 4"),
        "+ qos.classes.slow: download 8kbit to 64kbit, upload 16kbit, priority 7, shared",
    };
    static const char *const off[] = {
        "~ qos.download: absent, was 10mbit",
        "~ qos.upload: absent, was 10mbit",
        "- qos.classes.fast: 2mbit to 4mbit, priority 4",
    };
    static const char users[] = HEAD "users:\n  ann: {key: \"" KEY_A "\"%s}\n"
                                     "  bob: {key: \"" KEY_B "\"%s}\n%s";
    static const char fast[] = "qos:\n  download: 10mbit\n  upload: 10mbit\n  classes:\n"
                               "    fast: {rate: 2mbit, ceil: 4mbit}\n";
    char before[1024], after[1024];

    (void)state;
    snprintf(before, sizeof(before), users, "", ", class: alt",
             "qos:\n  download: 10mbit\n  upload: 10mbit\n  classes:\n"
             "    fast: {rate: 2mbit, ceil: 4mbit}\n    alt: {rate: 1mbit}\n");
    snprintf(after, sizeof(after), users, ", class: fast", ", networks: [192.168.50.0/24]",
             "qos:\n  download: 20mbit\n  upload: 10mbit\n  default-class: slow\n"
             "  leaf: bfifo\n  classes:\n"
             "    fast: {rate: 3mbit, ceil: 4mbit, priority: 1, guaranteed: true}\n"
             "    slow: {download: {rate: 8kbit, ceil: 64kbit}, upload: {rate: 16kbit}, "
             "shared: true, priority: 7}\n");
    assert_diff(before, before, NULL, 0);
    assert_diff(before, after, want, ARRAY_SIZE(want));
    snprintf(before, sizeof(before), users, "", "", fast);
    snprintf(after, sizeof(after), users, "", "", "");
    assert_diff(before, after, off, ARRAY_SIZE(off));
}

/* Lists that would fill the screen are cut, and users counted. */
static void test_diff_long(void **state)
{
    char *text = NULL;
    struct config *then = config_of(HEAD), *now;
    struct user_change *users = NULL;
    size_t size, n = 0;
    FILE *out = open_memstream(&text, &size);
    json_t *lines;

    (void)state;
    fputs(HEAD "tunnel:\n  push-routes:\n", out);
    for (int i = 0; i < 100; i++)
        fprintf(out, "    - 172.20.%d.0/24\n", i);
    fputs("users:\n", out);
    for (int i = 0; i < 150; i++) {
        uint8_t key[32] = {9};
        char base64[64];

        key[1] = (uint8_t)i;
        sodium_bin2base64(base64, sizeof(base64), key, sizeof(key), sodium_base64_VARIANT_ORIGINAL);
        fprintf(out, "  u%d: {key: \"%s\"}\n", i, base64);
    }
    fclose(out);
    now = config_of(text);
    assert_int_equal(users_diff(then, now, &users, &n), 0);
    lines = config_diff(then, now, users, n, "");
    assert_int_equal(json_array_size(lines), 102);
    assert_non_null(strstr(json_string_value(json_array_get(lines, 0)), " and 90 more"));
    assert_string_equal(json_string_value(json_array_get(lines, 101)), "~ and 50 more users");
    json_decref(lines);
    free(users);
    free(text);
    config_free(then);
    config_free(now);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_config),    cmocka_unit_test(test_sessions),
        cmocka_unit_test(test_diff),      cmocka_unit_test(test_diff_qos),
        cmocka_unit_test(test_diff_long),
    };

    return sodium_init() < 0 ? 1 : cmocka_run_group_tests(tests, NULL, NULL);
}

/* client/routing: no route of a tunnel ever catches the tunnel's own datagrams. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "client/routing.h"

static struct ip_prefix prefix(const char *text)
{
    struct ip_prefix p;

    assert_int_equal(ip_prefix_parse(text, &p), 0);
    return p;
}

static struct routing routing(const struct ip_prefix *routes, size_t n, const char *server)
{
    struct routing r = {.number = 3,
                        .ifindex = 7,
                        .has_default = routing_has_default(routes, n),
                        .ip4 = true,
                        .ip6 = true,
                        .routes = routes,
                        .n_routes = n};

    assert_int_equal(ip_addr_parse(server, &r.server), 0);
    return r;
}

static void test_ordinary(void **state)
{
    const struct ip_prefix routes[] = {prefix("192.168.100.0/24"), prefix("fd08::/64")};
    const struct routing r = routing(routes, 2, "203.0.113.5");
    struct net_rule rules[ROUTING_RULES_MAX];

    (void)state;
    for (size_t i = 0; i < 2; i++) {
        const struct net_route route = routing_route(&r, i);

        assert_int_equal(route.table, NET_TABLE_MAIN);
        assert_int_equal(route.ifindex, 7);
        assert_int_equal(route.protocol, NET_PROTO_CLIENT);
        assert_int_equal(route.type, NET_ROUTE_UNICAST);
    }
    assert_int_equal(routing_rules(&r, rules), 0);
}

static void test_default(void **state)
{
    const struct ip_prefix routes[] = {prefix("0.0.0.0/0"), prefix("::/0"), prefix("10.9.0.0/16")};
    const struct routing r = routing(routes, 3, "203.0.113.5");
    struct net_rule rules[ROUTING_RULES_MAX];

    (void)state;
    assert_int_equal(routing_route(&r, 0).table, 51090);
    assert_int_equal(routing_route(&r, 1).table, 51090);
    assert_int_equal(routing_route(&r, 2).table, NET_TABLE_MAIN);
    assert_int_equal(routing_rules(&r, rules), 4);
    for (size_t i = 0; i < 4; i += 2) {
        assert_int_equal(rules[i].family, i < 2 ? 4 : 6);
        assert_int_equal(rules[i].priority, 32080);
        assert_int_equal(rules[i].table, NET_TABLE_MAIN);
        assert_true(rules[i].has_suppress);
        assert_int_equal(rules[i].suppress_prefixlen, 0);
        assert_false(rules[i].invert);
        assert_int_equal(rules[i + 1].priority, 32081);
        assert_int_equal(rules[i + 1].table, 51090);
        assert_true(rules[i + 1].invert);
        assert_int_equal(rules[i + 1].mark, ROUTING_MARK);
        assert_int_equal(rules[i + 1].mask, UINT32_MAX);
        assert_int_equal(rules[i + 1].protocol, NET_PROTO_CLIENT);
        /* Before main's own rule, or main's default would decide. */
        assert_true(rules[i + 1].priority < 32766);
    }
}

static void test_family_without_address(void **state)
{
    const struct ip_prefix routes[] = {prefix("0.0.0.0/0"), prefix("::/0")};
    struct routing r = routing(routes, 2, "203.0.113.5");
    struct net_rule rules[ROUTING_RULES_MAX];

    (void)state;
    r.ip6 = false;
    assert_true(routing_applies(&r, 0));
    assert_false(routing_applies(&r, 1));
    assert_int_equal(routing_rules(&r, rules), 2);
    assert_int_equal(rules[0].family, 4);
    assert_int_equal(rules[1].family, 4);
}

/* A route that covers the server goes where the tunnel's own datagrams do not look. */
static void test_covers_server(void **state)
{
    const struct ip_prefix routes[] = {prefix("203.0.113.0/24"), prefix("203.0.0.0/16"),
                                       prefix("192.168.0.0/16"), prefix("2001:db8::/32")};
    struct routing r = routing(routes, 4, "203.0.113.5");
    struct net_rule rules[ROUTING_RULES_MAX];

    (void)state;
    assert_int_equal(routing_route(&r, 0).table, 51090);
    assert_int_equal(routing_route(&r, 1).table, 51090);
    assert_int_equal(routing_route(&r, 2).table, NET_TABLE_MAIN);
    assert_int_equal(routing_route(&r, 3).table, NET_TABLE_MAIN);
    assert_int_equal(routing_rules(&r, rules), 2);
    assert_int_equal(rules[0].priority, 30006);
    assert_int_equal(rules[0].suppress_prefixlen, 16);
    assert_int_equal(rules[1].priority, 30007);

    /* The server has moved to IPv6. */
    assert_int_equal(ip_addr_parse("2001:db8::5", &r.server), 0);
    assert_int_equal(routing_route(&r, 0).table, NET_TABLE_MAIN);
    assert_int_equal(routing_route(&r, 3).table, 51090);
    assert_int_equal(routing_rules(&r, rules), 2);
    assert_int_equal(rules[0].family, 6);
    assert_int_equal(rules[0].suppress_prefixlen, 32);
}

/* Priorities of a thousand tunnels stay apart and below main's rule. */
static void test_priorities(void **state)
{
    const struct ip_prefix route = prefix("203.0.113.0/24"), all = prefix("0.0.0.0/0");
    struct routing r = routing(&route, 1, "203.0.113.5");

    (void)state;
    r.number = 1023;
    assert_true(routing_priority(&r) + 1 < ROUTING_PRIORITY_DEFAULT);
    r = routing(&all, 1, "203.0.113.5");
    assert_int_equal(routing_priority(&r), ROUTING_PRIORITY_DEFAULT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ordinary),
        cmocka_unit_test(test_default),
        cmocka_unit_test(test_family_without_address),
        cmocka_unit_test(test_covers_server),
        cmocka_unit_test(test_priorities),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

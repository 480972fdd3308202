/* client/routing: what a tunnel to some networks does to packets, decided as the kernel would. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "client/routing.h"
#include "tests/unit/routing_rig.h"

static void test_ordinary(void **state)
{
    const struct ip_prefix routes[] = {prefix("192.168.100.0/24"), prefix("fd08::/64"),
                                       prefix("192.0.0.0/8")};
    struct routing r = routing(routes, 3);
    struct net_set *set = host();

    (void)state;
    lower(&r, set);
    assert_false(routing_catches(&r, 4) || routing_catches(&r, 6));
    assert_int_equal(count(set, NET_KIND_RULE, NET_PROTO_CLIENT), 0);
    assert_int_equal(count(set, NET_KIND_ROUTE, NET_PROTO_CLIENT), 3);
    expect(set, plain, "192.168.100.7", "tun3");
    expect(set, plain, "fd08::7", "tun3");
    expect(set, plain, "198.51.100.1", OUTSIDE);
    /* In one table the longer prefix wins: the local network stays local. */
    expect(set, plain, "192.0.2.9", OUTSIDE);
    expect(set, plain, "192.1.2.9", "tun3");
    net_set_free(set);

    /* Nothing before the first lease, nothing of a family without an address. */
    r.up = false;
    set = host();
    lower(&r, set);
    assert_int_equal(count(set, NET_KIND_ROUTE, NET_PROTO_CLIENT), 0);
    net_set_free(set);
    r.up = true;
    r.ip6 = false;
    set = host();
    lower(&r, set);
    assert_int_equal(count(set, NET_KIND_ROUTE, NET_PROTO_CLIENT), 2);
    net_set_free(set);
}

/* A route that covers the server goes where the tunnel's own datagrams do not look. */
static void test_covers_server(void **state)
{
    const struct ip_prefix routes[] = {prefix("203.0.113.0/24"), prefix("203.0.0.0/16"),
                                       prefix("192.168.0.0/16"), prefix("2001:db8::/32")};
    struct routing r = routing(routes, 4);
    struct net_set *set = host();

    (void)state;
    main_route(set, "203.0.113.64/26", OUTSIDE);
    lower(&r, set);
    assert_true(routing_catches(&r, 4) && !routing_catches(&r, 6));
    expect(set, marked, "203.0.113.5", OUTSIDE);
    expect(set, plain, "203.0.113.5", "tun3");
    expect(set, plain, "203.0.9.9", "tun3");
    expect(set, plain, "203.0.113.65", OUTSIDE);
    expect(set, plain, "192.168.1.1", OUTSIDE);
    expect(set, plain, "192.168.2.1", "tun3");
    net_set_free(set);

    /* The server has moved to IPv6. */
    r.server = endpoint("2001:db8::5", 51820);
    set = host();
    lower(&r, set);
    expect(set, marked, "2001:db8::5", OUTSIDE);
    expect(set, plain, "2001:db8::5", "tun3");
    expect(set, plain, "2001:db8:1::5", OUTSIDE);
    expect(set, plain, "203.0.113.5", "tun3");
    /* Over IPv6 nothing has to find back. */
    assert_true(!routing_catches(&r, 4) && routing_catches(&r, 6));
    assert_int_equal(count(set, NET_KIND_RULE, NET_PROTO_CLIENT), 2);
    net_set_free(set);
}

/* A kernel without IPv6 is asked for nothing of it. */
static void test_no_ip6(void **state)
{
    const struct ip_prefix routes[] = {prefix("0.0.0.0/0"), prefix("::/0")};
    struct routing r = routing(routes, 2);

    (void)state;
    r.no_ip6 = true;
    r.ip6 = false;
    for (unsigned int i = 0; i < 2; i++) {
        struct net_set *set = net_set_new();

        r.has_uids = i == 1;
        r.uids = (struct value_span){1101, 1101};
        lower(&r, set);
        assert_true(net_set_count(set) > 0);
        for (size_t j = 0; j < net_set_count(set); j++) {
            const struct net_object *o = net_set_at(set, j);

            assert_int_equal(o->kind == NET_KIND_RULE ? o->rule.family : o->route.dst.addr.family,
                             4);
        }
        net_set_free(set);
    }
}

/* ---- uids and tables ------------------------------------------------------------------------- */

static void test_uids(void **state)
{
    const struct ip_prefix routes[] = {prefix("0.0.0.0/0"), prefix("::/0")};
    const struct packet user = {.uid = 1101}, other = {.uid = 1102};
    struct routing r = routing(routes, 2);
    struct net_set *set = host();
    char buf[NET_FORMAT_SIZE];
    const struct net_object *last;

    (void)state;
    r.table = 101;
    r.has_uids = true;
    r.uids = (struct value_span){1101, 1101};
    lower(&r, set);
    assert_false(routing_catches(&r, 4) || routing_catches(&r, 6));
    last = net_set_at(set, net_set_count(set) - 2);
    assert_string_equal(net_rule_format(&last->rule, buf),
                        "10101: from all uidrange 1101-1101 lookup 101 proto 87");
    expect(set, user, "8.8.8.8", "tun3");
    expect(set, user, "2600::1", "tun3");
    expect(set, other, "8.8.8.8", OUTSIDE);
    expect(set, marked, "203.0.113.5", OUTSIDE);
    net_set_free(set);

    /* Down, or with a single family: not one packet past it. */
    r.up = false;
    set = host();
    lower(&r, set);
    expect(set, user, "8.8.8.8", UNREACHABLE);
    expect(set, user, "2600::1", UNREACHABLE);
    expect(set, other, "8.8.8.8", OUTSIDE);
    net_set_free(set);

    /* Some networks only: the rest of what the user sends has no way. */
    r.up = true;
    r.ip6 = false;
    r.n_routes = 0;
    r.allow_lan = true;
    set = host();
    lower(&r, set);
    expect(set, user, "8.8.8.8", UNREACHABLE);
    expect(set, user, "192.168.1.7", OUTSIDE);
    expect(set, other, "8.8.8.8", OUTSIDE);
    net_set_free(set);
}

static void test_table(void **state)
{
    const struct ip_prefix routes[] = {prefix("0.0.0.0/0"), prefix("10.0.0.0/8")};
    struct routing r = routing(routes, 2);
    const struct ip_addr to = prefix("8.8.8.8").addr;
    struct net_set *set = host();

    (void)state;
    r.table = 200;
    lower(&r, set);
    assert_int_equal(count(set, NET_KIND_RULE, NET_PROTO_CLIENT), 0);
    expect(set, plain, "8.8.8.8", OUTSIDE);
    assert_string_equal(table_find(set, 200, &to)->dev, "tun3");
    /* Its own, and the one that ends the table. */
    assert_int_equal(count(set, NET_KIND_ROUTE, NET_PROTO_CLIENT), 3);
    net_set_free(set);
}

/* Beside a full tunnel an ordinary one is asked first. */
static void test_apart(void **state)
{
    const struct ip_prefix all[] = {prefix("0.0.0.0/0")}, some[] = {prefix("10.0.0.0/8")};
    struct routing full = routing(all, 1), r = routing(some, 1);
    struct net_set *set = host();

    (void)state;
    r.number = 5;
    r.device = "tun5";
    r.apart = true;
    assert_int_equal(routing_lower(&r, set), 0);
    lower(&full, set);
    expect(set, plain, "10.1.1.1", "tun5");
    expect(set, plain, "8.8.8.8", "tun3");
    net_set_free(set);
}

/* Priorities of a thousand tunnels stay apart and before main's rule. */
static void test_priorities(void **state)
{
    const struct ip_prefix routes[] = {prefix("203.0.113.0/24")};
    struct routing r = routing(routes, 1);

    (void)state;
    assert_true(ROUTING_PRIORITY + ROUTING_SLOTS * 1024 <= ROUTING_PRIORITY_FULL);
    assert_true(ROUTING_PRIORITY_BACK + 1 < ROUTING_PRIORITY);
    assert_true(ROUTING_UIDS_OWN + 1024 < ROUTING_PRIORITY_BACK);
    assert_true(ROUTING_PRIORITY_UIDS + ROUTING_SLOT_TABLE < ROUTING_UIDS_TABLE);
    r.number = 1023;
    for (unsigned int i = 0; i < 2; i++) {
        struct net_set *set = net_set_new();

        r.block = i == 1;
        lower(&r, set);
        for (size_t j = 0; j < net_set_count(set); j++)
            if (net_set_at(set, j)->kind == NET_KIND_RULE)
                assert_true(net_set_at(set, j)->rule.priority < ROUTING_PRIORITY_FULL);
        net_set_free(set);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ordinary),   cmocka_unit_test(test_covers_server),
        cmocka_unit_test(test_no_ip6),     cmocka_unit_test(test_uids),
        cmocka_unit_test(test_table),      cmocka_unit_test(test_apart),
        cmocka_unit_test(test_priorities),
    };

    return cmocka_run_group_tests_name("routing", tests, NULL, NULL);
}

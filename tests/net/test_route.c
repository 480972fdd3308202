/* netlink/addr and netlink/route against the real kernel: addresses and routes of one device. */
#include <errno.h>
#include <linux/rtnetlink.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "common/cleanup.h"
#include "common/ip.h"
#include "netlink/addr.h"
#include "netlink/link.h"
#include "netlink/object.h"
#include "netlink/route.h"
#include "tests/net/netlink_rig.h"

#define MANY_ROUTES 2000

static void check_addr(struct net_addr want)
{
    struct net_addr changed;

    OK(net_addr_put(conn, &want, &err));
    OK(net_addr_put(conn, &want, &err));
    assert_int_equal(addrs(&want).same, 1);

    changed = want;
    changed.protocol = NET_PROTO_CLIENT;
    OK(net_addr_put(conn, &changed, &err));
    assert_int_equal(addrs(&changed).same, 1);

    changed.no_prefix_route = !want.no_prefix_route;
    OK(net_addr_put(conn, &changed, &err));
    assert_int_equal(addrs(&changed).same, 1);
    assert_int_equal(addrs(&changed).id, 1);
    OK(net_addr_put(conn, &want, &err));
    assert_int_equal(addrs(&want).same, 1);

    OK(net_addr_del(conn, &want, &err));
    OK(net_addr_del(conn, &want, &err));
    assert_int_equal(addrs(&want).all, 0);
}

/* Routes that the kernel itself made for our addresses (RTPROT_KERNEL) in the main table. */
static unsigned int prefix_routes(const char *text)
{
    struct net_route want = {.dst = prefix(text),
                             .table = NET_TABLE_MAIN,
                             .ifindex = dev.ifindex,
                             .metric = prefix(text).addr.family == 6 ? 256 : 0,
                             .protocol = RTPROT_KERNEL};

    return routes(&want, RTPROT_KERNEL).id;
}

static void test_addr(void **state)
{
    struct net_addr addr = {.ifindex = dev.ifindex,
                            .prefix = prefix("10.8.0.1/24"),
                            .protocol = NET_PROTO_SERVER};

    (void)state;
    check_addr(addr);
    OK(net_addr_put(conn, &addr, &err));
    assert_int_equal(prefix_routes("10.8.0.0/24"), 1);
    OK(net_addr_del(conn, &addr, &err));
    addr.no_prefix_route = true;
    check_addr(addr);
    OK(net_addr_put(conn, &addr, &err));
    assert_int_equal(prefix_routes("10.8.0.0/24"), 0);
    OK(net_addr_del(conn, &addr, &err));

    addr.ifindex = 99999;
    FAILS(-ENODEV, "cannot set address 10.8.0.1/24 dev #99999: ", net_addr_put(conn, &addr, &err));
    OK(net_addr_del(conn, &addr, &err));
    addr.ifindex = dev.ifindex;
    addr.prefix.len = 33;
    FAILS(-EINVAL, "cannot set address 10.8.0.1/33 dev tst0: ", net_addr_put(conn, &addr, &err));
    addr.prefix.addr.family = 0;
    FAILS(-EINVAL, "needs a family", net_addr_put(conn, &addr, &err));
}

static void test_addr6(void **state)
{
    struct net_addr addr = {.ifindex = dev.ifindex,
                            .prefix = prefix("fd08::1/64"),
                            .protocol = NET_PROTO_SERVER};
    struct net_addr longer = addr;

    (void)state;
    if (dev.ip6ll == NET_IP6LL_ABSENT)
        skip();
    check_addr(addr);
    addr.no_prefix_route = true;
    check_addr(addr);
    OK(net_addr_put(conn, &addr, &err));
    assert_int_equal(prefix_routes("fd08::/64"), 0);

    /* The kernel passes over a changed length in silence. */
    longer.prefix.len = 80;
    OK(net_addr_put(conn, &longer, &err));
    assert_int_equal(addrs(&longer).same, 1);
    assert_int_equal(addrs(&longer).all, 1);
    OK(net_addr_del(conn, &longer, &err));
}

static void check_route(struct net_route want)
{
    struct net_route other = want;

    OK(net_route_put(conn, &want, &err));
    OK(net_route_put(conn, &want, &err));
    assert_int_equal(routes(&want, NET_PROTO_CLIENT).same, 1);
    assert_int_equal(routes(&want, NET_PROTO_CLIENT).all, 1);
    assert_int_equal(routes(&want, NET_PROTO_SERVER).all, 0);
    other.table++;
    assert_int_equal(routes(&other, 0).all, 0);

    /* Another metric is another route; removing one leaves the other. */
    other = want;
    other.metric = 77;
    OK(net_route_put(conn, &other, &err));
    assert_int_equal(routes(&want, NET_PROTO_CLIENT).all, 2);
    OK(net_route_del(conn, &want, &err));
    OK(net_route_del(conn, &want, &err));
    assert_int_equal(routes(&want, NET_PROTO_CLIENT).id, 0);
    assert_int_equal(routes(&other, NET_PROTO_CLIENT).same, 1);
    OK(net_route_del(conn, &other, &err));

    /* The type changes in place, both ways. */
    OK(net_route_put(conn, &want, &err));
    other = want;
    other.type = NET_ROUTE_UNREACHABLE;
    other.ifindex = 0;
    OK(net_route_put(conn, &other, &err));
    assert_int_equal(routes(&other, 0).same, 1);
    assert_int_equal(routes(&other, 0).all, 1);
    other.type = NET_ROUTE_BLACKHOLE;
    OK(net_route_put(conn, &other, &err));
    assert_int_equal(routes(&other, 0).same, 1);
    OK(net_route_put(conn, &want, &err));
    assert_int_equal(routes(&want, 0).same, 1);
    assert_int_equal(routes(&want, 0).all, 1);
    OK(net_route_del(conn, &want, &err));

    /* A foreign route stays as it is, whether we put or remove ours. */
    other = want;
    other.protocol = FOREIGN_PROTO;
    OK(net_route_put(conn, &other, &err));
    FAILS(-EEXIST, "a route of somebody else is in its place: ", net_route_put(conn, &want, &err));
    OK(net_route_del(conn, &want, &err));
    assert_int_equal(routes(&other, 0).same, 1);
    assert_int_equal(routes(&other, 0).all, 1);
    OK(net_route_del(conn, &other, &err));
    assert_int_equal(routes(&want, 0).all, 0);
}

static void test_route(void **state)
{
    static const char *const all[] = {"0.0.0.0/0", "192.168.100.0/24", "10.9.9.9/32",
                                      "::/0",      "fd09:1::/48",      "fd09::9/128"};
    struct net_route route = {.table = 101, .ifindex = dev.ifindex, .protocol = NET_PROTO_CLIENT};

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(all); i++) {
        route.dst = prefix(all[i]);
        if (route.dst.addr.family == 6 && dev.ip6ll == NET_IP6LL_ABSENT)
            continue;
        route.table = 101;
        route.metric = 0;
        check_route(route);
        route.table = 100101; /* does not fit the byte in the header */
        route.metric = 20;
        check_route(route);
    }
}

static void test_route_errors(void **state)
{
    struct net_route route = {.dst = prefix("10.1.0.0/16"),
                              .table = 101,
                              .ifindex = dev.ifindex,
                              .protocol = NET_PROTO_CLIENT};
    struct net_link down = dev;

    (void)state;
    down.up = false;
    OK(net_link_set(conn, dev.ifindex, &down, NET_LINK_UP, &err));
    FAILS(-ENETDOWN, "cannot set route 10.1.0.0/16 dev tst0 table 101 proto 87: ",
          net_route_put(conn, &route, &err));
    FAILS(-ENETDOWN, "Device for nexthop is not up", net_route_put(conn, &route, &err));
    down.up = true;
    OK(net_link_set(conn, dev.ifindex, &down, NET_LINK_UP, &err));

    route.ifindex = 0;
    FAILS(-EINVAL, "needs a family", net_route_put(conn, &route, &err));
    route.ifindex = 99999;
    FAILS(-ENODEV, "dev #99999", net_route_put(conn, &route, &err));
    OK(net_route_del(conn, &route, &err));
    /* Host bits are no error: the network is what is meant. */
    route = (struct net_route){.dst = prefix("10.1.2.3/16"),
                               .table = 101,
                               .type = NET_ROUTE_BLACKHOLE,
                               .protocol = NET_PROTO_CLIENT};
    OK(net_route_put(conn, &route, &err));
    OK(net_route_put(conn, &route, &err));
    assert_int_equal(routes(&route, 0).all, 1);
    OK(net_route_del(conn, &route, &err));
    assert_int_equal(routes(&route, 0).all, 0);
}

static int mark_seen(const struct net_route *route, void *ctx)
{
    unsigned int *seen = ctx;
    unsigned int i = (unsigned int)(route->dst.addr.bytes[1] << 8 | route->dst.addr.bytes[2]);

    assert_true(i < MANY_ROUTES);
    seen[i]++;
    return 0;
}

static int stop_at_once(const struct net_route *route, void *ctx)
{
    (void)route;
    ++*(unsigned int *)ctx;
    return 42;
}

static void test_many_routes(void **state)
{
    struct net_route route = {.dst = prefix("10.0.0.0/24"),
                              .table = 4000,
                              .ifindex = dev.ifindex,
                              .protocol = NET_PROTO_SERVER};
    struct net_route_filter filter = {.table = 4000, .protocol = NET_PROTO_SERVER};
    unsigned int seen[MANY_ROUTES] = {0};
    unsigned int calls = 0;

    (void)state;
    for (unsigned int i = 0; i < MANY_ROUTES; i++) {
        route.dst.addr.bytes[1] = (uint8_t)(i >> 8);
        route.dst.addr.bytes[2] = (uint8_t)i;
        OK(net_route_put(conn, &route, &err));
    }
    OK(net_route_dump(conn, &filter, mark_seen, seen, &err));
    for (unsigned int i = 0; i < MANY_ROUTES; i++)
        assert_int_equal(seen[i], 1);

    /* A caller that has seen enough is asked no more, and the connection stays usable. */
    assert_int_equal(net_route_dump(conn, &filter, stop_at_once, &calls, NULL), 42);
    assert_int_equal(calls, 1);
    filter.protocol = NET_PROTO_CLIENT;
    OK(net_route_dump(conn, &filter, mark_seen, seen, &err));
    assert_int_equal(seen[0], 1);

    /* The kernel drops IPv4 routes of a link that goes down. */
    dev.up = false;
    OK(net_link_set(conn, dev.ifindex, &dev, NET_LINK_UP, &err));
    assert_int_equal(routes(&route, 0).all, 0);
    dev.up = true;
    OK(net_link_set(conn, dev.ifindex, &dev, NET_LINK_UP, &err));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_addr),        cmocka_unit_test(test_addr6),
        cmocka_unit_test(test_route),       cmocka_unit_test(test_route_errors),
        cmocka_unit_test(test_many_routes),
    };
    const int rc = rig_enter();

    return rc ? rc : cmocka_run_group_tests_name("route", tests, rig_setup_up, rig_teardown);
}

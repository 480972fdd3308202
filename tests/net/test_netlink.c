/*
 * netlink/ against the real kernel, in a network namespace of its own.
 *
 * The program makes the namespace, opens the TUN descriptors while it may, as the spawner does,
 * and then becomes what the daemon is: an ordinary uid with CAP_NET_ADMIN and nothing else.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cap-ng.h>
#include <cmocka.h>

#include "common/cleanup.h"
#include "common/ip.h"
#include "netlink/addr.h"
#include "netlink/conn.h"
#include "netlink/link.h"
#include "netlink/object.h"
#include "netlink/route.h"
#include "netlink/rule.h"
#include "netlink/sysctl.h"
#include "netlink/tun.h"

#define EXIT_SKIP     77
#define ORDINARY_UID  64123
#define FOREIGN_PROTO 4 /* RTPROT_STATIC: an administrator's */
#define MANY_ROUTES   2000
#define MANY_RULES    1500
#define MANY_PRIORITY 20000

static struct net_conn *conn;
static int tun_fds[12];
static size_t tun_used;
static bool full_root; /* false: root only in a user namespace of its own */

/* The device that most tests work on. */
static struct net_link dev;

/* Calls that must succeed; what they had to say is shown if they do not. */
#define OK(call)                                                                                   \
    do {                                                                                           \
        struct err err = {{0}};                                                                    \
        int rc_ = (call);                                                                          \
        if (rc_ != 0)                                                                              \
            fail_msg("%s: %d, %s", #call, rc_, err.msg);                                           \
    } while (0)

/* Calls that must fail so, with these words in the explanation. */
#define FAILS(code, words, call)                                                                   \
    do {                                                                                           \
        struct err err = {{0}};                                                                    \
        int rc_ = (call);                                                                          \
        if (rc_ != (code) || !strstr(err.msg, words))                                              \
            fail_msg("%s: %d, \"%s\" instead of %d, \"%s\"", #call, rc_, err.msg, code, words);    \
    } while (0)

static struct ip_prefix prefix(const char *text)
{
    struct ip_prefix out;

    assert_int_equal(ip_prefix_parse(text, &out), 0);
    return out;
}

static int take_tun_fd(void)
{
    assert_true(tun_used < ARRAY_SIZE(tun_fds));
    return tun_fds[tun_used++];
}

/* What a dump showed: how many objects equal one in question, and how many in all. */
struct count {
    const void *want;
    unsigned int same;
    unsigned int id;
    unsigned int all;
};

static int count_addr(const struct net_addr *addr, void *ctx)
{
    struct count *count = ctx;
    const struct net_addr *want = count->want;
    bool id = want && net_addr_cmp_id(addr, want) == 0;

    count->all++;
    count->id += id;
    count->same += id && net_addr_same(addr, want);
    return 0;
}

static int count_route(const struct net_route *route, void *ctx)
{
    struct count *count = ctx;
    const struct net_route *want = count->want;
    bool id = want && net_route_cmp_id(route, want) == 0;

    count->all++;
    count->id += id;
    count->same += id && net_route_same(route, want);
    return 0;
}

static int count_rule(const struct net_rule *rule, void *ctx)
{
    struct count *count = ctx;
    const struct net_rule *want = count->want;

    count->all++;
    count->same += want && net_rule_cmp_id(rule, want) == 0;
    return 0;
}

static struct count addrs(const struct net_addr *want)
{
    struct count count = {.want = want};

    OK(net_addr_dump(conn, 0, want->ifindex, count_addr, &count, &err));
    return count;
}

static struct count routes(const struct net_route *want, uint8_t protocol)
{
    struct count count = {.want = want};
    struct net_route_filter filter = {.family = want->dst.addr.family,
                                      .table = want->table,
                                      .protocol = protocol};

    OK(net_route_dump(conn, &filter, count_route, &count, &err));
    return count;
}

static struct count rules(const struct net_rule *want, uint8_t protocol)
{
    struct count count = {.want = want};

    OK(net_rule_dump(conn, want->family, protocol, count_rule, &count, &err));
    return count;
}

static void test_rights(void **state)
{
    (void)state;
    assert_int_equal(geteuid(), ORDINARY_UID);
    for (int cap = 0; cap <= CAP_LAST_CAP; cap++)
        assert_int_equal(!!capng_have_capability(CAPNG_EFFECTIVE, (unsigned int)cap),
                         cap == CAP_NET_ADMIN);
}

static void test_link(void **state)
{
    struct net_link want = dev, have;

    (void)state;
    FAILS(-ENODEV, "device nosuch0: ", net_link_get(conn, "nosuch0", &have, &err));
    FAILS(-EINVAL, "cannot be the name", net_link_get(conn, "a/b", &have, &err));

    OK(net_link_get(conn, "lo", &have, &err));
    assert_int_equal(have.ifindex, 1);
    assert_string_equal(have.kind, "");

    assert_string_equal(dev.kind, "tun");
    assert_true(dev.carrier);
    assert_false(dev.up);
    want.mtu = 1380;
    want.up = true;
    strcpy(want.alias, "vpn-server: tunnel");
    want.ip6ll = NET_IP6LL_NONE;
    for (int i = 0; i < 2; i++) {
        OK(net_link_set(conn, dev.ifindex, &want, net_link_diff(&want, &dev), &err));
        OK(net_link_get(conn, dev.name, &have, &err));
        assert_int_equal(net_link_diff(&want, &have), 0);
    }
    /* Up came last: the kernel never made a link-local address. */
    if (have.ip6ll != NET_IP6LL_ABSENT)
        assert_int_equal(addrs(&(struct net_addr){.ifindex = dev.ifindex}).all, 0);

    want.alias[0] = '\0';
    OK(net_link_set(conn, dev.ifindex, &want, NET_LINK_ALIAS, &err));
    OK(net_link_get(conn, dev.name, &have, &err));
    assert_string_equal(have.alias, "");

    want.mtu = 1;
    FAILS(-EINVAL, "cannot set MTU: mtu less than device minimum",
          net_link_set(conn, dev.ifindex, &want, NET_LINK_MTU, &err));
    FAILS(-ENODEV, "cannot set up: ", net_link_set(conn, 99999, &want, NET_LINK_UP, &err));
    FAILS(-EINVAL, "without its index", net_link_del(conn, 0, &err));
    OK(net_link_del(conn, 99999, &err));
}

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

static void check_rule(struct net_rule want)
{
    struct net_rule other = want;
    unsigned int before = rules(&want, 0).all;

    OK(net_rule_put(conn, &want, &err));
    OK(net_rule_put(conn, &want, &err));
    assert_int_equal(rules(&want, 0).same, 1);
    assert_int_equal(rules(&want, 0).all, before + 1);
    assert_int_equal(rules(&want, NET_PROTO_CLIENT).all, 1);
    assert_int_equal(rules(&want, NET_PROTO_SERVER).all, 0);

    OK(net_rule_del(conn, &want, &err));
    OK(net_rule_del(conn, &want, &err));
    assert_int_equal(rules(&want, 0).all, before);

    /* Somebody else's with the same selectors is neither taken over nor removed. */
    other.protocol = FOREIGN_PROTO;
    OK(net_rule_put(conn, &other, &err));
    OK(net_rule_del(conn, &want, &err));
    OK(net_rule_put(conn, &want, &err));
    assert_int_equal(rules(&want, 0).same, 1);
    assert_int_equal(rules(&other, 0).same, 1);
    OK(net_rule_del(conn, &want, &err));
    OK(net_rule_del(conn, &want, &err));
    assert_int_equal(rules(&want, 0).same, 0);
    assert_int_equal(rules(&other, 0).same, 1);
    OK(net_rule_del(conn, &other, &err));
    assert_int_equal(rules(&want, 0).all, before);
}

static void test_rule(void **state)
{
    struct net_rule base = {
        .family = 4, .priority = 10101, .table = 101, .protocol = NET_PROTO_CLIENT};
    struct net_rule rule;

    (void)state;
    for (base.family = 4; base.family <= 6; base.family += 2) {
        if (base.family == 6 && dev.ip6ll == NET_IP6LL_ABSENT)
            continue;
        check_rule(base);
        rule = base;
        rule.has_uids = true;
        rule.uid_first = rule.uid_last = ORDINARY_UID;
        check_rule(rule);
        rule.ip_proto = 17;
        rule.sport = 40000;
        rule.dport = 53;
        check_rule(rule);
        rule.uid_first = 0; /* root is a uid as well, unless our namespace has none */
        if (full_root)
            check_rule(rule);
        rule = base;
        rule.mark = 0x51820;
        rule.mask = UINT32_MAX;
        check_rule(rule);
        rule.invert = true;
        check_rule(rule);
        rule.mask = 0xfffff;
        check_rule(rule);
        rule = base;
        rule.table = NET_TABLE_MAIN;
        rule.has_suppress = true;
        check_rule(rule);
        rule.suppress_prefixlen = 8;
        check_rule(rule);
        rule = base;
        rule.table = 100101;
        strcpy(rule.iif, dev.name);
        strcpy(rule.oif, "late0"); /* a device that does not exist yet is fine */
        rule.from = prefix(base.family == 6 ? "fd08::/64" : "10.8.0.0/24");
        rule.to = prefix(base.family == 6 ? "fd09::/64" : "10.9.0.0/16");
        check_rule(rule);
        /* Host bits are no error: the network is what is meant. */
        rule.from = prefix(base.family == 6 ? "fd08::7/64" : "10.8.0.7/24");
        OK(net_rule_put(conn, &rule, &err));
        OK(net_rule_put(conn, &rule, &err));
        OK(net_rule_del(conn, &rule, &err));
        assert_int_equal(rules(&rule, NET_PROTO_CLIENT).all, 0);
    }
}

static void test_rule_neighbours(void **state)
{
    struct net_rule ours = {
        .family = 4, .priority = 10101, .table = 101, .protocol = NET_PROTO_CLIENT};
    struct net_rule narrow = ours, inverse;

    (void)state;
    /* A delete of "from all" would take the uid's rule that stands before it. */
    narrow.has_uids = true;
    narrow.uid_first = narrow.uid_last = ORDINARY_UID;
    OK(net_rule_put(conn, &narrow, &err));
    OK(net_rule_del(conn, &ours, &err));
    assert_int_equal(rules(&narrow, 0).same, 1);
    OK(net_rule_put(conn, &ours, &err));
    FAILS(-EEXIST,
          "the kernel would remove another rule first: 10101: from all uidrange 64123-64123",
          net_rule_del(conn, &ours, &err));
    OK(net_rule_del(conn, &narrow, &err));
    assert_int_equal(rules(&ours, 0).same, 1);
    OK(net_rule_del(conn, &ours, &err));

    /* To the kernel a rule and its inverse are one. */
    ours.mark = 1;
    ours.mask = 0xff;
    inverse = ours;
    inverse.invert = true;
    OK(net_rule_put(conn, &inverse, &err));
    FAILS(-EEXIST, "another rule is in its place: 10101: not from all fwmark 0x1/0xff",
          net_rule_put(conn, &ours, &err));
    OK(net_rule_del(conn, &ours, &err));
    assert_int_equal(rules(&inverse, 0).same, 1);
    OK(net_rule_del(conn, &inverse, &err));

    ours.priority = 0;
    FAILS(-EINVAL, "needs a family", net_rule_put(conn, &ours, &err));
    ours.priority = 10101;
    ours.has_uids = true;
    ours.uid_first = 9;
    ours.uid_last = 8;
    FAILS(-EINVAL, "cannot set rule 10101: ", net_rule_put(conn, &ours, &err));
    assert_int_equal(rules(&ours, NET_PROTO_CLIENT).all, 0);
}

/* One device, its queues in several descriptors, closed and adopted again. */
static void check_tun(const char *name, unsigned int queues)
{
    struct tun_options options = {.multi_queue = queues > 1, .persist = true};
    struct tun_options other = {.multi_queue = queues == 1};
    struct net_link made, adopted;
    int fds[2];
    uint8_t packet[64];

    for (unsigned int i = 0; i < queues; i++) {
        fds[i] = take_tun_fd();
        OK(tun_attach(fds[i], name, &options, &err));
    }
    OK(net_link_get(conn, name, &made, &err));
    assert_true(made.carrier);
    /* Nothing to read, and reading does not wait for it. */
    assert_int_equal(read(fds[0], packet, sizeof(packet)), -1);
    assert_int_equal(errno, EAGAIN);
    FAILS(-EEXIST, "belongs to a device already", tun_attach(fds[0], name, &options, &err));

    for (unsigned int i = 0; i < queues; i++)
        close(fds[i]);
    OK(net_link_get(conn, name, &adopted, &err));
    assert_int_equal(adopted.ifindex, made.ifindex);
    assert_false(adopted.carrier);

    fds[0] = take_tun_fd();
    FAILS(-EINVAL, "remove it (ip link del ", tun_attach(fds[0], name, &other, &err));
    OK(tun_attach(fds[0], name, &options, &err));
    OK(net_link_get(conn, name, &adopted, &err));
    assert_int_equal(adopted.ifindex, made.ifindex);
    assert_true(adopted.carrier);

    OK(tun_set_persist(fds[0], false, &err));
    close(fds[0]);
    FAILS(-ENODEV, name, net_link_get(conn, name, &adopted, &err));
}

static void test_tun(void **state)
{
    struct tun_options options = {.persist = true};
    struct net_link link;
    int fd, second, pipe_fds[2];

    (void)state;
    check_tun("tun-one", 1);
    check_tun("tun-two", 2);

    fd = take_tun_fd();
    second = take_tun_fd();
    OK(tun_attach(fd, "tun-busy", &options, &err));
    FAILS(-EBUSY, "device tun-busy is in use by another process",
          tun_attach(second, "tun-busy", &options, &err));
    FAILS(-EINVAL, "cannot be the name", tun_attach(second, "tun%d", &options, &err));
    /* Another kind of device, and no device at all. */
    FAILS(-EINVAL, "device lo exists and is not a TUN", tun_attach(second, "lo", &options, &err));
    close(second);
    assert_int_equal(pipe(pipe_fds), 0);
    FAILS(-ENOTTY, "not /dev/net/tun", tun_attach(pipe_fds[0], "tun-pipe", &options, &err));
    close(pipe_fds[0]);
    close(pipe_fds[1]);

    /* A persistent device can be removed over rtnetlink, also while it is held. */
    OK(net_link_get(conn, "tun-busy", &link, &err));
    OK(net_link_del(conn, link.ifindex, &err));
    OK(net_link_del(conn, link.ifindex, &err));
    FAILS(-ENODEV, "tun-busy", net_link_get(conn, "tun-busy", &link, &err));
    close(fd);
}

/* A packet of the host comes out behind the plain 10-byte virtio header. */
static void test_tun_framing(void **state)
{
    struct net_addr addr = {.ifindex = dev.ifindex,
                            .prefix = prefix("10.8.0.1/24"),
                            .protocol = NET_PROTO_SERVER};
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(9)};
    uint8_t packet[256];
    ssize_t n = -1;
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

    (void)state;
    assert_true(fd >= 0);
    OK(net_addr_put(conn, &addr, &err));
    to.sin_addr.s_addr = htonl(0x0a080002);
    assert_int_equal(sendto(fd, "ping", 4, 0, (struct sockaddr *)&to, sizeof(to)), 4);
    close(fd);
    /* The device may hold packets of the kernel's own: look for ours. */
    for (int i = 0; i < 16; i++) {
        n = read(tun_fds[0], packet, sizeof(packet));
        if (n < 0 || packet[TUN_VNET_HDR_LEN] == 0x45)
            break;
    }
    assert_int_equal(n, TUN_VNET_HDR_LEN + 20 + 8 + 4);
    assert_memory_equal(packet + TUN_VNET_HDR_LEN + 28, "ping", 4);
    OK(net_addr_del(conn, &addr, &err));
}

static void test_sysctl(void **state)
{
    struct net_sysctl key = {{"ipv4", "conf", dev.name, "accept_local"}};
    struct net_sysctl bad = {{"ipv4", "..", "core"}};
    struct net_sysctl nosuch = {{"ipv4", "conf", dev.name, "no_such_thing"}};
    struct net_sysctl_saved saved = {0}, again = {0};
    char value[NET_SYSCTL_VALUE_SIZE];

    (void)state;
    OK(net_sysctl_read(&key, value, &err));
    assert_string_equal(value, "0");
    OK(net_sysctl_change(&key, "1", &saved, &err));
    assert_true(saved.changed);
    OK(net_sysctl_read(&key, value, &err));
    assert_string_equal(value, "1");
    /* Set already: nothing to put back. */
    OK(net_sysctl_change(&key, "1", &again, &err));
    assert_false(again.changed);
    OK(net_sysctl_restore(&again, &err));
    OK(net_sysctl_restore(&saved, &err));
    OK(net_sysctl_read(&key, value, &err));
    assert_string_equal(value, "0");
    OK(net_sysctl_restore(&saved, &err));

    /* What somebody else set since then stays. */
    OK(net_sysctl_change(&key, "1", &saved, &err));
    OK(net_sysctl_write(&key, "2", &err));
    OK(net_sysctl_restore(&saved, &err));
    OK(net_sysctl_read(&key, value, &err));
    assert_string_equal(value, "2");
    OK(net_sysctl_write(&key, "0", &err));

    FAILS(-EINVAL, "cannot be part of", net_sysctl_read(&bad, value, &err));
    FAILS(-ENOENT, "/proc/sys/net/ipv4/conf/tst0/no_such_thing",
          net_sysctl_write(&nosuch, "1", &err));
    FAILS(-EINVAL, "needs a name", net_sysctl_read(&(struct net_sysctl){{NULL}}, value, &err));
    FAILS(-EINVAL, "not one short line", net_sysctl_write(&key, "1\n1", &err));
    FAILS(-EINVAL, "accept_local to \"x\"", net_sysctl_write(&key, "x", &err));
}

static void test_sysctl6(void **state)
{
    struct net_sysctl key = {{"ipv6", "conf", dev.name, "addr_gen_mode"}};
    struct net_sysctl_saved saved = {0};
    struct net_link have;

    (void)state;
    if (dev.ip6ll == NET_IP6LL_ABSENT)
        skip();
    OK(net_sysctl_change(&key, "0", &saved, &err));
    OK(net_link_get(conn, dev.name, &have, &err));
    assert_int_equal(have.ip6ll, NET_IP6LL_AUTO);
    OK(net_sysctl_restore(&saved, &err));
    OK(net_link_get(conn, dev.name, &have, &err));
    assert_int_equal(have.ip6ll, NET_IP6LL_NONE);
}

/* The rtnetlink ports of this namespace, as /proc/net/netlink lists them. */
static size_t netlink_ports(uint32_t *ports, size_t max)
{
    _cleanup_(fclose_p) FILE *f = fopen("/proc/self/net/netlink", "re");
    char line[256];
    size_t n = 0;

    assert_non_null(f);
    while (n < max && fgets(line, sizeof(line), f)) {
        unsigned int family, port;

        if (sscanf(line, "%*s %u %u", &family, &port) == 2 && family == NETLINK_ROUTE && port)
            ports[n++] = port;
    }
    return n;
}

/* Any process with rights here can send to our socket: that must not pass for the kernel. */
static void test_forged_sender(void **state)
{
    struct {
        struct nlmsghdr nlh;
        struct nlmsgerr ack;
    } forged = {.nlh = {.nlmsg_len = sizeof(forged), .nlmsg_type = NLMSG_ERROR},
                .ack = {.error = -EIO}};
    uint32_t ports[64];
    struct net_conn *victim = NULL;
    struct net_link have;
    size_t n, sent = 0;
    int fd;

    (void)state;
    OK(net_conn_open(&victim, &err));
    fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
    assert_true(fd >= 0);
    n = netlink_ports(ports, ARRAY_SIZE(ports));
    for (size_t i = 0; i < n; i++) {
        struct sockaddr_nl to = {.nl_family = AF_NETLINK, .nl_pid = ports[i]};

        forged.nlh.nlmsg_pid = ports[i];
        forged.nlh.nlmsg_seq = 1; /* a connection's first request */
        sent += sendto(fd, &forged, sizeof(forged), 0, (struct sockaddr *)&to, sizeof(to)) ==
                sizeof(forged);
    }
    assert_true(sent >= 2); /* the victim's and the suite's own */
    OK(net_link_get(victim, "lo", &have, &err));
    assert_int_equal(have.ifindex, 1);
    net_conn_close(victim);
    close(fd);
}

/* Adds and removes rules in front of all others until its parent ends it. */
static void churn(void)
{
    struct net_rule rule = {
        .family = 4, .priority = 100, .table = 101, .protocol = NET_PROTO_CLIENT};
    struct net_conn *own;

    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (net_conn_open(&own, NULL) < 0)
        _exit(1);
    for (;;) {
        if (net_rule_put(own, &rule, NULL) < 0 || net_rule_del(own, &rule, NULL) < 0)
            _exit(1);
    }
}

static int mark_rule(const struct net_rule *rule, void *ctx)
{
    unsigned int *seen = ctx;
    unsigned int i = rule->priority - MANY_PRIORITY;

    assert_true(i < MANY_RULES);
    seen[i]++;
    return 0;
}

/*
 * The kernel goes on with a dump by counting: a rule that comes or goes in front of the place
 * shifts the rest, so that one is missing or there twice.  Such dumps must never be shown.
 */
static void test_dump_under_churn(void **state)
{
    struct net_rule rule = {.family = 4, .table = 102, .protocol = NET_PROTO_SERVER};
    unsigned int whole = 0;
    pid_t pid;

    (void)state;
    for (unsigned int i = 0; i < MANY_RULES; i++) {
        rule.priority = MANY_PRIORITY + i;
        OK(net_rule_put(conn, &rule, &err));
    }
    pid = fork();
    if (pid == 0)
        churn();
    for (int round = 0; round < 100; round++) {
        unsigned int seen[MANY_RULES] = {0};
        int rc = net_rule_dump(conn, 4, NET_PROTO_SERVER, mark_rule, seen, NULL);

        assert_true(rc == 0 || rc == -EAGAIN);
        for (unsigned int i = 0; i < MANY_RULES; i++)
            assert_int_equal(seen[i], rc == 0);
        whole += rc == 0;
    }
    /* It was at work to the end. */
    assert_int_equal(waitpid(pid, NULL, WNOHANG), 0);
    assert_int_equal(kill(pid, SIGKILL), 0);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
    assert_true(whole > 0);
    for (unsigned int i = 0; i < MANY_RULES; i++) {
        rule.priority = MANY_PRIORITY + i;
        OK(net_rule_del(conn, &rule, &err));
    }
}

/* Without the capability everything is refused with the reason, and nothing changes. */
static void test_without_rights(void **state)
{
    struct net_route route = {.dst = prefix("10.7.0.0/16"),
                              .table = 101,
                              .type = NET_ROUTE_BLACKHOLE,
                              .protocol = NET_PROTO_CLIENT};
    struct tun_options options = {.persist = false};
    int fd = take_tun_fd();
    int status = 0;
    pid_t pid = fork();

    (void)state;
    if (pid == 0) {
        struct err err = {{0}};
        bool good;

        capng_clear(CAPNG_SELECT_BOTH);
        good = capng_apply(CAPNG_SELECT_CAPS) == 0;
        good = good && net_route_put(conn, &route, &err) == -EPERM;
        good = good && strstr(err.msg, "CAP_NET_ADMIN");
        good = good && tun_attach(fd, "tun-perm", &options, &err) == -EPERM;
        good = good && strstr(err.msg, "CAP_NET_ADMIN");
        if (!good)
            fprintf(stderr, "without rights: \"%s\"\n", err.msg);
        _exit(good ? 0 : 1);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    close(fd);
    assert_int_equal(routes(&route, 0).all, 0);
}

static int group_setup(void **state)
{
    struct tun_options options = {.persist = false};
    struct err err = {{0}};
    int rc;

    (void)state;
    rc = net_conn_open(&conn, &err);
    if (rc == 0)
        rc = tun_attach(take_tun_fd(), "tst0", &options, &err);
    if (rc == 0)
        rc = net_link_get(conn, "tst0", &dev, &err);
    if (rc < 0)
        fprintf(stderr, "# %s\n", err.msg);
    return rc;
}

static int group_teardown(void **state)
{
    (void)state;
    net_conn_close(conn);
    close(tun_fds[0]);
    return 0;
}

static int skip_all(const char *why)
{
    fprintf(stderr, "skipped: %s: %s\n", why, strerror(errno));
    return EXIT_SKIP;
}

/* A user namespace in which whoever we are is called ORDINARY_UID. */
static int map_uid(uid_t outside)
{
    _cleanup_(close_fdp) int fd = open("/proc/self/uid_map", O_WRONLY | O_CLOEXEC);

    return fd < 0 || dprintf(fd, "%d %u 1", ORDINARY_UID, outside) < 0 ? -1 : 0;
}

/* Become an ordinary uid with CAP_NET_ADMIN and nothing else. */
static int drop_rights(void)
{
    capng_clear(CAPNG_SELECT_BOTH);
    capng_update(CAPNG_ADD, CAPNG_EFFECTIVE | CAPNG_PERMITTED, CAP_NET_ADMIN);
    return full_root ? capng_change_id(ORDINARY_UID, ORDINARY_UID, CAPNG_DROP_SUPP_GRP)
                     : capng_apply(CAPNG_SELECT_CAPS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rights),
        cmocka_unit_test(test_link),
        cmocka_unit_test(test_addr),
        cmocka_unit_test(test_addr6),
        cmocka_unit_test(test_route),
        cmocka_unit_test(test_route_errors),
        cmocka_unit_test(test_many_routes),
        cmocka_unit_test(test_rule),
        cmocka_unit_test(test_rule_neighbours),
        cmocka_unit_test(test_tun),
        cmocka_unit_test(test_tun_framing),
        cmocka_unit_test(test_sysctl),
        cmocka_unit_test(test_sysctl6),
        cmocka_unit_test(test_forged_sender),
        cmocka_unit_test(test_dump_under_churn),
        cmocka_unit_test(test_without_rights),
    };
    uid_t uid = geteuid();

    full_root = uid == 0;
    if (unshare(full_root ? CLONE_NEWNET : CLONE_NEWUSER | CLONE_NEWNET) < 0)
        return skip_all("no network namespace");
    if (!full_root && map_uid(uid) < 0)
        return skip_all("no user namespace");
    for (size_t i = 0; i < ARRAY_SIZE(tun_fds); i++) {
        tun_fds[i] = open("/dev/net/tun", O_RDWR | O_CLOEXEC);
        if (tun_fds[i] < 0)
            return skip_all("/dev/net/tun");
    }
    if (drop_rights() != 0)
        return skip_all("cannot give up rights");
    return cmocka_run_group_tests_name("netlink", tests, group_setup, group_teardown);
}

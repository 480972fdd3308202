/* netlink/object: names, identity, attributes and text of kernel objects, without a kernel. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "common/cleanup.h"
#include "common/ip.h"
#include "netlink/object.h"
#include "tests/unit/expect.h"

static void test_ifname(void **state)
{
    static const char *const good[] = {"tun0", "a", "eth0.100", "a-b_c", "123456789012345", "..."};
    static const char *const bad[] = {"",     ".",     "..",    "1234567890123456",
                                      "a/b",  "a:b",   "a b",   "a\tb",
                                      "a\nb", "tun%d", "a\x7f", "a\xa0",
                                      "../x"};

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(good); i++)
        assert_true(net_ifname_valid(good[i]));
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
        assert_false(net_ifname_valid(bad[i]));
}

static void test_link(void **state)
{
    struct net_link want = {
        .name = "tun0", .alias = "vpn", .mtu = 1400, .up = true, .ip6ll = NET_IP6LL_NONE};
    struct net_link have = want;

    (void)state;
    have.ifindex = 7;
    have.carrier = true;
    strcpy(have.kind, "tun");
    assert_int_equal(net_link_cmp_id(&want, &have), 0);
    assert_int_equal(net_link_diff(&want, &have), 0);

    have.mtu = 1500;
    assert_int_equal(net_link_diff(&want, &have), NET_LINK_MTU);
    have.up = false;
    assert_int_equal(net_link_diff(&want, &have), NET_LINK_MTU | NET_LINK_UP);
    have = want;
    have.alias[0] = '\0';
    assert_int_equal(net_link_diff(&want, &have), NET_LINK_ALIAS);
    have = want;
    have.ip6ll = NET_IP6LL_AUTO;
    assert_int_equal(net_link_diff(&want, &have), NET_LINK_IP6LL);
    /* Without IPv6 nothing can be set, and nothing need be. */
    have.ip6ll = NET_IP6LL_ABSENT;
    assert_int_equal(net_link_diff(&want, &have), 0);

    strcpy(have.name, "tun1");
    assert_true(net_link_cmp_id(&want, &have) < 0);
    assert_true(net_link_cmp_id(&have, &want) > 0);
}

static void test_addr(void **state)
{
    struct net_addr a = {.ifindex = 3, .prefix = prefix("10.8.0.1/24"), .protocol = 86};
    struct net_addr b = a;

    (void)state;
    b.no_prefix_route = true;
    assert_int_equal(net_addr_cmp_id(&a, &b), 0);
    assert_false(net_addr_same(&a, &b));
    b = a;
    b.protocol = 87;
    assert_int_equal(net_addr_cmp_id(&a, &b), 0);
    assert_false(net_addr_same(&a, &b));
    b = a;
    b.has_peer = true;
    assert_false(net_addr_same(&a, &b));

    /* The length is part of an IPv4 address's identity and an attribute of an IPv6 one. */
    b = a;
    b.prefix.len = 16;
    assert_true(net_addr_cmp_id(&a, &b) > 0);
    a.prefix = prefix("fd08::1/64");
    b.prefix = prefix("fd08::1/80");
    assert_int_equal(net_addr_cmp_id(&a, &b), 0);
    assert_false(net_addr_same(&a, &b));

    b = a;
    b.ifindex = 4;
    assert_true(net_addr_cmp_id(&a, &b) < 0);
}

static void test_route(void **state)
{
    struct net_route a = {
        .dst = prefix("10.0.0.0/8"), .table = 101, .ifindex = 3, .metric = 5, .protocol = 87};
    struct net_route b = a;

    (void)state;
    b.ifindex = 4;
    assert_int_equal(net_route_cmp_id(&a, &b), 0);
    assert_false(net_route_same(&a, &b));
    b = a;
    b.type = NET_ROUTE_BLACKHOLE;
    assert_int_equal(net_route_cmp_id(&a, &b), 0);
    assert_false(net_route_same(&a, &b));
    b = a;
    b.protocol = 4;
    assert_false(net_route_same(&a, &b));
    b = a;
    b.has_more = true;
    assert_false(net_route_same(&a, &b));

    b = a;
    b.metric = 6;
    assert_true(net_route_cmp_id(&a, &b) < 0);
    b = a;
    b.table = 100;
    assert_true(net_route_cmp_id(&a, &b) > 0);
    b = a;
    b.dst = prefix("10.0.0.0/9");
    assert_true(net_route_cmp_id(&a, &b) < 0);

    /* The default route: the kernel sends it without a destination, people write 0.0.0.0/0. */
    a.dst = prefix("0.0.0.0/0");
    b = a;
    b.dst.addr = (struct ip_addr){.family = 4};
    assert_int_equal(net_route_cmp_id(&a, &b), 0);
    /* Both families have one, and they are two. */
    b.dst = prefix("::/0");
    assert_true(net_route_cmp_id(&a, &b) < 0);

    /* IPv6 keeps 1024 where 0 was asked for; IPv4 keeps 0. */
    a.dst = b.dst;
    a.metric = 0;
    b.metric = 1024;
    assert_int_equal(net_route_cmp_id(&a, &b), 0);
    a.dst = b.dst = prefix("0.0.0.0/0");
    assert_true(net_route_cmp_id(&a, &b) < 0);
}

static const struct net_rule base_rule = {
    .family = 4, .priority = 10101, .table = 101, .protocol = 87};

#define VARIANTS 10

/* Each way in which a rule can differ from base_rule. */
static struct net_rule variant(unsigned int which)
{
    struct net_rule rule = base_rule;

    switch (which) {
    case 0:
        rule.from = prefix("10.8.0.0/24");
        break;
    case 1:
        rule.to = prefix("10.9.0.0/16");
        break;
    case 2:
        strcpy(rule.iif, "tun0");
        break;
    case 3:
        strcpy(rule.oif, "tun0");
        break;
    case 4:
        rule.mark = 1;
        rule.mask = 0xff;
        break;
    case 5:
        rule.has_uids = true;
        rule.uid_first = rule.uid_last = 1101;
        break;
    case 6:
        rule.has_suppress = true;
        break;
    case 7:
        rule.ip_proto = 17;
        break;
    case 8:
        rule.sport = 53;
        break;
    case 9:
        rule.dport = 53;
        break;
    default:
        break;
    }
    return rule;
}

static void test_rule_identity(void **state)
{
    struct net_rule a = base_rule, b;

    (void)state;
    for (unsigned int i = 0; i < VARIANTS; i++) {
        a = variant(i);
        assert_int_equal(net_rule_cmp_id(&a, &a), 0);
        for (unsigned int j = i + 1; j <= VARIANTS; j++) {
            b = variant(j);
            assert_int_not_equal(net_rule_cmp_id(&a, &b), 0);
            assert_int_equal(net_rule_cmp_id(&a, &b) < 0, net_rule_cmp_id(&b, &a) > 0);
        }
    }
    a = b = variant(4);
    b.invert = true;
    assert_true(net_rule_cmp_id(&a, &b) < 0);
    b = a;
    b.mark = 2;
    assert_true(net_rule_cmp_id(&a, &b) < 0);
    /* Without a mask the mark says nothing. */
    a.mask = b.mask = 0;
    assert_int_equal(net_rule_cmp_id(&a, &b), 0);
    a = b = variant(5);
    b.uid_last++;
    assert_true(net_rule_cmp_id(&a, &b) < 0);
    a = b = base_rule;
    b.protocol = 3;
    assert_true(net_rule_cmp_id(&a, &b) > 0);
    b = a;
    b.family = 6;
    assert_true(net_rule_cmp_id(&a, &b) < 0);
    b = a;
    b.has_more = true;
    assert_true(net_rule_cmp_id(&a, &b) < 0);
}

static void test_rule_hits(void **state)
{
    struct net_rule plain = base_rule, other;

    (void)state;
    for (unsigned int i = 0; i < VARIANTS; i++) {
        struct net_rule narrow = variant(i);

        /* A request that carries less hits rules that have more, never the other way round. */
        assert_true(net_rule_hits(&plain, &narrow));
        assert_false(net_rule_hits(&narrow, &plain));
        assert_true(net_rule_hits(&narrow, &narrow));
    }
    other = plain;
    other.invert = true;
    assert_true(net_rule_hits(&plain, &other));
    other = plain;
    other.priority++;
    assert_false(net_rule_hits(&plain, &other));
    other = plain;
    other.table++;
    assert_false(net_rule_hits(&plain, &other));
    other = plain;
    other.family = 6;
    assert_false(net_rule_hits(&plain, &other));
    other = plain;
    other.protocol = 3;
    assert_false(net_rule_hits(&plain, &other));
}

static void test_format(void **state)
{
    char buf[NET_FORMAT_SIZE];
    struct net_addr addr = {.ifindex = 3, .prefix = prefix("fd08::1/64")};
    struct net_route route = {
        .dst = prefix("0.0.0.0/0"), .table = 101, .ifindex = 3, .protocol = 87};
    struct net_rule rule = variant(5);

    (void)state;
    assert_string_equal(net_addr_format(&addr, "tun0", buf), "fd08::1/64 dev tun0");
    assert_string_equal(net_addr_format(&addr, NULL, buf), "fd08::1/64 dev #3");
    assert_string_equal(net_route_format(&route, "tun101", buf),
                        "default dev tun101 table 101 proto 87");
    route = (struct net_route){.dst = prefix("fd09::/16"),
                               .table = 254,
                               .type = NET_ROUTE_UNREACHABLE,
                               .metric = 9,
                               .protocol = 86};
    assert_string_equal(net_route_format(&route, NULL, buf),
                        "unreachable fd09::/16 metric 9 proto 86");
    assert_string_equal(net_rule_format(&rule, buf),
                        "10101: from all uidrange 1101-1101 lookup 101 proto 87");
    rule.ip_proto = 17;
    rule.sport = 40000;
    rule.dport = 53;
    assert_string_equal(net_rule_format(&rule, buf),
                        "10101: from all uidrange 1101-1101 ipproto udp sport 40000 dport 53 "
                        "lookup 101 proto 87");
    rule = variant(4);
    rule.from = prefix("10.8.0.0/24");
    rule.invert = true;
    assert_string_equal(net_rule_format(&rule, buf),
                        "10101: not from 10.8.0.0/24 fwmark 0x1/0xff lookup 101 proto 87");

    /* The longest rule fits. */
    rule = (struct net_rule){.family = 6,
                             .priority = UINT32_MAX,
                             .from = prefix("1111:2222:3333:4444:5555:6666:7777:8888/128"),
                             .to = prefix("1111:2222:3333:4444:5555:6666:7777:8888/128"),
                             .iif = "123456789012345",
                             .oif = "123456789012345",
                             .mark = UINT32_MAX,
                             .mask = UINT32_MAX - 1,
                             .has_uids = true,
                             .uid_first = UINT32_MAX,
                             .uid_last = UINT32_MAX,
                             .invert = true,
                             .table = UINT32_MAX,
                             .has_suppress = true,
                             .suppress_prefixlen = 128,
                             .protocol = 255};
    net_rule_format(&rule, buf);
    assert_non_null(strstr(buf, "suppress_prefixlength 128 proto 255"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ifname),        cmocka_unit_test(test_link),
        cmocka_unit_test(test_addr),          cmocka_unit_test(test_route),
        cmocka_unit_test(test_rule_identity), cmocka_unit_test(test_rule_hits),
        cmocka_unit_test(test_format),
    };

    return cmocka_run_group_tests_name("netobject", tests, NULL, NULL);
}

/* Traffic control: what the kernel tells apart, what it lets be changed, order, and the text. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "netlink/tc.h"

static const struct net_qdisc htb = {
    .ifindex = 3,
    .parent = NET_TC_ROOT,
    .handle = NET_TC_HANDLE(1, 0),
    .kind = NET_QDISC_HTB,
    .htb_default = 2,
};
static const struct net_qdisc fq = {
    .ifindex = 3,
    .parent = NET_TC_HANDLE(1, 0x10),
    .handle = NET_TC_HANDLE(0x110, 0),
    .kind = NET_QDISC_FQ_CODEL,
    .fq = {.limit = 1000,
           .flows = 64,
           .quantum = 1414,
           .target_us = 5000,
           .interval_us = 100000,
           .memory_limit = 1 << 20,
           .ecn = true},
};
static const struct net_class vip = {
    .ifindex = 3,
    .handle = NET_TC_HANDLE(1, 0x10),
    .parent = NET_TC_HANDLE(1, 1),
    .rate_bytes_s = 625000,
    .ceil_bytes_s = 1250000,
    .burst_us = 2560,
    .cburst_us = 1280,
    .quantum = 3000,
    .prio = 1,
};

static struct net_filter filter_to(const char *prefix)
{
    struct net_filter filter = {
        .ifindex = 3,
        .parent = NET_TC_HANDLE(1, 0),
        .pref = 10,
        .handle = NET_U32_HANDLE(0x100, 5, 1),
        .kind = NET_FILTER_CLASS,
        .side = NET_FILTER_DST,
        .classid = NET_TC_HANDLE(1, 0x10),
    };

    assert_int_equal(ip_prefix_parse(prefix, &filter.prefix), 0);
    filter.family = filter.prefix.addr.family;
    return filter;
}

static void test_qdisc(void **state)
{
    struct net_qdisc other = htb;
    char buf[NET_FORMAT_SIZE];

    (void)state;
    assert_int_equal(net_qdisc_diff(&htb, &other), NET_TC_SAME);
    other.htb_default = 3; /* HTB takes no change at all */
    assert_int_equal(net_qdisc_diff(&htb, &other), NET_TC_RECREATE);
    other = htb;
    other.handle = NET_TC_HANDLE(2, 0);
    assert_int_equal(net_qdisc_cmp_id(&htb, &other), 0);
    assert_int_equal(net_qdisc_diff(&htb, &other), NET_TC_RECREATE);
    other = htb;
    other.has_more = true;
    assert_int_equal(net_qdisc_diff(&htb, &other), NET_TC_RECREATE);
    other.parent = NET_TC_INGRESS;
    assert_int_not_equal(net_qdisc_cmp_id(&htb, &other), 0);
    assert_string_equal(net_qdisc_format(&htb, "tun0", buf),
                        "qdisc htb 1: dev tun0 root default 0x2");
    assert_string_equal(net_qdisc_format(&fq, NULL, buf),
                        "qdisc fq_codel 110: dev #3 parent 1:10 limit 1000p flows 64 quantum 1414 "
                        "target 5ms interval 100ms memory_limit 1048576b ecn");
}

static void test_qdisc_leaf(void **state)
{
    struct net_qdisc other = fq;

    (void)state;
    other.fq.target_us = 4999; /* how the kernel remembers 5000 */
    assert_int_equal(net_qdisc_diff(&fq, &other), NET_TC_SAME);
    other.fq.target_us = 4990;
    assert_int_equal(net_qdisc_diff(&fq, &other), NET_TC_CHANGE);
    other = fq;
    other.fq.flows = 1024;
    assert_int_equal(net_qdisc_diff(&fq, &other), NET_TC_RECREATE);
    other = fq;
    other.kind = NET_QDISC_BFIFO;
    assert_int_equal(net_qdisc_diff(&fq, &other), NET_TC_RECREATE);
    other.bfifo_limit_bytes = 10000;
    struct net_qdisc smaller = other;
    smaller.bfifo_limit_bytes = 5000;
    assert_int_equal(net_qdisc_diff(&smaller, &other), NET_TC_CHANGE);
}

static void test_class(void **state)
{
    struct net_class other = vip;
    char buf[NET_FORMAT_SIZE];

    (void)state;
    assert_int_equal(net_class_diff(&vip, &other), NET_TC_SAME);
    other.ceil_bytes_s++;
    assert_int_equal(net_class_diff(&vip, &other), NET_TC_CHANGE);
    other = vip;
    other.prio = 2;
    assert_int_equal(net_class_diff(&vip, &other), NET_TC_CHANGE);
    other.inner = true; /* the kernel passes over an inner class's priority */
    assert_int_equal(net_class_diff(&vip, &other), NET_TC_SAME);
    other = vip;
    other.parent = NET_TC_HANDLE(1, 0);
    assert_int_equal(net_class_cmp_id(&vip, &other), 0);
    assert_int_equal(net_class_diff(&vip, &other), NET_TC_RECREATE);
    assert_string_equal(net_class_format(&vip, "tun0", buf),
                        "class htb 1:10 dev tun0 parent 1:1 prio 1 rate 5Mbit ceil 10Mbit "
                        "burst 1600b cburst 1600b quantum 3000");
    assert_string_equal(net_class_format(&other, "tun0", buf),
                        "class htb 1:10 dev tun0 root prio 1 rate 5Mbit ceil 10Mbit "
                        "burst 1600b cburst 1600b quantum 3000");
}

static void test_filter(void **state)
{
    struct net_filter a = filter_to("10.8.0.5/32");
    struct net_filter b = a;
    struct net_filter table = {.ifindex = 3,
                               .parent = NET_TC_HANDLE(1, 0),
                               .pref = 10,
                               .family = 4,
                               .handle = NET_U32_HANDLE(0x100, 0, 0),
                               .kind = NET_FILTER_TABLE,
                               .buckets = 256};
    struct net_filter link = a;
    char buf[NET_FORMAT_SIZE];

    (void)state;
    b.classid = NET_TC_HANDLE(1, 0x11);
    assert_int_equal(net_filter_diff(&a, &b), NET_TC_CHANGE);
    b = filter_to("10.8.1.5/32");
    assert_int_equal(net_filter_cmp_id(&a, &b), 0);
    assert_int_equal(net_filter_diff(&a, &b), NET_TC_RECREATE);
    link.kind = NET_FILTER_LINK;
    link.handle = NET_U32_HANDLE(0, 0, 1);
    link.side = NET_FILTER_ANY;
    link.table = 1;
    link.hash_side = NET_FILTER_DST;
    link.hash_byte = 2;
    assert_true(net_filter_rank(&table) < net_filter_rank(&a));
    assert_true(net_filter_rank(&a) < net_filter_rank(&link));
    assert_true(net_filter_lingers(&table) && !net_filter_lingers(&link));
    assert_string_equal(net_filter_format(&a, "tun0", buf),
                        "filter dev tun0 parent 1: protocol ip pref 10 u32 fh 100:5:1 "
                        "match ip dst 10.8.0.5/32 flowid 1:10");
    assert_string_equal(net_filter_format(&table, "tun0", buf),
                        "filter dev tun0 parent 1: protocol ip pref 10 u32 fh 100: ht divisor 256");
    assert_string_equal(net_filter_format(&link, "tun0", buf),
                        "filter dev tun0 parent 1: protocol ip pref 10 u32 fh 0:0:1 "
                        "match u32 0 0 link 1: hashkey dst byte 2");
}

static void test_below(void **state)
{
    struct net_qdisc ingress = {.parent = NET_TC_INGRESS, .handle = NET_TC_INGRESS_HANDLE};

    (void)state;
    assert_true(net_tc_below(&htb, vip.handle));
    assert_true(net_tc_below(&htb, fq.parent));
    assert_false(net_tc_below(&htb, htb.parent));
    assert_false(net_tc_below(&fq, vip.handle));
    assert_false(net_tc_below(&ingress, NET_TC_ROOT));
    assert_false(net_tc_below(&ingress, NET_TC_INGRESS));
    assert_true(net_tc_below(&ingress, NET_TC_CLSACT_INGRESS));
}

static void test_rates(void **state)
{
    static const struct {
        uint64_t bytes_s;
        const char *text;
    } rates[] = {
        {0, "0bit"},          {1, "8bit"},        {312500, "2500Kbit"},
        {125000000, "1Gbit"}, {80000, "640Kbit"}, {UINT64_MAX, "18446744073709551615*8bit"},
    };
    char buf[32];

    (void)state;
    for (size_t i = 0; i < sizeof(rates) / sizeof(rates[0]); i++)
        assert_string_equal(net_rate_format(rates[i].bytes_s, buf), rates[i].text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_qdisc), cmocka_unit_test(test_qdisc_leaf),
        cmocka_unit_test(test_class), cmocka_unit_test(test_filter),
        cmocka_unit_test(test_below), cmocka_unit_test(test_rates),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

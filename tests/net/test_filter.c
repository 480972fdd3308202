/*
 * netlink/'s filters against the real kernel: where packets go by them, and what holds on to what.
 * tc(8) is the witness of what we write, and somebody else whose things we read.
 *
 *   host ── tq0 (TUN; this program is the wire) ── HTB on its way out
 *                       ingress of tq0 ─ mirred ─► tq1 (ifb) ── HTB
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <unistd.h>
#include <cmocka.h>

#include "common/cleanup.h"
#include "netlink/tun.h"
#include "tests/net/traffic_rig.h"
#include "tests/net/witness.h"

#define PREF 1

static struct net_filter filter_on(uint32_t ifindex, uint32_t handle, enum net_filter_kind kind)
{
    struct net_filter filter = {
        .ifindex = ifindex,
        .parent = NET_TC_HANDLE(1, 0),
        .pref = PREF,
        .handle = handle,
        .kind = kind,
        .buckets = kind == NET_FILTER_TABLE ? NET_U32_BUCKETS : 0,
    };

    return filter;
}

static void assert_filter(const struct net_filter *want)
{
    char text[NET_FORMAT_SIZE];

    for (size_t i = 0; i < seen.n; i++) {
        if (net_filter_cmp_id(want, &seen.filter[i]) == 0) {
            if (net_filter_diff(want, &seen.filter[i]) != NET_TC_SAME)
                fail_msg("there is: %s", net_filter_format(&seen.filter[i], NULL, text));
            return;
        }
    }
    fail_msg("missing: %s", net_filter_format(want, NULL, text));
}

/* The tables for one family: low byte over the byte before it. */
static void hash_tables(uint32_t ifindex, enum net_filter_side side)
{
    struct net_filter first = filter_on(ifindex, NET_U32_HANDLE(1, 0, 0), NET_FILTER_TABLE);
    struct net_filter second = filter_on(ifindex, NET_U32_HANDLE(0x100, 0, 0), NET_FILTER_TABLE);
    struct net_filter inner = filter_on(ifindex, NET_U32_HANDLE(1, 0, 1), NET_FILTER_LINK);
    struct net_filter outer = filter_on(ifindex, NET_U32_HANDLE(0, 0, 4), NET_FILTER_LINK);

    OK(filter_do(NET_TC_ADD, &first, &err));
    OK(filter_do(NET_TC_ADD, &second, &err));
    FAILS(-EEXIST, "", filter_do(NET_TC_ADD, &second, &err));
    inner.side = NET_FILTER_VERSION;
    inner.prefix.addr.family = 4;
    inner.table = 0x100;
    inner.hash_side = side;
    inner.hash_byte = 3;
    OK(filter_do(NET_TC_ADD, &inner, &err));
    outer.side = NET_FILTER_VERSION;
    outer.prefix.addr.family = 4;
    outer.table = 1;
    outer.hash_side = side;
    outer.hash_byte = 2;
    OK(filter_do(NET_TC_ADD, &outer, &err));
    assert_int_equal(filters(ifindex, NET_TC_HANDLE(1, 0)), 4);
    assert_filter(&first);
    assert_filter(&second);
    assert_filter(&inner);
    assert_filter(&outer);
}

static struct net_filter host_filter(uint32_t ifindex, uint32_t handle, enum net_filter_side side,
                                     const char *text, uint32_t minor)
{
    struct net_filter filter = filter_on(ifindex, handle, NET_FILTER_CLASS);

    filter.prefix = prefix(text);
    filter.side = side;
    filter.classid = NET_TC_HANDLE(1, minor);
    return filter;
}

static void test_filter(void **state)
{
    static const struct {
        const char *prefix;
        uint32_t handle;
        const char *hit, *miss;
    } keys[] = {
        {"10.8.0.5/32", NET_U32_HANDLE(0x100, 5, 1), "10.8.0.5", "10.8.0.6"},
        {"10.9.128.0/17", NET_U32_HANDLE(0, 0, 8), "10.9.200.1", "10.9.1.1"},
        {"fd08::5/128", NET_U32_HANDLE(0, 0, 9), "fd08::5", "fd08::6"},
        {"fd08:0:0:7::/64", NET_U32_HANDLE(0, 0, 10), "fd08:0:0:7::1", "fd08:0:0:8::1"},
        {"fd08:0:1::/48", NET_U32_HANDLE(0, 0, 11), "fd08:0:1::2", "fd08:0:2::2"},
    };
    struct net_qdisc htb = htb_on(tun);

    (void)state;
    small_tree(tun);
    hash_tables(tun, NET_FILTER_DST);
    for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
        struct net_filter filter =
            host_filter(tun, keys[i].handle, NET_FILTER_DST, keys[i].prefix, 0x10);
        uint64_t before, other;

        OK(filter_do(NET_TC_ADD, &filter, &err));
        filters(tun, htb.handle);
        assert_filter(&filter);
        before = class_packets(tun, 0x10);
        other = class_packets(tun, 2);
        ping_out(keys[i].hit);
        assert_int_equal(class_packets(tun, 0x10), before + 1);
        ping_out(keys[i].miss);
        assert_int_equal(class_packets(tun, 2), other + 1);
        /* Another class in place; a filter in table 0 is found by what a dump says of it. */
        filters(tun, htb.handle);
        for (size_t k = 0; k < seen.n; k++) {
            if (net_filter_cmp_id(&filter, &seen.filter[k]) == 0)
                filter.root_table = seen.filter[k].root_table;
        }
        filter.classid = NET_TC_HANDLE(1, 0x11);
        before = class_packets(tun, 0x11);
        OK(filter_do(NET_TC_ALTER, &filter, &err));
        ping_out(keys[i].hit);
        assert_int_equal(class_packets(tun, 0x11), before + 1);
        OK(filter_do(NET_TC_DEL, &filter, &err));
        before = class_packets(tun, 2);
        ping_out(keys[i].hit);
        assert_int_equal(class_packets(tun, 2), before + 1);
    }
    OK(qdisc_do(NET_TC_DEL, &htb, &err));
}

/* What a class holds on to, and what goes by itself. */
static void test_order(void **state)
{
    struct net_qdisc htb = htb_on(tun);
    struct net_class leaf = class_on(tun, 0x10, 1, 10000);
    struct net_filter filter;

    (void)state;
    small_tree(tun);
    hash_tables(tun, NET_FILTER_DST);
    filter = host_filter(tun, NET_U32_HANDLE(0x100, 5, 1), NET_FILTER_DST, "10.8.0.5/32", 0x10);
    OK(filter_do(NET_TC_ADD, &filter, &err));
    FAILS(-EBUSY, "", class_do(NET_TC_DEL, &leaf, &err));
    OK(filter_do(NET_TC_DEL, &filter, &err));
    OK(class_do(NET_TC_DEL, &leaf, &err));
    OK(qdisc_do(NET_TC_DEL, &htb, &err));
    assert_int_equal(classes(tun), 0);
    /* After the last filter of the only priority everything of it is gone, tables as well. */
    small_tree(tun);
    hash_tables(tun, NET_FILTER_DST);
    must("tc filter del dev tq0 parent 1: pref 1");
    assert_int_equal(filters(tun, htb.handle), 0);
    hash_tables(tun, NET_FILTER_DST);
    OK(qdisc_do(NET_TC_DEL, &htb, &err));
}

/* Others' filters: read, never taken for ours. */
static void test_foreign(void **state)
{
    struct net_qdisc htb = htb_on(tun);

    (void)state;
    small_tree(tun);
    must("tc filter add dev tq0 parent 1: protocol ip pref 9 u32 match ip sport 53 0xffff "
         "flowid 1:10");
    must("tc filter add dev tq0 parent 1: protocol ipv6 pref 8 u32 match ip6 dst fd08::/64 "
         "flowid 1:10");
    must("tc filter add dev tq0 parent 1: protocol 802.1q pref 7 u32 match u32 0 0 flowid 1:10");
    must("tc filter add dev tq0 parent 1: protocol ip pref 6 u32 match ip src 10.0.0.0/8 "
         "match ip dst 10.0.0.0/8 flowid 1:10");
    assert_int_equal(filters(tun, htb.handle), 4);
    for (size_t i = 0; i < seen.n; i++) {
        const struct net_filter *filter = &seen.filter[i];

        assert_int_equal(filter->has_more, filter->pref != 8);
        assert_int_equal(filter->other, filter->pref == 7 ? 0x8100 : 0);
        OK(filter_do(NET_TC_DEL, filter, &err));
    }
    assert_int_equal(filters(tun, htb.handle), 0);
    OK(qdisc_do(NET_TC_DEL, &htb, &err));
}

/* Packets that the TUN receives pass the other device's tree. */
static void test_redirect(void **state)
{
    static const uint8_t packet[TUN_VNET_HDR_LEN + 28] = {[TUN_VNET_HDR_LEN] = 0x45,
                                                          [TUN_VNET_HDR_LEN + 3] = 28,
                                                          [TUN_VNET_HDR_LEN + 8] = 64,
                                                          [TUN_VNET_HDR_LEN + 9] = 17,
                                                          [TUN_VNET_HDR_LEN + 12] = 10,
                                                          8,
                                                          0,
                                                          5,
                                                          10,
                                                          8,
                                                          0,
                                                          1};
    struct net_qdisc ingress = {.ifindex = tun,
                                .parent = NET_TC_INGRESS,
                                .handle = NET_TC_INGRESS_HANDLE,
                                .kind = NET_QDISC_INGRESS};
    struct net_filter redirect = {.ifindex = tun,
                                  .parent = NET_TC_INGRESS_HANDLE,
                                  .pref = PREF,
                                  .handle = NET_U32_HANDLE(0, 0, 1),
                                  .kind = NET_FILTER_REDIRECT,
                                  .redirect_ifindex = ifb};
    struct net_filter filter;

    (void)state;
    small_tree(ifb);
    hash_tables(ifb, NET_FILTER_SRC);
    filter = host_filter(ifb, NET_U32_HANDLE(0x100, 5, 1), NET_FILTER_SRC, "10.8.0.5/32", 0x10);
    OK(filter_do(NET_TC_ADD, &filter, &err));
    OK(qdisc_do(NET_TC_ADD, &ingress, &err));
    OK(filter_do(NET_TC_ADD, &redirect, &err));
    assert_int_equal(filters(tun, NET_TC_INGRESS_HANDLE), 1);
    assert_filter(&redirect);
    shows("tc filter show dev tq0 ingress", "mirred (Egress Redirect to device tq1)");
    assert_int_equal(write(tun_fd, packet, sizeof(packet)), sizeof(packet));
    assert_int_equal(class_packets(ifb, 0x10), 1);
    /* The device goes, and what is left is seen to be another filter. */
    must("ip link del tq1");
    filters(tun, NET_TC_INGRESS_HANDLE);
    assert_int_equal(net_filter_diff(&redirect, &seen.filter[0]), NET_TC_RECREATE);
    OK(qdisc_do(NET_TC_DEL, &ingress, &err));
    must("ip link add tq1 type ifb && ip link set tq1 up");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(test_filter, clean),
        cmocka_unit_test_teardown(test_order, clean),
        cmocka_unit_test_teardown(test_redirect, clean),
        cmocka_unit_test_teardown(test_foreign, clean),
    };
    const int rc = rig_enter();

    return rc ? rc : cmocka_run_group_tests_name("filter", tests, rig_setup, rig_teardown);
}

/*
 * netlink/'s traffic control against the real kernel, in a network namespace of its own, with tc(8)
 * as the witness of what we write and as somebody else whose things we read.
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
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <cmocka.h>

#include "common/cleanup.h"
#include "common/ip.h"
#include "netlink/class.h"
#include "netlink/conn.h"
#include "netlink/filter.h"
#include "netlink/link.h"
#include "netlink/msg.h"
#include "netlink/qdisc.h"
#include "netlink/tc_probe.h"
#include "netlink/tun.h"
#include "tests/net/netns.h"
#include "tests/net/witness.h"
#include "tests/unit/expect.h"

#define SEEN_MAX 64
#define PREF     1

static struct net_conn *conn;
static int tun_fd = -1;
static uint32_t tun, ifb;

static int send_built(int rc, struct nl_msg **msg, struct err *err)
{
    if (rc == 0)
        rc = net_request(conn, *msg, err);
    net_msg_freep(msg);
    *msg = NULL;
    return rc;
}

static int qdisc_do(enum net_tc_verb verb, const struct net_qdisc *qdisc, struct err *err)
{
    struct nl_msg *msg = NULL;

    return send_built(net_qdisc_build(verb, qdisc, &msg), &msg, err);
}

static int class_do(enum net_tc_verb verb, const struct net_class *cls, struct err *err)
{
    struct nl_msg *msg = NULL;

    return send_built(net_class_build(verb, cls, &msg), &msg, err);
}

static int filter_do(enum net_tc_verb verb, const struct net_filter *filter, struct err *err)
{
    struct nl_msg *msg = NULL;

    return send_built(net_filter_build(verb, filter, &msg), &msg, err);
}

static struct net_qdisc htb_on(uint32_t ifindex)
{
    struct net_qdisc qdisc = {
        .ifindex = ifindex,
        .parent = NET_TC_ROOT,
        .handle = NET_TC_HANDLE(1, 0),
        .kind = NET_QDISC_HTB,
        .htb_default = 2,
    };

    return qdisc;
}

static struct net_class class_on(uint32_t ifindex, uint32_t minor, uint32_t parent_minor,
                                 uint64_t kbit)
{
    struct net_class cls = {
        .ifindex = ifindex,
        .handle = NET_TC_HANDLE(1, minor),
        .parent = NET_TC_HANDLE(1, parent_minor),
        .rate_bytes_s = kbit * 125,
        .ceil_bytes_s = kbit * 250,
        .burst_us = 2560,
        .cburst_us = 1283,
        .quantum = 1514,
        .prio = 3,
    };

    return cls;
}

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

/* ---- what is there ------------------------------------------------------------------------- */

static struct {
    struct net_qdisc qdisc[SEEN_MAX];
    struct net_class cls[SEEN_MAX];
    struct net_filter filter[SEEN_MAX];
    struct net_tc_stats stats[SEEN_MAX];
    size_t n;
} seen;

static int see_qdisc(const struct net_qdisc *qdisc, const struct net_tc_stats *stats, void *ctx)
{
    (void)ctx;
    assert_true(seen.n < SEEN_MAX);
    seen.stats[seen.n] = *stats;
    seen.qdisc[seen.n++] = *qdisc;
    return 0;
}

static int see_class(const struct net_class *cls, const struct net_tc_stats *stats, void *ctx)
{
    (void)ctx;
    assert_true(seen.n < SEEN_MAX);
    seen.stats[seen.n] = *stats;
    seen.cls[seen.n++] = *cls;
    return 0;
}

static int see_filter(const struct net_filter *filter, void *ctx)
{
    (void)ctx;
    assert_true(seen.n < SEEN_MAX);
    seen.filter[seen.n++] = *filter;
    return 0;
}

static size_t qdiscs(uint32_t ifindex)
{
    seen.n = 0;
    OK(net_qdisc_dump(conn, ifindex, see_qdisc, NULL, &err));
    return seen.n;
}

static size_t classes(uint32_t ifindex)
{
    seen.n = 0;
    OK(net_class_dump(conn, ifindex, NET_TC_HANDLE(1, 0), see_class, NULL, &err));
    return seen.n;
}

static size_t filters(uint32_t ifindex, uint32_t parent)
{
    seen.n = 0;
    OK(net_filter_dump(conn, ifindex, parent, see_filter, NULL, &err));
    return seen.n;
}

static void assert_class(const struct net_class *want)
{
    for (size_t i = 0; i < seen.n; i++) {
        if (net_class_cmp_id(want, &seen.cls[i]) == 0) {
            assert_int_equal(net_class_diff(want, &seen.cls[i]), NET_TC_SAME);
            return;
        }
    }
    fail_msg("class %x is missing", want->handle);
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

static uint64_t class_packets(uint32_t ifindex, uint32_t minor)
{
    classes(ifindex);
    for (size_t i = 0; i < seen.n; i++) {
        if (NET_TC_MINOR(seen.cls[i].handle) == minor)
            return seen.stats[i].packets;
    }
    fail_msg("no class %x", minor);
    return 0;
}

/* ---- tests --------------------------------------------------------------------------------- */

static void test_qdisc(void **state)
{
    struct net_qdisc htb = htb_on(tun);
    struct net_qdisc ingress = {.ifindex = tun,
                                .parent = NET_TC_INGRESS,
                                .handle = NET_TC_INGRESS_HANDLE,
                                .kind = NET_QDISC_INGRESS};

    (void)state;
    assert_int_equal(qdiscs(tun), 0); /* what the kernel chose does not count */
    OK(qdisc_do(NET_TC_ADD, &htb, &err));
    FAILS(-EEXIST, "", qdisc_do(NET_TC_ADD, &htb, &err));
    OK(qdisc_do(NET_TC_ADD, &ingress, &err));
    assert_int_equal(qdiscs(tun), 2);
    assert_int_equal(net_qdisc_diff(&htb, &seen.qdisc[0]), NET_TC_SAME);
    assert_int_equal(net_qdisc_cmp_id(&ingress, &seen.qdisc[1]), 0);
    assert_int_equal(net_qdisc_diff(&ingress, &seen.qdisc[1]), NET_TC_SAME);
    shows("tc qdisc show dev tq0", "qdisc htb 1: root refcnt 2 r2q 10 default 0x2");
    /* What makes an HTB qdisc a matter of recreating. */
    htb.htb_default = 3;
    FAILS(-EINVAL, "Change operation not supported", qdisc_do(NET_TC_ALTER, &htb, &err));
    OK(qdisc_do(NET_TC_DEL, &htb, &err));
    ingress.kind = NET_QDISC_CLSACT;
    seen.qdisc[1].has_more = false;
    OK(qdisc_do(NET_TC_DEL, &seen.qdisc[1], &err));
    OK(qdisc_do(NET_TC_ADD, &ingress, &err));
    shows("tc qdisc show dev tq0", "qdisc clsact ffff: parent ffff:fff1");
    OK(qdisc_do(NET_TC_DEL, &ingress, &err));
    FAILS(-EINVAL, "", qdisc_do(NET_TC_ADD, &(struct net_qdisc){.ifindex = tun}, &err));
    must("tc qdisc add dev tq0 root handle 7: pfifo limit 5");
    assert_int_equal(qdiscs(0), 1);
    assert_int_equal(seen.qdisc[0].kind, NET_QDISC_OTHER);
    assert_string_equal(seen.qdisc[0].other, "pfifo");
    OK(qdisc_do(NET_TC_DEL, &seen.qdisc[0], &err));
}

static void test_class(void **state)
{
    struct net_qdisc htb = htb_on(tun);
    struct net_class total = class_on(tun, 1, 0, 10000);
    struct net_class leaf = class_on(tun, 0x10, 1, 5000);
    struct net_class fast = class_on(tun, 0x11, 1, 40000000);

    (void)state;
    OK(qdisc_do(NET_TC_ADD, &htb, &err));
    OK(class_do(NET_TC_ADD, &total, &err));
    OK(class_do(NET_TC_ADD, &leaf, &err));
    OK(class_do(NET_TC_ADD, &fast, &err));
    assert_int_equal(classes(tun), 3);
    assert_class(&total);
    assert_class(&leaf);
    assert_class(&fast);
    shows("tc class show dev tq0", "class htb 1:10 parent 1:1 prio 3 rate 5Mbit ceil 10Mbit "
                                   "burst 1600b cburst 1602b");
    shows("tc class show dev tq0", "rate 40Gbit ceil 80Gbit");
    leaf.rate_bytes_s = 250000;
    leaf.prio = 1;
    leaf.quantum = 3000;
    OK(class_do(NET_TC_ALTER, &leaf, &err));
    classes(tun);
    assert_class(&leaf);
    /* The parent now has children: these two no longer count. */
    total.quantum = 60000;
    classes(tun);
    assert_class(&total);
    FAILS(-EBUSY, "", class_do(NET_TC_DEL, &total, &err));
    FAILS(-EEXIST, "", class_do(NET_TC_ADD, &leaf, &err));
    OK(class_do(NET_TC_DEL, &leaf, &err));
    leaf.rate_bytes_s = 0;
    FAILS(-EINVAL, "", class_do(NET_TC_ADD, &leaf, &err));
    OK(qdisc_do(NET_TC_DEL, &htb, &err));
}

static void leaf_round_trip(const struct net_qdisc *leaf, const char *tc_shows)
{
    qdiscs(tun);
    for (size_t i = 0; i < seen.n; i++) {
        if (net_qdisc_cmp_id(&seen.qdisc[i], leaf) == 0)
            assert_int_equal(net_qdisc_diff(leaf, &seen.qdisc[i]), NET_TC_SAME);
    }
    assert_int_equal(seen.n, 2);
    shows("tc qdisc show dev tq0", tc_shows);
}

static void test_splitter(void **state)
{
    struct net_qdisc tbf = {.ifindex = tun,
                            .parent = NET_TC_ROOT,
                            .handle = NET_TC_HANDLE(0xfffe, 0),
                            .kind = NET_QDISC_TBF,
                            .tbf = {.rate_bytes_s = UINT64_C(12500000000), .max_bytes = 1400}};
    struct net_qdisc htb = htb_on(tun);

    (void)state;
    htb.parent = NET_TC_HANDLE(0xfffe, 1);
    OK(qdisc_do(NET_TC_ADD, &tbf, &err));
    OK(qdisc_do(NET_TC_ADD, &htb, &err));
    leaf_round_trip(&tbf, "qdisc tbf fffe: root");
    leaf_round_trip(&htb, "qdisc htb 1: parent fffe:1");
    tbf.tbf.max_bytes = 1280;
    tbf.tbf.rate_bytes_s = 125000;
    OK(qdisc_do(NET_TC_ALTER, &tbf, &err));
    leaf_round_trip(&tbf, "rate 1Mbit burst 1280b");
    leaf_round_trip(&htb, "qdisc htb 1: parent fffe:1");
    OK(qdisc_do(NET_TC_DEL, &tbf, &err));
}

static void test_leaves(void **state)
{
    struct net_qdisc htb = htb_on(tun);
    struct net_class cls = class_on(tun, 0x10, 0, 5000);
    struct net_qdisc leaf = {.ifindex = tun,
                             .parent = cls.handle,
                             .handle = NET_TC_HANDLE(0x110, 0),
                             .kind = NET_QDISC_BFIFO,
                             .bfifo_limit_bytes = 31250};
    struct err why = {{0}};
    int rc;

    (void)state;
    OK(qdisc_do(NET_TC_ADD, &htb, &err));
    OK(class_do(NET_TC_ADD, &cls, &err));
    OK(qdisc_do(NET_TC_ADD, &leaf, &err));
    leaf_round_trip(&leaf, "qdisc bfifo 110: parent 1:10 limit 31250b");
    leaf.bfifo_limit_bytes = 5000;
    OK(qdisc_do(NET_TC_ALTER, &leaf, &err));
    leaf_round_trip(&leaf, "limit 5000b");
    classes(tun);
    assert_int_equal(seen.cls[0].leaf, leaf.handle);
    OK(qdisc_do(NET_TC_DEL, &leaf, &err));

    leaf.kind = NET_QDISC_FQ_CODEL;
    leaf.fq = (struct net_fq_codel){.limit = 600,
                                    .flows = 64,
                                    .quantum = 1414,
                                    .target_us = 7300,
                                    .interval_us = 110000,
                                    .memory_limit = 1 << 20,
                                    .ecn = true};
    rc = qdisc_do(NET_TC_ADD, &leaf, &why);
    if (rc == -ENOENT) {
        assert_string_equal(why.msg, "Specified qdisc kind is unknown (No such file or directory)");
        fprintf(stderr, "# this kernel has no fq_codel\n");
    } else {
        assert_int_equal(rc, 0);
        leaf_round_trip(&leaf, "limit 600p flows 64 quantum 1414 target 7.3ms");
        assert_true(seen.stats[0].has_fq || seen.stats[1].has_fq);
        leaf.fq.target_us = 15000;
        leaf.fq.ecn = false;
        OK(qdisc_do(NET_TC_ALTER, &leaf, &err));
        leaf_round_trip(&leaf, "target 15ms");
    }
    OK(qdisc_do(NET_TC_DEL, &htb, &err));
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

static void small_tree(uint32_t ifindex)
{
    struct net_qdisc htb = htb_on(ifindex);
    static const uint32_t minors[] = {2, 0x10, 0x11};
    struct net_class total = class_on(ifindex, 1, 0, 100000);

    OK(qdisc_do(NET_TC_ADD, &htb, &err));
    OK(class_do(NET_TC_ADD, &total, &err));
    for (size_t i = 0; i < ARRAY_SIZE(minors); i++) {
        struct net_class leaf = class_on(ifindex, minors[i], 1, 10000);

        OK(class_do(NET_TC_ADD, &leaf, &err));
    }
}

static void ping_out(const char *to)
{
    struct ip_addr addr;
    struct ip_endpoint ep = {.port = 9};
    struct sockaddr_storage ss;
    socklen_t len;
    int fd;

    assert_int_equal(ip_addr_parse(to, &addr), 0);
    ep.addr = addr;
    len = ip_endpoint_to_sockaddr(&ep, &ss);
    fd = socket(ss.ss_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    assert_int_equal(sendto(fd, "ping", 4, 0, (struct sockaddr *)&ss, len), 4);
    close(fd);
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
    struct net_qdisc htb = htb_on(ifb);
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
    (void)htb;
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

static void test_stats(void **state)
{
    struct net_qdisc htb = htb_on(tun);

    (void)state;
    small_tree(tun);
    ping_out("10.8.0.77");
    ping_out("10.8.0.77");
    classes(tun);
    for (size_t i = 0; i < seen.n; i++) {
        bool leaf = NET_TC_MINOR(seen.cls[i].handle) == 2;

        if (leaf || NET_TC_MINOR(seen.cls[i].handle) == 1) {
            assert_int_equal(seen.stats[i].packets, 2);
            assert_int_equal(seen.stats[i].bytes, 2 * (20 + 8 + 4));
            assert_int_equal(seen.stats[i].drops, 0);
            assert_int_equal(seen.stats[i].backlog_bytes, 0);
        }
        assert_int_equal(seen.stats[i].lends, leaf ? 2 : 0);
    }
    OK(qdisc_do(NET_TC_DEL, &htb, &err));
}

/* What there is is found, and nothing is left of the search. */
static void test_probe(void **state)
{
    struct net_tc_kinds kinds;
    struct net_link link;

    (void)state;
    must("ip link add vpn-probe type ifb"); /* somebody else's */
    FAILS(-EEXIST, "vpn-probe", net_tc_probe(conn, &kinds, &err));
    OK(net_link_get(conn, "vpn-probe", &link, &err));
    must("ip link set vpn-probe group 86"); /* of a run that was killed */
    OK(net_tc_probe(conn, &kinds, &err));
    assert_true(kinds.htb && kinds.u32 && kinds.ifb && kinds.redirect);
    must("ip link add tq2 type ifb");
    assert_int_equal(kinds.fq_codel, system("tc qdisc add dev tq2 root fq_codel 2>/dev/null") == 0);
    must("ip link del tq2");
    FAILS(-ENODEV, "vpn-probe", net_link_get(conn, "vpn-probe", &link, &err));
}

static int group_setup(void **state)
{
    const struct tun_options options = {.persist = false};
    struct net_link link;

    (void)state;
    OK(net_conn_open(&conn, &err));
    OK(tun_attach(tun_fd, "tq0", &options, &err));
    must("sysctl -qw net.ipv6.conf.all.accept_dad=0 && "
         "ip link set tq0 addrgenmode none up && "
         "ip link add tq1 type ifb && ip link set tq1 addrgenmode none up && "
         "ip addr add 10.8.0.1/15 dev tq0 && ip addr add fd08::1/32 dev tq0");
    OK(net_link_get(conn, "tq0", &link, &err));
    tun = link.ifindex;
    OK(net_link_get(conn, "tq1", &link, &err));
    ifb = link.ifindex;
    return 0;
}

static int group_teardown(void **state)
{
    (void)state;
    net_conn_close(conn);
    close(tun_fd);
    return 0;
}

/* Whatever a test left, also one that failed. */
static int clean(void **state)
{
    (void)state;
    must("for d in tq0 tq1; do tc qdisc del dev $d root; tc qdisc del dev $d ingress; done "
         "2>/dev/null; true");
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(test_qdisc, clean),
        cmocka_unit_test_teardown(test_class, clean),
        cmocka_unit_test_teardown(test_splitter, clean),
        cmocka_unit_test_teardown(test_leaves, clean),
        cmocka_unit_test_teardown(test_filter, clean),
        cmocka_unit_test_teardown(test_order, clean),
        cmocka_unit_test_teardown(test_redirect, clean),
        cmocka_unit_test_teardown(test_foreign, clean),
        cmocka_unit_test_teardown(test_stats, clean),
        cmocka_unit_test_teardown(test_probe, clean),
    };
    int rc;

    rc = netns_enter_as_root();
    if (rc == 0)
        rc = netns_open_tuns(&tun_fd, 1);
    return rc ? rc : cmocka_run_group_tests_name("traffic", tests, group_setup, group_teardown);
}

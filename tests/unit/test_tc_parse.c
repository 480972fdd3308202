/* Traffic control: what is written is what is read, and hostile bytes are survived. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <linux/rtnetlink.h>
#include <cmocka.h>
#include <netlink/msg.h>

#include "common/cleanup.h"
#include "netlink/class.h"
#include "netlink/filter.h"
#include "netlink/msg.h"
#include "netlink/qdisc.h"

#define ROUNDS    2000
#define MUTATIONS 40

static uint32_t seed = 1;

/* xorshift32: the same in every run. */
static uint32_t rnd(uint32_t n)
{
    seed ^= seed << 13;
    seed ^= seed >> 17;
    seed ^= seed << 5;
    return seed % n;
}

static struct net_qdisc random_qdisc(void)
{
    struct net_qdisc qdisc = {
        .ifindex = 1 + rnd(100),
        .handle = NET_TC_HANDLE(1 + rnd(0xfff0), 0),
        .kind = (enum net_qdisc_kind)rnd(NET_QDISC_OTHER),
    };

    qdisc.parent = rnd(2) ? NET_TC_ROOT : NET_TC_HANDLE(1, 1 + rnd(0xffff));
    if (qdisc.kind == NET_QDISC_INGRESS || qdisc.kind == NET_QDISC_CLSACT) {
        qdisc.parent = NET_TC_INGRESS;
        qdisc.handle = NET_TC_INGRESS_HANDLE;
    } else if (qdisc.kind == NET_QDISC_HTB) {
        qdisc.htb_default = rnd(0x10000);
    } else if (qdisc.kind == NET_QDISC_BFIFO) {
        qdisc.bfifo_limit_bytes = rnd(1 << 20);
    } else {
        qdisc.fq =
            (struct net_fq_codel){1 + rnd(10000), 1 + rnd(1024), 256 + rnd(2000), rnd(100000),
                                  rnd(1000000),   rnd(1 << 25),  rnd(2)};
    }
    return qdisc;
}

static struct net_class random_class(void)
{
    uint32_t major = 1 + rnd(0xfff0);
    struct net_class cls = {
        .ifindex = 1 + rnd(100),
        .handle = NET_TC_HANDLE(major, 1 + rnd(0xffff)),
        .parent = NET_TC_HANDLE(major, rnd(0x10000)),
        .rate_bytes_s = 1 + ((uint64_t)rnd(UINT32_MAX) << rnd(8)),
        .burst_us = rnd(1000000),
        .cburst_us = rnd(1000000),
        .quantum = 1 + rnd(60000),
        .prio = rnd(8),
    };

    cls.ceil_bytes_s = cls.rate_bytes_s + rnd(UINT32_MAX);
    return cls;
}

static struct ip_prefix random_prefix(void)
{
    struct ip_prefix prefix = {.addr.family = rnd(2) ? 4 : 6};

    for (size_t i = 0; i < ip_addr_bytes(&prefix.addr); i++)
        prefix.addr.bytes[i] = (uint8_t)rnd(256);
    prefix.len = (uint8_t)(1 + rnd(ip_addr_bits(&prefix.addr)));
    return ip_prefix_network(prefix);
}

static struct net_filter random_filter(void)
{
    uint32_t table = rnd(3) ? 1 + rnd(NET_U32_TABLE_MAX) : 0;
    struct net_filter filter = {
        .ifindex = 1 + rnd(100),
        .parent = NET_TC_HANDLE(1 + rnd(0xfff0), 0),
        .pref = (uint16_t)(1 + rnd(0xffff)),
        .kind = (enum net_filter_kind)rnd(NET_FILTER_OTHER),
        .handle = NET_U32_HANDLE(table, table ? rnd(256) : 0, 1 + rnd(NET_U32_NODE_MAX)),
        .side = rnd(2) ? NET_FILTER_SRC : NET_FILTER_DST,
        .prefix = random_prefix(),
    };

    if (rnd(4) == 0 && filter.kind != NET_FILTER_LINK) {
        filter.side = rnd(2) ? NET_FILTER_ANY : NET_FILTER_VERSION;
        filter.prefix = (struct ip_prefix){.addr.family = rnd(2) ? 4 : 6};
    }
    if (filter.kind == NET_FILTER_TABLE) {
        filter.handle = NET_U32_HANDLE(1 + rnd(NET_U32_TABLE_MAX), 0, 0);
        filter.buckets = 1u << rnd(9);
    } else if (filter.kind == NET_FILTER_LINK) {
        filter.table = 1 + rnd(NET_U32_TABLE_MAX);
        filter.hash_side = rnd(2) ? NET_FILTER_SRC : NET_FILTER_DST;
        filter.hash_byte = (uint8_t)rnd((uint32_t)ip_addr_bytes(&filter.prefix.addr));
    } else if (filter.kind == NET_FILTER_CLASS) {
        filter.classid = NET_TC_HANDLE(1, 1 + rnd(0xffff));
    } else {
        filter.redirect_ifindex = 1 + rnd(100);
    }
    return filter;
}

static void test_round_trip(void **state)
{
    (void)state;
    for (int i = 0; i < ROUNDS; i++) {
        _cleanup_(net_msg_freep) struct nl_msg *a = NULL;
        _cleanup_(net_msg_freep) struct nl_msg *b = NULL;
        _cleanup_(net_msg_freep) struct nl_msg *c = NULL;
        struct net_qdisc qdisc = random_qdisc(), qdisc_read;
        struct net_class cls = random_class(), cls_read;
        struct net_filter filter = random_filter(), filter_read;
        struct net_tc_stats stats;

        assert_int_equal(net_qdisc_build(NET_TC_ADD, &qdisc, &a), 0);
        assert_int_equal(net_qdisc_parse(nlmsg_hdr(a), &qdisc_read, &stats), 0);
        assert_int_equal(net_qdisc_cmp_id(&qdisc, &qdisc_read), 0);
        assert_int_equal(net_qdisc_diff(&qdisc, &qdisc_read), NET_TC_SAME);
        assert_int_equal(net_class_build(NET_TC_ADD, &cls, &b), 0);
        assert_int_equal(net_class_parse(nlmsg_hdr(b), &cls_read, &stats), 0);
        assert_int_equal(net_class_cmp_id(&cls, &cls_read), 0);
        assert_int_equal(net_class_diff(&cls, &cls_read), NET_TC_SAME);
        if (cls.ceil_bytes_s <= UINT32_MAX)
            assert_int_equal(nlmsg_hdr(b)->nlmsg_len, 96);
        assert_int_equal(net_filter_build(NET_TC_ADD, &filter, &c), 0);
        assert_int_equal(net_filter_parse(nlmsg_hdr(c), &filter_read), 0);
        assert_int_equal(net_filter_cmp_id(&filter, &filter_read), 0);
        assert_int_equal(net_filter_diff(&filter, &filter_read), NET_TC_SAME);
    }
}

/* In a block of exactly its size, so that a sanitizer sees one byte too many. */
static void parse_all(const uint8_t *bytes, size_t len)
{
    static const uint16_t types[] = {RTM_NEWQDISC, RTM_NEWTCLASS, RTM_NEWTFILTER};
    struct nlmsghdr *nlh = malloc(len);
    char text[NET_FORMAT_SIZE];

    assert_non_null(nlh);
    memcpy(nlh, bytes, len);
    nlh->nlmsg_len = (uint32_t)len;
    for (size_t i = 0; i < ARRAY_SIZE(types); i++) {
        struct net_qdisc qdisc;
        struct net_class cls;
        struct net_filter filter;
        struct net_tc_stats stats;

        nlh->nlmsg_type = types[i];
        if (net_qdisc_parse(nlh, &qdisc, &stats) == 0)
            assert_true(strlen(net_qdisc_format(&qdisc, NULL, text)) < NET_FORMAT_SIZE);
        if (net_class_parse(nlh, &cls, &stats) == 0)
            assert_true(strlen(net_class_format(&cls, "tun0", text)) < NET_FORMAT_SIZE);
        if (net_filter_parse(nlh, &filter) == 0) {
            assert_true(strlen(net_filter_format(&filter, NULL, text)) < NET_FORMAT_SIZE);
            assert_true(filter.prefix.len <= 128);
        }
    }
    free(nlh);
}

static void test_hostile(void **state)
{
    (void)state;
    for (int i = 0; i < ROUNDS / 4; i++) {
        _cleanup_(net_msg_freep) struct nl_msg *msg = NULL;
        struct net_qdisc qdisc = random_qdisc();
        struct net_class cls = random_class();
        struct net_filter filter = random_filter();
        int kind = i % 3;
        uint8_t bytes[1024];
        size_t len;

        assert_int_equal(kind == 0   ? net_qdisc_build(NET_TC_ADD, &qdisc, &msg)
                         : kind == 1 ? net_class_build(NET_TC_ADD, &cls, &msg)
                                     : net_filter_build(NET_TC_ADD, &filter, &msg),
                         0);
        len = nlmsg_hdr(msg)->nlmsg_len;
        assert_true(len <= sizeof(bytes));
        for (int m = 0; m < MUTATIONS; m++) {
            size_t cut = NLMSG_HDRLEN + rnd((uint32_t)(len - NLMSG_HDRLEN + 1));

            memcpy(bytes, nlmsg_hdr(msg), len);
            for (uint32_t n = rnd(4); n > 0; n--)
                bytes[NLMSG_HDRLEN + rnd((uint32_t)(len - NLMSG_HDRLEN))] = (uint8_t)rnd(256);
            parse_all(bytes, rnd(2) ? len : cut);
        }
    }
}

/* What cannot be said is not sent. */
static void test_refused(void **state)
{
    struct nl_msg *msg = NULL;
    struct net_class cls = {.ifindex = 1,
                            .handle = NET_TC_HANDLE(1, 2),
                            .parent = NET_TC_HANDLE(1, 1),
                            .rate_bytes_s = 10,
                            .ceil_bytes_s = 10,
                            .quantum = 1};
    struct net_class bad = cls;
    struct net_filter filter;

    (void)state;
    assert_int_equal(net_class_build(NET_TC_ADD, &cls, &msg), 0);
    net_msg_freep(&msg);
    bad.ceil_bytes_s = 9;
    assert_int_equal(net_class_build(NET_TC_ADD, &bad, &msg), -EINVAL);
    bad = cls;
    bad.parent = NET_TC_HANDLE(2, 1);
    assert_int_equal(net_class_build(NET_TC_ADD, &bad, &msg), -EINVAL);
    bad = cls;
    bad.prio = 8;
    assert_int_equal(net_class_build(NET_TC_ADD, &bad, &msg), -EINVAL);
    do
        filter = random_filter();
    while (filter.kind != NET_FILTER_CLASS || filter.side < NET_FILTER_SRC);
    filter.prefix.len = 0; /* would match all there is */
    assert_int_equal(net_filter_build(NET_TC_ADD, &filter, &msg), -EINVAL);
    filter.prefix.len = 129;
    assert_int_equal(net_filter_build(NET_TC_ADD, &filter, &msg), -EINVAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_hostile),
        cmocka_unit_test(test_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

/*
 * netlink/'s qdiscs and classes against the real kernel, in a network namespace of its own, with
 * tc(8) as the witness of what we write and as somebody else whose things we read.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "netlink/link.h"
#include "netlink/tc_probe.h"
#include "tests/net/traffic_rig.h"
#include "tests/net/witness.h"

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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(test_qdisc, clean),
        cmocka_unit_test_teardown(test_class, clean),
        cmocka_unit_test_teardown(test_splitter, clean),
        cmocka_unit_test_teardown(test_leaves, clean),
        cmocka_unit_test_teardown(test_stats, clean),
        cmocka_unit_test_teardown(test_probe, clean),
    };
    const int rc = rig_enter();

    return rc ? rc : cmocka_run_group_tests_name("qdisc", tests, rig_setup, rig_teardown);
}

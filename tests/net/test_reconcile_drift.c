/*
 * The engine against the real kernel: a whole wish is carried out, and whatever somebody breaks of
 * it is seen and put back, or only reported.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "common/cleanup.h"
#include "netlink/reconcile.h"
#include "tests/net/reconcile_rig.h"

static uint64_t operations(void)
{
    struct net_reconciler_status status;

    net_reconciler_status(engine, &status);
    return status.operations;
}

static void test_apply(void **state)
{
    _cleanup_(net_set_freep) struct net_set *set = wish();
    _cleanup_(net_plan_freep) struct net_plan *plan = NULL;
    _cleanup_(free_p) char *first = NULL;
    struct net_outcome outcome;
    uint64_t sent;

    (void)state;
    engine_start(NET_DRIFT_REPAIR);
    OK(net_reconciler_apply(engine, set, now_ms(), &outcome, &err));
    assert_int_equal(outcome.sent, net_set_count(set));
    check_all_there();
    first = dump_all();

    /* The same once more, however it is asked for, sends nothing. */
    sent = operations();
    OK(net_reconciler_apply(engine, set, now_ms(), &outcome, &err));
    assert_int_equal(outcome.sent, 0);
    want(set);
    settle();
    assert_int_equal(operations(), sent);
    OK(net_reconciler_plan(engine, set, &plan, &err));
    assert_int_equal(plan->n_ops, 0);
    check_dump(first);
    engine_stop();
}

/* A second on a real machine; the one of tests/vm/run is five to fifteen times slower. */
static uint64_t repair_limit_ms(void)
{
    return getenv("VPN_VM") ? 6000 : 1000;
}

/* Called once all else is as wished: undo something, and see it come back in time. */
static void test_drift(void **state)
{
    static const struct {
        const char *harm, *witness, *words;
    } cases[] = {
        {"ip rule del prio 10101", "ip rule", "10101:\tfrom all uidrange 1101-1101 lookup 101"},
        {"ip -6 rule del prio 10101", "ip -6 rule", "uidrange 1101-1101 lookup 101"},
        {"ip route del 192.168.50.0/24", "ip route", "192.168.50.0/24 dev tun0"},
        {"ip route flush table 101", "ip route show table 101", "unreachable default"},
        {"ip addr del 10.8.0.1/24 dev tun0", "ip addr show tun0", "inet 10.8.0.1/24"},
        {"ip addr flush dev tun0", "ip addr show tun0", "inet6 fd08::1/64"},
        {"ip link set tun0 mtu 1300", "ip link show tun0", "mtu 1400"},
        {"ip link set tun0 down", "ip route show table 101", "default dev tun0"},
        {"tc qdisc del dev tun0 root", "tc filter show dev tun0 parent 1:", "flowid 1:5"},
        {"tc qdisc replace dev tun0 root pfifo", "tc filter show dev tun0 parent 1:", "flowid 1:5"},
        {"tc filter del dev tun0 parent 1:", "tc filter show dev tun0 parent 1:", "flowid 1:5"},
        {"tc class change dev tun0 parent 1:1 classid 1:3 htb rate 3mbit", "tc class show dev tun0",
         "class htb 1:3 parent 1:1 leaf 101: prio 0 rate 1Mbit"},
        {"tc qdisc del dev tun0 parent 1:4", "tc qdisc show dev tun0", "bfifo 102: parent 1:4"},
        {"ip link del ifb-tun0", "tc filter show dev tun0 ingress", "to device ifb-tun0"},
        {"nft flush chain inet vpn prerouting", "nft list table inet vpn 2>/dev/null",
         "ip daddr 10.8.0.1"},
        {"nft delete table inet vpn", "nft list table inet vpn 2>/dev/null", "masquerade"},
        {"echo 0 >/proc/sys/net/ipv4/ip_forward", "cat /proc/sys/net/ipv4/ip_forward", "1"},
        {"echo 0 >/proc/sys/net/ipv6/conf/all/forwarding",
         "cat /proc/sys/net/ipv6/conf/all/forwarding", "1"},
        {"ip rule add prio 77 lookup 5 protocol 86; ip rule add prio 78 lookup 5", "ip rule",
         "78:\tfrom all lookup 5"},
    };
    _cleanup_(net_set_freep) struct net_set *set = wish();
    _cleanup_(free_p) char *before = NULL;

    (void)state;
    engine_start(NET_DRIFT_REPAIR);
    want(set);
    settle();
    check_all_there();
    before = dump_all();
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct net_reconciler_status status;
        uint64_t took, drifts;

        net_reconciler_status(engine, &status);
        drifts = status.drifts;
        news[0] = '\0';
        must(cases[i].harm);
        took = until_says(cases[i].witness, cases[i].words);
        settle();
        net_reconciler_status(engine, &status);
        if (status.drifts == drifts || news[0] == '\0')
            fail_msg("%s: not counted", cases[i].harm);
        if (took > repair_limit_ms())
            fail_msg("%s: repaired after %d ms only", cases[i].harm, (int)took);
    }
    hides("ip rule", "77:");
    must("ip rule del prio 78");
    check_all_there();
    check_dump(before);
    check_foreign();
    engine_stop();
}

static void test_report_only(void **state)
{
    _cleanup_(net_set_freep) struct net_set *set = wish();

    (void)state;
    engine_start(NET_DRIFT_REPORT);
    want(set);
    settle();
    must("ip rule del prio 10101");
    settle();
    hides("ip rule", "10101");
    assert_non_null(strstr(news, "uidrange 1101-1101 lookup 101 proto 86 was removed: left so"));
    engine_stop();
}

/* More happens than the socket holds: then everything is looked through. */
static void test_lost_news(void **state)
{
    _cleanup_(net_set_freep) struct net_set *set = wish();
    struct net_reconciler_status status;

    (void)state;
    engine_start(NET_DRIFT_REPAIR);
    want(set);
    settle();
    must("seq 0 19999 | awk '{printf \"route add 10.100.%d.%d dev v0 table 200 proto 86\\n\", "
         "$1/256, $1%256}' | ip -batch -");
    must("ip rule del prio 10101");
    until_says("ip rule", "uidrange 1101-1101 lookup 101");
    settle();
    net_reconciler_status(engine, &status);
    assert_true(status.resyncs > 0);
    assert_true(status.drifts > 20000);
    assert_non_null(strstr(news, "0: ... and "));
    hides("ip route show table 200", "10.100");
    check_all_there();
    engine_stop();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_apply),
        cmocka_unit_test(test_drift),
        cmocka_unit_test(test_report_only),
        cmocka_unit_test(test_lost_news),
    };
    const int rc = rig_enter();

    return rc ? rc : cmocka_run_group_tests_name("reconcile drift", tests, rig_setup, rig_teardown);
}

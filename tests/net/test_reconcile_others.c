/*
 * The engine against the real kernel: others are in the way, take things from under it, or are busy
 * beside it; and in the end all of theirs is there, and nothing of ours.
 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "common/cleanup.h"
#include "netlink/conn.h"
#include "netlink/reconcile.h"
#include "netlink/route.h"
#include "netlink/tun.h"
#include "tests/net/reconcile_rig.h"

static void test_clashes(void **state)
{
    static const struct {
        const char *before, *words, *after;
    } cases[] = {
        {"ip route replace 192.168.50.0/24 dev v0 proto static", "dev v0 proto 4",
         "ip route del 192.168.50.0/24 dev v0"},
        {"ip rule add prio 10101 lookup 7", "stands rule 10101: from all lookup 7",
         "ip rule del prio 10101 lookup 7"},
        {"ip link add ifb-tun0 type ifb", "stands link ifb-tun0", "ip link del ifb-tun0"},
        {"nft add table inet vpn", "stands table inet vpn", "nft delete table inet vpn"},
    };
    _cleanup_(net_set_freep) struct net_set *nothing = net_set_new();
    _cleanup_(net_set_freep) struct net_set *set = wish();

    (void)state;
    add_link(nothing, "tun0", "tun");
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        _cleanup_(free_p) char *before = NULL;
        struct net_outcome outcome;
        struct err why = {{0}};
        int rc;

        start_with(nothing);
        must(cases[i].before);
        before = dump_all();
        engine_start(NET_DRIFT_REPAIR);
        rc = net_reconciler_apply(engine, set, now_ms(), &outcome, &why);
        if (rc != -EEXIST || !strstr(why.msg, cases[i].words))
            fail_msg("%s: %d, %s", cases[i].before, rc, why.msg);
        check_dump(before);
        must(cases[i].after);
        OK(net_reconciler_apply(engine, set, now_ms(), &outcome, &err));
        check_all_there();
        engine_stop();
    }
}

/* One thing of many is refused: everything is as it was. */
static void test_refused(void **state)
{
    _cleanup_(net_set_freep) struct net_set *bad = wish();
    _cleanup_(net_set_freep) struct net_set *set = wish();
    _cleanup_(free_p) char *before = NULL;
    const struct net_route route = {.dst = prefix("203.0.113.0/24"), .src = prefix("9.9.9.9").addr};
    struct net_outcome outcome;
    struct err why = {{0}};

    (void)state;
    start_with(set);
    before = dump_all();
    engine_start(NET_DRIFT_REPAIR);
    assert_int_equal(net_set_add_route(bad, "tun0", &route), 0);
    add_uid_rule(bad, 4, 1103, 103);
    add_addr(bad, "tun0", "10.9.0.1/24");
    assert_int_equal(net_reconciler_apply(engine, bad, now_ms(), &outcome, &why), -EREMOTEIO);
    if (!strstr(why.msg, "cannot make route 203.0.113.0/24 dev tun0 src 9.9.9.9 proto 86: "
                         "Invalid prefsrc address"))
        fail_msg("%s", why.msg);
    assert_true(outcome.rolled_back);
    check_dump(before);

    /* By itself it sets what can be set, and says what cannot. */
    want(bad);
    settle();
    shows("ip rule", "10103:\tfrom all uidrange 1103-1103 lookup 103");
    assert_non_null(strstr(news, "2: cannot make route 203.0.113.0/24"));
    engine_stop();
    start_with(set);
}

/* Somebody removes the TUN under us: everything on it waits for another, and comes back. */
static void test_device_comes_back(void **state)
{
    const struct tun_options options = {.persist = true};
    _cleanup_(net_set_freep) struct net_set *set = wish();
    struct net_reconciler_status status;
    int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC);

    (void)state;
    engine_start(NET_DRIFT_REPAIR);
    want(set);
    settle();
    check_all_there();
    must("ip link del tun0");
    settle();
    net_reconciler_status(engine, &status);
    assert_true(status.waiting > 10);
    assert_int_equal(status.refused, 0);
    assert_non_null(strstr(news, "device tun0 is not there"));
    OK(tun_attach(fd, "tun0", &options, &err));
    close(tun_fd);
    tun_fd = fd;
    claim_tun();
    until_says("tc filter show dev tun0 ingress", "to device ifb-tun0");
    settle();
    check_all_there();
    net_reconciler_status(engine, &status);
    assert_int_equal(status.waiting, 0);
    engine_stop();
}

static void test_late_gateway(void **state)
{
    _cleanup_(net_set_freep) struct net_set *set = wish();
    struct net_reconciler_status status;

    (void)state;
    must("ip link set v0 down");
    engine_start(NET_DRIFT_REPAIR);
    want(set);
    settle();
    net_reconciler_status(engine, &status);
    assert_int_equal(status.waiting, 1);
    assert_non_null(strstr(news, "its next hop cannot be reached"));
    must("ip link set v0 up");
    assert_true(until_says("ip route", "198.51.100.0/24 via 192.0.2.9 dev v0") <= 1000);
    net_reconciler_status(engine, &status);
    assert_int_equal(status.drifts, 0);
    engine_stop();
    must("ip route add 10.8.0.0/16 dev v0 metric 9 proto static;"
         "ip route add default dev v0 table 55");
}

/* Somebody with a great many routes in motion, until its parent ends it. */
static void churn(void)
{
    struct net_route route = {.dst = prefix("10.201.0.1"),
                              .table = 201,
                              .type = NET_ROUTE_UNREACHABLE,
                              .protocol = 186}; /* BGP's */
    struct net_conn *own = NULL;

    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (net_conn_open(&own, NULL) < 0)
        _exit(1);
    for (;;)
        if (net_route_put(own, &route, NULL) < 0 || net_route_del(own, &route, NULL) < 0)
            _exit(1);
}

/* Others' routes come and go all the time, as with BGP: that must not keep us from reading ours. */
static void test_foreign_churn(void **state)
{
    _cleanup_(net_set_freep) struct net_set *set = wish();
    struct net_reconciler_status status;
    pid_t pid;

    (void)state;
    for (int i = 0; i < 2000; i++) {
        char text[IP_PREFIX_STRLEN];

        snprintf(text, sizeof(text), "10.200.%d.%d", i / 256, i % 256);
        add_route(set, "tun0", text, 201);
    }
    pid = fork();
    if (pid == 0)
        churn();
    engine_start(NET_DRIFT_REPAIR);
    want(set);
    settle();
    net_reconciler_status(engine, &status);
    assert_string_equal(news, "");
    assert_true(status.in_sync);
    /* Nor is each of their changes a reason to look. */
    assert_true(status.runs < 6);
    assert_int_equal(waitpid(pid, NULL, WNOHANG), 0);
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    must("ip route flush table 201 proto 186");
    engine_stop();
}

static void test_down_again(void **state)
{
    _cleanup_(net_set_freep) struct net_set *nothing = net_set_new();
    struct net_outcome outcome;

    (void)state;
    engine_start(NET_DRIFT_REPAIR);
    OK(net_reconciler_apply(engine, nothing, now_ms(), &outcome, &err));
    hides("ip rule", "10101");
    hides("ip route show table all", "proto 86");
    hides("ip link", "ifb-tun0");
    shows("ip link", "tun0"); /* this program holds it */
    hides("ip addr show tun0", "10.8.0.1");
    hides("tc qdisc show dev tun0", "htb");
    hides("tc qdisc show dev tun0", "ingress");
    hides("nft list ruleset", "inet vpn");
    check_foreign();
    engine_stop();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_clashes),           cmocka_unit_test(test_refused),
        cmocka_unit_test(test_device_comes_back), cmocka_unit_test(test_late_gateway),
        cmocka_unit_test(test_foreign_churn),     cmocka_unit_test(test_down_again),
    };
    const int rc = rig_enter();

    return rc ? rc
              : cmocka_run_group_tests_name("reconcile others", tests, rig_setup, rig_teardown);
}

/*
 * The engine against the real kernel, in a network namespace of its own, with ip(8) and tc(8) as
 * independent witnesses.
 *
 *     tun0 (a TUN that this program holds)   ifb-tun0 (made by the engine)
 *     v0 ── v1 (a foreign veth pair, 192.0.2.1/24 on v0; rules, routes, queueing of others)
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <cmocka.h>

#include "common/cleanup.h"
#include "netlink/conn.h"
#include "netlink/kernel.h"
#include "netlink/link.h"
#include "netlink/reconcile.h"
#include "netlink/route.h"
#include "netlink/tun.h"

#define EXIT_SKIP 77
#define ALIAS     "vpn-server"

static struct net_kernel kernel;
static struct net_reconciler *r;
static int tun_fd = -1;
static char news[8192]; /* what the engine had to say since it was last cleared */

static const struct net_owner owner = {.protocol = NET_PROTO_SERVER,
                                       .alias = ALIAS,
                                       .table = "vpn"};

#define OK(call)                                                                                   \
    do {                                                                                           \
        struct err err = {{0}};                                                                    \
        int rc_ = (call);                                                                          \
        if (rc_ != 0)                                                                              \
            fail_msg("%s: %d, %s", #call, rc_, err.msg);                                           \
    } while (0)

/* ---- witnesses ------------------------------------------------------------------------------- */

/* What a command prints.  The caller frees it. */
static char *run(const char *command)
{
    FILE *pipe = popen(command, "r");
    char *text = calloc(1, 1 << 20);

    assert_non_null(pipe);
    assert_non_null(text);
    text[fread(text, 1, (1 << 20) - 1, pipe)] = '\0';
    pclose(pipe);
    return text;
}

static void must(const char *command)
{
    int rc = system(command);

    if (rc != 0)
        fail_msg("%s: %d", command, rc);
}

static bool says(const char *command, const char *words)
{
    _cleanup_(free_p) char *text = run(command);

    return strstr(text, words) != NULL;
}

static void shows(const char *command, const char *words)
{
    _cleanup_(free_p) char *text = run(command);

    if (!strstr(text, words))
        fail_msg("%s\n%sdoes not show \"%s\"", command, text, words);
}

static void hides(const char *command, const char *words)
{
    _cleanup_(free_p) char *text = run(command);

    if (strstr(text, words))
        fail_msg("%s\n%sshows \"%s\"", command, text, words);
}

/* Everything there is, without what counts or ages. */
static char *dump_all(void)
{
    return run("ip -d addr show | sed 's/^[0-9]*: //; s/ numtxqueues.*//; s/ tentative//; "
               "/link.ether/d'; ip rule; "
               "ip -6 rule;"
               "ip route show table all | grep -v ^multicast; "
               "for d in tun0 ifb-tun0 v0; do tc qdisc show dev $d; tc class show dev $d;"
               "tc filter show dev $d; tc filter show dev $d parent 1:;"
               "tc filter show dev $d ingress; done 2>/dev/null | "
               "sed '/index [0-9]* ref/d; s/direct_packets_stat [0-9]*//';"
               "nft list ruleset | sed 's/packets [0-9]* bytes [0-9]*//';"
               "cat /proc/sys/net/ipv4/conf/*/send_redirects");
}

/* The first line that differs is shown. */
static void check_same(const char *before, const char *after)
{
    const char *a = before, *b = after;

    while (*a || *b) {
        int a_len = (int)strcspn(a, "\n"), b_len = (int)strcspn(b, "\n");

        if (a_len != b_len || strncmp(a, b, (size_t)a_len) != 0)
            fail_msg("before: %.*s\n after: %.*s", a_len, a, b_len, b);
        a += a_len + (a[a_len] != '\0');
        b += b_len + (b[b_len] != '\0');
    }
}

static void check_dump(const char *before)
{
    _cleanup_(free_p) char *after = dump_all();

    check_same(before, after);
}

static char *foreign; /* what others have, before the first test */

static char *dump_foreign(void)
{
    return run("ip addr show v0; ip link show v1; ip rule | grep -v 'proto 86';"
               "ip route show table all | grep -v 'proto 86\\|tun0\\|^multicast';"
               "tc qdisc show dev v0 | sed 's/direct_packets_stat [0-9]*//'; tc class show dev v0;"
               "nft list table ip other");
}

static void check_foreign(void)
{
    _cleanup_(free_p) char *after = dump_foreign();

    check_same(foreign, after);
}

static uint64_t now_ms(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

/* ---- the wish -------------------------------------------------------------------------------- */

static struct ip_prefix prefix(const char *text)
{
    struct ip_prefix out;

    assert_int_equal(ip_prefix_parse(text, &out), 0);
    return out;
}

static void add_link(struct net_set *set, const char *name, const char *kind)
{
    struct net_link link = {.mtu = 1400, .ip6ll = NET_IP6LL_NONE, .up = true};

    strcpy(link.name, name);
    strcpy(link.kind, kind);
    assert_int_equal(net_set_add_link(set, &link), 0);
}

static void add_addr(struct net_set *set, const char *dev, const char *text)
{
    const struct net_addr addr = {.prefix = prefix(text), .no_prefix_route = true};

    assert_int_equal(net_set_add_addr(set, dev, &addr), 0);
}

static void add_route(struct net_set *set, const char *dev, const char *text, uint32_t table)
{
    const struct net_route route = {.dst = prefix(text), .table = table};

    assert_int_equal(net_set_add_route(set, dev, &route), 0);
}

static void add_uid_rule(struct net_set *set, uint8_t family, uint32_t uid, uint32_t table)
{
    const struct net_rule rule = {.family = family,
                                  .priority = 10000 + table,
                                  .has_uids = true,
                                  .uid_first = uid,
                                  .uid_last = uid,
                                  .table = table};

    assert_int_equal(net_set_add_rule(set, &rule), 0);
}

static void add_shaper(struct net_set *set, const char *dev, uint16_t classes)
{
    const struct net_qdisc root = {.parent = NET_TC_ROOT,
                                   .handle = NET_TC_HANDLE(1, 0),
                                   .kind = NET_QDISC_HTB,
                                   .htb_default = 2};
    struct net_class cls = {.handle = NET_TC_HANDLE(1, 1),
                            .parent = NET_TC_HANDLE(1, 0),
                            .rate_bytes_s = 6250000,
                            .ceil_bytes_s = 6250000,
                            .burst_us = 10000,
                            .cburst_us = 10000,
                            .quantum = 1500,
                            .inner = true};
    struct net_qdisc leaf = {.kind = NET_QDISC_BFIFO, .bfifo_limit_bytes = 100000};
    struct net_filter filter = {.parent = NET_TC_HANDLE(1, 0),
                                .pref = 10,
                                .family = 4,
                                .kind = NET_FILTER_CLASS,
                                .side = NET_FILTER_DST};

    assert_int_equal(net_set_add_qdisc(set, dev, &root), 0);
    assert_int_equal(net_set_add_class(set, dev, &cls), 0);
    cls.inner = false;
    cls.parent = NET_TC_HANDLE(1, 1);
    cls.rate_bytes_s = 125000;
    cls.quantum = 1500;
    for (uint16_t i = 0; i < classes; i++) {
        char text[IP_PREFIX_STRLEN];

        cls.handle = NET_TC_HANDLE(1, 2 + i);
        leaf.parent = cls.handle;
        leaf.handle = NET_TC_HANDLE(0x100 + i, 0);
        assert_int_equal(net_set_add_class(set, dev, &cls), 0);
        assert_int_equal(net_set_add_qdisc(set, dev, &leaf), 0);
        if (i == 0)
            continue;
        snprintf(text, sizeof(text), "10.8.%d.%d", i >> 8, i & 255);
        filter.handle = NET_U32_HANDLE(0, 0, i);
        filter.prefix = prefix(text);
        filter.classid = cls.handle;
        assert_int_equal(net_set_add_filter(set, dev, &filter), 0);
    }
    /* Another protocol has a priority of its own, and so another first table. */
    filter.pref = 20;
    filter.family = 6;
    filter.handle = NET_U32_HANDLE(0, 0, 1);
    filter.prefix = prefix("fd08::10");
    assert_int_equal(net_set_add_filter(set, dev, &filter), 0);
}

static void add_ingress(struct net_set *set)
{
    const struct net_qdisc ingress = {.parent = NET_TC_INGRESS,
                                      .handle = NET_TC_INGRESS_HANDLE,
                                      .kind = NET_QDISC_INGRESS};
    const struct net_filter filter = {.parent = NET_TC_INGRESS_HANDLE,
                                      .pref = 1,
                                      .handle = NET_U32_HANDLE(0, 0, 1),
                                      .kind = NET_FILTER_REDIRECT,
                                      .redirect = "ifb-tun0"};

    assert_int_equal(net_set_add_qdisc(set, "tun0", &ingress), 0);
    assert_int_equal(net_set_add_filter(set, "tun0", &filter), 0);
}

static void add_firewall(struct net_set *set)
{
    struct net_firewall fw = {.n = 0};
    const struct net_fw_rule masquerade = {.chain = NET_FW_POSTROUTING,
                                           .oif = "v0",
                                           .from = prefix("10.8.0.0/24"),
                                           .action = NET_FW_MASQUERADE};
    const struct net_fw_rule drop = {.chain = NET_FW_PREROUTING,
                                     .not_iif = "tun0",
                                     .to = prefix("10.8.0.1"),
                                     .action = NET_FW_DROP};

    assert_int_equal(net_firewall_add(&fw, &masquerade), 0);
    assert_int_equal(net_firewall_add(&fw, &drop), 0);
    assert_int_equal(net_set_add_firewall(set, &fw), 0);
    net_firewall_clear(&fw);
}

/* A server as its file might have it. */
static struct net_set *wish(void)
{
    struct net_set *set = net_set_new();
    struct net_route route = {.dst = prefix("0.0.0.0/0"), .table = 101, .metric = 4000};

    assert_non_null(set);
    add_link(set, "tun0", "tun");
    add_link(set, "ifb-tun0", "ifb");
    assert_int_equal(net_set_add_setting(set, "ipv4/conf/tun0/send_redirects", "0"), 0);
    assert_int_equal(net_set_add_setting(set, "ipv4/ip_forward", "1"), 0);
    assert_int_equal(net_set_add_setting(set, "ipv6/conf/all/forwarding", "1"), 0);
    add_addr(set, "tun0", "10.8.0.1/24");
    add_addr(set, "tun0", "fd08::1/64");
    add_route(set, "tun0", "10.8.0.0/24", 0);
    add_route(set, "tun0", "192.168.50.77/24", 0);
    add_route(set, "tun0", "fd09::/64", 101);
    add_route(set, "tun0", "0.0.0.0/0", 101);
    route.type = NET_ROUTE_UNREACHABLE;
    assert_int_equal(net_set_add_route(set, NULL, &route), 0);
    route = (struct net_route){.dst = prefix("198.51.100.0/24"), .metric = 50};
    assert_int_equal(ip_addr_parse("192.0.2.9", &route.via), 0);
    assert_int_equal(net_set_add_route(set, NULL, &route), 0);
    add_uid_rule(set, 4, 1101, 101);
    add_uid_rule(set, 6, 1101, 101);
    add_shaper(set, "tun0", 4);
    add_shaper(set, "ifb-tun0", 4);
    add_ingress(set);
    add_firewall(set);
    return set;
}

/* A TUN that was just made becomes ours by its alias. */
static void claim_tun(void)
{
    struct net_link link = {0}, claim = {.alias = ALIAS};
    struct net_conn *conn = NULL;

    OK(net_conn_open(&conn, &err));
    OK(net_link_get(conn, "tun0", &link, &err));
    OK(net_link_set(conn, link.ifindex, &claim, NET_LINK_ALIAS, &err));
    net_conn_close(conn);
}

/* ---- the engine's loop ----------------------------------------------------------------------- */

static void note_news(void *ctx, enum net_news kind, const char *text)
{
    size_t used = strlen(news);

    (void)ctx;
    snprintf(news + used, sizeof(news) - used, "%d: %s\n", (int)kind, text);
}

static void engine_start(enum net_drift drift)
{
    const struct net_reconciler_config config = {
        .owner = owner, .drift = drift, .interval_ms = 60000, .news = note_news};

    OK(net_kernel_open(&kernel, &err));
    OK(net_reconciler_new(&kernel, &config, &r, &err));
    news[0] = '\0';
}

static void engine_stop(void)
{
    net_reconciler_free(r);
    net_kernel_close(&kernel);
    r = NULL;
}

/* One turn of a main loop: wait for news or the deadline, but no longer than that. */
static void turn(uint64_t until_ms)
{
    struct pollfd pfd = {.fd = net_reconciler_fd(r), .events = POLLIN};
    uint64_t now = now_ms(), due = net_reconciler_deadline(r);

    due = due < until_ms ? due : until_ms;
    poll(&pfd, 1, due > now ? (int)(due - now) : 0);
    net_reconciler_service(r, now_ms());
}

/*
 * Turn until a witness sees something.  Return: how long it took until the witness was asked, for
 * the engine does nothing meanwhile; it has as much time between the questions as they take, which
 * in an emulated machine is long.
 */
static uint64_t until_says(const char *command, const char *words)
{
    const uint64_t start = now_ms();
    uint64_t asked, until;

    for (asked = start; !says(command, words); asked = now_ms()) {
        if (now_ms() - start > 10000)
            fail_msg("%s never showed \"%s\"; %s", command, words, news);
        until = now_ms() + (now_ms() - asked) + 20;
        do
            turn(until);
        while (now_ms() < until);
    }
    return asked - start;
}

static void settle(void)
{
    struct net_reconciler_status before, after;
    uint64_t quiet;

    do {
        net_reconciler_status(r, &before);
        quiet = now_ms() + 300;
        while (now_ms() < quiet)
            turn(quiet);
        net_reconciler_status(r, &after);
    } while (after.operations != before.operations);
}

static uint64_t operations(void)
{
    struct net_reconciler_status status;

    net_reconciler_status(r, &status);
    return status.operations;
}

static void want(const struct net_set *set)
{
    OK(net_reconciler_want(r, set, now_ms(), &err));
    net_reconciler_service(r, now_ms());
}

/* ---- tests ----------------------------------------------------------------------------------- */

static void check_all_there(void)
{
    shows("ip link show tun0", "mtu 1400");
    shows("ip link show ifb-tun0", "alias vpn-server");
    shows("ip addr show tun0", "inet 10.8.0.1/24");
    shows("ip addr show tun0", "inet6 fd08::1/64");
    hides("ip addr show tun0", "fe80");
    shows("ip route show", "192.168.50.0/24 dev tun0 proto 86 scope link");
    shows("ip route show", "198.51.100.0/24 via 192.0.2.9 dev v0 proto 86 metric 50");
    shows("ip route show table 101", "default dev tun0 proto 86 scope link");
    shows("ip route show table 101", "unreachable default proto 86 metric 4000");
    shows("ip -6 route show table 101", "fd09::/64 dev tun0 proto 86");
    shows("ip rule", "10101:\tfrom all uidrange 1101-1101 lookup 101 proto 86");
    shows("ip -6 rule", "10101:\tfrom all uidrange 1101-1101 lookup 101 proto 86");
    shows("tc qdisc show dev tun0", "qdisc htb 1: root");
    shows("tc qdisc show dev tun0", "qdisc bfifo 103: parent 1:5 limit 100000b");
    shows("tc class show dev ifb-tun0", "class htb 1:5 parent 1:1 leaf 103:");
    shows("tc filter show dev tun0 parent 1:", "flowid 1:5");
    shows("tc filter show dev tun0 ingress", "Egress Redirect to device ifb-tun0");
    shows("nft list table inet vpn 2>/dev/null", "oifname \"v0\" masquerade");
    shows("cat /proc/sys/net/ipv4/conf/tun0/send_redirects", "0");
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
    OK(net_reconciler_apply(r, set, now_ms(), &outcome, &err));
    assert_int_equal(outcome.sent, net_set_count(set));
    check_all_there();
    first = dump_all();

    /* The same once more, however it is asked for, sends nothing. */
    sent = operations();
    OK(net_reconciler_apply(r, set, now_ms(), &outcome, &err));
    assert_int_equal(outcome.sent, 0);
    want(set);
    settle();
    assert_int_equal(operations(), sent);
    OK(net_reconciler_plan(r, set, &plan, &err));
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

        net_reconciler_status(r, &status);
        drifts = status.drifts;
        news[0] = '\0';
        must(cases[i].harm);
        took = until_says(cases[i].witness, cases[i].words);
        settle();
        net_reconciler_status(r, &status);
        if (status.drifts == drifts || news[0] == '\0')
            fail_msg("%s: not counted", cases[i].harm);
        if (took > repair_limit_ms())
            fail_msg("%s: repaired after %d ms only", cases[i].harm, (int)took);
    }
    hides("ip rule", "77:");
    must("ip rule del prio 78");
    check_all_there();
    check_dump(before);
    engine_stop();
}

/* ---- killed between any two operations ------------------------------------------------------- */

/* A kernel that does one operation at a time, and after some of them the process is gone. */
struct killer {
    struct net_kernel inner;
    unsigned int left;
};

static int killer_dump(void *ctx, enum net_kind kind, const struct net_scope *scope,
                       struct net_set *out, struct err *err)
{
    const struct killer *killer = ctx;

    return killer->inner.dump(killer->inner.ctx, kind, scope, out, err);
}

static int killer_apply(void *ctx, const struct net_op *ops, size_t n, net_refused *refused,
                        void *refused_ctx, struct err *err)
{
    struct killer *killer = ctx;
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < n; i++) {
        if (ops[i].implied)
            continue;
        if (killer->left-- == 0)
            raise(SIGKILL);
        rc = killer->inner.apply(killer->inner.ctx, &ops[i], 1, refused, refused_ctx, err);
    }
    return rc;
}

/* Carry out a wish in a process that is killed after @n operations.  Return: was it? */
static bool killed_after(const struct net_set *set, unsigned int n)
{
    int status = 0;
    pid_t pid = fork();

    assert_true(pid >= 0);
    if (pid == 0) {
        struct killer killer = {.left = n};
        const struct net_kernel slow = {.ctx = &killer, .dump = killer_dump, .apply = killer_apply};
        const struct net_reconciler_config config = {.owner = owner};
        struct err err;

        if (net_kernel_open(&killer.inner, &err) < 0 ||
            net_reconciler_new(&slow, &config, &r, &err) < 0 ||
            net_reconciler_apply(r, set, 0, NULL, &err) < 0)
            _exit(1);
        _exit(0);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    if (!WIFSIGNALED(status))
        assert_int_equal(WEXITSTATUS(status), 0);
    return WIFSIGNALED(status);
}

/* What a start finds and makes of it. */
static void start_with(const struct net_set *set)
{
    engine_start(NET_DRIFT_REPAIR);
    OK(net_reconciler_apply(r, set, now_ms(), NULL, &err));
    assert_int_equal(net_reconciler_last(r)->n_waiting, 0);
    engine_stop();
}

static void kill_everywhere(const struct net_set *from, const struct net_set *to)
{
    _cleanup_(free_p) char *good = NULL;
    unsigned int n = 0;

    start_with(from);
    start_with(to);
    good = dump_all();
    for (;; n++) {
        bool killed;

        start_with(from);
        killed = killed_after(to, n);
        start_with(to);
        /* The engine itself says that all is right; the witnesses are slower. */
        if (n % 8 == 0 || !killed)
            check_dump(good);
        if (!killed)
            break;
    }
    assert_true(n > 10);
}

static void test_killed(void **state)
{
    _cleanup_(net_set_freep) struct net_set *nothing = net_set_new();
    _cleanup_(net_set_freep) struct net_set *set = wish();
    _cleanup_(net_set_freep) struct net_set *other = net_set_new();

    (void)state;
    add_link(nothing, "tun0", "tun");
    add_link(other, "tun0", "tun");
    add_link(other, "ifb-tun0", "ifb");
    add_addr(other, "tun0", "10.8.0.2/24");
    add_addr(other, "tun0", "fd08::1/48");
    add_route(other, "tun0", "192.168.51.0/24", 0);
    add_route(other, "tun0", "0.0.0.0/0", 102);
    add_uid_rule(other, 4, 1102, 102);
    add_uid_rule(other, 4, 1101, 101);
    add_shaper(other, "tun0", 2);
    kill_everywhere(nothing, set);
    kill_everywhere(set, other);
    kill_everywhere(other, set);
    kill_everywhere(set, nothing);
    start_with(set);
}

/* ---- others
 * -------------------------------------------------------------------------------------- */

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
        rc = net_reconciler_apply(r, set, now_ms(), &outcome, &why);
        if (rc != -EEXIST || !strstr(why.msg, cases[i].words))
            fail_msg("%s: %d, %s", cases[i].before, rc, why.msg);
        check_dump(before);
        must(cases[i].after);
        OK(net_reconciler_apply(r, set, now_ms(), &outcome, &err));
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
    assert_int_equal(net_reconciler_apply(r, bad, now_ms(), &outcome, &why), -EREMOTEIO);
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
    net_reconciler_status(r, &status);
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
    net_reconciler_status(r, &status);
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
    net_reconciler_status(r, &status);
    assert_int_equal(status.waiting, 1);
    assert_non_null(strstr(news, "its next hop cannot be reached"));
    must("ip link set v0 up");
    assert_true(until_says("ip route", "198.51.100.0/24 via 192.0.2.9 dev v0") <= 1000);
    net_reconciler_status(r, &status);
    assert_int_equal(status.drifts, 0);
    engine_stop();
    must("ip route add 10.8.0.0/16 dev v0 metric 9 proto static;"
         "ip route add default dev v0 table 55");
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
    net_reconciler_status(r, &status);
    assert_true(status.resyncs > 0);
    assert_true(status.drifts > 20000);
    assert_non_null(strstr(news, "0: ... and "));
    hides("ip route show table 200", "10.100");
    check_all_there();
    engine_stop();
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

/* Routes of others come and go all the time, as with BGP: that must not keep us from reading ours.
 */
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
    net_reconciler_status(r, &status);
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

static void test_down_again(void **state)
{
    _cleanup_(net_set_freep) struct net_set *nothing = net_set_new();
    struct net_outcome outcome;

    (void)state;
    engine_start(NET_DRIFT_REPAIR);
    OK(net_reconciler_apply(r, nothing, now_ms(), &outcome, &err));
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

/* ---- the namespace --------------------------------------------------------------------------- */

static int group_setup(void **state)
{
    const struct tun_options options = {.persist = true};

    (void)state;
    OK(tun_attach(tun_fd, "tun0", &options, &err));
    claim_tun();
    must("ip link set lo up; ip link add v0 type veth peer name v1;"
         "ip link set v0 addrgenmode none; ip link set v1 addrgenmode none; ip link set v0 up;"
         "ip link set v1 up; ip addr add 192.0.2.1/24 dev v0;"
         "ip rule add prio 500 lookup 55; ip route add 10.8.0.0/16 dev v0 metric 9 proto static;"
         "ip route add default dev v0 table 55; tc qdisc add dev v0 root handle 1: htb;"
         "tc class add dev v0 parent 1: classid 1:1 htb rate 1mbit;"
         "nft add table ip other; nft add chain ip other c");
    foreign = dump_foreign();
    return 0;
}

static int skip_all(const char *why)
{
    fprintf(stderr, "skipped: %s: %s\n", why, strerror(errno));
    return EXIT_SKIP;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_apply),        cmocka_unit_test(test_drift),
        cmocka_unit_test(test_killed),       cmocka_unit_test(test_clashes),
        cmocka_unit_test(test_refused),      cmocka_unit_test(test_device_comes_back),
        cmocka_unit_test(test_late_gateway), cmocka_unit_test(test_report_only),
        cmocka_unit_test(test_lost_news),    cmocka_unit_test(test_foreign_churn),
        cmocka_unit_test(test_down_again),
    };

    if (geteuid() != 0)
        return skip_all("this needs root");
    if (unshare(CLONE_NEWNET) < 0)
        return skip_all("no network namespace");
    tun_fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC);
    if (tun_fd < 0)
        return skip_all("/dev/net/tun");
    return cmocka_run_group_tests_name("reconcile", tests, group_setup, NULL);
}

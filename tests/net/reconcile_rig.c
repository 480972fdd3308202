/* The engine on the real kernel, beside what others have. */
#include "tests/net/reconcile_rig.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "netlink/conn.h"
#include "netlink/kernel.h"
#include "netlink/link.h"
#include "netlink/route.h"
#include "netlink/tun.h"
#include "tests/net/netns.h"

#define ALIAS "vpn-server"

const struct net_owner owner = {.protocol = NET_PROTO_SERVER, .alias = ALIAS, .table = "vpn"};

struct net_reconciler *engine;
int tun_fd = -1;
char news[8192];

static struct net_kernel kernel;
static char *foreign; /* what others have, before the first test */

/* ---- what is there --------------------------------------------------------------------------- */

char *dump_all(void)
{
    return printed("ip -d addr show | sed 's/^[0-9]*: //; s/ numtxqueues.*//; s/ tentative//; "
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

void check_dump(const char *before)
{
    _cleanup_(free_p) char *after = dump_all();

    check_same(before, after);
}

static char *dump_foreign(void)
{
    return printed(
        "ip addr show v0; ip link show v1; ip rule | grep -v 'proto 86';"
        "ip route show table all | grep -v 'proto 86\\|tun0\\|^multicast';"
        "tc qdisc show dev v0 | sed 's/direct_packets_stat [0-9]*//'; tc class show dev v0;"
        "nft list table ip other");
}

void check_foreign(void)
{
    _cleanup_(free_p) char *after = dump_foreign();

    check_same(foreign, after);
}

void check_all_there(void)
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

/* ---- the wish -------------------------------------------------------------------------------- */

void add_link(struct net_set *set, const char *name, const char *kind)
{
    struct net_link link = {.mtu = 1400, .ip6ll = NET_IP6LL_NONE, .up = true};

    strcpy(link.name, name);
    strcpy(link.kind, kind);
    assert_int_equal(net_set_add_link(set, &link), 0);
}

void add_addr(struct net_set *set, const char *dev, const char *text)
{
    const struct net_addr addr = {.prefix = prefix(text), .no_prefix_route = true};

    assert_int_equal(net_set_add_addr(set, dev, &addr), 0);
}

void add_route(struct net_set *set, const char *dev, const char *text, uint32_t table)
{
    const struct net_route route = {.dst = prefix(text), .table = table};

    assert_int_equal(net_set_add_route(set, dev, &route), 0);
}

void add_uid_rule(struct net_set *set, uint8_t family, uint32_t uid, uint32_t table)
{
    const struct net_rule rule = {.family = family,
                                  .priority = 10000 + table,
                                  .has_uids = true,
                                  .uid_first = uid,
                                  .uid_last = uid,
                                  .table = table};

    assert_int_equal(net_set_add_rule(set, &rule), 0);
}

void add_shaper(struct net_set *set, const char *dev, uint16_t classes)
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

struct net_set *wish(void)
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

/* ---- the engine and its loop ----------------------------------------------------------------- */

uint64_t now_ms(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

static void note_news(void *ctx, enum net_news kind, const char *text)
{
    size_t used = strlen(news);

    (void)ctx;
    snprintf(news + used, sizeof(news) - used, "%d: %s\n", (int)kind, text);
}

void engine_start(enum net_drift drift)
{
    const struct net_reconciler_config config = {
        .owner = owner, .drift = drift, .interval_ms = 60000, .news = note_news};

    OK(net_kernel_open(&kernel, &err));
    OK(net_reconciler_new(&kernel, &config, &engine, &err));
    news[0] = '\0';
}

void engine_stop(void)
{
    net_reconciler_free(engine);
    net_kernel_close(&kernel);
    engine = NULL;
}

void start_with(const struct net_set *set)
{
    engine_start(NET_DRIFT_REPAIR);
    OK(net_reconciler_apply(engine, set, now_ms(), NULL, &err));
    assert_int_equal(net_reconciler_last(engine)->n_waiting, 0);
    engine_stop();
}

/* One turn of a main loop: wait for news or the deadline, but no longer than that. */
static void turn(uint64_t until_ms)
{
    struct pollfd pfd = {.fd = net_reconciler_fd(engine), .events = POLLIN};
    uint64_t now = now_ms(), due = net_reconciler_deadline(engine);

    due = due < until_ms ? due : until_ms;
    poll(&pfd, 1, due > now ? (int)(due - now) : 0);
    net_reconciler_service(engine, now_ms());
}

uint64_t until_says(const char *command, const char *words)
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

void settle(void)
{
    struct net_reconciler_status before, after;
    uint64_t quiet;

    do {
        net_reconciler_status(engine, &before);
        quiet = now_ms() + 300;
        while (now_ms() < quiet)
            turn(quiet);
        net_reconciler_status(engine, &after);
    } while (after.operations != before.operations);
}

void want(const struct net_set *set)
{
    OK(net_reconciler_want(engine, set, now_ms(), &err));
    net_reconciler_service(engine, now_ms());
}

/* ---- the namespace --------------------------------------------------------------------------- */

void claim_tun(void)
{
    struct net_link link = {0}, claim = {.alias = ALIAS};
    struct net_conn *conn = NULL;

    OK(net_conn_open(&conn, &err));
    OK(net_link_get(conn, "tun0", &link, &err));
    OK(net_link_set(conn, link.ifindex, &claim, NET_LINK_ALIAS, &err));
    net_conn_close(conn);
}

int rig_setup(void **state)
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

int rig_teardown(void **state)
{
    (void)state;
    free(foreign);
    close(tun_fd);
    return 0;
}

int rig_enter(void)
{
    const int rc = netns_enter_as_root();

    return rc ? rc : netns_open_tuns(&tun_fd, 1);
}

/* Two devices, our messages to the kernel, and what its dumps show. */
#include "tests/net/traffic_rig.h"

#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/ip.h"
#include "netlink/link.h"
#include "netlink/msg.h"
#include "netlink/tun.h"
#include "tests/net/netns.h"
#include "tests/net/witness.h"

struct net_conn *conn;
int tun_fd = -1;
uint32_t tun, ifb;
struct seen seen;

/* ---- what we say --------------------------------------------------------------------------- */

static int send_built(int rc, struct nl_msg **msg, struct err *err)
{
    if (rc == 0)
        rc = net_request(conn, *msg, err);
    net_msg_freep(msg);
    *msg = NULL;
    return rc;
}

int qdisc_do(enum net_tc_verb verb, const struct net_qdisc *qdisc, struct err *err)
{
    struct nl_msg *msg = NULL;

    return send_built(net_qdisc_build(verb, qdisc, &msg), &msg, err);
}

int class_do(enum net_tc_verb verb, const struct net_class *cls, struct err *err)
{
    struct nl_msg *msg = NULL;

    return send_built(net_class_build(verb, cls, &msg), &msg, err);
}

int filter_do(enum net_tc_verb verb, const struct net_filter *filter, struct err *err)
{
    struct nl_msg *msg = NULL;

    return send_built(net_filter_build(verb, filter, &msg), &msg, err);
}

struct net_qdisc htb_on(uint32_t ifindex)
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

struct net_class class_on(uint32_t ifindex, uint32_t minor, uint32_t parent_minor, uint64_t kbit)
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

void small_tree(uint32_t ifindex)
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

/* ---- what is there ------------------------------------------------------------------------- */

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

size_t qdiscs(uint32_t ifindex)
{
    seen.n = 0;
    OK(net_qdisc_dump(conn, ifindex, see_qdisc, NULL, &err));
    return seen.n;
}

size_t classes(uint32_t ifindex)
{
    seen.n = 0;
    OK(net_class_dump(conn, ifindex, NET_TC_HANDLE(1, 0), see_class, NULL, &err));
    return seen.n;
}

size_t filters(uint32_t ifindex, uint32_t parent)
{
    seen.n = 0;
    OK(net_filter_dump(conn, ifindex, parent, see_filter, NULL, &err));
    return seen.n;
}

uint64_t class_packets(uint32_t ifindex, uint32_t minor)
{
    classes(ifindex);
    for (size_t i = 0; i < seen.n; i++) {
        if (NET_TC_MINOR(seen.cls[i].handle) == minor)
            return seen.stats[i].packets;
    }
    fail_msg("no class %x", minor);
    return 0;
}

void ping_out(const char *to)
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

/* ---- beginning and end --------------------------------------------------------------------- */

int rig_enter(void)
{
    const int rc = netns_enter_as_root();

    return rc ? rc : netns_open_tuns(&tun_fd, 1);
}

int rig_setup(void **state)
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

int rig_teardown(void **state)
{
    (void)state;
    net_conn_close(conn);
    close(tun_fd);
    return 0;
}

int clean(void **state)
{
    (void)state;
    must("for d in tq0 tq1; do tc qdisc del dev $d root; tc qdisc del dev $d ingress; done "
         "2>/dev/null; true");
    return 0;
}

/* Which kinds of traffic control this kernel has, found out by trying. */
#include "netlink/tc_probe.h"

#include <errno.h>
#include <string.h>

#include "common/cleanup.h"
#include "netlink/class.h"
#include "netlink/conn.h"
#include "netlink/filter.h"
#include "netlink/link.h"
#include "netlink/msg.h"
#include "netlink/qdisc.h"

#define PROBE_NAME "vpn-probe"

static bool done(struct net_conn *conn, int rc, struct nl_msg **msg)
{
    struct err why;

    if (rc == 0)
        rc = net_request(conn, *msg, &why);
    net_msg_freep(msg);
    *msg = NULL;
    return rc == 0;
}

static bool try_qdisc(struct net_conn *conn, const struct net_qdisc *qdisc)
{
    struct nl_msg *msg = NULL;

    return done(conn, net_qdisc_build(NET_TC_ADD, qdisc, &msg), &msg);
}

static void remove_qdisc(struct net_conn *conn, const struct net_qdisc *qdisc)
{
    struct nl_msg *msg = NULL;

    done(conn, net_qdisc_build(NET_TC_DEL, qdisc, &msg), &msg);
}

static bool try_class(struct net_conn *conn, const struct net_class *cls)
{
    struct nl_msg *msg = NULL;

    return done(conn, net_class_build(NET_TC_ADD, cls, &msg), &msg);
}

static bool try_filter(struct net_conn *conn, const struct net_filter *filter)
{
    struct nl_msg *msg = NULL;

    return done(conn, net_filter_build(NET_TC_ADD, filter, &msg), &msg);
}

static void try_tree(struct net_conn *conn, uint32_t ifindex, struct net_tc_kinds *out)
{
    const struct net_qdisc htb = {.ifindex = ifindex,
                                  .parent = NET_TC_ROOT,
                                  .handle = NET_TC_HANDLE(1, 0),
                                  .kind = NET_QDISC_HTB};
    const struct net_class cls = {.ifindex = ifindex,
                                  .handle = NET_TC_HANDLE(1, 1),
                                  .parent = NET_TC_HANDLE(1, 0),
                                  .rate_bytes_s = 125000,
                                  .ceil_bytes_s = 125000,
                                  .burst_us = 10000,
                                  .cburst_us = 10000,
                                  .quantum = 1500};
    const struct net_qdisc leaf = {.ifindex = ifindex,
                                   .parent = cls.handle,
                                   .handle = NET_TC_HANDLE(2, 0),
                                   .kind = NET_QDISC_FQ_CODEL,
                                   .fq = {.limit = 64,
                                          .flows = 16,
                                          .quantum = 1500,
                                          .target_us = 5000,
                                          .interval_us = 100000,
                                          .memory_limit = 65536}};
    const struct net_qdisc tbf = {.ifindex = ifindex,
                                  .parent = cls.handle,
                                  .handle = NET_TC_HANDLE(3, 0),
                                  .kind = NET_QDISC_TBF,
                                  .tbf = {.rate_bytes_s = 125000000, .max_bytes = 1500}};
    const struct net_filter filter = {.ifindex = ifindex,
                                      .parent = htb.handle,
                                      .pref = 1,
                                      .handle = NET_U32_HANDLE(0, 0, 1),
                                      .kind = NET_FILTER_CLASS,
                                      .classid = cls.handle};

    out->htb = try_qdisc(conn, &htb) && try_class(conn, &cls);
    out->u32 = out->htb && try_filter(conn, &filter);
    out->fq_codel = out->htb && try_qdisc(conn, &leaf);
    if (out->fq_codel)
        remove_qdisc(conn, &leaf);
    out->tbf = out->htb && try_qdisc(conn, &tbf);
}

static void try_ingress(struct net_conn *conn, uint32_t ifindex, struct net_tc_kinds *out)
{
    const struct net_qdisc ingress = {.ifindex = ifindex,
                                      .parent = NET_TC_INGRESS,
                                      .handle = NET_TC_INGRESS_HANDLE,
                                      .kind = NET_QDISC_INGRESS};
    const struct net_filter redirect = {.ifindex = ifindex,
                                        .parent = NET_TC_INGRESS_HANDLE,
                                        .pref = 1,
                                        .handle = NET_U32_HANDLE(0, 0, 1),
                                        .kind = NET_FILTER_REDIRECT,
                                        .redirect_ifindex = ifindex};

    out->redirect = try_qdisc(conn, &ingress) && try_filter(conn, &redirect);
}

/* A device that is down, so that nothing passes it.  Return: 0, -ENODEV or -errno. */
static int make_device(struct net_conn *conn, struct net_link *link, bool *ifb, struct err *err)
{
    static const char *const kinds[] = {"ifb", "dummy", "bridge"};
    struct net_link want = {.name = PROBE_NAME, .group = NET_PROTO_SERVER, .ip6ll = NET_IP6LL_NONE};
    struct net_link old;
    int rc = -ENODEV;

    /* One of a run that was killed in between. */
    if (net_link_get(conn, PROBE_NAME, &old, err) == 0 && old.group == want.group)
        net_link_del(conn, old.ifindex, err);
    for (size_t i = 0; i < ARRAY_SIZE(kinds) && rc < 0; i++) {
        strcpy(want.kind, kinds[i]);
        rc = net_link_make(conn, &want, err);
        if (rc < 0 && rc != -EOPNOTSUPP)
            return rc;
        *ifb = rc == 0 && i == 0;
    }
    if (rc < 0)
        return err_set(err, -ENODEV,
                       "no device to try traffic control on: this kernel has neither "
                       "ifb nor dummy nor bridge");
    return net_link_get(conn, PROBE_NAME, link, err);
}

int net_tc_probe(struct net_conn *conn, struct net_tc_kinds *out, struct err *err)
{
    struct net_tc_kinds kinds = {0};
    struct net_link link = {0};
    int rc = make_device(conn, &link, &kinds.ifb, err);

    if (rc < 0)
        return rc;
    try_tree(conn, link.ifindex, &kinds);
    try_ingress(conn, link.ifindex, &kinds);
    rc = net_link_del(conn, link.ifindex, err);
    if (rc == 0)
        *out = kinds;
    return rc;
}

/*
 * HTB classes over rtnetlink: shares of a rate.
 *
 * Theory of operation: tc(8) sends tables of how long each packet size takes at a rate; the kernel
 * has not needed them since 3.8 and takes a link layer other than "unaware" as a sign that there
 * are none (htb_change_class).  So a class is 96 bytes.  Rates of 2^32 bytes per second and more go
 * in an attribute of their own.  Bursts are times in units of 64 ns.
 */
#include "netlink/class.h"

#include <errno.h>
#include <linux/pkt_sched.h>
#include <linux/rtnetlink.h>
#include <string.h>
#include <netlink/attr.h>
#include <netlink/msg.h>

#include "common/cleanup.h"
#include "netlink/conn.h"
#include "netlink/msg.h"
#include "netlink/tc_msg.h"

#define TICK_NS      64 /* PSCHED_SHIFT of the kernel's net/pkt_sched.h is 6 */
#define BURST_MAX_US ((uint32_t)((uint64_t)UINT32_MAX * TICK_NS / 1000))
#define HTB_PRIO_MAX 7

struct class_dump {
    uint32_t ifindex;
    net_class_each *each;
    void *ctx;
};

static uint32_t ticks_from_us(uint32_t us)
{
    return (uint32_t)((uint64_t)us * 1000 / TICK_NS);
}

/* The nearest microsecond, so that what was written is what is read. */
static uint32_t ticks_to_us(uint32_t ticks)
{
    return (uint32_t)(((uint64_t)ticks * TICK_NS + 500) / 1000);
}

/* ---- reading ------------------------------------------------------------------------------- */

static void parse_parms(const struct tc_htb_opt *opt, struct net_class *cls)
{
    if (opt->rate.rate > cls->rate_bytes_s)
        cls->rate_bytes_s = opt->rate.rate;
    if (opt->ceil.rate > cls->ceil_bytes_s)
        cls->ceil_bytes_s = opt->ceil.rate;
    cls->burst_us = ticks_to_us(opt->buffer);
    cls->cburst_us = ticks_to_us(opt->cbuffer);
    cls->quantum = opt->quantum;
    cls->prio = opt->prio;
    cls->inner = opt->level > 0;
    /* Corrections for a link layer below; the same bits as written mean none. */
    cls->has_more = opt->rate.overhead || opt->ceil.overhead || opt->rate.mpu || opt->ceil.mpu;
}

static int parse_options(const struct nlattr *options, struct net_class *cls)
{
    struct tc_htb_opt opt = {0};
    struct nlattr *attr;
    bool seen = false;
    int left;

    nla_for_each_nested(attr, options, left)
    {
        int rc = 0;

        if (nla_type(attr) == TCA_HTB_PARMS) {
            rc = net_tc_attr(attr, &opt, sizeof(opt));
            seen = true;
        } else if (nla_type(attr) == TCA_HTB_RATE64) {
            rc = net_tc_attr(attr, &cls->rate_bytes_s, sizeof(cls->rate_bytes_s));
        } else if (nla_type(attr) == TCA_HTB_CEIL64) {
            rc = net_tc_attr(attr, &cls->ceil_bytes_s, sizeof(cls->ceil_bytes_s));
        }
        if (rc < 0)
            return rc;
    }
    if (!seen)
        return -EBADMSG;
    parse_parms(&opt, cls);
    return 0;
}

int net_class_parse(const struct nlmsghdr *nlh, struct net_class *out, struct net_tc_stats *stats)
{
    struct net_class cls = {0};
    struct net_tc_msg msg;
    bool htb;

    if (net_tc_msg_parse(nlh, RTM_NEWTCLASS, &msg) < 0 || !msg.kind[0])
        return -EBADMSG;
    htb = strcmp(msg.kind, net_qdisc_kind_name(NET_QDISC_HTB)) == 0;
    cls.ifindex = msg.ifindex;
    cls.handle = msg.handle;
    /* The kernel shows the qdisc itself as "root". */
    cls.parent =
        msg.parent == NET_TC_ROOT ? NET_TC_HANDLE(NET_TC_MAJOR(msg.handle), 0) : msg.parent;
    cls.leaf = msg.info;
    if (htb && (!msg.options || parse_options(msg.options, &cls) < 0))
        return -EBADMSG;
    cls.has_more = cls.has_more || !htb;
    if (stats &&
        net_tc_stats_parse(msg.stats, htb ? NET_TC_APP_HTB_CLASS : NET_TC_APP_NONE, stats) < 0)
        return -EBADMSG;
    *out = cls;
    return 0;
}

static int dump_one(const struct nlmsghdr *nlh, void *ctx)
{
    const struct class_dump *dump = ctx;
    struct net_tc_stats stats;
    struct net_class cls;
    int rc = net_class_parse(nlh, &cls, &stats);

    if (rc < 0)
        return rc;
    return cls.ifindex == dump->ifindex ? dump->each(&cls, &stats, dump->ctx) : 0;
}

int net_class_dump(struct net_conn *conn, uint32_t ifindex, uint32_t qdisc, net_class_each *each,
                   void *ctx, struct err *err)
{
    _cleanup_(net_msg_freep) struct nl_msg *msg = NULL;
    struct class_dump dump = {.ifindex = ifindex, .each = each, .ctx = ctx};
    struct tcmsg tcm = {.tcm_family = AF_UNSPEC, .tcm_ifindex = (int)ifindex, .tcm_parent = qdisc};
    int rc;

    msg = net_msg_new(RTM_GETTCLASS, 0, &tcm, sizeof(tcm));
    if (!msg)
        return err_set(err, -ENOMEM, "reading classes: out of memory");
    rc = net_dump(conn, msg, RTNLGRP_TC, dump_one, &dump, err);
    if (rc == -EBADMSG)
        return err_set(err, rc, "reading classes: the kernel's description is malformed");
    return rc < 0 ? err_prefix(err, rc, "reading classes: ") : rc;
}

/* ---- writing ------------------------------------------------------------------------------- */

static struct tc_ratespec rate_spec(uint64_t bytes_s)
{
    struct tc_ratespec spec = {
        .linklayer = TC_LINKLAYER_ETHERNET,
        .rate = bytes_s > UINT32_MAX ? UINT32_MAX : (uint32_t)bytes_s,
    };

    return spec;
}

static int put_options(struct nl_msg *msg, const struct net_class *cls)
{
    struct tc_htb_opt opt = {
        .rate = rate_spec(cls->rate_bytes_s),
        .ceil = rate_spec(cls->ceil_bytes_s),
        .buffer = ticks_from_us(cls->burst_us),
        .cbuffer = ticks_from_us(cls->cburst_us),
        .quantum = cls->quantum,
        .prio = cls->prio,
    };
    struct nlattr *nest = nla_nest_start(msg, TCA_OPTIONS);
    int rc;

    if (!nest)
        return -EMSGSIZE;
    rc = nla_put(msg, TCA_HTB_PARMS, sizeof(opt), &opt);
    if (cls->rate_bytes_s > UINT32_MAX)
        rc |= nla_put_u64(msg, TCA_HTB_RATE64, cls->rate_bytes_s);
    if (cls->ceil_bytes_s > UINT32_MAX)
        rc |= nla_put_u64(msg, TCA_HTB_CEIL64, cls->ceil_bytes_s);
    return rc < 0 ? -EMSGSIZE : nla_nest_end(msg, nest);
}

static bool class_complete(enum net_tc_verb verb, const struct net_class *cls)
{
    if (cls->ifindex == 0 || NET_TC_MAJOR(cls->handle) == 0 || NET_TC_MINOR(cls->handle) == 0 ||
        NET_TC_MAJOR(cls->parent) != NET_TC_MAJOR(cls->handle))
        return false;
    return verb == NET_TC_DEL ||
           (cls->rate_bytes_s > 0 && cls->ceil_bytes_s >= cls->rate_bytes_s && cls->quantum > 0 &&
            cls->burst_us <= BURST_MAX_US && cls->cburst_us <= BURST_MAX_US &&
            cls->prio <= HTB_PRIO_MAX && !cls->has_more);
}

int net_class_build(enum net_tc_verb verb, const struct net_class *cls, struct nl_msg **out)
{
    _cleanup_(net_msg_freep) struct nl_msg *msg = NULL;
    struct net_tc_msg head = {
        .ifindex = cls->ifindex,
        .handle = cls->handle,
        .parent = cls->parent,
    };

    if (!class_complete(verb, cls))
        return -EINVAL;
    strcpy(head.kind, net_qdisc_kind_name(NET_QDISC_HTB));
    msg = net_tc_msg_build(RTM_NEWTCLASS, verb, &head);
    if (!msg || (verb != NET_TC_DEL && put_options(msg, cls) < 0))
        return -ENOMEM;
    *out = TAKE(msg);
    return 0;
}

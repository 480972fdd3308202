/* Queueing disciplines over rtnetlink: HTB, fq_codel, bfifo, tbf, ingress, clsact. */
#include "netlink/qdisc.h"

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

#define HTB_VERSION         3 /* TC_HTB_PROTOVER: the kernel's sch_htb refuses others */
/* Only classes without a quantum of their own use it, and ours have one. */
#define HTB_RATE_TO_QUANTUM 10

struct qdisc_dump {
    uint32_t ifindex;
    net_qdisc_each *each;
    void *ctx;
};

/* ---- reading ------------------------------------------------------------------------------- */

static int parse_htb(const struct nlattr *options, struct net_qdisc *qdisc)
{
    struct tc_htb_glob glob;
    struct nlattr *attr;
    bool seen = false;
    int left;

    nla_for_each_nested(attr, options, left)
    {
        if (nla_type(attr) == TCA_HTB_INIT) {
            if (net_tc_attr(attr, &glob, sizeof(glob)) < 0)
                return -EBADMSG;
            qdisc->htb_default = glob.defcls;
            seen = true;
        } else if (nla_type(attr) == TCA_HTB_OFFLOAD) {
            qdisc->has_more = true;
        }
    }
    return seen ? 0 : -EBADMSG;
}

static int fq_attr(const struct nlattr *attr, struct net_qdisc *qdisc)
{
    uint32_t ecn;

    switch (nla_type(attr)) {
    case TCA_FQ_CODEL_TARGET:
        return net_attr_u32(attr, &qdisc->fq.target_us);
    case TCA_FQ_CODEL_LIMIT:
        return net_attr_u32(attr, &qdisc->fq.limit);
    case TCA_FQ_CODEL_INTERVAL:
        return net_attr_u32(attr, &qdisc->fq.interval_us);
    case TCA_FQ_CODEL_ECN:
        if (net_attr_u32(attr, &ecn) < 0)
            return -EBADMSG;
        qdisc->fq.ecn = ecn != 0;
        return 0;
    case TCA_FQ_CODEL_FLOWS:
        return net_attr_u32(attr, &qdisc->fq.flows);
    case TCA_FQ_CODEL_QUANTUM:
        return net_attr_u32(attr, &qdisc->fq.quantum);
    case TCA_FQ_CODEL_MEMORY_LIMIT:
        return net_attr_u32(attr, &qdisc->fq.memory_limit);
    case TCA_FQ_CODEL_CE_THRESHOLD:
        qdisc->has_more = true;
        return 0;
    default:
        return 0;
    }
}

static int parse_fq(const struct nlattr *options, struct net_qdisc *qdisc)
{
    struct nlattr *attr;
    int left;

    nla_for_each_nested(attr, options, left)
    {
        if (fq_attr(attr, qdisc) < 0)
            return -EBADMSG;
    }
    return 0;
}

static int parse_bfifo(const struct nlattr *options, struct net_qdisc *qdisc)
{
    struct tc_fifo_qopt fifo;

    if (net_tc_attr(options, &fifo, sizeof(fifo)) < 0)
        return -EBADMSG;
    qdisc->bfifo_limit_bytes = fifo.limit;
    return 0;
}

/*
 * The kernel keeps the largest packet as its time at the rate and shows that, rounded; so we write
 * it as the limit as well, which is shown as written and is otherwise the length of a queue that
 * what hangs below takes the place of (tbf_change, tbf_dump).
 */
static int parse_tbf(const struct nlattr *options, struct net_qdisc *qdisc)
{
    struct tc_tbf_qopt opt;
    struct nlattr *attr;
    bool seen = false;
    int left;

    nla_for_each_nested(attr, options, left)
    {
        if (nla_type(attr) == TCA_TBF_PARMS) {
            if (net_tc_attr(attr, &opt, sizeof(opt)) < 0)
                return -EBADMSG;
            if (qdisc->tbf.rate_bytes_s == 0)
                qdisc->tbf.rate_bytes_s = opt.rate.rate;
            qdisc->tbf.max_bytes = opt.limit;
            qdisc->has_more = opt.peakrate.rate != 0 || opt.rate.overhead != 0;
            seen = true;
        } else if (nla_type(attr) == TCA_TBF_RATE64 &&
                   net_tc_attr(attr, &qdisc->tbf.rate_bytes_s, sizeof(uint64_t)) < 0) {
            return -EBADMSG;
        }
    }
    return seen ? 0 : -EBADMSG;
}

static int parse_options(const struct nlattr *options, struct net_qdisc *qdisc)
{
    switch (qdisc->kind) {
    case NET_QDISC_HTB:
        return options ? parse_htb(options, qdisc) : -EBADMSG;
    case NET_QDISC_FQ_CODEL:
        return options ? parse_fq(options, qdisc) : -EBADMSG;
    case NET_QDISC_BFIFO:
        return options ? parse_bfifo(options, qdisc) : -EBADMSG;
    case NET_QDISC_TBF:
        return options ? parse_tbf(options, qdisc) : -EBADMSG;
    case NET_QDISC_INGRESS:
    case NET_QDISC_CLSACT:
    case NET_QDISC_OTHER:
        break;
    }
    return 0;
}

static enum net_qdisc_kind kind_of(const char *name)
{
    for (int kind = 0; kind < NET_QDISC_OTHER; kind++) {
        if (strcmp(name, net_qdisc_kind_name((enum net_qdisc_kind)kind)) == 0)
            return (enum net_qdisc_kind)kind;
    }
    return NET_QDISC_OTHER;
}

int net_qdisc_parse(const struct nlmsghdr *nlh, struct net_qdisc *out, struct net_tc_stats *stats)
{
    struct net_qdisc qdisc = {0};
    struct net_tc_msg msg;

    if (net_tc_msg_parse(nlh, RTM_NEWQDISC, &msg) < 0 || !msg.kind[0])
        return -EBADMSG;
    qdisc.ifindex = msg.ifindex;
    qdisc.parent = msg.parent;
    qdisc.handle = msg.handle;
    qdisc.kind = kind_of(msg.kind);
    if (qdisc.kind == NET_QDISC_OTHER)
        memcpy(qdisc.other, msg.kind, sizeof(qdisc.other));
    if (parse_options(msg.options, &qdisc) < 0)
        return -EBADMSG;
    if (stats &&
        net_tc_stats_parse(msg.stats,
                           qdisc.kind == NET_QDISC_FQ_CODEL ? NET_TC_APP_FQ_CODEL : NET_TC_APP_NONE,
                           stats) < 0)
        return -EBADMSG;
    *out = qdisc;
    return 0;
}

static int dump_one(const struct nlmsghdr *nlh, void *ctx)
{
    const struct qdisc_dump *dump = ctx;
    struct net_tc_stats stats;
    struct net_qdisc qdisc;
    int rc = net_qdisc_parse(nlh, &qdisc, &stats);

    if (rc < 0)
        return rc;
    if (qdisc.handle == 0 || (dump->ifindex && qdisc.ifindex != dump->ifindex))
        return 0;
    return dump->each(&qdisc, &stats, dump->ctx);
}

int net_qdisc_dump(struct net_conn *conn, uint32_t ifindex, net_qdisc_each *each, void *ctx,
                   struct err *err)
{
    _cleanup_(net_msg_freep) struct nl_msg *msg = NULL;
    struct qdisc_dump dump = {.ifindex = ifindex, .each = each, .ctx = ctx};
    struct tcmsg tcm = {.tcm_family = AF_UNSPEC};
    int rc;

    msg = net_msg_new(RTM_GETQDISC, 0, &tcm, sizeof(tcm));
    if (!msg)
        return err_set(err, -ENOMEM, "reading qdiscs: out of memory");
    rc = net_dump(conn, msg, RTNLGRP_TC, dump_one, &dump, err);
    if (rc == -EBADMSG)
        return err_set(err, rc, "reading qdiscs: the kernel's description is malformed");
    return rc < 0 ? err_prefix(err, rc, "reading qdiscs: ") : rc;
}

/* ---- writing ------------------------------------------------------------------------------- */

static int put_htb(struct nl_msg *msg, const struct net_qdisc *qdisc)
{
    struct tc_htb_glob glob = {
        .version = HTB_VERSION,
        .rate2quantum = HTB_RATE_TO_QUANTUM,
        .defcls = qdisc->htb_default,
    };
    struct nlattr *nest = nla_nest_start(msg, TCA_OPTIONS);

    if (!nest || nla_put(msg, TCA_HTB_INIT, sizeof(glob), &glob) < 0)
        return -EMSGSIZE;
    return nla_nest_end(msg, nest);
}

static int put_fq(struct nl_msg *msg, enum net_tc_verb verb, const struct net_fq_codel *fq)
{
    struct nlattr *nest = nla_nest_start(msg, TCA_OPTIONS);
    int rc = 0;

    if (!nest)
        return -EMSGSIZE;
    rc |= nla_put_u32(msg, TCA_FQ_CODEL_TARGET, fq->target_us);
    rc |= nla_put_u32(msg, TCA_FQ_CODEL_LIMIT, fq->limit);
    rc |= nla_put_u32(msg, TCA_FQ_CODEL_INTERVAL, fq->interval_us);
    rc |= nla_put_u32(msg, TCA_FQ_CODEL_ECN, fq->ecn);
    rc |= nla_put_u32(msg, TCA_FQ_CODEL_QUANTUM, fq->quantum);
    rc |= nla_put_u32(msg, TCA_FQ_CODEL_MEMORY_LIMIT, fq->memory_limit);
    /* A change that names it is refused, even if it is the same (fq_codel_change). */
    if (verb == NET_TC_ADD)
        rc |= nla_put_u32(msg, TCA_FQ_CODEL_FLOWS, fq->flows);
    return rc < 0 ? -EMSGSIZE : nla_nest_end(msg, nest);
}

static int put_tbf(struct nl_msg *msg, const struct net_tbf *tbf)
{
    struct tc_tbf_qopt opt = {
        .rate = {.linklayer = TC_LINKLAYER_ETHERNET, /* no table, as for HTB's classes */
                 .rate = tbf->rate_bytes_s > UINT32_MAX ? UINT32_MAX : (uint32_t)tbf->rate_bytes_s},
        .limit = tbf->max_bytes,
    };
    struct nlattr *nest = nla_nest_start(msg, TCA_OPTIONS);
    int rc;

    if (!nest)
        return -EMSGSIZE;
    rc = nla_put(msg, TCA_TBF_PARMS, sizeof(opt), &opt);
    rc |= nla_put_u32(msg, TCA_TBF_BURST, tbf->max_bytes);
    if (tbf->rate_bytes_s > UINT32_MAX)
        rc |= nla_put_u64(msg, TCA_TBF_RATE64, tbf->rate_bytes_s);
    return rc < 0 ? -EMSGSIZE : nla_nest_end(msg, nest);
}

static int put_options(struct nl_msg *msg, enum net_tc_verb verb, const struct net_qdisc *qdisc)
{
    struct tc_fifo_qopt fifo = {.limit = qdisc->bfifo_limit_bytes};

    switch (qdisc->kind) {
    case NET_QDISC_HTB:
        return put_htb(msg, qdisc);
    case NET_QDISC_FQ_CODEL:
        return put_fq(msg, verb, &qdisc->fq);
    case NET_QDISC_BFIFO:
        return nla_put(msg, TCA_OPTIONS, sizeof(fifo), &fifo);
    case NET_QDISC_TBF:
        return put_tbf(msg, &qdisc->tbf);
    case NET_QDISC_INGRESS:
    case NET_QDISC_CLSACT:
    case NET_QDISC_OTHER:
        break;
    }
    return 0;
}

static bool qdisc_complete(enum net_tc_verb verb, const struct net_qdisc *qdisc)
{
    bool special = qdisc->kind == NET_QDISC_INGRESS || qdisc->kind == NET_QDISC_CLSACT;

    if (qdisc->ifindex == 0 || qdisc->parent == 0 || qdisc->handle == 0 ||
        NET_TC_MINOR(qdisc->handle) != 0)
        return false;
    if (verb == NET_TC_DEL)
        return true;
    return qdisc->kind != NET_QDISC_OTHER && special == (qdisc->parent == NET_TC_INGRESS) &&
           !qdisc->has_more;
}

int net_qdisc_build(enum net_tc_verb verb, const struct net_qdisc *qdisc, struct nl_msg **out)
{
    _cleanup_(net_msg_freep) struct nl_msg *msg = NULL;
    struct net_tc_msg head = {
        .ifindex = qdisc->ifindex,
        .handle = qdisc->handle,
        .parent = qdisc->parent,
    };

    if (!qdisc_complete(verb, qdisc))
        return -EINVAL;
    strcpy(head.kind,
           qdisc->kind == NET_QDISC_OTHER ? qdisc->other : net_qdisc_kind_name(qdisc->kind));
    msg = net_tc_msg_build(RTM_NEWQDISC, verb, &head);
    if (!msg || (verb != NET_TC_DEL && put_options(msg, verb, qdisc) < 0))
        return -ENOMEM;
    *out = TAKE(msg);
    return 0;
}

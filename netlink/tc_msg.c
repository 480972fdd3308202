/* What the messages about qdiscs, classes and filters have in common. */
#include "netlink/tc_msg.h"

#include <errno.h>
#include <linux/gen_stats.h>
#include <linux/pkt_sched.h>
#include <linux/rtnetlink.h>
#include <string.h>
#include <netlink/attr.h>
#include <netlink/msg.h>

#include "netlink/msg.h"

struct nl_msg *net_tc_msg_build(int type, enum net_tc_verb verb, const struct net_tc_msg *head)
{
    static const int flags[] = {
        [NET_TC_ADD] = NLM_F_CREATE | NLM_F_EXCL, [NET_TC_ALTER] = 0, [NET_TC_DEL] = 0};
    struct tcmsg tcm = {
        .tcm_family = AF_UNSPEC,
        .tcm_ifindex = (int)head->ifindex,
        .tcm_handle = head->handle,
        .tcm_parent = head->parent,
        .tcm_info = head->info,
    };
    /* NEW, DEL and GET of each kind follow each other. */
    struct nl_msg *msg =
        net_msg_new(verb == NET_TC_DEL ? type + 1 : type, flags[verb], &tcm, sizeof(tcm));

    if (msg && head->kind[0] && nla_put_string(msg, TCA_KIND, head->kind) < 0) {
        nlmsg_free(msg);
        return NULL;
    }
    return msg;
}

static int msg_attr(const struct nlattr *attr, struct net_tc_msg *out)
{
    switch (nla_type(attr)) {
    case TCA_KIND:
        return net_attr_str(attr, out->kind, sizeof(out->kind));
    case TCA_OPTIONS:
        out->options = attr;
        return 0;
    case TCA_STATS2:
        out->stats = attr;
        return 0;
    case TCA_CHAIN:
        return net_attr_u32(attr, &out->chain);
    default:
        return 0;
    }
}

int net_tc_msg_parse(const struct nlmsghdr *nlh, int type, struct net_tc_msg *out)
{
    const struct tcmsg *tcm;
    struct nlattr *attr;
    int left;

    if (nlh->nlmsg_type != type || !nlmsg_valid_hdr(nlh, sizeof(*tcm)))
        return -EBADMSG;
    tcm = nlmsg_data(nlh);
    *out = (struct net_tc_msg){
        .ifindex = (uint32_t)tcm->tcm_ifindex,
        .handle = tcm->tcm_handle,
        .parent = tcm->tcm_parent,
        .info = tcm->tcm_info,
    };
    nlmsg_for_each_attr(attr, nlh, sizeof(*tcm), left)
    {
        if (msg_attr(attr, out) < 0)
            return -EBADMSG;
    }
    return 0;
}

int net_tc_attr(const struct nlattr *attr, void *out, size_t size)
{
    if (nla_len(attr) != (int)size)
        return -EBADMSG;
    memcpy(out, nla_data(attr), size);
    return 0;
}

/* Structs of counters grow at their end: what is there must be at least what we know. */
static int stats_struct(const struct nlattr *attr, void *out, size_t size)
{
    if (nla_len(attr) < (int)size)
        return -EBADMSG;
    memcpy(out, nla_data(attr), size);
    return 0;
}

static int stats_basic(const struct nlattr *attr, struct net_tc_stats *out)
{
    struct gnet_stats_basic basic;

    /* The kernel leaves out the padding at the end of this struct. */
    if (nla_len(attr) < (int)(sizeof(basic.bytes) + sizeof(basic.packets)))
        return -EBADMSG;
    memcpy(&basic, nla_data(attr), sizeof(basic.bytes) + sizeof(basic.packets));
    out->bytes = basic.bytes;
    if (out->packets == 0)
        out->packets = basic.packets;
    return 0;
}

static int stats_queue(const struct nlattr *attr, struct net_tc_stats *out)
{
    struct gnet_stats_queue queue;

    if (stats_struct(attr, &queue, sizeof(queue)) < 0)
        return -EBADMSG;
    out->backlog_packets = queue.qlen;
    out->backlog_bytes = queue.backlog;
    out->drops = queue.drops;
    out->requeues = queue.requeues;
    out->overlimits = queue.overlimits;
    return 0;
}

static int stats_htb(const struct nlattr *attr, struct net_tc_stats *out)
{
    struct tc_htb_xstats htb;

    if (stats_struct(attr, &htb, sizeof(htb)) < 0)
        return -EBADMSG;
    out->lends = htb.lends;
    out->borrows = htb.borrows;
    return 0;
}

static int stats_fq(const struct nlattr *attr, struct net_tc_stats *out)
{
    struct tc_fq_codel_xstats fq = {0};
    const size_t known = offsetof(struct tc_fq_codel_xstats, qdisc_stats) + sizeof(fq.qdisc_stats);

    if (stats_struct(attr, &fq, known) < 0)
        return -EBADMSG;
    if (fq.type != TCA_FQ_CODEL_XSTATS_QDISC)
        return 0;
    out->has_fq = true;
    out->fq_maxpacket = fq.qdisc_stats.maxpacket;
    out->fq_drop_overlimit = fq.qdisc_stats.drop_overlimit;
    out->fq_drop_overmemory = fq.qdisc_stats.drop_overmemory;
    out->fq_ecn_mark = fq.qdisc_stats.ecn_mark;
    out->fq_new_flows = fq.qdisc_stats.new_flow_count;
    out->fq_memory = fq.qdisc_stats.memory_usage;
    return 0;
}

static int stats_app(const struct nlattr *attr, enum net_tc_app app, struct net_tc_stats *out)
{
    switch (app) {
    case NET_TC_APP_HTB_CLASS:
        return stats_htb(attr, out);
    case NET_TC_APP_FQ_CODEL:
        return stats_fq(attr, out);
    case NET_TC_APP_NONE:
        break;
    }
    return 0;
}

static int stats_attr(const struct nlattr *attr, enum net_tc_app app, struct net_tc_stats *out)
{
    switch (nla_type(attr)) {
    case TCA_STATS_BASIC:
        return stats_basic(attr, out);
    case TCA_STATS_PKT64:
        return net_tc_attr(attr, &out->packets, sizeof(out->packets));
    case TCA_STATS_QUEUE:
        return stats_queue(attr, out);
    case TCA_STATS_APP:
        return stats_app(attr, app, out);
    default:
        return 0;
    }
}

int net_tc_stats_parse(const struct nlattr *attr, enum net_tc_app app, struct net_tc_stats *out)
{
    struct net_tc_stats stats = {0};
    struct nlattr *inner;
    int left;

    if (attr)
        nla_for_each_nested(inner, attr, left)
        {
            if (stats_attr(inner, app, &stats) < 0)
                return -EBADMSG;
        }
    *out = stats;
    return 0;
}

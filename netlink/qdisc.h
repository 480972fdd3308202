/* Queueing disciplines over rtnetlink: HTB, fq_codel, bfifo, tbf, ingress, clsact. */
#ifndef NETLINK_QDISC_H
#define NETLINK_QDISC_H

#include "common/err.h"
#include "netlink/tc.h"

struct net_conn;
struct nl_msg;
struct nlmsghdr;

/** net_qdisc_each - one qdisc of a dump; nonzero ends the dump and is handed on. */
typedef int net_qdisc_each(const struct net_qdisc *qdisc, const struct net_tc_stats *stats,
                           void *ctx);

/**
 * net_qdisc_build() - the request that adds, alters or removes one
 * @out: the message; nlmsg_free() it
 *
 * Return: 0, -EINVAL for a qdisc that is not complete or of a kind we do not write, -ENOMEM.
 */
int net_qdisc_build(enum net_tc_verb verb, const struct net_qdisc *qdisc, struct nl_msg **out);

/** net_qdisc_parse() - RTM_NEWQDISC into a struct; @stats may be NULL.  Return: 0 or -EBADMSG. */
int net_qdisc_parse(const struct nlmsghdr *nlh, struct net_qdisc *out, struct net_tc_stats *stats);

/**
 * net_qdisc_dump() - read the qdiscs of a device
 * @ifindex: 0 for all; the kernel cannot filter qdiscs, so this is done here
 *
 * The kernel's own choice (pfifo_fast, noqueue, what a class without a qdisc has: handle 0) is not
 * shown: it is there where nothing else is.
 */
int net_qdisc_dump(struct net_conn *conn, uint32_t ifindex, net_qdisc_each *each, void *ctx,
                   struct err *err);

#endif

/* HTB classes over rtnetlink: shares of a rate. */
#ifndef NETLINK_CLASS_H
#define NETLINK_CLASS_H

#include "common/err.h"
#include "netlink/tc.h"

struct net_conn;
struct nl_msg;
struct nlmsghdr;

/** net_class_each - one class of a dump; nonzero ends the dump and is handed on. */
typedef int net_class_each(const struct net_class *cls, const struct net_tc_stats *stats,
                           void *ctx);

/**
 * net_class_build() - the request that adds, alters or removes one
 * @out: the message; nlmsg_free() it
 *
 * Return: 0, -EINVAL for a class without a rate or the like, -ENOMEM.
 */
int net_class_build(enum net_tc_verb verb, const struct net_class *cls, struct nl_msg **out);

/** net_class_parse() - RTM_NEWTCLASS into a struct; @stats may be NULL.  Return: 0 or -EBADMSG. */
int net_class_parse(const struct nlmsghdr *nlh, struct net_class *out, struct net_tc_stats *stats);

/**
 * net_class_dump() - read the classes of one HTB qdisc
 * @qdisc: its handle; 0 for all classes of the device, which with fq_codel leaves shows each flow
 */
int net_class_dump(struct net_conn *conn, uint32_t ifindex, uint32_t qdisc, net_class_each *each,
                   void *ctx, struct err *err);

#endif

/* u32 filters over rtnetlink: hash tables of addresses, classes, redirection by mirred. */
#ifndef NETLINK_FILTER_H
#define NETLINK_FILTER_H

#include "common/err.h"
#include "netlink/tc.h"

struct net_conn;
struct nl_msg;
struct nlmsghdr;

/** net_filter_each - one filter of a dump; nonzero ends the dump and is handed on. */
typedef int net_filter_each(const struct net_filter *filter, void *ctx);

/**
 * net_filter_build() - the request that adds, alters or removes one
 * @filter: of table 0, what is altered or removed should come from a dump, which knows the kernel's
 *          number of that table; else it is taken for the first priority's, 800
 * @out: the message; nlmsg_free() it
 *
 * Return: 0, -EINVAL for a filter that is not complete, -ENOMEM.
 */
int net_filter_build(enum net_tc_verb verb, const struct net_filter *filter, struct nl_msg **out);

/**
 * net_filter_parse() - RTM_NEWTFILTER into a struct
 *
 * Return: 0; -ENOENT for what the kernel makes by itself (the priority as such and its first
 * table); -EBADMSG.
 */
int net_filter_parse(const struct nlmsghdr *nlh, struct net_filter *out);

/**
 * net_filter_dump() - read the filters at one qdisc
 * @parent: the qdisc's handle; for clsact NET_TC_CLSACT_INGRESS or the other
 */
int net_filter_dump(struct net_conn *conn, uint32_t ifindex, uint32_t parent, net_filter_each *each,
                    void *ctx, struct err *err);

#endif

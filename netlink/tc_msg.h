/* What the messages about qdiscs, classes and filters have in common; for these nouns only. */
#ifndef NETLINK_TC_MSG_H
#define NETLINK_TC_MSG_H

#include <stdint.h>

#include "netlink/tc.h"

struct nl_msg;
struct nlattr;
struct nlmsghdr;

/* A message taken apart; the attributes point into it and are NULL where it has none. */
struct net_tc_msg {
    uint32_t ifindex;
    uint32_t handle;
    uint32_t parent;
    uint32_t info;
    char kind[NET_KIND_SIZE];
    const struct nlattr *options;
    const struct nlattr *stats;
    uint32_t chain;
};

/* Whose own counters TCA_STATS_APP holds. */
enum net_tc_app {
    NET_TC_APP_NONE,
    NET_TC_APP_HTB_CLASS,
    NET_TC_APP_FQ_CODEL,
};

/**
 * net_tc_msg_build() - start a message
 * @type: RTM_NEWQDISC, RTM_NEWTCLASS or RTM_NEWTFILTER; the one that deletes is derived from it
 * @head: all but options, stats and chain
 *
 * Return: the message, NULL when out of memory.
 */
struct nl_msg *net_tc_msg_build(int type, enum net_tc_verb verb, const struct net_tc_msg *head);

/**
 * net_tc_msg_parse() - take one apart
 * @type: the message must be of it
 *
 * Return: 0, or -EBADMSG with @out undefined.
 */
int net_tc_msg_parse(const struct nlmsghdr *nlh, int type, struct net_tc_msg *out);

/** net_tc_stats_parse() - TCA_STATS2 of a qdisc or class; NULL: all zero.  0 or -EBADMSG. */
int net_tc_stats_parse(const struct nlattr *attr, enum net_tc_app app, struct net_tc_stats *out);

/** net_tc_attr() - copy a struct of exactly @size bytes out of an attribute.  0 or -EBADMSG. */
int net_tc_attr(const struct nlattr *attr, void *out, size_t size);

#endif

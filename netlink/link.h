/*
 * Links: reading a device and setting what the router owns of it.
 *
 * A TUN device is made by an ioctl (tun.h), everything after that goes through rtnetlink.
 */
#ifndef NETLINK_LINK_H
#define NETLINK_LINK_H

#include "common/err.h"
#include "netlink/object.h"

struct net_conn;
struct nl_msg;
struct nlmsghdr;

#define NET_LINK_MSGS 2 /* that a change takes at most */

/** net_link_each - one link of a dump; nonzero ends the dump and is handed on. */
typedef int net_link_each(const struct net_link *link, void *ctx);

/** net_link_parse() - an RTM_NEWLINK message.  Return: 0 or -EBADMSG. */
int net_link_parse(const struct nlmsghdr *nlh, struct net_link *out);

/** net_link_dump() - all links there are. */
int net_link_dump(struct net_conn *conn, net_link_each *each, void *ctx, struct err *err);

/**
 * net_link_make() - make a device through rtnetlink (an ifb) and set all of it
 * @want: its .group marks it from the first moment on
 *
 * Return: 0, -EEXIST when the name is taken, -EOPNOTSUPP when the kernel lacks the kind, or -errno.
 */
int net_link_make(struct net_conn *conn, const struct net_link *want, struct err *err);

/**
 * net_link_build() - the messages that set @parts of a device
 * @ifindex: as for net_link_set()
 * @msgs:    becomes the messages in their order; the caller frees them
 *
 * Return: how many, or -errno.
 */
int net_link_build(uint32_t ifindex, const struct net_link *want, unsigned int parts,
                   struct nl_msg *msgs[NET_LINK_MSGS], struct err *err);

/** net_link_build_del() - the message that removes a device.  Return: 0 or -errno. */
int net_link_build_del(uint32_t ifindex, struct nl_msg **msg, struct err *err);

/**
 * net_link_get() - read one device
 *
 * Return: 0, -ENODEV when there is none of that name, or -errno.
 */
int net_link_get(struct net_conn *conn, const char *name, struct net_link *out, struct err *err);

/**
 * net_link_set() - set parts of a device
 * @ifindex: which; a name could be another device's by now
 * @want:    the values; the name is used for messages
 * @parts:   NET_LINK_ bits, for example from net_link_diff()
 *
 * Up comes last, so that a device without link-local address never has one for a moment.  Taking a
 * link down makes the kernel drop its IPv4 routes without notice; up does not bring them back.
 *
 * Return: 0 or -errno; parts set before the refused one stay set.
 */
int net_link_set(struct net_conn *conn, uint32_t ifindex, const struct net_link *want,
                 unsigned int parts, struct err *err);

/** net_link_del() - remove a device; one that is gone already is success. */
int net_link_del(struct net_conn *conn, uint32_t ifindex, struct err *err);

#endif

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

/* Addresses of devices. */
#ifndef NETLINK_ADDR_H
#define NETLINK_ADDR_H

#include "common/err.h"
#include "netlink/object.h"

struct net_conn;
struct nl_msg;
struct nlmsghdr;

/** net_addr_parse() - an RTM_NEWADDR message.  Return: 0 or -EBADMSG. */
int net_addr_parse(const struct nlmsghdr *nlh, struct net_addr *out);

/**
 * net_addr_build() - the message that makes, changes or removes an address
 * @out: becomes the message; the caller frees it
 *
 * Return: 0 or -errno.
 */
int net_addr_build(enum net_verb verb, const struct net_addr *addr, struct nl_msg **out,
                   struct err *err);

/** net_addr_each - one address of a dump; nonzero ends the dump and is handed on. */
typedef int net_addr_each(const struct net_addr *addr, void *ctx);

/**
 * net_addr_put() - make this address be there, with these attributes
 *
 * For devices that are our own: an address with the same identity is made equal, whoever set it.
 * What the kernel cannot change in place (IPv4's prefix route, IPv6's length) is taken off and put
 * on again.  A kernel that keeps no owner's mark for addresses is no obstacle.
 *
 * Return: 0, also when the address was there already; or -errno.
 */
int net_addr_put(struct net_conn *conn, const struct net_addr *addr, struct err *err);

/** net_addr_del() - take an address off; one that is gone already is success. */
int net_addr_del(struct net_conn *conn, const struct net_addr *addr, struct err *err);

/**
 * net_addr_dump() - read the addresses of a device
 * @family:  4, 6, or 0 for both
 * @ifindex: 0 for all devices
 */
int net_addr_dump(struct net_conn *conn, uint8_t family, uint32_t ifindex, net_addr_each *each,
                  void *ctx, struct err *err);

#endif

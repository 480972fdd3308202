/*
 * Routes over devices and gateways, and routes that refuse.
 *
 * A tunnel is point to point: its routes name a device and no gateway.
 */
#ifndef NETLINK_ROUTE_H
#define NETLINK_ROUTE_H

#include "common/err.h"
#include "netlink/object.h"

struct net_conn;
struct nl_msg;
struct nlmsghdr;

/**
 * net_route_parse() - an RTM_NEWROUTE message
 *
 * Return: 0, 1 for a route that net_route_dump() leaves out, or -EBADMSG.
 */
int net_route_parse(const struct nlmsghdr *nlh, struct net_route *out);

/**
 * net_route_build() - the message that makes, changes or removes a route
 * @out: becomes the message; the caller frees it
 *
 * A change takes the place of whatever has the route's identity, and a removal with metric 0 hits
 * the first that agrees in the rest: the caller knows what is there.
 *
 * Return: 0 or -errno.
 */
int net_route_build(enum net_verb verb, const struct net_route *route, struct nl_msg **out,
                    struct err *err);

/** net_route_each - one route of a dump; nonzero ends the dump and is handed on. */
typedef int net_route_each(const struct net_route *route, void *ctx);

/** What a dump shall show; 0 is any. */
struct net_route_filter {
    uint8_t family;
    uint32_t table;
    uint8_t protocol;
};

/**
 * net_route_put() - make this route be there, with these attributes
 *
 * A route of ours (same protocol) with the same identity is replaced; with a device that is down
 * the kernel answers -ENETDOWN.
 *
 * Return: 0, also when the route was there already; -EEXIST when somebody else's route has that
 * table, destination and metric (@err shows it); or -errno.
 */
int net_route_put(struct net_conn *conn, const struct net_route *route, struct err *err);

/** net_route_del() - remove a route of ours; one that is gone already is success. */
int net_route_del(struct net_conn *conn, const struct net_route *route, struct err *err);

/**
 * net_route_dump() - read routes
 *
 * Cached clones, and routes chosen by more than their destination (TOS, source prefix), are left
 * out: none of ours is one, and none can be in the way of ours.
 */
int net_route_dump(struct net_conn *conn, const struct net_route_filter *filter,
                   net_route_each *each, void *ctx, struct err *err);

#endif

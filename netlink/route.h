/*
 * Routes over devices, and routes that refuse.
 *
 * A tunnel is point to point: its routes name a device and no gateway.
 */
#ifndef NETLINK_ROUTE_H
#define NETLINK_ROUTE_H

#include "common/err.h"
#include "netlink/object.h"

struct net_conn;

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

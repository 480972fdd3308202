/*
 * A snapshot: what is in the kernel of ours, and what of others' matters to us.
 */
#ifndef NETLINK_SNAPSHOT_H
#define NETLINK_SNAPSHOT_H

#include "common/err.h"
#include "netlink/kernel.h"
#include "netlink/set.h"

struct net_snapshot {
    struct net_set *links;   /* every link, by name */
    struct net_set *have;    /* what is ours, sorted; doubles are kept */
    struct net_set *foreign; /* rules of others, and routes where somebody had to look */
};

/**
 * net_snapshot_take() - read the scopes that are ours
 * @want: sorted; which settings to read, and which devices may have to do with us
 *
 * Return: 0 or -errno.
 */
int net_snapshot_take(const struct net_kernel *kernel, const struct net_owner *owner,
                      const struct net_set *want, struct net_snapshot **out, struct err *err);

/**
 * net_snapshot_look() - also read the routes of others where routes in @want do not stand yet
 *
 * A routing table may hold a million routes of others, so this is done only when it matters, and
 * only for the tables of such routes.
 */
int net_snapshot_look(const struct net_kernel *kernel, const struct net_owner *owner,
                      const struct net_set *want, struct net_snapshot *snapshot, struct err *err);

/** net_snapshot_free() - NULL is allowed. */
void net_snapshot_free(struct net_snapshot *snapshot);

#endif

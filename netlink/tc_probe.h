/* Which kinds of traffic control this kernel has, found out by trying. */
#ifndef NETLINK_TC_PROBE_H
#define NETLINK_TC_PROBE_H

#include <stdbool.h>

#include "common/err.h"

struct net_conn;

struct net_tc_kinds {
    bool htb;
    bool fq_codel;
    bool u32;
    bool tbf;
    bool ifb;
    bool redirect; /* an ingress qdisc, with mirred in a u32 filter */
};

/**
 * net_tc_probe() - try each on a device of its own that is gone afterwards
 *
 * The kernel loads its modules on demand, so what can be loaded is there.  Without ifb another kind
 * of device serves.
 *
 * Return: 0; -ENODEV when no device could be made to try on, and @out knows nothing; or -errno.
 */
int net_tc_probe(struct net_conn *conn, struct net_tc_kinds *out, struct err *err);

#endif

/*
 * Forwarding of packets: switched on as the configuration says, and put back as it was.  In between
 * the engine sees to it that it stays on (daemon/desired).
 *
 * IPv6 has a trap: a host that forwards does not listen to router advertisements, and one that
 * lives by them would lose its default route and, in time, its addresses.  Then IPv6 is not
 * switched on, unless accept_ra is 2 for that device ("even if I forward").
 */
#ifndef DAEMON_FORWARDING_H
#define DAEMON_FORWARDING_H

#include <stdbool.h>

#include "common/err.h"

struct config;
struct net_conn;
struct server;

/** forwarding_open() - learn what an earlier run changed, and do as the configuration says. */
void forwarding_open(struct server *s);
/**
 * forwarding_before() - another configuration is about to be applied
 *
 * What it does not forward is put back now, before its packet filter may go.  What it does is only
 * noted: the engine switches it on, behind the filter.
 */
void forwarding_before(struct server *s, const struct config *config);
/** forwarding_follow() - do as this configuration says. */
void forwarding_follow(struct server *s, const struct config *config);
/** forwarding_close() - put back what was changed. */
void forwarding_close(struct server *s);

/**
 * forwarding_ip6_safe() - may this host forward IPv6 without losing its own way out?
 *
 * Return: 0; -EBUSY with the sentence when it lives by router advertisements; or -errno.
 */
int forwarding_ip6_safe(struct net_conn *conn, struct err *err);

#endif

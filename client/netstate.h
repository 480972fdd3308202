/*
 * What a tunnel needs in the kernel: its device's settings and addresses, its routes, its rules.
 *
 * Objects of ours carry the client's protocol number (or, the device, our alias); nothing else is
 * ever changed.  What an earlier run left behind is ours too: devices are adopted, routes and rules
 * removed at start, because an old rule would send the look-up of the server's name into a tunnel
 * that does not work yet.
 */
#ifndef CLIENT_NETSTATE_H
#define CLIENT_NETSTATE_H

#include "client/profile.h"
#include "client/routing.h"
#include "common/err.h"

struct net_conn;

#define NETSTATE_ALIAS "vpn-client"
#define NETSTATE_ADDRS 2

/* What is wanted.  routing.ifindex is the device's. */
struct netstate {
    char device[IFNAMSIZ];
    uint16_t mtu;
    struct ip_prefix addrs[NETSTATE_ADDRS];
    size_t n_addrs;
    struct routing routing;
};

/**
 * netstate_device_check() - may we use a device of this name?
 *
 * Return: 0 when there is none or it is ours from an earlier run; -EEXIST for anybody else's.
 */
int netstate_device_check(struct net_conn *conn, const char *device, struct err *err);

/**
 * netstate_device_claim() - mark a device that was just attached as ours
 * @ifindex: becomes the device's
 */
int netstate_device_claim(struct net_conn *conn, const char *device, uint32_t *ifindex,
                          struct err *err);

/**
 * netstate_clean() - remove what an earlier run left, but for the devices of this profile
 *
 * Return: 0, or -errno of the first thing that could not be removed; the others are.
 */
int netstate_clean(struct net_conn *conn, const struct profile *profile, struct err *err);

/**
 * netstate_apply() - make the kernel equal to @want
 * @former: what was applied before, or NULL
 *
 * New things come before old ones go.  A refusal does not keep the rest from being set.
 *
 * Return: 0, or -errno of the first refusal.
 */
int netstate_apply(struct net_conn *conn, const struct netstate *want,
                   const struct netstate *former, struct err *err);

/** netstate_remove() - rules and routes first, then the device with all that is on it. */
int netstate_remove(struct net_conn *conn, const struct netstate *have, struct err *err);

#endif

/*
 * What the tunnels need in the kernel: devices, addresses, routes, rules.
 *
 * Objects carry the client's protocol number, devices our alias; nothing else is ever changed.
 *
 * Pure: no system call.
 */
#ifndef CLIENT_NETSTATE_H
#define CLIENT_NETSTATE_H

#include "client/routing.h"
#include "common/err.h"

#define NETSTATE_ALIAS "vpn-client"
#define NETSTATE_ADDRS 2

/* Of one tunnel.  routing.up: it has had a lease, and mtu and addrs are that one's. */
struct netstate {
    char device[IFNAMSIZ];
    uint16_t mtu;
    struct ip_prefix addrs[NETSTATE_ADDRS];
    size_t n_addrs;
    struct routing routing;
};

/**
 * netstate_apart() - must a tunnel stand apart from another that takes everything?
 *
 * Return: true when any but @number of these has a default route that catches.
 */
bool netstate_apart(const struct netstate *const *tunnels, size_t n, uint32_t number);

/** netstate_catches() - would a rule of any of these catch IPv4 packets that carry no mark? */
bool netstate_catches(const struct netstate *const *tunnels, size_t n);

/**
 * netstate_lower() - all that @n tunnels need, as one set
 * @names_port: where questions to name servers come from, 0 for none
 *
 * Return: 0 or -ENOMEM.
 */
int netstate_lower(const struct netstate *const *tunnels, size_t n, uint16_t names_port,
                   struct net_set *set);

/**
 * netstate_lower_blocks() - what shall stay when the client ends without having been asked to
 *
 * Rules and unreachable routes of the tunnels that block, and no device.  Return: 0 or -ENOMEM.
 */
int netstate_lower_blocks(const struct netstate *const *tunnels, size_t n, struct net_set *set);

#endif

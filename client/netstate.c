/* What the tunnels need in the kernel; see netstate.h. */
#include "client/netstate.h"

#include <stdio.h>
#include <string.h>

static bool takes_everything(const struct routing *r)
{
    return (routing_catches(r, 4) || routing_catches(r, 6)) &&
           (routing_is_full(r, 4) || routing_is_full(r, 6));
}

bool netstate_apart(const struct netstate *const *tunnels, size_t n, uint32_t number)
{
    for (size_t i = 0; i < n; i++)
        if (tunnels[i]->routing.number != number && takes_everything(&tunnels[i]->routing))
            return true;
    return false;
}

static int lower_link(const struct netstate *s, struct net_set *set)
{
    struct net_link link = {
        .kind = "tun",
        .alias = NETSTATE_ALIAS,
        .mtu = s->routing.up ? s->mtu : 0,
        .up = s->routing.up,
        /* The tunnel carries what was agreed, and nothing announces itself. */
        .ip6ll = NET_IP6LL_NONE,
    };

    memcpy(link.name, s->device, sizeof(link.name));
    return net_set_add_link(set, &link);
}

/*
 * A second IPv4 address of the same network is the kernel's "secondary", and goes with the first
 * one, and with the last address all routes go: unless the secondary is promoted.
 */
static int lower_promotion(const struct netstate *s, struct net_set *set)
{
    char path[NET_SETTING_PATH];

    snprintf(path, sizeof(path), "ipv4/conf/%s/promote_secondaries", s->device);
    return net_set_add_setting(set, path, "1");
}

static int lower_addrs(const struct netstate *s, struct net_set *set)
{
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < s->n_addrs; i++) {
        const struct net_addr addr = {
            .prefix = s->addrs[i],
            .protocol = NET_PROTO_CLIENT,
            .no_prefix_route = true,
        };

        rc = net_set_add_addr(set, s->device, &addr);
        if (rc == 0)
            rc = routing_lower_from(&s->routing, &s->addrs[i].addr, set);
    }
    return rc;
}

bool netstate_catches(const struct netstate *const *tunnels, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (routing_catches(&tunnels[i]->routing, 4))
            return true;
    return false;
}

/* Whose answers have to get past rules of whichever tunnel. */
static int lower_back(const struct netstate *const *tunnels, size_t n, uint16_t names_port,
                      struct net_set *set)
{
    const bool catches = netstate_catches(tunnels, n);
    int rc = 0;

    for (size_t i = 0; rc == 0 && catches && i < n; i++)
        rc = routing_lower_back(&tunnels[i]->routing, set);
    return rc == 0 && catches ? routing_lower_others(names_port, set) : rc;
}

int netstate_lower(const struct netstate *const *tunnels, size_t n, uint16_t names_port,
                   struct net_set *set)
{
    int rc = lower_back(tunnels, n, names_port, set);

    for (size_t i = 0; rc == 0 && i < n; i++) {
        struct routing routing = tunnels[i]->routing;

        routing.apart = netstate_apart(tunnels, n, routing.number);
        rc = lower_link(tunnels[i], set);
        if (rc == 0)
            rc = lower_promotion(tunnels[i], set);
        if (rc == 0)
            rc = lower_addrs(tunnels[i], set);
        if (rc == 0)
            rc = routing_lower(&routing, set);
    }
    return rc;
}

int netstate_lower_blocks(const struct netstate *const *tunnels, size_t n, struct net_set *set)
{
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < n; i++) {
        struct routing routing = tunnels[i]->routing;

        routing.up = false;
        if (routing.block)
            rc = routing_lower(&routing, set);
    }
    return rc;
}

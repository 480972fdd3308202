/* How far a tunnel's server is believed; see trust.h. */
#include "client/trust.h"

#include <string.h>

#include "client/routing.h"

static bool is_shared(const struct profile_tunnel *t)
{
    return !t->has_uids && !t->table;
}

static bool takes_everything(const struct profile_tunnel *t)
{
    const struct routing r = {.routes = t->routes, .n_routes = t->n_routes};

    return routing_is_full(&r, 4) || routing_is_full(&r, 6);
}

bool trust_is_full(const struct profile_tunnel *t)
{
    return is_shared(t) && takes_everything(t);
}

enum trust trust_of(const struct profile *p, size_t number)
{
    enum trust trust = TRUST_ALL;

    if (!is_shared(&p->tunnels[number]))
        return TRUST_ALL;
    for (size_t i = 0; i < p->n_tunnels; i++) {
        const struct profile_tunnel *t = &p->tunnels[i];

        if (i == number || !is_shared(t))
            continue;
        if (takes_everything(t))
            return TRUST_PRIVATE;
        if (t->own_network)
            trust = TRUST_NO_DEFAULT;
    }
    return trust;
}

bool trust_takes(enum trust trust, const struct ip_prefix *network)
{
    switch (trust) {
    case TRUST_ALL:
        return true;
    case TRUST_NO_DEFAULT:
        return network->len > 1;
    case TRUST_PRIVATE:
        return routing_is_private(network);
    }
    return false;
}

/* ---- what another tunnel keeps ----------------------------------------------------------------
 */

static void keep(struct trust_kept *kept, uint8_t family, const uint8_t *bytes, uint8_t len)
{
    struct ip_prefix at = {.addr.family = family, .len = len};

    memcpy(at.addr.bytes, bytes, ip_addr_bytes(&at.addr));
    /* All zeros, which means none, is no unicast address either. */
    if (ip_addr_is_unicast(&at.addr) && len > 0 && len <= ip_addr_bits(&at.addr))
        kept->lease[kept->n_lease++] = ip_prefix_network(at);
}

bool trust_keep(const struct profile_tunnel *t, const struct ipc_lease *lease,
                struct trust_kept *kept)
{
    const struct trust_kept before = *kept;

    memset(kept, 0, sizeof(*kept));
    kept->routes = t->routes;
    kept->n_routes = t->n_routes;
    if (lease) {
        keep(kept, 4, lease->ip4, lease->prefix4);
        keep(kept, 4, lease->gateway4, 32);
        keep(kept, 4, lease->dns4, 32);
        keep(kept, 6, lease->ip6, lease->prefix6);
        keep(kept, 6, lease->gateway6, 128);
        keep(kept, 6, lease->dns6, 128);
    }
    return before.routes != kept->routes ||
           memcmp(before.lease, kept->lease, sizeof(before.lease)) != 0;
}

bool trust_is_kept(const struct trust_kept *kept, const struct ip_prefix *network)
{
    for (size_t i = 0; i < kept->n_lease; i++)
        if (ip_prefix_overlaps(&kept->lease[i], network))
            return true;
    /* Save the default route and its halves, beside which private networks are another's. */
    for (size_t i = 0; i < kept->n_routes; i++)
        if (kept->routes[i].len > 1 && ip_prefix_overlaps(&kept->routes[i], network))
            return true;
    return false;
}

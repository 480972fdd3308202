/* How far a tunnel's server is believed; see trust.h. */
#include "client/trust.h"

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

/* Networks behind users: kernel routes and the lanes' table; see networks.h. */
#include "daemon/networks.h"

#include <errno.h>

#include "common/cleanup.h"
#include "common/log.h"
#include "daemon/server.h"
#include "netlink/conn.h"
#include "netlink/route.h"

static struct net_route network_route(const struct server *s, const struct ip_prefix *network)
{
    return (struct net_route){
        .dst = *network,
        .table = NET_TABLE_MAIN,
        .ifindex = s->ifindex,
        .protocol = NET_PROTO_SERVER,
        .type = NET_ROUTE_UNICAST,
    };
}

/* A refusal is the operator's to mend (a route of somebody else's); the others go on. */
static void route_put(struct server *s, uint32_t id, const struct ip_prefix *network)
{
    const struct net_route route = network_route(s, network);
    char text[IP_PREFIX_STRLEN];
    struct err err;

    ip_prefix_format(network, text);
    if (net_route_put(s->net, &route, &err) < 0)
        log_error("%s: network %s is not reachable: %s", users_name(s->users, id), text, err.msg);
    else
        log_info("%s: network %s is behind this user", users_name(s->users, id), text);
}

static void route_del(struct server *s, uint32_t id, const struct ip_prefix *network)
{
    const struct net_route route = network_route(s, network);
    struct err err;

    if (net_route_del(s->net, &route, &err) < 0)
        log_warning("%s: %s", users_name(s->users, id), err.msg);
}

static void lookup_put(struct server *s, uint32_t id, const struct ip_prefix *network,
                       uint32_t peer)
{
    if (lookup_net_set(s->dp.lookup, network, peer) < 0)
        log_error("%s: the table of networks is full", users_name(s->users, id));
}

/* ---- what an earlier run left ------------------------------------------------------------------
 */

struct leftover {
    uint32_t ifindex;
    struct net_route routes[64];
    size_t n;
};

static int note_leftover(const struct net_route *route, void *ctx)
{
    struct leftover *left = ctx;

    if (route->ifindex == left->ifindex && left->n < ARRAY_SIZE(left->routes))
        left->routes[left->n++] = *route;
    return 0;
}

void networks_clean(struct server *s)
{
    const struct net_route_filter filter = {.protocol = NET_PROTO_SERVER};
    struct leftover left = {.ifindex = s->ifindex};
    struct err err = {0};
    size_t removed;
    int rc;

    /* Again until none is left: a dump is collected in pieces, so that memory stays bounded. */
    do {
        left.n = removed = 0;
        rc = net_route_dump(s->net, &filter, note_leftover, &left, &err);
        for (size_t i = 0; rc == 0 && i < left.n; i++)
            removed += net_route_del(s->net, &left.routes[i], &err) == 0;
    } while (rc == 0 && removed > 0);
    if (rc < 0 || removed < left.n)
        log_warning("routes left behind by an earlier run: %s", err.msg);
}

/* ---- a user's devices --------------------------------------------------------------------------
 */

void networks_up(struct server *s, uint32_t id, uint32_t peer)
{
    struct user *user = users_get(s->users, id);

    if (!user)
        return;
    for (size_t i = 0; i < user->conf->n_networks; i++) {
        lookup_put(s, id, &user->conf->networks[i], peer);
        if (!user->carrier)
            route_put(s, id, &user->conf->networks[i]);
    }
    user->carrier = peer;
}

/* The device of the user that connected last, but for @peer; 0 when there is none. */
static uint32_t other_device(struct server *s, uint32_t id, uint32_t peer)
{
    const struct server_session *session = NULL, *newest = NULL;

    while ((session = sessions_each(s->sessions, (struct server_session *)(uintptr_t)session)) !=
           NULL)
        if (session->state == SERVER_SESSION_BOUND && session->peer != peer &&
            session->lease->user == id && (!newest || session->since_us > newest->since_us))
            newest = session;
    return newest ? newest->peer : 0;
}

void networks_down(struct server *s, uint32_t id, uint32_t peer)
{
    struct user *user = users_get(s->users, id);
    uint32_t other;

    if (!user || user->carrier != peer)
        return;
    other = other_device(s, id, peer);
    for (size_t i = 0; i < user->conf->n_networks; i++) {
        if (other) {
            lookup_put(s, id, &user->conf->networks[i], other);
        } else {
            route_del(s, id, &user->conf->networks[i]);
            (void)lookup_net_remove(s->dp.lookup, &user->conf->networks[i]);
        }
    }
    user->carrier = other;
}

static bool has_network(const struct config_user *conf, const struct ip_prefix *network)
{
    for (size_t i = 0; i < conf->n_networks; i++)
        if (conf->networks[i].len == network->len &&
            ip_addr_equal(&conf->networks[i].addr, &network->addr))
            return true;
    return false;
}

void networks_replace(struct server *s, uint32_t id, const struct config_user *then,
                      const struct config_user *now)
{
    const struct user *user = users_get(s->users, id);

    if (!user || !user->carrier)
        return;
    for (size_t i = 0; i < then->n_networks; i++) {
        const struct ip_prefix *network = &then->networks[i];

        if (has_network(now, network))
            continue;
        /* Another user may have it by now, if that one was changed first. */
        if (lookup_net_exact(s->dp.lookup, network) != user->carrier)
            continue;
        route_del(s, id, network);
        (void)lookup_net_remove(s->dp.lookup, network);
    }
    for (size_t i = 0; i < now->n_networks; i++) {
        if (has_network(then, &now->networks[i]))
            continue;
        lookup_put(s, id, &now->networks[i], user->carrier);
        route_put(s, id, &now->networks[i]);
    }
}

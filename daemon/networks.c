/* Networks behind users in the lanes' table; see networks.h. */
#include "daemon/networks.h"

#include <errno.h>

#include "common/cleanup.h"
#include "common/log.h"
#include "daemon/keeper.h"
#include "daemon/server.h"

static void lookup_put(struct server *s, uint32_t id, const struct ip_prefix *network,
                       uint32_t peer)
{
    if (lookup_net_set(s->dp.lookup, network, peer) < 0)
        log_error("%s: the table of networks is full", users_name(s->users, id));
}

/* ---- a user's devices --------------------------------------------------------------------------
 */

void networks_up(struct server *s, uint32_t id, uint32_t peer)
{
    struct user *user = users_get(s->users, id);

    if (!user)
        return;
    for (size_t i = 0; i < user->conf->n_networks; i++)
        lookup_put(s, id, &user->conf->networks[i], peer);
    if (!user->carrier && user->conf->n_networks)
        keeper_changed(s);
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
        if (other)
            lookup_put(s, id, &user->conf->networks[i], other);
        else
            (void)lookup_net_remove(s->dp.lookup, &user->conf->networks[i]);
    }
    if (!other && user->conf->n_networks)
        keeper_changed(s);
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
        (void)lookup_net_remove(s->dp.lookup, network);
    }
    for (size_t i = 0; i < now->n_networks; i++) {
        if (has_network(then, &now->networks[i]))
            continue;
        lookup_put(s, id, &now->networks[i], user->carrier);
    }
}

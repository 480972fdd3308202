/* Networks behind users in the lanes' table; see networks.h. */
#include "daemon/networks.h"

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
    struct server_session *session = session_get(s->sessions, peer), *former;
    struct user *user = users_get(s->users, id);

    if (!user || !session)
        return;
    for (size_t i = 0; i < user->conf->n_networks; i++)
        lookup_put(s, id, &user->conf->networks[i], peer);
    if (!user->carrier && user->conf->n_networks)
        keeper_changed(s);
    former = session_get(s->sessions, user->carrier);
    if (former)
        former->newer = peer;
    session->older = former ? former->peer : 0;
    session->newer = 0;
    user->carrier = peer;
}

static void list_remove(struct sessions *ss, struct server_session *session)
{
    struct server_session *newer = session_get(ss, session->newer);
    struct server_session *older = session_get(ss, session->older);

    if (newer)
        newer->older = session->older;
    if (older)
        older->newer = session->newer;
    session->newer = session->older = 0;
}

void networks_down(struct server *s, uint32_t id, uint32_t peer)
{
    struct server_session *session = session_get(s->sessions, peer);
    struct user *user = users_get(s->users, id);
    uint32_t other;

    if (!session)
        return;
    other = session->older;
    list_remove(s->sessions, session);
    if (!user || user->carrier != peer)
        return;
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

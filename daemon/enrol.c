/* Users in the enclave; see enrol.h. */
#include "daemon/enrol.h"

#include <string.h>

#include "common/log.h"
#include "daemon/server.h"

/* Longer than a session that was told good-bye keeps its keys (session.c). */
#define LEAVING_MS 1000

/* What must not be lost: the enclave takes it in within a second, or the next one will. */
static void tell(struct server *s, const union ipc_msg *msg)
{
    int rc = link_send_all(s->link, msg);

    if (rc == 0)
        return;
    log_error("the enclave does not take %s: %s", ipc_type_name(msg->hdr.type), strerror(-rc));
    (void)spawner_kill(&s->spawner);
}

static void tell_network(struct server *s, uint32_t id, const struct ip_prefix *network)
{
    union ipc_msg msg;

    ipc_fill(&msg, IPC_ALLOW);
    msg.allow.id = id;
    msg.allow.end = IPC_ALLOW_SOURCE;
    msg.allow.family = network->addr.family;
    msg.allow.prefix_len = network->len;
    memcpy(msg.allow.addr, network->addr.bytes, sizeof(msg.allow.addr));
    tell(s, &msg);
}

void enrol_user(struct server *s, uint32_t id)
{
    const struct user *user = users_get(s->users, id);
    union ipc_msg msg;

    if (!user || user->state != USER_LIVE || link_state(s->link) != LINK_READY)
        return;
    ipc_fill(&msg, IPC_USER_ADD);
    msg.user_add.user_id = id;
    memcpy(msg.user_add.user, user->name, strlen(user->name));
    memcpy(msg.user_add.key, user->key, sizeof(user->key));
    tell(s, &msg);
    for (size_t i = 0; i < user->conf->n_networks; i++)
        tell_network(s, id, &user->conf->networks[i]);
}

static bool has_network(const struct config_user *conf, const struct ip_prefix *network)
{
    for (size_t i = 0; i < conf->n_networks; i++)
        if (conf->networks[i].len == network->len &&
            ip_addr_equal(&conf->networks[i].addr, &network->addr))
            return true;
    return false;
}

void enrol_networks(struct server *s, uint32_t id, const struct config_user *then)
{
    const struct user *user = users_get(s->users, id);
    bool fewer = false;
    union ipc_msg msg;

    if (!user || user->state != USER_LIVE || link_state(s->link) != LINK_READY)
        return;
    for (size_t i = 0; i < then->n_networks; i++)
        fewer |= !has_network(user->conf, &then->networks[i]);
    /* Only more of them: those that stay are allowed without a gap. */
    if (fewer) {
        ipc_fill(&msg, IPC_ALLOW_CLEAR);
        msg.allow_clear.id = id;
        msg.allow_clear.end = IPC_ALLOW_SOURCE;
        tell(s, &msg);
    }
    for (size_t i = 0; i < user->conf->n_networks; i++)
        if (fewer || !has_network(then, &user->conf->networks[i]))
            tell_network(s, id, &user->conf->networks[i]);
}

static void strike_out(struct server *s, uint32_t id)
{
    union ipc_msg msg;

    ipc_fill(&msg, IPC_USER_DEL);
    msg.user_del.user_id = id;
    if (link_state(s->link) == LINK_READY)
        tell(s, &msg);
    leases_forget_user(s->leases, id);
    users_gone(s->users, id);
}

static void let_in_all(struct server *s)
{
    uint32_t id;

    for (id = 0; users_next(s->users, USER_WAITING, id, &id); id++) {
        users_let_in(s->users, id);
        enrol_user(s, id);
    }
}

void enrol_all(struct server *s)
{
    uint32_t id;

    for (id = 0; users_next(s->users, USER_LEAVING, id, &id); id++) {
        leases_forget_user(s->leases, id);
        users_gone(s->users, id);
    }
    for (id = 0; users_next(s->users, USER_WAITING, id, &id); id++)
        users_let_in(s->users, id);
    for (id = 0; users_next(s->users, USER_LIVE, id, &id); id++)
        enrol_user(s, id);
}

void enrol_tick(struct server *s)
{
    bool any = users_count(s->users, USER_LEAVING) > 0;
    uint32_t id;

    for (id = 0; users_next(s->users, USER_LEAVING, id, &id); id++)
        if (s->now.mono_ms - users_left_ms(s->users, id) >= LEAVING_MS)
            strike_out(s, id);
    if (any && users_count(s->users, USER_LEAVING) == 0)
        let_in_all(s);
}

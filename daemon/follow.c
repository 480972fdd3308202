/*
 * Users, their leases and their sessions follow; see follow.h.
 *
 * Theory of operation: from follow_through() on nothing fails.  Leaving users' sessions end while
 * their description is still there, the pointers move to the new configuration, and the enclave,
 * the lanes and the sessions follow.
 */
#include "daemon/follow.h"

#include "common/log.h"
#include "daemon/enrol.h"
#include "daemon/networks.h"
#include "daemon/server.h"

int follow_reserve(struct server *s, const struct config *now, const struct follow *f)
{
    int rc = users_reserve(s->users, now, f->items, f->n);

    return rc < 0 ? rc : leases_reload(s->leases, now);
}

int follow_back(struct server *s)
{
    return leases_reload(s->leases, s->config);
}

/* Before their description goes: what is to be taken down is written there. */
static void end_removed(struct server *s, const struct follow *f)
{
    size_t i;

    for (i = 0; i < f->n; i++) {
        uint32_t id;

        if (f->items[i].kind != USER_REMOVED)
            continue;
        id = users_id(s->users, f->items[i].old_index);
        sessions_close_user(s, id, "removed from the configuration");
        /* The number of one who was still waiting is free at once. */
        if (users_get(s->users, id)->state == USER_WAITING)
            leases_forget_user(s->leases, id);
    }
}

/* A user with another key is another user, but a lease is a name's: it finds its addresses. */
static void hand_over_leases(struct server *s, uint32_t from, const char *name)
{
    uint32_t to;

    if (users_find(s->users, name, &to) == 0 && to != from)
        leases_move_user(s->leases, from, to);
}

static void hand_over_all(struct server *s)
{
    uint32_t id;

    for (id = 0; users_next(s->users, USER_LEAVING, id, &id); id++)
        hand_over_leases(s, id, users_name(s->users, id));
}

static bool fixed_changed(const struct follow *f, const struct config *now)
{
    size_t i;

    for (i = 0; i < f->n; i++)
        if ((f->items[i].parts & USER_PART_ADDRESS) ||
            (f->items[i].kind == USER_ADDED && now->users[f->items[i].new_index].n_fixed))
            return true;
    return false;
}

static void follow_change(struct server *s, const struct user_change *change,
                          const struct config *then)
{
    uint32_t id = users_id(s->users, change->new_index);

    if (change->parts & USER_PART_NETWORKS) {
        const struct config_user *old = &then->users[change->old_index];

        networks_replace(s, id, old, users_get(s->users, id)->conf);
        enrol_networks(s, id, old);
    }
    if (change->parts & USER_PART_ADDRESS)
        sessions_readdress(s, id, true);
}

static bool prefixes_differ(const struct ip_prefix *a, size_t n_a, const struct ip_prefix *b,
                            size_t n_b)
{
    size_t i;

    for (i = 0; n_a == n_b && i < n_a; i++)
        if (a[i].len != b[i].len || !ip_addr_equal(&a[i].addr, &b[i].addr))
            return true;
    return n_a != n_b;
}

static void follow_addresses(struct server *s, const struct follow *f, const struct config *then)
{
    const struct config *now = s->config;

    /* In another network nobody can stay where he was; in another pool they can. */
    if (prefixes_differ(then->addresses, then->n_addresses, now->addresses, now->n_addresses))
        sessions_readdress_all(s, true);
    /* An address that somebody has from the pool may have become another one's fixed address. */
    else if (fixed_changed(f, now))
        sessions_readdress_all(s, false);
}

void follow_through(struct server *s, struct config *now, const struct follow *f)
{
    const struct config *then = s->config;
    size_t i;

    end_removed(s, f);
    users_apply(s->users, now, f->items, f->n, s->now.mono_ms);
    hand_over_all(s);
    s->config = now;
    for (i = 0; i < f->n; i++) {
        if (f->items[i].kind == USER_ADDED)
            enrol_user(s, users_id(s->users, f->items[i].new_index));
        else if (f->items[i].kind == USER_CHANGED)
            follow_change(s, &f->items[i], then);
    }
    follow_addresses(s, f, then);
    atomic_store_explicit(&s->dp.client_to_client, now->client_to_client, memory_order_relaxed);
    if (!s->verbose)
        log_set_level(now->log_level);
    if (prefixes_differ(then->push_routes, then->n_push_routes, now->push_routes,
                        now->n_push_routes))
        sessions_push(s);
    /* Who is disabled or has expired by the new file need not wait for the second to end. */
    sessions_tick(s);
}

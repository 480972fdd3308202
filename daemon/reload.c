/*
 * SIGHUP; see reload.h.
 *
 * Theory of operation
 * -------------------
 * All that can fail comes first: the file is read and checked, what cannot change live is copied
 * over from the configuration in force (daemon/config_keep), the difference is worked out
 * (users_diff()), and room is made.  From there on nothing fails: leaving users' sessions end while
 * their description is still there, the pointers move to the new configuration, the enclave and the
 * kernel follow, and the old configuration is freed.
 */
#include "daemon/reload.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "common/process.h"
#include "daemon/config_keep.h"
#include "daemon/enrol.h"
#include "daemon/forwarding.h"
#include "daemon/netfilter.h"
#include "daemon/networks.h"
#include "daemon/server.h"

struct changes {
    struct user_change *items;
    size_t n;
};

static void log_problems(const struct problems *problems)
{
    size_t i;

    for (i = 0; i < problems->n; i++)
        log_line(problems->items[i].kind == PROBLEM_ERROR ? LOG_LEVEL_ERROR : LOG_LEVEL_WARNING,
                 "%s", problems->items[i].text);
    if (problems->n_dropped)
        log_error("and %zu more", problems->n_dropped);
}

static int load(struct server *s, struct config **out)
{
    struct problems problems = {0};
    int rc = config_load(s->config_path, out, &problems);

    log_problems(&problems);
    problems_clear(&problems);
    if (rc == -EACCES)
        log_error("%s must be readable by the user vpn-server runs as (group vpn)", s->config_path);
    return rc;
}

static bool push_routes_differ(const struct config *a, const struct config *b)
{
    size_t i;

    for (i = 0; a->n_push_routes == b->n_push_routes && i < a->n_push_routes; i++)
        if (a->push_routes[i].len != b->push_routes[i].len ||
            !ip_addr_equal(&a->push_routes[i].addr, &b->push_routes[i].addr))
            return true;
    return a->n_push_routes != b->n_push_routes;
}

static bool fixed_changed(const struct changes *c, const struct config *now)
{
    size_t i;

    for (i = 0; i < c->n; i++)
        if ((c->items[i].parts & USER_PART_ADDRESS) ||
            (c->items[i].kind == USER_ADDED && now->users[c->items[i].new_index].n_fixed))
            return true;
    return false;
}

/* Before their description goes: what is to be taken down is written there. */
static void end_removed(struct server *s, const struct changes *c)
{
    size_t i;

    for (i = 0; i < c->n; i++) {
        uint32_t id;

        if (c->items[i].kind != USER_REMOVED)
            continue;
        id = users_id(s->users, c->items[i].old_index);
        sessions_close_user(s, id, "removed from the configuration");
        /* The number of one who was still waiting is free at once. */
        if (users_get(s->users, id)->state == USER_WAITING)
            leases_forget_user(s->leases, id);
    }
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

static void follow_changes(struct server *s, const struct changes *c, const struct config *then)
{
    size_t i;

    for (i = 0; i < c->n; i++) {
        if (c->items[i].kind == USER_ADDED)
            enrol_user(s, users_id(s->users, c->items[i].new_index));
        else if (c->items[i].kind == USER_CHANGED)
            follow_change(s, &c->items[i], then);
    }
    /* An address that somebody has from the pool may have become another one's fixed address. */
    if (fixed_changed(c, s->config))
        sessions_readdress_all(s);
}

static void say(const struct changes *c, const char *kept)
{
    size_t n[USER_CHANGED + 1] = {0}, i;

    for (i = 0; i < c->n; i++)
        n[c->items[i].kind]++;
    log_info("configuration reloaded: %zu users added, %zu removed, %zu changed", n[USER_ADDED],
             n[USER_REMOVED], n[USER_CHANGED]);
    if (kept[0])
        log_warning("not changed before a restart: %s", kept);
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

/* Return: 0; or -errno, and nothing has changed. */
static int put_into_force(struct server *s, struct config *now, const struct changes *c)
{
    int rc = users_reserve(s->users, now, c->items, c->n);

    if (rc == 0)
        rc = leases_reload(s->leases, now);
    if (rc < 0)
        return rc;
    end_removed(s, c);
    users_apply(s->users, now, c->items, c->n, s->now.mono_ms);
    hand_over_all(s);
    s->config = now;
    return 0;
}

static int take_over(struct server *s, struct config *now)
{
    char kept[CONFIG_KEEP_SIZE];
    struct config *then = s->config;
    struct changes c = {0};
    struct err err;
    bool push;
    int rc = config_keep(now, then, kept, &err);

    if (rc < 0) {
        log_error("%s: %s", s->config_path, err.msg);
        return rc;
    }
    rc = users_diff(then, now, &c.items, &c.n);
    if (rc == 0)
        rc = put_into_force(s, now, &c);
    if (rc < 0) {
        log_error("%s: %s", s->config_path,
                  rc == -ENOSPC ? "more users than this process has room for: restart vpn-server"
                                : "out of memory");
        free(c.items);
        return rc;
    }
    push = push_routes_differ(then, now);
    follow_changes(s, &c, then);
    atomic_store_explicit(&s->dp.client_to_client, now->client_to_client, memory_order_relaxed);
    netfilter_apply(s);
    forwarding_apply(s);
    if (!s->verbose)
        log_set_level(now->log_level);
    if (push)
        sessions_push(s);
    say(&c, kept);
    free(c.items);
    config_free(then);
    /* Who is disabled or has expired by the new file need not wait for the second to end. */
    sessions_tick(s);
    return 0;
}

void reload(struct server *s)
{
    struct config *now = NULL;
    int rc;

    process_notify("RELOADING=1");
    rc = load(s, &now);
    if (rc == 0) {
        rc = take_over(s, now);
        if (rc < 0)
            config_free(now);
    }
    if (rc < 0)
        log_error("%s: not reloaded, the former configuration stays in force", s->config_path);
    process_notify("READY=1");
}

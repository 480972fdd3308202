/* Networks behind users and routes pushed to them: where they may lie, and whose they are. */
#include "daemon/config_check.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* One network of one user, so that overlapping ones become neighbours. */
struct owned {
    const struct ip_prefix *prefix;
    const struct config_user *user;
    size_t index;
};

static bool prefix_equal(const struct ip_prefix *a, const struct ip_prefix *b)
{
    return a->len == b->len && ip_addr_equal(&a->addr, &b->addr);
}

static void check_push_routes(struct check *c)
{
    const struct doc_node *list = doc_get(doc_get(c->root, "tunnel"), "push-routes");
    const struct config *config = c->config;
    char path[CHECK_PATH_SIZE], text[IP_PREFIX_STRLEN];

    for (size_t i = 0; i < config->n_push_routes; i++) {
        const struct ip_prefix *route = &config->push_routes[i];
        struct doc_pos pos =
            check_item_pos(c, list, "tunnel.push-routes", i, config->n_push_routes, path);

        ip_prefix_format(route, text);
        if (!ip_prefix_is_routable(route))
            problem_add(c->problems, PROBLEM_ERROR, &pos, path,
                        "%s cannot be reached through a tunnel (remove it)", text);
        /* At most 1024 of them, and only once per file: each with each. */
        for (size_t j = 0; j < i; j++) {
            if (!prefix_equal(route, &config->push_routes[j]))
                continue;
            problem_add(c->problems, PROBLEM_ERROR, &pos, path,
                        "%s is in the list twice (remove one)", text);
            break;
        }
    }
}

/* One network by itself: against the tunnel.  Return: true when nothing was wrong. */
static bool check_network(struct check *c, const struct owned *o)
{
    const struct ip_prefix *own = config_prefix(c->config, o->prefix->addr.family);
    char path[CHECK_PATH_SIZE], text[IP_PREFIX_STRLEN], other[IP_PREFIX_STRLEN];
    struct doc_pos pos =
        check_user_pos(c, o->user, "networks", o->index, o->user->n_networks, path);

    ip_prefix_format(o->prefix, text);
    if (!ip_prefix_is_routable(o->prefix)) {
        problem_add(c->problems, PROBLEM_ERROR, &pos, path,
                    "%s cannot lie behind a user (write a network of unicast addresses)", text);
    } else if (!own) {
        problem_add(c->problems, PROBLEM_ERROR, &pos, path,
                    "%s finds no IPv%u network in the tunnel (add one to tunnel.addresses)", text,
                    o->prefix->addr.family);
    } else if (ip_prefix_overlaps(own, o->prefix)) {
        struct ip_prefix network = ip_prefix_network(*own);

        problem_add(c->problems, PROBLEM_ERROR, &pos, path,
                    "%s overlaps with the tunnel's network %s (they must be apart)", text,
                    ip_prefix_format(&network, other));
    } else {
        return true;
    }
    return false;
}

/* Outer networks before inner ones; the same one in the order of the files. */
static int owned_cmp(const void *a, const void *b)
{
    const struct owned *oa = a, *ob = b;
    int order = ip_addr_cmp(&oa->prefix->addr, &ob->prefix->addr);

    if (order == 0)
        order = (oa->prefix->len > ob->prefix->len) - (oa->prefix->len < ob->prefix->len);
    if (order == 0)
        order = strcmp(oa->user->file, ob->user->file);
    if (order == 0)
        order = (oa->user->line > ob->user->line) - (oa->user->line < ob->user->line);
    return order ? order : (oa->index > ob->index) - (oa->index < ob->index);
}

/* Prefixes are nested or apart: whatever overlaps lies inside the last outermost one. */
static void check_overlaps(struct check *c, const struct owned *all, size_t n)
{
    size_t outer = 0;

    for (size_t i = 1; i < n; i++) {
        char path[CHECK_PATH_SIZE], text[IP_PREFIX_STRLEN], other[IP_PREFIX_STRLEN];
        const struct owned *a = &all[outer], *b = &all[i];
        struct doc_pos pos;

        if (!ip_prefix_contains(a->prefix, &b->prefix->addr)) {
            outer = i;
            continue;
        }
        pos = check_user_pos(c, b->user, "networks", b->index, b->user->n_networks, path);
        ip_prefix_format(b->prefix, text);
        if (a->user != b->user)
            problem_add(c->problems, PROBLEM_ERROR, &pos, path,
                        "%s overlaps with %s of user %s (each network belongs to one user)", text,
                        ip_prefix_format(a->prefix, other), a->user->name);
        else if (prefix_equal(b->prefix, all[i - 1].prefix))
            problem_add(c->problems, PROBLEM_ERROR, &pos, path,
                        "%s is in the list twice (remove one)", text);
    }
}

int check_networks(struct check *c, bool addresses_good)
{
    const struct config *config = c->config;
    size_t total = 0, n = 0;
    struct owned *all;

    check_push_routes(c);
    for (size_t i = 0; i < config->n_users; i++)
        total += config->users[i].n_networks;
    if (total == 0)
        return 0;
    if (total > CONFIG_NETWORKS_MAX) {
        const struct doc_node *users = doc_get(c->root, "users");

        problem_add(c->problems, PROBLEM_ERROR, users ? &users->pos : &c->root->pos, "users",
                    "%zu networks are behind users, the most is %d (join some of them)", total,
                    CONFIG_NETWORKS_MAX);
        return 0;
    }
    all = reallocarray(NULL, total, sizeof(*all));
    if (!all)
        return -ENOMEM;
    for (size_t i = 0; i < config->n_users; i++) {
        const struct config_user *user = &config->users[i];

        for (size_t j = 0; check_user_named(user) && j < user->n_networks; j++) {
            all[n] = (struct owned){&user->networks[j], user, j};
            /* One mistake, one message: what is out of place overlaps with too much. */
            n += !addresses_good || check_network(c, &all[n]);
        }
    }
    if (n)
        qsort(all, n, sizeof(*all), owned_cmp);
    check_overlaps(c, all, n);
    free(all);
    return 0;
}

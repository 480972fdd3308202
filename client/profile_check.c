/* What a table cannot say about a client's configuration; see profile_check.h. */
#include "client/profile_check.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/arena.h"
#include "common/value.h"

#define PATH_SIZE 160

/* One tunnel with its entry in the tree, for places. */
struct check {
    struct profile *profile;
    struct profile_tunnel *tunnel;
    const struct doc_entry *entry;
    struct problems *problems;
};

static void say(const struct check *c, enum problem_kind kind, const char *key, const char *what)
{
    const struct doc_entry *e = key ? doc_entry_find(c->entry->value, key) : NULL;
    char path[PATH_SIZE];

    snprintf(path, sizeof(path), "tunnels.%s%s%s", c->entry->key, key ? "." : "", key ? key : "");
    problem_add(c->problems, kind, e ? &e->value->pos : &c->entry->pos, path, "%s", what);
}

static void complain(const struct check *c, const char *key, const char *what)
{
    say(c, PROBLEM_ERROR, key, what);
}

static bool has(const struct check *c, const char *key)
{
    return doc_get(c->entry->value, key) != NULL;
}

static void check_credential(const struct check *c)
{
    if (has(c, "token-file") && has(c, "key-file"))
        complain(c, "key-file", "stands beside token-file (keep one of the two)");
    else if (!has(c, "token-file") && !has(c, "key-file"))
        complain(c, NULL, "has no credential (write token-file: or key-file:)");
    if (has(c, "token-file") && !has(c, "realm"))
        complain(c, NULL, "realm is missing, which a token needs (copy it from the server's file)");
}

static void check_routes(const struct check *c)
{
    const struct profile_tunnel *t = c->tunnel;

    for (size_t i = 0; i < t->n_routes; i++) {
        for (size_t j = 0; j < i; j++) {
            char text[IP_PREFIX_STRLEN], what[IP_PREFIX_STRLEN + 48];

            if (t->routes[i].len != t->routes[j].len ||
                !ip_addr_equal(&t->routes[i].addr, &t->routes[j].addr))
                continue;
            snprintf(what, sizeof(what), "%s is in the list twice (remove one)",
                     ip_prefix_format(&t->routes[i], text));
            complain(c, "routes", what);
            return;
        }
    }
}

/* `default` would let the server reach everything that this host can. */
static void check_networks(const struct check *c)
{
    const struct profile_tunnel *t = c->tunnel;

    for (size_t i = 0; i < t->n_networks; i++) {
        char text[IP_PREFIX_STRLEN], what[IP_PREFIX_STRLEN + 64];

        if (t->networks[i].len > 0 && ip_prefix_is_routable(&t->networks[i]))
            continue;
        snprintf(what, sizeof(what), "%s cannot lie behind a client (write the network itself)",
                 ip_prefix_format(&t->networks[i], text));
        complain(c, "networks", what);
        return;
    }
}

static bool has_default(const struct profile_tunnel *t, uint8_t family)
{
    for (size_t i = 0; i < t->n_routes; i++)
        if (t->routes[i].len == 0 && t->routes[i].addr.family == family)
            return true;
    return false;
}

/* What is excluded wins over every route, so one inside it would never be used. */
static void check_exclude(const struct check *c)
{
    const struct profile_tunnel *t = c->tunnel;

    for (size_t i = 0; i < t->n_exclude; i++) {
        char route[IP_PREFIX_STRLEN], text[IP_PREFIX_STRLEN], what[2 * IP_PREFIX_STRLEN + 64];

        ip_prefix_format(&t->exclude[i], text);
        if (t->exclude[i].len == 0) {
            snprintf(what, sizeof(what), "%s excludes everything (write the networks)", text);
            complain(c, "exclude", what);
            continue;
        }
        for (size_t j = 0; j < t->n_routes; j++) {
            if (t->routes[j].len < t->exclude[i].len ||
                !ip_prefix_overlaps(&t->routes[j], &t->exclude[i]))
                continue;
            snprintf(what, sizeof(what), "%s holds %s of routes (remove one)", text,
                     ip_prefix_format(&t->routes[j], route));
            complain(c, "exclude", what);
        }
    }
}

/* Keys that mean nothing without others are mistakes. */
static void check_isolation(const struct check *c)
{
    const struct profile_tunnel *t = c->tunnel;
    const struct doc_node *node = doc_get(c->entry->value, "uids");
    const bool full = has_default(t, 4) || has_default(t, 6);

    if (t->table >= 253 && t->table <= 255)
        complain(c, "table", "253 to 255 are the system's own (choose another)");
    if (node && node->text && node->text[0] == '0')
        complain(c, "uids", "0 cannot be among them: the kernel's own packets have it");
    if (t->block_when_down && t->own_network)
        complain(c, "block-when-down",
                 "needs routes: (what the server will push cannot be blocked before the login)");
    if (t->table && !t->has_uids && (t->allow_lan || t->n_exclude > 0))
        complain(c, t->allow_lan ? "allow-lan" : "exclude",
                 "has no effect with table: and without uids: (which packets are looked up in that "
                 "table is up to your own rules)");
    else if (t->allow_lan && !full && !t->has_uids)
        complain(c, "allow-lan", "has no effect without a default route (remove it)");
    else if (t->n_exclude > 0 && !full && !t->has_uids && !t->block_when_down)
        complain(c, "exclude", "has no effect without a default route (remove it)");
    check_exclude(c);
    if (full && !t->table && !t->has_uids && !(has_default(t, 4) && has_default(t, 6)))
        say(c, PROBLEM_NOTE, "routes",
            has_default(t, 4) ? "covers IPv4 alone, IPv6 stays outside (default covers both)"
                              : "covers IPv6 alone, IPv4 stays outside (default covers both)");
}

/* A path that is relative counts from the folder of the file that says it. */
static int path_resolve(const struct check *c, const char *key, const char **path)
{
    const struct doc_node *node = doc_get(c->entry->value, key);
    const char *slash;
    char *full;
    size_t folder;

    if (!*path || (*path)[0] == '/')
        return 0;
    slash = strrchr(node->pos.file, '/');
    if (!slash)
        return 0;
    folder = (size_t)(slash - node->pos.file) + 1;
    full = arena_array(c->profile->arena, folder + strlen(*path) + 1, 1);
    if (!full)
        return -ENOMEM;
    memcpy(full, node->pos.file, folder);
    memcpy(full + folder, *path, strlen(*path) + 1);
    *path = full;
    return 0;
}

static int check_tunnel(const struct check *c)
{
    struct profile_tunnel *t = c->tunnel;
    char host[VALUE_HOST_MAX + 1];
    int rc;

    t->file = arena_strdup(c->profile->arena, c->entry->pos.file);
    if (!t->file)
        return -ENOMEM;
    t->line = c->entry->pos.line;
    t->own_network = !has(c, "routes");
    if (t->server && value_endpoint(t->server, host, &t->server_port, NULL) == 0) {
        t->server_host = arena_strdup(c->profile->arena, host);
        if (!t->server_host)
            return -ENOMEM;
    }
    check_credential(c);
    check_routes(c);
    check_networks(c);
    t->has_uids = has(c, "uids");
    check_isolation(c);
    rc = path_resolve(c, "token-file", &t->token_file);
    return rc < 0 ? rc : path_resolve(c, "key-file", &t->key_file);
}

/* ---- tunnels beside each other ------------------------------------------------------------- */

/* The tunnels are sorted by name and so their addresses are in that order. */
static int name_cmp(const struct check *a, const struct check *b)
{
    return (a->tunnel > b->tunnel) - (a->tunnel < b->tunnel);
}

static int device_cmp(const void *a, const void *b)
{
    const struct check *ca = a, *cb = b;
    int order = strncmp(ca->tunnel->device, cb->tunnel->device, IFNAMSIZ);

    return order ? order : name_cmp(ca, cb);
}

static int table_cmp(const void *a, const void *b)
{
    const struct check *ca = a, *cb = b;
    const uint32_t ta = ca->tunnel->table, tb = cb->tunnel->table;

    return ta != tb ? (ta > tb ? 1 : -1) : name_cmp(ca, cb);
}

static int uids_cmp(const void *a, const void *b)
{
    const struct check *ca = a, *cb = b;
    const uint32_t ua = ca->tunnel->uids.first, ub = cb->tunnel->uids.first;

    return ua != ub ? (ua > ub ? 1 : -1) : name_cmp(ca, cb);
}

static void check_devices(struct check *checks, size_t n)
{
    qsort(checks, n, sizeof(*checks), device_cmp);
    for (size_t i = 1; i < n; i++) {
        char what[IFNAMSIZ + PROFILE_NAME_MAX + 64];

        if (checks[i].tunnel->device[0] == '\0' ||
            strcmp(checks[i].tunnel->device, checks[i - 1].tunnel->device) != 0)
            continue;
        snprintf(what, sizeof(what), "%s is the device of tunnel %s already (write another)",
                 checks[i].tunnel->device, checks[i - 1].tunnel->name);
        complain(&checks[i], "device", what);
    }
}

static void check_tables(struct check *checks, size_t n)
{
    qsort(checks, n, sizeof(*checks), table_cmp);
    for (size_t i = 1; i < n; i++) {
        char what[PROFILE_NAME_MAX + 64];

        if (checks[i].tunnel->table == 0 || checks[i].tunnel->table != checks[i - 1].tunnel->table)
            continue;
        snprintf(what, sizeof(what), "%u is the table of tunnel %s already (write another)",
                 checks[i].tunnel->table, checks[i - 1].tunnel->name);
        complain(&checks[i], "table", what);
    }
}

static void check_uids(struct check *checks, size_t n)
{
    qsort(checks, n, sizeof(*checks), uids_cmp);
    for (size_t i = 1; i < n; i++) {
        const struct profile_tunnel *t = checks[i].tunnel, *before = checks[i - 1].tunnel;
        char what[PROFILE_NAME_MAX + 64];

        if (!t->has_uids || !before->has_uids || t->uids.first > before->uids.last)
            continue;
        snprintf(what, sizeof(what), "%u belongs to tunnel %s already (make the ranges disjoint)",
                 t->uids.first, before->name);
        complain(&checks[i], "uids", what);
    }
}

int profile_check(void *out, const struct doc_node *root, struct problems *problems)
{
    struct profile *profile = out;
    const struct doc_node *map = doc_get(root, "tunnels");
    struct check *checks = arena_array(profile->arena, profile->n_tunnels, sizeof(*checks));
    size_t n = 0;

    if (!checks)
        return -ENOMEM;
    if (map && profile->n_tunnels == 0 && (doc_is_null(map) || map->kind == DOC_MAP))
        problem_add(problems, PROBLEM_ERROR, &map->pos, "tunnels",
                    "has no tunnel in it (vpnctl user add writes a file with one at the server)");
    for (size_t i = 0; i < profile->n_tunnels; i++) {
        struct profile_tunnel *t = &profile->tunnels[i];
        const struct doc_entry *e = doc_entry_find(map, t->name);
        int rc;

        /* Its name was in error, or it is no map: that has been said. */
        if (!e || (e->value->kind != DOC_MAP && !doc_is_null(e->value)))
            continue;
        checks[n] = (struct check){profile, t, e, problems};
        rc = check_tunnel(&checks[n]);
        if (rc < 0)
            return rc;
        n++;
    }
    if (n == 0)
        return 0;
    check_devices(checks, n);
    check_tables(checks, n);
    check_uids(checks, n);
    return 0;
}

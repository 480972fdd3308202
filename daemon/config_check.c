/* What no schema can say: the rules between a server file's values. */
#include "daemon/config_check.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/arena.h"
#include "daemon/config_qos.h"
#include "daemon/config_routing.h"

#define PATH_SIZE    CHECK_PATH_SIZE
#define RANGE_STRLEN (2 * IP_ADDR_STRLEN)

/* Where the default pool begins: the first few addresses are for servers and printers. */
#define POOL_SKIP4 10
#define POOL_SKIP6 0x10
/* An IPv6 network is far too large for anyone to read its last address out loud. */
#define POOL_LAST6 0xffff

struct doc_pos check_item_pos(const struct check *c, const struct doc_node *list, const char *key,
                              size_t i, size_t n, char path[CHECK_PATH_SIZE])
{
    bool exact = list && list->kind == DOC_LIST && list->n == n;

    if (exact)
        snprintf(path, PATH_SIZE, "%s[%zu]", key, i);
    else
        snprintf(path, PATH_SIZE, "%s", key);
    return exact ? list->items[i]->pos : list ? list->pos : c->root->pos;
}

/* A list in which the schema found errors is shorter now; what depends on it can wait. */
static bool list_intact(const struct doc_node *list, size_t n)
{
    return !list || (list->kind == DOC_LIST && !list->bad && list->n == n);
}

static struct ip_addr prefix_last(const struct ip_prefix *prefix)
{
    struct ip_addr last = ip_prefix_network(*prefix).addr;

    for (size_t bit = prefix->len; bit < ip_addr_bits(&last); bit++)
        last.bytes[bit / 8] |= (uint8_t)(0x80 >> bit % 8);
    return last;
}

static struct ip_addr addr_before(struct ip_addr addr)
{
    for (size_t i = ip_addr_bytes(&addr); i-- > 0;) {
        if (addr.bytes[i]-- != 0)
            break;
    }
    return addr;
}

static bool range_holds(const struct ip_range *range, const struct ip_addr *addr)
{
    return range->first.family == addr->family && ip_addr_cmp(&range->first, addr) <= 0 &&
           ip_addr_cmp(addr, &range->last) <= 0;
}

/*
 * The first address of a network is the network itself (IPv4) or any of its routers (IPv6, RFC 4291
 * 2.6.1), the last one of IPv4 is the broadcast: no host may have them.
 */
static bool range_holds_reserved(const struct ip_range *range, const struct ip_prefix *prefix,
                                 struct ip_addr *reserved)
{
    *reserved = ip_prefix_network(*prefix).addr;
    if (range_holds(range, reserved))
        return true;
    *reserved = prefix_last(prefix);
    return reserved->family == 4 && range_holds(range, reserved);
}

static void check_listen(struct check *c)
{
    const struct doc_node *list = doc_get(doc_get(c->root, "server"), "listen");
    const struct config *config = c->config;
    char path[PATH_SIZE], text[IP_ENDPOINT_STRLEN];

    if (list && list->kind == DOC_LIST && list->n == 0)
        problem_add(c->problems, PROBLEM_ERROR, &list->pos, "server.listen",
                    "is empty (write a port or an address, or remove the key)");
    for (size_t i = 0; i < config->n_listen; i++) {
        for (size_t j = 0; j < i; j++) {
            struct doc_pos pos;

            if (!ip_endpoint_equal(&config->listen[i], &config->listen[j]))
                continue;
            pos = check_item_pos(c, list, "server.listen", i, config->n_listen, path);
            problem_add(c->problems, PROBLEM_ERROR, &pos, path,
                        "%s is in the list twice (remove one)",
                        ip_endpoint_format(&config->listen[i], text));
            break;
        }
    }
}

/* One of the tunnel's addresses: a host's address in a network that has room for others. */
static void check_address(struct check *c, size_t i, const struct doc_node *list)
{
    const struct ip_prefix *prefix = &c->config->addresses[i];
    const struct ip_range own = {prefix->addr, prefix->addr};
    unsigned int longest = ip_addr_bits(&prefix->addr) - 2U;
    char path[PATH_SIZE], text[IP_ADDR_STRLEN];
    struct ip_addr reserved;
    struct doc_pos pos =
        check_item_pos(c, list, "tunnel.addresses", i, c->config->n_addresses, path);

    ip_addr_format(&prefix->addr, text);
    for (size_t j = 0; j < i; j++) {
        if (c->config->addresses[j].addr.family == prefix->addr.family) {
            problem_add(c->problems, PROBLEM_ERROR, &pos, path,
                        "%s is a second IPv%u address (keep one of each family)", text,
                        prefix->addr.family);
            return;
        }
    }
    if (!ip_addr_is_unicast(&prefix->addr))
        problem_add(c->problems, PROBLEM_ERROR, &pos, path,
                    "%s cannot be a host's address in a tunnel (take a private one such as "
                    "10.8.0.1/24 or fd08::1/64)",
                    text);
    else if (prefix->len < 8 || prefix->len > longest)
        problem_add(c->problems, PROBLEM_ERROR, &pos, path,
                    "/%u is no network for clients (write a length from 8 to %u)", prefix->len,
                    longest);
    else if (range_holds_reserved(&own, prefix, &reserved))
        problem_add(c->problems, PROBLEM_ERROR, &pos, path,
                    "%s is the network's own or broadcast address (take another of it)", text);
}

static void check_addresses(struct check *c)
{
    const struct doc_node *list = doc_get(doc_get(c->root, "tunnel"), "addresses");

    if (list && list->kind == DOC_LIST && list->n == 0)
        problem_add(c->problems, PROBLEM_ERROR, &list->pos, "tunnel.addresses",
                    "is empty (write one such as 10.8.0.1/24, or remove the key)");
    for (size_t i = 0; i < c->config->n_addresses; i++)
        check_address(c, i, list);
}

/* @first to @last without the server's own address: one range, two, or none. */
static void pool_add_around(struct config *config, struct ip_addr first, struct ip_addr last,
                            const struct ip_addr *own)
{
    struct ip_range range = {first, last};

    if (range_holds(&range, own)) {
        if (!ip_addr_equal(own, &first))
            config->pool[config->n_pool++] = (struct ip_range){first, addr_before(*own)};
        if (ip_addr_equal(own, &last))
            return;
        range.first = ip_addr_add(*own, 1);
    }
    config->pool[config->n_pool++] = range;
}

static int pool_default(struct config *config)
{
    config->pool = arena_array(config->arena, config->n_addresses * 2, sizeof(*config->pool));
    if (!config->pool)
        return -ENOMEM;
    for (size_t i = 0; i < config->n_addresses; i++) {
        const struct ip_prefix *prefix = &config->addresses[i];
        bool v4 = prefix->addr.family == 4;
        struct ip_addr network = ip_prefix_network(*prefix).addr;
        struct ip_addr first = ip_addr_add(network, v4 ? POOL_SKIP4 : POOL_SKIP6);
        struct ip_addr last = prefix_last(prefix);

        if (v4)
            last = addr_before(last);
        /* In a network of a handful of addresses every one counts. */
        if (ip_addr_bits(&network) - prefix->len < 5)
            first = ip_addr_add(network, 1);
        if (!v4 && ip_addr_bits(&network) - prefix->len > 16)
            last = ip_addr_add(network, POOL_LAST6);
        pool_add_around(config, first, last, &prefix->addr);
    }
    return 0;
}

/* "10.8.0.10-10.8.0.254", or one address alone. */
static const char *range_format(const struct ip_range *range, char text[RANGE_STRLEN])
{
    char first[IP_ADDR_STRLEN], last[IP_ADDR_STRLEN];

    if (ip_addr_equal(&range->first, &range->last))
        ip_addr_format(&range->first, text);
    else
        snprintf(text, RANGE_STRLEN, "%s-%s", ip_addr_format(&range->first, first),
                 ip_addr_format(&range->last, last));
    return text;
}

static bool range_fits(const struct config *config, const struct ip_range *range)
{
    const struct ip_prefix *prefix = config_prefix(config, range->first.family);
    struct ip_addr reserved;

    return prefix && ip_prefix_contains(prefix, &range->first) &&
           ip_prefix_contains(prefix, &range->last) && !range_holds(range, &prefix->addr) &&
           !range_holds_reserved(range, prefix, &reserved);
}

/* May clients have these addresses? */
static void check_range(struct check *c, const struct ip_range *range, const struct doc_pos *pos,
                        const char *path)
{
    const struct ip_prefix *prefix = config_prefix(c->config, range->first.family);
    bool one = ip_addr_equal(&range->first, &range->last);
    char text[RANGE_STRLEN], other[IP_PREFIX_STRLEN];
    const char *holds = one ? "is" : "holds";
    struct ip_addr reserved;

    range_format(range, text);
    if (!prefix)
        problem_add(c->problems, PROBLEM_ERROR, pos, path,
                    "%s finds no IPv%u network in the tunnel (add one to tunnel.addresses)", text,
                    range->first.family);
    else if (!ip_prefix_contains(prefix, &range->first) ||
             !ip_prefix_contains(prefix, &range->last)) {
        struct ip_prefix network = ip_prefix_network(*prefix);

        problem_add(c->problems, PROBLEM_ERROR, pos, path,
                    "%s is outside the tunnel's network %s (take addresses of that network)", text,
                    ip_prefix_format(&network, other));
    } else if (range_holds(range, &prefix->addr))
        problem_add(c->problems, PROBLEM_ERROR, pos, path,
                    "%s %s the server's own address%s%s (leave that one out)", text, holds,
                    one ? "" : " ", one ? "" : ip_addr_format(&prefix->addr, other));
    else if (range_holds_reserved(range, prefix, &reserved))
        problem_add(c->problems, PROBLEM_ERROR, pos, path,
                    "%s %s the network's own or broadcast address%s%s (leave that one out)", text,
                    holds, one ? "" : " ", one ? "" : ip_addr_format(&reserved, other));
}

static int range_cmp(const void *a, const void *b)
{
    const struct ip_range *ra = a, *rb = b;
    int order = ip_addr_cmp(&ra->first, &rb->first);

    return order ? order : ip_addr_cmp(&ra->last, &rb->last);
}

static int check_pool(struct check *c, bool addresses_good)
{
    const struct doc_node *list = doc_get(doc_get(c->root, "tunnel"), "pool");
    struct config *config = c->config;
    char path[PATH_SIZE];

    if (!list)
        return addresses_good ? pool_default(config) : 0;
    for (size_t i = 0; i < config->n_pool; i++) {
        struct doc_pos pos = check_item_pos(c, list, "tunnel.pool", i, config->n_pool, path);
        char text[RANGE_STRLEN], other[RANGE_STRLEN];

        if (addresses_good)
            check_range(c, &config->pool[i], &pos, path);
        /* At most 64 of them: comparing each with each is the simplest way to name both. */
        for (size_t j = 0; j < i; j++) {
            if (range_holds(&config->pool[i], &config->pool[j].first) ||
                range_holds(&config->pool[j], &config->pool[i].first))
                problem_add(c->problems, PROBLEM_ERROR, &pos, path,
                            "%s overlaps with %s (part them)", range_format(&config->pool[i], text),
                            range_format(&config->pool[j], other));
        }
    }
    if (config->n_pool)
        qsort(config->pool, config->n_pool, sizeof(*config->pool), range_cmp);
    return 0;
}

static void check_dns(struct check *c)
{
    const struct doc_node *list = doc_get(doc_get(c->root, "tunnel"), "dns");
    struct config *config = c->config;
    char path[PATH_SIZE];

    for (size_t i = 0; i < config->n_dns; i++) {
        struct ip_addr *place = config->dns[i].family == 4 ? &config->dns4 : &config->dns6;
        struct doc_pos pos = check_item_pos(c, list, "tunnel.dns", i, config->n_dns, path);
        char text[IP_ADDR_STRLEN];

        ip_addr_format(&config->dns[i], text);
        if (place->family)
            problem_add(c->problems, PROBLEM_ERROR, &pos, path,
                        "%s is a second IPv%u server (keep one of each family)", text,
                        config->dns[i].family);
        else if (!ip_addr_is_unicast(&config->dns[i]))
            problem_add(c->problems, PROBLEM_ERROR, &pos, path,
                        "%s cannot be reached through a tunnel (write a host's address)", text);
        else
            *place = config->dns[i];
    }
}

bool check_user_named(const struct config_user *user)
{
    return user->name[0] != '\0';
}

/* One fixed address of one user, so that equal ones become neighbours. */
struct fixed {
    const struct ip_addr *addr;
    const struct config_user *user;
    size_t index;
};

static const struct doc_entry *user_entry(const struct check *c, const struct config_user *user)
{
    return doc_entry_find(doc_get(c->root, "users"), user->name);
}

struct doc_pos check_user_pos(const struct check *c, const struct config_user *user,
                              const char *key, size_t index, size_t n, char path[CHECK_PATH_SIZE])
{
    const struct doc_entry *e = user_entry(c, user);
    const struct doc_node *value = e ? doc_get(e->value, key) : NULL;
    char full[PATH_SIZE];

    snprintf(full, sizeof(full), "users.%s.%s", user->name, key);
    if (value && value->kind == DOC_LIST)
        return check_item_pos(c, value, full, index, n, path);
    snprintf(path, PATH_SIZE, "%s", full);
    return value ? value->pos : e ? e->pos : c->root->pos;
}

static void check_fixed_one(struct check *c, const struct fixed *f)
{
    const struct ip_range range = {*f->addr, *f->addr};
    char path[PATH_SIZE];
    struct doc_pos pos;

    /* Looking for the place is what costs. */
    if (range_fits(c->config, &range))
        return;
    pos = check_user_pos(c, f->user, "address", f->index, f->user->n_fixed, path);
    check_range(c, &range, &pos, path);
}

/* By address; the same one in the order of the files, so that the later user is in error. */
static int fixed_cmp(const void *a, const void *b)
{
    const struct fixed *fa = a, *fb = b;
    int order = ip_addr_cmp(fa->addr, fb->addr);

    if (order == 0)
        order = strcmp(fa->user->file, fb->user->file);
    if (order == 0)
        order = (fa->user->line > fb->user->line) - (fa->user->line < fb->user->line);
    return order ? order : (fa->index > fb->index) - (fa->index < fb->index);
}

static int check_fixed(struct check *c, bool addresses_good)
{
    const struct config *config = c->config;
    size_t total = 0, n = 0;
    struct fixed *all;

    for (size_t i = 0; i < config->n_users; i++)
        total += config->users[i].n_fixed;
    if (total == 0)
        return 0;
    all = reallocarray(NULL, total, sizeof(*all));
    if (!all)
        return -ENOMEM;
    for (size_t i = 0; i < config->n_users; i++) {
        const struct config_user *user = &config->users[i];

        for (size_t j = 0; check_user_named(user) && j < user->n_fixed; j++)
            all[n++] = (struct fixed){&user->fixed[j], user, j};
    }

    for (size_t i = 0; addresses_good && i < n; i++)
        check_fixed_one(c, &all[i]);
    if (n)
        qsort(all, n, sizeof(*all), fixed_cmp);
    for (size_t i = 1; i < n; i++) {
        char path[PATH_SIZE], text[IP_ADDR_STRLEN];
        struct doc_pos pos;

        if (!ip_addr_equal(all[i].addr, all[i - 1].addr))
            continue;
        pos = check_user_pos(c, all[i].user, "address", all[i].index, all[i].user->n_fixed, path);
        problem_add(c->problems, PROBLEM_ERROR, &pos, path,
                    "%s belongs to user %s already (give each user their own)",
                    ip_addr_format(all[i].addr, text), all[i - 1].user->name);
    }
    free(all);
    return 0;
}

static int key_cmp(const void *a, const void *b)
{
    const struct config_user *ua = *(const struct config_user *const *)a;
    const struct config_user *ub = *(const struct config_user *const *)b;
    int order = memcmp(ua->key, ub->key, WIRE_KEY_LEN);

    if (order == 0)
        order = strcmp(ua->file, ub->file);
    return order ? order : (ua->line > ub->line) - (ua->line < ub->line);
}

/* The server tells users apart by their keys alone. */
static int check_keys(struct check *c)
{
    static const uint8_t unset[WIRE_KEY_LEN];
    const struct config *config = c->config;
    const struct config_user **by_key;
    size_t n = 0;

    if (config->n_users < 2)
        return 0;
    by_key = reallocarray(NULL, config->n_users, sizeof(*by_key));
    if (!by_key)
        return -ENOMEM;
    for (size_t i = 0; i < config->n_users; i++) {
        const struct config_user *user = &config->users[i];

        /* A key that was in error is zeros. */
        if (check_user_named(user) && memcmp(user->key, unset, WIRE_KEY_LEN) != 0)
            by_key[n++] = user;
    }
    if (n)
        qsort(by_key, n, sizeof(*by_key), key_cmp);
    for (size_t i = 1; i < n; i++) {
        char path[PATH_SIZE];
        struct doc_pos pos;

        if (memcmp(by_key[i]->key, by_key[i - 1]->key, WIRE_KEY_LEN) != 0)
            continue;
        pos = check_user_pos(c, by_key[i], "key", 0, 1, path);
        problem_add(c->problems, PROBLEM_ERROR, &pos, path,
                    "users %s and %s have the same key (make each their own with vpnctl user add)",
                    by_key[i - 1]->name, by_key[i]->name);
    }
    free(by_key);
    return 0;
}

/* Users remember where they are described; a file's name is kept once. */
static int users_place(struct check *c)
{
    const struct doc_node *map = doc_get(c->root, "users");
    struct config *config = c->config;
    const char *from = NULL, *copy = "";

    for (size_t i = 0; i < config->n_users; i++) {
        struct config_user *user = &config->users[i];
        /* Both are sorted by name. */
        const struct doc_entry *e = map && map->kind == DOC_MAP && map->n == config->n_users
                                        ? &map->entries[map->by_key[i]]
                                        : NULL;

        user->file = "";
        if (!e)
            continue;
        if (!from || strcmp(from, e->pos.file) != 0) {
            from = e->pos.file;
            copy = arena_strdup(config->arena, from);
            if (!copy)
                return -ENOMEM;
        }
        user->file = copy;
        user->line = e->pos.line;
    }
    return 0;
}

int config_check(struct config *config, const struct doc_node *root, struct problems *problems)
{
    struct check c = {config, root, problems};
    const struct doc_node *addresses = doc_get(doc_get(root, "tunnel"), "addresses");
    size_t errors_before;
    bool addresses_good;
    int rc = users_place(&c);

    if (rc < 0)
        return rc;
    errors_before = problems->n_errors;
    check_addresses(&c);
    /* Else every address would seem to lie outside: one mistake, one message. */
    addresses_good = problems->n_errors == errors_before && config->n_addresses &&
                     list_intact(addresses, config->n_addresses);

    check_listen(&c);
    check_dns(&c);
    rc = check_pool(&c, addresses_good);
    if (rc == 0)
        rc = check_fixed(&c, addresses_good);
    if (rc == 0)
        rc = check_keys(&c);
    if (rc == 0)
        rc = check_networks(&c, addresses_good);
    if (rc == 0)
        check_qos(&c);
    return rc < 0 ? rc : check_routing(&c);
}

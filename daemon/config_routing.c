/* Routes, rules and masquerading of a server file: what may be said, and what fits together. */
#include "daemon/config_routing.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"

/* The kernel's own rules and tables: linux/fib_rules.h, net/ipv4/fib_rules.c. */
#define TABLE_LOCAL      255
#define PRIORITY_MAIN    32766
#define PRIORITY_DEFAULT 32767

static const char *const type_names[] = {"unicast", "unreachable", "blackhole", NULL};
static const char *const family_names[] = {"both", "ipv4", "ipv6", NULL};

static const struct schema_field route_fields[] = {
    {
        .key = "to",
        .doc = "The network that the route leads to, or default for everything.",
        .type = SCHEMA_ROUTE,
        .shape = SCHEMA_WORD,
        SCHEMA_AT_N(config_route, to, n_to),
        .required = true,
        .mend = "write a network such as 10.20.0.0/16, or default",
    },
    {
        .key = "device",
        .doc = "The device that packets leave by; enough by itself where the device is a tunnel.",
        .type = SCHEMA_DEVICE,
        SCHEMA_AT(config_route, device),
    },
    {
        .key = "via",
        .doc = "The next router's address.",
        .type = SCHEMA_ADDR,
        SCHEMA_AT(config_route, via),
    },
    {
        .key = "table",
        .doc = "The routing table to write it into, by number.",
        .type = SCHEMA_UINT,
        SCHEMA_AT(config_route, table),
        .min = 1,
        .max = UINT32_MAX,
        .word = "main",
        .preset = "main",
    },
    {
        .key = "metric",
        .doc = "Of two routes to one network the one with the lower metric is taken.",
        .type = SCHEMA_UINT,
        SCHEMA_AT(config_route, metric),
        .max = UINT32_MAX,
        .preset = "0",
    },
    {
        .key = "type",
        .doc = "unicast leads somewhere; unreachable refuses packets, blackhole drops them.",
        .type = SCHEMA_ENUM,
        SCHEMA_AT(config_route, type),
        .names = type_names,
        .preset = "unicast",
    },
};
const struct schema_table config_route_table = {
    .fields = route_fields,
    .n = ARRAY_SIZE(route_fields),
    .entry_size = sizeof(struct config_route),
};

static const struct schema_field rule_fields[] = {
    {
        .key = "priority",
        .doc = "Rules are asked in the order of this number, the lowest first; the main table is "
               "asked at 32766.",
        .type = SCHEMA_UINT,
        SCHEMA_AT(config_rule, priority),
        .min = 1,
        .max = UINT32_MAX,
        .required = true,
        .mend = "write one below 32766, where the main table is asked",
    },
    {
        .key = "from",
        .doc = "Only packets with a source in this network.",
        .type = SCHEMA_NETWORK,
        SCHEMA_AT(config_rule, from),
    },
    {
        .key = "to",
        .doc = "Only packets with a destination in this network.",
        .type = SCHEMA_NETWORK,
        SCHEMA_AT(config_rule, to),
    },
    {
        .key = "iif",
        .doc = "Only packets that came in by this device; lo is the host itself.",
        .type = SCHEMA_DEVICE,
        SCHEMA_AT(config_rule, iif),
    },
    {
        .key = "oif",
        .doc = "Only packets of sockets that are bound to this device.",
        .type = SCHEMA_DEVICE,
        SCHEMA_AT(config_rule, oif),
    },
    {
        .key = "mark",
        .doc = "Only packets with this mark, as 0x1 or, with a mask, 0x1/0xff.",
        .type = SCHEMA_MARK,
        SCHEMA_AT(config_rule, mark),
    },
    {
        .key = "uids",
        .doc = "Only packets of this user id, or of a range of them such as 1101-1199.",
        .type = SCHEMA_UIDS,
        SCHEMA_AT(config_rule, uids),
    },
    {
        .key = "family",
        .doc = "ipv4 or ipv6; by default both, or that of from and to.",
        .type = SCHEMA_ENUM,
        SCHEMA_AT(config_rule, family),
        .names = family_names,
        .preset = "both",
    },
    {
        .key = "table",
        .doc = "The routing table to ask, by number, or main.",
        .type = SCHEMA_UINT,
        SCHEMA_AT(config_rule, table),
        .min = 1,
        .max = UINT32_MAX,
        .word = "main",
        .required = true,
        .mend = "write the table to ask, such as 101, or main",
    },
    {
        .key = "suppress-prefixlength",
        .doc = "Routes of that table with a length up to this count as not found: with 0 it is its "
               "default route alone.",
        .type = SCHEMA_UINT,
        SCHEMA_AT(config_rule, suppress_prefixlen),
        .max = 128,
    },
};
const struct schema_table config_rule_table = {
    .fields = rule_fields,
    .n = ARRAY_SIZE(rule_fields),
    .entry_size = sizeof(struct config_rule),
};

static const struct schema_field masquerade_fields[] = {
    {
        .key = "from",
        .doc = "Packets from this network...",
        .type = SCHEMA_NETWORK,
        SCHEMA_AT(config_masquerade, from),
        .required = true,
        .mend = "write the tunnel's network, such as 10.8.0.0/24",
    },
    {
        .key = "device",
        .doc = "...that leave by this device get its address as their source.",
        .type = SCHEMA_DEVICE,
        SCHEMA_AT(config_masquerade, device),
        .required = true,
        .mend = "write the device towards the internet, such as eth0",
    },
};
const struct schema_table config_masquerade_table = {
    .fields = masquerade_fields,
    .n = ARRAY_SIZE(masquerade_fields),
    .entry_size = sizeof(struct config_masquerade),
};

/* ---- places and words ---------------------------------------------------------------------- */

/* Where key @key of entry @i of list @list stands: the entry's own place when it is not there. */
static struct doc_pos item_pos(const struct check *c, const char *list, size_t i, const char *key,
                               char path[CHECK_PATH_SIZE])
{
    const struct doc_node *items = doc_get(c->root, list);
    const struct doc_node *item =
        items && items->kind == DOC_LIST && i < items->n ? items->items[i] : NULL;
    const struct doc_node *value = key ? doc_get(item, key) : NULL;

    snprintf(path, CHECK_PATH_SIZE, "%s[%zu]%s%s", list, i, value ? "." : "", value ? key : "");
    return value ? value->pos : item ? item->pos : c->root->pos;
}

static bool item_has(const struct check *c, const char *list, size_t i, const char *key)
{
    const struct doc_node *items = doc_get(c->root, list);

    return items && items->kind == DOC_LIST && i < items->n && doc_get(items->items[i], key);
}

/* Does the entry say this, or nothing?  Else 0 stands for what the schema complained about. */
static bool item_says(const struct check *c, const char *list, size_t i, const char *key,
                      const char *word)
{
    const struct doc_node *items = doc_get(c->root, list);
    const struct doc_node *item =
        items && items->kind == DOC_LIST && i < items->n ? items->items[i] : NULL;
    const struct doc_node *value = doc_get(item, key);

    if (!value)
        return item && item->kind == DOC_MAP;
    return value->kind == DOC_SCALAR && strcmp(value->text, word) == 0;
}

static void complain(struct check *c, const char *list, size_t i, const char *key, const char *what)
{
    char path[CHECK_PATH_SIZE];
    struct doc_pos pos = item_pos(c, list, i, key, path);

    problem_add(c->problems, PROBLEM_ERROR, &pos, path, "%s", what);
}

static bool prefix_equal(const struct ip_prefix *a, const struct ip_prefix *b)
{
    return a->len == b->len && ip_addr_equal(&a->addr, &b->addr);
}

static int prefix_cmp(const struct ip_prefix *a, const struct ip_prefix *b)
{
    int order = ip_addr_cmp(&a->addr, &b->addr);

    return order ? order : (a->len > b->len) - (a->len < b->len);
}

static int number_cmp(uint64_t a, uint64_t b)
{
    return (a > b) - (a < b);
}

/* ---- routes -------------------------------------------------------------------------------- */

/* `default` has both families: the gateway's is meant. */
static void route_narrow(struct config_route *r)
{
    if (r->n_to == 2 && r->via.family) {
        r->to[0] = r->to[r->to[0].addr.family == r->via.family ? 0 : 1];
        r->n_to = 1;
    }
}

static void check_route(struct check *c, size_t i)
{
    struct config_route *r = &c->config->routes[i];
    const bool typed = item_says(c, "routes", i, "type", type_names[r->type]);
    const bool device = item_has(c, "routes", i, "device");
    const bool via = item_has(c, "routes", i, "via");

    if (r->table == 0 && item_says(c, "routes", i, "table", "main"))
        r->table = CONFIG_TABLE_MAIN;
    route_narrow(r);
    if (r->table == TABLE_LOCAL)
        complain(c, "routes", i, "table",
                 "255 is the kernel's own table of local addresses (choose another)");
    if (r->type != CONFIG_ROUTE_UNICAST && (device || via))
        complain(
            c, "routes", i, device ? "device" : "via",
            "belongs to a route that leads somewhere, and this one's type does not (remove one "
            "of the two)");
    else if (typed && r->type == CONFIG_ROUTE_UNICAST && !device && !via)
        complain(c, "routes", i, NULL,
                 "leads nowhere (write device: or via:, or type: blackhole to drop packets)");
    else if (via && r->n_to && r->via.family && r->to[0].addr.family != r->via.family)
        complain(c, "routes", i, "via",
                 "has another family than the route's network (write a gateway of its family)");
    else if (via && r->via.family && !ip_addr_is_unicast(&r->via) &&
             !(r->via.family == 6 && device && r->via.bytes[0] == 0xfe))
        complain(c, "routes", i, "via", "is no router's address (write the next router's)");
    else if (via && device && c->config->device[0] && !strcmp(r->device, c->config->device))
        complain(c, "routes", i, "via",
                 "is not needed: a tunnel is point to point (remove it; the device is enough)");
}

/* One network of one route, or behind one user, so that equal ones become neighbours. */
struct target {
    const struct ip_prefix *to;
    uint32_t table, metric;
    size_t index;                   /* of the route */
    const struct config_user *user; /* NULL: a route's */
};

static int target_cmp(const void *a, const void *b)
{
    const struct target *ta = a, *tb = b;
    int order = number_cmp(ta->table, tb->table);

    if (order == 0)
        order = prefix_cmp(ta->to, tb->to);
    if (order == 0)
        order = number_cmp(ta->metric, tb->metric);
    /* Of equal ones the later is in error, and a route sooner than a user. */
    if (order == 0)
        order = (tb->user != NULL) - (ta->user != NULL);
    return order ? order : number_cmp(ta->index, tb->index);
}

static bool target_same(const struct target *a, const struct target *b)
{
    return a->table == b->table && prefix_equal(a->to, b->to) && a->metric == b->metric;
}

/* The kernel itself routes the tunnel's network into the tunnel. */
static void check_own_network(struct check *c, const struct target *t)
{
    const struct ip_prefix *own = config_prefix(c->config, t->to->addr.family);
    char what[128], text[IP_PREFIX_STRLEN];
    struct ip_prefix network;

    if (!own || t->table != CONFIG_TABLE_MAIN || t->metric != 0)
        return;
    network = ip_prefix_network(*own);
    if (!prefix_equal(&network, t->to))
        return;
    snprintf(what, sizeof(what), "%s is the tunnel's own network (remove the route)",
             ip_prefix_format(t->to, text));
    complain(c, "routes", t->index, "to", what);
}

static void say_target_twice(struct check *c, const struct target *t, const struct target *former)
{
    char what[256], text[IP_PREFIX_STRLEN];

    ip_prefix_format(t->to, text);
    if (former->user)
        snprintf(what, sizeof(what),
                 "%s lies behind user %s already (remove the route, or give it a metric)", text,
                 former->user->name);
    else
        snprintf(what, sizeof(what),
                 "%s is in table %u with metric %u already (give one of the two another metric)",
                 text, t->table, t->metric);
    complain(c, "routes", t->index, "to", what);
}

static size_t targets_fill(const struct config *config, struct target *all)
{
    size_t n = 0;

    for (size_t i = 0; i < config->n_routes; i++) {
        const struct config_route *r = &config->routes[i];

        for (size_t j = 0; r->table && j < r->n_to; j++)
            all[n++] = (struct target){&r->to[j], r->table, r->metric, i, NULL};
    }
    for (size_t i = 0; i < config->n_users; i++) {
        const struct config_user *user = &config->users[i];

        for (size_t j = 0; check_user_named(user) && j < user->n_networks; j++)
            all[n++] = (struct target){&user->networks[j], CONFIG_TABLE_MAIN, 0, 0, user};
    }
    return n;
}

static int check_targets(struct check *c)
{
    const struct config *config = c->config;
    size_t n = config->n_routes * 2;
    struct target *all;

    if (config->n_routes == 0)
        return 0;
    for (size_t i = 0; i < config->n_users; i++)
        n += config->users[i].n_networks;
    all = reallocarray(NULL, n, sizeof(*all));
    if (!all)
        return -ENOMEM;
    n = targets_fill(config, all);
    if (n)
        qsort(all, n, sizeof(*all), target_cmp);
    for (size_t i = 0; i < n; i++) {
        /* Users among each other are config_networks.c's. */
        if (all[i].user)
            continue;
        check_own_network(c, &all[i]);
        if (i > 0 && target_same(&all[i], &all[i - 1]))
            say_target_twice(c, &all[i], &all[i - 1]);
    }
    free(all);
    return 0;
}

/* ---- rules --------------------------------------------------------------------------------- */

static void rule_families(struct check *c, size_t i)
{
    struct config_rule *r = &c->config->rules[i];
    const uint8_t from = r->from.addr.family, to = r->to.addr.family;
    const uint8_t wanted = r->family == CONFIG_FAMILY_IP4   ? 4
                           : r->family == CONFIG_FAMILY_IP6 ? 6
                                                            : 0;

    if (from && to && from != to)
        complain(c, "rules", i, "to", "has another family than from (write two rules)");
    else if (wanted && ((from && from != wanted) || (to && to != wanted)))
        complain(c, "rules", i, "family", "is not that of from and to (remove it)");
    r->ip4 = (wanted ? wanted : from ? from : to ? to : 4) == 4;
    r->ip6 = (wanted ? wanted : from ? from : to ? to : 6) == 6;
}

static void check_rule(struct check *c, size_t i)
{
    struct config_rule *r = &c->config->rules[i];

    r->has_uids = item_has(c, "rules", i, "uids");
    r->has_suppress = item_has(c, "rules", i, "suppress-prefixlength");
    if (r->table == 0 && item_says(c, "rules", i, "table", "main"))
        r->table = CONFIG_TABLE_MAIN;
    rule_families(c, i);
    if (r->priority == PRIORITY_MAIN || r->priority == PRIORITY_DEFAULT)
        complain(c, "rules", i, "priority",
                 "is the kernel's own (choose another; below 32766 to be asked before the main "
                 "table)");
    if (r->has_suppress && r->ip4 && r->suppress_prefixlen > 32)
        complain(c, "rules", i, "suppress-prefixlength",
                 "is more than 32, the longest of IPv4 (or write family: ipv6)");
}

static int rule_cmp(const void *a, const void *b)
{
    const struct config_rule *ra = *(const struct config_rule *const *)a;
    const struct config_rule *rb = *(const struct config_rule *const *)b;
    int order = number_cmp(ra->priority, rb->priority);

    /* They lie in one array, in the order of the file. */
    return order ? order : (ra > rb) - (ra < rb);
}

/* Of two rules with one priority the kernel asks whichever was added last: nobody means that. */
static int check_priorities(struct check *c)
{
    const struct config *config = c->config;
    const struct config_rule **all;
    size_t n = config->n_rules;

    if (n < 2)
        return 0;
    all = reallocarray(NULL, n, sizeof(*all));
    if (!all)
        return -ENOMEM;
    for (size_t i = 0; i < n; i++)
        all[i] = &config->rules[i];
    qsort(all, n, sizeof(*all), rule_cmp);
    for (size_t i = 1; i < n; i++) {
        char what[160];

        if (all[i]->priority == 0 || all[i]->priority != all[i - 1]->priority)
            continue;
        if ((all[i]->ip4 && all[i - 1]->ip4) || (all[i]->ip6 && all[i - 1]->ip6)) {
            snprintf(what, sizeof(what),
                     "%u is the priority of rules[%zu] already (give each rule its own)",
                     all[i]->priority, (size_t)(all[i - 1] - config->rules));
            complain(c, "rules", (size_t)(all[i] - config->rules), "priority", what);
        }
    }
    free(all);
    return 0;
}

/* ---- masquerading -------------------------------------------------------------------------- */

static void check_masquerade(struct check *c)
{
    const struct config *config = c->config;

    for (size_t i = 0; i < config->n_masquerade; i++) {
        const struct config_masquerade *m = &config->masquerade[i];

        if (m->device[0] && !strcmp(m->device, config->device))
            complain(c, "masquerade", i, "device",
                     "is the tunnel itself (write the device towards the internet)");
        /* At most 64 of them: each with each. */
        for (size_t j = 0; j < i; j++) {
            if (!m->device[0] || !m->from.addr.family ||
                strcmp(m->device, config->masquerade[j].device) != 0 ||
                !prefix_equal(&m->from, &config->masquerade[j].from))
                continue;
            complain(c, "masquerade", i, NULL, "is in the list twice (remove one)");
            break;
        }
    }
}

int check_routing(struct check *c)
{
    int rc;

    for (size_t i = 0; i < c->config->n_routes; i++)
        check_route(c, i);
    for (size_t i = 0; i < c->config->n_rules; i++)
        check_rule(c, i);
    check_masquerade(c);
    rc = check_targets(c);
    return rc < 0 ? rc : check_priorities(c);
}

/* A host's tables, and a model of the kernel that looks them up. */
#include "tests/unit/routing_rig.h"

#include <string.h>

const struct packet plain = {.uid = 1000};
const struct packet marked = {.uid = 900, .mark = ROUTING_MARK};

/* ---- the model ----------------------------------------------------------------------------- */

static bool rule_matches(const struct net_rule *rule, const struct packet *p)
{
    bool match = (rule->to.len == 0 || ip_prefix_contains(&rule->to, &p->to)) &&
                 (rule->mask == 0 || (p->mark & rule->mask) == rule->mark) &&
                 (!rule->iif[0] || strcmp(rule->iif, p->iif ? p->iif : "lo") == 0) &&
                 (!rule->has_uids || (rule->uid_first <= p->uid && p->uid <= rule->uid_last)) &&
                 (rule->ip_proto == 0 || rule->ip_proto == p->ip_proto) &&
                 (rule->sport == 0 || rule->sport == p->sport) &&
                 (rule->dport == 0 || rule->dport == p->dport);

    if (rule->oif[0] || rule->from.len)
        fail_msg("a selector that this model does not know");
    return rule->family == p->to.family && match != rule->invert;
}

static bool kind_and_table(const struct net_object *o, uint32_t table)
{
    return o->kind == NET_KIND_ROUTE && o->route.table == table;
}

const struct net_object *table_find(const struct net_set *set, uint32_t table,
                                    const struct ip_addr *to)
{
    const struct net_object *best = NULL;

    for (size_t i = 0; i < net_set_count(set); i++) {
        const struct net_object *o = net_set_at(set, i);

        if (!kind_and_table(o, table) || !ip_prefix_contains(&o->route.dst, to))
            continue;
        if (!best || o->route.dst.len > best->route.dst.len ||
            (o->route.dst.len == best->route.dst.len &&
             net_route_metric(&o->route) < net_route_metric(&best->route)))
            best = o;
    }
    return best;
}

const char *fate(const struct net_set *set, const struct packet *p)
{
    const struct net_object *route = NULL;

    /* A sorted set has its rules by priority. */
    for (size_t i = 0; i < net_set_count(set); i++) {
        const struct net_object *o = net_set_at(set, i);

        if (o->kind != NET_KIND_RULE || !rule_matches(&o->rule, p))
            continue;
        route = table_find(set, o->rule.table, &p->to);
        if (route && o->rule.has_suppress && route->route.dst.len <= o->rule.suppress_prefixlen)
            route = NULL;
        if (route)
            break;
    }
    if (!route)
        route = table_find(set, NET_TABLE_MAIN, &p->to);
    if (!route)
        return NULL;
    return route->route.type == NET_ROUTE_UNREACHABLE ? UNREACHABLE : route->dev;
}

void expect(const struct net_set *set, struct packet p, const char *to, const char *where)
{
    const char *got;

    p.to = prefix(to).addr;
    got = fate(set, &p);
    if (strcmp(got ? got : "nowhere", where) != 0)
        fail_msg("to %s (mark %x, uid %u) leaves by %s, not by %s", to, p.mark, p.uid,
                 got ? got : "nowhere", where);
}

/* ---- what is there ------------------------------------------------------------------------- */

void main_route(struct net_set *set, const char *dst, const char *dev)
{
    const struct net_route route = {.dst = prefix(dst),
                                    .table = NET_TABLE_MAIN,
                                    .protocol = 3 /* boot */};

    assert_int_equal(net_set_add_route(set, dev, &route), 0);
}

struct net_set *host(void)
{
    struct net_set *set = net_set_new();

    assert_non_null(set);
    main_route(set, "0.0.0.0/0", OUTSIDE);
    main_route(set, "::/0", OUTSIDE);
    main_route(set, "192.0.2.0/24", OUTSIDE);
    main_route(set, "192.168.1.0/24", OUTSIDE);
    main_route(set, "2001:db8:1::/64", OUTSIDE);
    return set;
}

struct ip_endpoint endpoint(const char *addr, uint16_t port)
{
    return (struct ip_endpoint){.addr = prefix(addr).addr, .port = port};
}

void lower(const struct routing *r, struct net_set *set)
{
    struct err err;

    assert_int_equal(routing_lower(r, set), 0);
    if (routing_catches(r, 4)) {
        assert_int_equal(routing_lower_back(r, set), 0);
        assert_int_equal(routing_lower_others(20053, set), 0);
    }
    if (net_set_sort(set, &err) < 0)
        fail_msg("%s", err.msg);
}

struct routing routing(const struct ip_prefix *routes, size_t n)
{
    return (struct routing){.number = 3,
                            .device = "tun3",
                            .up = true,
                            .ip4 = true,
                            .ip6 = true,
                            .server = endpoint("203.0.113.5", 51820),
                            .port = 40000,
                            .routes = routes,
                            .n_routes = n};
}

size_t count(const struct net_set *set, enum net_kind kind, uint8_t protocol)
{
    size_t n = 0;

    for (size_t i = 0; i < net_set_count(set); i++) {
        const struct net_object *o = net_set_at(set, i);

        n += o->kind == kind &&
             (kind == NET_KIND_RULE ? o->rule.protocol : o->route.protocol) == protocol;
    }
    return n;
}

/* A tunnel's routes and rules; see routing.h. */
#include "client/routing.h"

#include <netinet/in.h>

#include "common/cleanup.h"

#define DNS_PORT         53
#define DHCP_CLIENT_PORT 68
#define DHCP_SERVER_PORT 67

static const uint8_t families[] = {4, 6};

/* Networks that are never on the internet; link-local IPv6 needs no rule to be reached. */
static const struct ip_prefix private_networks[] = {
    {{4, {10}}, 8},        {{4, {172, 16}}, 12}, {{4, {192, 168}}, 16},
    {{4, {169, 254}}, 16}, {{6, {0xfc}}, 7},
};

static const struct ip_prefix everything[] = {{{4, {0}}, 0}, {{6, {0}}, 0}};

/* ---- what kind of tunnel it is ------------------------------------------------------------------
 */

/* The length of the routes that are a family's all: 0, 1 for two halves, UINT32_MAX for none. */
static uint32_t full_length(const struct routing *r, uint8_t family)
{
    unsigned int halves = 0;
    bool whole = false;

    for (size_t i = 0; i < r->n_routes; i++) {
        const struct ip_prefix *route = &r->routes[i];

        if (route->addr.family != family || route->len > 1)
            continue;
        if (route->len == 0)
            whole = true;
        else
            halves |= route->addr.bytes[0] & 0x80 ? 2 : 1;
    }
    if (halves == 3)
        return 1;
    return whole ? 0 : UINT32_MAX;
}

bool routing_is_full(const struct routing *r, uint8_t family)
{
    return full_length(r, family) != UINT32_MAX;
}

bool routing_is_private(const struct ip_prefix *network)
{
    for (size_t i = 0; i < ARRAY_SIZE(private_networks); i++)
        if (network->len >= private_networks[i].len &&
            ip_prefix_contains(&private_networks[i], &network->addr))
            return true;
    return false;
}

/* What it carries it must carry, whatever the main table says. */
static bool is_strict(const struct routing *r, uint8_t family)
{
    return r->has_uids || r->block || r->apart || routing_is_full(r, family);
}

static bool carries(const struct routing *r, uint8_t family)
{
    return r->up && (family == 4 ? r->ip4 : r->ip6);
}

/* Are its routes, or what stands for them while it is down, set at all? */
static bool is_set(const struct routing *r)
{
    return r->up || r->block || r->has_uids;
}

static bool covers_server(const struct routing *r, const struct ip_prefix *route)
{
    return route->len == 0 || ip_prefix_contains(route, &r->server.addr);
}

static uint32_t own_table(const struct routing *r)
{
    return r->table ? r->table : ROUTING_TABLE + r->number;
}

static uint32_t table_of(const struct routing *r, const struct ip_prefix *route)
{
    if (r->table || is_strict(r, route->addr.family) || covers_server(r, route))
        return own_table(r);
    return NET_TABLE_MAIN;
}

/* The shortest of an ordinary tunnel's routes that cover the server; UINT32_MAX for none. */
static uint32_t shortest_covering(const struct routing *r, uint8_t family)
{
    uint32_t shortest = UINT32_MAX;

    for (size_t i = 0; i < r->n_routes; i++) {
        const struct ip_prefix *route = &r->routes[i];

        if (route->addr.family == family && carries(r, family) && covers_server(r, route) &&
            route->len < shortest)
            shortest = route->len;
    }
    return shortest;
}

static bool has_routes(const struct routing *r, uint8_t family)
{
    for (size_t i = 0; i < r->n_routes; i++)
        if (r->routes[i].addr.family == family)
            return true;
    return false;
}

/* Rules that catch by anything but uids, which the kernel's own packets never have. */
bool routing_catches(const struct routing *r, uint8_t family)
{
    if (r->has_uids || r->table || !is_set(r))
        return false;
    if (is_strict(r, family))
        return has_routes(r, family);
    return shortest_covering(r, family) != UINT32_MAX;
}

/* ---- routes -------------------------------------------------------------------------------------
 */

static int add_route(const struct routing *r, const struct ip_prefix *dst, uint32_t table,
                     bool blocked, struct net_set *set)
{
    const struct net_route route = {
        .dst = ip_prefix_network(*dst),
        .table = table,
        .metric = blocked ? ROUTING_BLOCK_METRIC : 0,
        .protocol = NET_PROTO_CLIENT,
        .type = blocked ? NET_ROUTE_UNREACHABLE : NET_ROUTE_UNICAST,
    };

    return net_set_add_route(set, blocked ? NULL : r->device, &route);
}

static int lower_routes(const struct routing *r, struct net_set *set)
{
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < r->n_routes; i++) {
        const struct ip_prefix *route = &r->routes[i];
        const uint32_t table = table_of(r, route);

        if (r->no_ip6 && route->addr.family == 6)
            continue;
        if (carries(r, route->addr.family))
            rc = add_route(r, route, table, false, set);
        /* Below a default route, its twin catches all. */
        if (rc == 0 && is_strict(r, route->addr.family) && !r->has_uids &&
            route->len <= full_length(r, route->addr.family))
            rc = add_route(r, route, table, true, set);
    }
    /* Whatever a uid sends goes by its tunnel or not at all. */
    for (size_t f = 0; rc == 0 && r->has_uids && f < ARRAY_SIZE(everything); f++)
        if (!r->no_ip6 || everything[f].addr.family == 4)
            rc = add_route(r, &everything[f], own_table(r), true, set);
    return rc;
}

/* ---- rules --------------------------------------------------------------------------------------
 */

static uint32_t priority(const struct routing *r, enum routing_slot slot)
{
    if (r->has_uids && slot != ROUTING_SLOT_TABLE)
        return ROUTING_PRIORITY_UIDS + slot;
    if (r->has_uids)
        return r->table ? ROUTING_UIDS_TABLE + r->table : ROUTING_UIDS_OWN + r->number;
    if (routing_is_full(r, 4) || routing_is_full(r, 6))
        return ROUTING_PRIORITY_FULL + slot;
    return ROUTING_PRIORITY + ROUTING_SLOTS * r->number + slot;
}

/* Left out because of a stranger's rule of the same number it would let out what it shall catch. */
static struct net_rule rule_of(const struct routing *r, uint8_t family, enum routing_slot slot)
{
    return (struct net_rule){
        .family = family,
        .priority = priority(r, slot),
        .has_uids = r->has_uids,
        .uid_first = r->uids.first,
        .uid_last = r->uids.last,
        .table = NET_TABLE_MAIN,
        .protocol = NET_PROTO_CLIENT,
        .beside = true,
    };
}

/* Into the tunnel's table, up to routes of length @suppress when that is not UINT32_MAX. */
static int add_into(const struct routing *r, uint8_t family, enum routing_slot slot,
                    uint32_t suppress, struct net_set *set)
{
    struct net_rule rule = rule_of(r, family, slot);

    rule.table = own_table(r);
    rule.has_suppress = suppress != UINT32_MAX;
    rule.suppress_prefixlen = rule.has_suppress ? suppress : 0;
    if (!r->has_uids) {
        rule.mark = ROUTING_MARK;
        rule.mask = UINT32_MAX;
        rule.invert = true;
    }
    return net_set_add_rule(set, &rule);
}

/* What is left to the main table, of each network of a list; @linked: unless only its default. */
static int add_outside(const struct routing *r, uint8_t family, enum routing_slot slot, bool linked,
                       const struct ip_prefix *networks, size_t n, struct net_set *set)
{
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < n; i++) {
        struct net_rule rule = rule_of(r, family, slot);

        if (networks[i].addr.family != family)
            continue;
        rule.to = networks[i];
        rule.has_suppress = linked;
        rc = net_set_add_rule(set, &rule);
    }
    return rc;
}

static int lower_strict(const struct routing *r, uint8_t family, struct net_set *set)
{
    const uint32_t length = full_length(r, family);
    int rc;

    if (!r->has_uids && !has_routes(r, family))
        return 0;
    rc = add_outside(r, family, ROUTING_SLOT_EXCLUDE, false, r->exclude, r->n_exclude, set);
    if (rc == 0)
        rc = add_outside(r, family, ROUTING_SLOT_EXCLUDE, true, r->networks, r->n_networks, set);
    if (rc == 0 && r->allow_lan)
        rc = add_into(r, family, ROUTING_SLOT_OWN, length == UINT32_MAX ? 0 : length, set);
    if (rc == 0 && r->allow_lan)
        rc = add_outside(r, family, ROUTING_SLOT_LAN, true, private_networks,
                         ARRAY_SIZE(private_networks), set);
    return rc < 0 ? rc : add_into(r, family, ROUTING_SLOT_TABLE, UINT32_MAX, set);
}

static int lower_ordinary(const struct routing *r, uint8_t family, struct net_set *set)
{
    struct net_rule rule = rule_of(r, family, ROUTING_SLOT_LAN);
    int rc;

    rule.has_suppress = true;
    rule.suppress_prefixlen = shortest_covering(r, family);
    if (rule.suppress_prefixlen == UINT32_MAX)
        return 0;
    rc = net_set_add_rule(set, &rule);
    return rc < 0 ? rc : add_into(r, family, ROUTING_SLOT_TABLE, UINT32_MAX, set);
}

int routing_lower(const struct routing *r, struct net_set *set)
{
    int rc;

    if (!is_set(r))
        return 0;
    rc = lower_routes(r, set);
    /* With a table of his own and no uids the operator has rules of his own. */
    for (size_t f = 0; rc == 0 && f < ARRAY_SIZE(families); f++) {
        if ((r->table && !r->has_uids) || (r->no_ip6 && families[f] == 6))
            break;
        rc = is_strict(r, families[f]) ? lower_strict(r, families[f], set)
                                       : lower_ordinary(r, families[f], set);
    }
    return rc;
}

int routing_lower_from(const struct routing *r, const struct ip_addr *addr, struct net_set *set)
{
    const struct net_rule rule = {
        .family = addr->family,
        .priority = ROUTING_PRIORITY_FROM,
        .from = {*addr, ip_addr_bits(addr)},
        .table = own_table(r),
        .protocol = NET_PROTO_CLIENT,
        .beside = true,
    };

    return r->has_uids || r->table ? net_set_add_rule(set, &rule) : 0;
}

/* ---- the way back -------------------------------------------------------------------------------
 */

static struct net_rule rule_back(uint16_t sport, uint16_t dport)
{
    return (struct net_rule){
        .family = 4,
        .priority = ROUTING_PRIORITY_BACK,
        .iif = "lo",
        .has_uids = true, /* 0 to 0 */
        .ip_proto = IPPROTO_UDP,
        .sport = sport,
        .dport = dport,
        .table = NET_TABLE_MAIN,
        .protocol = NET_PROTO_CLIENT,
        .beside = true,
    };
}

int routing_lower_back(const struct routing *r, struct net_set *set)
{
    struct net_rule rule = rule_back(r->port, r->server.port);

    if (r->server.addr.family != 4 || r->port == 0)
        return 0;
    rule.to = (struct ip_prefix){r->server.addr, ip_addr_bits(&r->server.addr)};
    return net_set_add_rule(set, &rule);
}

int routing_lower_others(uint16_t names_port, struct net_set *set)
{
    struct net_rule dns = rule_back(names_port, DNS_PORT);
    struct net_rule dhcp = rule_back(DHCP_CLIENT_PORT, DHCP_SERVER_PORT);
    int rc;

    dns.priority += 1;
    dhcp.priority += 2;
    dhcp.iif[0] = '\0';
    rc = names_port ? net_set_add_rule(set, &dns) : 0;
    return rc < 0 ? rc : net_set_add_rule(set, &dhcp);
}

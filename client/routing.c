/* A tunnel's routes and rules; see routing.h. */
#include "client/routing.h"

bool routing_has_default(const struct ip_prefix *routes, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (routes[i].len == 0)
            return true;
    return false;
}

bool routing_applies(const struct routing *r, size_t i)
{
    return r->routes[i].addr.family == 4 ? r->ip4 : r->ip6;
}

static bool covers_server(const struct routing *r, const struct ip_prefix *route)
{
    return route->len == 0 || ip_prefix_contains(route, &r->server);
}

struct net_route routing_route(const struct routing *r, size_t i)
{
    return (struct net_route){
        .dst = ip_prefix_network(r->routes[i]),
        .table = covers_server(r, &r->routes[i]) ? ROUTING_TABLE + r->number : NET_TABLE_MAIN,
        .ifindex = r->ifindex,
        .protocol = NET_PROTO_CLIENT,
        .type = NET_ROUTE_UNICAST,
    };
}

uint32_t routing_priority(const struct routing *r)
{
    return r->has_default ? ROUTING_PRIORITY_DEFAULT : ROUTING_PRIORITY + 2 * r->number;
}

size_t routing_rules(const struct routing *r, struct net_rule rules[ROUTING_RULES_MAX])
{
    static const uint8_t families[] = {4, 6};
    size_t n = 0;

    for (size_t f = 0; f < 2; f++) {
        uint32_t shortest = UINT32_MAX;

        for (size_t i = 0; i < r->n_routes; i++) {
            const struct ip_prefix *route = &r->routes[i];

            if (route->addr.family == families[f] && routing_applies(r, i) &&
                covers_server(r, route) && route->len < shortest)
                shortest = route->len;
        }
        if (shortest == UINT32_MAX)
            continue;
        rules[n++] = (struct net_rule){
            .family = families[f],
            .priority = routing_priority(r),
            .table = NET_TABLE_MAIN,
            .has_suppress = true,
            .suppress_prefixlen = shortest,
            .protocol = NET_PROTO_CLIENT,
        };
        rules[n++] = (struct net_rule){
            .family = families[f],
            .priority = routing_priority(r) + 1,
            .mark = ROUTING_MARK,
            .mask = UINT32_MAX,
            .invert = true,
            .table = ROUTING_TABLE + r->number,
            .protocol = NET_PROTO_CLIENT,
        };
    }
    return n;
}

/* What the kernel shall hold; see desired.h. */
#include "daemon/desired.h"

#include <string.h>

#include "daemon/firewall.h"
#include "netlink/set.h"

static int add_tunnel(const struct config *config, struct net_set *set)
{
    struct net_link link = {.kind = "tun",
                            .alias = DESIRED_ALIAS,
                            .mtu = config->mtu,
                            .up = true,
                            .ip6ll = NET_IP6LL_NONE};
    int rc;

    memcpy(link.name, config->device, sizeof(link.name));
    rc = net_set_add_link(set, &link);
    for (size_t i = 0; rc == 0 && i < config->n_addresses; i++) {
        const struct net_addr addr = {.prefix = config->addresses[i], .protocol = NET_PROTO_SERVER};

        rc = net_set_add_addr(set, config->device, &addr);
    }
    return rc;
}

static int add_route(const struct config_route *route, struct net_set *set)
{
    static const enum net_route_type types[] = {
        [CONFIG_ROUTE_UNICAST] = NET_ROUTE_UNICAST,
        [CONFIG_ROUTE_UNREACHABLE] = NET_ROUTE_UNREACHABLE,
        [CONFIG_ROUTE_BLACKHOLE] = NET_ROUTE_BLACKHOLE,
    };
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < route->n_to; i++) {
        const struct net_route object = {.dst = route->to[i],
                                         .table = route->table,
                                         .metric = route->metric,
                                         .via = route->via,
                                         .protocol = NET_PROTO_SERVER,
                                         .type = types[route->type]};

        rc = net_set_add_route(set, route->device[0] ? route->device : NULL, &object);
    }
    return rc;
}

static int add_rule(const struct config_rule *rule, uint8_t family, struct net_set *set)
{
    struct net_rule object = {.family = family,
                              .priority = rule->priority,
                              .from = rule->from,
                              .to = rule->to,
                              .mark = rule->mark.value,
                              .mask = rule->mark.mask,
                              .has_uids = rule->has_uids,
                              .uid_first = rule->uids.first,
                              .uid_last = rule->uids.last,
                              .table = rule->table,
                              .has_suppress = rule->has_suppress,
                              .suppress_prefixlen = rule->suppress_prefixlen,
                              .protocol = NET_PROTO_SERVER};

    object.from.addr.family = object.to.addr.family = family;
    memcpy(object.iif, rule->iif, sizeof(object.iif));
    memcpy(object.oif, rule->oif, sizeof(object.oif));
    return net_set_add_rule(set, &object);
}

static int add_forwarding(const struct desired_support *support, struct net_set *set)
{
    int rc = support->forward4 ? net_set_add_setting(set, "ipv4/ip_forward", "1") : 0;

    if (rc == 0 && support->forward6)
        rc = net_set_add_setting(set, "ipv6/conf/all/forwarding", "1");
    return rc;
}

static int add_firewall(const struct config *config, bool fib, struct net_set *set)
{
    struct net_firewall fw = {.n = 0};
    int rc = firewall_lower(config, fib, &fw);

    if (rc == 0)
        rc = net_set_add_firewall(set, &fw);
    net_firewall_clear(&fw);
    return rc;
}

int desired_config(const struct config *config, const struct desired_support *support,
                   struct net_set *set, struct err *err)
{
    int rc = add_tunnel(config, set);

    if (rc == 0 && support->firewall)
        rc = add_firewall(config, support->fib, set);

    for (size_t i = 0; rc == 0 && i < config->n_routes; i++)
        rc = add_route(&config->routes[i], set);
    for (size_t i = 0; rc == 0 && i < config->n_rules; i++) {
        if (config->rules[i].ip4)
            rc = add_rule(&config->rules[i], 4, set);
        if (rc == 0 && config->rules[i].ip6)
            rc = add_rule(&config->rules[i], 6, set);
    }
    if (rc == 0 && config->forwarding)
        rc = add_forwarding(support, set);
    return rc < 0 ? err_set(err, rc, "the configuration cannot be laid out: %s", strerror(-rc)) : 0;
}

int desired_sessions(const struct config *config, const bool *connected, struct net_set *set,
                     struct err *err)
{
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < config->n_users; i++) {
        const struct config_user *user = &config->users[i];

        for (size_t j = 0; rc == 0 && connected[i] && j < user->n_networks; j++) {
            const struct net_route route = {.dst = user->networks[j],
                                            .table = CONFIG_TABLE_MAIN,
                                            .protocol = NET_PROTO_SERVER,
                                            .type = NET_ROUTE_UNICAST};

            rc = net_set_add_route(set, config->device, &route);
        }
    }
    return rc < 0 ? err_set(err, rc, "the networks cannot be laid out: %s", strerror(-rc)) : 0;
}

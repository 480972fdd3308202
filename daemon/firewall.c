/* What the configuration means for the packet filter; see firewall.h. */
#include "daemon/firewall.h"

#include <netinet/in.h>
#include <string.h>

#define PORT_FIRST 32768
#define PORT_LAST  65535

/* The first failure counts, and nothing is added after it. */
struct lowering {
    const struct config *config;
    struct net_firewall *out;
    int rc;
};

static void add(struct lowering *l, const struct net_fw_rule *rule)
{
    if (l->rc == 0)
        l->rc = net_firewall_add(l->out, rule);
}

/* A rule for what does not come out of the tunnel. */
static struct net_fw_rule from_elsewhere(const struct lowering *l)
{
    struct net_fw_rule rule = {.chain = NET_FW_PREROUTING, .action = NET_FW_DROP};

    memcpy(rule.not_iif, l->config->device, sizeof(rule.not_iif));
    return rule;
}

static struct ip_prefix single(const struct ip_addr *addr)
{
    return (struct ip_prefix){.addr = *addr, .len = ip_addr_bits(addr)};
}

static void guard_addresses(struct lowering *l)
{
    for (size_t i = 0; i < l->config->n_addresses; i++) {
        struct net_fw_rule own = from_elsewhere(l), spoofed = from_elsewhere(l);

        own.to = single(&l->config->addresses[i].addr);
        add(l, &own);
        spoofed.from = l->config->addresses[i];
        add(l, &spoofed);
    }
}

/*
 * What the tunnel's network and a masqueraded one have in common (prefixes are nested or apart)
 * does not come in where it is masqueraded.  The rest of the masqueraded one is none of ours: a
 * `from` of 0.0.0.0/0 must not close the interface.
 */
static void guard_masquerade(struct lowering *l, const struct config_masquerade *m)
{
    for (size_t i = 0; i < l->config->n_addresses; i++) {
        const struct ip_prefix *network = &l->config->addresses[i];
        struct net_fw_rule rule = {.chain = NET_FW_PREROUTING, .action = NET_FW_DROP};

        if (!ip_prefix_overlaps(network, &m->from) || strcmp(m->device, l->config->device) == 0)
            continue;
        rule.to = network->len > m->from.len ? *network : m->from;
        memcpy(rule.iif, m->device, sizeof(rule.iif));
        add(l, &rule);
    }
}

static void guard_forwarding(struct lowering *l)
{
    struct net_fw_rule rule = from_elsewhere(l);

    memcpy(rule.routed_to, l->config->device, sizeof(rule.routed_to));
    rule.wrong_way = true;
    add(l, &rule);
}

static bool is_any(const struct ip_addr *addr)
{
    static const uint8_t zero[sizeof(addr->bytes)];

    return memcmp(addr->bytes, zero, sizeof(zero)) == 0;
}

/*
 * A wildcard address stands for all of this host's: what is only forwarded to such a port at
 * somebody else's must be tracked, or it could not be masqueraded.
 */
static void untrack(struct lowering *l, const struct ip_endpoint *listen, bool fib)
{
    const bool any = is_any(&listen->addr);
    struct net_fw_rule in = {.chain = NET_FW_PREROUTING,
                             .to = {.addr = listen->addr},
                             .to_local = any,
                             .proto = IPPROTO_UDP,
                             .dport = listen->port,
                             .action = NET_FW_NOTRACK};
    struct net_fw_rule out = {.chain = NET_FW_OUTPUT,
                              .from = {.addr = listen->addr},
                              .proto = IPPROTO_UDP,
                              .sport = listen->port,
                              .action = NET_FW_NOTRACK};

    if (any && !fib)
        return;
    if (!any)
        in.to = out.from = single(&listen->addr);
    add(l, &in);
    add(l, &out);
}

/* Ports exist for two protocols; what has none is masqueraded by the last rule. */
static void masquerade(struct lowering *l, const struct config_masquerade *m)
{
    static const uint8_t protocols[] = {IPPROTO_TCP, IPPROTO_UDP, 0};
    struct net_fw_rule rule = {.chain = NET_FW_POSTROUTING,
                               .from = m->from,
                               .action = NET_FW_MASQUERADE};

    memcpy(rule.oif, m->device, sizeof(rule.oif));
    for (size_t i = 0; i < sizeof(protocols); i++) {
        rule.proto = protocols[i];
        rule.port_first = rule.port_last = 0;
        if (rule.proto)
            firewall_ports(l->config, &rule.port_first, &rule.port_last);
        add(l, &rule);
    }
}

int firewall_lower(const struct config *config, bool fib, struct net_firewall *out)
{
    struct lowering l = {.config = config, .out = out};

    memcpy(out->table, NET_FW_TABLE_SERVER, sizeof(NET_FW_TABLE_SERVER));
    memcpy(out->owner, NET_FW_OWNER_SERVER, sizeof(NET_FW_OWNER_SERVER));
    guard_addresses(&l);
    for (size_t i = 0; i < config->n_masquerade; i++)
        guard_masquerade(&l, &config->masquerade[i]);
    for (size_t i = 0; i < config->n_listen; i++)
        untrack(&l, &config->listen[i], fib);
    /* Behind those, which spare the tunnel's own packets the look-ups of this one. */
    if (fib)
        guard_forwarding(&l);
    for (size_t i = 0; i < config->n_masquerade; i++)
        masquerade(&l, &config->masquerade[i]);
    return l.rc;
}

void firewall_ports(const struct config *config, uint16_t *first, uint16_t *last)
{
    uint32_t best = 0, from = PORT_FIRST;

    /* From one port of ours to the next; listen ports are few and in no order. */
    while (from <= PORT_LAST) {
        uint32_t next = PORT_LAST + 1;

        for (size_t i = 0; i < config->n_listen; i++)
            if (config->listen[i].port >= from && config->listen[i].port < next)
                next = config->listen[i].port;
        if (next - from > best) {
            best = next - from;
            *first = (uint16_t)from;
            *last = (uint16_t)(next - 1);
        }
        from = next + 1;
    }
}

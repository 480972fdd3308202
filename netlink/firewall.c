/* A packet filter table of ours, as one plain value; see firewall.h. */
#include "netlink/firewall.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "netlink/object.h"

void net_firewall_clear(struct net_firewall *fw)
{
    free(fw->rules);
    fw->rules = NULL;
    fw->n = fw->size = 0;
    fw->has_more = false;
}

/* A name that fits the empty one as well. */
static bool ifname_fits(const char *name)
{
    return name[0] == '\0' || net_ifname_valid(name);
}

static bool prefix_fits(const struct ip_prefix *prefix)
{
    return prefix->addr.family == 0 ? prefix->len == 0 : prefix->len <= ip_addr_bits(&prefix->addr);
}

/* No condition of the others means anything to ARP. */
static bool rule_fits_arp(const struct net_fw_rule *r)
{
    return !r->iif[0] && !r->not_iif[0] && !r->oif[0] && !r->from.addr.family &&
           !r->to.addr.family && !r->routed_to[0] && !r->wrong_way && !r->to_local && !r->proto &&
           r->action == NET_FW_MARK && r->mark != 0;
}

static bool rule_fits_chain(const struct net_fw_rule *r)
{
    if (r->chain == NET_FW_ARP)
        return rule_fits_arp(r);
    if (r->action == NET_FW_MARK || r->mark != 0)
        return false;
    switch (r->chain) {
    case NET_FW_PREROUTING:
        return !r->oif[0] && r->action != NET_FW_MASQUERADE;
    case NET_FW_OUTPUT:
        return !r->iif[0] && !r->not_iif[0] && !r->wrong_way && !r->routed_to[0] && !r->to_local &&
               r->action != NET_FW_MASQUERADE;
    case NET_FW_POSTROUTING:
        return !r->iif[0] && !r->not_iif[0] && !r->wrong_way && !r->routed_to[0] && !r->to_local &&
               r->action == NET_FW_MASQUERADE;
    case NET_FW_ARP:
    case NET_FW_CHAIN_NUM:
        break;
    }
    return false;
}

static bool ports_fit(const struct net_fw_rule *r)
{
    if (r->proto == 0)
        return r->sport == 0 && r->dport == 0 && r->port_first == 0 && r->port_last == 0;
    if (r->proto != IPPROTO_TCP && r->proto != IPPROTO_UDP)
        return false;
    if (r->port_first == 0)
        return r->port_last == 0;
    return r->action == NET_FW_MASQUERADE && r->port_first <= r->port_last;
}

bool net_fw_rule_valid(const struct net_fw_rule *r)
{
    return ifname_fits(r->iif) && ifname_fits(r->not_iif) && ifname_fits(r->oif) &&
           ifname_fits(r->routed_to) && prefix_fits(&r->from) && prefix_fits(&r->to) &&
           (r->from.addr.family == 0 || r->to.addr.family == 0 ||
            r->from.addr.family == r->to.addr.family) &&
           rule_fits_chain(r) && ports_fit(r);
}

/* One way to say a thing: a bare family stands in `to`, and only when no prefix implies it. */
static struct net_fw_rule rule_canonical(const struct net_fw_rule *rule)
{
    struct net_fw_rule out = *rule;

    out.from = ip_prefix_network(rule->from);
    out.to = ip_prefix_network(rule->to);
    if (out.from.len > 0 && out.to.len == 0)
        out.to = (struct ip_prefix){0};
    if (out.from.len == 0 && out.to.addr.family == 0)
        out.to = out.from;
    if (out.from.len == 0)
        out.from = (struct ip_prefix){0};
    return out;
}

static int firewall_grow(struct net_firewall *fw)
{
    size_t size = fw->size ? 2 * fw->size : 16;
    struct net_fw_rule *rules;

    if (fw->n < fw->size)
        return 0;
    rules = reallocarray(fw->rules, size, sizeof(*rules));
    if (!rules)
        return -ENOMEM;
    fw->rules = rules;
    fw->size = size;
    return 0;
}

int net_firewall_add(struct net_firewall *fw, const struct net_fw_rule *rule)
{
    size_t at = fw->n;

    if (!net_fw_rule_valid(rule))
        return -EINVAL;
    if (fw->n >= NET_FW_RULES_MAX)
        return -ENOSPC;
    if (firewall_grow(fw) < 0)
        return -ENOMEM;
    while (at > 0 && fw->rules[at - 1].chain > rule->chain)
        at--;
    memmove(&fw->rules[at + 1], &fw->rules[at], (fw->n - at) * sizeof(*rule));
    fw->rules[at] = rule_canonical(rule);
    fw->n++;
    return 0;
}

int net_firewall_copy(struct net_firewall *to, const struct net_firewall *from)
{
    struct net_fw_rule *rules = NULL;

    if (from->n > 0) {
        rules = reallocarray(NULL, from->n, sizeof(*rules));
        if (!rules)
            return -ENOMEM;
        memcpy(rules, from->rules, from->n * sizeof(*rules));
    }
    *to = *from;
    to->rules = rules;
    to->size = from->n;
    return 0;
}

int net_firewall_cmp_id(const struct net_firewall *a, const struct net_firewall *b)
{
    return strcmp(a->table, b->table);
}

static bool prefix_same(const struct ip_prefix *a, const struct ip_prefix *b)
{
    return a->len == b->len && ip_addr_equal(&a->addr, &b->addr);
}

bool net_fw_rule_same(const struct net_fw_rule *a, const struct net_fw_rule *b)
{
    return a->chain == b->chain && strcmp(a->iif, b->iif) == 0 &&
           strcmp(a->not_iif, b->not_iif) == 0 && strcmp(a->oif, b->oif) == 0 &&
           prefix_same(&a->from, &b->from) && prefix_same(&a->to, &b->to) &&
           strcmp(a->routed_to, b->routed_to) == 0 && a->wrong_way == b->wrong_way &&
           a->to_local == b->to_local && a->proto == b->proto && a->sport == b->sport &&
           a->dport == b->dport && a->action == b->action && a->port_first == b->port_first &&
           a->port_last == b->port_last && a->mark == b->mark;
}

size_t net_firewall_others(const struct net_firewall *fw)
{
    size_t n = fw->n;

    while (n > 0 && fw->rules[n - 1].chain == NET_FW_ARP)
        n--;
    return n;
}

bool net_firewall_same(const struct net_firewall *a, const struct net_firewall *b)
{
    const bool taken = a->arp_taken || b->arp_taken;
    const size_t n = taken ? net_firewall_others(a) : a->n;

    if (a->has_more || b->has_more || n != (taken ? net_firewall_others(b) : b->n) ||
        strcmp(a->table, b->table) != 0)
        return false;
    if (n > 0 && strcmp(a->owner, b->owner) != 0)
        return false;
    for (size_t i = 0; i < n; i++)
        if (!net_fw_rule_same(&a->rules[i], &b->rules[i]))
            return false;
    return true;
}

/* How many of the first @n rules are equal to @rule. */
static size_t count_same(const struct net_firewall *fw, size_t n, const struct net_fw_rule *rule)
{
    size_t same = 0;

    for (size_t i = 0; fw && i < n && i < fw->n; i++)
        same += net_fw_rule_same(&fw->rules[i], rule);
    return same;
}

/* The rules of @a that have no partner in @b: of equal ones the last. */
static void each_without(const struct net_firewall *a, const struct net_firewall *b, char sign,
                         net_fw_each *each, void *ctx)
{
    for (size_t i = 0; a && i < a->n; i++) {
        const struct net_fw_rule *rule = &a->rules[i];

        if (count_same(a, i, rule) >= count_same(b, SIZE_MAX, rule))
            each(ctx, sign, rule);
    }
}

void net_firewall_diff(const struct net_firewall *want, const struct net_firewall *have,
                       net_fw_each *each, void *ctx)
{
    each_without(have, want, '-', each, ctx);
    each_without(want, have, '+', each, ctx);
}

const char *net_fw_chain_name(enum net_fw_chain chain)
{
    static const char *const names[NET_FW_CHAIN_NUM] = {
        [NET_FW_PREROUTING] = "prerouting",
        [NET_FW_OUTPUT] = "output",
        [NET_FW_POSTROUTING] = "postrouting",
        [NET_FW_ARP] = "input",
    };

    return (unsigned int)chain < NET_FW_CHAIN_NUM ? names[chain] : "?";
}

/* ---- as text --------------------------------------------------------------------------------- */

struct text {
    char *buf;
    size_t len;
};

static void text_add(struct text *t, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

static void text_add(struct text *t, const char *fmt, ...)
{
    size_t left = NET_FW_FORMAT_SIZE - t->len;
    va_list args;
    int n;

    va_start(args, fmt);
    n = vsnprintf(t->buf + t->len, left, fmt, args);
    va_end(args);
    if (n > 0)
        t->len += (size_t)n < left ? (size_t)n : left - 1;
}

static void text_prefix(struct text *t, const char *what, const struct ip_prefix *prefix)
{
    const char *ip = prefix->addr.family == 6 ? "ip6" : "ip";
    char buf[IP_PREFIX_STRLEN];

    if (prefix->addr.family == 0 || prefix->len == 0)
        return;
    if (prefix->len == ip_addr_bits(&prefix->addr))
        text_add(t, "%s %s %s ", ip, what, ip_addr_format(&prefix->addr, buf));
    else
        text_add(t, "%s %s %s ", ip, what, ip_prefix_format(prefix, buf));
}

/* The family has to be named when no prefix implies it. */
static void text_addresses(struct text *t, const struct net_fw_rule *r)
{
    if (r->to.addr.family && r->to.len == 0 && r->from.len == 0)
        text_add(t, "meta nfproto %s ", r->to.addr.family == 6 ? "ipv6" : "ipv4");
    text_prefix(t, "saddr", &r->from);
    text_prefix(t, "daddr", &r->to);
}

static void text_protocol(struct text *t, const struct net_fw_rule *r)
{
    const char *name = r->proto == IPPROTO_TCP ? "tcp" : "udp";

    if (r->proto == 0)
        return;
    if (r->sport == 0 && r->dport == 0)
        text_add(t, "meta l4proto %s ", name);
    if (r->sport)
        text_add(t, "%s sport %u ", name, r->sport);
    if (r->dport)
        text_add(t, "%s dport %u ", name, r->dport);
}

static void text_action(struct text *t, const struct net_fw_rule *r)
{
    switch (r->action) {
    case NET_FW_DROP:
        text_add(t, "drop");
        break;
    case NET_FW_NOTRACK:
        text_add(t, "notrack accept");
        break;
    case NET_FW_MASQUERADE:
        text_add(t, "masquerade");
        if (r->port_first)
            text_add(t, " to :%u-%u", r->port_first, r->port_last);
        break;
    case NET_FW_MARK:
        text_add(t, "meta mark set 0x%08x", r->mark);
        break;
    }
}

const char *net_fw_rule_format(const struct net_fw_rule *r, char *buf)
{
    struct text t = {.buf = buf};

    buf[0] = '\0';
    text_addresses(&t, r);
    if (r->iif[0])
        text_add(&t, "iifname \"%s\" ", r->iif);
    if (r->not_iif[0])
        text_add(&t, "iifname != \"%s\" iifname != \"lo\" ", r->not_iif);
    if (r->oif[0])
        text_add(&t, "oifname \"%s\" ", r->oif);
    text_protocol(&t, r);
    if (r->routed_to[0])
        text_add(&t, "fib daddr oifname \"%s\" ", r->routed_to);
    if (r->wrong_way)
        text_add(&t, "fib saddr . iif oif missing ");
    if (r->to_local)
        text_add(&t, "fib daddr type local ");
    text_action(&t, r);
    return buf;
}

const char *net_firewall_family(const struct net_firewall *fw)
{
    return fw->n > 0 && net_firewall_others(fw) == 0 ? "arp" : "inet";
}

const char *net_firewall_format(const struct net_firewall *fw, char *buf)
{
    snprintf(buf, NET_FW_FORMAT_SIZE, "table %s %s (%zu rule%s%s)", net_firewall_family(fw),
             fw->table, fw->n, fw->n == 1 ? "" : "s", fw->has_more ? " and more" : "");
    return buf;
}

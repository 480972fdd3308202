/* Kernel objects as plain structs: validity, identity, attributes and their text. */
#include "netlink/object.h"

#include <netinet/in.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* Three-way comparison of two integers, without the overflow of a subtraction. */
#define CMP(a, b) (((a) > (b)) - ((a) < (b)))

bool net_ifname_valid(const char *name)
{
    size_t len = strnlen(name, IFNAMSIZ);

    if (len == 0 || len == IFNAMSIZ || strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
        return false;
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)name[i];

        /* 0xa0 is the no-break space of Latin-1, white space to the kernel. */
        if (c <= ' ' || c == 0x7f || c == 0xa0 || c == '/' || c == ':' || c == '%')
            return false;
    }
    return true;
}

/* Order by address, then length; a prefix of length 0 is "any", whatever its address says. */
static int prefix_cmp(const struct ip_prefix *a, const struct ip_prefix *b)
{
    if (a->len == 0 || b->len == 0)
        return CMP(a->len, b->len);
    if (ip_addr_cmp(&a->addr, &b->addr) != 0)
        return ip_addr_cmp(&a->addr, &b->addr);
    return CMP(a->len, b->len);
}

int net_link_cmp_id(const struct net_link *a, const struct net_link *b)
{
    return strcmp(a->name, b->name);
}

unsigned int net_link_diff(const struct net_link *want, const struct net_link *have)
{
    unsigned int diff = 0;

    if (want->mtu != 0 && want->mtu != have->mtu)
        diff |= NET_LINK_MTU;
    if (strcmp(want->alias, have->alias) != 0)
        diff |= NET_LINK_ALIAS;
    if (want->ip6ll != NET_IP6LL_ABSENT && have->ip6ll != NET_IP6LL_ABSENT &&
        want->ip6ll != have->ip6ll)
        diff |= NET_LINK_IP6LL;
    if (want->up != have->up)
        diff |= NET_LINK_UP;
    return diff;
}

int net_addr_cmp_id(const struct net_addr *a, const struct net_addr *b)
{
    int order = CMP(a->ifindex, b->ifindex);

    if (order == 0)
        order = ip_addr_cmp(&a->prefix.addr, &b->prefix.addr);
    if (order == 0 && a->prefix.addr.family == 4)
        order = CMP(a->prefix.len, b->prefix.len);
    return order;
}

bool net_addr_same(const struct net_addr *a, const struct net_addr *b)
{
    return a->prefix.len == b->prefix.len && a->protocol == b->protocol &&
           a->no_prefix_route == b->no_prefix_route && a->has_peer == b->has_peer;
}

uint32_t net_route_metric(const struct net_route *route)
{
    if (route->dst.addr.family == 6 && route->metric == 0)
        return NET_ROUTE_METRIC_IP6;
    return route->metric;
}

int net_route_cmp_id(const struct net_route *a, const struct net_route *b)
{
    int order = CMP(a->table, b->table);

    if (order == 0)
        order = CMP(a->dst.addr.family, b->dst.addr.family);
    if (order == 0)
        order = prefix_cmp(&a->dst, &b->dst);
    if (order == 0)
        order = CMP(net_route_metric(a), net_route_metric(b));
    return order;
}

bool net_route_same(const struct net_route *want, const struct net_route *have)
{
    bool any_device = want->via.family && want->ifindex == 0;

    return want->type == have->type && (any_device || want->ifindex == have->ifindex) &&
           ip_addr_equal(&want->via, &have->via) && ip_addr_equal(&want->src, &have->src) &&
           want->protocol == have->protocol && want->has_more == have->has_more;
}

static int rule_cmp_selectors(const struct net_rule *a, const struct net_rule *b)
{
    int order = prefix_cmp(&a->from, &b->from);

    if (order == 0)
        order = prefix_cmp(&a->to, &b->to);
    if (order == 0)
        order = strcmp(a->iif, b->iif);
    if (order == 0)
        order = strcmp(a->oif, b->oif);
    if (order == 0)
        order = CMP(a->mask, b->mask);
    if (order == 0 && a->mask != 0)
        order = CMP(a->mark, b->mark);
    if (order == 0)
        order = CMP(a->has_uids, b->has_uids);
    if (order == 0 && a->has_uids)
        order = CMP(a->uid_first, b->uid_first);
    if (order == 0 && a->has_uids)
        order = CMP(a->uid_last, b->uid_last);
    if (order == 0)
        order = CMP(a->ip_proto, b->ip_proto);
    if (order == 0)
        order = CMP(a->sport, b->sport);
    if (order == 0)
        order = CMP(a->dport, b->dport);
    if (order == 0)
        order = CMP(a->invert, b->invert);
    return order;
}

int net_rule_cmp_id(const struct net_rule *a, const struct net_rule *b)
{
    int order = CMP(a->family, b->family);

    if (order == 0)
        order = CMP(a->priority, b->priority);
    if (order == 0)
        order = CMP(a->table, b->table);
    if (order == 0)
        order = rule_cmp_selectors(a, b);
    if (order == 0)
        order = CMP(a->has_suppress, b->has_suppress);
    if (order == 0 && a->has_suppress)
        order = CMP(a->suppress_prefixlen, b->suppress_prefixlen);
    if (order == 0)
        order = CMP(a->protocol, b->protocol);
    if (order == 0)
        order = CMP(a->has_more, b->has_more);
    return order;
}

bool net_rule_hits(const struct net_rule *want, const struct net_rule *have)
{
    if (want->family != have->family || want->priority != have->priority ||
        want->table != have->table || want->protocol != have->protocol)
        return false;
    if (want->from.len > 0 && prefix_cmp(&want->from, &have->from) != 0)
        return false;
    if (want->to.len > 0 && prefix_cmp(&want->to, &have->to) != 0)
        return false;
    if (want->iif[0] && strcmp(want->iif, have->iif) != 0)
        return false;
    if (want->oif[0] && strcmp(want->oif, have->oif) != 0)
        return false;
    /* The kernel compares mark and mask apart and passes over a zero in either. */
    if (want->mask != 0 && (want->mask != have->mask || (want->mark && want->mark != have->mark)))
        return false;
    if (want->has_uids &&
        (!have->has_uids || want->uid_first != have->uid_first || want->uid_last != have->uid_last))
        return false;
    if ((want->ip_proto && want->ip_proto != have->ip_proto) ||
        (want->sport && want->sport != have->sport) || (want->dport && want->dport != have->dport))
        return false;
    if (want->has_suppress &&
        (!have->has_suppress || want->suppress_prefixlen != have->suppress_prefixlen))
        return false;
    return true;
}

/* Append to a buffer of NET_FORMAT_SIZE bytes; what does not fit is cut. */
__attribute__((format(printf, 2, 3))) static void append(char *buf, const char *fmt, ...)
{
    size_t used = strlen(buf);
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(buf + used, NET_FORMAT_SIZE - used, fmt, ap);
    va_end(ap);
}

static void append_dev(char *buf, const char *dev, uint32_t ifindex)
{
    if (dev)
        append(buf, " dev %s", dev);
    else
        append(buf, " dev #%u", ifindex);
}

const char *net_link_format(const struct net_link *link, char *buf)
{
    buf[0] = '\0';
    append(buf, "%s", link->name);
    if (link->kind[0])
        append(buf, " type %s", link->kind);
    if (link->mtu)
        append(buf, " mtu %u", link->mtu);
    append(buf, " %s", link->up ? "up" : "down");
    if (link->ip6ll == NET_IP6LL_NONE)
        append(buf, " addrgenmode none");
    if (link->alias[0])
        append(buf, " alias %s", link->alias);
    return buf;
}

const char *net_addr_format(const struct net_addr *addr, const char *dev, char *buf)
{
    char prefix[IP_PREFIX_STRLEN];

    buf[0] = '\0';
    append(buf, "%s", ip_prefix_format(&addr->prefix, prefix));
    append_dev(buf, dev, addr->ifindex);
    return buf;
}

const char *net_route_format(const struct net_route *route, const char *dev, char *buf)
{
    static const char *const words[] = {
        [NET_ROUTE_UNICAST] = "",
        [NET_ROUTE_UNREACHABLE] = "unreachable ",
        [NET_ROUTE_BLACKHOLE] = "blackhole ",
        [NET_ROUTE_PROHIBIT] = "prohibit ",
        [NET_ROUTE_OTHER] = "special ",
    };
    char prefix[IP_PREFIX_STRLEN], addr[IP_ADDR_STRLEN];

    buf[0] = '\0';
    append(buf, "%s%s", words[route->type],
           route->dst.len > 0 ? ip_prefix_format(&route->dst, prefix)
                              : (route->dst.addr.family == 6 ? "default (IPv6)" : "default"));
    if (route->via.family)
        append(buf, " via %s", ip_addr_format(&route->via, addr));
    if (route->ifindex || dev)
        append_dev(buf, dev, route->ifindex);
    if (route->src.family)
        append(buf, " src %s", ip_addr_format(&route->src, addr));
    if (route->table != NET_TABLE_MAIN)
        append(buf, " table %u", route->table);
    if (net_route_metric(route))
        append(buf, " metric %u", net_route_metric(route));
    append(buf, " proto %u", route->protocol);
    return buf;
}

const char *net_rule_format(const struct net_rule *rule, char *buf)
{
    char prefix[IP_PREFIX_STRLEN];

    buf[0] = '\0';
    append(buf, "%u:%s%s from %s", rule->priority, rule->family == 6 ? " (IPv6)" : "",
           rule->invert ? " not" : "",
           rule->from.len > 0 ? ip_prefix_format(&rule->from, prefix) : "all");
    if (rule->to.len > 0)
        append(buf, " to %s", ip_prefix_format(&rule->to, prefix));
    if (rule->mask == UINT32_MAX)
        append(buf, " fwmark 0x%x", rule->mark);
    else if (rule->mask)
        append(buf, " fwmark 0x%x/0x%x", rule->mark, rule->mask);
    if (rule->iif[0])
        append(buf, " iif %s", rule->iif);
    if (rule->oif[0])
        append(buf, " oif %s", rule->oif);
    if (rule->has_uids)
        append(buf, " uidrange %u-%u", rule->uid_first, rule->uid_last);
    if (rule->ip_proto == IPPROTO_UDP || rule->ip_proto == IPPROTO_TCP)
        append(buf, " ipproto %s", rule->ip_proto == IPPROTO_UDP ? "udp" : "tcp");
    else if (rule->ip_proto)
        append(buf, " ipproto %u", rule->ip_proto);
    if (rule->sport)
        append(buf, " sport %u", rule->sport);
    if (rule->dport)
        append(buf, " dport %u", rule->dport);
    if (rule->table == NET_TABLE_MAIN)
        append(buf, " lookup main");
    else
        append(buf, " lookup %u", rule->table);
    if (rule->has_suppress)
        append(buf, " suppress_prefixlength %u", rule->suppress_prefixlen);
    append(buf, " proto %u", rule->protocol);
    return buf;
}

/*
 * client/routing: what a tunnel's rules and routes do to packets, decided as the kernel would.
 *
 * A small model of the kernel's lookup walks the rules of a set in order, finds the longest prefix
 * with the smallest metric in the table, and knows suppress_prefixlength, marks, uids and ports.
 * The main table is an attacker's to fill.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/routing.h"
#include "client/trust.h"
#include "common/cleanup.h"

#define UNREACHABLE "unreachable"
#define OUTSIDE     "eth0"
#define EVIL        "evil0"
#define UDP         17

static struct ip_prefix prefix(const char *text)
{
    struct ip_prefix p;

    if (ip_prefix_parse(text, &p) < 0)
        fail_msg("%s", text);
    return p;
}

static struct ip_endpoint endpoint(const char *addr, uint16_t port)
{
    return (struct ip_endpoint){.addr = prefix(addr).addr, .port = port};
}

/* ---- the model ----------------------------------------------------------------------------- */

struct packet {
    struct ip_addr to;
    const char *iif; /* NULL: this host sends it, or looks back at one that is for it */
    uint32_t mark, uid;
    uint8_t ip_proto;
    uint16_t sport, dport;
};

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

static const struct net_object *table_find(const struct net_set *set, uint32_t table,
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

/* Else rules with ports match nothing that arrives, and so no look back either. */
static bool looks_for_ports(const struct net_set *set)
{
    for (size_t i = 0; i < net_set_count(set); i++) {
        const struct net_object *o = net_set_at(set, i);

        if (o->kind == NET_KIND_RULE && o->rule.ip_proto && strcmp(o->rule.iif, "lo") != 0)
            return true;
    }
    return false;
}

/* Where @p leaves: a device, UNREACHABLE, or NULL when no table knows. */
static const char *fate(const struct net_set *set, const struct packet *p)
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

static void main_route(struct net_set *set, const char *dst, const char *dev)
{
    const struct net_route route = {.dst = prefix(dst),
                                    .table = NET_TABLE_MAIN,
                                    .protocol = 3 /* boot */};

    assert_int_equal(net_set_add_route(set, dev, &route), 0);
}

/* A host with a network of its own and a way out. */
static struct net_set *host(void)
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

static void lower(const struct routing *r, struct net_set *set)
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

static void expect(const struct net_set *set, struct packet p, const char *to, const char *where)
{
    const char *got;

    p.to = prefix(to).addr;
    got = fate(set, &p);
    if (strcmp(got ? got : "nowhere", where) != 0)
        fail_msg("to %s (mark %x, uid %u) leaves by %s, not by %s", to, p.mark, p.uid,
                 got ? got : "nowhere", where);
}

static const struct packet plain = {.uid = 1000};
static const struct packet marked = {.uid = 900, .mark = ROUTING_MARK};

static struct routing routing(const struct ip_prefix *routes, size_t n)
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

static size_t count(const struct net_set *set, enum net_kind kind, uint8_t protocol)
{
    size_t n = 0;

    for (size_t i = 0; i < net_set_count(set); i++) {
        const struct net_object *o = net_set_at(set, i);

        n += o->kind == kind &&
             (kind == NET_KIND_RULE ? o->rule.protocol : o->route.protocol) == protocol;
    }
    return n;
}

/* ---- ordinary tunnels ------------------------------------------------------------------------ */

static void test_ordinary(void **state)
{
    const struct ip_prefix routes[] = {prefix("192.168.100.0/24"), prefix("fd08::/64"),
                                       prefix("192.0.0.0/8")};
    struct routing r = routing(routes, 3);
    struct net_set *set = host();

    (void)state;
    lower(&r, set);
    assert_false(routing_catches(&r, 4) || routing_catches(&r, 6));
    assert_int_equal(count(set, NET_KIND_RULE, NET_PROTO_CLIENT), 0);
    assert_int_equal(count(set, NET_KIND_ROUTE, NET_PROTO_CLIENT), 3);
    expect(set, plain, "192.168.100.7", "tun3");
    expect(set, plain, "fd08::7", "tun3");
    expect(set, plain, "198.51.100.1", OUTSIDE);
    /* In one table the longer prefix wins: the local network stays local. */
    expect(set, plain, "192.0.2.9", OUTSIDE);
    expect(set, plain, "192.1.2.9", "tun3");
    net_set_free(set);

    /* Nothing before the first lease, nothing of a family without an address. */
    r.up = false;
    set = host();
    lower(&r, set);
    assert_int_equal(count(set, NET_KIND_ROUTE, NET_PROTO_CLIENT), 0);
    net_set_free(set);
    r.up = true;
    r.ip6 = false;
    set = host();
    lower(&r, set);
    assert_int_equal(count(set, NET_KIND_ROUTE, NET_PROTO_CLIENT), 2);
    net_set_free(set);
}

/* A route that covers the server goes where the tunnel's own datagrams do not look. */
static void test_covers_server(void **state)
{
    const struct ip_prefix routes[] = {prefix("203.0.113.0/24"), prefix("203.0.0.0/16"),
                                       prefix("192.168.0.0/16"), prefix("2001:db8::/32")};
    struct routing r = routing(routes, 4);
    struct net_set *set = host();

    (void)state;
    main_route(set, "203.0.113.64/26", OUTSIDE);
    lower(&r, set);
    assert_true(routing_catches(&r, 4) && !routing_catches(&r, 6));
    expect(set, marked, "203.0.113.5", OUTSIDE);
    expect(set, plain, "203.0.113.5", "tun3");
    expect(set, plain, "203.0.9.9", "tun3");
    expect(set, plain, "203.0.113.65", OUTSIDE);
    expect(set, plain, "192.168.1.1", OUTSIDE);
    expect(set, plain, "192.168.2.1", "tun3");
    net_set_free(set);

    /* The server has moved to IPv6. */
    r.server = endpoint("2001:db8::5", 51820);
    set = host();
    lower(&r, set);
    expect(set, marked, "2001:db8::5", OUTSIDE);
    expect(set, plain, "2001:db8::5", "tun3");
    expect(set, plain, "2001:db8:1::5", OUTSIDE);
    expect(set, plain, "203.0.113.5", "tun3");
    /* Over IPv6 nothing has to find back. */
    assert_true(!routing_catches(&r, 4) && routing_catches(&r, 6));
    assert_int_equal(count(set, NET_KIND_RULE, NET_PROTO_CLIENT), 2);
    net_set_free(set);
}

/* ---- the full tunnel ------------------------------------------------------------------------- */

static const char *const anywhere[] = {"198.51.100.1", "192.0.2.9", "192.168.1.7",
                                       "203.0.113.5",  "8.8.8.8",   "2001:db8:1::9",
                                       "2001:db8:2::", "2600::1",   "fd00::1"};

static void test_full(void **state)
{
    const struct ip_prefix routes[] = {prefix("0.0.0.0/0"), prefix("::/0"), prefix("10.9.0.0/16")};
    struct routing r = routing(routes, 3);
    struct net_set *set = host();

    (void)state;
    /* DHCP option 121, router advertisements, and a local network of public addresses. */
    main_route(set, "0.0.0.0/1", EVIL);
    main_route(set, "128.0.0.0/1", EVIL);
    main_route(set, "10.9.1.0/24", EVIL);
    main_route(set, "8.8.8.0/24", EVIL);
    main_route(set, "203.0.113.5/32", EVIL);
    main_route(set, "2000::/3", EVIL);
    lower(&r, set);
    for (size_t i = 0; i < sizeof(anywhere) / sizeof(anywhere[0]); i++)
        expect(set, plain, anywhere[i], "tun3");
    expect(set, plain, "10.9.1.1", "tun3");
    /* The server's address is no way out, only our sockets are; main decides where they go. */
    expect(set, plain, "203.0.113.5", "tun3");
    expect(set, marked, "203.0.113.5", EVIL);
    net_set_free(set);

    /* Without an address of a family that was asked for, that family leads nowhere. */
    r.ip6 = false;
    set = host();
    lower(&r, set);
    expect(set, plain, "2600::1", UNREACHABLE);
    expect(set, plain, "8.8.8.8", "tun3");
    net_set_free(set);

    /* Down and not asked to block: as if it were not there. */
    r.up = false;
    set = host();
    lower(&r, set);
    expect(set, plain, "8.8.8.8", OUTSIDE);
    assert_int_equal(count(set, NET_KIND_RULE, NET_PROTO_CLIENT), 0);
    net_set_free(set);
}

/* Two halves are as good as a whole. */
static void test_halves(void **state)
{
    const struct ip_prefix routes[] = {prefix("0.0.0.0/1"), prefix("128.0.0.0/1")};
    const struct ip_prefix half[] = {prefix("0.0.0.0/1"), prefix("0.0.0.0/1")};
    struct routing r = routing(routes, 2);
    struct net_set *set = host();

    (void)state;
    assert_true(routing_is_full(&r, 4));
    assert_false(routing_is_full(&r, 6));
    r.allow_lan = true;
    main_route(set, "8.8.8.0/24", EVIL);
    lower(&r, set);
    expect(set, plain, "8.8.8.8", "tun3");
    expect(set, plain, "200.8.8.8", "tun3");
    expect(set, plain, "192.168.1.7", OUTSIDE);
    expect(set, plain, "2600::1", OUTSIDE);
    net_set_free(set);
    r.routes = half;
    assert_false(routing_is_full(&r, 4));
}

static void test_block(void **state)
{
    const struct ip_prefix routes[] = {prefix("0.0.0.0/0"), prefix("::/0")};
    const struct ip_prefix some[] = {prefix("10.0.0.0/8"), prefix("203.0.113.0/24")};
    struct routing r = routing(routes, 2);
    struct net_set *set = host();

    (void)state;
    r.block = true;
    r.up = false;
    r.server = (struct ip_endpoint){0}; /* its name is yet to be looked up */
    lower(&r, set);
    for (size_t i = 0; i < sizeof(anywhere) / sizeof(anywhere[0]); i++)
        expect(set, plain, anywhere[i], UNREACHABLE);
    expect(set, marked, "203.0.113.5", OUTSIDE);
    net_set_free(set);

    /* A tunnel to some networks blocks those, whatever main knows about them. */
    r.routes = some;
    set = host();
    main_route(set, "10.1.0.0/16", EVIL);
    lower(&r, set);
    expect(set, plain, "10.1.2.3", UNREACHABLE);
    expect(set, plain, "203.0.113.5", UNREACHABLE);
    expect(set, marked, "203.0.113.5", OUTSIDE);
    expect(set, plain, "8.8.8.8", OUTSIDE);
    expect(set, plain, "2600::1", OUTSIDE);
    net_set_free(set);
    r.up = true;
    set = host();
    main_route(set, "10.1.0.0/16", EVIL);
    lower(&r, set);
    expect(set, plain, "10.1.2.3", "tun3");
    expect(set, plain, "8.8.8.8", OUTSIDE);
    net_set_free(set);
}

static void test_exceptions(void **state)
{
    const struct ip_prefix routes[] = {prefix("0.0.0.0/0"), prefix("::/0"),
                                       prefix("192.168.100.0/24")};
    const struct ip_prefix exclude[] = {prefix("198.51.100.0/24"), prefix("2001:db8:5::/48")};
    const struct ip_prefix behind[] = {prefix("192.168.50.0/24")};
    struct routing r = routing(routes, 3);
    struct net_set *set = host();

    (void)state;
    r.allow_lan = true;
    r.exclude = exclude;
    r.n_exclude = 2;
    /* An attacker calls his network by public addresses, and by those behind the server. */
    main_route(set, "8.8.8.0/24", EVIL);
    main_route(set, "192.168.100.0/24", EVIL);
    main_route(set, "192.168.100.0/25", EVIL);
    lower(&r, set);
    expect(set, plain, "8.8.8.8", "tun3");
    expect(set, plain, "192.168.100.1", "tun3");
    expect(set, plain, "192.168.1.7", OUTSIDE);
    /* Private, but not here: the tunnel's. */
    expect(set, plain, "192.168.2.7", "tun3");
    expect(set, plain, "10.0.0.1", "tun3");
    expect(set, plain, "198.51.100.1", OUTSIDE);
    expect(set, plain, "2001:db8:5::1", OUTSIDE);
    expect(set, plain, "2001:db8:1::1", "tun3");
    net_set_free(set);

    /* What lies behind this host: the answers that come out of the tunnel are forwarded there. */
    r.networks = behind;
    r.n_networks = 1;
    r.allow_lan = false;
    set = host();
    main_route(set, "192.168.50.0/24", "eth1");
    lower(&r, set);
    expect(set, (struct packet){.ip_proto = UDP}, "192.168.50.7", "eth1");
    net_set_free(set);

    r.allow_lan = true;
    r.up = false;
    r.block = true;
    set = host();
    lower(&r, set);
    expect(set, plain, "192.168.1.7", OUTSIDE);
    expect(set, plain, "198.51.100.1", OUTSIDE);
    expect(set, plain, "192.168.100.1", UNREACHABLE);
    expect(set, plain, "8.8.8.8", UNREACHABLE);
    net_set_free(set);
}

/* A kernel without IPv6 is asked for nothing of it. */
static void test_no_ip6(void **state)
{
    const struct ip_prefix routes[] = {prefix("0.0.0.0/0"), prefix("::/0")};
    struct routing r = routing(routes, 2);

    (void)state;
    r.no_ip6 = true;
    r.ip6 = false;
    for (unsigned int i = 0; i < 2; i++) {
        struct net_set *set = net_set_new();

        r.has_uids = i == 1;
        r.uids = (struct value_span){1101, 1101};
        lower(&r, set);
        assert_true(net_set_count(set) > 0);
        for (size_t j = 0; j < net_set_count(set); j++) {
            const struct net_object *o = net_set_at(set, j);

            assert_int_equal(o->kind == NET_KIND_RULE ? o->rule.family : o->route.dst.addr.family,
                             4);
        }
        net_set_free(set);
    }
}

/* What rp_filter looks up: from us to whoever sent the packet, as uid 0 and without a mark. */
static void test_way_back(void **state)
{
    const struct ip_prefix routes[] = {prefix("0.0.0.0/0")};
    struct routing r = routing(routes, 1);
    struct packet back = {.ip_proto = UDP, .sport = 40000, .dport = 51820};
    struct net_set *set = host();

    (void)state;
    lower(&r, set);
    assert_true(looks_for_ports(set));
    expect(set, back, "203.0.113.5", OUTSIDE);
    expect(set, back, "203.0.113.6", "tun3");
    back.dport = 443;
    expect(set, back, "203.0.113.5", "tun3");
    back.dport = 51820;
    back.uid = 1000;
    expect(set, back, "203.0.113.5", "tun3");
    back = (struct packet){.ip_proto = UDP, .sport = 20053, .dport = 53};
    expect(set, back, "9.9.9.9", OUTSIDE);
    back.sport = 20054;
    expect(set, back, "9.9.9.9", "tun3");
    back = (struct packet){.ip_proto = UDP, .sport = 68, .dport = 67};
    expect(set, back, "192.0.2.1", OUTSIDE);

    /* Nothing but DHCP for what is forwarded, which is of uid 0 as well. */
    back = (struct packet){.ip_proto = UDP, .sport = 40000, .dport = 51820, .iif = "eth1"};
    expect(set, back, "203.0.113.5", "tun3");
    back = (struct packet){.ip_proto = UDP, .sport = 20053, .dport = 53, .iif = "eth1"};
    expect(set, back, "9.9.9.9", "tun3");

    /* An ARP request has no protocol and no port, and no more has much of what root sends. */
    expect(set, (struct packet){0}, "192.0.2.1", "tun3");
    expect(set, (struct packet){.mark = ROUTING_MARK}, "192.0.2.1", OUTSIDE);
    net_set_free(set);

    /* It follows the server. */
    r.server = endpoint("198.51.100.9", 4000);
    set = host();
    lower(&r, set);
    back = (struct packet){.ip_proto = UDP, .sport = 40000, .dport = 4000};
    expect(set, back, "198.51.100.9", OUTSIDE);
    expect(set, back, "203.0.113.5", "tun3");
    net_set_free(set);
}

/* ---- uids and tables ------------------------------------------------------------------------- */

static void test_uids(void **state)
{
    const struct ip_prefix routes[] = {prefix("0.0.0.0/0"), prefix("::/0")};
    const struct packet user = {.uid = 1101}, other = {.uid = 1102};
    struct routing r = routing(routes, 2);
    struct net_set *set = host();
    char buf[NET_FORMAT_SIZE];
    const struct net_object *last;

    (void)state;
    r.table = 101;
    r.has_uids = true;
    r.uids = (struct value_span){1101, 1101};
    lower(&r, set);
    assert_false(routing_catches(&r, 4) || routing_catches(&r, 6));
    last = net_set_at(set, net_set_count(set) - 2);
    assert_string_equal(net_rule_format(&last->rule, buf),
                        "10101: from all uidrange 1101-1101 lookup 101 proto 87");
    expect(set, user, "8.8.8.8", "tun3");
    expect(set, user, "2600::1", "tun3");
    expect(set, other, "8.8.8.8", OUTSIDE);
    expect(set, marked, "203.0.113.5", OUTSIDE);
    net_set_free(set);

    /* Down, or with a single family: not one packet past it. */
    r.up = false;
    set = host();
    lower(&r, set);
    expect(set, user, "8.8.8.8", UNREACHABLE);
    expect(set, user, "2600::1", UNREACHABLE);
    expect(set, other, "8.8.8.8", OUTSIDE);
    net_set_free(set);

    /* Some networks only: the rest of what the user sends has no way. */
    r.up = true;
    r.ip6 = false;
    r.n_routes = 0;
    r.allow_lan = true;
    set = host();
    lower(&r, set);
    expect(set, user, "8.8.8.8", UNREACHABLE);
    expect(set, user, "192.168.1.7", OUTSIDE);
    expect(set, other, "8.8.8.8", OUTSIDE);
    net_set_free(set);
}

static void test_table(void **state)
{
    const struct ip_prefix routes[] = {prefix("0.0.0.0/0"), prefix("10.0.0.0/8")};
    struct routing r = routing(routes, 2);
    const struct ip_addr to = prefix("8.8.8.8").addr;
    struct net_set *set = host();

    (void)state;
    r.table = 200;
    lower(&r, set);
    assert_int_equal(count(set, NET_KIND_RULE, NET_PROTO_CLIENT), 0);
    expect(set, plain, "8.8.8.8", OUTSIDE);
    assert_string_equal(table_find(set, 200, &to)->dev, "tun3");
    /* Its own, and the one that ends the table. */
    assert_int_equal(count(set, NET_KIND_ROUTE, NET_PROTO_CLIENT), 3);
    net_set_free(set);
}

/* Beside a full tunnel an ordinary one is asked first. */
static void test_apart(void **state)
{
    const struct ip_prefix all[] = {prefix("0.0.0.0/0")}, some[] = {prefix("10.0.0.0/8")};
    struct routing full = routing(all, 1), r = routing(some, 1);
    struct net_set *set = host();

    (void)state;
    r.number = 5;
    r.device = "tun5";
    r.apart = true;
    assert_int_equal(routing_lower(&r, set), 0);
    lower(&full, set);
    expect(set, plain, "10.1.1.1", "tun5");
    expect(set, plain, "8.8.8.8", "tun3");
    net_set_free(set);
}

/* What a server pushes takes nothing from a tunnel that the file gives everything. */
static void test_trust(void **state)
{
    struct ip_prefix all[] = {prefix("0.0.0.0/0")};
    struct ip_prefix some[] = {prefix("10.0.0.0/8")};
    struct profile_tunnel tunnels[] = {
        {.own_network = true},
        {.routes = some, .n_routes = 1},
        {.has_uids = true, .own_network = true},
        {.table = 7, .own_network = true},
    };
    const struct profile profile = {.tunnels = tunnels, .n_tunnels = 4};
    const struct ip_prefix ours = prefix("192.168.100.0/24"), ours6 = prefix("fd08::/64"),
                           theirs = prefix("8.8.8.0/24"), half = prefix("128.0.0.0/1"),
                           quarter = prefix("64.0.0.0/2"), theirs6 = prefix("2600::/16"),
                           wide = prefix("10.0.0.0/7");

    (void)state;
    /* The only one that the servers could give everything. */
    assert_int_equal(trust_of(&profile, 0), TRUST_ALL);
    assert_true(trust_takes(TRUST_ALL, &all[0]));
    /* Two of them. */
    tunnels[1].own_network = true;
    tunnels[1].n_routes = 0;
    assert_int_equal(trust_of(&profile, 0), TRUST_NO_DEFAULT);
    assert_int_equal(trust_of(&profile, 1), TRUST_NO_DEFAULT);
    assert_false(trust_takes(TRUST_NO_DEFAULT, &all[0]) || trust_takes(TRUST_NO_DEFAULT, &half));
    assert_true(trust_takes(TRUST_NO_DEFAULT, &theirs));
    /* The file gives another everything, by a whole or by halves. */
    for (unsigned int i = 0; i < 2; i++) {
        struct ip_prefix halves[] = {prefix("0.0.0.0/1"), prefix("128.0.0.0/1")};

        tunnels[1].own_network = false;
        tunnels[1].routes = i ? halves : all;
        tunnels[1].n_routes = 1 + i;
        assert_int_equal(trust_of(&profile, 0), TRUST_PRIVATE);
        assert_int_equal(trust_of(&profile, 1), TRUST_NO_DEFAULT);
    }
    assert_true(trust_takes(TRUST_PRIVATE, &ours) && trust_takes(TRUST_PRIVATE, &ours6));
    assert_false(trust_takes(TRUST_PRIVATE, &all[0]) || trust_takes(TRUST_PRIVATE, &half) ||
                 trust_takes(TRUST_PRIVATE, &quarter) || trust_takes(TRUST_PRIVATE, &theirs) ||
                 trust_takes(TRUST_PRIVATE, &theirs6) || trust_takes(TRUST_PRIVATE, &wide));
    /* They take nothing from others, and nobody takes anything from them. */
    assert_int_equal(trust_of(&profile, 2), TRUST_ALL);
    assert_int_equal(trust_of(&profile, 3), TRUST_ALL);
    tunnels[1].has_uids = true;
    assert_int_equal(trust_of(&profile, 0), TRUST_ALL);
}

/* … nor its own networks, its gateway, its name servers, and those that the file names for it. */
static void test_kept(void **state)
{
    struct ip_prefix routes[] = {prefix("0.0.0.0/0"), prefix("::/1"), prefix("8000::/1"),
                                 prefix("172.20.0.0/16")};
    struct profile_tunnel full = {.routes = routes, .n_routes = 4};
    static const char *const taken[] = {"10.8.0.0/24",   "10.8.0.1/32",  "10.0.0.0/8",
                                        "10.8.0.128/25", "10.9.0.1/32",  "10.9.0.0/16",
                                        "10.10.0.53/32", "10.10.0.0/24", "fd08::/64",
                                        "fd00::/8",      "fd09::53/128"},
                             *const written[] = {"172.20.0.0/16", "172.16.0.0/12", "172.20.1.0/24"},
                             *const others[] = {"10.8.1.0/24", "10.10.0.54/32", "192.168.0.0/16",
                                                "fd08:0:0:1::/64", "172.21.0.0/16"};
    const struct ipc_lease lease = {
        .ip4 = {10, 8, 0, 7},
        .prefix4 = 24,
        .gateway4 = {10, 9, 0, 1},
        .dns4 = {10, 10, 0, 53},
        .ip6 = {0xfd, 8, [15] = 7},
        .prefix6 = 64,
        .dns6 = {0xfd, 9, [15] = 0x53},
    };
    struct trust_kept kept = {0};

    (void)state;
    assert_true(trust_is_full(&full));
    full.has_uids = true;
    assert_false(trust_is_full(&full));
    /* Before the first lease, what the file names. */
    assert_true(trust_keep(&full, NULL, &kept));
    for (size_t i = 0; i < ARRAY_SIZE(written); i++) {
        const struct ip_prefix p = prefix(written[i]);

        assert_true(trust_is_kept(&kept, &p));
    }
    for (unsigned int known = 0; known < 2; known++) {
        for (size_t i = 0; i < ARRAY_SIZE(taken); i++) {
            const struct ip_prefix p = prefix(taken[i]);

            assert_int_equal(trust_is_kept(&kept, &p), known);
        }
        for (size_t i = 0; i < ARRAY_SIZE(others); i++) {
            const struct ip_prefix p = prefix(others[i]);

            assert_false(trust_is_kept(&kept, &p));
        }
        /* A change is one once. */
        assert_int_equal(trust_keep(&full, &lease, &kept), known == 0);
    }
    /* A lease whose prefixes are no lengths keeps nothing of them. */
    assert_true(trust_keep(&full, &(struct ipc_lease){.ip4 = {10, 8, 0, 7}, .prefix4 = 33}, &kept));
    assert_int_equal(kept.n_lease, 0);
}

/* Priorities of a thousand tunnels stay apart and before main's rule. */
static void test_priorities(void **state)
{
    const struct ip_prefix routes[] = {prefix("203.0.113.0/24")};
    struct routing r = routing(routes, 1);

    (void)state;
    assert_true(ROUTING_PRIORITY + ROUTING_SLOTS * 1024 <= ROUTING_PRIORITY_FULL);
    assert_true(ROUTING_PRIORITY_BACK + 1 < ROUTING_PRIORITY);
    assert_true(ROUTING_UIDS_OWN + 1024 < ROUTING_PRIORITY_BACK);
    assert_true(ROUTING_PRIORITY_UIDS + ROUTING_SLOT_TABLE < ROUTING_UIDS_TABLE);
    r.number = 1023;
    for (unsigned int i = 0; i < 2; i++) {
        struct net_set *set = net_set_new();

        r.block = i == 1;
        lower(&r, set);
        for (size_t j = 0; j < net_set_count(set); j++)
            if (net_set_at(set, j)->kind == NET_KIND_RULE)
                assert_true(net_set_at(set, j)->rule.priority < ROUTING_PRIORITY_FULL);
        net_set_free(set);
    }
}

/* Whatever an attacker writes into main, and whatever the tunnel's state: nothing gets out. */
static void test_random(void **state)
{
    const struct ip_prefix routes[] = {prefix("0.0.0.0/0"), prefix("::/0"), prefix("10.0.0.0/8"),
                                       prefix("fd00::/8")};

    (void)state;
    srand(5);
    for (unsigned int round = 0; round < 2000; round++) {
        struct routing r = routing(routes, 2 + (size_t)(rand() % 3));
        struct net_set *set = host();

        r.block = true;
        r.up = rand() % 2;
        r.ip4 = rand() % 2;
        r.ip6 = rand() % 2;
        for (unsigned int i = 0; i < 8; i++) {
            char text[64];

            if (rand() % 2)
                snprintf(text, sizeof(text), "%d.%d.%d.0/%d", rand() % 224, rand() % 256,
                         rand() % 256, 1 + rand() % 32);
            else
                snprintf(text, sizeof(text), "%x:%x::/%d", 0x2000 + rand() % 0x1fff,
                         rand() % 0x10000, 1 + rand() % 128);
            main_route(set, text, EVIL);
        }
        lower(&r, set);
        for (unsigned int i = 0; i < 20; i++) {
            static const uint8_t protocols[] = {0, 1, 4, 6, 17, 47, 50, 255};
            struct packet p = {.uid = (uint32_t)rand() % 3 * 1000,
                               .iif = rand() % 2 ? "eth1" : NULL,
                               .ip_proto = protocols[rand() % 8],
                               .sport = (uint16_t)rand(),
                               .dport = (uint16_t)rand(),
                               .to.family = 4};
            const char *got;

            if (rand() % 2)
                p.to.family = 6;
            for (size_t b = 0; b < (p.to.family == 4 ? 4 : 16); b++)
                p.to.bytes[b] = (uint8_t)rand();
            got = fate(set, &p);
            assert_non_null(got);
            assert_string_not_equal(got, EVIL);
            assert_string_not_equal(got, OUTSIDE);
        }
        net_set_free(set);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ordinary),   cmocka_unit_test(test_covers_server),
        cmocka_unit_test(test_full),       cmocka_unit_test(test_halves),
        cmocka_unit_test(test_block),      cmocka_unit_test(test_exceptions),
        cmocka_unit_test(test_way_back),   cmocka_unit_test(test_uids),
        cmocka_unit_test(test_table),      cmocka_unit_test(test_apart),
        cmocka_unit_test(test_priorities), cmocka_unit_test(test_random),
        cmocka_unit_test(test_no_ip6),     cmocka_unit_test(test_trust),
        cmocka_unit_test(test_kept),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

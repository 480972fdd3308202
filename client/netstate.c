/* What a tunnel needs in the kernel; see netstate.h. */
#include "client/netstate.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "netlink/addr.h"
#include "netlink/conn.h"
#include "netlink/link.h"
#include "netlink/route.h"
#include "netlink/rule.h"
#include "netlink/sysctl.h"

/* The first refusal is what the operator reads; the rest is tried nevertheless. */
struct outcome {
    int rc;
    struct err *err;
};

static void note(struct outcome *o, int rc, const struct err *err)
{
    if (rc == 0 || o->rc < 0)
        return;
    o->rc = rc;
    if (o->err)
        *o->err = *err;
}

/* ---- collecting: a dump's objects are changed after the dump ------------------------------- */

struct found {
    void *items;
    size_t n, size, item;
    const struct netstate *want; /* NULL: everything of ours */
};

static int found_add(struct found *f, const void *object)
{
    if (f->n == f->size) {
        size_t size = f->size ? 2 * f->size : 64;
        void *items = realloc(f->items, size * f->item);

        if (!items)
            return -ENOMEM;
        f->items = items;
        f->size = size;
    }
    memcpy((char *)f->items + f->n++ * f->item, object, f->item);
    return 0;
}

static void found_clear(struct found *f)
{
    free(f->items);
}

static bool route_wanted(const struct netstate *want, const struct net_route *have)
{
    for (size_t i = 0; i < want->routing.n_routes; i++) {
        const struct net_route route = routing_route(&want->routing, i);

        if (routing_applies(&want->routing, i) && net_route_cmp_id(&route, have) == 0)
            return true;
    }
    return false;
}

static int collect_route(const struct net_route *route, void *ctx)
{
    struct found *f = ctx;

    if (f->want && (route->ifindex != f->want->routing.ifindex || route_wanted(f->want, route)))
        return 0;
    return found_add(f, route);
}

static bool rule_wanted(const struct netstate *want, const struct net_rule *have)
{
    struct net_rule rules[ROUTING_RULES_MAX];
    size_t n = routing_rules(&want->routing, rules);

    for (size_t i = 0; i < n; i++)
        if (net_rule_cmp_id(&rules[i], have) == 0)
            return true;
    return false;
}

static int collect_rule(const struct net_rule *rule, void *ctx)
{
    struct found *f = ctx;

    if (rule->has_more)
        return 0;
    if (f->want) {
        const uint32_t mine = routing_priority(&f->want->routing);

        if ((rule->priority != mine && rule->priority != mine + 1) || rule_wanted(f->want, rule))
            return 0;
    }
    return found_add(f, rule);
}

static int collect_addr(const struct net_addr *addr, void *ctx)
{
    struct found *f = ctx;

    for (size_t i = 0; i < f->want->n_addrs; i++)
        if (ip_addr_equal(&addr->prefix.addr, &f->want->addrs[i].addr) &&
            addr->prefix.len == f->want->addrs[i].len)
            return 0;
    return addr->protocol == NET_PROTO_CLIENT ? found_add(f, addr) : 0;
}

/* Our routes that are not in @want (NULL: all), or all of its device when it has none. */
static void drop_routes(struct net_conn *conn, const struct netstate *want, struct outcome *o)
{
    _cleanup_(found_clear) struct found f = {.item = sizeof(struct net_route), .want = want};
    const struct net_route_filter filter = {.protocol = NET_PROTO_CLIENT};
    const struct net_route *routes;
    struct err err;

    note(o, net_route_dump(conn, &filter, collect_route, &f, &err), &err);
    routes = f.items;
    for (size_t i = 0; i < f.n; i++)
        note(o, net_route_del(conn, &routes[i], &err), &err);
}

static void drop_rules(struct net_conn *conn, const struct netstate *want, struct outcome *o)
{
    _cleanup_(found_clear) struct found f = {.item = sizeof(struct net_rule), .want = want};
    const struct net_rule *rules;
    struct err err;

    note(o, net_rule_dump(conn, 0, NET_PROTO_CLIENT, collect_rule, &f, &err), &err);
    rules = f.items;
    for (size_t i = 0; i < f.n; i++)
        note(o, net_rule_del(conn, &rules[i], &err), &err);
}

static void drop_addrs(struct net_conn *conn, const struct netstate *want, struct outcome *o)
{
    _cleanup_(found_clear) struct found f = {.item = sizeof(struct net_addr), .want = want};
    const struct net_addr *addrs;
    struct err err;

    note(o, net_addr_dump(conn, 0, want->routing.ifindex, collect_addr, &f, &err), &err);
    addrs = f.items;
    for (size_t i = 0; i < f.n; i++)
        note(o, net_addr_del(conn, &addrs[i], &err), &err);
}

/* ---- the device ------------------------------------------------------------------------------ */

int netstate_device_check(struct net_conn *conn, const char *device, struct err *err)
{
    struct net_link link;
    int rc = net_link_get(conn, device, &link, err);

    if (rc == -ENODEV)
        return 0;
    if (rc < 0)
        return rc;
    if (strcmp(link.alias, NETSTATE_ALIAS) != 0)
        return err_set(err, -EEXIST,
                       "device %s exists and is not ours: remove it (ip link del %s) or choose "
                       "another name",
                       device, device);
    return 0;
}

int netstate_device_claim(struct net_conn *conn, const char *device, uint32_t *ifindex,
                          struct err *err)
{
    struct net_link link, want = {.alias = NETSTATE_ALIAS};
    int rc = net_link_get(conn, device, &link, err);

    if (rc < 0)
        return rc;
    memcpy(want.name, link.name, sizeof(want.name));
    rc = net_link_set(conn, link.ifindex, &want, NET_LINK_ALIAS, err);
    if (rc == 0)
        *ifindex = link.ifindex;
    return rc;
}

/* No link-local address: the tunnel carries what was agreed, and nothing announces itself. */
static int apply_link(struct net_conn *conn, const struct netstate *want, struct err *err)
{
    struct net_link have, link = {.mtu = want->mtu, .ip6ll = NET_IP6LL_NONE, .up = true};
    int rc = net_link_get(conn, want->device, &have, err);

    if (rc < 0)
        return rc;
    if (have.ifindex != want->routing.ifindex)
        return err_set(err, -ENODEV, "device %s was replaced by another of that name",
                       want->device);
    memcpy(link.name, want->device, sizeof(link.name));
    memcpy(link.alias, NETSTATE_ALIAS, sizeof(NETSTATE_ALIAS));
    return net_link_set(conn, have.ifindex, &link, net_link_diff(&link, &have), err);
}

static struct net_addr address(const struct netstate *s, size_t i)
{
    return (struct net_addr){
        .ifindex = s->routing.ifindex,
        .prefix = s->addrs[i],
        .protocol = NET_PROTO_CLIENT,
        .no_prefix_route = true,
    };
}

/* Kernels before 5.18 keep no owner's mark for addresses: there, memory tells which were ours. */
static void drop_former_addrs(struct net_conn *conn, const struct netstate *want,
                              const struct netstate *former, struct outcome *o)
{
    struct err err;

    for (size_t i = 0; i < former->n_addrs; i++) {
        const struct net_addr addr = address(former, i);
        bool kept = false;

        for (size_t j = 0; j < want->n_addrs; j++)
            kept = kept || (ip_addr_equal(&former->addrs[i].addr, &want->addrs[j].addr) &&
                            former->addrs[i].len == want->addrs[j].len);
        if (!kept)
            note(o, net_addr_del(conn, &addr, &err), &err);
    }
}

/*
 * A second IPv4 address of the same network is the kernel's "secondary", and goes with the first
 * one, and with the last address all routes go: unless the secondary is promoted.  Where that
 * cannot be set, netstate_apply() mends it a moment later.
 */
static void promote_secondaries(const struct netstate *want)
{
    const struct net_sysctl key = {{"ipv4", "conf", want->device, "promote_secondaries"}};

    (void)net_sysctl_write(&key, "1", NULL);
}

static bool addrs_changed(const struct netstate *want, const struct netstate *former)
{
    for (size_t i = 0; i < former->n_addrs && i < want->n_addrs; i++)
        if (!ip_addr_equal(&former->addrs[i].addr, &want->addrs[i].addr))
            return true;
    return former->n_addrs != want->n_addrs;
}

static void put_addrs(struct net_conn *conn, const struct netstate *want, struct outcome *o)
{
    struct err err;

    for (size_t i = 0; i < want->n_addrs; i++) {
        const struct net_addr addr = address(want, i);

        note(o, net_addr_put(conn, &addr, &err), &err);
    }
}

static void put_routes(struct net_conn *conn, const struct netstate *want, struct outcome *o)
{
    struct err err;

    for (size_t i = 0; i < want->routing.n_routes; i++) {
        const struct net_route route = routing_route(&want->routing, i);

        if (routing_applies(&want->routing, i))
            note(o, net_route_put(conn, &route, &err), &err);
    }
}

/* ---- all of it ------------------------------------------------------------------------------- */

int netstate_apply(struct net_conn *conn, const struct netstate *want,
                   const struct netstate *former, struct err *err)
{
    struct outcome o = {.err = err};
    struct net_rule rules[ROUTING_RULES_MAX];
    size_t n = routing_rules(&want->routing, rules);
    struct err why;

    note(&o, apply_link(conn, want, &why), &why);
    if (o.rc < 0)
        return o.rc;
    promote_secondaries(want);
    put_addrs(conn, want, &o);
    put_routes(conn, want, &o);
    for (size_t i = 0; i < n; i++)
        note(&o, net_rule_put(conn, &rules[i], &why), &why);

    drop_rules(conn, want, &o);
    /* A default route that came or went has moved the tunnel's rules to another priority. */
    if (former && routing_priority(&former->routing) != routing_priority(&want->routing)) {
        struct netstate nothing = *former;

        nothing.routing.n_routes = 0;
        drop_rules(conn, &nothing, &o);
    }
    drop_routes(conn, want, &o);
    drop_addrs(conn, want, &o);
    if (former)
        drop_former_addrs(conn, want, former, &o);
    if (former && addrs_changed(want, former)) {
        put_addrs(conn, want, &o);
        put_routes(conn, want, &o);
    }
    return o.rc;
}

int netstate_remove(struct net_conn *conn, const struct netstate *have, struct err *err)
{
    struct netstate nothing = *have;
    struct outcome o = {.err = err};
    struct net_link link;
    struct err why;
    int rc;

    nothing.n_addrs = nothing.routing.n_routes = 0;
    drop_rules(conn, &nothing, &o);
    drop_routes(conn, &nothing, &o);
    /* By name and number: a number alone may be another device's by now. */
    rc = net_link_get(conn, have->device, &link, &why);
    if (rc == 0 && link.ifindex == have->routing.ifindex)
        rc = net_link_del(conn, link.ifindex, &why);
    note(&o, rc == -ENODEV ? 0 : rc, &why);
    return o.rc;
}

static bool in_profile(const struct profile *profile, const char *device)
{
    for (size_t i = 0; i < profile->n_tunnels; i++)
        if (strcmp(profile->tunnels[i].device, device) == 0)
            return true;
    return false;
}

/* Devices that an earlier file had, and nobody holds. */
static void clean_devices(struct net_conn *conn, const struct profile *profile, struct outcome *o)
{
    struct if_nameindex *names = if_nameindex();
    struct net_link link;
    struct err err;

    for (size_t i = 0; names && names[i].if_index; i++) {
        if (in_profile(profile, names[i].if_name) ||
            net_link_get(conn, names[i].if_name, &link, &err) < 0)
            continue;
        if (strcmp(link.alias, NETSTATE_ALIAS) == 0 && strcmp(link.kind, "tun") == 0 &&
            !link.carrier)
            note(o, net_link_del(conn, link.ifindex, &err), &err);
    }
    if (names)
        if_freenameindex(names);
}

int netstate_clean(struct net_conn *conn, const struct profile *profile, struct err *err)
{
    struct outcome o = {.err = err};

    drop_rules(conn, NULL, &o);
    drop_routes(conn, NULL, &o);
    clean_devices(conn, profile, &o);
    return o.rc;
}

/* Makes the kernel equal to what the tunnels need; see keeper.h. */
#include "client/keeper.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "client/netstate.h"
#include "common/cleanup.h"
#include "netlink/addr.h"
#include "netlink/conn.h"
#include "netlink/link.h"
#include "netlink/nft.h"
#include "netlink/noun.h"
#include "netlink/route.h"
#include "netlink/rule.h"
#include "netlink/sysctl.h"

struct keeper {
    struct net_conn *conn;
    struct net_conn *netfilter; /* NULL: this kernel has none */
};

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

int keeper_new(struct keeper **out, struct err *err)
{
    struct keeper *k = calloc(1, sizeof(*k));
    int rc;

    if (!k)
        return err_set(err, -ENOMEM, "out of memory");
    rc = net_conn_open(&k->conn, err);
    if (rc < 0)
        free(k);
    else
        *out = k;
    if (rc == 0 && net_conn_open_netfilter(&k->netfilter, NULL) < 0)
        k->netfilter = NULL;
    return rc;
}

void keeper_free(struct keeper *k)
{
    if (k) {
        net_conn_close(k->conn);
        net_conn_close(k->netfilter);
    }
    free(k);
}

/* ---- what is wanted ---------------------------------------------------------------------------
 */

static void put_link(struct keeper *k, const struct net_link *want, struct outcome *o)
{
    struct net_link have, link = *want;
    struct err err;
    int rc = net_link_get(k->conn, want->name, &have, &err);

    if (rc == -ENODEV)
        return;
    if (rc == 0) {
        if (link.mtu == 0)
            link.mtu = have.mtu;
        rc = net_link_set(k->conn, have.ifindex, &link, net_link_diff(&link, &have), &err);
    }
    note(o, rc, &err);
}

static void put_setting(const struct net_setting *want)
{
    const char *device = want->path + strlen("ipv4/conf/");
    char name[IFNAMSIZ] = "";
    const struct net_sysctl key = {{"ipv4", "conf", name, "promote_secondaries"}};

    memcpy(name, device, strcspn(device, "/"));
    (void)net_sysctl_write(&key, want->value, NULL);
}

/* With the number of its device; false while that is not there. */
static bool located(const struct net_object *want, struct net_object *out)
{
    const uint32_t ifindex = want->dev[0] ? if_nametoindex(want->dev) : 0;

    *out = *want;
    if (want->kind == NET_KIND_ADDR)
        out->addr.ifindex = ifindex;
    else if (want->kind == NET_KIND_ROUTE)
        out->route.ifindex = ifindex;
    return !want->dev[0] || ifindex;
}

static void put_all(struct keeper *k, const struct net_set *want, struct outcome *o)
{
    for (size_t i = 0; i < net_set_count(want); i++) {
        struct net_object object;
        struct err err;
        int rc = 0;

        if (!located(net_set_at(want, i), &object))
            continue;
        if (object.kind == NET_KIND_LINK)
            put_link(k, &object.link, o);
        else if (object.kind == NET_KIND_SETTING)
            put_setting(&object.setting);
        else if (object.kind == NET_KIND_ADDR)
            rc = net_addr_put(k->conn, &object.addr, &err);
        else if (object.kind == NET_KIND_ROUTE)
            rc = net_route_put(k->conn, &object.route, &err);
        else if (object.kind == NET_KIND_RULE)
            rc = net_rule_put(k->conn, &object.rule, &err);
        note(o, rc, &err);
    }
}

/* The table is replaced whole, and goes when it is not wanted. */
static void put_firewall(struct keeper *k, const struct net_set *want, struct outcome *o)
{
    struct net_firewall none = {.table = NET_FW_TABLE_CLIENT, .owner = NET_FW_OWNER_CLIENT};
    const struct net_object id = {.kind = NET_KIND_FIREWALL, .firewall = &none};
    const struct net_object *found = net_set_find(want, &id);
    struct err err;
    int rc = net_nft_put(k->netfilter, found ? found->firewall : &none, &err);

    note(o, rc == -EOPNOTSUPP && !found ? 0 : rc, &err);
}

/* ---- what is not ------------------------------------------------------------------------------
 */

struct search {
    struct net_set *found; /* what has to go: changed after the dump, not during it */
    const struct net_set *want;
    const char *dev;
};

static int collect_rule(const struct net_rule *rule, void *ctx)
{
    struct search *s = ctx;
    const struct net_object id = {.kind = NET_KIND_RULE, .rule = *rule};

    return rule->has_more || net_set_find(s->want, &id) ? 0 : net_set_add_rule(s->found, rule);
}

static int collect_route(const struct net_route *route, void *ctx)
{
    struct search *s = ctx;
    struct net_object id = {.kind = NET_KIND_ROUTE, .route = *route};
    const struct net_object *want = net_set_find(s->want, &id);

    return want ? 0 : net_set_add_route(s->found, NULL, route);
}

static int collect_addr(const struct net_addr *addr, void *ctx)
{
    struct search *s = ctx;

    for (size_t i = 0; i < net_set_count(s->want); i++) {
        const struct net_object *o = net_set_at(s->want, i);

        if (o->kind == NET_KIND_ADDR && strcmp(o->dev, s->dev) == 0 &&
            ip_addr_equal(&o->addr.prefix.addr, &addr->prefix.addr) &&
            o->addr.prefix.len == addr->prefix.len)
            return 0;
    }
    return net_set_add_addr(s->found, s->dev, addr);
}

static void drop_found(struct keeper *k, const struct net_set *found, struct outcome *o)
{
    for (size_t i = 0; i < net_set_count(found); i++) {
        const struct net_object *object = net_set_at(found, i);
        struct err err;
        int rc = 0;

        if (object->kind == NET_KIND_RULE)
            rc = net_rule_del(k->conn, &object->rule, &err);
        else if (object->kind == NET_KIND_ROUTE)
            rc = net_route_del(k->conn, &object->route, &err);
        else if (object->kind == NET_KIND_ADDR)
            rc = net_addr_del(k->conn, &object->addr, &err);
        note(o, rc, &err);
    }
}

/* Everything on our devices is ours; devices themselves only when nobody holds them. */
static void search_device(struct keeper *k, const struct if_nameindex *device, struct search *s,
                          struct outcome *o)
{
    const struct net_object id = {.kind = NET_KIND_LINK};
    struct net_object wanted = id;
    struct net_link link;
    struct err err;

    if (net_link_get(k->conn, device->if_name, &link, &err) < 0 ||
        strcmp(link.alias, NETSTATE_ALIAS) != 0)
        return;
    memcpy(wanted.link.name, link.name, sizeof(link.name));
    memcpy(wanted.dev, link.name, sizeof(link.name));
    s->dev = link.name;
    if (net_set_find(s->want, &wanted))
        note(o, net_addr_dump(k->conn, 0, link.ifindex, collect_addr, s, &err), &err);
    else if (strcmp(link.kind, "tun") == 0 && !link.carrier)
        note(o, net_link_del(k->conn, link.ifindex, &err), &err);
}

int keeper_want(struct keeper *k, const struct net_set *want, struct err *err)
{
    _cleanup_(net_set_freep) struct net_set *sorted = net_set_copy(want);
    _cleanup_(net_set_freep) struct net_set *found = net_set_new();
    struct search s = {.found = found, .want = sorted};
    const struct net_route_filter routes = {.protocol = NET_PROTO_CLIENT};
    struct if_nameindex *devices;
    struct outcome o = {.err = err};
    struct err why;

    if (!sorted || !found)
        return err_set(err, -ENOMEM, "out of memory");
    note(&o, net_set_sort(sorted, &why), &why);
    if (k->netfilter)
        put_firewall(k, sorted, &o);
    put_all(k, sorted, &o);
    note(&o, net_rule_dump(k->conn, 0, NET_PROTO_CLIENT, collect_rule, &s, &why), &why);
    note(&o, net_route_dump(k->conn, &routes, collect_route, &s, &why), &why);
    devices = if_nameindex();
    for (size_t i = 0; devices && devices[i].if_index; i++)
        search_device(k, &devices[i], &s, &o);
    if (devices)
        if_freenameindex(devices);
    drop_found(k, found, &o);
    /* The kernel takes routes along with an address that goes. */
    if (net_set_count(found) > 0)
        put_all(k, sorted, &o);
    return o.rc;
}

/* ---- devices ----------------------------------------------------------------------------------
 */

int keeper_device_check(struct keeper *k, const char *device, struct err *err)
{
    struct net_link link;
    int rc = net_link_get(k->conn, device, &link, err);

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

int keeper_device_claim(struct keeper *k, const char *device, struct err *err)
{
    struct net_link link, want = {.alias = NETSTATE_ALIAS};
    int rc = net_link_get(k->conn, device, &link, err);

    if (rc < 0)
        return rc;
    memcpy(want.name, link.name, sizeof(want.name));
    return net_link_set(k->conn, link.ifindex, &want, NET_LINK_ALIAS, err);
}

int keeper_device_remove(struct keeper *k, const char *device, struct err *err)
{
    struct net_link link;
    int rc = net_link_get(k->conn, device, &link, err);

    if (rc == 0 && strcmp(link.alias, NETSTATE_ALIAS) == 0)
        rc = net_link_del(k->conn, link.ifindex, err);
    return rc == -ENODEV ? 0 : rc;
}

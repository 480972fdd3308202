/*
 * The tunnel's place in the kernel: its device from start to end, and what a lease makes of it.
 *
 * A lease and pushed routes are authentic but still somebody else's word: what they may set is
 * checked here and by the kernel, and routes in the operator's file leave no room for others.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "client/device_id.h"
#include "client/tunnel.h"
#include "common/cleanup.h"
#include "netlink/sysctl.h"
#include "netlink/tun.h"

#define CONFIGURE_AGAIN_MS 10000

/* ---- the device -------------------------------------------------------------------------------
 */

/* Switched off (disable_ipv6), or not in this kernel: then @rc is -ENOENT. */
static bool has_ip6(const char *device, int *rc)
{
    const struct net_sysctl key = {{"ipv6", "conf", device, "disable_ipv6"}};
    char value[NET_SYSCTL_VALUE_SIZE] = "0";

    *rc = net_sysctl_read(&key, value, NULL);
    return *rc != -ENOENT && strcmp(value, "0") == 0;
}

void tunnel_init(struct tunnel *t, struct tunnel_env *env, const struct profile *all,
                 uint32_t number)
{
    const struct profile_tunnel *profile = &all->tunnels[number];
    int rc;

    memset(t, 0, sizeof(*t));
    t->env = env;
    t->profile = profile;
    t->number = number;
    t->trust = trust_of(all, number);
    if (trust_is_full(profile))
        (void)trust_keep(profile, NULL, &env->kept);
    t->state = TUNNEL_DOWN;
    snprintf(t->message, sizeof(t->message), "waiting for the enclave");
    mac_keys_init(&t->mac, profile->server_key);
    t->netstate.routing = (struct routing){
        .number = number,
        .device = profile->device,
        .table = profile->table,
        .has_uids = profile->has_uids,
        .uids = profile->uids,
        .block = profile->block_when_down,
        .allow_lan = profile->allow_lan,
        .routes = profile->routes,
        .n_routes = profile->n_routes,
        .exclude = profile->exclude,
        .n_exclude = profile->n_exclude,
        .networks = profile->networks,
        .n_networks = profile->n_networks,
    };
    memcpy(t->netstate.device, profile->device, sizeof(t->netstate.device));
    (void)has_ip6("all", &rc);
    t->netstate.routing.no_ip6 = rc == -ENOENT;
}

int tunnel_open(struct tunnel *t, int tun, const char *state_folder, struct err *err)
{
    const struct tun_options options = {0};
    const char *device = t->profile->device;
    struct datapath *dp = t->env->dp;
    int port, rc;

    rc = device_id_load(state_folder, t->profile->name, t->device_id, err);
    if (rc == 0)
        rc = keeper_device_check(t->env->keeper, device, err);
    if (rc == 0)
        rc = tun_attach(tun, device, &options, err);
    if (rc == 0)
        rc = keeper_device_claim(t->env->keeper, device, err);
    /* Only now that it is marked as ours may it outlive us: then the next start adopts it. */
    if (rc == 0)
        rc = tun_set_persist(tun, true, err);
    port = rc == 0 ? datapath_add_port(dp, false) : -1;
    if (rc == 0 && port != (int)t->number)
        rc = err_set(err, -ENOSPC, "too many tunnels");
    if (rc < 0) {
        close(tun);
        return rc;
    }
    dp->ports[t->number].queue[(t->number + 1) % dp->n_lanes] = tun;
    t->opened = true;
    return datapath_port_offload(dp, t->number, true, err);
}

int tunnel_close(struct tunnel *t, struct err *err)
{
    return t->opened ? keeper_device_remove(t->env->keeper, t->profile->device, err) : 0;
}

void tunnel_clear(struct tunnel *t)
{
    tunnel_untold(t);
    pushed_clear(&t->pushed);
    free(t->routes);
    t->routes = NULL;
}

/* ---- what the lease says ----------------------------------------------------------------------
 */

static void add_address(struct netstate *want, uint8_t family, const uint8_t *bytes, uint8_t len)
{
    struct ip_prefix *prefix = &want->addrs[want->n_addrs];

    *prefix = (struct ip_prefix){.addr.family = family, .len = len};
    memcpy(prefix->addr.bytes, bytes, ip_addr_bytes(&prefix->addr));
    /* All zeros, which means none, is no unicast address either. */
    if (!ip_addr_is_unicast(&prefix->addr) || len == 0 || len > ip_addr_bits(&prefix->addr))
        return;
    if (family == 4)
        want->routing.ip4 = true;
    else
        want->routing.ip6 = true;
    want->n_addrs++;
}

static bool prefix_equal(const struct ip_prefix *a, const struct ip_prefix *b)
{
    return a->len == b->len && ip_addr_equal(&a->addr, &b->addr);
}

static bool prefix_among(const struct ip_prefix *prefix, const struct ip_prefix *list, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (prefix_equal(prefix, &list[i]))
            return true;
    return false;
}

/* What the full tunnel keeps is kept from those beside it. */
static bool is_kept(const struct tunnel *t, const struct ip_prefix *network)
{
    return t->trust == TRUST_PRIVATE && trust_is_kept(&t->env->kept, network);
}

/* How long its prefix is, is the server's word as well. */
static struct ip_prefix own_network(struct tunnel *t, const struct netstate *want, size_t i)
{
    const struct ip_prefix *addr = &want->addrs[i], network = ip_prefix_network(*addr);
    const uint8_t bits = ip_addr_bits(&addr->addr);

    /* A host route says no more than the address does. */
    if (network.len == bits || (trust_takes(t->trust, &network) && !is_kept(t, &network)))
        return network;
    t->unset.own[i] = network;
    return (struct ip_prefix){addr->addr, bits};
}

/* The tunnel's own networks, and what the server pushes that is not among them. */
static void lower_routes(struct tunnel *t, struct netstate *want)
{
    const size_t own = want->n_addrs;
    struct ip_prefix *routes = calloc(own + pushed_count(&t->pushed), sizeof(*routes));
    struct unset *unset = &t->unset;
    size_t n, kept = own;

    *unset = (struct unset){0};
    if (!routes)
        return;
    for (size_t i = 0; i < own; i++)
        routes[i] = own_network(t, want, i);
    n = pushed_copy(&t->pushed, routes + own, &unset->unroutable);
    for (size_t i = own; i < own + n && kept < own + t->env->pushed_max; i++) {
        if (!trust_takes(t->trust, &routes[i]))
            unset->untrusted++;
        else if (is_kept(t, &routes[i]))
            unset->kept++;
        else if (!prefix_among(&routes[i], routes, kept))
            routes[kept++] = routes[i];
    }
    unset->pushed = n > t->env->pushed_max ? n : 0;
    want->routing.routes = routes;
    want->routing.n_routes = kept;
}

static void say_own_unset(struct tunnel *t, size_t i)
{
    const struct ip_prefix *network = &t->unset.own[i];
    const char *why = "there are other tunnels without routes";
    char text[IP_PREFIX_STRLEN];

    if (is_kept(t, network))
        why = "it overlaps networks of the tunnel that takes everything";
    else if (t->trust == TRUST_PRIVATE)
        why = "it is not private and another tunnel takes everything";
    tunnel_warn(t, (enum complaint)(COMPLAINT_OWN + i),
                "%s, the network of this tunnel's address, is not set, because %s: what of it this "
                "tunnel shall have, write into its routes",
                ip_prefix_format(network, text), why);
}

/* Each by itself: one does not stand for another. */
static void say_unset(struct tunnel *t)
{
    const struct unset *unset = &t->unset;

    for (size_t i = 0; i < ARRAY_SIZE(unset->own); i++)
        if (unset->own[i].len > 0)
            say_own_unset(t, i);
    if (unset->untrusted && t->trust == TRUST_PRIVATE)
        tunnel_warn(t, COMPLAINT_UNTRUSTED,
                    "%zu of the server's routes are not set, because they are not private and "
                    "another tunnel takes everything: write those that this tunnel shall have into "
                    "its routes",
                    unset->untrusted);
    else if (unset->untrusted)
        tunnel_warn(t, COMPLAINT_UNTRUSTED,
                    "the server's default route is not set, because there are other tunnels "
                    "without routes: write routes: [default] into the one that shall have it");
    if (unset->kept)
        tunnel_warn(t, COMPLAINT_KEPT,
                    "%zu of the server's routes are not set, because they overlap networks of the "
                    "tunnel that takes everything: write those that this tunnel shall have into "
                    "its routes",
                    unset->kept);
    if (unset->unroutable)
        tunnel_warn(t, COMPLAINT_UNROUTABLE,
                    "%zu of the server's routes lead to this host or link and are not set",
                    unset->unroutable);
    if (unset->pushed)
        tunnel_warn(t, COMPLAINT_TOO_MANY,
                    "the server pushes %zu routes, only the first %zu are set (this host has many "
                    "tunnels)",
                    unset->pushed, t->env->pushed_max);
}

void tunnel_lower(struct tunnel *t, const struct ipc_lease *lease, struct netstate *want)
{
    const struct profile_tunnel *p = t->profile;
    int rc;

    *want = t->netstate;
    want->mtu = lease->mtu;
    want->n_addrs = 0;
    want->routing.up = true;
    want->routing.ip4 = want->routing.ip6 = false;
    want->routing.server = t->login.to.remote;
    want->routing.routes = p->routes;
    want->routing.n_routes = p->n_routes;
    add_address(want, 4, lease->ip4, lease->prefix4);
    if (has_ip6(want->device, &rc))
        add_address(want, 6, lease->ip6, lease->prefix6);
    else if (lease->prefix6)
        tunnel_warn(t, COMPLAINT_IP6, "this host has IPv6 switched off: the tunnel goes without");
    t->kept_version = t->env->kept_version;
    if (p->own_network && want->n_addrs > 0)
        lower_routes(t, want);
    /* The others look at theirs in the same turn of the loop. */
    if (trust_is_full(p) && want->n_addrs > 0 && trust_keep(p, lease, &t->env->kept))
        t->env->kept_version++;
}

static bool netstate_same(const struct netstate *a, const struct netstate *b)
{
    bool same = a->mtu == b->mtu && a->n_addrs == b->n_addrs &&
                a->routing.n_routes == b->routing.n_routes &&
                ip_endpoint_equal(&a->routing.server, &b->routing.server);

    for (size_t i = 0; same && i < a->n_addrs; i++)
        same = prefix_equal(&a->addrs[i], &b->addrs[i]);
    for (size_t i = 0; same && i < a->routing.n_routes; i++)
        same = prefix_equal(&a->routing.routes[i], &b->routing.routes[i]);
    return same;
}

int tunnel_allow(struct tunnel *t, enum ipc_allow_end end, const struct ip_prefix *prefix)
{
    union ipc_msg msg;

    ipc_fill(&msg, IPC_ALLOW);
    msg.allow.id = t->number;
    msg.allow.end = (uint8_t)end;
    msg.allow.family = prefix->addr.family;
    msg.allow.prefix_len = prefix->len;
    memcpy(msg.allow.addr, prefix->addr.bytes, sizeof(msg.allow.addr));
    return link_send_all(t->env->link, &msg);
}

void tunnel_untold(struct tunnel *t)
{
    free(t->told);
    t->told = NULL;
    t->n_told = 0;
}

/* Routes went: the enclave forgets all of them and is told the rest again. */
static int forget_told(struct tunnel *t)
{
    union ipc_msg msg;

    ipc_fill(&msg, IPC_ALLOW_CLEAR);
    msg.allow_clear.id = t->number;
    msg.allow_clear.end = IPC_ALLOW_SOURCE;
    tunnel_untold(t);
    return link_send_all(t->env->link, &msg);
}

/* What may come out of the tunnel is what is routed into it: each prefix once per enclave. */
static int allow_routes(struct tunnel *t, const struct routing *want)
{
    struct ip_prefix *told;
    int rc = 0;

    if (!t->profile->own_network)
        return 0;
    for (size_t i = 0; i < t->n_told; i++)
        if (!prefix_among(&t->told[i], want->routes, want->n_routes)) {
            rc = forget_told(t);
            break;
        }
    told = rc == 0 ? reallocarray(t->told, want->n_routes + 1, sizeof(*told)) : NULL;
    if (!told)
        return rc < 0 ? rc : -ENOMEM;
    t->told = told;
    for (size_t i = 0; rc == 0 && i < want->n_routes; i++) {
        if (prefix_among(&want->routes[i], t->told, t->n_told))
            continue;
        rc = tunnel_allow(t, IPC_ALLOW_SOURCE, &want->routes[i]);
        if (rc == 0)
            t->told[t->n_told++] = want->routes[i];
    }
    return rc;
}

static void say_lease(struct tunnel *t, const struct netstate *want)
{
    char first[IP_PREFIX_STRLEN], second[IP_PREFIX_STRLEN];

    ip_prefix_format(&want->addrs[0], first);
    if (want->n_addrs > 1)
        tunnel_say(t, LOG_LEVEL_INFO, "VPN address assigned: %s, %s", first,
                   ip_prefix_format(&want->addrs[1], second));
    else
        tunnel_say(t, LOG_LEVEL_INFO, "VPN address assigned: %s", first);
    if (routing_is_full(&want->routing, 6) && !want->routing.ip6)
        tunnel_line(t, LOG_LEVEL_WARNING, "there is no IPv6 address: IPv6 is unreachable");
    if (routing_is_full(&want->routing, 4) && !want->routing.ip4)
        tunnel_line(t, LOG_LEVEL_WARNING, "there is no IPv4 address: IPv4 is unreachable");
}

/* The routes of @want are the tunnel's from here on; those it had are given up. */
static void adopt_routes(struct tunnel *t, const struct netstate *want)
{
    if (!t->profile->own_network || want->routing.routes == t->routes)
        return;
    free(t->routes);
    t->routes = (struct ip_prefix *)(uintptr_t)want->routing.routes;
}

bool tunnel_configure(struct tunnel *t, const struct netstate *want)
{
    const struct netstate *former = &t->netstate;
    const bool up = former->routing.up;
    const bool same_lease = up && want->n_addrs == former->n_addrs &&
                            prefix_equal(&want->addrs[0], &former->addrs[0]) &&
                            (want->n_addrs < 2 || prefix_equal(&want->addrs[1], &former->addrs[1]));
    /* A fresh enclave must be told even when the kernel need not. */
    const int rc = allow_routes(t, &want->routing);
    const bool again = up && rc == 0 && t->configure_at_ms == 0 && netstate_same(want, former);

    if (!same_lease)
        say_lease(t, want);
    say_unset(t);
    t->netstate = *want;
    adopt_routes(t, want);
    if (again)
        return t->setting;
    t->setting = true;
    t->env->changed = true;
    if (rc < 0) {
        struct err err;

        err_set(&err, rc, "the enclave cannot be told the tunnel's networks: %s", strerror(-rc));
        tunnel_settled(t, rc, &err);
    }
    return true;
}

/* Of all that was wanted, is there something of ours that the kernel did not take? */
static int check_settled(struct tunnel *t, struct err *err)
{
    _cleanup_(net_set_freep) struct net_set *mine = net_set_new();
    const struct netstate *netstate = &t->netstate;

    if (!mine || netstate_lower(&netstate, 1, 0, mine) < 0 || net_set_sort_all(mine) < 0)
        return err_set(err, -ENOMEM, "out of memory");
    return keeper_check(t->env->keeper, mine, err);
}

void tunnel_settled(struct tunnel *t, int rc, const struct err *err)
{
    const struct netstate *s = &t->netstate;
    struct err why;
    char line[128];

    if (!t->setting)
        return;
    t->setting = false;
    if (rc < 0)
        why = *err;
    else
        rc = check_settled(t, &why);
    t->configure_at_ms = rc < 0 ? t->env->now_ms + CONFIGURE_AGAIN_MS : 0;
    if (rc < 0) {
        /* This complaint stays what status shows. */
        tunnel_complain(t, COMPLAINT_NETWORK, "%s", why.msg);
        return;
    }
    snprintf(line, sizeof(line), "TUN interface %s configured (MTU %u, %zu route%s)", s->device,
             s->mtu, s->routing.n_routes, s->routing.n_routes == 1 ? "" : "s");
    tunnel_line(t, LOG_LEVEL_INFO, line);
    tunnel_say_names(t);
    if (t->fresh && t->state == TUNNEL_CONNECTED)
        tunnel_say(t, LOG_LEVEL_INFO, "connected");
    else if (t->state == TUNNEL_CONNECTED)
        snprintf(t->message, sizeof(t->message), "connected");
    t->fresh = false;
}

void tunnel_aim(struct tunnel *t, const struct ip_endpoint *server)
{
    if (ip_endpoint_equal(&t->netstate.routing.server, server))
        return;
    t->netstate.routing.server = *server;
    t->env->changed = true;
}

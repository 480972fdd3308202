/*
 * The tunnel's place in the kernel: its device from start to end, and what a lease makes of it.
 *
 * A lease is authentic but still somebody else's word: what it may set is checked here and by the
 * kernel, and it can name no route (those are in the operator's file).
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "client/device_id.h"
#include "client/tunnel.h"
#include "netlink/conn.h"
#include "netlink/tun.h"

#define CONFIGURE_AGAIN_MS 10000

/* ---- the device -------------------------------------------------------------------------------
 */

int tunnel_open(struct tunnel *t, struct tunnel_env *env, const struct profile_tunnel *profile,
                uint32_t number, int tun, const char *state_folder, struct err *err)
{
    const struct tun_options options = {0};
    int port, rc;

    memset(t, 0, sizeof(*t));
    t->env = env;
    t->profile = profile;
    t->number = number;
    t->state = TUNNEL_DOWN;
    snprintf(t->message, sizeof(t->message), "waiting for the enclave");
    mac_keys_init(&t->mac, profile->server_key);
    memcpy(t->netstate.device, profile->device, sizeof(t->netstate.device));

    rc = device_id_load(state_folder, profile->name, t->device_id, err);
    if (rc == 0)
        rc = netstate_device_check(env->net, profile->device, err);
    if (rc == 0)
        rc = tun_attach(tun, profile->device, &options, err);
    if (rc == 0)
        rc = netstate_device_claim(env->net, profile->device, &t->netstate.routing.ifindex, err);
    /* Only now that it is marked as ours may it outlive us: then the next start adopts it. */
    if (rc == 0)
        rc = tun_set_persist(tun, true, err);
    port = rc == 0 ? datapath_add_port(env->dp, false) : -1;
    if (rc == 0 && port != (int)number)
        rc = err_set(err, -ENOSPC, "too many tunnels");
    if (rc < 0) {
        close(tun);
        return rc;
    }
    env->dp->ports[number].queue[(number + 1) % env->dp->n_lanes] = tun;
    return 0;
}

int tunnel_close(struct tunnel *t, struct err *err)
{
    if (t->netstate.routing.ifindex == 0)
        return 0;
    return netstate_remove(t->env->net, &t->netstate, err);
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

void tunnel_lower(struct tunnel *t, const struct ipc_lease *lease, struct netstate *want)
{
    const struct profile_tunnel *p = t->profile;

    memset(want, 0, sizeof(*want));
    memcpy(want->device, p->device, sizeof(want->device));
    want->mtu = lease->mtu;
    want->routing = (struct routing){
        .number = t->number,
        .ifindex = t->netstate.routing.ifindex,
        .has_default = routing_has_default(p->routes, p->n_routes),
        .server = t->login.to.remote.addr,
        .routes = p->routes,
        .n_routes = p->n_routes,
    };
    add_address(want, 4, lease->ip4, lease->prefix4);
    add_address(want, 6, lease->ip6, lease->prefix6);
    if (p->own_network) {
        for (size_t i = 0; i < want->n_addrs; i++)
            t->own[i] = ip_prefix_network(want->addrs[i]);
        want->routing.routes = t->own;
        want->routing.n_routes = want->n_addrs;
    }
}

static bool prefix_equal(const struct ip_prefix *a, const struct ip_prefix *b)
{
    return a->len == b->len && ip_addr_equal(&a->addr, &b->addr);
}

static bool netstate_same(const struct netstate *a, const struct netstate *b)
{
    bool same = a->mtu == b->mtu && a->n_addrs == b->n_addrs &&
                ip_addr_equal(&a->routing.server, &b->routing.server);

    for (size_t i = 0; same && i < a->n_addrs; i++)
        same = prefix_equal(&a->addrs[i], &b->addrs[i]);
    return same;
}

/* The tunnel's own networks as inner sources, each once per enclave. */
static int allow_own(struct tunnel *t, const struct netstate *want)
{
    for (size_t i = 0; t->profile->own_network && i < want->n_addrs; i++) {
        struct ip_prefix *told = &t->own_allowed[t->own[i].addr.family == 6];
        union ipc_msg msg;
        int rc;

        if (prefix_equal(told, &t->own[i]))
            continue;
        ipc_fill(&msg, IPC_ALLOW);
        msg.allow.id = t->number;
        msg.allow.family = t->own[i].addr.family;
        msg.allow.prefix_len = t->own[i].len;
        memcpy(msg.allow.addr, t->own[i].addr.bytes, sizeof(msg.allow.addr));
        rc = link_send(t->env->link, &msg);
        if (rc < 0)
            return rc;
        *told = t->own[i];
    }
    return 0;
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
    if (want->routing.has_default && !(want->routing.ip4 && want->routing.ip6))
        tunnel_line(t, LOG_LEVEL_WARNING,
                    want->routing.ip4
                        ? "the server gives no IPv6 address: IPv6 does not go through the tunnel"
                        : "the server gives no IPv4 address: IPv4 does not go through the tunnel");
}

void tunnel_configure(struct tunnel *t, const struct netstate *want)
{
    const struct netstate former = t->netstate;
    const bool again = t->configured && netstate_same(want, &former);
    struct err err;
    int rc = allow_own(t, want); /* a fresh enclave must be told even when the kernel need not */

    if (again && rc == 0 && t->configure_at_ms == 0)
        return;
    if (!again)
        say_lease(t, want);
    if (rc < 0)
        err_set(&err, rc, "the enclave cannot be told the tunnel's network: %s", strerror(-rc));
    else
        rc = netstate_apply(t->env->net, want, t->configured ? &former : NULL, &err);
    t->netstate = *want;
    t->configured = true;
    t->configure_at_ms = rc < 0 ? t->env->now_ms + CONFIGURE_AGAIN_MS : 0;
    if (rc < 0)
        tunnel_complain(t, COMPLAINT_NETWORK, "%s", err.msg);
    else
        tunnel_say(t, LOG_LEVEL_INFO, "TUN interface %s configured (MTU %u)", want->device,
                   want->mtu);
}

/* What vpn-client answers to vpnctl. */
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "client/client.h"
#include "common/cleanup.h"
#include "common/version.h"
#include "daemon/datapath/report.h"
#include "netlink/status_json.h"

const char *client_drop_name(unsigned int drop)
{
    static const char *const names[] = {
        [CLIENT_DROP_COOKIE] = "cookie",
        [CLIENT_DROP_ANSWER] = "login-unexpected",
        [CLIENT_DROP_FORGED] = "login-forged",
        [CLIENT_DROP_STALE] = "stale",
    };
    _Static_assert(ARRAY_SIZE(names) == CLIENT_DROP_NUM, "a new reason needs its name here");

    return drop < CLIENT_DROP_NUM ? names[drop] : "unknown";
}

/* Times of the monotonic clock, as the wall clock shows them. */
static json_t *report_mono(const struct client *c, uint64_t mono_ms)
{
    return report_time(time(NULL) - (time_t)((c->env.now_ms - mono_ms) / 1000));
}

static void put_session(json_t *out, const struct client *c, const struct tunnel *t,
                        struct dp_peer *peer)
{
    const struct path path = peer_path(peer);
    const uint64_t heard = atomic_load_explicit(&peer->last_rx_ms, memory_order_relaxed);
    char server[IP_ENDPOINT_STRLEN];

    json_object_set_new(out, "server", json_string(ip_endpoint_format(&path.remote, server)));
    json_object_set_new(out, "path_mtu",
                        json_integer(atomic_load_explicit(&peer->whole, memory_order_relaxed)));
    json_object_set_new(out, "since", report_mono(c, t->since_ms));
    /* The lanes' clock may be a moment ahead of ours. */
    json_object_set_new(out, "last_received",
                        report_mono(c, heard < c->env.now_ms ? heard : c->env.now_ms));
}

static json_t *report_addresses(const struct tunnel *t)
{
    json_t *addresses = json_array();
    char text[IP_PREFIX_STRLEN];

    for (size_t i = 0; i < t->netstate.n_addrs; i++)
        json_array_append_new(addresses,
                              json_string(ip_prefix_format(&t->netstate.addrs[i], text)));
    return addresses;
}

/* What the server says; applying it is up to this host's operator. */
static json_t *report_name_servers(const struct tunnel *t)
{
    json_t *servers = json_array();
    char text[IP_ADDR_STRLEN];

    for (size_t i = 0; i < ARRAY_SIZE(t->dns_said); i++)
        if (t->dns_said[i].family)
            json_array_append_new(servers, json_string(ip_addr_format(&t->dns_said[i], text)));
    return servers;
}

static json_t *report_tunnel(const struct client *c, const struct tunnel *t)
{
    struct dp_peer *peer = tunnel_peer(t);
    uint64_t rx = t->rx_bytes, tx = t->tx_bytes;
    json_t *out;

    if (peer) {
        rx += atomic_load_explicit(&peer->rx_bytes, memory_order_relaxed);
        tx += atomic_load_explicit(&peer->tx_bytes, memory_order_relaxed);
    }
    out = json_pack("{s:s, s:s, s:s, s:s, s:o, s:I, s:I, s:s}", "name", t->profile->name, "device",
                    t->profile->device, "state", tunnel_state_name(t->state), "server",
                    t->profile->server, "addresses", report_addresses(t), "rx_bytes",
                    (json_int_t)rx, "tx_bytes", (json_int_t)tx, "message", t->message);
    if (out)
        json_object_set_new(out, "dns", report_name_servers(t));
    if (out)
        json_object_set_new(out, "blocks", json_boolean(t->profile->block_when_down));
    if (out && peer)
        put_session(out, c, t, peer);
    return out;
}

static json_t *report_guard(const struct client *c)
{
    const char *unanswered = neighbours_unanswered(&c->neighbours);
    char why[sizeof(c->guard.why.msg) + 64];

    switch (c->guard.state) {
    case ABILITY_MISSING:
        return json_pack("{s:s, s:s}", "state", "missing", "reason", c->guard.why.msg);
    case ABILITY_UNKNOWN:
        return json_pack("{s:s, s:s}", "state", "unknown", "reason", c->guard.why.msg);
    case ABILITY_THERE:
        break;
    }
    if (!unanswered)
        return json_pack("{s:s}", "state", "active");
    snprintf(why, sizeof(why), "ARP is not marked: %s", unanswered);
    return json_pack("{s:s, s:s}", "state", "partial", "reason", why);
}

/* How the kernel stands to what the tunnels need. */
static json_t *report_kernel(const struct client *c)
{
    struct net_reconciler_status s;
    json_t *out;

    keeper_status(c->keeper, &s);
    out = net_status_json(&s);
    if (out && s.last_drift_ms)
        json_object_set_new(out, "last_drift", report_mono(c, s.last_drift_ms));
    return out;
}

static json_t *report_status(struct client *c)
{
    json_t *reply = ctl_reply_ok(), *tunnels = json_array(), *drops;
    struct dp_stats stats;

    if (!reply || !tunnels) {
        json_decref(reply);
        json_decref(tunnels);
        return NULL;
    }
    for (size_t i = 0; i < c->n_tunnels; i++)
        json_array_append_new(tunnels, report_tunnel(c, &c->tunnels[i]));
    datapath_stats(&c->dp, &stats);
    drops = report_drops(&stats);
    for (unsigned int i = 0; i < CLIENT_DROP_NUM; i++)
        json_object_set_new(drops, client_drop_name(i), json_integer((json_int_t)c->drops[i]));
    json_object_set_new(reply, "program", json_string("vpn-client"));
    json_object_set_new(reply, "release", json_string(VPN_RELEASE));
    json_object_set_new(reply, "pid", json_integer(getpid()));
    json_object_set_new(reply, "started", report_time((time_t)c->started_s));
    json_object_set_new(reply, "tunnels", tunnels);
    json_object_set_new(reply, "enclave", report_enclave(c->link));
    json_object_set_new(reply, "kernel", report_kernel(c));
    json_object_set_new(reply, "offloads", report_offloads(&c->dp));
    json_object_set_new(reply, "firewall", report_guard(c));
    json_object_set_new(reply, "drops", drops);
    return reply;
}

json_t *client_ctl(void *ctx, const char *cmd, const json_t *request, const struct ctl_peer *peer)
{
    (void)request;
    (void)peer;
    if (strcmp(cmd, "status") == 0)
        return report_status(ctx);
    return ctl_reply_error(CTL_CODE_BAD_REQUEST,
                           "vpn-client does not know \"%s\" (it knows status)", cmd);
}

/* What vpn-server answers to vpnctl. */
#include <string.h>
#include <unistd.h>

#include "common/cred.h"
#include "common/version.h"
#include "daemon/ctl_config.h"
#include "daemon/datapath/report.h"
#include "daemon/keeper.h"
#include "daemon/netfilter.h"
#include "daemon/lease_writer.h"
#include "daemon/server.h"
#include "daemon/shaper.h"

static json_t *json_prefix(const struct ip_prefix *prefix)
{
    char text[IP_PREFIX_STRLEN];

    return json_string(ip_prefix_format(prefix, text));
}

static json_t *json_addr(const struct ip_addr *addr)
{
    char text[IP_ADDR_STRLEN];

    return json_string(ip_addr_format(addr, text));
}

static json_t *json_endpoint(const struct ip_endpoint *ep)
{
    char text[IP_ENDPOINT_STRLEN];

    return json_string(ip_endpoint_format(ep, text));
}

static json_t *drops(struct server *s, const struct dp_stats *stats)
{
    json_t *out = report_drops(stats);
    unsigned int i;

    for (i = 1; i < HS_COUNT_NUM; i++)
        json_object_set_new(out, hs_count_name(i), json_integer((json_int_t)s->hs_counts[i]));
    return out;
}

static json_t *leases(const struct server *s)
{
    const char *error = lease_writer_error(s->lease_writer);
    json_t *out = json_pack("{s:I,s:b}", "active", (json_int_t)leases_active(s->leases), "kept",
                            error == NULL);

    if (out && error)
        json_object_set_new(out, "error", json_string(error));
    return out;
}

static json_t *on_status(struct server *s)
{
    const struct config *c = s->config;
    json_t *reply = ctl_reply_ok(), *addresses = json_array(), *listen = json_array();
    struct dp_stats stats;
    size_t i;

    datapath_stats(&s->dp, &stats);
    for (i = 0; i < c->n_addresses; i++)
        json_array_append_new(addresses, json_prefix(&c->addresses[i]));
    for (i = 0; i < c->n_listen; i++)
        json_array_append_new(listen, json_endpoint(&c->listen[i]));
    json_object_set_new(reply, "program", json_string("vpn-server"));
    json_object_set_new(reply, "release", json_string(VPN_RELEASE));
    json_object_set_new(reply, "pid", json_integer(getpid()));
    json_object_set_new(reply, "started", report_time((time_t)(s->started_us / 1000000)));
    json_object_set_new(reply, "device", json_string(c->device));
    json_object_set_new(reply, "mtu", json_integer(c->mtu));
    json_object_set_new(reply, "addresses", addresses);
    json_object_set_new(reply, "listen", listen);
    json_object_set_new(reply, "lanes", json_integer(s->lanes));
    json_object_set_new(reply, "enclave", report_enclave(s->link));
    json_object_set_new(reply, "sessions", json_integer(sessions_bound(s->sessions)));
    json_object_set_new(reply, "users", json_integer((json_int_t)c->n_users));
    json_object_set_new(reply, "leases", leases(s));
    json_object_set_new(reply, "traffic",
                        json_pack("{s:I,s:I,s:I,s:I}", "rx_packets", (json_int_t)stats.rx_packets,
                                  "rx_bytes", (json_int_t)stats.rx_bytes, "tx_packets",
                                  (json_int_t)stats.tx_packets, "tx_bytes",
                                  (json_int_t)stats.tx_bytes));
    json_object_set_new(reply, "offloads", report_offloads(&s->dp));
    json_object_set_new(reply, "drops", drops(s, &stats));
    json_object_set_new(reply, "firewall", netfilter_status(s));
    json_object_set_new(reply, "qos", shaper_status(s));
    json_object_set_new(reply, "kernel", keeper_report(s));
    json_object_set_new(reply, "configuration", ctl_config_status(s));
    return reply;
}

static json_int_t load(const _Atomic uint64_t *counter)
{
    return (json_int_t)atomic_load_explicit(counter, memory_order_relaxed);
}

/* The device and its addresses. */
static json_t *json_lease(const struct lease *lease)
{
    json_t *out = json_object(), *addresses = json_array();
    char device[2 * WIRE_DEVICE_ID_LEN + 1];

    lease_device_format(lease, device);
    if (lease->ip4.family)
        json_array_append_new(addresses, json_addr(&lease->ip4));
    if (lease->ip6.family)
        json_array_append_new(addresses, json_addr(&lease->ip6));
    json_object_set_new(out, "device", json_string(device));
    json_object_set_new(out, "addresses", addresses);
    return out;
}

static json_t *json_session(struct server *s, const struct server_session *session)
{
    struct dp_peer *peer = peers_get(&s->dp.peers, session->peer);
    json_t *out = json_lease(session->lease);
    struct path path;
    int64_t silent_ms;
    time_t heard;

    json_object_set_new(out, "since", report_time((time_t)(session->since_us / 1000000)));
    if (!peer)
        return out;
    path = peer_path(peer);
    silent_ms = (int64_t)s->now.mono_ms - load(&peer->last_rx_ms);
    /* The lane's clock was read a moment later than ours. */
    heard = (time_t)(s->now.real_us / 1000000) - (silent_ms > 0 ? silent_ms / 1000 : 0);
    json_object_set_new(out, "endpoint", json_endpoint(&path.remote));
    json_object_set_new(out, "last_received", report_time(heard));
    json_object_set_new(out, "rx_bytes", json_integer(load(&peer->rx_bytes)));
    json_object_set_new(out, "tx_bytes", json_integer(load(&peer->tx_bytes)));
    return out;
}

static json_t *json_user(struct server *s, const struct config_user *user)
{
    uint64_t now_s = s->now.real_us / 1000000;
    json_t *out =
        json_pack("{s:s,s:b,s:b,s:[]}", "user", user->name, "enabled", user->enabled, "expired",
                  user->enabled && !config_user_allowed(user, now_s), "sessions");
    size_t i;

    if (out && user->expires_s)
        json_object_set_new(out, "expires", report_time((time_t)user->expires_s));
    if (out && user->n_networks) {
        json_t *networks = json_array();

        for (i = 0; i < user->n_networks; i++)
            json_array_append_new(networks, json_prefix(&user->networks[i]));
        json_object_set_new(out, "networks", networks);
    }
    return out;
}

/* Devices that are not here, and the addresses they will find again. */
static json_t *json_away(const struct server *s, uint32_t id)
{
    json_t *out = json_array();
    struct lease *lease = NULL;

    while ((lease = leases_of_user(s->leases, id, lease)) != NULL) {
        json_t *item;

        if (lease->state != LEASE_IDLE)
            continue;
        item = json_lease(lease);
        json_object_set_new(item, "last_seen", report_time((time_t)lease->last_seen_s));
        json_array_append_new(out, item);
    }
    return out;
}

/* Where the user is in the list: the list is in the order of the configuration. */
static size_t user_index(struct server *s, uint32_t id)
{
    const struct user *user = users_get(s->users, id);

    return user ? (size_t)(user->conf - s->config->users) : SIZE_MAX;
}

static json_t *on_users(struct server *s, const json_t *request)
{
    bool all = json_is_true(json_object_get(request, "all"));
    json_t *reply = ctl_reply_ok(), *users = json_array();
    const struct server_session *session = NULL;
    size_t i;

    for (i = 0; i < s->config->n_users; i++) {
        json_t *user = json_user(s, &s->config->users[i]);

        if (all)
            json_object_set_new(user, "away", json_away(s, users_id(s->users, i)));
        json_array_append_new(users, user);
    }
    while ((session = sessions_each(s->sessions, (struct server_session *)(uintptr_t)session)) !=
           NULL) {
        json_t *list;

        if (session->state != SERVER_SESSION_BOUND)
            continue;
        list =
            json_object_get(json_array_get(users, user_index(s, session->lease->user)), "sessions");
        json_array_append_new(list, json_session(s, session));
    }
    json_object_set_new(reply, "users", users);
    return reply;
}

static json_t *on_kick(struct server *s, const json_t *request)
{
    const char *name = json_string_value(json_object_get(request, "user"));
    const char *device = json_string_value(json_object_get(request, "device"));
    json_t *reply;
    uint32_t id, n;

    if (!name || (!device && json_object_get(request, "device")))
        return ctl_reply_error(CTL_CODE_BAD_REQUEST, "kick needs a user");
    if (users_find(s->users, name, &id) < 0)
        return ctl_reply_error(CTL_CODE_FAILED, "there is no user \"%.64s\"", name);
    n = sessions_kick(s, id, device ? device : "");
    if (n == 0)
        return ctl_reply_error(CTL_CODE_FAILED, "%s is not connected%s", name,
                               device ? " with such a device" : "");
    reply = ctl_reply_ok();
    if (reply)
        json_object_set_new(reply, "kicked", json_integer(n));
    return reply;
}

static json_t *on_identity(struct server *s)
{
    json_t *reply;
    char key[CRED_KEY_TEXT_LEN + 1];

    if (!s->ready_once)
        return ctl_reply_error(CTL_CODE_FAILED, "the enclave is not ready yet; try again");
    reply = ctl_reply_ok();
    cred_key_encode(link_ready_info(s->link)->public_key, key);
    json_object_set_new(reply, "identity", json_string(key));
    json_object_set_new(reply, "realm", json_string(s->config->realm));
    if (s->config->endpoint)
        json_object_set_new(reply, "endpoint", json_string(s->config->endpoint));
    return reply;
}

static json_t *on_routes(struct server *s)
{
    json_t *reply = ctl_reply_ok();

    json_object_set_new(reply, "objects", keeper_rows(s));
    json_object_set_new(reply, "kernel", keeper_report(s));
    return reply;
}

static json_t *on_watch(void)
{
    json_t *reply = ctl_reply_ok();

    json_object_set_new(reply, "stream", json_true());
    return reply;
}

json_t *server_ctl(void *ctx, const char *cmd, const json_t *request, const struct ctl_peer *peer)
{
    struct server *s = ctx;
    json_t *reply = ctl_config(s, cmd, request, peer);

    if (reply)
        return reply;
    if (strcmp(cmd, "status") == 0)
        return on_status(s);
    if (strcmp(cmd, "users") == 0)
        return on_users(s, request);
    if (strcmp(cmd, "identity") == 0)
        return on_identity(s);
    if (strcmp(cmd, "qos") == 0)
        return shaper_report(s);
    if (strcmp(cmd, "kick") == 0)
        return on_kick(s, request);
    if (strcmp(cmd, "routes") == 0)
        return on_routes(s);
    if (strcmp(cmd, "watch") == 0)
        return on_watch();
    return ctl_reply_error(CTL_CODE_BAD_REQUEST, "this vpn-server has no command \"%s\"", cmd);
}

/* Sessions that end by time, by a reload or by a kick, and what they are told of routes. */
#include <string.h>

#include "common/log.h"
#include "daemon/datapath/probe.h"
#include "daemon/push.h"
#include "daemon/server.h"

#define DEAD_MS   200000 /* keys end at 180 s: a client silent for longer is gone */
#define ENDING_MS 500    /* a lane has sealed and sent a good-bye long before this */

static bool is_of(const struct server_session *session, uint32_t id)
{
    return session->state != SERVER_SESSION_ENDING && session->lease->user == id;
}

void sessions_close_user(struct server *s, uint32_t id, const char *why)
{
    struct server_session *session = NULL;

    logins_forget_lease(s->logins, id, NULL);
    while ((session = sessions_each(s->sessions, session)) != NULL) {
        if (!is_of(session, id))
            continue;
        log_info("%s: %s, session ended", session_name(s, session), why);
        leases_unclaim(session->lease);
        session_close(s, session, WIRE_DISCONNECT_DISABLED);
    }
}

static bool device_begins(const struct lease *lease, const char *hex)
{
    char text[2 * WIRE_DEVICE_ID_LEN + 1];

    lease_device_format(lease, text);
    return strncmp(text, hex, strlen(hex)) == 0;
}

uint32_t sessions_kick(struct server *s, uint32_t id, const char *device)
{
    struct server_session *session = NULL;
    uint32_t n = 0;

    while ((session = sessions_each(s->sessions, session)) != NULL) {
        if (!is_of(session, id) || !device_begins(session->lease, device))
            continue;
        log_info("%s: kicked, session ended", session_name(s, session));
        session_close(s, session, WIRE_DISCONNECT_KICKED);
        n++;
    }
    return n;
}

static void readdress(struct server *s, struct server_session *session, bool strict)
{
    const struct user *user = users_get(s->users, session->lease->user);
    struct lease *lease = session->lease;

    if (!user || leases_fit(s->leases, lease, user->conf, strict))
        return;
    log_info("%s: another address, session ended", session_name(s, session));
    logins_forget_lease(s->logins, lease->user, lease);
    leases_unclaim(lease);
    session_close(s, session, WIRE_DISCONNECT_SHUTDOWN);
}

void sessions_readdress(struct server *s, uint32_t id, bool strict)
{
    struct server_session *session = NULL;

    while ((session = sessions_each(s->sessions, session)) != NULL)
        if (is_of(session, id))
            readdress(s, session, strict);
}

void sessions_readdress_all(struct server *s, bool strict)
{
    struct server_session *session = NULL;

    while ((session = sessions_each(s->sessions, session)) != NULL)
        if (session->state != SERVER_SESSION_ENDING)
            readdress(s, session, strict);
}

void sessions_control(struct server *s, uint32_t peer, const uint8_t *record, size_t len)
{
    const struct server_session *session = session_get(s->sessions, peer);

    if (session && session->state == SERVER_SESSION_BOUND)
        push_request(s, session->lease->user, peer, record, len);
}

void sessions_push(struct server *s)
{
    const struct server_session *session = NULL;

    while ((session = sessions_each(s->sessions, (struct server_session *)(uintptr_t)session)) !=
           NULL)
        if (session->state == SERVER_SESSION_BOUND)
            push_page(s, session->lease->user, session->peer, 0);
}

/* ---- time
 * ------------------------------------------------------------------------------------------ */

static void check_session(struct server *s, struct server_session *session)
{
    struct dp_peer *peer = peers_get(&s->dp.peers, session->peer);
    uint64_t now = s->now.mono_ms;
    const struct user *user;
    uint64_t heard, data;

    if (session->state == SERVER_SESSION_RESERVED) {
        if (now - session->changed_ms >= LEASE_RESERVED_MS)
            session_end(s, session);
        return;
    }
    if (session->state == SERVER_SESSION_ENDING) {
        if (now - session->changed_ms >= ENDING_MS)
            session_end(s, session);
        return;
    }
    if (!peer)
        return;
    probe_path(&s->dp, session->peer);
    user = users_get(s->users, session->lease->user);
    if (user && !config_user_allowed(user->conf, s->now.real_us / 1000000)) {
        log_info("%s: %s, session ended", user->name, user->conf->enabled ? "expired" : "disabled");
        session_close(s, session, WIRE_DISCONNECT_DISABLED);
        return;
    }
    heard = atomic_load_explicit(&peer->last_rx_ms, memory_order_relaxed);
    data = atomic_load_explicit(&peer->last_rx_data_ms, memory_order_relaxed);
    if (now > heard && now - heard >= DEAD_MS) {
        log_info("%s: silent for %u s, session ended", session_name(s, session), DEAD_MS / 1000);
        session_end(s, session);
    } else if (now > data && now - data >= (uint64_t)s->config->session_timeout_s * 1000) {
        log_info("%s: no traffic for %u s, session ended", session_name(s, session),
                 s->config->session_timeout_s);
        session_close(s, session, WIRE_DISCONNECT_UNSPECIFIED);
    }
}

void sessions_tick(struct server *s)
{
    struct server_session *session = NULL;

    while ((session = sessions_each(s->sessions, session)) != NULL)
        check_session(s, session);
    leases_expire(s->leases, &s->now);
}

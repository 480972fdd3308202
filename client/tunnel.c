/* A tunnel's states and its session; see tunnel.h. */
#include "client/tunnel.h"

#include <errno.h>
#include <sodium.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "client/timers.h"
#include "common/log.h"
#include "daemon/datapath/probe.h"

#define COMPLAINT_EVERY_MS  300000
#define KEEPALIVE_DEFAULT_S 25
#define TICK_MS             1000

/* ---- words ------------------------------------------------------------------------------------
 */

const char *tunnel_state_name(enum tunnel_state state)
{
    switch (state) {
    case TUNNEL_CONNECTED:
        return "connected";
    case TUNNEL_CONNECTING:
        return "connecting";
    case TUNNEL_DOWN:
    case TUNNEL_WAITING:
        return "waiting";
    case TUNNEL_REFUSED:
        return "refused";
    }
    return "unknown";
}

void tunnel_line(const struct tunnel *t, enum log_level level, const char *text)
{
    if (t->env->many)
        log_line(level, "%s: %s", t->profile->name, text);
    else
        log_line(level, "%s", text);
}

void tunnel_say(struct tunnel *t, enum log_level level, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(t->message, sizeof(t->message), fmt, ap);
    va_end(ap);
    tunnel_line(t, level, t->message);
}

static void warn_rarely(struct tunnel *t, enum complaint kind, const char *text)
{
    uint64_t *said = &t->said_ms[kind];

    if (*said && t->env->now_ms - *said < COMPLAINT_EVERY_MS)
        return;
    *said = t->env->now_ms;
    tunnel_line(t, LOG_LEVEL_WARNING, text);
}

void tunnel_complain(struct tunnel *t, enum complaint kind, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(t->message, sizeof(t->message), fmt, ap);
    va_end(ap);
    warn_rarely(t, kind, t->message);
}

void tunnel_warn(struct tunnel *t, enum complaint kind, const char *fmt, ...)
{
    char text[sizeof(t->message)];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    warn_rarely(t, kind, text);
}

/* ---- the session ------------------------------------------------------------------------------
 */

struct dp_peer *tunnel_peer(const struct tunnel *t)
{
    return t->session.peer ? peers_get(&t->env->dp->peers, t->session.peer) : NULL;
}

static uint64_t load(const _Atomic uint64_t *value)
{
    return atomic_load_explicit(value, memory_order_relaxed);
}

static void ping(struct tunnel *t)
{
    uint8_t text[WIRE_PAD] = {0};

    be64_put(text, ++t->ping_id);
    be16_put(text + 8, t->session.pmtu.low);
    t->session.last_ping_ms = t->env->now_ms;
    /* A lane that does not keep up is sending: then no PING is needed. */
    (void)datapath_seal(t->env->dp, t->session.peer, WIRE_PING, text, sizeof(text));
}

/*
 * The lanes' side: a first session makes the peer, a later one keeps its counters.  Return: true
 * when its path is another one than the last session's.
 */
static bool publish_peer(struct tunnel *t, uint32_t handle, uint16_t mtu)
{
    struct datapath *dp = t->env->dp;
    struct dp_peer *peer = peers_get(&dp->peers, handle);
    struct path before = {0};

    if (!peer || handle != t->session.peer) {
        peers_add(&dp->peers, handle, t->number, mtu, &t->login.to, t->env->now_ms);
    } else {
        before = peer_path(peer);
        peer_place(peer, &t->login.to);
        atomic_store_explicit(&peer->mtu, mtu, memory_order_relaxed);
        atomic_store_explicit(&peer->next_counter, 0, memory_order_relaxed);
        atomic_store_explicit(&peer->last_rx_ms, t->env->now_ms, memory_order_relaxed);
        atomic_store_explicit(&peer->unanswered_since_ms, 0, memory_order_relaxed);
    }
    atomic_store_explicit(&dp->ports[t->number].peer, handle, memory_order_release);
    return !ip_endpoint_equal(&before.remote, &t->login.to.remote);
}

void tunnel_connected(struct tunnel *t, const struct ipc_hs_done *done)
{
    const bool fresh = t->state != TUNNEL_CONNECTED;
    struct session *s = &t->session;
    struct netstate want;
    bool moved;

    /* Its slot, and so its lane, is agreed. */
    if (IPC_PEER_SLOT(done->peer) != t->number + 1) {
        tunnel_complain(t, COMPLAINT_STATUS, "the enclave has mixed up the tunnels: restart");
        return;
    }
    tunnel_lower(t, &done->lease, &want);
    if (want.n_addrs == 0) {
        tunnel_complain(t, COMPLAINT_STATUS,
                        "the server granted no usable address: ask its operator (tunnel.pool)");
        tunnel_disconnect(t);
        login_cancel(t);
        t->state = TUNNEL_CONNECTING;
        login_begin_after(t, TIMERS_PAUSE_MAX_MS);
        return;
    }
    moved = publish_peer(t, done->peer, done->lease.mtu);
    s->peer = done->peer;
    s->server_index = done->index;
    s->client_index = t->login.asked.client_index;
    s->lease = done->lease;
    s->keepalive_ms =
        1000U * (done->lease.keepalive_s ? done->lease.keepalive_s : KEEPALIVE_DEFAULT_S);
    s->started_ms = t->env->now_ms;
    s->rekey_at_ms = s->started_ms + timers_rekey_ms(randombytes_random());
    s->stale_at_ms = 0;
    stale_reset(&s->stale, t->env->now_ms);
    login_cancel(t);
    if (fresh)
        memset(t->said_ms, 0, sizeof(t->said_ms));
    if (t->profile->own_network)
        pushed_begin(&t->pushed);
    /* At once: the server's side of this session is confirmed by our first packet. */
    ping(t);
    /* The size found for this path stays in force while it is measured again. */
    probe_begin(t->env->dp, s->peer, &s->pmtu, moved, t->env->now_ms);

    t->state = TUNNEL_CONNECTED;
    if (fresh) {
        t->since_ms = t->env->now_ms;
        tunnel_say(t, LOG_LEVEL_INFO, "authentication successful: %s", t->profile->user);
    }
    t->fresh = t->fresh || fresh;
    if (tunnel_configure(t, &want))
        return; /* tunnel_settled() says the rest */
    t->fresh = false;
    if (fresh)
        tunnel_say(t, LOG_LEVEL_INFO, "connected");
    else {
        snprintf(t->message, sizeof(t->message), "connected");
        tunnel_line(t, LOG_LEVEL_DEBUG, "session renewed");
    }
}

void tunnel_disconnect(struct tunnel *t)
{
    struct dp_peer *peer = tunnel_peer(t);

    /* Packets that the host sends meanwhile are dropped, not sent outside the tunnel. */
    atomic_store_explicit(&t->env->dp->ports[t->number].peer, 0, memory_order_release);
    if (peer) {
        t->rx_bytes += load(&peer->rx_bytes);
        t->tx_bytes += load(&peer->tx_bytes);
        peers_remove(&t->env->dp->peers, t->session.peer);
    }
    t->session.peer = 0;
}

static void ask_routes(struct tunnel *t)
{
    uint8_t record[CONTROL_REQUEST_LEN], page;

    if (!pushed_due(&t->pushed, t->env->now_ms, &page))
        return;
    control_request_build(record, page);
    /* If the lane does not take it, the next second will. */
    (void)datapath_seal(t->env->dp, t->session.peer, WIRE_DATA, record, sizeof(record));
}

static unsigned int times_due(const struct tunnel *t, struct dp_peer *peer)
{
    const struct session *s = &t->session;
    const struct session_times times = {
        .started = s->started_ms,
        .rekey_at = s->rekey_at_ms,
        .last_rx = load(&peer->last_rx_ms),
        .last_tx = load(&peer->last_tx_ms),
        .unanswered_since = load(&peer->unanswered_since_ms),
        .last_ping = s->last_ping_ms,
        .stale_at = s->stale_at_ms,
        .keepalive_ms = s->keepalive_ms,
        .packets = load(&peer->next_counter),
    };

    return session_due(&times, t->env->now_ms);
}

static uint64_t session_tick(struct tunnel *t)
{
    struct session *s = &t->session;
    struct dp_peer *peer = tunnel_peer(t);
    const uint64_t now = t->env->now_ms;
    unsigned int due = peer ? times_due(t, peer) : SESSION_OVER;
    uint64_t next = now + TICK_MS, probe;

    /* Before it can be over: one that lasted and was lost in silence has lasted all the same. */
    t->cut_short = timers_cut_short(t->cut_short, now - t->since_ms, false);
    if (due & SESSION_OVER) {
        tunnel_disconnect(t);
        t->state = t->login.phase == LOGIN_PAUSED ? TUNNEL_WAITING : TUNNEL_CONNECTING;
        tunnel_say(t, LOG_LEVEL_WARNING, "connection lost: the server has not renewed the session");
        login_begin(t);
        return now;
    }
    if (stale_sample(&s->stale, load(&peer->next_counter), now))
        probe_path(t->env->dp, s->peer);
    if (due & SESSION_PING)
        ping(t);
    if (due & SESSION_LOGIN)
        login_begin(t);
    ask_routes(t);
    if (t->configure_at_ms && now >= t->configure_at_ms) {
        struct netstate want = t->netstate;

        (void)tunnel_configure(t, &want);
    }
    if (s->stale_at_ms && now < s->stale_at_ms + TIMERS_STALE_MS)
        next = s->stale_at_ms + TIMERS_STALE_MS;
    probe = probe_tick(t->env->dp, s->peer, &s->pmtu, now);
    return probe < next ? probe : next;
}

/* The lease is the one it was; what follows from it for the kernel may not be. */
static void lower_again(struct tunnel *t)
{
    struct netstate want;

    tunnel_lower(t, &t->session.lease, &want);
    want.routing.server = t->netstate.routing.server;
    (void)tunnel_configure(t, &want);
}

uint64_t tunnel_tick(struct tunnel *t)
{
    uint64_t session = UINT64_MAX, login;

    /* Whether connected or not, its routes are set.  Without an enclave, a login comes first. */
    if (t->kept_version != t->env->kept_version && t->netstate.routing.up &&
        t->profile->own_network && t->state != TUNNEL_DOWN)
        lower_again(t);
    if (t->state == TUNNEL_DOWN || t->state == TUNNEL_REFUSED)
        return UINT64_MAX;
    if (t->state == TUNNEL_CONNECTED)
        session = session_tick(t);
    login = login_tick(t);
    return session < login ? session : login;
}

/* ---- events -----------------------------------------------------------------------------------
 */

void tunnel_enclave_ready(struct tunnel *t)
{
    if (t->state != TUNNEL_DOWN)
        return;
    t->state = TUNNEL_CONNECTING;
    login_begin(t);
}

void tunnel_enclave_down(struct tunnel *t)
{
    tunnel_disconnect(t);
    login_cancel(t);
    t->session.started_ms = 0;
    t->n_allowed = 0;
    tunnel_untold(t);
    if (t->state == TUNNEL_REFUSED)
        return;
    t->state = TUNNEL_DOWN;
    snprintf(t->message, sizeof(t->message), "waiting for the enclave");
}

void tunnel_message(struct tunnel *t, const union ipc_msg *msg)
{
    if (t->state == TUNNEL_DOWN || t->state == TUNNEL_REFUSED)
        return;
    if (msg->hdr.type == IPC_HS_CONNECT)
        login_request(t, msg->hs_connect.msg);
    else if (msg->hdr.type == IPC_HS_DONE && msg->hs_done.status == WIRE_STATUS_OK)
        tunnel_connected(t, &msg->hs_done);
    else if (msg->hdr.type == IPC_HS_DONE)
        login_status(t, msg->hs_done.status);
}

bool tunnel_answer(struct tunnel *t, const uint8_t resp[WIRE_CONNECT_RESP_LEN],
                   const struct path *from)
{
    union ipc_msg msg;

    if (t->login.phase != LOGIN_SENT ||
        be32_get(resp + WIRE_RESP_CLIENT_INDEX) != t->login.asked.client_index)
        return false;
    /* The address of ours that was answered: the first packet shall not look like a move. */
    if (ip_endpoint_equal(&from->remote, &t->login.to.remote))
        t->login.to.local = from->local;
    ipc_fill(&msg, IPC_HS_ANSWER);
    msg.hs_answer.tunnel = t->number;
    memcpy(msg.hs_answer.msg, resp, WIRE_CONNECT_RESP_LEN);
    /* If the enclave does not take it, the server is asked again in 5 s. */
    (void)link_send(t->env->link, &msg);
    return true;
}

/* Does it know what only our server, or who sees our packets, can know? */
static bool stale_knows(struct session *s, const uint8_t nonce[WIRE_NONCE_LEN], uint64_t next,
                        uint64_t now_ms)
{
    uint32_t client_index;

    if (be32_get(nonce) != s->server_index)
        return false;
    if (stale_is_unasked(nonce, &client_index))
        return client_index == s->client_index && stale_heed_unasked(&s->stale, now_ms);
    return stale_heed(&s->stale, be64_get(nonce + 4), next, now_ms);
}

bool tunnel_stale(struct tunnel *t, const uint8_t msg[WIRE_STALE_LEN], const struct path *from)
{
    const uint8_t *nonce = msg + WIRE_HEADER_LEN + 8;
    struct dp_peer *peer = tunnel_peer(t);
    struct path path;

    if (t->state != TUNNEL_CONNECTED || !peer)
        return false;
    path = peer_path(peer);
    if (!ip_endpoint_equal(&from->remote, &path.remote) || !stale_valid(&t->mac, msg) ||
        !stale_knows(&t->session, nonce, load(&peer->next_counter), t->env->now_ms))
        return false;
    t->session.stale_at_ms = t->env->now_ms;
    ping(t);
    login_hurry(t);
    return true;
}

void tunnel_moved(struct tunnel *t)
{
    struct dp_peer *peer = tunnel_peer(t);
    struct netstate want = t->netstate;

    if (!peer || !t->netstate.routing.up)
        return;
    want.routing.server = peer_path(peer).remote;
    (void)tunnel_configure(t, &want);
}

void tunnel_proven(struct tunnel *t)
{
    probe_begin(t->env->dp, t->session.peer, &t->session.pmtu, true, t->env->now_ms);
}

void tunnel_probed(struct tunnel *t, uint64_t id)
{
    probe_answered(t->env->dp, t->session.peer, &t->session.pmtu, id);
}

void tunnel_shrunk(struct tunnel *t)
{
    probe_shrunk(t->env->dp, t->session.peer, &t->session.pmtu, t->env->now_ms);
}

void tunnel_disconnected(struct tunnel *t, uint8_t reason)
{
    static const char *const sentences[] = {
        [WIRE_DISCONNECT_REPLACED] = "another device of this user has taken over the address",
        [WIRE_DISCONNECT_KICKED] = "the server's operator has disconnected this device",
        [WIRE_DISCONNECT_DISABLED] = "this user is disabled or has expired",
    };
    uint32_t pause;

    tunnel_disconnect(t);
    login_cancel(t);
    if (reason >= WIRE_DISCONNECT_REPLACED && reason <= WIRE_DISCONNECT_DISABLED) {
        t->state = TUNNEL_REFUSED;
        tunnel_say(t, LOG_LEVEL_WARNING, "%s: not logging in again until told to (SIGHUP)",
                   sentences[reason]);
        return;
    }
    t->cut_short = timers_cut_short(t->cut_short, t->env->now_ms - t->since_ms, true);
    pause = timers_ended_ms(t->cut_short, randombytes_random());
    t->state = TUNNEL_CONNECTING;
    if (t->cut_short > TIMERS_ENDED_FREE)
        tunnel_say(t, LOG_LEVEL_WARNING,
                   "the server ends one session after the other: reconnecting in %u s",
                   (pause + 999) / 1000);
    else
        tunnel_say(t, LOG_LEVEL_INFO, "the server has ended the session: reconnecting");
    login_begin_after(t, pause);
    t->login.restart = reason == WIRE_DISCONNECT_SHUTDOWN;
}

void tunnel_control(struct tunnel *t, const uint8_t *record, size_t len)
{
    struct control_answer answer;
    int rc;

    /* Routes of the operator's own file go before anything the server says. */
    if (t->state != TUNNEL_CONNECTED || !t->profile->own_network ||
        control_answer_parse(record, len, &answer) < 0)
        return;
    rc = pushed_answer(&t->pushed, &answer);
    if (rc == -E2BIG)
        tunnel_complain(t, COMPLAINT_ROUTES,
                        "the server pushes more than %d routes: none of them is set",
                        PUSHED_PAGES_MAX * CONTROL_ROUTES_MAX);
    if (rc < 0)
        return;
    ask_routes(t);
    if (pushed_take_over(&t->pushed))
        lower_again(t);
}

void tunnel_retry(struct tunnel *t)
{
    if (t->state == TUNNEL_REFUSED) {
        memset(t->said_ms, 0, sizeof(t->said_ms));
        t->state = TUNNEL_DOWN;
        if (link_state(t->env->link) == LINK_READY && t->env->dp->running)
            tunnel_enclave_ready(t);
    } else if (t->state == TUNNEL_WAITING) {
        memset(t->said_ms, 0, sizeof(t->said_ms));
        login_resume(t);
    }
}

void tunnel_leave(struct tunnel *t)
{
    const uint8_t text[WIRE_PAD] = {WIRE_DISCONNECT_UNSPECIFIED};

    if (tunnel_peer(t))
        (void)datapath_seal(t->env->dp, t->session.peer, WIRE_DISCONNECT, text, sizeof(text));
    login_cancel(t);
}

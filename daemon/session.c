/*
 * Logins and sessions of the server.
 *
 * Theory of operation
 * -------------------
 * A CONNECT_REQ that is admitted (login.c) goes through the enclave under a number, the *ref*:
 * HS_REQUEST(ref) → HS_AUTH(ref, handle) → HS_GRANT(handle) → HS_RESPONSE(ref, peer).  A reserved
 * lease and an unconfirmed peer come of it, nothing else: a replayed or unfinished login costs ten
 * seconds of a reservation.  The first valid packet promotes the session in the enclave; only then
 * are the addresses routed to the peer.
 */
#include "daemon/events.h"
#include "daemon/session.h"

#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "daemon/admission.h"
#include "daemon/keeper.h"
#include "daemon/networks.h"
#include "daemon/roster.h"
#include "daemon/server.h"

#define STALE_PER_SECOND 100
#define STALE_SOURCES    256 /* a source hashes to one of these; one STALE per second each */

struct sessions {
    struct server_session *table; /* by peer slot */
    uint32_t high;                /* slots used so far */
    uint32_t bound;
    uint64_t stale_second[STALE_SOURCES];
    uint64_t stale_now;
    uint32_t stale_used;
};

struct sessions *sessions_new(void)
{
    struct sessions *s = calloc(1, sizeof(*s));

    if (!s)
        return NULL;
    s->table = calloc(IPC_MAX_PEERS + 1, sizeof(*s->table));
    if (!s->table) {
        free(s);
        return NULL;
    }
    return s;
}

void sessions_free(struct sessions *s)
{
    if (!s)
        return;
    free(s->table);
    free(s);
}

struct server_session *session_get(struct sessions *s, uint32_t peer)
{
    struct server_session *session = &s->table[IPC_PEER_SLOT(peer)];

    return session->state != SERVER_SESSION_NONE && session->peer == peer ? session : NULL;
}

struct server_session *sessions_each(struct sessions *s, struct server_session *after)
{
    uint32_t i = after ? (uint32_t)(after - s->table) + 1 : 1;

    for (; i <= s->high; i++)
        if (s->table[i].state != SERVER_SESSION_NONE)
            return &s->table[i];
    return NULL;
}

uint32_t sessions_bound(const struct sessions *s)
{
    return s->bound;
}

const char *session_name(const struct server *s, const struct server_session *session)
{
    return users_name(s->users, session->lease->user);
}

/* ---- ending a session --------------------------------------------------------------------------
 */

static void unroute(struct server *s, const struct server_session *session)
{
    const struct ip_addr *addrs[] = {&session->lease->ip4, &session->lease->ip6};
    int i;

    for (i = 0; i < 2; i++)
        if (addrs[i]->family && lookup_own(s->dp.lookup, addrs[i]) == session->peer)
            (void)lookup_remove(s->dp.lookup, addrs[i]);
}

/* Its addresses are routed to it no longer, and its device may have them again. */
static void session_withdraw(struct server *s, struct server_session *session)
{
    if (session->state == SERVER_SESSION_BOUND) {
        unroute(s, session);
        networks_down(s, session->lease->user, session->peer);
        events_session(s, "logout", session);
        s->sessions->bound--;
        keeper_changed(s);
    }
    /* A lease that its device took along into a newer session is that one's. */
    if (session->state != SERVER_SESSION_ENDING && session->lease->holder == session->peer)
        leases_release(s->leases, session->lease, &s->now);
}

/* Forget it on our side; the caller has dealt with the enclave's. */
static void session_forget(struct server *s, struct server_session *session)
{
    session_withdraw(s, session);
    roster_strike(s->roster, IPC_PEER_SLOT(session->peer));
    peers_remove(&s->dp.peers, session->peer);
    memset(session, 0, sizeof(*session));
}

static void drop_peer(struct server *s, uint32_t peer)
{
    union ipc_msg msg;

    ipc_fill(&msg, IPC_PEER_DROP);
    msg.peer_drop.peer = peer;
    (void)link_send(s->link, &msg);
}

void session_end(struct server *s, struct server_session *session)
{
    drop_peer(s, session->peer);
    session_forget(s, session);
}

static void session_tell(struct server *s, const struct server_session *session, uint8_t reason)
{
    uint8_t text[16] = {reason};

    (void)datapath_seal(&s->dp, session->peer, WIRE_DISCONNECT, text, sizeof(text));
}

/*
 * The message must still be sealed and sent by the lane, so the keys go a moment later
 * (check_session()).
 */
void session_close(struct server *s, struct server_session *session, uint8_t reason)
{
    if (session->state != SERVER_SESSION_BOUND) {
        /* Nobody has confirmed it: there is no one to tell. */
        session_end(s, session);
        return;
    }
    session_tell(s, session, reason);
    session_withdraw(s, session);
    roster_strike(s->roster, IPC_PEER_SLOT(session->peer));
    session->state = SERVER_SESSION_ENDING;
    session->lease = NULL;
    session->changed_ms = s->now.mono_ms;
}

void sessions_clear(struct server *s)
{
    struct server_session *session = NULL;

    while ((session = sessions_each(s->sessions, session)) != NULL)
        session_forget(s, session);
    logins_clear(s->logins);
}

void sessions_goodbye(struct server *s)
{
    struct server_session *session = NULL;

    while ((session = sessions_each(s->sessions, session)) != NULL)
        if (session->state == SERVER_SESSION_BOUND)
            session_tell(s, session, WIRE_DISCONNECT_SHUTDOWN);
}

/* ---- a login ------------------------------------------------------------------------------------
 */

static void count(struct server *s, enum hs_count what)
{
    s->hs_counts[what]++;
}

static void lease_fill(const struct server *s, const struct lease *lease, uint16_t mtu,
                       struct ipc_lease *out)
{
    const struct config *c = s->config;
    const struct ip_prefix *own4 = config_prefix(c, 4), *own6 = config_prefix(c, 6);

    if (lease->ip4.family && own4) {
        memcpy(out->ip4, lease->ip4.bytes, 4);
        memcpy(out->gateway4, own4->addr.bytes, 4);
        memcpy(out->dns4, c->dns4.bytes, 4);
        out->prefix4 = own4->len;
    }
    if (lease->ip6.family && own6) {
        memcpy(out->ip6, lease->ip6.bytes, 16);
        memcpy(out->gateway6, own6->addr.bytes, 16);
        memcpy(out->dns6, c->dns6.bytes, 16);
        out->prefix6 = own6->len;
    }
    out->mtu = mtu;
    out->keepalive_s = 25;
    out->lease_s = c->session_timeout_s;
}

/* The smaller MTU wins; a client's wish is kept within the protocol's bounds. */
static uint16_t common_mtu(const struct server *s, uint16_t wish)
{
    if (wish < WIRE_MTU_MIN)
        wish = WIRE_MTU_MIN;
    return wish < s->config->mtu ? wish : s->config->mtu;
}

void sessions_auth(struct server *s, const struct ipc_hs_auth *auth)
{
    struct login *login = logins_auth(s, auth->ref);
    struct ip_addr want = {0};
    struct lease *lease = NULL;
    enum wire_status status;
    const struct user *user;
    union ipc_msg msg;

    if (!login)
        return;
    memcpy(want.bytes, auth->want_ip4, 4);
    if (memcmp(auth->want_ip4, "\0\0\0\0", 4) != 0)
        want.family = 4;
    user = users_get(s->users, auth->user_id);
    if (!user)
        status = WIRE_STATUS_DENIED; /* removed while this was under way */
    else if (!config_user_allowed(user->conf, s->now.real_us / 1000000))
        status = WIRE_STATUS_DISABLED;
    else
        status = leases_reserve(s->leases, auth->user_id, user->conf, auth->device_id, &want,
                                s->now.mono_ms, &lease);
    ipc_fill(&msg, IPC_HS_GRANT);
    msg.hs_grant.handle = auth->handle;
    msg.hs_grant.status = status;
    if (status == WIRE_STATUS_OK) {
        login->lease = lease;
        login->mtu = common_mtu(s, auth->mtu);
        lease_fill(s, lease, login->mtu, &msg.hs_grant.lease);
    } else {
        static struct log_limit limit = LOG_LIMIT_INIT(10000, 5);

        log_limited(&limit, s->now.mono_ms, LOG_LEVEL_WARNING, "%s: login refused: %s",
                    users_name(s->users, auth->user_id), wire_status_name(status));
    }
    if (link_send(s->link, &msg) < 0)
        count(s, HS_COUNT_OVERLOAD);
}

/* A device has one peer at a time: the enclave has given up the one it had before. */
static void forget_former(struct server *s, uint32_t peer, const struct lease *lease)
{
    struct server_session *former =
        lease->holder && lease->holder != peer ? session_get(s->sessions, lease->holder) : NULL;

    if (former && former->lease == lease)
        session_forget(s, former);
}

/* The enclave gave this login a peer: a new one, or the one this device has already. */
static void note_session(struct server *s, uint32_t peer, const struct login *login,
                         const uint8_t answer[WIRE_CONNECT_RESP_LEN])
{
    const struct session_indexes indexes = {.client = be32_get(answer + WIRE_RESP_CLIENT_INDEX),
                                            .server = be32_get(answer + WIRE_RESP_SERVER_INDEX)};
    struct sessions *ss = s->sessions;
    uint32_t slot = IPC_PEER_SLOT(peer);
    struct server_session *session = &ss->table[slot];

    if (slot == 0)
        return;
    forget_former(s, peer, login->lease);
    leases_claim(s->leases, login->lease, s->now.mono_ms);
    login->lease->holder = peer;
    if (session->peer == peer &&
        (session->state == SERVER_SESSION_BOUND || session->state == SERVER_SESSION_RESERVED)) {
        struct dp_peer *dp = peers_get(&s->dp.peers, peer);

        if (dp)
            atomic_store_explicit(&dp->mtu, login->mtu, memory_order_relaxed);
        if (session->state == SERVER_SESSION_RESERVED)
            session->changed_ms = s->now.mono_ms;
        session->answered = indexes;
        return;
    }
    /* The slot was another peer's, which the enclave has given up by itself. */
    if (session->state != SERVER_SESSION_NONE)
        session_forget(s, session);
    if (slot > ss->high)
        ss->high = slot;
    *session = (struct server_session){
        .peer = peer,
        .state = SERVER_SESSION_RESERVED,
        .lease = login->lease,
        .changed_ms = s->now.mono_ms,
        .answered = indexes,
    };
    peers_add(&s->dp.peers, peer, 0, login->mtu, &login->path, s->now.mono_ms);
}

/* False when a reload took its addresses away. */
static bool has_addresses(struct server *s, const struct lease *lease)
{
    const struct user *user = lease ? users_get(s->users, lease->user) : NULL;

    return user && leases_fit(s->leases, lease, user->conf, false);
}

void sessions_response(struct server *s, const struct ipc_hs_response *response)
{
    struct login *login = logins_find(s, response->ref);

    if (!login)
        return;
    if (response->peer && !has_addresses(s, login->lease)) {
        /* As if the answer were lost on its way. */
        drop_peer(s, response->peer);
    } else {
        if (response->peer)
            note_session(s, response->peer, login, response->msg);
        (void)datapath_send(&s->dp, response->msg, sizeof(response->msg), &login->path);
    }
    logins_done(s, login);
}

/* ---- confirmation
 * -------------------------------------------------------------------------------- */

static bool same_device(const struct server_session *a, const struct server_session *b)
{
    return a->lease->user == b->lease->user &&
           memcmp(a->lease->device, b->lease->device, WIRE_DEVICE_ID_LEN) == 0;
}

/* An address that another device of the user held passes to this one. */
static void route_address(struct server *s, const struct ip_addr *addr,
                          const struct server_session *session)
{
    uint32_t peer = session->peer;
    uint32_t holder;

    if (!addr->family)
        return;
    holder = lookup_own(s->dp.lookup, addr);
    if (holder && holder != peer) {
        struct server_session *old = session_get(s->sessions, holder);

        if (old && old->state == SERVER_SESSION_BOUND && same_device(old, session)) {
            session_end(s, old); /* it came back under a new session of the enclave */
        } else if (old && old->state == SERVER_SESSION_BOUND) {
            log_info("%s: replaced by another device", session_name(s, old));
            session_close(s, old, WIRE_DISCONNECT_REPLACED);
        } else {
            (void)lookup_remove(s->dp.lookup, addr);
        }
    }
    if (holder != peer && lookup_add(s->dp.lookup, addr, peer) < 0)
        log_error("the address table is full: raise server.max-clients");
}

static void bind_lease(struct server *s, struct lease *lease)
{
    leases_bind(s->leases, lease, &s->now);
    /* The claim was that of the login which is confirmed now; another one's must not end with it:
     * a lease that a login points to is not to be given up. */
    if (logins_have_lease(s->logins, lease))
        leases_claim(s->leases, lease, s->now.mono_ms);
}

/* Until here the client may have the former ones alone: an answer gets lost, or was to a replay. */
static void confirm_indexes(struct server_session *session)
{
    if (session->answered.server)
        session->confirmed = session->answered;
    session->answered = (struct session_indexes){0};
}

void sessions_promoted(struct server *s, uint32_t peer)
{
    struct server_session *session = session_get(s->sessions, peer);
    char a4[IP_ADDR_STRLEN], a6[IP_ADDR_STRLEN], from[IP_ENDPOINT_STRLEN];
    struct dp_peer *dp = peers_get(&s->dp.peers, peer);
    struct path path;

    if (!session || !dp)
        return;
    confirm_indexes(session);
    if (session->state == SERVER_SESSION_BOUND) {
        bind_lease(s, session->lease);
        sessions_roster(s, peer);
        sessions_measure(s, peer, false);
    }
    if (session->state != SERVER_SESSION_RESERVED)
        return;
    if (!has_addresses(s, session->lease)) {
        session_end(s, session);
        return;
    }
    route_address(s, &session->lease->ip4, session);
    route_address(s, &session->lease->ip6, session);
    networks_up(s, session->lease->user, peer);
    bind_lease(s, session->lease);
    session->state = SERVER_SESSION_BOUND;
    session->since_us = s->now.real_us;
    s->sessions->bound++;
    keeper_changed(s);
    sessions_roster(s, peer);
    sessions_measure(s, peer, true);
    path = peer_path(dp);
    log_info("%s: connected from %s, address %s%s%s", session_name(s, session),
             ip_endpoint_format(&path.remote, from),
             session->lease->ip4.family ? ip_addr_format(&session->lease->ip4, a4) : "",
             session->lease->ip4.family && session->lease->ip6.family ? ", " : "",
             session->lease->ip6.family ? ip_addr_format(&session->lease->ip6, a6) : "");
    events_session(s, "login", session);
}

void sessions_disconnect(struct server *s, uint32_t peer, uint8_t reason)
{
    struct server_session *session = session_get(s->sessions, peer);

    if (!session || session->state == SERVER_SESSION_ENDING)
        return;
    log_info("%s: disconnected (reason %u)", session_name(s, session), reason);
    session_end(s, session);
}

/* ---- unknown sessions
 * ---------------------------------------------------------------------------- */

static bool stale_allowed(struct sessions *ss, const struct ip_addr *source, uint64_t now_ms)
{
    uint64_t second = now_ms / 1000;
    uint8_t bytes[ADMISSION_SOURCE_LEN];
    uint32_t h = 2166136261U;
    int i;

    admission_source(source, bytes);
    for (i = 0; i < ADMISSION_SOURCE_LEN; i++)
        h = (h ^ bytes[i]) * 16777619U;
    h = (h ^ h >> 15) % STALE_SOURCES;
    if (ss->stale_now != second) {
        ss->stale_now = second;
        ss->stale_used = 0;
    }
    if (ss->stale_used >= STALE_PER_SECOND || ss->stale_second[h] == second)
        return false;
    ss->stale_used++;
    ss->stale_second[h] = second;
    return true;
}

void sessions_unknown(struct server *s, const struct dp_event *event)
{
    uint8_t stale[WIRE_STALE_LEN];

    if (!stale_allowed(s->sessions, &event->from.remote.addr, s->now.mono_ms)) {
        count(s, HS_COUNT_STALE_BUDGET);
        return;
    }
    stale_build(&s->dp.mac, event->data, s->now.stamp_ms, stale);
    (void)datapath_send(&s->dp, stale, sizeof(stale), &event->from);
}

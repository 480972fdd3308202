/*
 * A tunnel's login: from the server's name to an authenticated answer, again and again until there
 * is one.
 *
 * Every request is fresh (a new ephemeral key, made by the enclave) and goes to the next of the
 * server's addresses, the families in turn; the name is looked up anew each time, because a server
 * that does not answer may have moved.
 */
#include <sodium.h>
#include <string.h>

#include "client/timers.h"
#include "client/tunnel.h"
#include "daemon/datapath/udp.h"

#define CHALLENGES_MAX    2 /* restarts within one attempt */
#define COOKIES_MAX       2 /* likewise */
#define COOKIE_MS         120000
#define BUSY_MS           200 /* the enclave's socket is full */
#define NAME_RETRY_MS     5000
#define REFUSED_RETRY_MS  60000 /* what a person must mend is not mended sooner */
#define BETWEEN_LOGINS_MS 1000  /* the enclave wipes what the last one made */

static void attempt(struct tunnel *t);

static void pause_for(struct tunnel *t, uint32_t ms)
{
    t->login.phase = LOGIN_PAUSED;
    t->login.due_ms = t->env->now_ms + ms;
    if (t->state == TUNNEL_CONNECTING)
        t->state = TUNNEL_WAITING;
}

/* ---- the request ------------------------------------------------------------------------------
 */

/* The enclave drops what comes from or goes elsewhere: it must know before the session begins. */
static int send_allowed(struct tunnel *t)
{
    const struct profile_tunnel *p = t->profile;

    while (t->n_allowed < p->n_routes + p->n_networks) {
        const bool is_route = t->n_allowed < p->n_routes;
        int rc = tunnel_allow(t, is_route ? IPC_ALLOW_SOURCE : IPC_ALLOW_DESTINATION,
                              is_route ? &p->routes[t->n_allowed]
                                       : &p->networks[t->n_allowed - p->n_routes]);

        if (rc < 0)
            return rc;
        t->n_allowed++;
    }
    return 0;
}

static int send_connect(struct tunnel *t)
{
    union ipc_msg msg;
    int rc = send_allowed(t);

    if (rc < 0)
        return rc;
    ipc_fill(&msg, IPC_CONNECT);
    msg.connect.tunnel = t->number;
    msg.connect.sequence = t->login.sequence + 1;
    msg.connect.mtu = t->profile->mtu ? t->profile->mtu : WIRE_MTU_MAX;
    memcpy(msg.connect.device_id, t->device_id, sizeof(msg.connect.device_id));
    /* The address we had, so that connections survive a server that has forgotten it. */
    memcpy(msg.connect.want_ip4, t->session.lease.ip4, sizeof(msg.connect.want_ip4));
    return link_send(t->env->link, &msg);
}

static void ask(struct tunnel *t)
{
    struct login *l = &t->login;

    if (send_connect(t) < 0) {
        pause_for(t, BUSY_MS);
        return;
    }
    l->sequence++;
    l->phase = LOGIN_ASKED;
    l->asked_ms = t->env->now_ms;
    l->due_ms = l->asked_ms + (l->restart && l->asked_ms - l->began_ms < TIMERS_RESTART_SPAN_MS
                                   ? timers_restart_ms(randombytes_random())
                                   : timers_answer_ms(randombytes_random()));
}

static uint32_t lane_of(const struct tunnel *t)
{
    return (t->number + 1) % t->env->dp->n_lanes;
}

static uint32_t socket_of(const struct ip_addr *addr)
{
    return addr->family == 4 ? TUNNEL_SOCKET_IP4 : TUNNEL_SOCKET_IP6;
}

/* The next address of a family that this host speaks. */
static bool choose(struct tunnel *t)
{
    for (size_t i = 0; i < t->addrs.n; i++) {
        const struct ip_addr *addr = &t->addrs.addrs[(t->login.attempts - 1 + i) % t->addrs.n];

        if (t->env->dp->sockets[lane_of(t)][socket_of(addr)] < 0)
            continue;
        t->login.to = (struct path){
            .remote = {.addr = *addr, .port = t->profile->server_port},
            .socket = socket_of(addr),
        };
        return true;
    }
    return false;
}

static void say_connecting(struct tunnel *t)
{
    char addr[IP_ADDR_STRLEN];

    /* Each address once; a tunnel that has a session renews it in silence. */
    if (t->state != TUNNEL_CONNECTING || t->login.attempts > t->addrs.n)
        return;
    ip_addr_format(&t->login.to.remote.addr, addr);
    if (strstr(t->profile->server, addr))
        tunnel_say(t, LOG_LEVEL_INFO, "connecting to %s", t->profile->server);
    else
        tunnel_say(t, LOG_LEVEL_INFO, "connecting to %s (%s)", t->profile->server, addr);
}

static void go(struct tunnel *t)
{
    if (!choose(t)) {
        tunnel_complain(t, COMPLAINT_UNREACHABLE,
                        "the server's addresses are of a family that this host does not have");
        pause_for(t, NAME_RETRY_MS);
        return;
    }
    say_connecting(t);
    tunnel_aim(t, &t->login.to.remote);
    ask(t);
}

/* ---- the name ---------------------------------------------------------------------------------
 */

static void resolved(void *ctx, const struct resolve_result *result)
{
    struct tunnel *t = ctx;

    t->resolving = false;
    if (result->n > 0)
        t->addrs = *result;
    else
        tunnel_complain(t, COMPLAINT_NAME,
                        "the server's name %s cannot be resolved: %s (check server in the "
                        "configuration, and this host's name servers)",
                        t->profile->server_host, result->why);
    if (t->login.phase != LOGIN_RESOLVING)
        return;
    /* The last addresses we knew serve when the name server is beyond the broken tunnel. */
    if (t->addrs.n > 0)
        go(t);
    else
        pause_for(t, NAME_RETRY_MS);
}

static void resolve(struct tunnel *t)
{
    struct ip_addr literal;

    if (ip_addr_parse(t->profile->server_host, &literal) == 0) {
        t->addrs.addrs[0] = literal;
        t->addrs.n = 1;
        go(t);
        return;
    }
    t->login.phase = LOGIN_RESOLVING;
    if (t->resolving)
        return;
    if (resolve_start(t->env->helper, t->env->dns, t->profile->server_host, resolved, t) < 0)
        pause_for(t, NAME_RETRY_MS);
    else
        t->resolving = true;
}

/* ---- attempts ---------------------------------------------------------------------------------
 */

static void attempt(struct tunnel *t)
{
    struct dp_peer *peer = tunnel_peer(t);

    t->login.challenges = 0;
    t->login.cookies = 0;
    t->login.attempts++;
    /* A session knows where its server is, wherever it has moved. */
    if (peer && t->login.attempts == 1) {
        t->login.to = peer_path(peer);
        ask(t);
    } else {
        resolve(t);
    }
}

static void unanswered(struct tunnel *t)
{
    struct login *l = &t->login;
    uint32_t pause = timers_pause_ms(t->env->now_ms - l->began_ms, l->pauses, randombytes_random());

    if (l->phase == LOGIN_SENT)
        tunnel_complain(t, COMPLAINT_NO_ANSWER,
                        "no answer: server down, UDP port blocked, or server-key is not this "
                        "server's");
    if (pause == 0) {
        attempt(t);
        return;
    }
    l->pauses++;
    pause_for(t, pause);
}

void login_begin_after(struct tunnel *t, uint32_t ms)
{
    if (t->login.phase != LOGIN_NONE)
        return;
    memset(&t->login, 0, sizeof(t->login));
    t->login.began_ms = t->env->now_ms;
    pause_for(t, ms);
}

void login_begin(struct tunnel *t)
{
    const uint64_t earliest = t->session.started_ms + BETWEEN_LOGINS_MS;

    if (t->login.phase != LOGIN_NONE)
        return;
    if (t->session.started_ms && t->env->now_ms < earliest) {
        login_begin_after(t, (uint32_t)(earliest - t->env->now_ms));
        return;
    }
    memset(&t->login, 0, sizeof(t->login));
    t->login.began_ms = t->env->now_ms;
    attempt(t);
}

void login_cancel(struct tunnel *t)
{
    t->login.phase = LOGIN_NONE;
}

void login_resume(struct tunnel *t)
{
    if (t->login.phase != LOGIN_PAUSED)
        return;
    if (t->state == TUNNEL_WAITING)
        t->state = TUNNEL_CONNECTING;
    attempt(t);
}

void login_hurry(struct tunnel *t)
{
    struct login *l = &t->login;

    /* What was asked a moment ago may still be answered. */
    if ((l->phase == LOGIN_SENT || l->phase == LOGIN_PAUSED) &&
        t->env->now_ms - l->asked_ms >= TIMERS_STALE_MS)
        attempt(t);
}

uint64_t login_tick(struct tunnel *t)
{
    struct login *l = &t->login;

    if (l->phase == LOGIN_NONE || l->phase == LOGIN_RESOLVING)
        return UINT64_MAX;
    if (t->env->now_ms >= l->due_ms) {
        if (l->phase == LOGIN_PAUSED)
            login_resume(t);
        else
            unanswered(t);
    }
    return l->phase == LOGIN_NONE || l->phase == LOGIN_RESOLVING ? UINT64_MAX : l->due_ms;
}

/* ---- what comes back --------------------------------------------------------------------------
 */

/* A cookie is for the one server that gave it. */
static bool have_cookie(const struct tunnel *t)
{
    return t->env->now_ms < t->cookie.until_ms &&
           ip_endpoint_equal(&t->cookie.server, &t->login.to.remote);
}

void login_request(struct tunnel *t, const uint8_t made[WIRE_CONNECT_REQ_LEN])
{
    struct login *l = &t->login;
    uint8_t req[WIRE_CONNECT_REQ_LEN];
    char addr[IP_ENDPOINT_STRLEN];
    int rc;

    if (l->phase != LOGIN_ASKED)
        return;
    memcpy(req, made, sizeof(req));
    cookie_request_read(req, &l->asked);
    if (have_cookie(t))
        mac2_put(t->cookie.value, req);
    l->phase = LOGIN_SENT;
    /* From the lane's own socket: where the server answers to is where its packets shall come. */
    rc = udp_send_one(t->env->dp->sockets[lane_of(t)][l->to.socket], req, WIRE_CONNECT_REQ_LEN,
                      &l->to);
    if (rc < 0)
        tunnel_complain(t, COMPLAINT_UNREACHABLE, "the server's address %s cannot be reached: %s",
                        ip_endpoint_format(&l->to.remote, addr), strerror(-rc));
}

bool login_cookie(struct tunnel *t, const uint8_t msg[WIRE_COOKIE_LEN])
{
    struct login *l = &t->login;

    if (l->phase != LOGIN_SENT || cookie_open(&t->mac, msg, &l->asked, t->cookie.value) < 0)
        return false;
    t->cookie.server = l->to.remote;
    t->cookie.until_ms = t->env->now_ms + COOKIE_MS;
    if (l->cookies++ < COOKIES_MAX) {
        tunnel_line(t, LOG_LEVEL_DEBUG, "the server is busy: asking again with its cookie");
        ask(t);
    }
    return true;
}

static const char *status_sentence(uint32_t status)
{
    switch ((enum wire_status)status) {
    case WIRE_STATUS_POOL_FULL:
        return "the server has no address left: wait until a device logs out, or ask its operator "
               "for a larger pool";
    case WIRE_STATUS_DEVICE_LIMIT:
        return "this user has as many devices logged in as is allowed: disconnect one, or ask the "
               "server's operator for a higher max-devices";
    case WIRE_STATUS_DISABLED:
        return "this user is disabled or has expired: ask the server's operator";
    case WIRE_STATUS_BAD_REV:
        return "the server speaks another revision of the protocol: update the older of the two";
    case WIRE_STATUS_DENIED:
        return "login refused: user, token or realm is wrong";
    case WIRE_STATUS_OK:
    case WIRE_STATUS_CHALLENGE:
    case WIRE_STATUS_NUM:
        break;
    }
    return "the server refuses the login for a reason this release does not know: update it";
}

void login_status(struct tunnel *t, uint32_t status)
{
    struct login *l = &t->login;

    if (status == WIRE_STATUS_CHALLENGE) {
        /* The enclave has kept the challenge: the next request carries it. */
        if (l->phase == LOGIN_SENT && l->challenges++ < CHALLENGES_MAX)
            ask(t);
        return;
    }
    tunnel_complain(t, COMPLAINT_STATUS, "%s", status_sentence(status));
    if (status == WIRE_STATUS_POOL_FULL || status == WIRE_STATUS_DEVICE_LIMIT) {
        pause_for(t, timers_pause_ms(TIMERS_PATIENCE_MS, l->pauses++, randombytes_random()));
        return;
    }
    /* The server will not serve us: what is left of a session is worth nothing. */
    tunnel_disconnect(t);
    t->state = TUNNEL_CONNECTING;
    pause_for(t, REFUSED_RETRY_MS - randombytes_uniform(REFUSED_RETRY_MS / 10));
}

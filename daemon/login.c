/*
 * Logins on their way through the enclave.
 *
 * Theory of operation
 * -------------------
 * A request that is admitted (admission.c) gets a number, the *ref*, and a place in a ring.  From
 * there it goes to the enclave, at most IN_FLIGHT at a time: the enclave keeps a handle for each
 * authentic login until its lease comes, has 64 of them, and drops what finds none.  The ring is
 * first in, first out, and what waits in it or has no answer yet is the queue that admission looks
 * at.
 *
 * Packets have their own rings and threads.  A flood of logins fills this queue, never theirs, and
 * full packet rings do not hold up a login.
 */
#include "daemon/login.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "daemon/admission.h"
#include "daemon/server.h"

#define RING      256
#define IN_FLIGHT 48
#define TAKEN_MS  2000 /* the enclave's handle has expired by then */

static_assert(RING >= ADMISSION_QUEUE_MAX + IN_FLIGHT, "an admitted login finds a place");

struct logins {
    struct admission admission;
    struct cookie_jar jar;
    struct login ring[RING];
    uint32_t next_send, next_ref; /* WAITING are those from next_send up to next_ref */
    uint32_t sent, taken;
};

const char *hs_count_name(unsigned int count)
{
    static const char *const names[] = {
        [HS_COUNT_MALFORMED] = "login-malformed",
        [HS_COUNT_REPLAY] = "login-replay",
        [HS_COUNT_CRYPTO] = "login-forged",
        [HS_COUNT_UNKNOWN_KEY] = "login-unknown-key",
        [HS_COUNT_PEER_LIMIT] = "login-peer-limit",
        [HS_COUNT_BUSY] = "login-busy",
        [HS_COUNT_EXPIRED] = "login-expired",
        [HS_COUNT_NO_COOKIE] = "login-challenge-cookie",
        [HS_COUNT_CHALLENGE] = "login-challenge-limit",
        [HS_COUNT_ACCEPTED] = "login-accepted-limit",
        [HS_COUNT_NO_HANDLE] = "login-no-handle",
        [HS_COUNT_COOKIE] = "login-cookie",
        [HS_COUNT_SOURCE_LIMIT] = "login-source-limit",
        [HS_COUNT_OVERLOAD] = "login-overload",
        [HS_COUNT_NOT_READY] = "login-no-enclave",
        [HS_COUNT_STALE_BUDGET] = "stale-budget",
    };
    static_assert(ARRAY_SIZE(names) == HS_COUNT_NUM, "a new reason needs its name here");

    return count < HS_COUNT_NUM && names[count] ? names[count] : "unknown";
}

struct logins *logins_new(uint64_t now_ms)
{
    struct logins *l = calloc(1, sizeof(*l));

    if (!l)
        return NULL;
    admission_init(&l->admission);
    cookie_jar_init(&l->jar, now_ms);
    return l;
}

void logins_free(struct logins *l)
{
    free(l);
}

void logins_clear(struct logins *l)
{
    memset(l->ring, 0, sizeof(l->ring));
    l->next_send = l->next_ref;
    l->sent = l->taken = 0;
}

static uint32_t queued(const struct logins *l)
{
    return l->next_ref - l->next_send + l->sent;
}

/* ---- to the enclave ------------------------------------------------------------------------- */

static int send_request(struct server *s, const struct login *login)
{
    union ipc_msg msg;

    ipc_fill(&msg, IPC_HS_REQUEST);
    msg.hs_request.ref = login->ref;
    msg.hs_request.proven = login->proven;
    admission_source(&login->path.remote.addr, msg.hs_request.source);
    memcpy(msg.hs_request.msg, login->msg, WIRE_CONNECT_REQ_LEN);
    return link_send(s->link, &msg);
}

/* What does not fit into the socket now is sent after the next answer, or by the tick. */
static void send_waiting(struct server *s)
{
    struct logins *l = s->logins;

    while (l->next_send != l->next_ref && l->sent + l->taken < IN_FLIGHT) {
        struct login *login = &l->ring[l->next_send % RING];

        if (send_request(s, login) < 0)
            return;
        login->state = LOGIN_SENT;
        l->next_send++;
        l->sent++;
    }
}

static void login_free(struct logins *l, struct login *login)
{
    if (login->state == LOGIN_SENT)
        l->sent--;
    else if (login->state == LOGIN_TAKEN)
        l->taken--;
    login->state = LOGIN_FREE;
}

static void enqueue(struct server *s, const struct dp_event *event, bool proven)
{
    struct logins *l = s->logins;
    struct login *login = &l->ring[l->next_ref % RING];

    /* An enclave that answers out of turn could leave one here; a TAKEN one waits in vain. */
    if (login->state == LOGIN_SENT) {
        s->hs_counts[HS_COUNT_OVERLOAD]++;
        return;
    }
    login_free(l, login);
    *login = (struct login){
        .state = LOGIN_WAITING, .ref = l->next_ref++, .path = event->from, .proven = proven};
    memcpy(login->msg, event->data, WIRE_CONNECT_REQ_LEN);
    send_waiting(s);
}

/* ---- requests ------------------------------------------------------------------------------- */

static void send_cookie(struct server *s, const uint8_t *req, const struct path *to)
{
    uint8_t cookie[WIRE_MAC_LEN], msg[WIRE_COOKIE_LEN];
    struct cookie_request asked;

    cookie_make(&s->logins->jar, &to->remote, cookie);
    cookie_request_read(req, &asked);
    cookie_build(&s->dp.mac, &asked, cookie, s->now.stamp_ms, msg);
    (void)datapath_send(&s->dp, msg, sizeof(msg), to);
}

void logins_request(struct server *s, const struct dp_event *event)
{
    struct logins *l = s->logins;
    uint8_t source[ADMISSION_SOURCE_LEN];
    bool proven;

    if (event->length != WIRE_CONNECT_REQ_LEN)
        return;
    if (link_state(s->link) != LINK_READY) {
        s->hs_counts[HS_COUNT_NOT_READY]++;
        return;
    }
    cookie_jar_turn(&l->jar, s->now.mono_ms);
    /* Also when there is no load: the enclave asks for it beyond its limit of challenges. */
    proven = mac2_valid(&l->jar, &event->from.remote, event->data);
    admission_source(&event->from.remote.addr, source);
    switch (admission_decide(&l->admission, source, proven, queued(l), s->now.mono_ms)) {
    case ADMISSION_FORWARD:
        enqueue(s, event, proven);
        break;
    case ADMISSION_COOKIE:
        s->hs_counts[HS_COUNT_COOKIE]++;
        send_cookie(s, event->data, &event->from);
        break;
    case ADMISSION_SOURCE:
        s->hs_counts[HS_COUNT_SOURCE_LIMIT]++;
        break;
    case ADMISSION_QUEUE:
        s->hs_counts[HS_COUNT_OVERLOAD]++;
        break;
    }
}

/* ---- answers -------------------------------------------------------------------------------- */

struct login *logins_find(struct server *s, uint32_t ref)
{
    struct login *login = &s->logins->ring[ref % RING];

    return login->ref == ref && (login->state == LOGIN_SENT || login->state == LOGIN_TAKEN) ? login
                                                                                            : NULL;
}

struct login *logins_auth(struct server *s, uint32_t ref)
{
    struct login *login = logins_find(s, ref);

    if (!login || login->state != LOGIN_SENT)
        return NULL;
    login->state = LOGIN_TAKEN;
    login->taken_ms = s->now.mono_ms;
    s->logins->sent--;
    s->logins->taken++;
    return login;
}

void logins_done(struct server *s, struct login *login)
{
    login_free(s->logins, login);
    send_waiting(s);
}

void logins_forget_lease(struct logins *l, uint32_t id, const struct lease *lease)
{
    unsigned int i;

    for (i = 0; i < RING; i++) {
        struct login *login = &l->ring[i];

        if (login->state == LOGIN_TAKEN && login->lease && login->lease->user == id &&
            (!lease || login->lease == lease))
            login->lease = NULL;
    }
}

bool logins_have_lease(const struct logins *l, const struct lease *lease)
{
    unsigned int i;

    for (i = 0; i < RING; i++)
        if (l->ring[i].state == LOGIN_TAKEN && l->ring[i].lease == lease)
            return true;
    return false;
}

void logins_dropped(struct server *s, uint32_t ref, uint32_t reason)
{
    struct login *login = logins_find(s, ref);

    if (reason > 0 && reason < HS_COUNT_ENCLAVE_NUM)
        s->hs_counts[reason]++;
    if (!login)
        return;
    if (reason == HS_COUNT_NO_COOKIE)
        send_cookie(s, login->msg, &login->path);
    logins_done(s, login);
}

void logins_tick(struct server *s)
{
    struct logins *l = s->logins;
    unsigned int i;

    cookie_jar_turn(&l->jar, s->now.mono_ms);
    for (i = 0; i < RING; i++)
        if (l->ring[i].state == LOGIN_TAKEN && s->now.mono_ms - l->ring[i].taken_ms >= TAKEN_MS)
            login_free(l, &l->ring[i]);
    send_waiting(s);
}

/*
 * A login's way from its first datagram to the enclave and back: whether it is admitted, where the
 * answer goes, and what became of those that were not.
 */
#ifndef DAEMON_LOGIN_H
#define DAEMON_LOGIN_H

#include <stdint.h>

#include "common/mac.h"
#include "daemon/datapath/datapath.h"

struct lease;
struct server;

/* Handshake counters: what the enclave or the main thread refused, by reason. */
enum hs_count {
    HS_COUNT_MALFORMED = 1, /* the enclave's reasons, in its order (hs_drop) */
    HS_COUNT_REPLAY,
    HS_COUNT_CRYPTO,
    HS_COUNT_UNKNOWN_KEY,
    HS_COUNT_PEER_LIMIT,
    HS_COUNT_BUSY,
    HS_COUNT_EXPIRED,
    HS_COUNT_NO_COOKIE, /* answered with COOKIE */
    HS_COUNT_CHALLENGE,
    HS_COUNT_ACCEPTED,
    HS_COUNT_NO_HANDLE,
    HS_COUNT_ENCLAVE_NUM,                   /* here ours begin */
    HS_COUNT_COOKIE = HS_COUNT_ENCLAVE_NUM, /* under load and without a valid mac2: COOKIE */
    HS_COUNT_SOURCE_LIMIT,                  /* under load, over its source's share */
    HS_COUNT_OVERLOAD,                      /* the enclave is too far behind */
    HS_COUNT_NOT_READY,                     /* no enclave at that moment */
    HS_COUNT_STALE_BUDGET,                  /* unknown sessions beyond what is answered */
    HS_COUNT_NUM,
};

/** hs_count_name() - as `vpnctl status` shows it. */
const char *hs_count_name(unsigned int count);

/*
 * FREE ──► WAITING ──sent──► SENT ──HS_AUTH──► TAKEN ──HS_RESPONSE──► FREE
 *                            SENT ──HS_RESPONSE, HS_DROPPED──► FREE
 */
enum login_state {
    LOGIN_FREE,
    LOGIN_WAITING, /* in our queue */
    LOGIN_SENT,    /* the enclave has it */
    LOGIN_TAKEN,   /* it is authentic; the enclave has, or waits for, the lease */
};

struct login {
    enum login_state state;
    uint32_t ref;        /* travels through the enclave */
    struct path path;    /* where the answer goes */
    struct lease *lease; /* granted; NULL until then */
    uint16_t mtu;        /* inner, the smaller of both wishes; with the lease */
    uint64_t taken_ms;   /* since when TAKEN */
    bool proven;         /* its mac2 was valid */
    uint8_t msg[WIRE_CONNECT_REQ_LEN];
};

struct logins;

struct logins *logins_new(uint64_t now_ms);
void logins_free(struct logins *l);
/** logins_clear() - forget all of them (the enclave that had them is gone). */
void logins_clear(struct logins *l);

/** logins_request() - a CONNECT_REQ that passed the lane's checks: queue, COOKIE or drop. */
void logins_request(struct server *s, const struct dp_event *event);
/** logins_auth() - the enclave says that it is authentic.  Return: NULL when it is not awaited. */
struct login *logins_auth(struct server *s, uint32_t ref);
/** logins_find() - the login an answer belongs to.  Return: NULL when it is not awaited. */
struct login *logins_find(struct server *s, uint32_t ref);
/** logins_done() - it is answered; the next one gets its place. */
void logins_done(struct server *s, struct login *login);
/**
 * logins_forget_lease() - a reload took leases away from logins under way
 * @id: of the user
 * @lease: the lease, NULL for all of the user
 */
void logins_forget_lease(struct logins *l, uint32_t id, const struct lease *lease);
/** logins_have_lease() - was it granted to a login that is still under way? */
bool logins_have_lease(const struct logins *l, const struct lease *lease);
/** logins_dropped() - the enclave dropped it: count, and answer COOKIE where that is what lacks. */
void logins_dropped(struct server *s, uint32_t ref, uint32_t reason);
/** logins_tick() - about once a second: new cookie secrets, logins that came to nothing. */
void logins_tick(struct server *s);

#endif

/*
 * The login, both sides of it: Noise_IKpsk2 with replay protection, challenges and grants.
 *
 * Pure in its inputs: the time comes in as an argument (the enclave's own clock, read once per
 * message), randomness from libsodium; no socket, no log line.  The responder lives in the
 * enclave's main thread alone; nothing here is thread-safe.
 */
#ifndef ENCLAVE_HANDSHAKE_H
#define ENCLAVE_HANDSHAKE_H

#include <stdbool.h>
#include <stdint.h>

#include "common/clock.h"
#include "common/wire.h"

/* The two transport keys of a session.  Owner wipes. */
struct hs_keys {
    uint8_t send[32];
    uint8_t recv[32];
};

/* payload2 without its reserved bytes: what the server tells a client. */
struct hs_grant {
    uint8_t ip4[4], gateway4[4], dns4[4];
    uint8_t ip6[16], gateway6[16], dns6[16];
    uint8_t prefix4, prefix6;
    uint16_t mtu;
    uint16_t keepalive_s;
    uint32_t lease_s;
};

/* ---- responder ---------------------------------------------------------------------------- */

struct hs_responder;

/* Why a request was dropped without an answer; counted by the caller. */
enum hs_drop {
    HS_DROP_NONE = 0,
    HS_DROP_MALFORMED,   /* length, reserved bytes, flags, user_len, padding of the name */
    HS_DROP_REPLAY,      /* this E_c was seen within 120 s */
    HS_DROP_CRYPTO,      /* a tag did not verify, or a low-order point */
    HS_DROP_UNKNOWN_KEY, /* the bucket for answers to unknown keys is spent */
    HS_DROP_PEER_LIMIT,  /* more than 4 initiations per second by one peer */
    HS_DROP_BUSY,        /* the global bucket is spent */
    HS_DROP_EXPIRED,     /* the handle's second was over when the grant came */
    HS_DROP_NO_COOKIE, /* CHALLENGE beyond its limit, and the address is not proven: send COOKIE */
    HS_DROP_CHALLENGE, /* the limit for proven addresses is spent as well */
    HS_DROP_ACCEPTED,  /* 32 accepted ephemeral keys of this user are remembered */
    HS_DROP_NO_HANDLE, /* 64 logins wait for their grants */
    HS_DROP_NUM,
};

enum hs_verdict {
    HS_VERDICT_DROP,   /* see drop */
    HS_VERDICT_ANSWER, /* send answer: CHALLENGE, DENIED or BAD_REV; no session comes of it */
    HS_VERDICT_AUTH,   /* an authentic login: see auth; call hs_responder_grant() within 1 s */
};

struct hs_auth {
    uint32_t handle;
    uint32_t user_id;
    char user[WIRE_USER_MAX + 1];
    uint8_t device_id[WIRE_DEVICE_ID_LEN];
    uint8_t want_ip4[4];
    uint16_t mtu;
    uint32_t client_index;
    uint64_t timestamp_ms; /* of the request's header: seeds the freshness floor */
    uint64_t hs_time;
    bool by_challenge; /* accepted because of a valid challenge, not of a higher hs_time */
};

struct hs_verdict_out {
    enum hs_verdict verdict;
    enum hs_drop drop;
    uint8_t answer[WIRE_CONNECT_RESP_LEN];
    struct hs_auth auth;
};

/**
 * hs_responder_new() - make a responder
 * @mem: hs_responder_size() bytes of secret memory that the caller owns and wipes
 * @private_key: the server's identity; copied
 * @max_users: bound of the user table
 */
size_t hs_responder_size(uint32_t max_users);
struct hs_responder *hs_responder_new(void *mem, const uint8_t private_key[WIRE_KEY_LEN],
                                      uint32_t max_users);

const uint8_t *hs_responder_public(const struct hs_responder *r);

/**
 * hs_responder_user_add() - let a user in
 * @user_id: the caller's number for the user, unique
 * @user: name, valid and NUL-terminated
 * @key: C; DH(S,C) is precomputed here
 *
 * Return: 0, -EEXIST (id or key known), -ENOSPC, -EINVAL (bad name or a low-order key).
 */
int hs_responder_user_add(struct hs_responder *r, uint32_t user_id, const char *user,
                          const uint8_t key[WIRE_KEY_LEN]);
/** hs_responder_user_del() - Return: 0 or -ENOENT.  Its replay records and open handles go too. */
int hs_responder_user_del(struct hs_responder *r, uint32_t user_id);

/**
 * hs_responder_request() - take a CONNECT_REQ
 * @req: exactly WIRE_CONNECT_REQ_LEN bytes, hostile; mac1 is the caller's business
 * @source: 16 bytes that name where it came from (/32 or /64), for the buckets of strangers
 * @proven: its mac2 was valid: it came from there
 *
 * Order: replay of E_c, first DH, C known?, its bucket, remaining DHs, payload1 checks (rev, then
 * reserved and user_len, then user), hs_time or challenge, a handle.
 */
void hs_responder_request(struct hs_responder *r, const uint8_t *req, const uint8_t source[16],
                          bool proven, const struct clock *now, struct hs_verdict_out *out);

/**
 * hs_responder_grant() - finish a login with OK and a lease, or with a status
 * @handle: from hs_auth; the first grant consumes it
 * @status: enum wire_status, but CHALLENGE and BAD_REV, which are the responder's own (-EBADMSG)
 * @server_index: our receiver index (0 when @status is not OK)
 * @grant: used when @status is OK
 * @answer: WIRE_CONNECT_RESP_LEN bytes, written on success
 * @keys: written when @status is OK
 *
 * Return: 0; -ETIMEDOUT when the handle's second is over (drop it); -EBADMSG for a handle that was
 * never given or is already used: the caller is hostile, wipe and exit.
 */
int hs_responder_grant(struct hs_responder *r, uint32_t handle, unsigned int status,
                       uint32_t server_index, const struct hs_grant *grant, const struct clock *now,
                       uint8_t *answer, struct hs_keys *keys);

/** hs_responder_tick() - once a second: wipe expired handles, turn challenge epochs. */
void hs_responder_tick(struct hs_responder *r, const struct clock *now);

/* ---- initiator ---------------------------------------------------------------------------- */

struct hs_initiator;

size_t hs_initiator_size(void);
/**
 * hs_initiator_new() - one tunnel's credential and pinned server
 * @mem: hs_initiator_size() bytes of secret memory that the caller owns and wipes
 *
 * Return: NULL when @server_public is a low-order point or @user is not a valid name.
 */
struct hs_initiator *hs_initiator_new(void *mem, const uint8_t private_key[WIRE_KEY_LEN],
                                      const char *user, const uint8_t server_public[WIRE_KEY_LEN]);

struct hs_request_in {
    uint32_t client_index;
    uint32_t sequence; /* messages sent in this login so far, from 1 */
    uint16_t mtu;
    uint8_t device_id[WIRE_DEVICE_ID_LEN];
    uint8_t want_ip4[4];
};

/**
 * hs_initiator_request() - write a fresh CONNECT_REQ, with mac1 and the last challenge received
 *
 * Any earlier attempt's state is wiped.  mac2 is zeros.
 */
void hs_initiator_request(struct hs_initiator *i, const struct hs_request_in *in,
                          const struct clock *now, uint8_t req[WIRE_CONNECT_REQ_LEN]);

/* An authenticated answer. */
struct hs_answer {
    unsigned int status; /* enum wire_status */
    uint32_t server_index;
    uint32_t client_index;
    uint64_t timestamp_ms; /* of its header: seeds the freshness floor */
    struct hs_grant grant; /* when OK */
};

/**
 * hs_initiator_answer() - take a CONNECT_RESP
 * @resp: exactly WIRE_CONNECT_RESP_LEN bytes, hostile
 * @keys: written when the status is OK
 *
 * Works on a copy of the state: a failure changes nothing.  A CHALLENGE is kept for the next
 * request.  Accepted only within 5 s of the request, for its index.
 *
 * Return: 0; -EBADMSG (does not verify or is malformed); -ENOENT (nothing was asked); -ETIMEDOUT.
 */
int hs_initiator_answer(struct hs_initiator *i, const uint8_t *resp, const struct clock *now,
                        struct hs_answer *out, struct hs_keys *keys);

#endif

/*
 * The responder's side of the login.
 *
 * Theory of operation
 *
 * A request passes gates that grow dearer, and each is there against somebody:
 *
 *   format, E_c seen     the network's own copies and a naive replay: no DH is spent
 *   the common bucket    a flood of well-formed nonsense: at most so many DHs per second
 *   first DH, C          nobody who does not know S gets this far
 *   unknown C            strangers with keys of their own: a bucket per source, one for all
 *   payload1             C's owner made this message; but perhaps long ago
 *   revision, name       answered with BAD_REV or DENIED, alike for known and unknown keys
 *   hs_time, challenge   a recorded message is answered with CHALLENGE and comes to nothing
 *   logins per peer      after the replay check, so that recordings do not spend the victim's
 *   a handle             the caller decides within a second
 *
 * What a message can be accepted for is used up in one step with its acceptance: hs_time rises, or,
 * where a challenge let it in, its E_c is remembered for as long as that challenge lives.  Stored
 * hs_times never fall: a client whose clock was once in the future goes on by challenges, and
 * what it sent in that future stays worthless to whoever recorded it.
 *
 * Everything lies in one block of memory that the caller owns; nothing is allocated later.
 */
#include <errno.h>
#include <sodium.h>
#include <string.h>

#include "common/cred.h"
#include "enclave/challenge.h"
#include "enclave/handshake.h"
#include "enclave/hs_handles.h"
#include "enclave/hs_limit.h"
#include "enclave/hs_payload.h"
#include "enclave/hs_seen.h"
#include "enclave/hs_users.h"
#include "enclave/noise.h"

#define ALIGN64(n) (((n) + 63) & ~(size_t)63)

struct hs_responder {
    uint8_t private_key[WIRE_KEY_LEN];
    uint8_t public_key[WIRE_KEY_LEN];
    struct challenge challenge;
    struct bucket all; /* every request that costs a DH */
    struct hs_users users;
    struct hs_handles handles;
    struct hs_sources sources;
    struct hs_seen seen;
};

/* More than a small machine can do, so that a flood leaves the packets some of it. */
static const struct bucket_rate rate_all = {200, 1000};
static const struct bucket_rate rate_peer = {250000, 4};

/* Noise wants a psk; no user has one yet. */
static const uint8_t psk_none[NOISE_KEY_LEN];

/* One request on its way through the gates. */
struct request {
    const uint8_t *msg;
    const uint8_t *source;
    bool proven;
    const struct clock *now;
    uint64_t now_us;
    uint32_t now_s;
    struct hs_user *user; /* NULL: nobody has this key */
    struct hs_payload1 payload;
    struct hs_login login;
    bool by_challenge;
};

size_t hs_responder_size(uint32_t max_users)
{
    return ALIGN64(sizeof(struct hs_responder)) + hs_users_size(max_users);
}

struct hs_responder *hs_responder_new(void *mem, const uint8_t private_key[WIRE_KEY_LEN],
                                      uint32_t max_users)
{
    struct hs_responder *r = mem;

    memset(r, 0, sizeof(*r));
    memcpy(r->private_key, private_key, WIRE_KEY_LEN);
    crypto_scalarmult_base(r->public_key, private_key);
    challenge_init(&r->challenge);
    hs_users_init(&r->users, (uint8_t *)mem + ALIGN64(sizeof(*r)), max_users);
    hs_handles_init(&r->handles);
    hs_sources_init(&r->sources);
    hs_seen_init(&r->seen);
    return r;
}

const uint8_t *hs_responder_public(const struct hs_responder *r)
{
    return r->public_key;
}

int hs_responder_user_add(struct hs_responder *r, uint32_t user_id, const char *user,
                          const uint8_t key[WIRE_KEY_LEN])
{
    uint8_t dh[WIRE_KEY_LEN];
    int rc;

    if (!cred_user_valid(user) || noise_dh(r->private_key, key, dh) < 0)
        return -EINVAL;
    rc = hs_users_add(&r->users, user_id, user, key, dh);
    sodium_memzero(dh, sizeof(dh));
    return rc;
}

int hs_responder_user_del(struct hs_responder *r, uint32_t user_id)
{
    hs_handles_drop_user(&r->handles, user_id);
    return hs_users_del(&r->users, user_id);
}

/* ---- message 1 ------------------------------------------------------------------------------ */

/* The gates before the first DH, and that DH: after it we know which key calls. */
static enum hs_drop request_identify(struct hs_responder *r, struct request *q)
{
    uint8_t prologue[HS_PROLOGUE_LEN];

    if (wire_classify(q->msg, WIRE_CONNECT_REQ_LEN) != WIRE_KIND_CONNECT_REQ ||
        be32_get(q->msg + WIRE_REQ_FLAGS) != 0)
        return HS_DROP_MALFORMED;
    if (hs_seen_has(&r->seen, q->msg + WIRE_REQ_EPHEMERAL, q->now_s))
        return HS_DROP_REPLAY;
    if (!bucket_ready(&r->all, &rate_all, q->now_us))
        return HS_DROP_BUSY;
    bucket_take(&r->all, &rate_all, q->now_us);

    hs_prologue(q->msg, prologue);
    noise_ik_start(&q->login.ik, &noise_sha256, HS_PROTOCOL, prologue, sizeof(prologue),
                   r->public_key);
    if (noise_ik_recv1_static(&q->login.ik, r->private_key, q->msg + WIRE_REQ_EPHEMERAL,
                              q->login.key) < 0)
        return HS_DROP_CRYPTO;

    q->user = hs_users_by_key(&r->users, q->login.key);
    return HS_DROP_NONE;
}

/* Proof that the owner of that key made this message. */
static enum hs_drop request_authenticate(struct hs_responder *r, struct request *q,
                                         uint8_t payload[WIRE_PAYLOAD1_LEN])
{
    uint8_t dh[WIRE_KEY_LEN];
    int rc = 0;

    if (q->user)
        memcpy(dh, q->user->dh, sizeof(dh));
    else if (!hs_sources_take(&r->sources, HS_SOURCE_REFUSAL, q->source, q->now_us))
        return HS_DROP_UNKNOWN_KEY;
    else
        rc = noise_dh(r->private_key, q->login.key, dh);

    if (rc == 0)
        rc = noise_ik_recv1_payload(&q->login.ik, dh, q->msg + WIRE_REQ_PAYLOAD, WIRE_PAYLOAD1_LEN,
                                    payload);
    sodium_memzero(dh, sizeof(dh));
    if (rc < 0)
        return HS_DROP_CRYPTO;

    hs_seen_add(&r->seen, q->msg + WIRE_REQ_EPHEMERAL, q->now_s);
    q->login.client_index = be32_get(q->msg + WIRE_REQ_INDEX);
    q->login.sequence = be32_get(q->msg + 4);
    return HS_DROP_NONE;
}

/* BAD_REV and DENIED tell the same, at the same rate, whether the key is known or not. */
static enum hs_drop request_check(struct hs_responder *r, struct request *q,
                                  const uint8_t payload[WIRE_PAYLOAD1_LEN], unsigned int *status)
{
    int rc = hs_payload1_get(payload, &q->payload);

    if (rc == -EPROTONOSUPPORT)
        *status = WIRE_STATUS_BAD_REV;
    else if (rc < 0)
        return HS_DROP_MALFORMED;
    else if (!q->user || q->user->name_len != q->payload.user_len ||
             memcmp(q->user->name, q->payload.user, q->payload.user_len) != 0)
        *status = WIRE_STATUS_DENIED;
    else
        *status = WIRE_STATUS_OK;

    /* An unknown key has paid for its answer already. */
    if (*status != WIRE_STATUS_OK && q->user &&
        !hs_sources_take(&r->sources, HS_SOURCE_REFUSAL, q->source, q->now_us))
        return HS_DROP_UNKNOWN_KEY;
    return HS_DROP_NONE;
}

/*
 * The first few challenges are free.  Then the recorder of many messages, who sends them from
 * wherever he likes, has spent what there is for all; clients get theirs by showing their address.
 */
static enum hs_drop request_may_challenge(struct hs_responder *r, const struct request *q)
{
    if (hs_sources_take(&r->sources, HS_SOURCE_CHALLENGE, q->source, q->now_us))
        return HS_DROP_NONE;
    if (!q->proven)
        return HS_DROP_NO_COOKIE;
    if (hs_sources_take(&r->sources, HS_SOURCE_PROVEN, q->source, q->now_us))
        return HS_DROP_NONE;
    return HS_DROP_CHALLENGE;
}

/* Was this message made just now?  Otherwise it is answered with a challenge. */
static enum hs_drop request_judge_time(struct hs_responder *r, struct request *q,
                                       unsigned int *status)
{
    const uint8_t *ephemeral = q->msg + WIRE_REQ_EPHEMERAL;
    const uint8_t *device = q->payload.device_id;
    struct hs_peer *peer = hs_user_peer(&r->users, q->user, device);
    bool above = peer && q->payload.hs_time > peer->hs_time;
    bool challenged = challenge_valid(&r->challenge, q->user->key, device, q->payload.challenge);

    if (!above && !challenged) {
        *status = WIRE_STATUS_CHALLENGE;
        return request_may_challenge(r, q);
    }

    /* Also when hs_time alone would do: else a copy could be let in by its challenge later. */
    if (challenged && hs_user_accepted_has(&r->users, q->user, ephemeral, q->now_s))
        return HS_DROP_REPLAY;
    if (challenged && !hs_user_accepted_room(&r->users, q->user, q->now_s))
        return HS_DROP_ACCEPTED;
    if (peer && !bucket_ready(&peer->logins, &rate_peer, q->now_us))
        return HS_DROP_PEER_LIMIT;
    if (!hs_handles_room(&r->handles, q->now->mono_ms))
        return HS_DROP_NO_HANDLE;

    if (challenged)
        hs_user_accepted_add(&r->users, q->user, ephemeral, q->now_s);
    peer = hs_user_peer_make(&r->users, q->user, device);
    bucket_take(&peer->logins, &rate_peer, q->now_us);
    if (q->payload.hs_time > peer->hs_time)
        peer->hs_time = q->payload.hs_time;
    q->by_challenge = !above;
    return HS_DROP_NONE;
}

/* ---- message 2 ------------------------------------------------------------------------------ */

/* Write CONNECT_RESP; afterwards the transport keys can be split off @login->ik. */
static int respond(struct hs_login *login, const struct clock *now, uint32_t server_index,
                   const uint8_t payload[WIRE_PAYLOAD2_LEN], uint8_t *answer)
{
    uint8_t ephemeral[NOISE_KEY_LEN];
    int rc;

    memset(answer, 0, WIRE_CONNECT_RESP_LEN);
    wire_header_put(answer, WIRE_CONNECT_RESP, WIRE_CONNECT_RESP_LEN, login->sequence,
                    now->stamp_ms);
    be32_put(answer + WIRE_RESP_SERVER_INDEX, server_index);
    be32_put(answer + WIRE_RESP_CLIENT_INDEX, login->client_index);

    noise_mix_hash(&login->ik.s, answer, HS_HEAD_LEN);
    randombytes_buf(ephemeral, sizeof(ephemeral));
    rc = noise_ik_send2(&login->ik, ephemeral, login->key, psk_none, payload, WIRE_PAYLOAD2_LEN,
                        answer + WIRE_RESP_EPHEMERAL);
    sodium_memzero(ephemeral, sizeof(ephemeral));
    if (rc < 0)
        memset(answer, 0, WIRE_CONNECT_RESP_LEN);
    return rc;
}

static enum hs_drop request_refuse(const struct hs_responder *r, struct request *q,
                                   unsigned int status, struct hs_verdict_out *out)
{
    uint8_t payload[WIRE_PAYLOAD2_LEN], challenge[WIRE_CHALLENGE_LEN];
    int rc;

    challenge_make(&r->challenge, q->login.key, q->payload.device_id, challenge);
    hs_payload2_put(status, NULL, challenge, payload);
    rc = respond(&q->login, q->now, 0, payload, out->answer);
    sodium_memzero(challenge, sizeof(challenge));
    sodium_memzero(payload, sizeof(payload));
    if (rc < 0)
        return HS_DROP_CRYPTO;
    out->verdict = HS_VERDICT_ANSWER;
    return HS_DROP_NONE;
}

static void request_accept(struct hs_responder *r, struct request *q, struct hs_verdict_out *out)
{
    struct hs_auth *auth = &out->auth;

    q->login.user_id = q->user->id;
    auth->handle = hs_handles_put(&r->handles, &q->login, q->now->mono_ms);
    auth->user_id = q->user->id;
    memcpy(auth->user, q->user->name, q->user->name_len);
    memcpy(auth->device_id, q->payload.device_id, sizeof(auth->device_id));
    memcpy(auth->want_ip4, q->payload.want_ip4, sizeof(auth->want_ip4));
    auth->mtu = q->payload.mtu;
    auth->client_index = q->login.client_index;
    auth->timestamp_ms = be64_get(q->msg + 8);
    auth->hs_time = q->payload.hs_time;
    auth->by_challenge = q->by_challenge;
    out->verdict = HS_VERDICT_AUTH;
}

static enum hs_drop request_take(struct hs_responder *r, struct request *q,
                                 struct hs_verdict_out *out)
{
    uint8_t payload[WIRE_PAYLOAD1_LEN];
    unsigned int status = WIRE_STATUS_OK;
    enum hs_drop drop;

    drop = request_identify(r, q);
    if (drop == HS_DROP_NONE)
        drop = request_authenticate(r, q, payload);
    if (drop == HS_DROP_NONE)
        drop = request_check(r, q, payload, &status);
    sodium_memzero(payload, sizeof(payload));
    if (drop == HS_DROP_NONE && status == WIRE_STATUS_OK)
        drop = request_judge_time(r, q, &status);
    if (drop != HS_DROP_NONE)
        return drop;

    if (status != WIRE_STATUS_OK)
        return request_refuse(r, q, status, out);
    request_accept(r, q, out);
    return HS_DROP_NONE;
}

void hs_responder_request(struct hs_responder *r, const uint8_t *req, const uint8_t source[16],
                          bool proven, const struct clock *now, struct hs_verdict_out *out)
{
    struct request q = {
        .msg = req,
        .source = source,
        .proven = proven,
        .now = now,
        .now_us = now->mono_ms * 1000,
        .now_s = (uint32_t)(now->mono_ms / 1000),
    };

    memset(out, 0, sizeof(*out));
    out->verdict = HS_VERDICT_DROP;
    challenge_turn(&r->challenge, now->mono_ms);
    out->drop = request_take(r, &q, out);
    sodium_memzero(&q, sizeof(q));
}

/* CHALLENGE and BAD_REV are the responder's own.  DENIED: the user went while the login waited. */
static bool status_is_callers(unsigned int status)
{
    return status < WIRE_STATUS_NUM && status != WIRE_STATUS_CHALLENGE &&
           status != WIRE_STATUS_BAD_REV;
}

int hs_responder_grant(struct hs_responder *r, uint32_t handle, unsigned int status,
                       uint32_t server_index, const struct hs_grant *grant, const struct clock *now,
                       uint8_t *answer, struct hs_keys *keys)
{
    uint8_t payload[WIRE_PAYLOAD2_LEN];
    struct hs_login login;
    int rc;

    if (!status_is_callers(status))
        return -EBADMSG;
    rc = hs_handles_take(&r->handles, handle, now->mono_ms, &login);
    if (rc < 0)
        return rc;

    hs_payload2_put(status, grant, NULL, payload);
    rc = respond(&login, now, status == WIRE_STATUS_OK ? server_index : 0, payload, answer);
    if (rc == 0 && status == WIRE_STATUS_OK)
        noise_split(&login.ik.s, keys->recv, keys->send);
    sodium_memzero(payload, sizeof(payload));
    sodium_memzero(&login, sizeof(login));
    return rc;
}

void hs_responder_tick(struct hs_responder *r, const struct clock *now)
{
    hs_handles_expire(&r->handles, now->mono_ms);
    challenge_turn(&r->challenge, now->mono_ms);
}

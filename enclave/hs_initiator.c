/*
 * The initiator's side of the login.
 *
 * It keeps one attempt at a time: the state after message 1, from which an answer is read.  An
 * answer is tried on a copy, because anybody can send a forged one before the real one arrives.
 */
#include <errno.h>
#include <sodium.h>
#include <string.h>

#include "common/cred.h"
#include "common/mac.h"
#include "enclave/handshake.h"
#include "enclave/hs_payload.h"
#include "enclave/noise.h"

/* An answer that is later than this was delayed by somebody, or belongs to a given-up attempt. */
#define ANSWER_WITHIN_MS 5000

struct hs_initiator {
    uint8_t private_key[WIRE_KEY_LEN];
    uint8_t public_key[WIRE_KEY_LEN];
    uint8_t server_public[WIRE_KEY_LEN];
    uint8_t static_dh[WIRE_KEY_LEN]; /* DH(c, S), the same in every login */
    struct mac_keys mac;
    char user[WIRE_USER_MAX];
    uint8_t user_len;
    uint64_t last_hs_time;
    uint8_t challenge[WIRE_CHALLENGE_LEN]; /* zeros: none */

    bool pending;
    struct noise_ik ik;
    uint32_t client_index;
    uint32_t sequence;
    uint64_t sent_ms;
};

static const uint8_t psk_none[NOISE_KEY_LEN];

size_t hs_initiator_size(void)
{
    return sizeof(struct hs_initiator);
}

struct hs_initiator *hs_initiator_new(void *mem, const uint8_t private_key[WIRE_KEY_LEN],
                                      const char *user, const uint8_t server_public[WIRE_KEY_LEN])
{
    struct hs_initiator *i = mem;

    memset(i, 0, sizeof(*i));
    if (!cred_user_valid(user) || noise_dh(private_key, server_public, i->static_dh) < 0)
        return NULL;

    memcpy(i->private_key, private_key, WIRE_KEY_LEN);
    crypto_scalarmult_base(i->public_key, private_key);
    memcpy(i->server_public, server_public, WIRE_KEY_LEN);
    mac_keys_init(&i->mac, server_public);
    i->user_len = (uint8_t)strnlen(user, WIRE_USER_MAX);
    memcpy(i->user, user, i->user_len);
    return i;
}

static void attempt_wipe(struct hs_initiator *i)
{
    i->pending = false;
    noise_ik_wipe(&i->ik);
}

/* Above any value this process sent before, whatever the clock does. */
static uint64_t next_hs_time(const struct hs_initiator *i, uint64_t real_us)
{
    return real_us > i->last_hs_time ? real_us : i->last_hs_time + 1;
}

void hs_initiator_request(struct hs_initiator *i, const struct hs_request_in *in,
                          const struct clock *now, uint8_t req[WIRE_CONNECT_REQ_LEN])
{
    struct hs_payload1 p = {.mtu = in->mtu, .user_len = i->user_len};
    uint8_t payload[WIRE_PAYLOAD1_LEN], prologue[HS_PROLOGUE_LEN], ephemeral[NOISE_KEY_LEN];
    int rc;

    attempt_wipe(i);
    i->last_hs_time = next_hs_time(i, now->real_us);
    p.hs_time = i->last_hs_time;
    memcpy(p.user, i->user, sizeof(p.user));
    memcpy(p.device_id, in->device_id, sizeof(p.device_id));
    memcpy(p.challenge, i->challenge, sizeof(p.challenge));
    memcpy(p.want_ip4, in->want_ip4, sizeof(p.want_ip4));
    hs_payload1_put(&p, payload);

    memset(req, 0, WIRE_CONNECT_REQ_LEN);
    wire_header_put(req, WIRE_CONNECT_REQ, WIRE_CONNECT_REQ_LEN, in->sequence, now->stamp_ms);
    be32_put(req + WIRE_REQ_INDEX, in->client_index);

    hs_prologue(req, prologue);
    randombytes_buf(ephemeral, sizeof(ephemeral));
    noise_ik_start(&i->ik, &noise_sha256, HS_PROTOCOL, prologue, sizeof(prologue),
                   i->server_public);
    rc = noise_ik_send1(&i->ik, ephemeral, i->public_key, i->server_public, i->static_dh, payload,
                        sizeof(payload), req + WIRE_REQ_EPHEMERAL);
    mac1_put(&i->mac, req);

    /* It fails for a low-order S only, and hs_initiator_new() refused that. */
    i->pending = rc == 0;
    i->client_index = in->client_index;
    i->sequence = in->sequence;
    i->sent_ms = now->mono_ms;
    sodium_memzero(ephemeral, sizeof(ephemeral));
    sodium_memzero(payload, sizeof(payload));
    sodium_memzero(&p, sizeof(p));
}

/* Verify and read @resp with @ik, a copy.  Nothing but *@ik and the outputs is written. */
static int answer_read(const struct hs_initiator *i, struct noise_ik *ik, const uint8_t *resp,
                       struct hs_answer *out, uint8_t challenge[WIRE_CHALLENGE_LEN])
{
    uint8_t payload[WIRE_PAYLOAD2_LEN];
    int rc;

    noise_mix_hash(&ik->s, resp, HS_HEAD_LEN);
    rc = noise_ik_recv2(ik, i->private_key, psk_none, resp + WIRE_RESP_EPHEMERAL, sizeof(payload),
                        payload);
    if (rc == 0)
        rc = hs_payload2_get(payload, &out->status, &out->grant, challenge);
    sodium_memzero(payload, sizeof(payload));
    if (rc < 0)
        return rc;

    out->server_index = be32_get(resp + WIRE_RESP_SERVER_INDEX);
    out->client_index = i->client_index;
    out->timestamp_ms = be64_get(resp + 8);
    if (out->status != WIRE_STATUS_OK && out->server_index != 0)
        return -EBADMSG;
    return 0;
}

int hs_initiator_answer(struct hs_initiator *i, const uint8_t *resp, const struct clock *now,
                        struct hs_answer *out, struct hs_keys *keys)
{
    uint8_t challenge[WIRE_CHALLENGE_LEN] = {0};
    struct hs_answer answer = {0};
    struct noise_ik ik;
    int rc;

    if (!i->pending)
        return -ENOENT;
    if (now->mono_ms - i->sent_ms > ANSWER_WITHIN_MS)
        return -ETIMEDOUT;
    if (wire_classify(resp, WIRE_CONNECT_RESP_LEN) != WIRE_KIND_CONNECT_RESP ||
        be32_get(resp + 4) != i->sequence ||
        be32_get(resp + WIRE_RESP_CLIENT_INDEX) != i->client_index)
        return -EBADMSG;

    ik = i->ik;
    rc = answer_read(i, &ik, resp, &answer, challenge);
    if (rc == 0) {
        if (answer.status == WIRE_STATUS_OK)
            noise_split(&ik.s, keys->send, keys->recv);
        /* Kept for the next request only; an OK makes the server remember our hs_time instead. */
        memcpy(i->challenge, challenge, sizeof(challenge));
        *out = answer;
        attempt_wipe(i);
    }
    noise_ik_wipe(&ik);
    sodium_memzero(challenge, sizeof(challenge));
    return rc;
}

/* The other end of a login and its tunnel; see peer.h. */
#include "tests/enclave/peer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <cmocka.h>
#include <sodium.h>

#include "common/mac.h"
#include "enclave/hs_payload.h"

static const uint8_t no_psk[WIRE_KEY_LEN];

static uint64_t stamp_ms(const struct peer *p)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000 +
           (uint64_t)p->stamp_offset_ms;
}

void peer_init(struct peer *p, const uint8_t private_key[WIRE_KEY_LEN], const char *user,
               const uint8_t *remote_public)
{
    struct timespec ts;

    memset(p, 0, sizeof(*p));
    memcpy(p->private_key, private_key, WIRE_KEY_LEN);
    crypto_scalarmult_base(p->public_key, private_key);
    if (remote_public)
        memcpy(p->remote_public, remote_public, WIRE_KEY_LEN);
    strncpy(p->user, user, WIRE_USER_MAX);
    randombytes_buf(p->device_id, sizeof(p->device_id));
    clock_gettime(CLOCK_REALTIME, &ts);
    p->hs_time = (uint64_t)ts.tv_sec * 1000000;
    p->stamp_offset_ms = 1000000;
}

static void keep(struct peer *p, const char *name, const uint8_t bytes[PEER_SECRET_LEN])
{
    assert_true(p->n_secrets < PEER_SECRETS);
    p->secrets[p->n_secrets].name = name;
    memcpy(p->secrets[p->n_secrets].bytes, bytes, PEER_SECRET_LEN);
    p->n_secrets++;
}

/* What a step of the symmetric state left behind. */
static void keep_state(struct peer *p, const char *ck_name, const char *k_name)
{
    keep(p, ck_name, p->noise.ck);
    keep(p, k_name, p->noise.k);
}

/* "e" of a psk pattern. */
static void mix_ephemeral(struct peer *p, const uint8_t public_key[WIRE_KEY_LEN])
{
    noise_mix_hash(&p->noise, public_key, WIRE_KEY_LEN);
    noise_mix_key(&p->noise, public_key);
}

static void mix_dh(struct peer *p, const char *name, const uint8_t private_key[WIRE_KEY_LEN],
                   const uint8_t public_key[WIRE_KEY_LEN])
{
    uint8_t dh[WIRE_KEY_LEN];

    assert_int_equal(crypto_scalarmult(dh, private_key, public_key), 0);
    noise_mix_key(&p->noise, dh);
    keep(p, name, dh);
    sodium_memzero(dh, sizeof(dh));
}

static void start(struct peer *p, const uint8_t *req, const uint8_t responder[WIRE_KEY_LEN])
{
    uint8_t prologue[HS_PROLOGUE_LEN];

    p->n_secrets = 0;
    keep(p, "private key", p->private_key);
    hs_prologue(req, prologue);
    noise_init(&p->noise, &noise_sha256, HS_PROTOCOL);
    noise_mix_hash(&p->noise, prologue, sizeof(prologue));
    noise_mix_hash(&p->noise, responder, WIRE_KEY_LEN);
}

static void split(struct peer *p, bool initiator)
{
    uint8_t c2s[WIRE_KEY_LEN], s2c[WIRE_KEY_LEN];

    noise_split(&p->noise, c2s, s2c);
    keep(p, "k_c2s", c2s);
    keep(p, "k_s2c", s2c);
    memcpy(p->send_key, initiator ? c2s : s2c, WIRE_KEY_LEN);
    memcpy(p->recv_key, initiator ? s2c : c2s, WIRE_KEY_LEN);
    p->send_counter = 0;
}

/* ---- initiator ------------------------------------------------------------------------------ */

void peer_request(struct peer *p, uint8_t req[WIRE_CONNECT_REQ_LEN])
{
    struct hs_payload1 in = {.mtu = 1400, .hs_time = ++p->hs_time};
    uint8_t payload[WIRE_PAYLOAD1_LEN];
    struct mac_keys mac;

    in.user_len = (uint8_t)strlen(p->user);
    memcpy(in.user, p->user, in.user_len);
    memcpy(in.device_id, p->device_id, sizeof(in.device_id));
    memcpy(in.challenge, p->challenge, sizeof(in.challenge));
    hs_payload1_put(&in, payload);

    memset(req, 0, WIRE_CONNECT_REQ_LEN);
    wire_header_put(req, WIRE_CONNECT_REQ, WIRE_CONNECT_REQ_LEN, ++p->sequence, stamp_ms(p));
    p->index = randombytes_random() | 1;
    be32_put(req + WIRE_REQ_INDEX, p->index);

    start(p, req, p->remote_public);
    randombytes_buf(p->ephemeral, sizeof(p->ephemeral));
    keep(p, "ephemeral", p->ephemeral);
    crypto_scalarmult_base(req + WIRE_REQ_EPHEMERAL, p->ephemeral);
    mix_ephemeral(p, req + WIRE_REQ_EPHEMERAL);
    mix_dh(p, "DH(e_c,S)", p->ephemeral, p->remote_public);
    keep_state(p, "ck after es", "k after es");
    noise_encrypt(&p->noise, p->public_key, WIRE_KEY_LEN, req + WIRE_REQ_STATIC);
    mix_dh(p, "DH(c,S)", p->private_key, p->remote_public);
    keep_state(p, "ck after ss", "k after ss");
    noise_encrypt(&p->noise, payload, sizeof(payload), req + WIRE_REQ_PAYLOAD);
    mac_keys_init(&mac, p->remote_public);
    mac1_put(&mac, req);
}

unsigned int peer_answer(struct peer *p, const uint8_t resp[WIRE_CONNECT_RESP_LEN])
{
    uint8_t payload[WIRE_PAYLOAD2_LEN];
    unsigned int status;

    assert_int_equal(wire_classify(resp, WIRE_CONNECT_RESP_LEN), WIRE_KIND_CONNECT_RESP);
    assert_int_equal(be32_get(resp + 4), p->sequence);
    assert_int_equal(be32_get(resp + WIRE_RESP_CLIENT_INDEX), p->index);
    noise_mix_hash(&p->noise, resp, HS_HEAD_LEN);
    mix_ephemeral(p, resp + WIRE_RESP_EPHEMERAL);
    mix_dh(p, "DH(e_c,E_s)", p->ephemeral, resp + WIRE_RESP_EPHEMERAL);
    mix_dh(p, "DH(c,E_s)", p->private_key, resp + WIRE_RESP_EPHEMERAL);
    keep_state(p, "ck after se", "k after se");
    noise_mix_key_and_hash(&p->noise, no_psk);
    keep_state(p, "ck after psk", "k after psk");
    assert_int_equal(noise_decrypt(&p->noise, resp + WIRE_RESP_PAYLOAD, sizeof(payload), payload),
                     0);
    assert_int_equal(hs_payload2_get(payload, &status, &p->grant, p->challenge), 0);
    if (status == WIRE_STATUS_OK) {
        p->remote_index = be32_get(resp + WIRE_RESP_SERVER_INDEX);
        split(p, true);
    }
    return status;
}

/* ---- responder ------------------------------------------------------------------------------ */

void peer_respond(struct peer *p, const uint8_t req[WIRE_CONNECT_REQ_LEN],
                  const struct hs_grant *grant, uint8_t resp[WIRE_CONNECT_RESP_LEN])
{
    uint8_t payload1[WIRE_PAYLOAD1_LEN], payload2[WIRE_PAYLOAD2_LEN];

    assert_int_equal(wire_classify(req, WIRE_CONNECT_REQ_LEN), WIRE_KIND_CONNECT_REQ);
    start(p, req, p->public_key);
    mix_ephemeral(p, req + WIRE_REQ_EPHEMERAL);
    mix_dh(p, "DH(e_c,S)", p->private_key, req + WIRE_REQ_EPHEMERAL);
    keep_state(p, "ck after es", "k after es");
    assert_int_equal(
        noise_decrypt(&p->noise, req + WIRE_REQ_STATIC, WIRE_KEY_LEN, p->remote_public), 0);
    mix_dh(p, "DH(c,S)", p->private_key, p->remote_public);
    keep_state(p, "ck after ss", "k after ss");
    assert_int_equal(noise_decrypt(&p->noise, req + WIRE_REQ_PAYLOAD, sizeof(payload1), payload1),
                     0);
    p->remote_index = be32_get(req + WIRE_REQ_INDEX);

    p->index = randombytes_random() | 1;
    memset(resp, 0, WIRE_CONNECT_RESP_LEN);
    wire_header_put(resp, WIRE_CONNECT_RESP, WIRE_CONNECT_RESP_LEN, be32_get(req + 4), stamp_ms(p));
    be32_put(resp + WIRE_RESP_SERVER_INDEX, p->index);
    be32_put(resp + WIRE_RESP_CLIENT_INDEX, p->remote_index);
    noise_mix_hash(&p->noise, resp, HS_HEAD_LEN);
    randombytes_buf(p->ephemeral, sizeof(p->ephemeral));
    keep(p, "ephemeral", p->ephemeral);
    crypto_scalarmult_base(resp + WIRE_RESP_EPHEMERAL, p->ephemeral);
    mix_ephemeral(p, resp + WIRE_RESP_EPHEMERAL);
    mix_dh(p, "DH(e_s,E_c)", p->ephemeral, req + WIRE_REQ_EPHEMERAL);
    mix_dh(p, "DH(e_s,C)", p->ephemeral, p->remote_public);
    keep_state(p, "ck after se", "k after se");
    noise_mix_key_and_hash(&p->noise, no_psk);
    keep_state(p, "ck after psk", "k after psk");
    hs_payload2_put(WIRE_STATUS_OK, grant, NULL, payload2);
    noise_encrypt(&p->noise, payload2, sizeof(payload2), resp + WIRE_RESP_PAYLOAD);
    split(p, false);
}

/* ---- transport ------------------------------------------------------------------------------ */

size_t peer_seal(struct peer *p, enum wire_type type, const void *plain, size_t len,
                 uint8_t datagram[WIRE_DATAGRAM_MAX])
{
    uint8_t text[WIRE_DATAGRAM_MAX] = {0};
    uint8_t *nonce = datagram + WIRE_HEADER_LEN;
    size_t padded = len < WIRE_PAD ? WIRE_PAD : wire_padded(len);
    size_t total = WIRE_OVERHEAD + padded;

    assert_true(total <= WIRE_DATAGRAM_MAX);
    memcpy(text, plain, len);
    wire_header_put(datagram, type, total, (uint32_t)p->send_counter, stamp_ms(p));
    be32_put(nonce, p->remote_index);
    be64_put(nonce + 4, p->send_counter++);
    crypto_aead_chacha20poly1305_ietf_encrypt_detached(datagram + WIRE_OVERHEAD,
                                                       nonce + WIRE_NONCE_LEN, NULL, text, padded,
                                                       datagram, WIRE_HEADER_LEN, NULL, nonce,
                                                       p->send_key);
    return total;
}

size_t peer_open(const struct peer *p, const uint8_t *datagram, size_t len,
                 uint8_t plain[WIRE_DATAGRAM_MAX])
{
    const uint8_t *nonce = datagram + WIRE_HEADER_LEN;

    if (wire_classify(datagram, len) != WIRE_KIND_TRANSPORT ||
        wire_transport_index(datagram) != p->index)
        return 0;
    if (crypto_aead_chacha20poly1305_ietf_decrypt_detached(
            plain, NULL, datagram + WIRE_OVERHEAD, len - WIRE_OVERHEAD, nonce + WIRE_NONCE_LEN,
            datagram, WIRE_HEADER_LEN, nonce, p->recv_key) != 0)
        return 0;
    return len - WIRE_OVERHEAD;
}

/* RFC 1071. */
static uint16_t checksum(const uint8_t *bytes, size_t len)
{
    uint32_t sum = 0;
    size_t i;

    for (i = 0; i + 1 < len; i += 2)
        sum += be16_get(bytes + i);
    if (len & 1)
        sum += (uint32_t)bytes[len - 1] << 8;
    while (sum >> 16)
        sum = (sum & 0xffff) + (sum >> 16);
    return (uint16_t)~sum;
}

size_t packet4(uint8_t *out, const uint8_t src[4], const uint8_t dst[4], const void *payload,
               size_t len)
{
    memset(out, 0, 28);
    out[0] = 0x45;
    be16_put(out + 2, (uint16_t)(28 + len));
    out[8] = 64; /* time to live */
    out[9] = 1;  /* ICMP */
    memcpy(out + 12, src, 4);
    memcpy(out + 16, dst, 4);
    be16_put(out + 10, checksum(out, 20));
    out[20] = 8; /* echo request */
    memcpy(out + 28, payload, len);
    be16_put(out + 22, checksum(out + 20, 8 + len));
    return 28 + len;
}

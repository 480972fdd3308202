/*
 * mac1 and the check of STALE: BLAKE2b-128 under keys that follow from the server's public key.
 *
 * Cookies
 *
 * A cookie is a keyed hash of where a request came from, so giving one away costs no memory.  It
 * travels sealed, bound to the mac1 of the request that it answers: who does not see the client's
 * packets can neither read it nor make the client take another one.  mac2, made with it, says that
 * its sender receives at its address, which a forger of addresses does not.
 */
#include <errno.h>
#include <sodium.h>

#include "common/mac.h"

#define STALE_CHECK_OFFSET 16
/* Upper half of a counter, which ends before 2^32. */
#define NO_COUNTER         UINT32_MAX
#define STALE_CHECK_LEN    8
#define STALE_NONCE_OFFSET 24
#define STALE_RESERVED     36

#define COOKIE_INDEX    16
#define COOKIE_RESERVED 20
#define COOKIE_NONCE    24
#define COOKIE_SEALED   48

_Static_assert(COOKIE_NONCE + crypto_aead_xchacha20poly1305_ietf_NPUBBYTES == COOKIE_SEALED,
               "the nonce ends where the sealed cookie begins");
_Static_assert(COOKIE_SEALED + WIRE_MAC_LEN + crypto_aead_xchacha20poly1305_ietf_ABYTES ==
                   WIRE_COOKIE_LEN,
               "the tag ends COOKIE");

static void key_derive(uint8_t key[32], const char *label, const uint8_t public_key[WIRE_KEY_LEN])
{
    crypto_hash_sha256_state st;

    crypto_hash_sha256_init(&st);
    crypto_hash_sha256_update(&st, (const uint8_t *)label, strlen(label));
    crypto_hash_sha256_update(&st, public_key, WIRE_KEY_LEN);
    crypto_hash_sha256_final(&st, key);
}

void mac_keys_init(struct mac_keys *keys, const uint8_t server_public[WIRE_KEY_LEN])
{
    key_derive(keys->mac1, "SVPN1 mac1", server_public);
    key_derive(keys->stale, "SVPN1 stale", server_public);
    key_derive(keys->cookie, "SVPN1 cookie", server_public);
}

static void mac1_compute(const struct mac_keys *keys, const uint8_t *req, uint8_t out[WIRE_MAC_LEN])
{
    crypto_generichash(out, WIRE_MAC_LEN, req, WIRE_REQ_MAC1, keys->mac1, sizeof(keys->mac1));
}

void mac1_put(const struct mac_keys *keys, uint8_t req[WIRE_CONNECT_REQ_LEN])
{
    mac1_compute(keys, req, req + WIRE_REQ_MAC1);
}

bool mac1_valid(const struct mac_keys *keys, const uint8_t req[WIRE_CONNECT_REQ_LEN])
{
    uint8_t want[WIRE_MAC_LEN];

    mac1_compute(keys, req, want);
    return sodium_memcmp(want, req + WIRE_REQ_MAC1, sizeof(want)) == 0;
}

/* The header and the echoed nonce; the check itself lies between them. */
static void stale_compute(const struct mac_keys *keys, const uint8_t *msg,
                          uint8_t out[STALE_CHECK_LEN])
{
    crypto_generichash_state st;
    uint8_t full[WIRE_MAC_LEN];

    crypto_generichash_init(&st, keys->stale, sizeof(keys->stale), sizeof(full));
    crypto_generichash_update(&st, msg, WIRE_HEADER_LEN);
    crypto_generichash_update(&st, msg + STALE_NONCE_OFFSET, WIRE_NONCE_LEN);
    crypto_generichash_final(&st, full, sizeof(full));
    memcpy(out, full, STALE_CHECK_LEN);
}

void stale_build(const struct mac_keys *keys, const uint8_t *unknown, uint64_t stamp_ms,
                 uint8_t out[WIRE_STALE_LEN])
{
    memset(out, 0, WIRE_STALE_LEN);
    wire_header_put(out, WIRE_CONNECT_RESP, WIRE_STALE_LEN, be32_get(unknown + 4), stamp_ms);
    memcpy(out + STALE_NONCE_OFFSET, unknown + WIRE_HEADER_LEN, WIRE_NONCE_LEN);
    stale_compute(keys, out, out + STALE_CHECK_OFFSET);
}

void stale_build_unasked(const struct mac_keys *keys, uint32_t server_index, uint32_t client_index,
                         uint64_t stamp_ms, uint8_t out[WIRE_STALE_LEN])
{
    uint8_t *nonce = out + STALE_NONCE_OFFSET;

    memset(out, 0, WIRE_STALE_LEN);
    wire_header_put(out, WIRE_CONNECT_RESP, WIRE_STALE_LEN, 0, stamp_ms);
    be32_put(nonce, server_index);
    be32_put(nonce + 4, NO_COUNTER);
    be32_put(nonce + 8, client_index);
    stale_compute(keys, out, out + STALE_CHECK_OFFSET);
}

bool stale_is_unasked(const uint8_t nonce[WIRE_NONCE_LEN], uint32_t *client_index)
{
    *client_index = be32_get(nonce + 8);
    return be32_get(nonce + 4) == NO_COUNTER;
}

bool stale_valid(const struct mac_keys *keys, const uint8_t msg[WIRE_STALE_LEN])
{
    uint8_t want[STALE_CHECK_LEN];

    if (be32_get(msg + STALE_RESERVED) != 0)
        return false;

    stale_compute(keys, msg, want);
    return sodium_memcmp(want, msg + STALE_CHECK_OFFSET, sizeof(want)) == 0;
}

/* ---- cookies -------------------------------------------------------------------------------- */

void cookie_jar_init(struct cookie_jar *jar, uint64_t now_ms)
{
    randombytes_buf(jar->current, sizeof(jar->current));
    randombytes_buf(jar->previous, sizeof(jar->previous));
    jar->turn_ms = now_ms + COOKIE_SECRET_MS;
}

void cookie_jar_turn(struct cookie_jar *jar, uint64_t now_ms)
{
    if (now_ms < jar->turn_ms)
        return;

    if (now_ms - jar->turn_ms < COOKIE_SECRET_MS) {
        memcpy(jar->previous, jar->current, sizeof(jar->previous));
        /* Not from now: a late turn would let the previous secret live on for longer. */
        jar->turn_ms += COOKIE_SECRET_MS;
    } else {
        /* After a long silence the current secret is too old even to be the previous one. */
        randombytes_buf(jar->previous, sizeof(jar->previous));
        jar->turn_ms = now_ms + COOKIE_SECRET_MS;
    }
    randombytes_buf(jar->current, sizeof(jar->current));
}

static void cookie_under(const uint8_t secret[32], const struct ip_endpoint *from,
                         uint8_t cookie[WIRE_MAC_LEN])
{
    uint8_t where[1 + sizeof(from->addr.bytes) + 2];

    where[0] = from->addr.family;
    memcpy(where + 1, from->addr.bytes, sizeof(from->addr.bytes));
    be16_put(where + 1 + sizeof(from->addr.bytes), from->port);
    crypto_generichash(cookie, WIRE_MAC_LEN, where, sizeof(where), secret, 32);
}

void cookie_make(const struct cookie_jar *jar, const struct ip_endpoint *from,
                 uint8_t cookie[WIRE_MAC_LEN])
{
    cookie_under(jar->current, from, cookie);
}

static void mac2_compute(const uint8_t cookie[WIRE_MAC_LEN], const uint8_t *req,
                         uint8_t out[WIRE_MAC_LEN])
{
    crypto_generichash(out, WIRE_MAC_LEN, req, WIRE_REQ_MAC2, cookie, WIRE_MAC_LEN);
}

void mac2_put(const uint8_t cookie[WIRE_MAC_LEN], uint8_t req[WIRE_CONNECT_REQ_LEN])
{
    mac2_compute(cookie, req, req + WIRE_REQ_MAC2);
}

static bool mac2_under(const uint8_t secret[32], const struct ip_endpoint *from, const uint8_t *req)
{
    uint8_t cookie[WIRE_MAC_LEN], want[WIRE_MAC_LEN];

    cookie_under(secret, from, cookie);
    mac2_compute(cookie, req, want);
    return sodium_memcmp(want, req + WIRE_REQ_MAC2, sizeof(want)) == 0;
}

bool mac2_valid(const struct cookie_jar *jar, const struct ip_endpoint *from,
                const uint8_t req[WIRE_CONNECT_REQ_LEN])
{
    if (sodium_is_zero(req + WIRE_REQ_MAC2, WIRE_MAC_LEN))
        return false;
    return mac2_under(jar->current, from, req) || mac2_under(jar->previous, from, req);
}

void cookie_request_read(const uint8_t req[WIRE_CONNECT_REQ_LEN], struct cookie_request *out)
{
    out->sequence = be32_get(req + 4);
    out->client_index = be32_get(req + WIRE_REQ_INDEX);
    memcpy(out->mac1, req + WIRE_REQ_MAC1, sizeof(out->mac1));
}

void cookie_build(const struct mac_keys *keys, const struct cookie_request *to,
                  const uint8_t cookie[WIRE_MAC_LEN], uint64_t stamp_ms,
                  uint8_t out[WIRE_COOKIE_LEN])
{
    memset(out, 0, WIRE_COOKIE_LEN);
    wire_header_put(out, WIRE_CONNECT_RESP, WIRE_COOKIE_LEN, to->sequence, stamp_ms);
    be32_put(out + COOKIE_INDEX, to->client_index);
    randombytes_buf(out + COOKIE_NONCE, COOKIE_SEALED - COOKIE_NONCE);
    crypto_aead_xchacha20poly1305_ietf_encrypt(out + COOKIE_SEALED, NULL, cookie, WIRE_MAC_LEN,
                                               to->mac1, sizeof(to->mac1), NULL, out + COOKIE_NONCE,
                                               keys->cookie);
}

int cookie_open(const struct mac_keys *keys, const uint8_t msg[WIRE_COOKIE_LEN],
                const struct cookie_request *asked, uint8_t cookie[WIRE_MAC_LEN])
{
    uint8_t opened[WIRE_MAC_LEN];

    if (be32_get(msg + 4) != asked->sequence || be32_get(msg + COOKIE_INDEX) != asked->client_index)
        return -ENOENT;
    if (be32_get(msg + COOKIE_RESERVED) != 0 ||
        crypto_aead_xchacha20poly1305_ietf_decrypt(opened, NULL, NULL, msg + COOKIE_SEALED,
                                                   WIRE_COOKIE_LEN - COOKIE_SEALED, asked->mac1,
                                                   sizeof(asked->mac1), msg + COOKIE_NONCE,
                                                   keys->cookie) < 0)
        return -EBADMSG;
    memcpy(cookie, opened, sizeof(opened));
    return 0;
}

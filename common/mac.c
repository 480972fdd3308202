/* mac1 and the check of STALE: BLAKE2b-128 under keys that follow from the server's public key. */
#include <sodium.h>

#include "common/mac.h"

#define STALE_CHECK_OFFSET 16
#define STALE_CHECK_LEN    8
#define STALE_NONCE_OFFSET 24
#define STALE_RESERVED     36

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

bool stale_valid(const struct mac_keys *keys, const uint8_t msg[WIRE_STALE_LEN])
{
    uint8_t want[STALE_CHECK_LEN];

    if (be32_get(msg + STALE_RESERVED) != 0)
        return false;

    stale_compute(keys, msg, want);
    return sodium_memcmp(want, msg + STALE_CHECK_OFFSET, sizeof(want)) == 0;
}

/*
 * The keyed hashes that need only the server's public key: mac1 and the check of STALE.
 *
 * They keep strangers who do not know the server's public key from costing a Diffie-Hellman; they
 * are no secret, so the caller computes them and the enclave need not be asked.
 */
#ifndef COMMON_MAC_H
#define COMMON_MAC_H

#include <stdbool.h>
#include <stdint.h>

#include "common/wire.h"

/* Keys derived once from a server's public key: SHA256("SVPN1 mac1" ‖ S), SHA256("SVPN1 stale" ‖
 * S). */
struct mac_keys {
    uint8_t mac1[32];
    uint8_t stale[32];
};

void mac_keys_init(struct mac_keys *keys, const uint8_t server_public[WIRE_KEY_LEN]);

/** mac1_put() - write mac1 over bytes [0,248) of a CONNECT_REQ into its place. */
void mac1_put(const struct mac_keys *keys, uint8_t req[WIRE_CONNECT_REQ_LEN]);
/** mac1_valid() - constant time. */
bool mac1_valid(const struct mac_keys *keys, const uint8_t req[WIRE_CONNECT_REQ_LEN]);

/**
 * stale_build() - answer a transport message whose index nobody knows
 * @unknown: the message, at least WIRE_TRANSPORT_MIN bytes, already classified
 * @stamp_ms: the sender's protocol timestamp
 */
void stale_build(const struct mac_keys *keys, const uint8_t *unknown, uint64_t stamp_ms,
                 uint8_t out[WIRE_STALE_LEN]);
/** stale_valid() - is this STALE made by somebody who knows S?  Nonce: bytes 24 to 35. */
bool stale_valid(const struct mac_keys *keys, const uint8_t msg[WIRE_STALE_LEN]);

#endif

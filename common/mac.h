/*
 * The keyed hashes that need only the server's public key: mac1 and the check of STALE; and
 * cookies, with which a client shows that it receives at the address that it sends from (mac2).
 *
 * They keep strangers who do not know the server's public key from costing a Diffie-Hellman; they
 * are no secret, so the caller computes them and the enclave need not be asked.  The secret behind
 * the cookies is the caller's own: it protects nothing but the caller's time.
 */
#ifndef COMMON_MAC_H
#define COMMON_MAC_H

#include <stdbool.h>
#include <stdint.h>

#include "common/ip.h"
#include "common/wire.h"

#define COOKIE_SECRET_MS 120000 /* how long a secret makes cookies; it is valid as long again */

/* Keys derived once from a server's public key: SHA256("SVPN1 mac1" ‖ S) and so on. */
struct mac_keys {
    uint8_t mac1[32];
    uint8_t stale[32];
    uint8_t cookie[32]; /* seals COOKIE */
};

/* A server's secrets for cookies: this turn's and the last one's. */
struct cookie_jar {
    uint8_t current[32];
    uint8_t previous[32];
    uint64_t turn_ms; /* when the current one becomes the previous */
};

/* All of a CONNECT_REQ that a COOKIE in answer to it needs. */
struct cookie_request {
    uint32_t sequence;
    uint32_t client_index;
    uint8_t mac1[WIRE_MAC_LEN];
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
/**
 * stale_build_unasked() - tell a client that its session is lost before it sends anything
 * @server_index, @client_index: of that session; they stand where the nonce of a message would
 */
void stale_build_unasked(const struct mac_keys *keys, uint32_t server_index, uint32_t client_index,
                         uint64_t stamp_ms, uint8_t out[WIRE_STALE_LEN]);
/** stale_is_unasked() - is that what a STALE's nonce says?  The indexes are to be compared. */
bool stale_is_unasked(const uint8_t nonce[WIRE_NONCE_LEN], uint32_t *client_index);
/** stale_valid() - is this STALE made by somebody who knows S?  Nonce: bytes 24 to 35. */
bool stale_valid(const struct mac_keys *keys, const uint8_t msg[WIRE_STALE_LEN]);

void cookie_jar_init(struct cookie_jar *jar, uint64_t now_ms);
/** cookie_jar_turn() - take a new secret when the current one has made cookies for long enough. */
void cookie_jar_turn(struct cookie_jar *jar, uint64_t now_ms);
/** cookie_make() - the cookie of whoever receives at @from. */
void cookie_make(const struct cookie_jar *jar, const struct ip_endpoint *from,
                 uint8_t cookie[WIRE_MAC_LEN]);

/** mac2_put() - write mac2 over bytes [0,264) of a CONNECT_REQ, mac1 included, into its place. */
void mac2_put(const uint8_t cookie[WIRE_MAC_LEN], uint8_t req[WIRE_CONNECT_REQ_LEN]);
/** mac2_valid() - made with a cookie that @from was given?  Zeros, which mean none, are not. */
bool mac2_valid(const struct cookie_jar *jar, const struct ip_endpoint *from,
                const uint8_t req[WIRE_CONNECT_REQ_LEN]);

/** cookie_request_read() - keep what a COOKIE needs of a request. */
void cookie_request_read(const uint8_t req[WIRE_CONNECT_REQ_LEN], struct cookie_request *out);
/**
 * cookie_build() - write the COOKIE that answers a request
 * @stamp_ms: the sender's protocol timestamp
 */
void cookie_build(const struct mac_keys *keys, const struct cookie_request *to,
                  const uint8_t cookie[WIRE_MAC_LEN], uint64_t stamp_ms,
                  uint8_t out[WIRE_COOKIE_LEN]);
/**
 * cookie_open() - take the cookie out of a COOKIE
 * @msg: already classified
 * @asked: the request it must be the answer to
 * @cookie: written on success
 *
 * Return: 0; -ENOENT when it answers another request; -EBADMSG when it does not verify.
 */
int cookie_open(const struct mac_keys *keys, const uint8_t msg[WIRE_COOKIE_LEN],
                const struct cookie_request *asked, uint8_t cookie[WIRE_MAC_LEN]);

#endif

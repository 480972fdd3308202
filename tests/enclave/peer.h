/*
 * The other end of a login and its tunnel, for tests: either side of Noise_IKpsk2, written out
 * token by token over the symmetric state so that every secret on the way can be kept.
 *
 * It checks what it receives like an honest implementation and fails the running test otherwise.
 */
#ifndef TESTS_ENCLAVE_PEER_H
#define TESTS_ENCLAVE_PEER_H

#include <stddef.h>
#include <stdint.h>

#include "common/wire.h"
#include "enclave/handshake.h"
#include "enclave/noise.h"

#define PEER_SECRETS    32
#define PEER_SECRET_LEN 32

/* One value that must be known to the two ends alone. */
struct peer_secret {
    const char *name;
    uint8_t bytes[PEER_SECRET_LEN];
};

struct peer {
    uint8_t private_key[WIRE_KEY_LEN], public_key[WIRE_KEY_LEN], remote_public[WIRE_KEY_LEN];
    char user[WIRE_USER_MAX + 1];
    uint8_t device_id[WIRE_DEVICE_ID_LEN];
    /* The login under way. */
    struct noise_state noise;
    uint8_t ephemeral[WIRE_KEY_LEN], remote_ephemeral[WIRE_KEY_LEN];
    uint8_t challenge[WIRE_CHALLENGE_LEN];
    uint64_t hs_time;
    uint32_t sequence;
    uint32_t index, remote_index;
    struct hs_grant grant;
    /* The session. */
    uint8_t send_key[WIRE_KEY_LEN], recv_key[WIRE_KEY_LEN];
    uint64_t send_counter;
    int64_t stamp_offset_ms; /* added to our clock: a test may lie about the time */
    /* Of the last login, in the order of their making. */
    struct peer_secret secrets[PEER_SECRETS];
    size_t n_secrets;
};

/** peer_init() - a fresh peer with its own key; @remote_public is the other side's, or NULL */
void peer_init(struct peer *p, const uint8_t private_key[WIRE_KEY_LEN], const char *user,
               const uint8_t *remote_public);

/** peer_request() - initiator: the next CONNECT_REQ, with whatever challenge was received */
void peer_request(struct peer *p, uint8_t req[WIRE_CONNECT_REQ_LEN]);
/** peer_answer() - initiator: read a CONNECT_RESP.  Return: its status. */
unsigned int peer_answer(struct peer *p, const uint8_t resp[WIRE_CONNECT_RESP_LEN]);

/** peer_respond() - responder: read a CONNECT_REQ and grant @grant */
void peer_respond(struct peer *p, const uint8_t req[WIRE_CONNECT_REQ_LEN],
                  const struct hs_grant *grant, uint8_t resp[WIRE_CONNECT_RESP_LEN]);

/** peer_seal() - Return: the datagram's length; the plaintext is padded with zeros. */
size_t peer_seal(struct peer *p, enum wire_type type, const void *plain, size_t len,
                 uint8_t datagram[WIRE_DATAGRAM_MAX]);
/** peer_open() - Return: the plaintext's length with its padding, 0 when it does not verify. */
size_t peer_open(const struct peer *p, const uint8_t *datagram, size_t len,
                 uint8_t plain[WIRE_DATAGRAM_MAX]);

/**
 * packet4() - an IPv4 ping with @payload
 *
 * Return: its length; @out has room for 28 + @len bytes.
 */
size_t packet4(uint8_t *out, const uint8_t src[4], const uint8_t dst[4], const void *payload,
               size_t len);

#endif

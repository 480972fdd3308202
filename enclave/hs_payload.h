/* What the two handshake messages carry: byte formats alone, written and read by both sides. */
#ifndef ENCLAVE_HS_PAYLOAD_H
#define ENCLAVE_HS_PAYLOAD_H

#include <stdint.h>

#include "common/wire.h"
#include "enclave/handshake.h"

/* The Noise protocol's name and what precedes the header in its prologue. */
#define HS_PROTOCOL "Noise_IKpsk2_25519_ChaChaPoly_SHA256"
#define HS_PREFIX   "SVPN1"

/* The first bytes of each message, ahead of its ephemeral key, are mixed into the hash. */
#define HS_HEAD_LEN WIRE_REQ_EPHEMERAL

#define HS_PROLOGUE_LEN (sizeof(HS_PREFIX) - 1 + HS_HEAD_LEN)

/** hs_prologue() - "SVPN1" and the head of CONNECT_REQ. */
void hs_prologue(const uint8_t head[HS_HEAD_LEN], uint8_t out[HS_PROLOGUE_LEN]);

struct hs_payload1 {
    uint16_t mtu;
    uint8_t device_id[WIRE_DEVICE_ID_LEN];
    uint8_t challenge[WIRE_CHALLENGE_LEN];
    uint64_t hs_time;
    uint8_t want_ip4[4];
    uint8_t user_len;
    char user[WIRE_USER_MAX]; /* zeros after user_len */
};

void hs_payload1_put(const struct hs_payload1 *p, uint8_t out[WIRE_PAYLOAD1_LEN]);
/**
 * hs_payload1_get() - read what has been authenticated but not yet believed
 *
 * Return: 0; -EPROTONOSUPPORT for another revision; -EINVAL for reserved bytes, a bad length of the
 * name or padding that is not zero.
 */
int hs_payload1_get(const uint8_t in[WIRE_PAYLOAD1_LEN], struct hs_payload1 *p);

/* @grant is used when @status is OK, @challenge when it is CHALLENGE. */
void hs_payload2_put(unsigned int status, const struct hs_grant *grant, const uint8_t *challenge,
                     uint8_t out[WIRE_PAYLOAD2_LEN]);
/**
 * hs_payload2_get() - @challenge is written when the status is CHALLENGE, @grant when it is OK
 *
 * Return: 0, or -EBADMSG for an unknown status, a field that is not zero though unused, a prefix
 * longer than its address or an MTU out of bounds.
 */
int hs_payload2_get(const uint8_t in[WIRE_PAYLOAD2_LEN], unsigned int *status,
                    struct hs_grant *grant, uint8_t challenge[WIRE_CHALLENGE_LEN]);

#endif

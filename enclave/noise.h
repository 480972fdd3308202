/*
 * The Noise Protocol Framework (revision 34), as much of it as the pattern IKpsk2 needs.
 *
 * Parametrised by the hash function, so that another protocol over the same pattern (WireGuard's
 * uses BLAKE2s) is a second parameter set and not a second implementation.  X25519 and
 * ChaCha20-Poly1305 are fixed.  No randomness and no clock: ephemeral keys come in as arguments.
 */
#ifndef ENCLAVE_NOISE_H
#define ENCLAVE_NOISE_H

#include <stddef.h>
#include <stdint.h>

#define NOISE_HASH_LEN  32 /* SHA-256 and BLAKE2s alike */
#define NOISE_BLOCK_MAX 64
#define NOISE_KEY_LEN   32
#define NOISE_TAG_LEN   16

/* A piece of what is hashed: a message is often a few pieces that do not lie side by side. */
struct noise_part {
    const void *data;
    size_t len;
};

/* A hash function.  HMAC and HKDF are built over it. */
struct noise_hash {
    size_t block_len; /* HMAC's block, at most NOISE_BLOCK_MAX */
    void (*digest)(const struct noise_part *parts, size_t num, uint8_t out[NOISE_HASH_LEN]);
};

extern const struct noise_hash noise_sha256;

/* ---- SymmetricState: transcript hash h, chaining key ck, cipher key k with nonce n ---------- */

struct noise_state {
    const struct noise_hash *hash;
    uint8_t h[NOISE_HASH_LEN];
    uint8_t ck[NOISE_HASH_LEN];
    uint8_t k[NOISE_KEY_LEN];
    uint64_t n;
};

/** noise_init() - h = ck = the protocol's name, hashed when it is longer than a hash. */
void noise_init(struct noise_state *s, const struct noise_hash *hash, const char *protocol);
/** noise_mix_hash() - h = HASH(h ‖ data): from here on both sides must agree on @data. */
void noise_mix_hash(struct noise_state *s, const void *data, size_t len);
/** noise_mix_key() - ck, k = HKDF(ck, ikm, 2) */
void noise_mix_key(struct noise_state *s, const uint8_t ikm[NOISE_KEY_LEN]);
/** noise_mix_key_and_hash() - ck, temp, k = HKDF(ck, psk, 3); temp goes into h. */
void noise_mix_key_and_hash(struct noise_state *s, const uint8_t psk[NOISE_KEY_LEN]);
/** noise_encrypt() - EncryptAndHash; @out: @len + NOISE_TAG_LEN bytes, ciphertext then tag. */
void noise_encrypt(struct noise_state *s, const uint8_t *in, size_t len, uint8_t *out);
/**
 * noise_decrypt() - DecryptAndHash
 * @in: ciphertext then tag
 * @len: of the plaintext, without the tag
 *
 * Return: 0, or -EBADMSG with @out zeroed and the state unchanged.
 */
int noise_decrypt(struct noise_state *s, const uint8_t *in, size_t len, uint8_t *out);
/** noise_split() - the transport keys: @first from initiator to responder, @second back. */
void noise_split(const struct noise_state *s, uint8_t first[NOISE_KEY_LEN],
                 uint8_t second[NOISE_KEY_LEN]);
/**
 * noise_dh() - X25519
 *
 * Return: 0, or -EBADMSG for a low-order point: its result is zero whatever the private key is, so
 * it would add nothing to ck.
 */
int noise_dh(const uint8_t private_key[NOISE_KEY_LEN], const uint8_t public_key[NOISE_KEY_LEN],
             uint8_t out[NOISE_KEY_LEN]);

/* ---- IKpsk2: the initiator knows the responder's key; its own goes encrypted in message 1 --- */

/* One handshake, either side.  Whoever holds it wipes it with noise_ik_wipe(). */
struct noise_ik {
    struct noise_state s;
    uint8_t ephemeral[NOISE_KEY_LEN];        /* private; of the initiator, between the messages */
    uint8_t remote_ephemeral[NOISE_KEY_LEN]; /* public; at the responder, between the messages */
};

/* Message 1: e 32 | encrypted static 48 | encrypted payload.  Message 2: e 32 | encrypted payload.
 */
#define NOISE_IK_STATIC_LEN        (NOISE_KEY_LEN + NOISE_TAG_LEN)
#define NOISE_IK_MSG1_LEN(payload) (NOISE_KEY_LEN + NOISE_IK_STATIC_LEN + (payload) + NOISE_TAG_LEN)
#define NOISE_IK_MSG2_LEN(payload) (NOISE_KEY_LEN + (payload) + NOISE_TAG_LEN)

/**
 * noise_ik_start() - both sides, before message 1
 * @prologue: what both sides must agree on before anything else
 * @responder_static: the responder's public key, which the initiator knew beforehand
 */
void noise_ik_start(struct noise_ik *ik, const struct noise_hash *hash, const char *protocol,
                    const void *prologue, size_t len,
                    const uint8_t responder_static[NOISE_KEY_LEN]);

/**
 * noise_ik_send1() - initiator: write message 1
 * @ephemeral: a fresh private key; remembered for message 2
 * @static_public: our own key, sent encrypted
 * @static_dh: DH(our static, responder's static), which is the same every time
 *
 * Return: 0 or -EBADMSG when @responder_static is a low-order point.
 */
int noise_ik_send1(struct noise_ik *ik, const uint8_t ephemeral[NOISE_KEY_LEN],
                   const uint8_t static_public[NOISE_KEY_LEN],
                   const uint8_t responder_static[NOISE_KEY_LEN],
                   const uint8_t static_dh[NOISE_KEY_LEN], const uint8_t *payload, size_t len,
                   uint8_t *out);

/**
 * noise_ik_recv1_static() - responder: the first part of message 1, which says who calls
 * @in: NOISE_KEY_LEN + NOISE_IK_STATIC_LEN bytes
 * @remote_static: what the initiator claims; proved only by noise_ik_recv1_payload()
 *
 * Return: 0 or -EBADMSG.
 */
int noise_ik_recv1_static(struct noise_ik *ik, const uint8_t static_private[NOISE_KEY_LEN],
                          const uint8_t *in, uint8_t remote_static[NOISE_KEY_LEN]);

/** noise_ik_recv1_payload() - responder: the rest of message 1.  Return: 0 or -EBADMSG. */
int noise_ik_recv1_payload(struct noise_ik *ik, const uint8_t static_dh[NOISE_KEY_LEN],
                           const uint8_t *in, size_t len, uint8_t *payload);

/** noise_ik_send2() - responder: write message 2.  Return: 0 or -EBADMSG (low-order point). */
int noise_ik_send2(struct noise_ik *ik, const uint8_t ephemeral[NOISE_KEY_LEN],
                   const uint8_t remote_static[NOISE_KEY_LEN], const uint8_t psk[NOISE_KEY_LEN],
                   const uint8_t *payload, size_t len, uint8_t *out);

/** noise_ik_recv2() - initiator: read message 2; give it a copy.  Return: 0 or -EBADMSG. */
int noise_ik_recv2(struct noise_ik *ik, const uint8_t static_private[NOISE_KEY_LEN],
                   const uint8_t psk[NOISE_KEY_LEN], const uint8_t *in, size_t len,
                   uint8_t *payload);

/** noise_ik_wipe() - forget everything. */
void noise_ik_wipe(struct noise_ik *ik);

#endif

/*
 * Noise_IKpsk2: how two parties that share no secret agree on one, and prove who they are.
 *
 * Theory of operation
 *
 * Two values run through a handshake.  h is a hash over everything that was said; it is the
 * associated data of every encryption, so a changed byte anywhere makes the next tag fail.  ck is a
 * key into which every Diffie-Hellman result is mixed; what is encrypted after a mix can only be
 * read by somebody who could compute all results so far.
 *
 *   message 1   e, es, s, ss    es: only the owner of S can go on reading.  s: who calls, hidden.
 *                               ss: proves that the caller owns the key it names.
 *   message 2   e, ee, se, psk  ee: forward secrecy.  se: proves to the responder's own message
 *                               that only this caller can read it.
 *
 * Message 1 has no forward secrecy and can be replayed; handshake.c deals with that.
 *
 * HKDF is RFC 5869 with ck as the salt and empty info: libsodium's own needs 1.0.19, so it is built
 * here over HMAC (RFC 2104), which is built over any hash.
 */
#include <errno.h>
#include <sodium.h>
#include <string.h>

#include "enclave/noise.h"

_Static_assert(crypto_hash_sha256_BYTES == NOISE_HASH_LEN, "SHA-256 fits");
_Static_assert(crypto_aead_chacha20poly1305_ietf_ABYTES == NOISE_TAG_LEN, "the tag fits");

static void sha256_digest(const struct noise_part *parts, size_t num, uint8_t out[NOISE_HASH_LEN])
{
    crypto_hash_sha256_state st;

    crypto_hash_sha256_init(&st);
    for (size_t i = 0; i < num; i++)
        crypto_hash_sha256_update(&st, parts[i].data, parts[i].len);
    crypto_hash_sha256_final(&st, out);
    sodium_memzero(&st, sizeof(st));
}

const struct noise_hash noise_sha256 = {
    .block_len = 64,
    .digest = sha256_digest,
};

/* HMAC of two pieces; every key here is one hash long, hence shorter than a block. */
static void hmac(const struct noise_hash *hash, const uint8_t key[NOISE_HASH_LEN], const void *a,
                 size_t a_len, const void *b, size_t b_len, uint8_t out[NOISE_HASH_LEN])
{
    uint8_t pad[NOISE_BLOCK_MAX];
    uint8_t inner[NOISE_HASH_LEN];
    const struct noise_part in[] = {{pad, hash->block_len}, {a, a_len}, {b, b_len}};
    const struct noise_part outer[] = {{pad, hash->block_len}, {inner, sizeof(inner)}};

    memset(pad, 0x36, sizeof(pad));
    for (size_t i = 0; i < NOISE_HASH_LEN; i++)
        pad[i] ^= key[i];
    hash->digest(in, 3, inner);

    for (size_t i = 0; i < sizeof(pad); i++)
        pad[i] ^= 0x36 ^ 0x5c;
    hash->digest(outer, 2, out);

    sodium_memzero(pad, sizeof(pad));
    sodium_memzero(inner, sizeof(inner));
}

/* @num outputs of one hash each, at most 3.  @out may overlap neither @salt nor @ikm. */
static void hkdf(const struct noise_hash *hash, const uint8_t salt[NOISE_HASH_LEN],
                 const uint8_t *ikm, size_t ikm_len, uint8_t out[][NOISE_HASH_LEN], uint8_t num)
{
    uint8_t prk[NOISE_HASH_LEN];

    hmac(hash, salt, ikm, ikm_len, "", 0, prk);
    for (uint8_t i = 0; i < num; i++) {
        const uint8_t counter = (uint8_t)(i + 1);

        hmac(hash, prk, i > 0 ? out[i - 1] : prk, i > 0 ? NOISE_HASH_LEN : 0, &counter, 1, out[i]);
    }
    sodium_memzero(prk, sizeof(prk));
}

void noise_init(struct noise_state *s, const struct noise_hash *hash, const char *protocol)
{
    const size_t len = strlen(protocol);
    const struct noise_part name = {protocol, len};

    memset(s, 0, sizeof(*s));
    s->hash = hash;
    if (len <= NOISE_HASH_LEN)
        memcpy(s->h, protocol, len);
    else
        hash->digest(&name, 1, s->h);
    memcpy(s->ck, s->h, sizeof(s->ck));
}

void noise_mix_hash(struct noise_state *s, const void *data, size_t len)
{
    const struct noise_part parts[] = {{s->h, sizeof(s->h)}, {data, len}};
    uint8_t next[NOISE_HASH_LEN];

    s->hash->digest(parts, 2, next);
    memcpy(s->h, next, sizeof(next));
}

void noise_mix_key(struct noise_state *s, const uint8_t ikm[NOISE_KEY_LEN])
{
    uint8_t out[2][NOISE_HASH_LEN];

    hkdf(s->hash, s->ck, ikm, NOISE_KEY_LEN, out, 2);
    memcpy(s->ck, out[0], NOISE_HASH_LEN);
    memcpy(s->k, out[1], NOISE_KEY_LEN);
    s->n = 0;
    sodium_memzero(out, sizeof(out));
}

void noise_mix_key_and_hash(struct noise_state *s, const uint8_t psk[NOISE_KEY_LEN])
{
    uint8_t out[3][NOISE_HASH_LEN];

    hkdf(s->hash, s->ck, psk, NOISE_KEY_LEN, out, 3);
    memcpy(s->ck, out[0], NOISE_HASH_LEN);
    noise_mix_hash(s, out[1], NOISE_HASH_LEN);
    memcpy(s->k, out[2], NOISE_KEY_LEN);
    s->n = 0;
    sodium_memzero(out, sizeof(out));
}

/* Noise's nonce for ChaCha20-Poly1305: 4 zero bytes, then n in little-endian order. */
static void nonce_put(uint8_t nonce[12], uint64_t n)
{
    memset(nonce, 0, 4);
    for (int i = 0; i < 8; i++)
        nonce[4 + i] = (uint8_t)(n >> (8 * i));
}

void noise_encrypt(struct noise_state *s, const uint8_t *in, size_t len, uint8_t *out)
{
    uint8_t nonce[12];

    nonce_put(nonce, s->n++);
    crypto_aead_chacha20poly1305_ietf_encrypt(out, NULL, in, len, s->h, sizeof(s->h), NULL, nonce,
                                              s->k);
    noise_mix_hash(s, out, len + NOISE_TAG_LEN);
}

int noise_decrypt(struct noise_state *s, const uint8_t *in, size_t len, uint8_t *out)
{
    uint8_t nonce[12];

    nonce_put(nonce, s->n);
    if (crypto_aead_chacha20poly1305_ietf_decrypt(out, NULL, NULL, in, len + NOISE_TAG_LEN, s->h,
                                                  sizeof(s->h), nonce, s->k) != 0) {
        sodium_memzero(out, len);
        return -EBADMSG;
    }
    s->n++;
    noise_mix_hash(s, in, len + NOISE_TAG_LEN);
    return 0;
}

void noise_split(const struct noise_state *s, uint8_t first[NOISE_KEY_LEN],
                 uint8_t second[NOISE_KEY_LEN])
{
    uint8_t out[2][NOISE_HASH_LEN];

    hkdf(s->hash, s->ck, (const uint8_t *)"", 0, out, 2);
    memcpy(first, out[0], NOISE_KEY_LEN);
    memcpy(second, out[1], NOISE_KEY_LEN);
    sodium_memzero(out, sizeof(out));
}

int noise_dh(const uint8_t private_key[NOISE_KEY_LEN], const uint8_t public_key[NOISE_KEY_LEN],
             uint8_t out[NOISE_KEY_LEN])
{
    if (crypto_scalarmult(out, private_key, public_key) != 0) {
        sodium_memzero(out, NOISE_KEY_LEN);
        return -EBADMSG;
    }
    return 0;
}

/* MixKey(DH(private, public)) */
static int mix_dh(struct noise_state *s, const uint8_t private_key[NOISE_KEY_LEN],
                  const uint8_t public_key[NOISE_KEY_LEN])
{
    uint8_t shared[NOISE_KEY_LEN];
    int rc;

    rc = noise_dh(private_key, public_key, shared);
    if (rc == 0)
        noise_mix_key(s, shared);
    sodium_memzero(shared, sizeof(shared));
    return rc;
}

/* The token "e" of a psk pattern: a public ephemeral goes into h and into ck. */
static void mix_ephemeral(struct noise_state *s, const uint8_t public_key[NOISE_KEY_LEN])
{
    noise_mix_hash(s, public_key, NOISE_KEY_LEN);
    noise_mix_key(s, public_key);
}

void noise_ik_start(struct noise_ik *ik, const struct noise_hash *hash, const char *protocol,
                    const void *prologue, size_t len, const uint8_t responder_static[NOISE_KEY_LEN])
{
    memset(ik, 0, sizeof(*ik));
    noise_init(&ik->s, hash, protocol);
    noise_mix_hash(&ik->s, prologue, len);
    noise_mix_hash(&ik->s, responder_static, NOISE_KEY_LEN);
}

int noise_ik_send1(struct noise_ik *ik, const uint8_t ephemeral[NOISE_KEY_LEN],
                   const uint8_t static_public[NOISE_KEY_LEN],
                   const uint8_t responder_static[NOISE_KEY_LEN],
                   const uint8_t static_dh[NOISE_KEY_LEN], const uint8_t *payload, size_t len,
                   uint8_t *out)
{
    int rc;

    memcpy(ik->ephemeral, ephemeral, NOISE_KEY_LEN);
    crypto_scalarmult_base(out, ephemeral);
    mix_ephemeral(&ik->s, out);

    rc = mix_dh(&ik->s, ephemeral, responder_static);
    if (rc < 0)
        return rc;
    noise_encrypt(&ik->s, static_public, NOISE_KEY_LEN, out + NOISE_KEY_LEN);

    noise_mix_key(&ik->s, static_dh);
    noise_encrypt(&ik->s, payload, len, out + NOISE_KEY_LEN + NOISE_IK_STATIC_LEN);
    return 0;
}

int noise_ik_recv1_static(struct noise_ik *ik, const uint8_t static_private[NOISE_KEY_LEN],
                          const uint8_t *in, uint8_t remote_static[NOISE_KEY_LEN])
{
    int rc;

    memcpy(ik->remote_ephemeral, in, NOISE_KEY_LEN);
    mix_ephemeral(&ik->s, in);

    rc = mix_dh(&ik->s, static_private, in);
    if (rc < 0)
        return rc;
    return noise_decrypt(&ik->s, in + NOISE_KEY_LEN, NOISE_KEY_LEN, remote_static);
}

int noise_ik_recv1_payload(struct noise_ik *ik, const uint8_t static_dh[NOISE_KEY_LEN],
                           const uint8_t *in, size_t len, uint8_t *payload)
{
    noise_mix_key(&ik->s, static_dh);
    return noise_decrypt(&ik->s, in, len, payload);
}

int noise_ik_send2(struct noise_ik *ik, const uint8_t ephemeral[NOISE_KEY_LEN],
                   const uint8_t remote_static[NOISE_KEY_LEN], const uint8_t psk[NOISE_KEY_LEN],
                   const uint8_t *payload, size_t len, uint8_t *out)
{
    int rc;

    crypto_scalarmult_base(out, ephemeral);
    mix_ephemeral(&ik->s, out);

    rc = mix_dh(&ik->s, ephemeral, ik->remote_ephemeral);
    if (rc == 0)
        rc = mix_dh(&ik->s, ephemeral, remote_static);
    if (rc < 0)
        return rc;

    noise_mix_key_and_hash(&ik->s, psk);
    noise_encrypt(&ik->s, payload, len, out + NOISE_KEY_LEN);
    return 0;
}

int noise_ik_recv2(struct noise_ik *ik, const uint8_t static_private[NOISE_KEY_LEN],
                   const uint8_t psk[NOISE_KEY_LEN], const uint8_t *in, size_t len,
                   uint8_t *payload)
{
    int rc;

    mix_ephemeral(&ik->s, in);

    rc = mix_dh(&ik->s, ik->ephemeral, in);
    if (rc == 0)
        rc = mix_dh(&ik->s, static_private, in);
    if (rc < 0)
        return rc;

    noise_mix_key_and_hash(&ik->s, psk);
    return noise_decrypt(&ik->s, in + NOISE_KEY_LEN, len, payload);
}

void noise_ik_wipe(struct noise_ik *ik)
{
    sodium_memzero(ik, sizeof(*ik));
}

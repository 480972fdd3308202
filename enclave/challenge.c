/*
 * Challenges: HMAC(epoch secret, C ‖ device_id), cut to 16 bytes.
 *
 * Theory of operation
 *
 * The challenge travels encrypted to the one client that owns C, so a message that carries it was
 * made after we asked: no recording from before can.  It is computed anew for the check, so asking
 * costs no memory, and a secret that changes each minute makes it expire by itself after at most
 * two epochs.
 */
#include <sodium.h>

#include "enclave/challenge.h"

_Static_assert(WIRE_CHALLENGE_LEN <= crypto_auth_hmacsha256_BYTES, "cut from an HMAC");

void challenge_init(struct challenge *c)
{
    randombytes_buf(c->current, sizeof(c->current));
    randombytes_buf(c->previous, sizeof(c->previous));
    c->turn_ms = 0;
}

void challenge_turn(struct challenge *c, uint64_t now_ms)
{
    if (now_ms < c->turn_ms)
        return;

    if (now_ms - c->turn_ms < CHALLENGE_EPOCH_MS) {
        memcpy(c->previous, c->current, sizeof(c->previous));
        /* Not from now: a late turn would let the previous secret live on for longer. */
        c->turn_ms += CHALLENGE_EPOCH_MS;
    } else {
        /* After a long silence the current secret is too old even to be the previous one. */
        randombytes_buf(c->previous, sizeof(c->previous));
        c->turn_ms = now_ms + CHALLENGE_EPOCH_MS;
    }
    randombytes_buf(c->current, sizeof(c->current));
}

static void challenge_under(const uint8_t secret[32], const uint8_t key[WIRE_KEY_LEN],
                            const uint8_t device_id[WIRE_DEVICE_ID_LEN],
                            uint8_t out[WIRE_CHALLENGE_LEN])
{
    crypto_auth_hmacsha256_state st;
    uint8_t full[crypto_auth_hmacsha256_BYTES];

    crypto_auth_hmacsha256_init(&st, secret, 32);
    crypto_auth_hmacsha256_update(&st, key, WIRE_KEY_LEN);
    crypto_auth_hmacsha256_update(&st, device_id, WIRE_DEVICE_ID_LEN);
    crypto_auth_hmacsha256_final(&st, full);
    memcpy(out, full, WIRE_CHALLENGE_LEN);
    sodium_memzero(&st, sizeof(st));
    sodium_memzero(full, sizeof(full));
}

void challenge_make(const struct challenge *c, const uint8_t key[WIRE_KEY_LEN],
                    const uint8_t device_id[WIRE_DEVICE_ID_LEN], uint8_t out[WIRE_CHALLENGE_LEN])
{
    challenge_under(c->current, key, device_id, out);
}

bool challenge_valid(const struct challenge *c, const uint8_t key[WIRE_KEY_LEN],
                     const uint8_t device_id[WIRE_DEVICE_ID_LEN],
                     const uint8_t answer[WIRE_CHALLENGE_LEN])
{
    uint8_t want[WIRE_CHALLENGE_LEN];
    bool ok;

    challenge_under(c->current, key, device_id, want);
    ok = sodium_memcmp(want, answer, sizeof(want)) == 0;
    if (!ok) {
        challenge_under(c->previous, key, device_id, want);
        ok = sodium_memcmp(want, answer, sizeof(want)) == 0;
    }
    sodium_memzero(want, sizeof(want));
    return ok;
}

/*
 * The memory of ephemeral keys.
 *
 * Theory of operation
 *
 * It saves work and is not what replays founder on: when a set overflows, its oldest key is
 * forgotten early, and the message then meets hs_time and the challenge (handshake.c).
 *
 * A key is added only after its whole message proved authentic.  If it were added on sight,
 * somebody who overtakes a client with a spoilt copy of its request would have the real one
 * dropped, and a flood of random keys would flush the table.
 */
#include <sodium.h>
#include <string.h>

#include "enclave/hs_seen.h"

void hs_seen_init(struct hs_seen *s)
{
    memset(s, 0, sizeof(*s));
    randombytes_buf(s->hash_key, sizeof(s->hash_key));
}

static uint64_t seen_tag(const struct hs_seen *s, const uint8_t ephemeral[WIRE_KEY_LEN])
{
    uint64_t tag;

    crypto_shorthash((uint8_t *)&tag, ephemeral, WIRE_KEY_LEN, s->hash_key);
    return tag;
}

bool hs_seen_has(const struct hs_seen *s, const uint8_t ephemeral[WIRE_KEY_LEN], uint32_t now_s)
{
    const uint64_t tag = seen_tag(s, ephemeral);
    const unsigned int set = tag % HS_SEEN_SETS;

    for (int i = 0; i < HS_SEEN_WAYS; i++) {
        if (s->tag[set][i] == tag && s->until_s[set][i] > now_s)
            return true;
    }
    return false;
}

void hs_seen_add(struct hs_seen *s, const uint8_t ephemeral[WIRE_KEY_LEN], uint32_t now_s)
{
    const uint64_t tag = seen_tag(s, ephemeral);
    const unsigned int set = tag % HS_SEEN_SETS;
    int oldest = 0;

    for (int i = 1; i < HS_SEEN_WAYS; i++) {
        if (s->until_s[set][i] < s->until_s[set][oldest])
            oldest = i;
    }
    s->tag[set][oldest] = tag;
    /* Seconds are cut off, so one more makes sure of the last. */
    s->until_s[set][oldest] = now_s + HS_SEEN_SECONDS + 1;
}

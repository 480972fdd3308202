/* The ephemeral keys of the last two minutes' requests: a copy is dropped before it costs a DH. */
#ifndef ENCLAVE_HS_SEEN_H
#define ENCLAVE_HS_SEEN_H

#include <stdbool.h>
#include <stdint.h>

#include "common/wire.h"

#define HS_SEEN_SECONDS 120
#define HS_SEEN_SETS    512
#define HS_SEEN_WAYS    16 /* 8192 entries in all */

struct hs_seen {
    uint8_t hash_key[16];
    uint64_t tag[HS_SEEN_SETS][HS_SEEN_WAYS];
    uint32_t until_s[HS_SEEN_SETS][HS_SEEN_WAYS]; /* 0: never used */
};

void hs_seen_init(struct hs_seen *s);
/** hs_seen_has() - was this key added within HS_SEEN_SECONDS? */
bool hs_seen_has(const struct hs_seen *s, const uint8_t ephemeral[WIRE_KEY_LEN], uint32_t now_s);
/** hs_seen_add() - remember it, in place of the oldest of its set. */
void hs_seen_add(struct hs_seen *s, const uint8_t ephemeral[WIRE_KEY_LEN], uint32_t now_s);

#endif

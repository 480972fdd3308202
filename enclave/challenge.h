/* The server's question to a client whose clock cannot be believed: prove that you are here now. */
#ifndef ENCLAVE_CHALLENGE_H
#define ENCLAVE_CHALLENGE_H

#include <stdbool.h>
#include <stdint.h>

#include "common/wire.h"

#define CHALLENGE_EPOCH_MS 60000

struct challenge {
    uint8_t current[32];
    uint8_t previous[32];
    uint64_t turn_ms; /* when the current epoch ends */
};

void challenge_init(struct challenge *c);
/** challenge_turn() - begin a new epoch when the current one is over; the last but one is wiped. */
void challenge_turn(struct challenge *c, uint64_t now_ms);
/** challenge_make() - what this peer must send back; needs no memory of having asked. */
void challenge_make(const struct challenge *c, const uint8_t key[WIRE_KEY_LEN],
                    const uint8_t device_id[WIRE_DEVICE_ID_LEN], uint8_t out[WIRE_CHALLENGE_LEN]);
/** challenge_valid() - is this what we asked of this peer in this epoch or the one before? */
bool challenge_valid(const struct challenge *c, const uint8_t key[WIRE_KEY_LEN],
                     const uint8_t device_id[WIRE_DEVICE_ID_LEN],
                     const uint8_t answer[WIRE_CHALLENGE_LEN]);

#endif

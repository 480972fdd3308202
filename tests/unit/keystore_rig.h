/* A key store of a few peers, in memory and on a clock of the test's own. */
#ifndef TESTS_UNIT_KEYSTORE_RIG_H
#define TESTS_UNIT_KEYSTORE_RIG_H

#include <stdbool.h>
#include <stdint.h>

#include "common/clock.h"
#include "common/wire.h"
#include "enclave/keystore.h"

#define PEERS 4
#define IDS   8

extern const uint8_t device_a[WIRE_DEVICE_ID_LEN], device_b[WIRE_DEVICE_ID_LEN];

extern struct keystore *ks;
extern struct clock now;

/** start() - begin anew, with an empty store for so many */
void start(uint32_t lanes, uint32_t peers);
/** setup() - an empty store of two lanes and PEERS peers */
int setup(void **state);
/** finish() - a group's end: the store's memory is freed */
int finish(void **state);

/** make() - a new session of the peer in @slot, with keys, not published */
struct session *make(uint32_t slot);
/** publish() - a new session of it, as its next or its current one */
struct session *publish(uint32_t slot, enum session_slot where);
/** wiped() - are its keys zero? */
bool wiped(const struct session *s);
/** reap() - what is over goes now, and peers without a session as well */
void reap(void);

#endif

/* The replay window of RFC 6479: a ring of words, so that advancing clears and never shifts. */
#ifndef ENCLAVE_REPLAY_H
#define ENCLAVE_REPLAY_H

#include <stdbool.h>
#include <stdint.h>

#define REPLAY_BITS   8192
#define REPLAY_WORDS  (REPLAY_BITS / 64)
#define REPLAY_WINDOW (REPLAY_BITS - 64) /* accepted while last - counter < this: 8128 */

struct replay {
    uint64_t last; /* highest counter seen; meaningless until any is set */
    bool any;
    uint64_t bits[REPLAY_WORDS];
};

void replay_init(struct replay *w);
/** replay_check() - would @counter be accepted?  Changes nothing; call before the AEAD. */
bool replay_check(const struct replay *w, uint64_t counter);
/** replay_commit() - mark an authenticated counter; false when it is a replay after all. */
bool replay_commit(struct replay *w, uint64_t counter);

#endif

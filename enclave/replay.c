/*
 * The replay window: has this counter been used before?
 *
 * Theory of operation (RFC 6479)
 *
 * Datagrams arrive out of order, so "higher than the last" would lose good ones, and a set of all
 * counters ever seen would grow for ever.  We keep one bit for each of the latest counters in a
 * ring of words; a counter's bit is always at (counter mod REPLAY_BITS).  When a higher counter
 * arrives, only the words that the ring enters anew are cleared, and nothing is ever shifted.
 *
 * The word in which `last` lies is in use by counters above it too, so one word less than the ring
 * holds can be answered for: that is why REPLAY_WINDOW is 64 below REPLAY_BITS.
 */
#include <string.h>

#include "enclave/replay.h"

#define WORD_OF(counter) (((counter) / 64) % REPLAY_WORDS)
#define BIT_OF(counter)  (1ULL << ((counter) % 64))

_Static_assert((REPLAY_WORDS & (REPLAY_WORDS - 1)) == 0, "the ring must divide 2^64 evenly");

void replay_init(struct replay *w)
{
    memset(w, 0, sizeof(*w));
}

bool replay_check(const struct replay *w, uint64_t counter)
{
    if (!w->any || counter > w->last)
        return true;
    if (w->last - counter >= REPLAY_WINDOW)
        return false;
    return !(w->bits[WORD_OF(counter)] & BIT_OF(counter));
}

bool replay_commit(struct replay *w, uint64_t counter)
{
    if (!replay_check(w, counter))
        return false;

    if (!w->any || counter > w->last) {
        uint64_t from = w->any ? w->last / 64 : counter / 64;
        uint64_t steps = counter / 64 - from;

        if (steps > REPLAY_WORDS)
            steps = REPLAY_WORDS; /* a whole turn clears everything */
        for (uint64_t i = 1; i <= steps; i++)
            w->bits[(from + i) % REPLAY_WORDS] = 0;
        w->last = counter;
        w->any = true;
    }
    w->bits[WORD_OF(counter)] |= BIT_OF(counter);
    return true;
}

/* When to believe that the server has forgotten us; see stale.h. */
#include "client/stale.h"

#include <string.h>

void stale_reset(struct stale *s, uint64_t now_ms)
{
    memset(s->next, 0, sizeof(s->next));
    /* What the server forgot before says nothing about the session that begins now. */
    s->heeded_ms = 0;
    s->sampled_ms = now_ms;
}

bool stale_sample(struct stale *s, uint64_t next, uint64_t now_ms)
{
    uint64_t steps = (now_ms - s->sampled_ms) / STALE_SAMPLE_MS;

    if (steps == 0)
        return false;
    /* After a late wake-up the same value stands for all the seconds that were missed. */
    if (steps > STALE_SAMPLES)
        steps = STALE_SAMPLES;
    memmove(s->next + steps, s->next, (STALE_SAMPLES - steps) * sizeof(s->next[0]));
    for (uint64_t i = 0; i < steps; i++)
        s->next[i] = next;
    s->sampled_ms = now_ms;
    return true;
}

bool stale_heed(struct stale *s, uint64_t counter, uint64_t next, uint64_t now_ms)
{
    if (counter < s->next[STALE_SAMPLES - 1] || counter >= next)
        return false;
    return stale_heed_unasked(s, now_ms);
}

bool stale_heed_unasked(struct stale *s, uint64_t now_ms)
{
    if (s->heeded_ms && now_ms - s->heeded_ms < STALE_GAP_MS)
        return false;
    s->heeded_ms = now_ms;
    return true;
}

/* When the client does what; see timers.h. */
#include "client/timers.h"

uint32_t timers_answer_ms(uint32_t random)
{
    return TIMERS_ANSWER_MS + random % (TIMERS_JITTER_MS + 1);
}

uint32_t timers_restart_ms(uint32_t random)
{
    return TIMERS_RESTART_MS + random % (TIMERS_JITTER_MS + 1);
}

uint32_t timers_pause_ms(uint64_t failing_ms, uint32_t pauses, uint32_t random)
{
    uint32_t pause = TIMERS_ANSWER_MS;

    if (failing_ms < TIMERS_PATIENCE_MS)
        return 0;
    while (pauses-- > 0 && pause < TIMERS_PAUSE_MAX_MS)
        pause *= 2;
    if (pause > TIMERS_PAUSE_MAX_MS)
        pause = TIMERS_PAUSE_MAX_MS;
    /* Downwards, so that the longest pause stays the longest. */
    return pause - random % (pause / 4 + 1);
}

uint32_t timers_ended_ms(uint32_t in_a_row, uint32_t random)
{
    uint32_t pause = TIMERS_ENDED_MS;

    while (in_a_row-- > TIMERS_ENDED_FREE && pause < TIMERS_ENDED_MAX_MS)
        pause *= 2;
    if (pause > TIMERS_ENDED_MAX_MS)
        pause = TIMERS_ENDED_MAX_MS;
    return pause + random % (pause / 3 + 1);
}

uint32_t timers_cut_short(uint32_t before, uint64_t age_ms, bool ended)
{
    if (age_ms >= TIMERS_LASTED_MS)
        return 0;
    return ended && before < UINT32_MAX ? before + 1 : before;
}

uint32_t timers_rekey_ms(uint32_t random)
{
    return TIMERS_REKEY_MS - random % (TIMERS_REKEY_EARLY_MS + 1);
}

static bool passed(uint64_t since, uint64_t span, uint64_t now)
{
    return now >= since && now - since >= span;
}

unsigned int session_due(const struct session_times *s, uint64_t now)
{
    /* A STALE that an authentic packet has contradicted since means nothing. */
    const bool stale = s->stale_at && s->last_rx <= s->stale_at;
    unsigned int due = 0;

    if (passed(s->started, TIMERS_LIFE_MS, now))
        return SESSION_OVER;
    if (now >= s->rekey_at || s->packets >= TIMERS_REKEY_PACKETS)
        due |= SESSION_LOGIN;
    if (s->unanswered_since && passed(s->unanswered_since, TIMERS_SILENCE_MS, now))
        due |= SESSION_LOGIN;
    if (stale && passed(s->stale_at, TIMERS_STALE_MS, now))
        due |= SESSION_LOGIN;
    if (passed(s->last_ping, TIMERS_PING_GAP_MS, now)) {
        if (passed(s->last_tx, s->keepalive_ms, now))
            due |= SESSION_PING;
        /* Once per silence. */
        if (s->unanswered_since && passed(s->unanswered_since, TIMERS_PROBE_MS, now) &&
            s->last_ping < s->unanswered_since + TIMERS_PROBE_MS)
            due |= SESSION_PING;
    }
    return due;
}

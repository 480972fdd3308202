/*
 * When to believe that the server has forgotten us.
 *
 * Theory of operation: a server that was restarted answers packets of unknown sessions with STALE,
 * which anybody who knows the server's public key can forge.  So believing one must cost little
 * (one PING, and a login if nothing authentic comes within a second), happen rarely (once per 5 s),
 * and need something that only who sees our packets knows: the counter of one that was sent within
 * the last 5 s.  The lanes note the counter after the last one they sent; looked at once a second,
 * that gives a history which is enough to tell.  A server that has just started tells those who
 * were connected unasked: that one knows both indexes of the session instead, 64 random bits. Pure.
 */
#ifndef CLIENT_STALE_H
#define CLIENT_STALE_H

#include <stdbool.h>
#include <stdint.h>

#define STALE_SAMPLES   6
#define STALE_SAMPLE_MS 1000
#define STALE_GAP_MS    5000

struct stale {
    uint64_t next[STALE_SAMPLES]; /* the counter after the last one sent, newest first */
    uint64_t sampled_ms;
    uint64_t heeded_ms; /* 0: never */
};

/** stale_reset() - a new session begins: its counters start from 0. */
void stale_reset(struct stale *s, uint64_t now_ms);

/**
 * stale_sample() - called about once a second, or more often
 * @next: the counter after the last one sent
 *
 * Return: true when a second has passed since the last sample.
 */
bool stale_sample(struct stale *s, uint64_t next, uint64_t now_ms);

/**
 * stale_heed() - was a packet with this counter sent just now, and is it time to believe again?
 * @next: the counter after the last one sent
 *
 * Return: true when the STALE shall be heeded; another one is not for the next 5 s.
 */
bool stale_heed(struct stale *s, uint64_t counter, uint64_t next, uint64_t now_ms);
/** stale_heed_unasked() - the same for one that knows both of the session's indexes instead. */
bool stale_heed_unasked(struct stale *s, uint64_t now_ms);

#endif

/*
 * When the client does what, as the protocol's "Sessions and timers" says.  Pure: time and
 * randomness come in as arguments.
 */
#ifndef CLIENT_TIMERS_H
#define CLIENT_TIMERS_H

#include <stdbool.h>
#include <stdint.h>

#define TIMERS_ANSWER_MS       5000 /* how long an answer is waited for */
#define TIMERS_RESTART_MS      1000 /* … by a server that has just ended, and mostly starts again */
#define TIMERS_RESTART_SPAN_MS 30000 /* for so long */
#define TIMERS_JITTER_MS       333   /* so that a thousand clients do not ask in step */
#define TIMERS_PATIENCE_MS     90000 /* of failures, before attempts become rarer */
#define TIMERS_PAUSE_MAX_MS    60000 /* and never rarer than this */
#define TIMERS_ENDED_MS        1000 /* after the server's DISCONNECT; restarted, it is back by then */
#define TIMERS_ENDED_FREE      5    /* so often, although no session lasted; then less and less */
#define TIMERS_ENDED_MAX_MS    45000 /* and its jitter */
#define TIMERS_LASTED_MS       60000 /* a session that did */
#define TIMERS_REKEY_MS        120000
#define TIMERS_REKEY_EARLY_MS  10000
#define TIMERS_LIFE_MS         180000 /* neither side takes a packet of an older session */
#define TIMERS_PROBE_MS        10000  /* DATA without an answer: PING */
#define TIMERS_SILENCE_MS      15000  /* still none: log in anew */
#define TIMERS_STALE_MS        1000   /* after a STALE the server has this long to contradict it */
#define TIMERS_PING_GAP_MS     1000   /* never more often than this */
#define TIMERS_REKEY_PACKETS   (1ULL << 31)

/** timers_answer_ms() - how long to wait for the answer to one request. */
uint32_t timers_answer_ms(uint32_t random);

/** timers_restart_ms() - the same while the server is expected back. */
uint32_t timers_restart_ms(uint32_t random);

/**
 * timers_pause_ms() - how long to wait after a request that nobody answered
 * @failing_ms: since the first request of this login
 * @pauses: how many pauses this login has made
 *
 * Return: 0 in the first 90 s; then up to a minute, doubling, with a quarter of jitter.
 */
uint32_t timers_pause_ms(uint64_t failing_ms, uint32_t pauses, uint32_t random);

/**
 * timers_ended_ms() - how long to wait when the server has ended a session
 * @in_a_row: how many it has ended now of which none lasted TIMERS_LASTED_MS; 0: this one did
 *
 * Return: a second at first; up to a minute, doubling, when it ends them all; a third of jitter.
 */
uint32_t timers_ended_ms(uint32_t in_a_row, uint32_t random);

/**
 * timers_cut_short() - how many sessions in a row the server has ended before they lasted
 * @before: the same as of late
 * @age_ms: how long this connection has been up
 * @ended: the server ends it now; false: it goes on
 *
 * Return: 0 from the moment that it has lasted, however it ends.
 */
uint32_t timers_cut_short(uint32_t before, uint64_t age_ms, bool ended);

/** timers_rekey_ms() - the age at which a session is renewed. */
uint32_t timers_rekey_ms(uint32_t random);

/* A session as its timers see it; times in milliseconds of one monotonic clock, 0: never. */
struct session_times {
    uint64_t started, rekey_at;
    uint64_t last_rx;          /* any authentic packet */
    uint64_t last_tx;          /* anything sent */
    uint64_t unanswered_since; /* first DATA after last_rx */
    uint64_t last_ping;        /* when the last PING was asked for */
    uint64_t stale_at;         /* a STALE was heeded */
    uint32_t keepalive_ms;
    uint64_t packets; /* sent with its key */
};

/* What is due; bits. */
enum session_due {
    SESSION_PING = 1 << 0,
    SESSION_LOGIN = 1 << 1, /* renew it by a login beside it */
    SESSION_OVER = 1 << 2,
};

/**
 * session_due() - what has to be done now
 *
 * Return: bits of enum session_due.
 */
unsigned int session_due(const struct session_times *s, uint64_t now);

#endif

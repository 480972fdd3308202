/*
 * How large a packet the path to a peer carries in one piece.
 *
 * Theory of operation
 * -------------------
 * Routers' complaints about size are neither authentic nor reliable, so the path is measured, as
 * RFC 8899 does: PINGs padded to different sizes go out, unfragmented, and the largest that is
 * answered tells.  First the agreed MTU alone, because it nearly always fits; when nobody answers,
 * rounds of up to eight sizes narrow it down.  A probe's id says which search it belongs to and how
 * large it was, so a late answer still counts.
 *
 * Two numbers come of it.  *whole*: what is known to arrive in one piece; anything larger is sent
 * so that the network may fragment it, so nothing is lost while the search is on, nor on a path
 * that carries less than 1280.  *limit*: what hosts inside are told when their packets are larger;
 * it changes only when a search has ended, and never falls below 1280, which IPv6 demands of a
 * link.
 *
 * Sizes are those of the plaintext.  Pure: time and randomness come in as arguments.
 */
#ifndef DAEMON_DATAPATH_PMTU_H
#define DAEMON_DATAPATH_PMTU_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PMTU_ROUND        8
#define PMTU_TRIES        2
#define PMTU_WAIT_MS      500
#define PMTU_APART_MS     1000  /* between searches: a peer that moves for ever costs little */
#define PMTU_AGAIN_MS     10000 /* nobody answered any size: is anybody there?  Doubled … */
#define PMTU_AGAIN_MAX_MS 160000
#define PMTU_NEVER        UINT64_MAX

/* A probe's id: 48 random bits of its search, and its size. */
#define PMTU_BASE(id) ((id) >> 16)
#define PMTU_SIZE(id) ((id)&0xffff)

struct pmtu {
    uint64_t base;     /* never 0 */
    uint64_t began_ms; /* 0: never */
    uint64_t due_ms;   /* when pmtu_send() has something to do; PMTU_NEVER */
    uint32_t again_ms; /* the next pause after a search that nobody answered; 0: none yet */
    uint16_t mtu;      /* agreed */
    uint16_t low;      /* the largest size answered in this search; 0 */
    uint16_t high;     /* the smallest that failed; at first beyond the largest */
    uint16_t sizes[PMTU_ROUND];
    uint8_t n_sizes, tries;
    uint16_t whole, limit; /* what came of it, see above */
};

/**
 * pmtu_begin() - start a search, a second after the last one at the earliest
 * @mtu: as agreed for the session, 1280 to 1920
 * @base: random
 * @fresh: the path is another one: forget what is known of the old one
 */
void pmtu_begin(struct pmtu *p, uint16_t mtu, uint64_t base, bool fresh, uint64_t now_ms);

/**
 * pmtu_send() - what is to be sent now
 * @sizes: of the probes, multiples of 16
 *
 * Return: how many; 0 when it is not time or the search is over.
 */
size_t pmtu_send(struct pmtu *p, uint64_t now_ms, uint16_t sizes[PMTU_ROUND]);

/** pmtu_id() - the id of the probe of @size. */
uint64_t pmtu_id(const struct pmtu *p, uint16_t size);

/** pmtu_answer() - a PONG with this id arrived; any id may come. */
void pmtu_answer(struct pmtu *p, uint64_t id);

#endif

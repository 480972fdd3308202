/*
 * A responder and an initiator with a session between them, each with a clock of its own, and
 * datagrams from one to the other: honest ones, and such as no honest side would make.
 */
#ifndef TESTS_UNIT_TRANSPORT_RIG_H
#define TESTS_UNIT_TRANSPORT_RIG_H

#include <stddef.h>
#include <stdint.h>

#include "common/wire.h"
#include "enclave/transport.h"

#define LANES 2

/* One side.  Its peer stands in slot 1, so its session belongs to lane 1. */
struct side {
    void *mem;
    struct keystore *ks;
    struct transport t;
    struct session *s;
    uint32_t peer;
    struct clock now;
};

extern struct side server, client;
extern uint8_t datagram[WIRE_DATAGRAM_MAX]; /* the one under way */
extern uint8_t plain[WIRE_DATAGRAM_MAX];    /* what was in the last one that opened */
extern struct transport_opened opened;      /* what was said of it */

/* The tunnel's two ends, as the client's lease has them; it is of id 2 at either side. */
extern const uint8_t client4[4], server4[4], client6[16], server6[16];

/** group_setup() - choose the cipher */
int group_setup(void **state);
/** setup() - two sides after a login: the server's session is not confirmed yet */
int setup(void **state);
int teardown(void **state);

/** link_sides() - a login: the server's session is `next`, the client's current */
void link_sides(void);
/** pass() - time passes at both sides */
void pass(int64_t ms);

/* ---- packets -------------------------------------------------------------------------------- */

/** ip4() - make a UDP packet of @len bytes at @p.  Return: @len. */
size_t ip4(uint8_t *p, const uint8_t *src, const uint8_t *dst, size_t len);
size_t ip6(uint8_t *p, const uint8_t *src, const uint8_t *dst, size_t len);

/** seal() - seal what stands at @text as the datagram under way.  Return: its length. */
size_t seal(struct side *from, uint8_t type, const void *text, size_t len);
/** open_at() - it arrives */
enum ring_status open_at(struct side *to, size_t len);
/** data() - an honest DATA packet of @len bytes across */
enum ring_status data(struct side *from, struct side *to, size_t len);
/** confirm() - the first one from the client, which makes the server's session current */
void confirm(void);

/**
 * forge() - a message that no honest side would make: the right key, but header, counter and text
 * of our choice
 *
 * Return: the datagram's length.
 */
size_t forge(struct side *from, uint8_t type, uint64_t counter, uint32_t sequence,
             uint64_t stamp_ms, const void *text, size_t len);
/** inner() - @text across with an honest header */
enum ring_status inner(struct side *from, struct side *to, uint8_t type, const void *text,
                       size_t len);

#endif

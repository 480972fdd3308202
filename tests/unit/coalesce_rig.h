/* A batch of packets that are merged, and what comes out of it, cut again. */
#ifndef TESTS_UNIT_COALESCE_RIG_H
#define TESTS_UNIT_COALESCE_RIG_H

#include <stddef.h>
#include <stdint.h>

#include "daemon/datapath/coalesce.h"
#include "tests/unit/packets.h"

#define BOTH (COALESCE_TCP | COALESCE_UDP)
#define ROOM 2048

extern struct coalesce merge;

/** cell() - where the batch's packet @i lies */
uint8_t *cell(unsigned int i);
/** add() - hand over packet @i, from device 0; whatever can be merged may be */
void add(unsigned int i, size_t len);

/* What came out: frames, and the packets in them. */
struct packet {
    uint8_t bytes[ROOM];
    size_t len;
};

extern struct packet out[COALESCE_PACKETS];
extern unsigned int n_out, n_frames;

/** take_out() - all groups, through a splitter that test_gso.c has checked */
void take_out(void);

/** segment() - a TCP segment of a stream over IPv4, with @data bytes in it */
struct shape segment(size_t data);
/** follow() - what comes next in its stream */
void follow(struct shape *s);

#endif

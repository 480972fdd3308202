/* A lane: one I/O thread, its sockets, its TUN queues, one ring pair.  Private to datapath/. */
#ifndef DAEMON_DATAPATH_LANE_H
#define DAEMON_DATAPATH_LANE_H

#include "common/clock.h"
#include "common/wire.h"
#include "daemon/datapath/coalesce.h"
#include "daemon/datapath/datapath.h"
#include "daemon/datapath/gso.h"
#include "daemon/datapath/icmp.h"
#include "daemon/datapath/udp.h"

/*
 * Datagrams read one by one stand in cells of a slot; those that the kernel has put together come
 * LANE_TRAINS messages at a time, each into a slot of its own.  Shorter messages than LANE_SHORT
 * are then moved together, for a slot costs more to hand over than a few packets to copy.
 */
#define LANE_CELL       2112 /* 33 cache lines: consecutive cells do not share a set */
#define LANE_BATCH      UDP_BATCH
#define LANE_TRAINS     16
#define LANE_TRAIN_MAX  65535
#define LANE_SHORT      16384
#define LANE_CELL_AT(i) (RING_TABLE_SIZE + (size_t)(i)*LANE_CELL)
_Static_assert(RING_TABLE_SIZE + LANE_TRAIN_MAX <= RING_SLOT_SIZE, "any message fits a slot");
_Static_assert(RING_PACKETS <= UDP_BATCH_PIECES, "a slot fits one batch");

/* Slots that traffic leaves alone: answers to a peer must not be lost in a flood. */
#define LANE_SPARE 2

/* Unknown sessions that are told to the main thread in a second. */
#define LANE_UNKNOWN_MAX 100

enum lane_stop { LANE_STOP_NONE, LANE_STOP_NOW, LANE_STOP_DRAIN };

enum lane_request_kind {
    LANE_REQUEST_WAKE,     /* look at stop_wanted */
    LANE_REQUEST_SEAL,     /* a small message for a peer */
    LANE_REQUEST_DATAGRAM, /* a datagram whose session this lane owns, from another lane */
};

/* What arrives in a lane's inbox. */
struct lane_request {
    uint32_t kind; /* enum lane_request_kind */
    uint32_t peer;
    uint32_t type;
    uint32_t length;
    struct path from;
    uint8_t data[WIRE_DATAGRAM_MAX];
};

/* Where each packet of a slot came from, kept on our side of the ring. */
struct lane_slot {
    struct path from[RING_PACKETS];
    uint8_t source[RING_PACKETS]; /* which of them, by packet */
    uint8_t n_from;
};

/* A slot that is being filled; slot is -1 while there is none. */
struct lane_fill {
    int slot;
    bool urgent; /* may take the spare slots */
    unsigned int entries;
    size_t at; /* where the next message may begin */
};

/* What was last read from a device.  Pieces that found no free slot wait here for one. */
struct lane_frame {
    struct gso_split split; /* all zeros: nothing is left of it */
    uint32_t peer;
    uint8_t bytes[GSO_HEADER_LEN + UINT16_MAX];
};

struct lane {
    struct datapath *dp;
    uint32_t number;
    pthread_t thread;
    bool started;
    struct ring_area *area;
    int bell, worker_bell; /* rung for us, and by us */
    int epoll;
    struct ring_end submit, complete;
    uint16_t free[RING_SLOTS];
    uint32_t n_free;
    uint32_t under_way;      /* a bit per slot that the worker has */
    _Atomic int stop_wanted; /* enum lane_stop; set by the main thread */
    bool stopping, drained;
    bool resumed; /* after a pause: the ring goes on where it was */
    bool broken;  /* the enclave violated the ring or is gone */
    uint64_t stop_by_ms;
    unsigned int turn; /* which of the sources that are ready is served first */
    uint64_t unknown_second;
    uint32_t unknown_told;
    struct clock now;
    /* Written by this lane, read by the main thread. */
    struct {
        _Atomic uint64_t drops[DP_DROP_NUM];
        _Atomic uint64_t statuses[RING_STATUS_NUM];
        _Atomic uint64_t rx_packets, rx_bytes, tx_packets, tx_bytes;
    } stats;
    struct lane_slot slots[RING_SLOTS];
    struct udp_batch rx, tx;
    uint32_t tx_peers[UDP_BATCH]; /* whose the messages of tx are */
    struct lane_frame frame;
    struct lane_fill small; /* what lane_seal_small() has put together in this round */
    struct coalesce merge;
    struct icmp_limit icmp;
};

/** lane_main() - the thread. */
void *lane_main(void *arg);

/* Shared between the lane's files. */

/** lane_count() - one more in a counter that only this lane writes. */
static inline void lane_count(_Atomic uint64_t *counter, uint64_t n)
{
    atomic_store_explicit(counter, atomic_load_explicit(counter, memory_order_relaxed) + n,
                          memory_order_relaxed);
}

static inline void lane_drop(struct lane *l, enum dp_drop why)
{
    lane_count(&l->stats.drops[why], 1);
}

/** lane_slot_take() - a free slot's number, or -1. */
int lane_slot_take(struct lane *l);
/** lane_slot_traffic() - likewise, for what may wait in the kernel: leaves LANE_SPARE of them. */
int lane_slot_traffic(struct lane *l);
void lane_slot_give(struct lane *l, unsigned int slot);
struct ring_slot *lane_slot(struct lane *l, unsigned int slot);
/**
 * lane_fill_room() - room for one more message of @size bytes in the slot that is being filled
 *
 * Submits a full slot (as @op) and takes another one.
 *
 * Return: where it may begin, with fill->entries as its number; NULL when no slot is free for it.
 */
uint8_t *lane_fill_room(struct lane *l, struct lane_fill *fill, enum ring_op op, size_t size);
/** lane_fill_submit() - hand it over, if there is anything in it. */
void lane_fill_submit(struct lane *l, struct lane_fill *fill, enum ring_op op);
/** lane_submit() - hand a filled slot to the worker; with no packets it is given back. */
void lane_submit(struct lane *l, unsigned int slot, enum ring_op op, unsigned int count);
/** lane_event() - tell the main thread; a full queue is counted. */
void lane_event(struct lane *l, struct dp_event *event, const void *data, size_t len);
/** lane_peer_event() - the same about a peer. */
void lane_peer_event(struct lane *l, enum dp_event_kind kind, uint32_t peer,
                     const struct path *from, const void *data, size_t len);

/** lane_receive() - read one batch from a socket.  Return: datagrams read (0: it is empty). */
unsigned int lane_receive(struct lane *l, uint32_t socket);
/** lane_receive_logins() - likewise from a socket for CONNECT_REQs alone; needs no slot. */
unsigned int lane_receive_logins(struct lane *l, uint32_t socket);
/** lane_take_datagram() - a datagram another lane handed over. */
void lane_take_datagram(struct lane *l, const struct lane_request *req);
/** lane_read_tun() - read one batch from a device.  Return: frames read. */
unsigned int lane_read_tun(struct lane *l, uint32_t port);
/** lane_read_on() - submit what is left of the frame read last.  Return: true when nothing is. */
bool lane_read_on(struct lane *l);
/** lane_seal_small() - one small message for a peer; all of a round are submitted at its end. */
void lane_seal_small(struct lane *l, uint32_t peer, uint8_t type, const void *data, size_t len);
/** lane_opened() - deliver an opened batch. */
void lane_opened(struct lane *l, unsigned int slot, unsigned int count);
/** lane_sealed() - send a sealed batch. */
void lane_sealed(struct lane *l, unsigned int slot, unsigned int count);

#endif

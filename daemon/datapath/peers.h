/*
 * What the lanes know of each peer: where it is, how large its packets may be, what went by.
 *
 * Indexed by the slot in the enclave's handle.  The main thread adds and removes peers; lanes read,
 * count, and the owning lane moves the path.
 */
#ifndef DAEMON_DATAPATH_PEERS_H
#define DAEMON_DATAPATH_PEERS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/ip.h"
#include "common/ipc.h"

/* Where a datagram came from and goes to. */
struct path {
    struct ip_endpoint remote;
    struct ip_addr local; /* our own address that was called; family 0: let routing choose */
    uint32_t socket;      /* which of a lane's sockets */
};

#define PATH_WORDS 6

struct dp_peer {
    _Atomic uint32_t handle; /* 0: unused */
    _Atomic uint32_t port;   /* which TUN device */
    _Atomic uint32_t mtu;    /* inner */
    _Atomic uint32_t path_seq;
    _Atomic uint64_t path_words[PATH_WORDS];
    _Atomic uint64_t rx_packets, rx_bytes, tx_packets, tx_bytes; /* DATA, inner bytes */
    _Atomic uint64_t last_rx_ms;                                 /* any authentic packet */
    _Atomic uint64_t last_rx_data_ms;                            /* DATA */
    _Atomic uint64_t last_tx_ms;                                 /* anything we sent */
    _Atomic uint64_t unanswered_since_ms; /* first DATA sent after the last authentic packet; 0 */
    _Atomic uint64_t next_counter;        /* the counter after the last one that was sent */
};

struct peers {
    struct dp_peer *table; /* IPC_MAX_PEERS + 1 entries, touched as they come */
};

int peers_init(struct peers *p);
void peers_clear(struct peers *p);

/** peers_add() - publish a peer; counters start at zero. */
void peers_add(struct peers *p, uint32_t handle, uint32_t port, uint16_t mtu,
               const struct path *path, uint64_t now_ms);
/** peers_remove() - unpublish; a handle that is not there is ignored. */
void peers_remove(struct peers *p, uint32_t handle);
/** peers_get() - the live peer of @handle, or NULL. */
struct dp_peer *peers_get(struct peers *p, uint32_t handle);

/** peer_path() - a consistent copy of where the peer is. */
struct path peer_path(struct dp_peer *peer);
/** peer_move() - the peer is elsewhere now.  Return: true when that is a change. */
bool peer_move(struct dp_peer *peer, const struct path *path);

#endif

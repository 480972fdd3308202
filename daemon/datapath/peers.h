/*
 * What the lanes know of each peer: where it is, how large its packets may be, what went by.
 *
 * Indexed by the slot in the enclave's handle.  The main thread adds and removes peers; lanes read,
 * count, and the owning lane moves the path.
 *
 * A path is *proven* by a login or by a PONG that came over it.  An authentic packet alone moves
 * the path but proves nothing: whoever carries packets, and the peer itself, can write any source
 * address on one.  So that nobody can aim a download at a victim, a path that is not proven yet is
 * sent at most three times what came from it.
 */
#ifndef DAEMON_DATAPATH_PEERS_H
#define DAEMON_DATAPATH_PEERS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/ip.h"
#include "common/ipc.h"

/* Where a datagram came from and goes to. */
struct path {
    struct ip_endpoint remote;
    struct ip_addr local; /* our own address that was called; family 0: let routing choose, though
                             its bytes tell one path from another */
    uint32_t socket;      /* which of a lane's sockets */
};

#define PATH_WORDS 6

/* A path under a seqlock. */
struct path_cell {
    _Atomic uint32_t seq;
    _Atomic uint64_t words[PATH_WORDS];
};

/* A credit that is never spent: the path is proven. */
#define PEER_PROVEN UINT64_MAX

struct dp_peer {
    _Atomic uint32_t handle; /* 0: unused */
    _Atomic uint32_t port;   /* which TUN device */
    _Atomic uint32_t mtu;    /* inner, as agreed */
    _Atomic uint32_t limit;  /* inner: what the path carries, 1280 at least; see pmtu.h */
    _Atomic uint32_t whole;  /* inner: what is known to arrive in one piece */
    _Atomic uint32_t shrunk; /* the kernel refused a size, and the main thread has been told */
    struct path_cell path;
    struct path_cell proven;         /* the last path that was */
    _Atomic uint64_t credit;         /* bytes that may go to a path that is not; PEER_PROVEN */
    _Atomic uint64_t path_ping;      /* id of the PING whose PONG will prove it; 0: none */
    _Atomic uint64_t probe_base;     /* of the path-MTU probes' ids; 0: none */
    _Atomic uint32_t probe_answered; /* the largest of them that was answered */
    _Atomic uint64_t rx_packets, rx_bytes, tx_packets, tx_bytes; /* DATA, inner bytes */
    _Atomic uint64_t last_rx_ms;                                 /* any authentic packet */
    _Atomic uint64_t last_rx_data_ms;                            /* DATA */
    _Atomic uint64_t last_tx_ms;                                 /* anything we sent */
    _Atomic uint64_t unanswered_since_ms; /* first DATA sent after the last authentic packet; 0 */
    _Atomic uint64_t control_second;      /* upper half: which; lower half: records in it */
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
/** peer_place() - a login says where the peer is: proven.  Main thread. */
void peer_place(struct dp_peer *peer, const struct path *path);

/**
 * peer_rehome() - a peer that was reached through socket @from is reached through @to
 * @keep_local: our own address stays, too; else routing chooses it.  No lane runs meanwhile
 *
 * Return: whether it was.
 */
bool peer_rehome(struct dp_peer *peer, uint32_t from, uint32_t to, bool keep_local);

enum peer_follow {
    PEER_FOLLOW_SAME,
    PEER_FOLLOW_BACK, /* moved, to the path that was proven last */
    PEER_FOLLOW_NEW,  /* moved, to one that must be proven: see peer_challenge() */
};

/** peer_follow() - the newest authentic packet came over @path.  Owning lane. */
enum peer_follow peer_follow(struct dp_peer *peer, const struct path *path);
/** peer_challenge() - @id, random and not 0, goes out in a PING: its PONG will prove the path. */
void peer_challenge(struct dp_peer *peer, uint64_t id);
/** peer_earn() - an authentic datagram of at least @len bytes came over @path.  Owning lane. */
void peer_earn(struct dp_peer *peer, const struct path *path, size_t len);
/** peer_prove() - a PONG came over @path.  Return: true when it proved it.  Owning lane. */
bool peer_prove(struct dp_peer *peer, uint64_t id, const struct path *path);
/** peer_spend() - may @len bytes (headers included) go to where the peer is?  Any lane. */
bool peer_spend(struct dp_peer *peer, size_t len);

/**
 * peer_answered() - a PONG may answer a path-MTU probe
 *
 * Return: true when it is the largest so far, so that the main thread hears a few, not all.
 */
bool peer_answered(struct dp_peer *peer, uint64_t id);

#endif

/*
 * Peers and their sessions: every transport key of this process lives here.
 *
 * Theory of operation
 * -------------------
 * A *peer* is one device of one user (responder) or one tunnel (initiator).  It has up to three
 * sessions: `next` (answered, not yet confirmed), `current`, and `previous` (packets still under
 * way from before a rekey).  A session is found by its receiver index, through a hash table.
 *
 * The main thread makes and removes sessions, workers look them up and promote `next` to
 * `current`.  Both changes happen under one mutex and are rare; looking up takes no lock.  So that
 * no worker ever reads a key that is being wiped, a session is first unpublished (from the hash
 * table and from its peer), then *retired*, and wiped once every worker has passed a batch boundary
 * (common/epoch.h).  keystore_reap() does that, at least once a second.
 *
 * Everything lies in one block of secret memory, sized at start: nothing here allocates.
 */
#ifndef ENCLAVE_KEYSTORE_H
#define ENCLAVE_KEYSTORE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/clock.h"
#include "common/epoch.h"
#include "common/ip.h"
#include "common/ipc.h"
#include "enclave/handshake.h"
#include "enclave/replay.h"

#define KEYSTORE_SESSION_LIFE_MS 180000 /* a key older than this is refused and wiped */
#define KEYSTORE_CONFIRM_MS      10000  /* an unconfirmed `next` is wiped after this */
#define KEYSTORE_NEXT_GRACE_MS   5000   /* protocol, sessions: a challenge-accepted login waits */

struct session {
    /* Written before publication, constant while published. */
    uint32_t index; /* ours: what the peer's datagrams carry */
    uint32_t remote_index;
    uint32_t peer; /* slot in keystore.peers */
    uint64_t created_ms;
    uint64_t hs_time;
    struct hs_keys keys;
    struct ip_addr ip4, ip6; /* inner addresses: the client's */
    uint16_t mtu;
    /* Any worker. */
    _Atomic uint64_t send_counter;
    /* The owning worker alone. */
    int64_t floor_ms; /* min(arrival − timestamp), see transport.c */
    struct replay window;
    /* Under the lock. */
    _Atomic uint32_t hash_next; /* session number, 0 ends the chain */
    uint32_t list_next;         /* free or retired list */
    struct epoch_snapshot retired;
};

enum session_slot { SESSION_NEXT, SESSION_CURRENT, SESSION_PREVIOUS, SESSION_SLOTS };

struct peer {
    _Atomic uint32_t handle; /* 0: free */
    _Atomic uint32_t slot[SESSION_SLOTS];
    uint16_t generation;
    uint32_t user_id; /* or tunnel */
    uint8_t device_id[WIRE_DEVICE_ID_LEN];
    uint32_t hash_next;
    uint32_t list_next;
    struct epoch_snapshot retired;
};

struct keystore;

size_t keystore_size(uint32_t max_peers, uint32_t max_ids);
/**
 * keystore_new() - lay out an empty store
 * @mem: keystore_size() bytes of zeroed secret memory
 * @lanes: number of workers
 * @max_peers: up to IPC_MAX_PEERS
 * @max_ids: users (or tunnels): ids run from 0 to max_ids - 1
 */
struct keystore *keystore_new(void *mem, uint32_t lanes, uint32_t max_peers, uint32_t max_ids);
struct epoch *keystore_epoch(struct keystore *ks);
uint32_t keystore_lanes(const struct keystore *ks);

/* ---- main thread -------------------------------------------------------------------------- */

/** keystore_peer_find() - the peer of (id, device).  Return: its slot, 0 when there is none. */
uint32_t keystore_peer_find(struct keystore *ks, uint32_t id, const uint8_t *device_id);
/** keystore_peer_add() - a new one.  Return: its slot, 0 when the table is full. */
uint32_t keystore_peer_add(struct keystore *ks, uint32_t id, const uint8_t *device_id);
uint32_t keystore_peer_handle(struct keystore *ks, uint32_t slot);
/** keystore_peer_remove() - unpublish and retire the peer and its sessions.  Return: 0 or -ENOENT.
 */
int keystore_peer_remove(struct keystore *ks, uint32_t handle);
/** keystore_peers_remove_id() - the same for all peers of a user. */
void keystore_peers_remove_id(struct keystore *ks, uint32_t id);

/**
 * keystore_session_new() - reserve a session with a fresh random index for @peer_slot
 *
 * The index is unique and falls into the peer's lane.  Not published yet.
 *
 * Return: the session, or NULL when all are in use or waiting to be wiped.
 */
struct session *keystore_session_new(struct keystore *ks, uint32_t peer_slot);
/** keystore_session_discard() - wipe and give back a session that was never published. */
void keystore_session_discard(struct keystore *ks, struct session *s);
/**
 * keystore_session_publish() - put a filled session into its peer's @slot (NEXT or CURRENT)
 *
 * CURRENT: the old current becomes previous.  What falls out is retired.
 */
void keystore_session_publish(struct keystore *ks, struct session *s, enum session_slot slot);
/** keystore_peer_next() - the unconfirmed session of a peer, NULL when none.  Main thread only. */
const struct session *keystore_peer_next(struct keystore *ks, uint32_t peer_slot);

/** keystore_has_id() - is @id below max_ids?  What a peer is added for must be. */
bool keystore_has_id(const struct keystore *ks, uint32_t id);
/** keystore_allow_add() - Return: 0, -EINVAL (no such id or end, bad prefix), -ENOSPC. */
int keystore_allow_add(struct keystore *ks, uint32_t id, enum ipc_allow_end end,
                       const struct ip_prefix *prefix);
/** keystore_allow_clear() - forget the prefixes of @id at one end.  Return: 0 or -EINVAL. */
int keystore_allow_clear(struct keystore *ks, uint32_t id, enum ipc_allow_end end);

/**
 * keystore_reap() - retire what is over, wipe what every worker has left behind
 * @empty_peers: retire peers without any session too (responder; a tunnel's peer is permanent)
 */
void keystore_reap(struct keystore *ks, const struct clock *now, bool empty_peers);

/* ---- workers, between epoch_enter() and epoch_leave() -------------------------------------- */

/** keystore_lookup() - a published session by our index, or NULL. */
struct session *keystore_lookup(struct keystore *ks, uint32_t index);
/** keystore_current() - the session to seal with for a peer's handle, or NULL. */
struct session *keystore_current(struct keystore *ks, uint32_t handle);
/** keystore_session_peer() - handle of the peer that owns @s; 0 when it is being removed. */
uint32_t keystore_session_peer(struct keystore *ks, const struct session *s);
/** keystore_is_current() - is @s what its peer seals with now? */
bool keystore_is_current(struct keystore *ks, const struct session *s);
/** keystore_promote() - if @s is its peer's `next`, make it current.  Return: true if it was. */
bool keystore_promote(struct keystore *ks, struct session *s);
/** keystore_allowed() - is @addr inside a prefix added for the id of @s's peer? */
bool keystore_allowed(struct keystore *ks, const struct session *s, enum ipc_allow_end end,
                      const struct ip_addr *addr);

#endif

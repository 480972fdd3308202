/*
 * Leases: which device has which inner addresses, for how long, and what a newcomer gets.
 *
 * Theory of operation
 * -------------------
 * A lease belongs to a (user, device).  An authentic login *reserves* it for ten seconds; when the
 * client has confirmed its session it is *bound*; when the session is over it is *idle*, and the
 * device finds its addresses again unless the pool ran dry meanwhile.  A reservation that nobody
 * confirmed leaves nothing behind, so recorded logins cannot drain the pool.
 *
 *           reserve             bind               release
 *   FREE ────────────► RESERVED ─────────► BOUND ──────────► IDLE
 *     ▲    expire, never bound │ ▲           ▲ reserve, bind  │ │
 *     ├────────────────────────┘ └───────────┴────────────────┘ │
 *     └───────── given up: its address or its record is wanted ◄┘
 *
 * Whoever keeps a pointer to a lease must have it RESERVED or BOUND: only IDLE ones are given up.
 * A login under way (for a rekey, say) claims a lease that is BOUND for another ten seconds, so
 * that it does not become idle when the session before it ends in between.
 *
 * What was bound once shall survive a restart: leases_unsaved() says what is to be written.
 *
 * Records are numbered, never move, and are chained in lists, so that the cost of a login does not
 * grow with the number of clients.  Pure: no system call, clock or log line.
 */
#ifndef DAEMON_LEASE_H
#define DAEMON_LEASE_H

#include <stdbool.h>
#include <stdint.h>

#include "common/clock.h"
#include "daemon/config.h"

#define LEASE_RESERVED_MS 10000
/* A user's devices are remembered up to this many, or twice max-devices. */
#define LEASE_DEVICES     16

enum lease_state {
    LEASE_FREE, /* the record is unused */
    LEASE_IDLE,
    LEASE_RESERVED,
    LEASE_BOUND,
};

/* Idle ones by what giving them up is good for: an address of the pool, or only the record. */
enum lease_heap {
    LEASE_HEAP_NONE, /* bound ones */
    LEASE_HEAP_FREE,
    LEASE_HEAP_IDLE_POOL,
    LEASE_HEAP_IDLE_OTHER,
    LEASE_HEAP_RESERVED,
    LEASE_HEAP_NUM,
};

/* The lists a record is in; numbers of records, 0: none. */
enum lease_list {
    LEASE_LIST_HEAP,    /* who was put there first comes first */
    LEASE_LIST_USER,    /* the user's, least recently used first */
    LEASE_LIST_UNSAVED, /* in the order in which they changed */
    LEASE_LIST_NUM,
};

struct lease_link {
    uint32_t prev, next;
};

/* Written by lease.c and lease_table.c alone, but for holder. */
struct lease {
    uint32_t user; /* its number, see users.h */
    uint8_t device[WIRE_DEVICE_ID_LEN];
    struct ip_addr ip4, ip6; /* family 0: none */
    enum lease_state state;
    enum lease_heap heap;
    bool kept;    /* was bound once: survives its session */
    bool unsaved; /* differs from what was written last */
    uint64_t reserved_until_ms;
    uint64_t last_seen_s; /* CLOCK_REALTIME; of one that is not connected */
    uint32_t holder;      /* the peer that has it, for the owner's use */
    uint32_t next;        /* in the hash by (user, device) */
    struct lease_link link[LEASE_LIST_NUM];
};

struct leases;

/**
 * leases_new() - for a configuration, which must stay until leases_reload() or leases_free()
 * @max_users: numbers of users are below this
 *
 * Return: NULL without memory.
 */
struct leases *leases_new(const struct config *config, uint32_t max_users);
void leases_free(struct leases *l);

/**
 * leases_reload() - another configuration with the same max_clients is in force
 *
 * Leases stay as they are, also those that leases_fit() would refuse now.
 *
 * Return: 0, or -ENOMEM: then nothing has changed.
 */
int leases_reload(struct leases *l, const struct config *config);
/** leases_capacity() - how many are remembered at most. */
uint32_t leases_capacity(const struct leases *l);

/* ---- a lease's life --------------------------------------------------------------------------
 */

/**
 * leases_reserve() - addresses for a login
 * @user: its number
 * @conf: its description in the configuration in force
 * @want: the client's wish, family 0 for none; granted when it is free and in the pool
 *
 * A device that has a lease keeps it as long as that fits the configuration.  Fixed addresses of
 * the user come first; when other devices of the same user hold all of them, the newest device
 * takes the first one over.
 *
 * Return: WIRE_STATUS_OK with *@out, WIRE_STATUS_POOL_FULL or WIRE_STATUS_DEVICE_LIMIT.
 */
enum wire_status leases_reserve(struct leases *l, uint32_t user, const struct config_user *conf,
                                const uint8_t device[WIRE_DEVICE_ID_LEN],
                                const struct ip_addr *want, uint64_t now_ms, struct lease **out);
/** leases_claim() - from now on another ten seconds: the answer to the login is on its way. */
void leases_claim(struct leases *l, struct lease *lease, uint64_t now_ms);
/** leases_unclaim() - no login under way will use it. */
void leases_unclaim(struct lease *lease);
/** leases_bind() - the client confirmed: a new session, or another key of the one it has. */
void leases_bind(struct leases *l, struct lease *lease, const struct clock *now);
/** leases_release() - the session is over; the lease may be given up from now on. */
void leases_release(struct leases *l, struct lease *lease, const struct clock *now);
/** leases_expire() - give up reservations that nobody confirmed. */
void leases_expire(struct leases *l, const struct clock *now);

/**
 * leases_fit() - may the user go on with these addresses?
 * @strict: also when the pool has changed, or the user got fixed addresses; without it, an address
 *          is lost only to the user whose fixed one it has become, or, no longer fixed, to the
 *          device of the user that has it
 */
bool leases_fit(const struct leases *l, const struct lease *lease, const struct config_user *conf,
                bool strict);
/** leases_holds() - is this address of the lease its own, or has another device taken it over? */
bool leases_holds(const struct leases *l, const struct lease *lease, const struct ip_addr *addr);

/* ---- users -----------------------------------------------------------------------------------
 */

/** leases_forget_user() - all of a number that is nobody's any more; nobody points to them. */
void leases_forget_user(struct leases *l, uint32_t user);
/** leases_move_user() - what was @from's is @to's from now on, who has none. */
void leases_move_user(struct leases *l, uint32_t from, uint32_t to);
/** leases_of_user() - walk over a user's.  NULL after the last. */
struct lease *leases_of_user(const struct leases *l, uint32_t user, const struct lease *after);

/* ---- keeping them over a restart -------------------------------------------------------------
 */

/** leases_unsaved() - the one that waits longest for being written, or NULL. */
struct lease *leases_unsaved(const struct leases *l);
/** leases_take_unsaved() - it is being written as it is now. */
void leases_take_unsaved(struct leases *l, struct lease *lease);
/** leases_save_all() - what was written may be lost: write all of them again. */
void leases_save_all(struct leases *l);
/** leases_seen() - a bound one is there at this moment. */
void leases_seen(struct leases *l, struct lease *lease, const struct clock *now);
/**
 * leases_restore() - one that was written: idle, later than those restored before it
 * @conf: of @was->user; addresses that do not fit it, or are taken by now, are left out
 * @was: user, device, addresses and last_seen_s
 *
 * Return: false when nothing of it serves, or the device has a lease.
 */
bool leases_restore(struct leases *l, const struct config_user *conf, const struct lease *was);

/* ---- looking ---------------------------------------------------------------------------------
 */

/** lease_device_format() - the device id in hexadecimal. */
void lease_device_format(const struct lease *lease, char text[2 * WIRE_DEVICE_ID_LEN + 1]);
/** leases_active() - reserved and bound ones. */
uint32_t leases_active(const struct leases *l);

#endif

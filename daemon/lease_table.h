/*
 * The records behind leases.h: a table of fixed size with its lists and its hash.  lease.c decides,
 * this file keeps the books: every record is in the lists that its state says, counts are right,
 * and whoever is forgotten has given back everything.  Nobody else includes it.
 */
#ifndef DAEMON_LEASE_TABLE_H
#define DAEMON_LEASE_TABLE_H

#include "daemon/lease.h"
#include "daemon/pool.h"

struct lease_chain {
    uint32_t first, last;
};

/* What is known of a user's number. */
struct lease_owner {
    struct lease_chain leases;
    uint32_t n, active;
};

struct leases {
    const struct config *config;
    uint32_t capacity, active;
    uint32_t fresh;       /* records from here on were never used */
    struct lease *leases; /* [0] is never used */
    struct lease_chain heap[LEASE_HEAP_NUM];
    struct lease_chain unsaved;
    uint32_t device_mask;
    uint32_t *by_device;
    struct lease_owner *owners; /* by the user's number; touched as users come */
    struct pool pool;
};

/** lease_number() - of a record; lease_record() is the way back, NULL for 0. */
uint32_t lease_number(const struct leases *l, const struct lease *lease);
struct lease *lease_record(const struct leases *l, uint32_t n);
/** lease_find() - NULL when the device has none. */
struct lease *lease_find(const struct leases *l, uint32_t user, const uint8_t *device);

/**
 * lease_make() - a record for a device that has none: IDLE
 * @evict: give up an idle one when there is no free record
 *
 * It holds its addresses unless another device uses them at this moment.
 *
 * Return: NULL when there is no record.
 */
struct lease *lease_make(struct leases *l, const struct lease *like, bool evict);
/** lease_forget() - give it up: the record is free, and so are its addresses. */
void lease_forget(struct leases *l, struct lease *lease);
/** lease_set_state() - to the end of the list of that state; not FREE. */
void lease_set_state(struct leases *l, struct lease *lease, enum lease_state state);
/** lease_set_unsaved() - to the end of the list, or out of it. */
void lease_set_unsaved(struct leases *l, struct lease *lease, bool unsaved);
/** lease_used() - to the end of its user's list. */
void lease_used(struct leases *l, struct lease *lease);
/** lease_give_to() - it is another user's, who has none of this device. */
void lease_give_to(struct leases *l, struct lease *lease, uint32_t user);

/** lease_in_use() - is this address that of somebody who is connected, or about to be? */
bool lease_in_use(const struct leases *l, const struct ip_addr *addr);
/** lease_hold() - its addresses are its own from now on; @in_use: also those that are in use. */
void lease_hold(struct leases *l, const struct lease *lease, bool in_use);
/** lease_gains() - would the pool have one more address of this family without it? */
bool lease_gains(const struct leases *l, const struct lease *lease, uint8_t family);
/** lease_sort_idle() - after the pool has changed. */
void lease_sort_idle(struct leases *l);

#endif

/*
 * Inner addresses: who has which, for how long, and what a newcomer gets.
 *
 * A lease belongs to a (user, device).  It is *reserved* by an authentic login, *bound* when the
 * client has confirmed its session, and *idle* after that: the device gets the same addresses again
 * unless the pool ran dry meanwhile.  Pure: no system call, clock or log line.
 */
#ifndef DAEMON_LEASE_H
#define DAEMON_LEASE_H

#include <stdint.h>

#include "daemon/config.h"

#define LEASE_RESERVED_MS 10000

enum lease_state {
    LEASE_FREE, /* the record is unused */
    LEASE_IDLE,
    LEASE_RESERVED,
    LEASE_BOUND,
};

struct lease {
    uint32_t user; /* index in config.users */
    uint8_t device[WIRE_DEVICE_ID_LEN];
    struct ip_addr ip4, ip6; /* family 0: none */
    enum lease_state state;
    uint64_t reserved_until_ms;
    uint32_t holder;       /* the peer that has it, for the owner's use */
    uint64_t last_used_ms; /* idle ones are given up oldest first */
    uint32_t next;         /* in the hash by (user, device) */
};

struct leases;

/** leases_new() - for one configuration, which must outlive it.  Return: NULL without memory. */
struct leases *leases_new(const struct config *config);
void leases_free(struct leases *l);

/**
 * leases_reserve() - addresses for a login
 * @want: the client's wish, family 0 for none; granted when it is free and in the pool
 *
 * A device that has a lease keeps it.  Fixed addresses of the user come first; when other devices
 * of the same user hold all of them, the newest device takes the first one over.
 *
 * Return: WIRE_STATUS_OK with *@out, WIRE_STATUS_POOL_FULL, WIRE_STATUS_DEVICE_LIMIT or
 * WIRE_STATUS_DISABLED.
 */
enum wire_status leases_reserve(struct leases *l, uint32_t user,
                                const uint8_t device[WIRE_DEVICE_ID_LEN],
                                const struct ip_addr *want, uint64_t now_ms, struct lease **out);

/** leases_bind() - the client confirmed. */
void leases_bind(struct leases *l, struct lease *lease);
/** leases_release() - the session is over; the device may come back to its addresses. */
void leases_release(struct leases *l, struct lease *lease, uint64_t now_ms);
/** leases_expire() - give up reservations that nobody confirmed. */
void leases_expire(struct leases *l, uint64_t now_ms);
/** leases_active() - reserved and bound ones. */
uint32_t leases_active(const struct leases *l);

#endif

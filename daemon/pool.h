/*
 * The inner addresses: which are taken, by whom, and which one a newcomer gets.
 *
 * Theory of operation
 * -------------------
 * What is taken, by a lease or because it is somebody's fixed address, is in a hash table
 * (taken.h); everything else inside the pool's ranges is free.  The search for a free one goes on
 * where the last one ended, so an address rests as long as possible before it is another one's.
 * How many are free is counted, so that an exhausted pool costs no search; and the one that comes
 * back to an exhausted pool is where the next search begins.  Pure: no system call, clock or log
 * line.
 */
#ifndef DAEMON_POOL_H
#define DAEMON_POOL_H

#include "daemon/config.h"
#include "daemon/taken.h"

struct pool_family {
    uint64_t size;         /* addresses in the ranges; UINT64_MAX: that many or more */
    uint64_t taken;        /* of them */
    uint32_t cursor_range; /* where the search for the next free one begins */
    struct ip_addr cursor; /* family 0: at the range's first */
};

struct pool {
    const struct config *config;
    struct taken_table taken;
    struct pool_family family[2]; /* IPv4, IPv6 */
};

/**
 * pool_init() - with the fixed addresses of @config taken, and nothing else
 * @config: stays until pool_clear()
 * @leases: how many there can be; each has at most one address of each family
 *
 * Return: 0 or -ENOMEM.
 */
int pool_init(struct pool *p, const struct config *config, uint32_t leases);
/** pool_continue() - the search for the next free address goes on where it was in @former. */
void pool_continue(struct pool *p, const struct pool *former);
void pool_clear(struct pool *p);

/** pool_hold() - @lease has the address from now on, whoever had it before; family 0 is ignored. */
void pool_hold(struct pool *p, const struct ip_addr *addr, uint32_t lease);
/** pool_release() - @lease gives it up, unless it was taken over by another meanwhile. */
void pool_release(struct pool *p, const struct ip_addr *addr, uint32_t lease);

/** pool_holder() - the lease that has it; 0: none. */
uint32_t pool_holder(const struct pool *p, const struct ip_addr *addr);
/** pool_is_fixed() - is it a fixed address of some user? */
bool pool_is_fixed(const struct pool *p, const struct ip_addr *addr);
/** pool_is_free() - could a newcomer be given this address of the pool? */
bool pool_is_free(const struct pool *p, const struct ip_addr *addr);
/** pool_gains() - would the pool have one more free address if @lease gave it up? */
bool pool_gains(const struct pool *p, const struct ip_addr *addr, uint32_t lease);
/** pool_next() - a free address; it is to be held next.  Return: false when there is none. */
bool pool_next(struct pool *p, uint8_t family, struct ip_addr *out);

#endif

/*
 * Inner destination → peer: which session carries a packet that the kernel routed into the tunnel.
 *
 * A chained hash table of single addresses, and a trie of the networks behind peers.  Lanes look up
 * without a lock between epoch_enter() and epoch_leave(); one thread changes the table.  A removed
 * node is reused only after every lane has passed a batch boundary.  Pure: no system call, clock or
 * log line.
 */
#ifndef DAEMON_DATAPATH_LOOKUP_H
#define DAEMON_DATAPATH_LOOKUP_H

#include <stdint.h>

#include "common/epoch.h"
#include "common/ip.h"

struct lookup;

/**
 * lookup_new() - an empty table
 * @capacity: addresses it can hold; memory is touched as they come
 * @networks: likewise
 * @seed: random, so that nobody can choose addresses that collide
 * @epoch: of the readers; borrowed
 *
 * Return: NULL without memory.
 */
struct lookup *lookup_new(uint32_t capacity, uint32_t networks, uint64_t seed, struct epoch *epoch);
void lookup_free(struct lookup *l);

/** lookup_add() - @addr belongs to @peer from now on.  Return: 0, -EEXIST, -ENOSPC. */
int lookup_add(struct lookup *l, const struct ip_addr *addr, uint32_t peer);
/** lookup_remove() - Return: 0 or -ENOENT. */
int lookup_remove(struct lookup *l, const struct ip_addr *addr);
/** lookup_net_set() - @prefix lies behind @peer from now on.  Return: as trie_set(). */
int lookup_net_set(struct lookup *l, const struct ip_prefix *prefix, uint32_t peer);
/** lookup_net_remove() - Return: 0 or -ENOENT. */
int lookup_net_remove(struct lookup *l, const struct ip_prefix *prefix);
/** lookup_net_exact() - behind which peer does exactly this network lie?  Writer's thread only. */
uint32_t lookup_net_exact(const struct lookup *l, const struct ip_prefix *prefix);
/**
 * lookup_find() - the handle of the peer that owns @addr
 *
 * Its own address, else the longest network that holds it.  Return: 0 when nobody owns @addr.
 */
uint32_t lookup_find(const struct lookup *l, const struct ip_addr *addr);
/** lookup_own() - as lookup_find(), but peers' own addresses alone. */
uint32_t lookup_own(const struct lookup *l, const struct ip_addr *addr);

#endif

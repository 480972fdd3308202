/*
 * Prefix → peer: the longest prefix that holds an address.
 *
 * Theory of operation
 * -------------------
 * A binary trie with path compression, one root per family: a node stands for a prefix, and its two
 * children continue it with a 0 and with a 1.  A node without a peer is a fork that only parts two
 * others.  So a look-up visits at most as many nodes as prefixes are nested or parted on the way.
 *
 * Lanes look up without a lock between epoch_enter() and epoch_leave(); one thread changes the
 * trie. A node's prefix never changes while it can be reached; children and peers are single words.
 * What is taken out keeps its own links, so that a reader standing on it goes on, and is used again
 * only when every lane has passed a batch boundary.  Pure: no system call, clock or log line.
 */
#ifndef DAEMON_DATAPATH_TRIE_H
#define DAEMON_DATAPATH_TRIE_H

#include <stdint.h>

#include "common/epoch.h"
#include "common/ip.h"

struct trie;

/**
 * trie_new() - an empty trie
 * @capacity: prefixes it can hold; memory is touched as they come
 * @epoch: of the readers; borrowed
 *
 * Return: NULL without memory.
 */
struct trie *trie_new(uint32_t capacity, struct epoch *epoch);
/** trie_free() - accepts NULL. */
void trie_free(struct trie *t);

/**
 * trie_set() - @prefix belongs to @peer (not 0) from now on, whoever had it before
 *
 * Return: 0; -EINVAL for a bad prefix; -ENOSPC.
 */
int trie_set(struct trie *t, const struct ip_prefix *prefix, uint32_t peer);
/** trie_remove() - exactly this prefix.  Return: 0 or -ENOENT. */
int trie_remove(struct trie *t, const struct ip_prefix *prefix);
/** trie_find() - the peer of the longest prefix that holds @addr, 0 when there is none. */
uint32_t trie_find(const struct trie *t, const struct ip_addr *addr);
/** trie_exact() - the peer of exactly this prefix, or 0.  Writer's thread only. */
uint32_t trie_exact(const struct trie *t, const struct ip_prefix *prefix);
/** trie_nodes() - nodes in use, forks included. */
uint32_t trie_nodes(const struct trie *t);

#endif

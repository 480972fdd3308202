/* Hash table of inner addresses; see lookup.h. */
#include "daemon/datapath/lookup.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/datapath/trie.h"

struct node {
    struct ip_addr addr;
    uint32_t peer;
    _Atomic uint32_t next; /* node number, 0 ends the chain */
    uint32_t list_next;
    struct epoch_snapshot retired;
};

struct lookup {
    struct trie *networks;
    struct epoch *epoch;
    uint64_t seed;
    uint32_t capacity, mask;
    uint32_t fresh, free, retired;
    struct node *nodes; /* [0] is never used */
    _Atomic uint32_t *heads;
};

struct lookup *lookup_new(uint32_t capacity, uint32_t networks, uint64_t seed, struct epoch *epoch)
{
    struct lookup *l = calloc(1, sizeof(*l));
    uint32_t buckets = 256;

    if (!l)
        return NULL;
    while (buckets < capacity)
        buckets *= 2;
    l->epoch = epoch;
    l->seed = seed | 1;
    l->capacity = capacity;
    l->mask = buckets - 1;
    l->fresh = 1;
    l->nodes = calloc((size_t)capacity + 1, sizeof(*l->nodes));
    l->heads = calloc(buckets, sizeof(*l->heads));
    l->networks = trie_new(networks, epoch);
    if (!l->nodes || !l->heads || !l->networks) {
        lookup_free(l);
        return NULL;
    }
    return l;
}

void lookup_free(struct lookup *l)
{
    if (!l)
        return;
    trie_free(l->networks);
    free(l->nodes);
    free(l->heads);
    free(l);
}

/* Multiply-shift on both halves of the address: cheap, and the seed is secret. */
static _Atomic uint32_t *bucket(const struct lookup *l, const struct ip_addr *addr)
{
    uint64_t a, b;

    memcpy(&a, addr->bytes, sizeof(a));
    memcpy(&b, addr->bytes + 8, sizeof(b));
    a = (a ^ l->seed) * 0x9e3779b97f4a7c15ULL;
    a ^= a >> 29;
    a = (a + b) * l->seed;
    return &l->heads[(a >> 32) & l->mask];
}

uint32_t lookup_own(const struct lookup *l, const struct ip_addr *addr)
{
    uint32_t n = atomic_load_explicit(bucket(l, addr), memory_order_acquire);

    while (n) {
        const struct node *node = &l->nodes[n];

        if (ip_addr_equal(&node->addr, addr))
            return node->peer;
        n = atomic_load_explicit(&node->next, memory_order_acquire);
    }
    return 0;
}

uint32_t lookup_find(const struct lookup *l, const struct ip_addr *addr)
{
    uint32_t peer = lookup_own(l, addr);

    return peer ? peer : trie_find(l->networks, addr);
}

int lookup_net_set(struct lookup *l, const struct ip_prefix *prefix, uint32_t peer)
{
    return trie_set(l->networks, prefix, peer);
}

int lookup_net_remove(struct lookup *l, const struct ip_prefix *prefix)
{
    return trie_remove(l->networks, prefix);
}

uint32_t lookup_net_exact(const struct lookup *l, const struct ip_prefix *prefix)
{
    return trie_exact(l->networks, prefix);
}

/* Nodes that no reader can still hold become free. */
static void reap(struct lookup *l)
{
    uint32_t *link;

    for (link = &l->retired; *link;) {
        struct node *node = &l->nodes[*link];
        uint32_t n = *link;

        if (epoch_passed(l->epoch, &node->retired)) {
            *link = node->list_next;
            node->list_next = l->free;
            l->free = n;
        } else {
            link = &node->list_next;
        }
    }
}

int lookup_add(struct lookup *l, const struct ip_addr *addr, uint32_t peer)
{
    _Atomic uint32_t *head = bucket(l, addr);
    struct node *node;
    uint32_t n;

    if (lookup_own(l, addr))
        return -EEXIST;
    if (!l->free)
        reap(l);
    if (l->free) {
        n = l->free;
        l->free = l->nodes[n].list_next;
    } else if (l->fresh <= l->capacity) {
        n = l->fresh++;
    } else {
        return -ENOSPC;
    }
    node = &l->nodes[n];
    node->addr = *addr;
    node->peer = peer;
    atomic_store_explicit(&node->next, atomic_load_explicit(head, memory_order_relaxed),
                          memory_order_relaxed);
    atomic_store_explicit(head, n, memory_order_release);
    return 0;
}

int lookup_remove(struct lookup *l, const struct ip_addr *addr)
{
    _Atomic uint32_t *link = bucket(l, addr);
    uint32_t n;

    while ((n = atomic_load_explicit(link, memory_order_relaxed)) != 0) {
        struct node *node = &l->nodes[n];

        if (ip_addr_equal(&node->addr, addr)) {
            /* The node keeps its own link: a reader standing on it still finds the rest. */
            atomic_store_explicit(link, atomic_load_explicit(&node->next, memory_order_relaxed),
                                  memory_order_release);
            epoch_snapshot(l->epoch, &node->retired);
            node->list_next = l->retired;
            l->retired = n;
            return 0;
        }
        link = &node->next;
    }
    return -ENOENT;
}

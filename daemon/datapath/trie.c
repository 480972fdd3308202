/* Longest-prefix trie of networks behind peers; see trie.h. */
#include "daemon/datapath/trie.h"

#include <errno.h>
#include <stdlib.h>

struct node {
    struct ip_prefix prefix;
    _Atomic uint32_t peer;     /* 0: a fork */
    _Atomic uint32_t child[2]; /* node numbers, 0: none */
    uint32_t list_next;
    struct epoch_snapshot retired;
};

struct trie {
    struct epoch *epoch;
    uint32_t capacity; /* nodes */
    uint32_t fresh, free, retired, used;
    struct node *nodes; /* [0] is never used */
    _Atomic uint32_t root[2];
};

struct trie *trie_new(uint32_t capacity, struct epoch *epoch)
{
    struct trie *t = calloc(1, sizeof(*t));

    if (!t)
        return NULL;
    t->epoch = epoch;
    /* n prefixes need at most n - 1 forks; as many again may wait for their readers. */
    t->capacity = 4 * capacity;
    t->fresh = 1;
    t->nodes = calloc((size_t)t->capacity + 1, sizeof(*t->nodes));
    if (!t->nodes) {
        free(t);
        return NULL;
    }
    return t;
}

void trie_free(struct trie *t)
{
    if (!t)
        return;
    free(t->nodes);
    free(t);
}

static uint32_t load(const _Atomic uint32_t *link)
{
    return atomic_load_explicit(link, memory_order_acquire);
}

static void publish(_Atomic uint32_t *link, uint32_t value)
{
    atomic_store_explicit(link, value, memory_order_release);
}

/* The bit behind the first @n of an address; @n is below its length. */
static unsigned int bit_at(const struct ip_addr *addr, unsigned int n)
{
    return addr->bytes[n / 8] >> (7 - n % 8) & 1U;
}

/* How many leading bits two addresses of one family share, @max at most. */
static uint8_t bits_shared(const struct ip_addr *a, const struct ip_addr *b, uint8_t max)
{
    uint8_t n = 0;

    while (n < max && bit_at(a, n) == bit_at(b, n))
        n++;
    return n;
}

uint32_t trie_find(const struct trie *t, const struct ip_addr *addr)
{
    uint32_t best = 0, n = load(&t->root[addr->family == 6]);
    const unsigned int bits = ip_addr_bits(addr);

    while (n) {
        const struct node *node = &t->nodes[n];
        uint32_t peer;

        if (!ip_prefix_contains(&node->prefix, addr))
            break;
        peer = load(&node->peer);
        if (peer)
            best = peer;
        if (node->prefix.len >= bits)
            break;
        n = load(&node->child[bit_at(addr, node->prefix.len)]);
    }
    return best;
}

/* ---- nodes ------------------------------------------------------------------------------------
 */

static void reap(struct trie *t)
{
    uint32_t *link;

    for (link = &t->retired; *link;) {
        struct node *node = &t->nodes[*link];
        uint32_t n = *link;

        if (epoch_passed(t->epoch, &node->retired)) {
            *link = node->list_next;
            node->list_next = t->free;
            t->free = n;
        } else {
            link = &node->list_next;
        }
    }
}

static bool has_room(struct trie *t, uint32_t nodes)
{
    if (t->capacity - t->fresh + 1 >= nodes)
        return true;
    reap(t);
    for (uint32_t n = t->free; n && nodes; n = t->nodes[n].list_next)
        nodes--;
    return t->capacity - t->fresh + 1 >= nodes;
}

/* There is room: has_room() said so. */
static uint32_t node_take(struct trie *t, const struct ip_prefix *prefix, uint32_t peer)
{
    struct node *node;
    uint32_t n;

    if (t->free) {
        n = t->free;
        t->free = t->nodes[n].list_next;
    } else {
        n = t->fresh++;
    }
    node = &t->nodes[n];
    node->prefix = *prefix;
    atomic_store_explicit(&node->peer, peer, memory_order_relaxed);
    atomic_store_explicit(&node->child[0], 0, memory_order_relaxed);
    atomic_store_explicit(&node->child[1], 0, memory_order_relaxed);
    t->used++;
    return n;
}

/* No new reader finds it any more. */
static void node_retire(struct trie *t, uint32_t n)
{
    epoch_snapshot(t->epoch, &t->nodes[n].retired);
    t->nodes[n].list_next = t->retired;
    t->retired = n;
    t->used--;
}

/* ---- changes ----------------------------------------------------------------------------------
 */

static bool prefix_valid(const struct ip_prefix *prefix)
{
    return (prefix->addr.family == 4 || prefix->addr.family == 6) &&
           prefix->len <= ip_addr_bits(&prefix->addr);
}

/*
 * Down to @prefix.  Return: the link that leads to its node, or to where it belongs: nothing, or a
 * node that is not one of its ancestors.  @above: the link before that, NULL at the root.
 */
static _Atomic uint32_t *descend(const struct trie *t, const struct ip_prefix *prefix,
                                 _Atomic uint32_t **above)
{
    _Atomic uint32_t *link = (_Atomic uint32_t *)(uintptr_t)&t->root[prefix->addr.family == 6];
    uint32_t n;

    *above = NULL;
    while ((n = load(link)) != 0) {
        struct node *node = &t->nodes[n];

        if (node->prefix.len >= prefix->len || !ip_prefix_contains(&node->prefix, &prefix->addr))
            break;
        *above = link;
        link = &node->child[bit_at(&prefix->addr, node->prefix.len)];
    }
    return link;
}

static struct node *node_exact(const struct trie *t, uint32_t n, const struct ip_prefix *prefix)
{
    struct node *node = &t->nodes[n];

    return n && node->prefix.len == prefix->len && ip_addr_equal(&node->prefix.addr, &prefix->addr)
               ? node
               : NULL;
}

int trie_set(struct trie *t, const struct ip_prefix *prefix, uint32_t peer)
{
    struct ip_prefix net;
    _Atomic uint32_t *link, *above;
    struct node *there;
    uint32_t n, new;
    uint8_t shared;

    if (!prefix_valid(prefix) || !peer)
        return -EINVAL;
    net = ip_prefix_network(*prefix);
    link = descend(t, &net, &above);
    n = load(link);
    there = node_exact(t, n, &net);
    if (there) {
        publish(&there->peer, peer);
        return 0;
    }
    if (!has_room(t, 2))
        return -ENOSPC;
    new = node_take(t, &net, peer);
    if (n) {
        const struct ip_prefix *other = &t->nodes[n].prefix;

        shared = bits_shared(&net.addr, &other->addr, net.len < other->len ? net.len : other->len);
        if (shared == net.len) {
            publish(&t->nodes[new].child[bit_at(&other->addr, shared)], n);
        } else {
            struct ip_prefix fork = net;
            uint32_t f;

            fork.len = shared;
            fork = ip_prefix_network(fork);
            f = node_take(t, &fork, 0);
            publish(&t->nodes[f].child[bit_at(&net.addr, shared)], new);
            publish(&t->nodes[f].child[bit_at(&other->addr, shared)], n);
            new = f;
        }
    }
    /* Last: a reader sees the old subtree or all of the new one. */
    publish(link, new);
    return 0;
}

/* A node that has no peer and less than two children parts nothing: its place goes to its child. */
static bool node_drop(struct trie *t, _Atomic uint32_t *link)
{
    uint32_t n = load(link);
    struct node *node = &t->nodes[n];
    uint32_t left = load(&node->child[0]), right = load(&node->child[1]);

    if (load(&node->peer) || (left && right))
        return false;
    publish(link, left ? left : right);
    node_retire(t, n);
    return true;
}

int trie_remove(struct trie *t, const struct ip_prefix *prefix)
{
    struct ip_prefix net;
    _Atomic uint32_t *link, *above;
    struct node *there;

    if (!prefix_valid(prefix))
        return -ENOENT;
    net = ip_prefix_network(*prefix);
    link = descend(t, &net, &above);
    there = node_exact(t, load(link), &net);
    if (!there || !load(&there->peer))
        return -ENOENT;
    publish(&there->peer, 0);
    /* A fork above that has lost one of its two sides goes as well. */
    if (node_drop(t, link) && above)
        (void)node_drop(t, above);
    return 0;
}

uint32_t trie_exact(const struct trie *t, const struct ip_prefix *prefix)
{
    struct ip_prefix net;
    _Atomic uint32_t *above;
    struct node *there;

    if (!prefix_valid(prefix))
        return 0;
    net = ip_prefix_network(*prefix);
    there = node_exact(t, load(descend(t, &net, &above)), &net);
    return there ? load(&there->peer) : 0;
}

uint32_t trie_nodes(const struct trie *t)
{
    return t->used;
}

/* The inner addresses that are taken; see taken.h. */
#include "daemon/taken.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

int taken_init(struct taken_table *t, uint32_t capacity)
{
    uint32_t buckets = 256;

    while (buckets < capacity)
        buckets *= 2;
    *t = (struct taken_table){.capacity = capacity, .fresh = 1, .mask = buckets - 1};
    t->items = calloc((size_t)capacity + 1, sizeof(*t->items));
    t->heads = calloc(buckets, sizeof(*t->heads));
    if (!t->items || !t->heads) {
        taken_clear(t);
        return -ENOMEM;
    }
    return 0;
}

void taken_clear(struct taken_table *t)
{
    free(t->items);
    free(t->heads);
    memset(t, 0, sizeof(*t));
}

static uint32_t *bucket(const struct taken_table *t, const struct ip_addr *addr)
{
    uint32_t h = 2166136261U;
    size_t i;

    /* FNV-1a: the addresses are ours, so nobody aims at a chain. */
    for (i = 0; i < sizeof(addr->bytes); i++)
        h = (h ^ addr->bytes[i]) * 16777619U;
    return &t->heads[(h ^ h >> 15) & t->mask];
}

struct taken *taken_find(const struct taken_table *t, const struct ip_addr *addr)
{
    uint32_t n = *bucket(t, addr);

    for (; n; n = t->items[n].next)
        if (ip_addr_equal(&t->items[n].addr, addr))
            return &t->items[n];
    return NULL;
}

struct taken *taken_add(struct taken_table *t, const struct ip_addr *addr)
{
    uint32_t *head = bucket(t, addr);
    uint32_t n;

    if (t->free) {
        n = t->free;
        /* taken_init() allocated it; the analyzer loses that. */
        t->free = t->items[n].next; // NOLINT(clang-analyzer-core.NullDereference)
    } else if (t->fresh <= t->capacity) {
        n = t->fresh++;
    } else {
        return NULL;
    }
    // NOLINTNEXTLINE(clang-analyzer-core.NullDereference): as above
    t->items[n] = (struct taken){.addr = *addr, .next = *head};
    *head = n;
    return &t->items[n];
}

void taken_hold(struct taken_table *t, const struct ip_addr *addr, uint32_t lease)
{
    struct taken *item;

    if (!addr->family)
        return;
    item = taken_find(t, addr);
    if (!item)
        item = taken_add(t, addr);
    if (item)
        item->lease = lease;
}

void taken_release(struct taken_table *t, const struct ip_addr *addr, uint32_t lease)
{
    uint32_t *link = bucket(t, addr);

    if (!addr->family)
        return;
    for (; *link; link = &t->items[*link].next) {
        struct taken *item = &t->items[*link];
        uint32_t n = *link;

        if (!ip_addr_equal(&item->addr, addr))
            continue;
        if (item->lease == lease)
            item->lease = 0;
        if (item->lease == 0 && !item->fixed) {
            *link = item->next;
            item->next = t->free;
            t->free = n;
        }
        return;
    }
}

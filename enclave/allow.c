/* Prefixes that are allowed per id and end; see allow.h. */
#include "enclave/allow.h"

#include <errno.h>

#define MAX_ALLOW 16384 /* of all ids together */

struct allow {
    struct ip_prefix prefix;
    _Atomic uint32_t next;
    uint32_t list_next; /* free or retired list; a reader on the old chain never sees it */
};

size_t allow_size(uint32_t max_ids)
{
    return (MAX_ALLOW + 1) * sizeof(struct allow) +
           (size_t)IPC_ALLOW_ENDS * max_ids * sizeof(uint32_t);
}

void allow_init(struct allow_table *t, void *mem, uint32_t max_ids, struct epoch *epoch)
{
    _Atomic uint32_t *heads;

    *t = (struct allow_table){.epoch = epoch, .max_ids = max_ids, .entries = mem, .fresh = 1};
    heads = (_Atomic uint32_t *)(t->entries + MAX_ALLOW + 1);
    for (uint32_t i = 0; i < IPC_ALLOW_ENDS; i++)
        t->head[i] = heads + (size_t)i * max_ids;
}

void allow_reap(struct allow_table *t)
{
    uint32_t n = t->retired;

    if (!n || !epoch_passed(t->epoch, &t->last_retired))
        return;
    while (n) {
        uint32_t next = t->entries[n].list_next;

        t->entries[n].list_next = t->free;
        t->free = n;
        n = next;
    }
    t->retired = 0;
}

int allow_add(struct allow_table *t, uint32_t id, enum ipc_allow_end end,
              const struct ip_prefix *prefix)
{
    _Atomic uint32_t *head;
    struct allow *a;
    uint32_t n;

    if (id >= t->max_ids || end >= IPC_ALLOW_ENDS || !prefix->addr.family ||
        prefix->len > ip_addr_bits(&prefix->addr))
        return -EINVAL;
    if (!t->free)
        allow_reap(t);
    if (t->free) {
        n = t->free;
        t->free = t->entries[n].list_next;
    } else if (t->fresh <= MAX_ALLOW) {
        n = t->fresh++;
    } else {
        return -ENOSPC;
    }
    head = &t->head[end][id];
    a = &t->entries[n];
    a->prefix = *prefix;
    atomic_store_explicit(&a->next, atomic_load_explicit(head, memory_order_relaxed),
                          memory_order_relaxed);
    atomic_store_explicit(head, n, memory_order_release);
    return 0;
}

int allow_clear(struct allow_table *t, uint32_t id, enum ipc_allow_end end)
{
    uint32_t first, n;

    if (id >= t->max_ids || end >= IPC_ALLOW_ENDS)
        return -EINVAL;
    first = atomic_exchange_explicit(&t->head[end][id], 0, memory_order_acq_rel);
    if (!first)
        return 0;
    for (n = first; n; n = atomic_load_explicit(&t->entries[n].next, memory_order_relaxed)) {
        t->entries[n].list_next = t->retired;
        t->retired = n;
    }
    epoch_snapshot(t->epoch, &t->last_retired);
    return 0;
}

bool allow_holds(const struct allow_table *t, uint32_t id, enum ipc_allow_end end,
                 const struct ip_addr *addr)
{
    uint32_t n = atomic_load_explicit(&t->head[end][id], memory_order_acquire);

    for (; n; n = atomic_load_explicit(&t->entries[n].next, memory_order_acquire))
        if (ip_prefix_contains(&t->entries[n].prefix, addr))
            return true;
    return false;
}

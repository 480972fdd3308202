/* The records of leases, their lists and their hash; see lease_table.h. */
#include "daemon/lease_table.h"

#include <string.h>

uint32_t lease_number(const struct leases *l, const struct lease *lease)
{
    return (uint32_t)(lease - l->leases);
}

struct lease *lease_record(const struct leases *l, uint32_t n)
{
    return n ? &l->leases[n] : NULL;
}

/* ---- lists ------------------------------------------------------------------------------------
 */

static void append(struct leases *l, struct lease_chain *chain, enum lease_list which,
                   struct lease *lease)
{
    uint32_t n = lease_number(l, lease);

    lease->link[which] = (struct lease_link){.prev = chain->last};
    *(chain->last ? &l->leases[chain->last].link[which].next : &chain->first) = n;
    chain->last = n;
}

static void unlink_from(struct leases *l, struct lease_chain *chain, enum lease_list which,
                        struct lease *lease)
{
    struct lease_link *link = &lease->link[which];

    *(link->prev ? &l->leases[link->prev].link[which].next : &chain->first) = link->next;
    *(link->next ? &l->leases[link->next].link[which].prev : &chain->last) = link->prev;
    *link = (struct lease_link){0};
}

bool lease_gains(const struct leases *l, const struct lease *lease, uint8_t family)
{
    return pool_gains(&l->pool, family == 4 ? &lease->ip4 : &lease->ip6, lease_number(l, lease));
}

static enum lease_heap heap_of(const struct leases *l, const struct lease *lease)
{
    switch (lease->state) {
    case LEASE_FREE:
        return LEASE_HEAP_FREE;
    case LEASE_IDLE:
        return lease_gains(l, lease, 4) || lease_gains(l, lease, 6) ? LEASE_HEAP_IDLE_POOL
                                                                    : LEASE_HEAP_IDLE_OTHER;
    case LEASE_RESERVED:
        return LEASE_HEAP_RESERVED;
    case LEASE_BOUND:
        break;
    }
    return LEASE_HEAP_NONE;
}

static void heap_leave(struct leases *l, struct lease *lease)
{
    if (lease->heap != LEASE_HEAP_NONE)
        unlink_from(l, &l->heap[lease->heap], LEASE_LIST_HEAP, lease);
    lease->heap = LEASE_HEAP_NONE;
}

static void heap_enter(struct leases *l, struct lease *lease)
{
    lease->heap = heap_of(l, lease);
    if (lease->heap != LEASE_HEAP_NONE)
        append(l, &l->heap[lease->heap], LEASE_LIST_HEAP, lease);
}

void lease_set_state(struct leases *l, struct lease *lease, enum lease_state state)
{
    bool was = lease->state >= LEASE_RESERVED, is = state >= LEASE_RESERVED;

    heap_leave(l, lease);
    lease->state = state;
    heap_enter(l, lease);
    l->active += (uint32_t)is - (uint32_t)was;
    l->owners[lease->user].active += (uint32_t)is - (uint32_t)was;
}

void lease_set_unsaved(struct leases *l, struct lease *lease, bool unsaved)
{
    if (lease->unsaved == unsaved)
        return;
    lease->unsaved = unsaved;
    if (unsaved)
        append(l, &l->unsaved, LEASE_LIST_UNSAVED, lease);
    else
        unlink_from(l, &l->unsaved, LEASE_LIST_UNSAVED, lease);
}

void lease_sort_idle(struct leases *l)
{
    const enum lease_heap heaps[] = {LEASE_HEAP_IDLE_POOL, LEASE_HEAP_IDLE_OTHER};
    size_t i;

    /* Each list keeps its order; what moves to the other one goes to its end. */
    for (i = 0; i < 2; i++) {
        uint32_t n = l->heap[heaps[i]].first;

        while (n) {
            struct lease *lease = &l->leases[n];

            n = lease->link[LEASE_LIST_HEAP].next;
            if (heap_of(l, lease) == heaps[i])
                continue;
            heap_leave(l, lease);
            heap_enter(l, lease);
        }
    }
}

/* ---- users ------------------------------------------------------------------------------------
 */

static uint32_t *device_bucket(const struct leases *l, uint32_t user, const uint8_t *device)
{
    uint32_t h = 2166136261U ^ user;
    size_t i;

    /* FNV-1a: device ids are random, so nobody aims at a chain. */
    for (i = 0; i < WIRE_DEVICE_ID_LEN; i++)
        h = (h ^ device[i]) * 16777619U;
    return &l->by_device[(h ^ h >> 15) & l->device_mask];
}

struct lease *lease_find(const struct leases *l, uint32_t user, const uint8_t *device)
{
    uint32_t n = *device_bucket(l, user, device);

    for (; n; n = l->leases[n].next)
        if (l->leases[n].user == user &&
            memcmp(l->leases[n].device, device, WIRE_DEVICE_ID_LEN) == 0)
            return &l->leases[n];
    return NULL;
}

/* Into what is looked up by user: the hash and the user's list. */
static void owner_add(struct leases *l, struct lease *lease)
{
    uint32_t *bucket = device_bucket(l, lease->user, lease->device);
    struct lease_owner *owner = &l->owners[lease->user];

    lease->next = *bucket;
    *bucket = lease_number(l, lease);
    append(l, &owner->leases, LEASE_LIST_USER, lease);
    owner->n++;
    owner->active += lease->state >= LEASE_RESERVED;
}

static void owner_remove(struct leases *l, struct lease *lease)
{
    uint32_t *link = device_bucket(l, lease->user, lease->device);
    struct lease_owner *owner = &l->owners[lease->user];

    while (*link != lease_number(l, lease))
        link = &l->leases[*link].next;
    *link = lease->next;
    unlink_from(l, &owner->leases, LEASE_LIST_USER, lease);
    owner->n--;
    owner->active -= lease->state >= LEASE_RESERVED;
}

void lease_used(struct leases *l, struct lease *lease)
{
    struct lease_owner *owner = &l->owners[lease->user];

    unlink_from(l, &owner->leases, LEASE_LIST_USER, lease);
    append(l, &owner->leases, LEASE_LIST_USER, lease);
}

void lease_give_to(struct leases *l, struct lease *lease, uint32_t user)
{
    owner_remove(l, lease);
    lease->user = user;
    owner_add(l, lease);
}

/* ---- addresses --------------------------------------------------------------------------------
 */

bool lease_in_use(const struct leases *l, const struct ip_addr *addr)
{
    uint32_t n = pool_holder(&l->pool, addr);

    return n && l->leases[n].state >= LEASE_RESERVED;
}

void lease_hold(struct leases *l, const struct lease *lease, bool in_use)
{
    if (in_use || !lease_in_use(l, &lease->ip4))
        pool_hold(&l->pool, &lease->ip4, lease_number(l, lease));
    if (in_use || !lease_in_use(l, &lease->ip6))
        pool_hold(&l->pool, &lease->ip6, lease_number(l, lease));
}

/* ---- records ----------------------------------------------------------------------------------
 */

void lease_forget(struct leases *l, struct lease *lease)
{
    lease_set_unsaved(l, lease, false);
    lease_set_state(l, lease, LEASE_IDLE);
    heap_leave(l, lease);
    owner_remove(l, lease);
    pool_release(&l->pool, &lease->ip4, lease_number(l, lease));
    pool_release(&l->pool, &lease->ip6, lease_number(l, lease));
    memset(lease, 0, sizeof(*lease));
    heap_enter(l, lease);
}

/* Of idle ones rather one whose device comes to the same addresses anyway. */
static struct lease *take_record(struct leases *l, bool evict)
{
    struct lease *lease = lease_record(l, l->heap[LEASE_HEAP_FREE].first);

    if (!lease && l->fresh < l->capacity)
        return &l->leases[l->fresh++];
    if (!lease && evict) {
        lease = lease_record(l, l->heap[LEASE_HEAP_IDLE_OTHER].first);
        if (!lease)
            lease = lease_record(l, l->heap[LEASE_HEAP_IDLE_POOL].first);
        if (lease)
            lease_forget(l, lease);
    }
    if (lease)
        heap_leave(l, lease);
    return lease;
}

struct lease *lease_make(struct leases *l, const struct lease *like, bool evict)
{
    struct lease *lease = take_record(l, evict);

    if (!lease)
        return NULL;
    *lease = (struct lease){.user = like->user,
                            .ip4 = like->ip4,
                            .ip6 = like->ip6,
                            .state = LEASE_IDLE,
                            .last_seen_s = like->last_seen_s};
    memcpy(lease->device, like->device, sizeof(lease->device));
    owner_add(l, lease);
    lease_hold(l, lease, false);
    heap_enter(l, lease);
    return lease;
}

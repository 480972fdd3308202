/*
 * Quiescence: when may memory that readers found without a lock be wiped or reused?
 *
 * Each reader thread marks the batches in which it may hold references: its counter is odd inside
 * and even outside.  A writer first unpublishes an object, then takes a snapshot of all counters;
 * once every reader has been outside since, nobody can hold the object any more.  This is what
 * the kernel calls RCU, in its smallest form: readers pay two stores and a fence per batch.
 */
#ifndef COMMON_EPOCH_H
#define COMMON_EPOCH_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#define EPOCH_MAX_READERS 16

struct epoch {
    uint32_t readers;
    struct {
        _Alignas(64) _Atomic uint64_t count;
    } reader[EPOCH_MAX_READERS];
};

struct epoch_snapshot {
    uint64_t count[EPOCH_MAX_READERS];
};

/* The reader's own counter is written by it alone. */
static inline void epoch_enter(struct epoch *e, uint32_t reader)
{
    uint64_t count = atomic_load_explicit(&e->reader[reader].count, memory_order_relaxed);

    atomic_store_explicit(&e->reader[reader].count, count + 1, memory_order_relaxed);
    /* The mark must be visible before the first reference is loaded. */
    atomic_thread_fence(memory_order_seq_cst);
}

static inline void epoch_leave(struct epoch *e, uint32_t reader)
{
    uint64_t count = atomic_load_explicit(&e->reader[reader].count, memory_order_relaxed);

    atomic_store_explicit(&e->reader[reader].count, count + 1, memory_order_release);
}

/** epoch_snapshot() - after unpublishing: remember where every reader stands. */
static inline void epoch_snapshot(struct epoch *e, struct epoch_snapshot *out)
{
    uint32_t i;

    atomic_thread_fence(memory_order_seq_cst);
    for (i = 0; i < e->readers; i++)
        out->count[i] = atomic_load_explicit(&e->reader[i].count, memory_order_acquire);
}

/** epoch_passed() - has every reader been outside a batch since @then? */
static inline bool epoch_passed(struct epoch *e, const struct epoch_snapshot *then)
{
    uint32_t i;

    for (i = 0; i < e->readers; i++) {
        bool inside = then->count[i] & 1;

        if (inside &&
            atomic_load_explicit(&e->reader[i].count, memory_order_acquire) == then->count[i])
            return false;
    }
    return true;
}

#endif

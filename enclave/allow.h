/*
 * Which inner addresses are allowed beside the leased ones: prefixes per id (a user or a tunnel)
 * and per end of a packet.
 *
 * The main thread adds and clears, workers look up without a lock.  A cleared chain may still be
 * walked by a worker, so its entries are given out again once every worker has passed a batch
 * boundary (common/epoch.h).  The table is bounded, for all ids together.
 */
#ifndef ENCLAVE_ALLOW_H
#define ENCLAVE_ALLOW_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/epoch.h"
#include "common/ip.h"
#include "common/ipc.h"

struct allow;

struct allow_table {
    struct epoch *epoch;
    uint32_t max_ids;
    struct allow *entries;                  /* [0] is never used: number 0 means none */
    _Atomic uint32_t *head[IPC_ALLOW_ENDS]; /* per id */
    uint32_t fresh;                         /* from here on never used yet */
    uint32_t free, retired;
    struct epoch_snapshot last_retired; /* of the youngest retired entry */
};

size_t allow_size(uint32_t max_ids);
/**
 * allow_init() - an empty table
 * @mem: allow_size() bytes of zeros, aligned to 8
 * @max_ids: ids run from 0 to max_ids - 1
 * @epoch: of the workers
 */
void allow_init(struct allow_table *t, void *mem, uint32_t max_ids, struct epoch *epoch);

/** allow_add() - Return: 0, -EINVAL (no such id or end, bad prefix), -ENOSPC. */
int allow_add(struct allow_table *t, uint32_t id, enum ipc_allow_end end,
              const struct ip_prefix *prefix);
/** allow_clear() - forget the prefixes of @id at one end.  Return: 0 or -EINVAL. */
int allow_clear(struct allow_table *t, uint32_t id, enum ipc_allow_end end);
/** allow_reap() - entries that every worker has left behind can be given out again */
void allow_reap(struct allow_table *t);

/** allow_holds() - is @addr inside a prefix of @id, which is one?  Any worker. */
bool allow_holds(const struct allow_table *t, uint32_t id, enum ipc_allow_end end,
                 const struct ip_addr *addr);

#endif

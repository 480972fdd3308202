/*
 * The engine's insides: what its runs keep and share.
 *
 * For reconcile.c, drift.c and told.c only; see reconcile.c for the idea.
 */
#ifndef NETLINK_ENGINE_H
#define NETLINK_ENGINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "netlink/fight.h"
#include "netlink/monitor.h"
#include "netlink/reconcile.h"

#define NEVER UINT64_MAX

/* Texts that were told: a state of things is worth one line. */
struct told {
    uint64_t *keys;
    size_t n, size;
};

struct net_reconciler {
    struct net_kernel kernel;
    struct net_reconciler_config config;
    struct net_monitor *monitor; /* NULL: the kernel tells nothing */
    struct net_set *want;        /* NULL: nothing was asked yet, nothing is touched */
    struct net_plan *last;       /* what the last run ended with; NULL: no run yet */
    struct net_set *open;        /* of its wish, what did not stand then */
    struct net_fights fights;
    struct told told;
    uint64_t due_ms;
    uint32_t in_vain; /* runs in a row for news that was nothing */
    uint32_t in_want; /* runs in a row in which memory was short for an object */
    bool for_news;    /* the run that is due is for news */
    char who[NET_WHO_SIZE];
    struct net_reconciler_status status;
};

/* A device that was changed, or whose queueing was: with it goes what is on it. */
struct cause {
    char dev[IFNAMSIZ];
    bool tree_only;
    bool held;
};

/* One run's working state. */
struct run {
    struct net_reconciler *r;
    uint64_t now_ms;
    struct net_set *hold; /* objects that drifted and are let be */
    struct told told;     /* what was told in this run, or before and still holds */
    unsigned int lines[NET_NEWS_AGAIN + 1];
    uint64_t next_ms; /* when a fight is to be answered */
    bool in_want;     /* an object was refused for want of memory */
    struct cause causes[32];
    size_t n_causes;
};

/** engine_tell() - one line to the owner. */
void engine_tell(struct net_reconciler *r, enum net_news news, const char *text);
/** engine_tell_some() - the same, but only so many of one sort in a run. */
void engine_tell_some(struct run *run, enum net_news news, const char *text);
/** engine_tell_rest() - how many more there were. */
void engine_tell_rest(struct run *run);
/** engine_tell_once() - something that lasts: it is told when it is new. */
void engine_tell_once(struct run *run, enum net_news news, const char *text);
/** engine_was_told() - in the run before? */
bool engine_was_told(const struct told *told, uint64_t key);

/** engine_settled() - the object as it stood when the last run ended, or NULL. */
const struct net_object *engine_settled(const struct net_reconciler *r,
                                        const struct net_object *id);
/**
 * engine_find_drift() - tell and count what others have changed
 *
 * What is to be let be in this round is in run->hold afterwards, sorted.  Return: 0 or -ENOMEM.
 */
int engine_find_drift(struct run *run, const struct net_plan *plan);

#endif

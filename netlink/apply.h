/*
 * Carrying out a plan, and making sure of it.
 *
 * Theory of operation: a change may have side effects that no plan shows (a link that goes down
 * takes its IPv4 routes along without a word, an address those that name it as their source).  So
 * after the operations the kernel is read again and planned again: an empty plan is the proof, a
 * plan with something in it is carried out too, a few times at most.  Going back is the same once
 * more, with what was there at the start as the wish.
 */
#ifndef NETLINK_APPLY_H
#define NETLINK_APPLY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/err.h"
#include "netlink/kernel.h"
#include "netlink/plan.h"
#include "netlink/set.h"

enum net_mode {
    NET_ALL_OR_NOTHING, /* the first refusal ends it, and what was done is undone */
    NET_AS_FAR_AS_CAN,  /* what is refused is reported, the rest is done */
};

/* What came of it. */
struct net_outcome {
    uint64_t sent;         /* operations carried out, those of going back not counted */
    uint64_t refused;      /* objects that could not be made as wanted */
    bool rolled_back;      /* and the kernel is as it was at the start */
    struct net_plan *last; /* the plan that was left at the end: what waits, clashes, or is open */
};

/** net_apply_refused - an object that the kernel did not take, with its words. */
typedef void net_apply_refused(void *ctx, const struct net_op *op, int rc, const char *why);

struct net_apply_options {
    enum net_mode mode;
    const struct net_set *skip; /* sorted: these are let be as they are; NULL: none */
    net_apply_refused *refused; /* may be NULL */
    void *ctx;
};

/**
 * net_apply() - make the kernel hold @want
 * @plan:    the first plan, which is consumed, also on failure; made from @want
 * @outcome: its .last is to be freed with net_plan_free(); NULL in it when it came to nothing
 *
 * Return: 0; -EREMOTEIO when objects were refused (@err has the first); -EEXIST for a clash when it
 * was all or nothing; -EAGAIN when the kernel's state did not stay as set; or -errno.
 */
int net_apply(const struct net_kernel *kernel, const struct net_owner *owner,
              const struct net_set *want, struct net_plan *plan,
              const struct net_apply_options *options, struct net_outcome *outcome,
              struct err *err);

/**
 * net_apply_plan() - read the kernel and plan the way to @want
 * @look: also read the routes of others where @want has some, to find clashes beforehand
 */
int net_apply_plan(const struct net_kernel *kernel, const struct net_owner *owner,
                   const struct net_set *want, bool look, struct net_plan **out, struct err *err);

#endif

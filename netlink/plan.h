/*
 * The plan: what has to be done so that the kernel holds what is wanted.
 *
 * Theory of operation: both sides are sorted by identity and walked in step.  Only wanted: create.
 * Only there: delete, for everything in a snapshot's .have is ours.  Both but different: change.
 * Equal: nothing, so that the same wish twice sends no message at all.  What has to be made is
 * made first, in the order of enum net_kind, what has to go goes last, in the reverse order, so
 * that there is never a moment without both; only what the kernel cannot change or hold twice is
 * removed first, right before its successor is made.
 *
 * Pure: no system call, no netlink library.
 */
#ifndef NETLINK_PLAN_H
#define NETLINK_PLAN_H

#include <net/if.h>
#include <stdbool.h>
#include <stddef.h>

#include "common/err.h"
#include "netlink/set.h"

struct net_snapshot;

/* From here on an ifindex stands for a device that the plan makes: found by name when it is. */
#define NET_IFINDEX_PENDING UINT32_C(0x80000000)

/* One operation.  The objects live in the plan. */
struct net_op {
    enum net_verb verb;
    /* It goes by itself with what it hangs on (a class with its qdisc): shown, but never sent. */
    bool implied;
    const struct net_object *want; /* NULL for a delete */
    const struct net_object *have; /* NULL for a create */
};

enum net_wait {
    NET_WAIT_DEVICE,  /* its device is not there, or the one that it leads to */
    NET_WAIT_FOREIGN, /* that device is to be ours and is somebody else's */
    NET_WAIT_DOWN,    /* its device is down */
    NET_WAIT_NEXTHOP, /* its gateway cannot be reached, or its source address is missing */
};

/* What cannot be yet.  It is no error: it is planned again when something changes. */
struct net_waiting {
    enum net_wait reason;
    char device[IFNAMSIZ]; /* DEVICE, FOREIGN: which */
    const struct net_object *want;
};

/* Somebody else's object stands where one of ours shall be. */
struct net_clash {
    const struct net_object *want;
    const struct net_object *foreign;
};

struct net_plan {
    struct net_op *ops;
    size_t n_ops;
    struct net_waiting *waiting;
    size_t n_waiting;
    struct net_clash *clashes;
    size_t n_clashes;
    /* What the pointers point into; written by net_plan_build() alone. */
    struct net_set *want; /* sorted, devices found; without what waits or clashes */
    struct net_set *left; /* what waits or clashes */
    struct net_snapshot *snapshot;
};

/**
 * net_plan_build() - plan the way from @snapshot to @want
 * @want:     sorted by net_set_sort(); it is copied
 * @snapshot: what is there; the plan takes it over, also when it fails
 *
 * Return: 0 or -ENOMEM.
 */
int net_plan_build(const struct net_set *want, struct net_snapshot *snapshot, struct net_plan **out,
                   struct err *err);
/** net_plan_free() - NULL is allowed. */
void net_plan_free(struct net_plan *plan);
/** net_plan_freep() - for _cleanup_(). */
void net_plan_freep(struct net_plan **plan);

/** net_plan_defer() - operation @i was refused because it is too early: its object waits. */
int net_plan_defer(struct net_plan *plan, size_t i, enum net_wait reason);

/** net_plan_skip() - leave out the operations on objects in @skip, a sorted set; NULL: none. */
void net_plan_skip(struct net_plan *plan, const struct net_set *skip);

/** net_plan_empty() - is there nothing to do?  Waiting objects and clashes do not count. */
bool net_plan_empty(const struct net_plan *plan);

/** net_op_object() - what it is about: the wanted object, or the one that goes. */
const struct net_object *net_op_object(const struct net_op *op);

/**
 * net_op_format() - an operation as one line: "+ rule 10101: from all uidrange 5-5 lookup 101"
 * @buf: at least NET_OP_FORMAT_SIZE bytes
 *
 * + is made, - is removed, ~ is changed and ends in what it was: "~ NEW, was OLD".
 *
 * Return: @buf.  net_waiting_format() and net_clash_format() likewise: "? route ...: device tun101
 * is not there", "! route ...: in its place stands route ...", with how to mend it where that is
 * not plain.
 */
#define NET_OP_FORMAT_SIZE (2 * NET_FORMAT_SIZE + 64)
const char *net_op_format(const struct net_op *op, char *buf);
const char *net_waiting_format(const struct net_waiting *waiting, char *buf);
const char *net_clash_format(const struct net_clash *clash, char *buf);

#endif

/*
 * The kernel as the engine sees it: three functions, so that tests can put another in its place.
 */
#ifndef NETLINK_KERNEL_H
#define NETLINK_KERNEL_H

#include <stddef.h>
#include <stdint.h>

#include "common/err.h"
#include "netlink/plan.h"
#include "netlink/set.h"

struct net_conn;
struct net_monitor;

/* By what we know our own.  Everything on a link with our alias is ours as well. */
struct net_owner {
    uint8_t protocol;  /* of addresses, routes and rules: NET_PROTO_SERVER or NET_PROTO_CLIENT */
    const char *alias; /* of links that we make or adopt, and the comment of our nf_tables table */
    const char *table; /* the name of that table; all live as long as the owner */
};

/* What a dump shall show; 0 is any.  A kernel may show more. */
struct net_scope {
    uint8_t protocol;           /* routes */
    uint32_t table;             /* routes */
    uint32_t ifindex;           /* classes, filters */
    uint32_t parent;            /* classes: their qdisc; filters: where they hang */
    const struct net_set *want; /* settings: those to read */
    const char *nft_table;      /* the firewall */
    const char *nft_owner;      /* whose it should be */
};

/**
 * net_refused - the kernel did not do an operation
 * @i:   which of those handed in
 * @rc:  its -errno
 * @why: one sentence with the kernel's own words
 */
typedef void net_refused(void *ctx, size_t i, int rc, const char *why);

struct net_kernel {
    void *ctx;
    /*
     * Append all objects of a kind in a scope to @out, with the index of their device but not its
     * name.  Return: 0 or -errno.
     */
    int (*dump)(void *ctx, enum net_kind kind, const struct net_scope *scope, struct net_set *out,
                struct err *err);
    /*
     * Do these operations in order; implied ones are passed over.  A refused one is reported and
     * the others are done.  Return: 0, or -errno when it is not known what was done.
     */
    int (*apply)(void *ctx, const struct net_op *ops, size_t n, net_refused *refused,
                 void *refused_ctx, struct err *err);
    /* Listen for changes by others of what is @owner's.  NULL: there is no news. */
    int (*listen)(void *ctx, const struct net_owner *owner, struct net_monitor **out,
                  struct err *err);
};

/** net_kernel_open() - the real one, in the calling thread's network namespace.  0 or -errno. */
int net_kernel_open(struct net_kernel *out, struct err *err);
/** net_kernel_close() - what net_kernel_open() made; a zeroed one is fine. */
void net_kernel_close(struct net_kernel *kernel);
/** net_kernel_conn() - its rtnetlink connection, for whoever needs one more thing. */
struct net_conn *net_kernel_conn(const struct net_kernel *kernel);

#endif

/*
 * The kernel as the engine sees it: two functions, so that tests can put another in its place.
 */
#ifndef NETLINK_KERNEL_H
#define NETLINK_KERNEL_H

#include <stddef.h>
#include <stdint.h>

#include "common/err.h"
#include "netlink/plan.h"
#include "netlink/set.h"

struct net_conn;

/* By what we know our own.  Everything on a link with our alias is ours as well. */
struct net_owner {
    uint8_t protocol;  /* of addresses, routes and rules: NET_PROTO_SERVER or NET_PROTO_CLIENT */
    const char *alias; /* of the links that we make or adopt; lives as long as the owner */
    const char *table; /* nf_tables table: "vpn" */
};

/* What a dump shall show; 0 is any.  A kernel may show more. */
struct net_scope {
    uint8_t protocol;           /* routes */
    uint32_t table;             /* routes */
    uint32_t ifindex;           /* traffic control */
    const struct net_set *want; /* settings: those to read */
    const char *nft_table;      /* the firewall */
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
};

/** net_kernel_of() - the real one, over a connection that must outlive it. */
struct net_kernel net_kernel_of(struct net_conn *conn);

#endif

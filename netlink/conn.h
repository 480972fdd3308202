/* One netlink connection: requests, their acknowledgements, and dumps. */
#ifndef NETLINK_CONN_H
#define NETLINK_CONN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/err.h"

struct net_conn;
struct nl_msg;
struct nlmsghdr;

/**
 * net_each - one message of an answer
 *
 * The header's length lies within the answer; everything else is the callee's to check.
 *
 * Return: 0 to go on; anything else ends the walk and is handed to the caller.
 */
typedef int net_each(const struct nlmsghdr *nlh, void *ctx);

/**
 * net_conn_open() - connect to rtnetlink in the calling thread's network namespace
 * @out: the connection; used by one thread at a time
 *
 * Return: 0 or -errno.
 */
int net_conn_open(struct net_conn **out, struct err *err);
/** net_conn_open_netfilter() - the same to netfilter: for nf_tables. */
int net_conn_open_netfilter(struct net_conn **out, struct err *err);
/** net_conn_close() - NULL is allowed. */
void net_conn_close(struct net_conn *conn);
/** net_conn_closep() - for _cleanup_(). */
void net_conn_closep(struct net_conn **conn);

/** net_conn_port() - the connection's netlink port, which news of its changes carries. */
uint32_t net_conn_port(const struct net_conn *conn);

/**
 * net_request() - send one change and wait for the kernel's verdict
 *
 * The kernel answers within the send, so this does not block the event loop.
 *
 * Return: 0, or the kernel's own -errno with its words in @err.
 */
int net_request(struct net_conn *conn, struct nl_msg *msg, struct err *err);

/**
 * net_query() - ask for one object
 * @each: called for the answer
 *
 * Return: 0, the kernel's -errno, or what @each returned.
 */
int net_query(struct net_conn *conn, struct nl_msg *msg, net_each *each, void *ctx,
              struct err *err);

/* News that would make a dump a mixture of before and after. */
struct net_watch {
    int group; /* RTNLGRP_ that announces changes; 0: the kernel marks such dumps by itself */
    /* Does this news concern what is read?  NULL: all does.  Its length is as for net_each. */
    bool (*concerns)(const struct nlmsghdr *nlh, const void *ctx);
    const void *ctx;
};

/**
 * net_dump() - ask for all objects of a kind
 * @group: RTNLGRP_ that announces changes, for kinds whose dumps the kernel does not mark when they
 *         were interrupted; 0 for kinds that it does mark
 * @each:  called once for each, after the dump has ended and was found consistent
 *
 * Return: 0, the kernel's -errno, -EAGAIN when the objects kept changing all the time, or what
 * @each returned.
 */
int net_dump(struct net_conn *conn, struct nl_msg *msg, int group, net_each *each, void *ctx,
             struct err *err);

/**
 * net_dump_watch() - the same, where much changes that does not concern us
 *
 * On a host whose routes are in motion all the time, a dump of a few of them would never end.
 */
int net_dump_watch(struct net_conn *conn, struct nl_msg *msg, const struct net_watch *watch,
                   net_each *each, void *ctx, struct err *err);

#endif

/*
 * What conn.c and batch.c have in common: the connection's socket, its numbers, and what the kernel
 * says to one of them.  See conn.c for the rules of the exchange.
 */
#ifndef NETLINK_CONN_IO_H
#define NETLINK_CONN_IO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <netlink/msg.h>

#include "netlink/conn.h"

#define CONN_DATAGRAM_BYTES (64 << 10) /* the kernel fills at most 32 KiB at a time */

struct nl_sock;

struct net_conn {
    struct nl_sock *sk;
    int fd;
    uint32_t port;
    uint32_t seq;
    bool stale;                    /* parts of an earlier answer may still wait in the socket */
    const struct net_watch *watch; /* of the dump that is going on */
    _Alignas(struct nlmsghdr) uint8_t datagram[CONN_DATAGRAM_BYTES];
};

/** net_conn_receive() - Return: its bytes, 0 for a datagram that is not the kernel's, -errno. */
ssize_t net_conn_receive(struct net_conn *conn, int flags);
/** net_conn_drain() - read away what is left of earlier answers */
void net_conn_drain(struct net_conn *conn);
/** net_conn_number() - the next number for a request.  Return: its header, ready to be sent. */
struct nlmsghdr *net_conn_number(struct net_conn *conn, struct nl_msg *msg, int flags);
/**
 * net_conn_next() - the next message of the datagram that was received
 * @len: of the datagram
 * @at: where it begins, moved on; from 0
 *
 * Return: 1, 0 at the end, -EBADMSG for a length that cannot be.
 */
int net_conn_next(const struct net_conn *conn, size_t len, size_t *at, const struct nlmsghdr **out,
                  struct err *err);
/** net_conn_error() - what NLMSG_ERROR says.  Return: 0, or -errno with the kernel's words. */
int net_conn_error(const struct nlmsghdr *nlh, struct err *err);

#endif

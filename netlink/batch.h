/* Many messages at once over one netlink connection: batches and transactions. */
#ifndef NETLINK_BATCH_H
#define NETLINK_BATCH_H

#include <stdbool.h>
#include <stddef.h>

#include "common/err.h"

#define NET_BATCH_MAX       100  /* messages; more at once gain nothing */
#define NET_TRANSACTION_MAX 1024 /* the most pieces that sendmsg(2) takes */

struct net_conn;
struct nl_msg;

/**
 * net_batch_refused - the kernel did not do one message of a batch
 * @i: which
 */
typedef void net_batch_refused(void *ctx, size_t i, int rc, const char *why);

/**
 * net_batch() - send up to NET_BATCH_MAX changes at once
 *
 * They are done in order, and a refused one does not keep the kernel from the next.  Only the last
 * is acknowledged when all goes well.
 *
 * Return: 0, also when some were refused; or -errno when it is not known what was done.
 */
int net_batch(struct net_conn *conn, struct nl_msg *const *msgs, size_t n,
              net_batch_refused *refused, void *ctx, struct err *err);

/**
 * net_transaction() - send messages that the kernel takes or refuses as a whole
 * @msgs:   the first and the last only mark the transaction's ends
 * @n:      up to NET_TRANSACTION_MAX
 * @end:    false: all but the last, so that it is only checked, and nothing is changed
 * @failed: which of them was refused first; @n when it was none in particular
 *
 * Return: 0, or the kernel's own -errno for that message with its words in @err; then nothing was
 * changed.  -EIO when it is not known what was done.
 */
int net_transaction(struct net_conn *conn, struct nl_msg *const *msgs, size_t n, bool end,
                    size_t *failed, struct err *err);

#endif

/* Many messages at once: batches and transactions; see batch.h. */
#include "netlink/batch.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <netlink/msg.h>

#include "netlink/conn_io.h"

struct batch {
    uint32_t first; /* the numbers of the first and the last message */
    uint32_t last;
    uint32_t confirm; /* and of the one that is acknowledged when all goes well */
    net_batch_refused *refused;
    void *ctx;
    bool done;
};

/* @iov: room for @n; @confirm: index of the message to be acknowledged. */
static int batch_send(struct net_conn *conn, struct nl_msg *const *msgs, size_t n, size_t confirm,
                      struct iovec *iov, struct batch *batch)
{
    struct msghdr mh = {.msg_iov = iov, .msg_iovlen = n};
    ssize_t sent;

    if (conn->stale)
        net_conn_drain(conn);
    /* The numbers of one batch follow each other. */
    if (conn->seq > UINT32_MAX - n)
        conn->seq = 0;
    batch->first = conn->seq + 1;
    batch->confirm = batch->first + (uint32_t)confirm;
    for (size_t i = 0; i < n; i++) {
        struct nlmsghdr *nlh = net_conn_number(conn, msgs[i], i == confirm ? NLM_F_ACK : 0);

        iov[i] = (struct iovec){.iov_base = nlh, .iov_len = NLMSG_ALIGN(nlh->nlmsg_len)};
    }
    batch->last = conn->seq;
    do
        sent = sendmsg(conn->fd, &mh, 0);
    while (sent < 0 && errno == EINTR);
    return sent < 0 ? -errno : 0;
}

/* The verdicts in one datagram. */
static int batch_take(struct net_conn *conn, size_t len, struct batch *batch, struct err *err)
{
    const struct nlmsghdr *nlh;
    size_t at = 0;
    int rc;

    while ((rc = net_conn_next(conn, len, &at, &nlh, err)) > 0) {
        struct err why = {{0}};
        int refused;

        if (nlh->nlmsg_pid != conn->port || nlh->nlmsg_type != NLMSG_ERROR ||
            nlh->nlmsg_seq < batch->first || nlh->nlmsg_seq > batch->last)
            continue;
        refused = net_conn_error(nlh, &why);
        if (refused < 0)
            batch->refused(batch->ctx, nlh->nlmsg_seq - batch->first, refused, why.msg);
        batch->done = batch->done || nlh->nlmsg_seq == batch->confirm;
    }
    return rc;
}

int net_batch(struct net_conn *conn, struct nl_msg *const *msgs, size_t n,
              net_batch_refused *refused, void *ctx, struct err *err)
{
    struct batch batch = {.refused = refused, .ctx = ctx};
    struct iovec iov[NET_BATCH_MAX];
    int rc;

    if (n == 0)
        return 0;
    if (n > NET_BATCH_MAX)
        return err_set(err, -E2BIG, "a batch of %zu messages is too large", n);
    rc = batch_send(conn, msgs, n, n - 1, iov, &batch);
    if (rc < 0)
        return err_set(err, rc, "cannot send to the kernel: %s", strerror(-rc));
    while (rc == 0 && !batch.done) {
        ssize_t got = net_conn_receive(conn, 0);

        if (got < 0)
            rc = err_set(err, (int)got, "no answer from the kernel: %s", strerror((int)-got));
        else
            rc = batch_take(conn, (size_t)got, &batch, err);
    }
    if (rc < 0)
        conn->stale = true;
    return rc;
}

/* Of a transaction's refusals the first says what is wrong: the others may follow from it. */
struct refusal {
    size_t i;
    int rc;
    struct err why;
};

static void note_first(void *ctx, size_t i, int rc, const char *why)
{
    struct refusal *first = ctx;

    if (first->rc < 0 && first->i <= i)
        return;
    first->i = i;
    first->rc = err_set(&first->why, rc, "%s", why);
}

/* The last message but the end is confirmed: the end itself is not, before Linux 6.10. */
static int transaction_send(struct net_conn *conn, struct nl_msg *const *msgs, size_t n, bool end,
                            struct batch *batch)
{
    struct iovec *iov = calloc(n, sizeof(*iov));
    int rc = iov ? batch_send(conn, msgs, end ? n : n - 1, n - 2, iov, batch) : -ENOMEM;

    free(iov);
    return rc;
}

int net_transaction(struct net_conn *conn, struct nl_msg *const *msgs, size_t n, bool end,
                    size_t *failed, struct err *err)
{
    struct refusal first = {.rc = 0};
    struct batch batch = {.refused = note_first, .ctx = &first};
    ssize_t got;
    int rc;

    *failed = n;
    if (n < 2 || n > NET_TRANSACTION_MAX)
        return err_set(err, -E2BIG, "a transaction of %zu messages cannot be", n);
    rc = transaction_send(conn, msgs, n, end, &batch);
    if (rc < 0)
        return err_set(err, rc, "cannot send to the kernel: %s", strerror(-rc));
    /* All answers were written within the send. */
    while (rc == 0 && (got = net_conn_receive(conn, MSG_DONTWAIT)) >= 0)
        rc = batch_take(conn, (size_t)got, &batch, err);
    if (rc < 0)
        return rc;
    if (first.rc < 0) {
        *failed = first.i;
        return err_set(err, first.rc, "%s", first.why.msg);
    }
    return batch.done ? 0 : err_set(err, -EIO, "the kernel does not say whether it was done");
}

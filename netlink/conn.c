/*
 * One netlink connection: requests, their acknowledgements, and dumps.
 *
 * Theory of operation: a request carries a sequence number; what the kernel answers carries it
 * too and ends either with NLMSG_ERROR (the acknowledgement, error 0 for success) or, for a dump,
 * with NLMSG_DONE.  What can go wrong in between, and what is done about it:
 *
 *  - Anybody may send to a netlink socket: only datagrams from port 0, the kernel, count.
 *  - A dump takes many datagrams, and the objects may change meanwhile.  The kernel then sets
 *    NLM_F_DUMP_INTR: objects may be missing or doubled.  So an answer is collected first and
 *    shown to the caller only when it is whole; an interrupted one is asked for again.
 *  - For rules and routes the kernel does not set that flag (measured on 6.18: rules are shown
 *    twice while others change).  For these the socket joins the group that announces changes for
 *    as long as the dump takes: any news in between is an interruption.
 *  - An error in the middle of a dump travels in NLMSG_DONE, which libnl does not look at.
 *  - libnl folds the kernel's error numbers into fewer of its own; so it builds our messages, but
 *    sending, receiving and judging happen here, with the errno as it came.
 *  - After a failure (no memory, a broken message) the rest of the answer still waits in the
 *    socket, and an unfinished dump makes the kernel refuse the next with EBUSY: drain first.
 *
 * NETLINK_GET_STRICT_CHK makes the kernel apply the filters of a dump request rather than ignore
 * them; NETLINK_EXT_ACK gives a sentence beside the number.
 */
#include "netlink/conn.h"

#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <netlink/attr.h>
#include <netlink/msg.h>
#include <netlink/socket.h>

#include "common/cleanup.h"
#include "netlink/conn_io.h"

#define CONN_RCVBUF_BYTES (4 << 20)
#define CONN_SNDBUF_BYTES (2 << 20) /* a transaction travels in one piece */
#define CONN_ANSWER_MAX   ((size_t)64 << 20)
#define CONN_DUMP_TRIES   16
#define CONN_DRAIN_MAX    65536
#define CONN_TIMEOUT_S    5
#define CONN_ERRNO_MAX    4095

/* The messages of one answer, back to back, each aligned as netlink aligns them. */
struct answer {
    uint8_t *bytes;
    size_t len;
    size_t size;
    unsigned int datagrams; /* that brought them; what fits one was read at one moment */
    bool interrupted;
};

static void answer_clear(struct answer *answer)
{
    free(answer->bytes);
    *answer = (struct answer){0};
}

static int answer_add(struct answer *answer, const struct nlmsghdr *nlh)
{
    size_t need = NLMSG_ALIGN(nlh->nlmsg_len);

    if (need > CONN_ANSWER_MAX - answer->len)
        return -EMSGSIZE;
    if (!answer->bytes || answer->len + need > answer->size) {
        size_t size = answer->size ? answer->size * 2 : 4096;
        uint8_t *bytes;

        while (size < answer->len + need)
            size *= 2;
        bytes = realloc(answer->bytes, size);
        if (!bytes)
            return -ENOMEM;
        answer->bytes = bytes;
        answer->size = size;
    }
    memset(answer->bytes + answer->len, 0, need);
    memcpy(answer->bytes + answer->len, nlh, nlh->nlmsg_len);
    answer->len += need;
    return 0;
}

static int answer_walk(const struct answer *answer, net_each *each, void *ctx)
{
    int rc = 0;

    for (size_t at = 0; rc == 0 && at < answer->len;) {
        const struct nlmsghdr *nlh = (const void *)(answer->bytes + at);

        at += NLMSG_ALIGN(nlh->nlmsg_len);
        rc = each(nlh, ctx);
    }
    return rc;
}

static int conn_option(const struct net_conn *conn, int level, int name, int value)
{
    return setsockopt(conn->fd, level, name, &value, sizeof(value)) < 0 ? -errno : 0;
}

/* What is missing here is worked round: unfiltered dumps are filtered again by their readers. */
static void conn_tune(const struct net_conn *conn)
{
    struct timeval limit = {.tv_sec = CONN_TIMEOUT_S};

    conn_option(conn, SOL_NETLINK, NETLINK_GET_STRICT_CHK, 1);
    conn_option(conn, SOL_NETLINK, NETLINK_EXT_ACK, 1);
    conn_option(conn, SOL_NETLINK, NETLINK_CAP_ACK, 1);
    if (conn_option(conn, SOL_SOCKET, SO_RCVBUFFORCE, CONN_RCVBUF_BYTES) < 0)
        conn_option(conn, SOL_SOCKET, SO_RCVBUF, CONN_RCVBUF_BYTES);
    if (conn_option(conn, SOL_SOCKET, SO_SNDBUFFORCE, CONN_SNDBUF_BYTES) < 0)
        conn_option(conn, SOL_SOCKET, SO_SNDBUF, CONN_SNDBUF_BYTES);
    /* Only a lost acknowledgement can make us wait; then better an error than for ever. */
    setsockopt(conn->fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
}

static int conn_connect(struct net_conn **out, int protocol, const char *name, struct err *err)
{
    struct net_conn *conn = calloc(1, sizeof(*conn));
    int rc = -ENOMEM;

    if (!conn)
        goto fail;
    conn->sk = nl_socket_alloc();
    if (!conn->sk)
        goto fail;
    errno = 0;
    if (nl_connect(conn->sk, protocol) < 0) {
        rc = errno ? -errno : -EIO;
        goto fail;
    }
    conn->fd = nl_socket_get_fd(conn->sk);
    conn->port = nl_socket_get_local_port(conn->sk);
    conn_tune(conn);
    *out = conn;
    return 0;

fail:
    net_conn_close(conn);
    return err_set(err, rc, "cannot connect to %s: %s", name, strerror(-rc));
}

int net_conn_open(struct net_conn **out, struct err *err)
{
    return conn_connect(out, NETLINK_ROUTE, "rtnetlink", err);
}

int net_conn_open_netfilter(struct net_conn **out, struct err *err)
{
    return conn_connect(out, NETLINK_NETFILTER, "netfilter", err);
}

void net_conn_close(struct net_conn *conn)
{
    if (!conn)
        return;
    nl_socket_free(conn->sk);
    free(conn);
}

void net_conn_closep(struct net_conn **conn)
{
    net_conn_close(*conn);
}

uint32_t net_conn_port(const struct net_conn *conn)
{
    return conn->port;
}

ssize_t net_conn_receive(struct net_conn *conn, int flags)
{
    struct sockaddr_nl from = {0};
    struct iovec iov = {.iov_base = conn->datagram, .iov_len = sizeof(conn->datagram)};
    struct msghdr mh = {
        .msg_name = &from, .msg_namelen = sizeof(from), .msg_iov = &iov, .msg_iovlen = 1};
    ssize_t n;

    do
        n = recvmsg(conn->fd, &mh, flags);
    while (n < 0 && errno == EINTR);
    if (n < 0)
        return errno == EAGAIN ? -ETIMEDOUT : -errno;
    if (mh.msg_namelen != sizeof(from) || from.nl_family != AF_NETLINK || from.nl_pid != 0)
        return 0;
    if (mh.msg_flags & MSG_TRUNC)
        return -EMSGSIZE;
    return n;
}

void net_conn_drain(struct net_conn *conn)
{
    int n = 0;

    while (n < CONN_DRAIN_MAX && net_conn_receive(conn, MSG_DONTWAIT) != -ETIMEDOUT)
        n++;
    conn->stale = false;
}

struct nlmsghdr *net_conn_number(struct net_conn *conn, struct nl_msg *msg, int flags)
{
    struct nlmsghdr *nlh = nlmsg_hdr(msg);

    /* 0 marks what the kernel tells unasked. */
    if (++conn->seq == 0)
        conn->seq = 1;
    nlh->nlmsg_seq = conn->seq;
    nlh->nlmsg_pid = conn->port;
    nlh->nlmsg_flags |= (uint16_t)(NLM_F_REQUEST | flags);
    return nlh;
}

static int conn_send(struct net_conn *conn, struct nl_msg *msg, int flags)
{
    struct nlmsghdr *nlh;
    ssize_t n;

    if (conn->stale)
        net_conn_drain(conn);
    nlh = net_conn_number(conn, msg, flags);
    do
        n = send(conn->fd, nlh, nlh->nlmsg_len, 0);
    while (n < 0 && errno == EINTR);
    return n < 0 ? -errno : 0;
}

int net_conn_next(const struct net_conn *conn, size_t len, size_t *at, const struct nlmsghdr **out,
                  struct err *err)
{
    const struct nlmsghdr *nlh = (const void *)(conn->datagram + *at);
    size_t step;

    if (len - *at < sizeof(*nlh))
        return 0;
    if (nlh->nlmsg_len < sizeof(*nlh) || nlh->nlmsg_len > len - *at) {
        err_set(err, -EBADMSG, "the kernel's answer has a broken length");
        return -EBADMSG;
    }
    step = NLMSG_ALIGN(nlh->nlmsg_len);
    *at += step < len - *at ? step : len - *at;
    *out = nlh;
    return 1;
}

/*
 * The verdict at the end of an answer.  @words: where the kernel's explanation begins in the
 * message, if it has one (attributes behind the fixed part).
 */
static int conn_verdict(const struct nlmsghdr *nlh, int error, size_t words, struct err *err)
{
    const struct nlattr *attr = (const void *)((const uint8_t *)nlh + words);
    int left = words < nlh->nlmsg_len ? (int)(nlh->nlmsg_len - words) : 0;
    const char *text = NULL;
    int len = 0;

    if (error == 0)
        return 0;
    if (error > 0 || error < -CONN_ERRNO_MAX)
        return err_set(err, -EPROTO, "the kernel's answer has no valid error number (%d)", error);
    if (!(nlh->nlmsg_flags & NLM_F_ACK_TLVS))
        left = 0;
    for (; nla_ok(attr, left); attr = nla_next(attr, &left)) {
        if (nla_type(attr) == NLMSGERR_ATTR_MSG) {
            text = nla_data(attr);
            len = (int)strnlen(text, (size_t)nla_len(attr));
        }
    }
    if (len > 0)
        return err_set(err, error, "%.*s (%s)", len, text, strerror(-error));
    if (error == -EPERM)
        return err_set(err, error, "not permitted: this needs CAP_NET_ADMIN");
    return err_set(err, error, "%s", strerror(-error));
}

int net_conn_error(const struct nlmsghdr *nlh, struct err *err)
{
    const struct nlmsgerr *ack = NLMSG_DATA(nlh);
    size_t words = NLMSG_LENGTH(sizeof(*ack));

    if (nlh->nlmsg_len < words)
        return err_set(err, -EBADMSG, "the kernel's acknowledgement is too short");
    /* Unless capped, the whole request comes back before the explanation. */
    if (!(nlh->nlmsg_flags & NLM_F_CAPPED) && ack->msg.nlmsg_len > sizeof(ack->msg))
        words += NLMSG_ALIGN((size_t)ack->msg.nlmsg_len) - sizeof(ack->msg);
    return conn_verdict(nlh, ack->error, words, err);
}

static int conn_done(const struct nlmsghdr *nlh, struct err *err)
{
    int error;

    if (nlh->nlmsg_len < NLMSG_LENGTH(sizeof(error)))
        return 0;
    memcpy(&error, NLMSG_DATA(nlh), sizeof(error));
    return conn_verdict(nlh, error, NLMSG_LENGTH(NLMSG_ALIGN(sizeof(error))), err);
}

/* Is this, which is no part of the answer, a reason to ask again? */
static bool conn_disturbs(const struct net_conn *conn, const struct nlmsghdr *nlh)
{
    const struct net_watch *watch = conn->watch;

    return !watch || !watch->concerns || watch->concerns(nlh, watch->ctx);
}

/*
 * Take in the messages of one datagram.
 *
 * Return: 1 when the answer has ended (its verdict in @verdict), 0 when more will come, -errno.
 */
static int conn_take(struct net_conn *conn, size_t len, struct answer *answer, int *verdict,
                     struct err *err)
{
    const struct nlmsghdr *nlh;
    size_t at = 0;
    int rc;

    while ((rc = net_conn_next(conn, len, &at, &nlh, err)) > 0) {
        /* News of a change, or the end of an exchange that was given up earlier. */
        if (nlh->nlmsg_seq != conn->seq || nlh->nlmsg_pid != conn->port) {
            answer->interrupted = answer->interrupted || conn_disturbs(conn, nlh);
            continue;
        }
        if (nlh->nlmsg_flags & NLM_F_DUMP_INTR)
            answer->interrupted = true;
        switch (nlh->nlmsg_type) {
        case NLMSG_ERROR:
            *verdict = net_conn_error(nlh, err);
            return 1;
        case NLMSG_DONE:
            *verdict = conn_done(nlh, err);
            return 1;
        case NLMSG_NOOP:
        case NLMSG_OVERRUN:
            break;
        default:
            rc = answer_add(answer, nlh);
            if (rc < 0)
                return err_set(err, rc, "the kernel's answer is too large: %s", strerror(-rc));
        }
    }
    return rc;
}

static int conn_exchange(struct net_conn *conn, struct nl_msg *msg, int flags,
                         struct answer *answer, struct err *err)
{
    int verdict = 0;
    int rc = conn_send(conn, msg, flags);

    if (rc < 0)
        return err_set(err, rc, "cannot send to the kernel: %s", strerror(-rc));
    do {
        size_t before = answer->len;
        ssize_t n = net_conn_receive(conn, 0);

        if (n < 0)
            rc = err_set(err, (int)n, "no answer from the kernel: %s", strerror((int)-n));
        else
            rc = conn_take(conn, (size_t)n, answer, &verdict, err);
        answer->datagrams += answer->len > before;
    } while (rc == 0);
    if (rc < 0) {
        conn->stale = true;
        return rc;
    }
    return verdict;
}

int net_request(struct net_conn *conn, struct nl_msg *msg, struct err *err)
{
    _cleanup_(answer_clear) struct answer answer = {0};

    return conn_exchange(conn, msg, NLM_F_ACK, &answer, err);
}

int net_query(struct net_conn *conn, struct nl_msg *msg, net_each *each, void *ctx, struct err *err)
{
    _cleanup_(answer_clear) struct answer answer = {0};
    int rc = conn_exchange(conn, msg, NLM_F_ACK, &answer, err);

    return rc < 0 ? rc : answer_walk(&answer, each, ctx);
}

/* News that came behind the end counts as well: the change came first, the news after it. */
static void conn_late_news(struct net_conn *conn, struct answer *answer)
{
    const struct nlmsghdr *nlh = (const void *)conn->datagram;

    for (int i = 0; i < CONN_DRAIN_MAX; i++) {
        ssize_t n = net_conn_receive(conn, MSG_DONTWAIT);

        if (n == -ETIMEDOUT)
            break;
        if (n == 0)
            continue;
        /* The kernel sends its news one by one. */
        if (n < (ssize_t)sizeof(*nlh) || nlh->nlmsg_len > (size_t)n || conn_disturbs(conn, nlh))
            answer->interrupted = true;
    }
}

/* One try; the group is joined so that changes during the dump reach this socket. */
static int conn_dump(struct net_conn *conn, struct nl_msg *msg, const struct net_watch *watch,
                     struct answer *answer, struct err *err)
{
    int rc;

    if (watch->group && nl_socket_add_memberships(conn->sk, watch->group, 0) < 0)
        return err_set(err, -EIO, "cannot watch for changes while reading");
    conn->watch = watch;
    rc = conn_exchange(conn, msg, NLM_F_DUMP, answer, err);
    if (watch->group) {
        if (rc == 0)
            conn_late_news(conn, answer);
        if (answer->datagrams <= 1)
            answer->interrupted = false;
        nl_socket_drop_memberships(conn->sk, watch->group, 0);
    }
    conn->watch = NULL;
    return rc;
}

int net_dump_watch(struct net_conn *conn, struct nl_msg *msg, const struct net_watch *watch,
                   net_each *each, void *ctx, struct err *err)
{
    for (int i = 0; i < CONN_DUMP_TRIES; i++) {
        _cleanup_(answer_clear) struct answer answer = {0};
        int rc = conn_dump(conn, msg, watch, &answer, err);

        /* Too much news for the socket: as good as an interruption. */
        if (rc < 0 && !(rc == -ENOBUFS && watch->group))
            return rc;
        if (rc == 0 && !answer.interrupted)
            return answer_walk(&answer, each, ctx);
    }
    return err_set(err, -EAGAIN, "the kernel's objects kept changing while they were read");
}

int net_dump(struct net_conn *conn, struct nl_msg *msg, int group, net_each *each, void *ctx,
             struct err *err)
{
    return net_dump_watch(conn, msg, &(struct net_watch){.group = group}, each, ctx, err);
}

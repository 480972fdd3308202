/*
 * The answering side of the control protocol.
 *
 * Theory of operation
 *
 * The daemon's loop polls one descriptor: an epoll that nests the listening socket, every
 * connection and a timer that ticks each second while there is a connection to watch.  Each
 * wake-up serves a bounded number of events, each event one read or one write, so that a talkative
 * operator cannot keep packets waiting.
 *
 * A connection is in one of four states, and each has a deadline that no drip of bytes extends:
 *
 *   idle      waiting for the first byte of a request                     CTL_IDLE_MS
 *   request   part of a request has come; the buffer grows with it        CTL_REQUEST_MS
 *   reply     a reply is being taken; nothing is read until it is gone    CTL_REPLY_MS
 *   stream    events go out as they come                                  CTL_REPLY_MS, when any
 *
 * One request at a time: who does not read his replies gets no second one, so the memory of a
 * connection is bounded by its largest frame.  Who asks is decided once, when he connects, by what
 * the kernel says of him; the credentials of a Unix connection are those of its connect() and do
 * not change.
 */
#include "common/ctl.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/wire.h"

#define EVENTS_MAX 16 /* per wake-up */
#define ACCEPT_MAX 8  /* per wake-up */
#define BUFFER_MIN 4096

enum conn_state {
    CONN_STATE_FREE,
    CONN_STATE_IDLE,
    CONN_STATE_REQUEST,
    CONN_STATE_REPLY,
    CONN_STATE_STREAM,
};

struct ctl_conn {
    int fd;
    enum conn_state state;
    bool last;   /* close once the reply is gone */
    bool stream; /* go on with events then */
    struct ctl_peer peer;
    uint64_t deadline_ms;
    uint8_t *buf;      /* the frame coming in or going out */
    size_t size, have; /* allocated; received or sent so far */
};

struct ctl_server {
    int epoll_fd, listen_fd, timer_fd;
    gid_t allowed_gid;
    ctl_handler *handler;
    void *ctx;
    bool deaf; /* no descriptors left: the listening socket is not watched until the next tick */
    bool ticking;
    const char *blob; /* of the request in the handler's hands */
    size_t blob_len;
    size_t n_conns;
    struct ctl_conn conns[CTL_CONNS_MAX];
};

static int watch(struct ctl_server *cs, int op, int fd, uint32_t events, void *what)
{
    struct epoll_event ev = {.events = events, .data.ptr = what};

    return epoll_ctl(cs->epoll_fd, op, fd, &ev) < 0 ? -errno : 0;
}

/* The timer runs only while it has something to do: an idle daemon does not wake up. */
static void timer_update(struct ctl_server *cs)
{
    const bool need = cs->n_conns > 0 || cs->deaf;
    const struct timespec second = {.tv_sec = need ? 1 : 0};
    const struct itimerspec spec = {.it_interval = second, .it_value = second};

    if (need != cs->ticking && timerfd_settime(cs->timer_fd, 0, &spec, NULL) == 0)
        cs->ticking = need;
}

static void deaf_set(struct ctl_server *cs, bool deaf)
{
    if (deaf != cs->deaf &&
        watch(cs, EPOLL_CTL_MOD, cs->listen_fd, deaf ? 0 : EPOLLIN, &cs->listen_fd) == 0)
        cs->deaf = deaf;
}

/* Everything is sent.  A peer that goes away is noticed by reading. */
static void conn_streaming(struct ctl_conn *conn)
{
    free(conn->buf);
    conn->buf = NULL;
    conn->size = conn->have = 0;
    conn->state = CONN_STATE_STREAM;
    conn->deadline_ms = UINT64_MAX;
}

static void conn_close(struct ctl_server *cs, struct ctl_conn *conn)
{
    if (conn->state == CONN_STATE_FREE)
        return;

    close(conn->fd); /* leaves the epoll with its last descriptor */
    free(conn->buf);
    memset(conn, 0, sizeof(*conn));
    conn->fd = -1;
    cs->n_conns--;
    deaf_set(cs, false);
}

static void conn_idle(struct ctl_conn *conn, uint64_t now_ms)
{
    free(conn->buf);
    conn->buf = NULL;
    conn->size = conn->have = 0;
    conn->state = CONN_STATE_IDLE;
    conn->deadline_ms = now_ms + CTL_IDLE_MS;
}

/* --- who asks ------------------------------------------------------------------------------ */

/* One small frame into an empty socket buffer: it fits, or the peer goes without a reason. */
static void refuse(int fd, enum ctl_code code, const char *sentence)
{
    _cleanup_(free_p) uint8_t *frame = NULL;
    json_t *reply = ctl_reply_error(code, "%s", sentence);
    size_t len;

    frame = reply ? ctl_frame_build(reply, CTL_REPLY_MAX, &len) : NULL;
    json_decref(reply);
    if (frame && send(fd, frame, len, MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
        return;
}

static struct ctl_conn *conn_slot(struct ctl_server *cs)
{
    for (size_t i = 0; i < CTL_CONNS_MAX; i++)
        if (cs->conns[i].state == CONN_STATE_FREE)
            return &cs->conns[i];

    return NULL;
}

static void accept_one(struct ctl_server *cs, int fd, uint64_t now_ms)
{
    struct ctl_conn *conn = conn_slot(cs);
    struct ctl_peer peer;

    if (!ctl_peer_allowed(fd, cs->allowed_gid, &peer)) {
        refuse(fd, CTL_CODE_NOT_PERMITTED,
               "not permitted: be root or a member of the control socket's group");
        close(fd);
        return;
    }
    if (!conn || watch(cs, EPOLL_CTL_ADD, fd, EPOLLIN, conn) < 0) {
        refuse(fd, CTL_CODE_FAILED, "too many control connections: close some and ask again");
        close(fd);
        return;
    }

    conn->fd = fd;
    conn->peer = peer;
    conn_idle(conn, now_ms);
    cs->n_conns++;
}

static void accept_ready(struct ctl_server *cs, uint64_t now_ms)
{
    for (int i = 0; i < ACCEPT_MAX; i++) {
        int fd = accept4(cs->listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

        if (fd >= 0) {
            accept_one(cs, fd, now_ms);
            continue;
        }
        if (errno == ECONNABORTED || errno == EINTR)
            continue;
        /* Out of descriptors or memory: the connection stays queued, and a level-triggered
         * epoll would spin on it.  Look again when one closes or a second has passed. */
        if (errno != EAGAIN)
            deaf_set(cs, true);
        return;
    }
}

/* --- requests and replies ------------------------------------------------------------------ */

static void conn_write(struct ctl_server *cs, struct ctl_conn *conn, uint64_t now_ms)
{
    ssize_t n = send(conn->fd, conn->buf + conn->have, conn->size - conn->have,
                     MSG_NOSIGNAL | MSG_DONTWAIT);

    if (n < 0 && errno != EAGAIN && errno != EINTR) {
        conn_close(cs, conn);
        return;
    }
    if (n > 0)
        conn->have += (size_t)n;

    if (conn->have == conn->size) {
        if (conn->last || watch(cs, EPOLL_CTL_MOD, conn->fd, EPOLLIN, conn) < 0)
            conn_close(cs, conn);
        else if (conn->stream)
            conn_streaming(conn);
        else
            conn_idle(conn, now_ms);
    }
}

/* Takes over the reference to @reply. */
static void conn_reply(struct ctl_server *cs, struct ctl_conn *conn, json_t *reply, uint64_t now_ms)
{
    size_t len = 0;
    uint8_t *frame = reply ? ctl_frame_build(reply, CTL_REPLY_MAX, &len) : NULL;

    json_decref(reply);
    if (!frame) {
        reply = ctl_reply_error(CTL_CODE_FAILED, "no memory for the reply, or it is too large");
        frame = reply ? ctl_frame_build(reply, CTL_REPLY_MAX, &len) : NULL;
        json_decref(reply);
    }

    free(conn->buf);
    conn->buf = frame;
    conn->size = len;
    conn->have = 0;
    conn->state = CONN_STATE_REPLY;
    conn->deadline_ms = now_ms + CTL_REPLY_MS;
    if (!frame || watch(cs, EPOLL_CTL_MOD, conn->fd, EPOLLOUT, conn) < 0) {
        conn_close(cs, conn);
        return;
    }

    conn_write(cs, conn, now_ms);
}

static void conn_handle(struct ctl_server *cs, struct ctl_conn *conn, uint64_t now_ms)
{
    const uint8_t *body = conn->buf + CTL_PREFIX_LEN;
    const size_t len = conn->size - CTL_PREFIX_LEN;
    const uint8_t *nul = memchr(body, '\0', len);
    json_t *request = ctl_frame_parse(body, nul ? (size_t)(nul - body) : len);
    const char *cmd = json_string_value(json_object_get(request, "cmd"));
    json_t *reply;

    cs->blob = nul ? (const char *)nul + 1 : NULL;
    cs->blob_len = nul ? len - (size_t)(nul + 1 - body) : 0;
    if (cmd && *cmd)
        reply = cs->handler(cs->ctx, cmd, request, &conn->peer);
    else
        reply = ctl_reply_error(CTL_CODE_BAD_REQUEST,
                                "a request is one JSON object with \"version\":%d and \"cmd\"",
                                CTL_VERSION);
    cs->blob = NULL;
    cs->blob_len = 0;
    json_decref(request);
    conn->stream = json_is_true(json_object_get(reply, "stream"));
    conn_reply(cs, conn, reply, now_ms);
}

/* --- events -------------------------------------------------------------------------------- */

static int conn_append(struct ctl_conn *conn, const uint8_t *frame, size_t len)
{
    uint8_t *bigger;

    /* A first event may be of any size; after that the peer has to keep up. */
    if (conn->size > conn->have && conn->size - conn->have + len > CTL_STREAM_MAX)
        return -ENOBUFS;
    if (conn->have) {
        memmove(conn->buf, conn->buf + conn->have, conn->size - conn->have);
        conn->size -= conn->have;
        conn->have = 0;
    }
    bigger = realloc(conn->buf, conn->size + len);
    if (!bigger)
        return -ENOMEM;
    memcpy(bigger + conn->size, frame, len);
    conn->buf = bigger;
    conn->size += len;
    return 0;
}

static void conn_publish(struct ctl_server *cs, struct ctl_conn *conn, const uint8_t *frame,
                         size_t len, uint64_t now_ms)
{
    const bool idle = conn->size == conn->have;

    if (conn_append(conn, frame, len) < 0 ||
        watch(cs, EPOLL_CTL_MOD, conn->fd, EPOLLIN | EPOLLOUT, conn) < 0) {
        conn_close(cs, conn);
        return;
    }
    if (idle)
        conn->deadline_ms = now_ms + CTL_REPLY_MS;
    conn_write(cs, conn, now_ms);
}

void ctl_server_publish(struct ctl_server *cs, const json_t *event, uint64_t now_ms)
{
    _cleanup_(free_p) uint8_t *frame = NULL;
    size_t len;

    if (!cs || ctl_server_streams(cs) == 0)
        return;
    frame = ctl_frame_build(event, CTL_REPLY_MAX, &len);
    for (size_t i = 0; frame && i < CTL_CONNS_MAX; i++)
        if (cs->conns[i].state != CONN_STATE_FREE && cs->conns[i].stream)
            conn_publish(cs, &cs->conns[i], frame, len, now_ms);
}

const char *ctl_server_blob(const struct ctl_server *cs, size_t *len)
{
    *len = cs->blob_len;
    return cs->blob;
}

size_t ctl_server_streams(const struct ctl_server *cs)
{
    size_t n = 0;

    for (size_t i = 0; cs && i < CTL_CONNS_MAX; i++)
        n += cs->conns[i].state != CONN_STATE_FREE && cs->conns[i].stream;
    return n;
}

/* The peer has nothing to say any more: whatever it does is its end. */
static void conn_listen(struct ctl_server *cs, struct ctl_conn *conn, uint64_t now_ms)
{
    uint8_t byte;
    ssize_t n = recv(conn->fd, &byte, sizeof(byte), MSG_DONTWAIT);

    if (n >= 0 || (errno != EAGAIN && errno != EINTR))
        conn_close(cs, conn);
    else if (conn->size > conn->have)
        conn_write(cs, conn, now_ms);
}

/* How long the frame will be, once its prefix is there; before that, the prefix. */
static size_t frame_want(const struct ctl_conn *conn)
{
    uint32_t body;

    if (conn->have < CTL_PREFIX_LEN)
        return CTL_PREFIX_LEN;
    /* One over the limit stands for all that are: the sum must not wrap where size_t has 32 bits.
     */
    body = be32_get(conn->buf);
    return CTL_PREFIX_LEN + (size_t)(body > CTL_REQUEST_MAX ? CTL_REQUEST_MAX + 1 : body);
}

static int conn_grow(struct ctl_conn *conn, size_t want)
{
    size_t size = conn->size ? conn->size * 2 : BUFFER_MIN;
    uint8_t *bigger;

    if (conn->have < conn->size)
        return 0;

    /* Never more than the frame: what follows it stays in the socket for later. */
    if (conn->have >= CTL_PREFIX_LEN && size > want)
        size = want;
    bigger = realloc(conn->buf, size);
    if (!bigger)
        return -ENOMEM;

    conn->buf = bigger;
    conn->size = size;
    return 0;
}

static void conn_read(struct ctl_server *cs, struct ctl_conn *conn, uint64_t now_ms)
{
    size_t want = frame_want(conn), room;
    ssize_t n;

    if (conn_grow(conn, want) < 0) {
        conn_close(cs, conn);
        return;
    }
    room = conn->size < want ? conn->size : want;
    n = recv(conn->fd, conn->buf + conn->have, room - conn->have, MSG_DONTWAIT);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n <= 0) {
        conn_close(cs, conn);
        return;
    }

    conn->have += (size_t)n;
    if (conn->state == CONN_STATE_IDLE) {
        conn->state = CONN_STATE_REQUEST;
        conn->deadline_ms = now_ms + CTL_REQUEST_MS;
    }
    if (conn->have < CTL_PREFIX_LEN)
        return;

    want = frame_want(conn);
    if (want > CTL_PREFIX_LEN + (size_t)CTL_REQUEST_MAX) {
        /* Nothing after this can be told apart any more: say so and hang up. */
        conn->last = true;
        conn_reply(cs, conn,
                   ctl_reply_error(CTL_CODE_BAD_REQUEST, "a request has at most %u bytes",
                                   CTL_REQUEST_MAX),
                   now_ms);
        return;
    }
    if (conn->have == want) {
        conn->size = want;
        conn_handle(cs, conn, now_ms);
    }
}

static void conn_ready(struct ctl_server *cs, struct ctl_conn *conn, uint64_t now_ms)
{
    switch (conn->state) {
    case CONN_STATE_FREE:
        break; /* closed by an earlier event of this wake-up */
    case CONN_STATE_IDLE:
    case CONN_STATE_REQUEST:
        conn_read(cs, conn, now_ms);
        break;
    case CONN_STATE_REPLY:
        conn_write(cs, conn, now_ms);
        break;
    case CONN_STATE_STREAM:
        conn_listen(cs, conn, now_ms);
        break;
    }
}

/* --- the server ---------------------------------------------------------------------------- */

int ctl_server_open(struct ctl_server **out, int listen_fd, gid_t allowed_gid, ctl_handler *handler,
                    void *ctx, struct err *err)
{
    struct ctl_server *cs = calloc(1, sizeof(*cs));
    int rc;

    if (!cs)
        return err_set(err, -ENOMEM, "no memory for the control socket");

    for (size_t i = 0; i < CTL_CONNS_MAX; i++)
        cs->conns[i].fd = -1;
    cs->listen_fd = -1;
    cs->allowed_gid = allowed_gid;
    cs->handler = handler;
    cs->ctx = ctx;
    cs->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
    cs->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (cs->timer_fd < 0 || cs->epoll_fd < 0) {
        rc = -errno;
        goto fail;
    }
    rc = watch(cs, EPOLL_CTL_ADD, listen_fd, EPOLLIN, &cs->listen_fd);
    if (rc == 0)
        rc = watch(cs, EPOLL_CTL_ADD, cs->timer_fd, EPOLLIN, &cs->timer_fd);
    if (rc < 0)
        goto fail;

    cs->listen_fd = listen_fd;
    *out = cs;
    return 0;

fail:
    ctl_server_close(cs);
    return err_set(err, rc, "cannot serve the control socket: %s", strerror(-rc));
}

int ctl_server_fd(const struct ctl_server *cs)
{
    return cs->epoll_fd;
}

static void timer_ready(struct ctl_server *cs)
{
    uint64_t ticks;

    /* Read only to make it quiet; the deadlines go by now_ms.  EAGAIN: it was quiet already. */
    if (read(cs->timer_fd, &ticks, sizeof(ticks)) < 0 && errno != EAGAIN)
        cs->ticking = false;
    deaf_set(cs, false);
}

void ctl_server_service(struct ctl_server *cs, uint64_t now_ms)
{
    struct epoll_event events[EVENTS_MAX];
    bool knock = false;
    int n = epoll_wait(cs->epoll_fd, events, EVENTS_MAX, 0);

    for (int i = 0; i < n; i++) {
        if (events[i].data.ptr == &cs->listen_fd)
            knock = true;
        else if (events[i].data.ptr == &cs->timer_fd)
            timer_ready(cs);
        else
            conn_ready(cs, events[i].data.ptr, now_ms);
    }

    for (size_t i = 0; i < CTL_CONNS_MAX; i++)
        if (cs->conns[i].state != CONN_STATE_FREE && now_ms >= cs->conns[i].deadline_ms)
            conn_close(cs, &cs->conns[i]);

    /* Last: a slot freed and filled again above would get the old connection's events. */
    if (knock)
        accept_ready(cs, now_ms);
    timer_update(cs);
}

void ctl_server_close(struct ctl_server *cs)
{
    if (!cs)
        return;

    for (size_t i = 0; i < CTL_CONNS_MAX; i++)
        conn_close(cs, &cs->conns[i]);
    if (cs->epoll_fd >= 0)
        close(cs->epoll_fd);
    if (cs->timer_fd >= 0)
        close(cs->timer_fd);
    if (cs->listen_fd >= 0)
        close(cs->listen_fd);
    free(cs);
}

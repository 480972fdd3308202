/* The control protocol: the asking side. */
#include "common/ctl.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/wire.h"

#define CHUNK_MIN 65536

/* What the codes become for the caller of ctl_call(). */
static const int code_errnos[] = {
    [CTL_CODE_NOT_PERMITTED] = -EPERM, [CTL_CODE_BAD_REQUEST] = -EBADMSG,
    [CTL_CODE_FAILED] = -EREMOTEIO,    [CTL_CODE_BAD_CONFIG] = -EINVAL,
    [CTL_CODE_CHANGED] = -ESTALE,
};

static void json_put(json_t **json)
{
    json_decref(*json);
}

/* @timeout_ms: -1 for ever: then a signal is not waited through. */
static int wait_for(int fd, short events, int timeout_ms)
{
    struct pollfd pfd = {.fd = fd, .events = events};
    int n;

    do
        n = poll(&pfd, 1, timeout_ms);
    while (n < 0 && errno == EINTR && timeout_ms >= 0);

    if (n < 0)
        return -errno;
    return n == 0 ? -ETIMEDOUT : 0;
}

int ctl_connect(const char *path, struct err *err)
{
    _cleanup_(close_fdp) int fd = -1;
    const struct timeval patience = {.tv_sec = CTL_CALL_MS / 1000};
    struct sockaddr_un sa;
    int rc;

    rc = ctl_sockaddr(path, &sa, err);
    if (rc < 0)
        return rc;

    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return err_set(err, -errno, "cannot make a socket: %s", strerror(errno));
    /* A Unix connect() waits while the backlog is full, and heeds this limit. */
    if (setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience)) < 0)
        return err_set(err, -errno, "cannot limit the waiting time: %s", strerror(errno));

    if (connect(fd, (const struct sockaddr *)&sa, sizeof(sa)) == 0)
        return TAKE_FD(fd);

    rc = errno == EAGAIN ? -ETIMEDOUT : -errno;
    switch (rc) {
    case -ENOENT:
    case -ECONNREFUSED:
        return err_set(err, rc, "no daemon answers on %s: is it running?", path);
    case -EACCES:
    case -EPERM:
        return err_set(err, rc,
                       "not permitted to use %s: be root or a member of the socket's group", path);
    case -ETIMEDOUT:
        return err_set(err, rc, "the daemon on %s does not answer", path);
    default:
        return err_set(err, rc, "cannot reach %s: %s", path, strerror(-rc));
    }
}

static int call_send(int fd, const uint8_t *buf, size_t len)
{
    while (len > 0) {
        ssize_t n = send(fd, buf, len, MSG_NOSIGNAL | MSG_DONTWAIT);
        int rc;

        if (n >= 0) {
            buf += n;
            len -= (size_t)n;
            continue;
        }
        if (errno == EINTR)
            continue;
        /* Refused peers find the door closed, but with a note on it: go and read. */
        if (errno == EPIPE || errno == ECONNRESET)
            return 0;
        if (errno != EAGAIN)
            return -errno;
        rc = wait_for(fd, POLLOUT, CTL_CALL_MS);
        if (rc < 0)
            return rc;
    }

    return 0;
}

static int call_recv(int fd, uint8_t *buf, size_t len, int timeout_ms)
{
    while (len > 0) {
        ssize_t n = recv(fd, buf, len, MSG_DONTWAIT);
        int rc;

        if (n == 0)
            return -ECONNRESET;
        if (n > 0) {
            buf += n;
            len -= (size_t)n;
            continue;
        }
        if (errno == EINTR)
            continue;
        if (errno != EAGAIN)
            return -errno;
        rc = wait_for(fd, POLLIN, timeout_ms);
        if (rc < 0)
            return rc;
    }

    return 0;
}

/* The body grows as it arrives, so that a length alone costs nothing. */
static int call_recv_body(int fd, size_t len, uint8_t **out)
{
    _cleanup_(free_p) uint8_t *body = NULL;
    size_t have = 0, size = 0;
    int rc;

    while (have < len) {
        uint8_t *bigger;

        size = size ? size * 2 : CHUNK_MIN;
        size = size < len ? size : len;
        bigger = realloc(body, size);
        if (!bigger)
            return -ENOMEM;
        body = bigger;
        rc = call_recv(fd, body + have, size - have, CTL_CALL_MS);
        if (rc < 0)
            return rc;
        have = size;
    }

    *out = TAKE(body);
    return 0;
}

int ctl_judge(const json_t *msg, const char *path, struct err *err)
{
    const json_t *ok = json_object_get(msg, "ok");
    const char *sentence = json_string_value(json_object_get(msg, "error"));
    const char *code = json_string_value(json_object_get(msg, "code"));

    if (!json_is_boolean(ok) || (json_is_false(ok) && (!sentence || !code)))
        return err_set(err, -EBADMSG,
                       "the daemon on %s answers in a way this vpnctl does not"
                       " understand: are both of one release?",
                       path);
    if (json_is_true(ok))
        return 0;

    for (unsigned int i = 0; i < ARRAY_SIZE(code_errnos); i++)
        if (!strcmp(code, ctl_code_name(i)))
            return err_set(err, code_errnos[i], "%s", sentence);
    return err_set(err, -EREMOTEIO, "%s", sentence);
}

static int say_broken(int rc, const char *path, struct err *err)
{
    if (rc == -ETIMEDOUT)
        return err_set(err, rc, "the daemon on %s does not answer", path);
    if (rc == -ECONNRESET)
        return err_set(err, -ECONNABORTED, "the daemon on %s hung up without an answer", path);
    return err_set(err, rc, "talking to %s: %s", path, strerror(-rc));
}

int ctl_send(int fd, const char *path, const json_t *request, struct err *err)
{
    return ctl_send_blob(fd, path, request, NULL, 0, err);
}

int ctl_send_blob(int fd, const char *path, const json_t *request, const void *blob,
                  size_t blob_len, struct err *err)
{
    static const uint8_t nul;
    const size_t more = blob_len ? blob_len + 1 : 0;
    _cleanup_(free_p) uint8_t *frame = NULL;
    size_t len;
    int rc;

    if (more < CTL_REQUEST_MAX)
        frame = ctl_frame_build(request, CTL_REQUEST_MAX - more, &len);
    if (!frame)
        return err_set(err, -EMSGSIZE, "the request is too large (%u MiB at most)",
                       CTL_REQUEST_MAX >> 20);
    be32_put(frame, (uint32_t)(len - CTL_PREFIX_LEN + more));
    rc = call_send(fd, frame, len);
    if (rc == 0 && more)
        rc = call_send(fd, &nul, sizeof(nul));
    if (rc == 0 && more)
        rc = call_send(fd, blob, blob_len);
    return rc == 0 ? 0 : say_broken(rc, path, err);
}

int ctl_receive(int fd, const char *path, int timeout_ms, json_t **msg, struct err *err)
{
    _cleanup_(free_p) uint8_t *body = NULL;
    uint8_t prefix[CTL_PREFIX_LEN];
    json_t *json = NULL;
    size_t len;
    int rc = call_recv(fd, prefix, sizeof(prefix), timeout_ms);

    if (rc == 0) {
        len = be32_get(prefix);
        rc = len > 0 && len <= CTL_REPLY_MAX ? call_recv_body(fd, len, &body) : -EBADMSG;
    }
    if (rc < 0 && rc != -EBADMSG)
        return say_broken(rc, path, err);
    json = rc == 0 ? ctl_frame_parse(body, len) : NULL;
    if (!json)
        return err_set(err, -EBADMSG,
                       "the daemon on %s answers in a way this vpnctl does not understand: are "
                       "both of one release?",
                       path);
    *msg = json;
    return 0;
}

int ctl_call(const char *path, const json_t *request, json_t **reply, struct err *err)
{
    _cleanup_(close_fdp) int fd = ctl_connect(path, err);
    _cleanup_(json_put) json_t *msg = NULL;
    int rc = fd < 0 ? fd : ctl_send(fd, path, request, err);

    if (rc == 0)
        rc = ctl_receive(fd, path, CTL_CALL_MS, &msg, err);
    if (rc == 0)
        rc = ctl_judge(msg, path, err);
    if (rc < 0)
        return rc;
    *reply = TAKE(msg);
    return 0;
}

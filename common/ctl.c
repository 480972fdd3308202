/* The control protocol: frames, replies, the socket, and the asking side. */
#include "common/ctl.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/wire.h"

#define LISTEN_BACKLOG 16
#define CHUNK_MIN      65536

static const char *const code_names[] = {
    [CTL_CODE_NOT_PERMITTED] = "not-permitted",
    [CTL_CODE_BAD_REQUEST] = "bad-request",
    [CTL_CODE_FAILED] = "failed",
};

/* What the codes become for the caller of ctl_call(). */
static const int code_errnos[] = {
    [CTL_CODE_NOT_PERMITTED] = -EPERM,
    [CTL_CODE_BAD_REQUEST] = -EBADMSG,
    [CTL_CODE_FAILED] = -EREMOTEIO,
};

static void json_put(json_t **json)
{
    json_decref(*json);
}

uint8_t *ctl_frame_build(const json_t *msg, size_t max, size_t *len)
{
    /* jansson counts first when it is given no buffer; the text is the same both times. */
    size_t text = json_dumpb(msg, NULL, 0, JSON_COMPACT);
    uint8_t *frame;

    if (text == 0 || text > max)
        return NULL;

    frame = malloc(CTL_PREFIX_LEN + text);
    if (!frame)
        return NULL;
    if (json_dumpb(msg, (char *)frame + CTL_PREFIX_LEN, text, JSON_COMPACT) != text) {
        free(frame);
        return NULL;
    }

    be32_put(frame, (uint32_t)text);
    *len = CTL_PREFIX_LEN + text;
    return frame;
}

json_t *ctl_frame_parse(const uint8_t *body, size_t len)
{
    json_t *msg = json_loadb((const char *)body, len, JSON_REJECT_DUPLICATES, NULL);
    const json_t *version = json_object_get(msg, "version");

    /* json_object_get() and json_is_integer() take NULL and non-objects for "no". */
    if (!json_is_integer(version) || json_integer_value(version) != CTL_VERSION) {
        json_decref(msg);
        return NULL;
    }

    return msg;
}

json_t *ctl_reply_ok(void)
{
    return json_pack("{s:i, s:b}", "version", CTL_VERSION, "ok", 1);
}

json_t *ctl_reply_error(enum ctl_code code, const char *fmt, ...)
{
    char sentence[sizeof(((struct err *)0)->msg)];
    json_t *text;
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(sentence, sizeof(sentence), fmt, ap);
    va_end(ap);

    /* A sentence may quote bytes that are no UTF-8, or be cut inside a character: JSON holds
     * neither, and an error must arrive all the same. */
    text = json_string(sentence);
    if (!text) {
        for (char *c = sentence; *c; c++)
            if ((unsigned char)*c >= 0x80)
                *c = '?';
        text = json_string(sentence);
    }

    return json_pack("{s:i, s:b, s:o, s:s}", "version", CTL_VERSION, "ok", 0, "error", text, "code",
                     code_names[code]);
}

/* --- the socket ---------------------------------------------------------------------------- */

static int path_to_sockaddr(const char *path, struct sockaddr_un *sa, struct err *err)
{
    memset(sa, 0, sizeof(*sa));
    sa->sun_family = AF_UNIX;
    if (path[0] != '/')
        return err_set(err, -EINVAL, "control socket %s: give an absolute path", path);
    if (strlen(path) >= sizeof(sa->sun_path))
        return err_set(err, -ENAMETOOLONG, "control socket %s: a path has at most %zu bytes", path,
                       sizeof(sa->sun_path) - 1);

    memcpy(sa->sun_path, path, strlen(path) + 1);
    return 0;
}

/* The last folder only: a missing parent of that is more likely a typing error. */
static int folder_make(const char *path, uid_t owner, gid_t group, struct err *err)
{
    char folder[PATH_MAX];
    const char *slash = strrchr(path, '/');

    if (slash == path)
        return 0;

    snprintf(folder, sizeof(folder), "%.*s", (int)(slash - path), path);
    if (mkdir(folder, 0755) < 0) {
        if (errno == EEXIST)
            return 0;
        return err_set(err, -errno, "cannot make the folder %s of the control socket: %s", folder,
                       strerror(errno));
    }
    if (chmod(folder, 0755) < 0 || lchown(folder, owner, group) < 0)
        return err_set(err, -errno, "cannot give the folder %s to its owner: %s", folder,
                       strerror(errno));

    return 0;
}

/* Take away a socket that nobody answers on; anything else in the way is somebody's. */
static int stale_remove(const struct sockaddr_un *sa, struct err *err)
{
    _cleanup_(close_fdp) int fd = -1;
    struct stat st;

    if (lstat(sa->sun_path, &st) < 0)
        return errno == ENOENT ? 0 : err_set(err, -errno, "%s: %s", sa->sun_path, strerror(errno));
    if (!S_ISSOCK(st.st_mode))
        return err_set(err, -EEXIST,
                       "%s exists and is no socket: move it away, or name another"
                       " control.socket",
                       sa->sun_path);

    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return err_set(err, -errno, "cannot make a socket: %s", strerror(errno));
    /* EAGAIN is a full backlog: alive, if busy.  Only a refusal proves that nobody listens. */
    if (connect(fd, (const struct sockaddr *)sa, sizeof(*sa)) == 0 || errno == EAGAIN)
        return err_set(err, -EADDRINUSE,
                       "another daemon is running: it answers on %s; stop it"
                       " first, or name another control.socket",
                       sa->sun_path);
    if (errno != ECONNREFUSED)
        return errno == ENOENT ? 0 : err_set(err, -errno, "%s: %s", sa->sun_path, strerror(errno));

    if (unlink(sa->sun_path) < 0 && errno != ENOENT)
        return err_set(err, -errno, "cannot remove the stale control socket %s: %s", sa->sun_path,
                       strerror(errno));
    return 0;
}

int ctl_listen(const char *path, uid_t owner, gid_t group, mode_t mode, struct err *err)
{
    _cleanup_(close_fdp) int fd = -1;
    struct sockaddr_un sa;
    mode_t mask;
    int rc;

    rc = path_to_sockaddr(path, &sa, err);
    if (rc < 0)
        return rc;
    rc = folder_make(path, owner, group, err);
    if (rc < 0)
        return rc;
    rc = stale_remove(&sa, err);
    if (rc < 0)
        return rc;

    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return err_set(err, -errno, "cannot make a socket: %s", strerror(errno));

    /* The mode comes from the umask and not from a chmod(), which would follow a link that
     * somebody put in the path's place meanwhile. */
    mask = umask(~mode & 0777);
    rc = bind(fd, (const struct sockaddr *)&sa, sizeof(sa)) < 0 ? -errno : 0;
    umask(mask);
    if (rc < 0)
        return err_set(err, rc, "cannot make the control socket %s: %s", path, strerror(-rc));

    /* Until listen() nobody gets in, whatever the owner is up to here. */
    rc = 0;
    if (lchown(path, owner, group) < 0)
        rc = err_set(err, -errno, "cannot give the control socket %s to its owner: %s", path,
                     strerror(errno));
    else if (listen(fd, LISTEN_BACKLOG) < 0)
        rc = err_set(err, -errno, "cannot listen on %s: %s", path, strerror(errno));
    if (rc < 0) {
        unlink(path);
        return rc;
    }

    return TAKE_FD(fd);
}

/* --- the asking side ----------------------------------------------------------------------- */

static int wait_for(int fd, short events)
{
    struct pollfd pfd = {.fd = fd, .events = events};
    int n;

    do
        n = poll(&pfd, 1, CTL_CALL_MS);
    while (n < 0 && errno == EINTR);

    if (n < 0)
        return -errno;
    return n == 0 ? -ETIMEDOUT : 0;
}

static int call_connect(const char *path, struct err *err)
{
    _cleanup_(close_fdp) int fd = -1;
    const struct timeval patience = {.tv_sec = CTL_CALL_MS / 1000};
    struct sockaddr_un sa;
    int rc;

    rc = path_to_sockaddr(path, &sa, err);
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
        rc = wait_for(fd, POLLOUT);
        if (rc < 0)
            return rc;
    }

    return 0;
}

static int call_recv(int fd, uint8_t *buf, size_t len)
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
        rc = wait_for(fd, POLLIN);
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
        rc = call_recv(fd, body + have, size - have);
        if (rc < 0)
            return rc;
        have = size;
    }

    *out = TAKE(body);
    return 0;
}

static int reply_judge(const json_t *msg, const char *path, struct err *err)
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

    for (size_t i = 0; i < ARRAY_SIZE(code_names); i++)
        if (!strcmp(code, code_names[i]))
            return err_set(err, code_errnos[i], "%s", sentence);
    return err_set(err, -EREMOTEIO, "%s", sentence);
}

int ctl_call(const char *path, const json_t *request, json_t **reply, struct err *err)
{
    _cleanup_(close_fdp) int fd = -1;
    _cleanup_(free_p) uint8_t *frame = NULL;
    _cleanup_(free_p) uint8_t *body = NULL;
    _cleanup_(json_put) json_t *msg = NULL;
    uint8_t prefix[CTL_PREFIX_LEN];
    size_t len;
    int rc;

    frame = ctl_frame_build(request, CTL_REQUEST_MAX, &len);
    if (!frame)
        return err_set(err, -EMSGSIZE, "the request is too large (%u MiB at most)",
                       CTL_REQUEST_MAX >> 20);

    fd = call_connect(path, err);
    if (fd < 0)
        return fd;

    rc = call_send(fd, frame, len);
    if (rc == 0)
        rc = call_recv(fd, prefix, sizeof(prefix));
    if (rc == 0) {
        len = be32_get(prefix);
        rc = len > 0 && len <= CTL_REPLY_MAX ? call_recv_body(fd, len, &body) : -EBADMSG;
    }
    if (rc == -ETIMEDOUT)
        return err_set(err, rc, "the daemon on %s does not answer", path);
    if (rc == -ECONNRESET)
        return err_set(err, -ECONNABORTED, "the daemon on %s hung up without an answer", path);
    if (rc < 0 && rc != -EBADMSG)
        return err_set(err, rc, "talking to %s: %s", path, strerror(-rc));

    msg = rc == 0 ? ctl_frame_parse(body, len) : NULL;
    rc = reply_judge(msg, path, err);
    if (rc < 0)
        return rc;

    *reply = TAKE(msg);
    return 0;
}

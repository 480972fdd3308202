/* The control protocol: frames, replies and the socket. */
#include "common/ctl.h"

#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/wire.h"

#define LISTEN_BACKLOG  16
#define PEER_GROUPS     64
#define PEER_GROUPS_MAX 65536 /* the kernel's NGROUPS_MAX */

static const char *const code_names[] = {
    [CTL_CODE_NOT_PERMITTED] = "not-permitted",
    [CTL_CODE_BAD_REQUEST] = "bad-request",
    [CTL_CODE_FAILED] = "failed",
    [CTL_CODE_BAD_CONFIG] = "bad-config",
    [CTL_CODE_CHANGED] = "changed",
};

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

const char *ctl_code_name(unsigned int code)
{
    return code < ARRAY_SIZE(code_names) ? code_names[code] : NULL;
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

int ctl_sockaddr(const char *path, struct sockaddr_un *sa, struct err *err)
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

    rc = ctl_sockaddr(path, &sa, err);
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

/* --- who asks ---------------------------------------------------------------------- */

/*
 * SO_PEERCRED carries the primary group only, and an operator usually has `vpn` as one of the
 * others: SO_PEERGROUPS has those (Linux 4.13).
 */
static bool peer_in_group(int fd, gid_t gid)
{
    _cleanup_(free_p) gid_t *groups = NULL;
    socklen_t len = PEER_GROUPS * sizeof(gid_t);

    for (int tries = 0; tries < 2; tries++) {
        gid_t *bigger = realloc(groups, len);

        if (!bigger)
            return false;
        groups = bigger;
        if (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, groups, &len) == 0) {
            for (size_t i = 0; i < len / sizeof(gid_t); i++)
                if (groups[i] == gid)
                    return true;
            return false;
        }
        if (errno != ERANGE || len > PEER_GROUPS_MAX * sizeof(gid_t))
            return false;
    }

    return false;
}

bool ctl_peer_allowed(int fd, gid_t group, struct ctl_peer *peer)
{
    struct ucred cred;
    socklen_t len = sizeof(cred);

    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &len) < 0 || len != sizeof(cred))
        return false;

    *peer = (struct ctl_peer){.pid = cred.pid, .uid = cred.uid, .gid = cred.gid};
    if (cred.uid == 0 || cred.uid == geteuid())
        return true;
    if (group == (gid_t)-1)
        return false;
    return cred.gid == group || peer_in_group(fd, group);
}

/* Messages between a caller and its enclave: the table of types, and exact-length I/O. */
#include "common/ipc.h"

#include <assert.h>
#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/cleanup.h"

static const struct ipc_spec {
    const char *name;
    uint32_t length;
    enum ipc_state state;
} ipc_specs[] = {
    [IPC_NONE] = {"none", 0, IPC_STATE_NEVER},
    [IPC_SETUP] = {"setup", sizeof(struct ipc_setup), IPC_STATE_SETUP},
    [IPC_USER_ADD] = {"user-add", sizeof(struct ipc_user_add), IPC_STATE_RESPONDER},
    [IPC_USER_DEL] = {"user-del", sizeof(struct ipc_user_del), IPC_STATE_RESPONDER},
    [IPC_ALLOW] = {"allow", sizeof(struct ipc_allow), IPC_STATE_SEALED},
    [IPC_ALLOW_CLEAR] = {"allow-clear", sizeof(struct ipc_allow_clear), IPC_STATE_SEALED},
    [IPC_HS_REQUEST] = {"hs-request", sizeof(struct ipc_hs_request), IPC_STATE_RESPONDER},
    [IPC_HS_GRANT] = {"hs-grant", sizeof(struct ipc_hs_grant), IPC_STATE_RESPONDER},
    [IPC_CONNECT] = {"connect", sizeof(struct ipc_connect), IPC_STATE_INITIATOR},
    [IPC_HS_ANSWER] = {"hs-answer", sizeof(struct ipc_hs_answer), IPC_STATE_INITIATOR},
    [IPC_PEER_DROP] = {"peer-drop", sizeof(struct ipc_peer_drop), IPC_STATE_SEALED},
    [IPC_READY] = {"ready", sizeof(struct ipc_ready), IPC_STATE_NEVER},
    [IPC_FAILED] = {"failed", sizeof(struct ipc_failed), IPC_STATE_NEVER},
    [IPC_HS_AUTH] = {"hs-auth", sizeof(struct ipc_hs_auth), IPC_STATE_NEVER},
    [IPC_HS_RESPONSE] = {"hs-response", sizeof(struct ipc_hs_response), IPC_STATE_NEVER},
    [IPC_HS_DROPPED] = {"hs-dropped", sizeof(struct ipc_hs_dropped), IPC_STATE_NEVER},
    [IPC_HS_CONNECT] = {"hs-connect", sizeof(struct ipc_hs_connect), IPC_STATE_NEVER},
    [IPC_HS_DONE] = {"hs-done", sizeof(struct ipc_hs_done), IPC_STATE_NEVER},
};
static_assert(ARRAY_SIZE(ipc_specs) == IPC_NUM_TYPES, "a new message needs its line here");

static const char *const ipc_step_names[] = {
    [IPC_STEP_ARGUMENTS] = "arguments",
    [IPC_STEP_CREDENTIAL] = "credential",
    [IPC_STEP_MEMLOCK] = "memlock-limit",
    [IPC_STEP_SECRET_MEMORY] = "memfd_secret",
    [IPC_STEP_MLOCKALL] = "mlockall",
    [IPC_STEP_NAMESPACES] = "namespaces",
    [IPC_STEP_EMPTY_ROOT] = "empty-root",
    [IPC_STEP_BOUNDING_SET] = "bounding-set",
    [IPC_STEP_UID] = "uid",
    [IPC_STEP_NO_NEW_PRIVS] = "no-new-privs",
    [IPC_STEP_LANDLOCK] = "landlock",
    [IPC_STEP_NOT_DUMPABLE] = "not-dumpable",
    [IPC_STEP_PARENT_DEATH] = "parent-death",
    [IPC_STEP_RINGS] = "rings",
    [IPC_STEP_DESCRIPTORS] = "descriptors",
    [IPC_STEP_WORKERS] = "workers",
    [IPC_STEP_LIMITS] = "limits",
    [IPC_STEP_KNOWN_ANSWERS] = "known-answers",
    [IPC_STEP_SECCOMP] = "seccomp",
};
static_assert(ARRAY_SIZE(ipc_step_names) == IPC_NUM_STEPS, "a new step needs its name here");

const char *ipc_type_name(unsigned int type)
{
    return type < IPC_NUM_TYPES ? ipc_specs[type].name : "unknown";
}

const char *ipc_step_name(unsigned int step)
{
    return step < IPC_NUM_STEPS ? ipc_step_names[step] : "unknown";
}

enum ipc_state ipc_type_state(unsigned int type)
{
    return type < IPC_NUM_TYPES ? ipc_specs[type].state : IPC_STATE_NEVER;
}

void ipc_fill(union ipc_msg *msg, enum ipc_type type)
{
    memset(msg, 0, sizeof(*msg));
    msg->hdr.type = (uint16_t)type;
    msg->hdr.length = ipc_specs[type].length;
}

/* Reserved bytes leave room for later fields, and flags for later values, only if nobody can put
 * rubbish there today. */
static bool reserved_zero(const union ipc_msg *msg)
{
    switch (msg->hdr.type) {
    case IPC_SETUP:
        return msg->setup.zero == 0;
    case IPC_ALLOW:
        return msg->allow.zero == 0;
    case IPC_HS_REQUEST:
        return msg->hs_request.proven <= 1;
    case IPC_ALLOW_CLEAR:
        return memcmp(msg->allow_clear.zero, "\0\0", 3) == 0;
    case IPC_HS_GRANT:
        return msg->hs_grant.lease.zero == 0;
    case IPC_CONNECT:
        return msg->connect.zero == 0;
    case IPC_HS_AUTH:
        return msg->hs_auth.zero == 0;
    case IPC_HS_DONE:
        return msg->hs_done.lease.zero == 0;
    default:
        return true;
    }
}

int ipc_check(const union ipc_msg *msg, size_t len)
{
    if (len < sizeof(msg->hdr))
        return -EMSGSIZE;
    if (msg->hdr.type == IPC_NONE || msg->hdr.type >= IPC_NUM_TYPES || msg->hdr.zero)
        return -EPROTO;
    if (len != ipc_specs[msg->hdr.type].length)
        return -EMSGSIZE;
    if (msg->hdr.length != len || !reserved_zero(msg))
        return -EPROTO;
    return 0;
}

int ipc_send(int fd, const union ipc_msg *msg, const int *fds, size_t n_fds)
{
    union {
        struct cmsghdr align;
        char buf[CMSG_SPACE(IPC_MAX_FDS * sizeof(int))];
    } control;
    struct iovec iov = {.iov_base = (void *)(uintptr_t)msg, .iov_len = msg->hdr.length};
    struct msghdr mh = {.msg_iov = &iov, .msg_iovlen = 1};
    ssize_t n;

    if (n_fds > IPC_MAX_FDS)
        return -EINVAL;
    if (n_fds) {
        struct cmsghdr *cmsg;

        memset(&control, 0, sizeof(control));
        mh.msg_control = control.buf;
        mh.msg_controllen = CMSG_SPACE(n_fds * sizeof(int));
        cmsg = CMSG_FIRSTHDR(&mh);
        cmsg->cmsg_level = SOL_SOCKET;
        cmsg->cmsg_type = SCM_RIGHTS;
        cmsg->cmsg_len = CMSG_LEN(n_fds * sizeof(int));
        memcpy(CMSG_DATA(cmsg), fds, n_fds * sizeof(int));
        do {
            n = sendmsg(fd, &mh, MSG_NOSIGNAL);
        } while (n < 0 && errno == EINTR);
    } else {
        /* The sealed side may use sendto, not sendmsg. */
        do {
            n = send(fd, msg, msg->hdr.length, MSG_NOSIGNAL);
        } while (n < 0 && errno == EINTR);
    }
    if (n < 0)
        return -errno;
    return (size_t)n == msg->hdr.length ? 0 : -EMSGSIZE;
}

/* Take the descriptors of a received message; any other number than expected is refused. */
static int take_fds(struct msghdr *mh, int *fds, size_t n_fds)
{
    struct cmsghdr *cmsg;
    size_t got = 0;
    bool bad = mh->msg_flags & MSG_CTRUNC;

    for (cmsg = CMSG_FIRSTHDR(mh); cmsg; cmsg = CMSG_NXTHDR(mh, cmsg)) {
        size_t count, i;

        if (cmsg->cmsg_level != SOL_SOCKET || cmsg->cmsg_type != SCM_RIGHTS)
            continue;
        count = (cmsg->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (i = 0; i < count; i++) {
            int fd;

            memcpy(&fd, CMSG_DATA(cmsg) + i * sizeof(int), sizeof(fd));
            if (got < n_fds)
                fds[got] = fd;
            else
                close(fd);
            got++;
        }
    }
    if (!bad && got == n_fds)
        return 0;
    while (got > 0) {
        got--;
        if (got < n_fds)
            close(fds[got]);
    }
    return -EPROTO;
}

int ipc_recv(int fd, union ipc_msg *msg, int flags, int *fds, size_t n_fds)
{
    union {
        struct cmsghdr align;
        char buf[CMSG_SPACE(IPC_MAX_FDS * sizeof(int))];
    } control;
    struct iovec iov = {.iov_base = msg, .iov_len = sizeof(*msg)};
    struct msghdr mh = {.msg_iov = &iov, .msg_iovlen = 1};
    ssize_t n;
    int rc;

    if (n_fds > IPC_MAX_FDS)
        return -EINVAL;
    /* MSG_TRUNC: the true length of a longer datagram, so that trailing bytes are noticed. */
    if (n_fds) {
        mh.msg_control = control.buf;
        mh.msg_controllen = sizeof(control.buf);
        n = recvmsg(fd, &mh, flags | MSG_TRUNC | MSG_CMSG_CLOEXEC);
    } else {
        /* No control buffer: the kernel drops descriptors that nobody asked for. */
        n = recv(fd, msg, sizeof(*msg), flags | MSG_TRUNC);
    }
    if (n < 0)
        return -errno;
    if (n == 0)
        return -EPIPE;
    if (n_fds) {
        rc = take_fds(&mh, fds, n_fds);
        if (rc < 0)
            return rc;
    }
    rc = (size_t)n > sizeof(*msg) ? -EMSGSIZE : ipc_check(msg, (size_t)n);
    if (rc < 0) {
        size_t i;

        for (i = 0; i < n_fds; i++)
            close(fds[i]);
    }
    return rc;
}

/* The privileged helper that starts the enclave; see spawner.h. */
#include "enclave/spawner.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/ipc.h"

#define CONTROL_FD 3

struct reply {
    int32_t rc; /* 0 or -errno */
    int32_t pid;
};

/* ---- the spawner's side --------------------------------------------------------------------- */

struct child {
    pid_t pid;
    int pidfd;
};

static void send_reply(int fd, const struct reply *reply, const int *fds, size_t n_fds)
{
    union {
        struct cmsghdr align;
        char buf[CMSG_SPACE(2 * sizeof(int))];
    } control = {0};
    struct iovec iov = {.iov_base = (void *)(uintptr_t)reply, .iov_len = sizeof(*reply)};
    struct msghdr mh = {.msg_iov = &iov, .msg_iovlen = 1};

    if (n_fds) {
        struct cmsghdr *cmsg;

        mh.msg_control = control.buf;
        mh.msg_controllen = CMSG_SPACE(n_fds * sizeof(int));
        cmsg = CMSG_FIRSTHDR(&mh);
        cmsg->cmsg_level = SOL_SOCKET;
        cmsg->cmsg_type = SCM_RIGHTS;
        cmsg->cmsg_len = CMSG_LEN(n_fds * sizeof(int));
        memcpy(CMSG_DATA(cmsg), fds, n_fds * sizeof(int));
    }
    if (sendmsg(fd, &mh, MSG_NOSIGNAL) < 0)
        _exit(0); /* the daemon is gone; the enclave has seen the same end of file */
}

/* A child we have not waited for keeps its pid, so this never hits another process. */
static void child_kill(struct child *c)
{
    if (c->pid <= 0)
        return;
    kill(c->pid, SIGKILL);
    while (waitpid(c->pid, NULL, 0) < 0 && errno == EINTR)
        ;
    close_fdp(&c->pidfd);
    c->pid = 0;
}

static void __attribute__((noreturn)) child_exec(int control, const char *path, char *const argv[])
{
    static char *const no_environment[] = {NULL};
    union ipc_msg msg;
    sigset_t none;

    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    if (control == CONTROL_FD)
        fcntl(CONTROL_FD, F_SETFD, 0);
    else
        dup2(control, CONTROL_FD);
    syscall(SYS_close_range, CONTROL_FD + 1, ~0U, 0);
    execve(path, argv, no_environment);

    ipc_fill(&msg, IPC_FAILED);
    msg.failed.step = IPC_STEP_ARGUMENTS;
    msg.failed.error = errno;
    snprintf(msg.failed.why, sizeof(msg.failed.why),
             "%.160s cannot be started (%s); it must stand beside the running program", path,
             strerror(errno));
    (void)ipc_send(CONTROL_FD, &msg, NULL, 0);
    _exit(127);
}

static void serve_spawn(int fd, struct child *c, const char *path, char *const argv[])
{
    struct reply reply = {0};
    int pair[2];
    int fds[2];

    child_kill(c);
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0) {
        reply.rc = -errno;
        send_reply(fd, &reply, NULL, 0);
        return;
    }
    c->pid = fork();
    if (c->pid == 0)
        child_exec(pair[1], path, argv);
    if (c->pid > 0)
        c->pidfd = (int)syscall(SYS_pidfd_open, c->pid, 0);
    close(pair[1]);
    if (c->pid < 0 || c->pidfd < 0) {
        reply.rc = -errno;
        child_kill(c);
        send_reply(fd, &reply, NULL, 0);
    } else {
        reply.pid = c->pid;
        fds[0] = pair[0];
        fds[1] = c->pidfd;
        send_reply(fd, &reply, fds, 2);
    }
    close(pair[0]);
}

static void serve_tun(int fd)
{
    struct reply reply = {0};
    int tun = open("/dev/net/tun", O_RDWR | O_CLOEXEC);

    if (tun < 0)
        reply.rc = -errno;
    send_reply(fd, &reply, &tun, tun >= 0);
    if (tun >= 0)
        close(tun);
}

/* Whoever waits for the end of our output must not wait for the enclave's. */
static void leave_terminal(bool quiet)
{
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);

    if (null < 0)
        return;
    dup2(null, STDIN_FILENO);
    dup2(null, STDOUT_FILENO);
    if (quiet)
        dup2(null, STDERR_FILENO);
    if (null > STDERR_FILENO)
        close(null);
}

static void __attribute__((noreturn)) serve(int fd, const char *path, char *const argv[])
{
    struct child child = {.pidfd = -1};

    /* Its own session: a terminal's Ctrl-C reaches the daemon alone, which then ends us cleanly. */
    setsid();
    /* Locks, sockets and files of the daemon are none of ours to hold open. */
    if (fd > STDERR_FILENO + 1)
        syscall(SYS_close_range, STDERR_FILENO + 1, fd - 1, 0);
    syscall(SYS_close_range, fd + 1, ~0U, 0);
    prctl(PR_SET_NAME, "vpn-spawner");
    signal(SIGINT, SIG_IGN);
    signal(SIGTERM, SIG_IGN);
    signal(SIGHUP, SIG_IGN);
    signal(SIGPIPE, SIG_IGN);
    signal(SIGCHLD, SIG_DFL);

    for (;;) {
        struct reply reply = {0};
        uint8_t command;
        ssize_t n = recv(fd, &command, sizeof(command), 0);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            break;
        switch (command) {
        case SPAWNER_SPAWN:
            serve_spawn(fd, &child, path, argv);
            break;
        case SPAWNER_TUN:
            serve_tun(fd);
            break;
        case SPAWNER_KILL:
            child_kill(&child);
            send_reply(fd, &reply, NULL, 0);
            break;
        default:
            reply.rc = -EINVAL;
            send_reply(fd, &reply, NULL, 0);
        }
    }
    /* The enclave saw the same end of file; give it the moment to wipe, then make sure. */
    if (child.pid > 0) {
        int i;

        for (i = 0; i < 200 && waitpid(child.pid, NULL, WNOHANG) == 0; i++)
            usleep(5000);
        if (i == 200)
            child_kill(&child);
    }
    _exit(0);
}

/* ---- the daemon's side ---------------------------------------------------------------------- */

static int enclave_path(char *path, size_t size, struct err *err)
{
    ssize_t n = readlink("/proc/self/exe", path, size - 1);
    char *slash;

    if (n < 0)
        return err_set(err, -errno, "/proc/self/exe: %s (is /proc mounted?)", strerror(errno));
    path[n] = '\0';
    slash = strrchr(path, '/');
    if (!slash || (size_t)(slash - path) + sizeof("/vpn-enclave") > size)
        return err_set(err, -ENAMETOOLONG, "the path of the running program is too long");
    strcpy(slash, "/vpn-enclave");
    return 0;
}

int spawner_start(struct spawner *s, char *const argv[], bool quiet, struct err *err)
{
    char path[PATH_MAX];
    int pair[2];
    int rc = enclave_path(path, sizeof(path), err);

    if (rc < 0)
        return rc;
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
        return err_set(err, -errno, "socketpair: %s", strerror(errno));
    s->pid = fork();
    if (s->pid < 0) {
        rc = err_set(err, -errno, "fork: %s", strerror(errno));
        close(pair[0]);
        close(pair[1]);
        return rc;
    }
    if (s->pid == 0) {
        close(pair[0]);
        leave_terminal(quiet);
        serve(pair[1], path, argv);
    }
    close(pair[1]);
    s->fd = pair[0];
    return 0;
}

static int receive_reply(int fd, struct reply *reply, int *fds, size_t n_fds)
{
    union {
        struct cmsghdr align;
        char buf[CMSG_SPACE(2 * sizeof(int))];
    } control;
    struct iovec iov = {.iov_base = reply, .iov_len = sizeof(*reply)};
    struct msghdr mh = {.msg_iov = &iov,
                        .msg_iovlen = 1,
                        .msg_control = control.buf,
                        .msg_controllen = sizeof(control.buf)};
    struct cmsghdr *cmsg;
    ssize_t n;

    do {
        n = recvmsg(fd, &mh, MSG_CMSG_CLOEXEC);
    } while (n < 0 && errno == EINTR);
    if (n <= 0)
        return n < 0 ? -errno : -EPIPE;
    if (n != sizeof(*reply))
        return -EPROTO;
    if (reply->rc < 0)
        return reply->rc;
    if (n_fds == 0)
        return 0;
    cmsg = CMSG_FIRSTHDR(&mh);
    if (!cmsg || cmsg->cmsg_level != SOL_SOCKET || cmsg->cmsg_type != SCM_RIGHTS ||
        cmsg->cmsg_len != CMSG_LEN(n_fds * sizeof(int)))
        return -EPROTO;
    memcpy(fds, CMSG_DATA(cmsg), n_fds * sizeof(int));
    return 0;
}

static int request(struct spawner *s, enum spawner_command command, struct reply *reply, int *fds,
                   size_t n_fds)
{
    uint8_t byte = (uint8_t)command;

    if (send(s->fd, &byte, sizeof(byte), MSG_NOSIGNAL) < 0)
        return -errno;
    return receive_reply(s->fd, reply, fds, n_fds);
}

int spawner_spawn(struct spawner *s, int *control, int *pidfd, pid_t *pid, struct err *err)
{
    struct reply reply = {0};
    int fds[2] = {-1, -1};
    int rc = request(s, SPAWNER_SPAWN, &reply, fds, 2);

    if (rc < 0)
        return err_set(err, rc, "the enclave cannot be started: %s", strerror(-rc));
    *control = fds[0];
    *pidfd = fds[1];
    *pid = reply.pid;
    return 0;
}

int spawner_kill(struct spawner *s)
{
    struct reply reply;

    return request(s, SPAWNER_KILL, &reply, NULL, 0);
}

int spawner_open_tun(struct spawner *s, struct err *err)
{
    struct reply reply;
    int tun = -1;
    int rc = request(s, SPAWNER_TUN, &reply, &tun, 1);

    if (rc == -ENOENT || rc == -ENODEV)
        return err_set(err, rc,
                       "/dev/net/tun: %s (load the module: modprobe tun; in a container, pass the "
                       "device through)",
                       strerror(-rc));
    if (rc == -EACCES || rc == -EPERM)
        return err_set(err, rc, "/dev/net/tun: no permission to open it (start as root)");
    if (rc < 0)
        return err_set(err, rc, "/dev/net/tun: %s", strerror(-rc));
    return tun;
}

void spawner_stop(struct spawner *s)
{
    if (s->pid <= 0)
        return;
    close_fdp(&s->fd);
    while (waitpid(s->pid, NULL, 0) < 0 && errno == EINTR)
        ;
    s->pid = 0;
}

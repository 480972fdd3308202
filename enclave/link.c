/* The caller's end of the enclave; see link.h. */
#include "enclave/link.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "common/bell.h"
#include "common/cleanup.h"
#include "common/clock.h"

#define BACKOFF_MIN_MS 100
#define BACKOFF_MAX_MS 5000
#define STABLE_MS      1000  /* an enclave that lived this long starts the back-off anew */
#define START_MS       60000 /* Argon2 for many tunnels on a small machine takes a while */

struct link {
    struct spawner *spawner;
    const struct link_ops *ops;
    void *ctx;
    uint32_t lanes;
    int epoll, timer;
    int control, pidfd;
    pid_t pid;
    enum link_state state;
    uint64_t since_ms;
    uint32_t backoff_ms;
    uint32_t restarts;
    struct ipc_ready ready;
    struct ring_area *areas[IPC_MAX_LANES];
    int fds[IPC_MAX_LANES][IPC_LANE_FDS]; /* that of the memory is closed once it is passed on */
};

static int watch(struct link *link, int fd)
{
    struct epoll_event ev = {.events = EPOLLIN, .data.fd = fd};

    return epoll_ctl(link->epoll, EPOLL_CTL_ADD, fd, &ev) < 0 ? -errno : 0;
}

static void arm(struct link *link, uint64_t ms)
{
    struct itimerspec when = {0};

    when.it_value.tv_sec = (time_t)(ms / 1000);
    when.it_value.tv_nsec = (long)(ms % 1000) * 1000000;
    timerfd_settime(link->timer, 0, &when, NULL);
}

int link_new(struct link **out, struct spawner *spawner, uint32_t lanes, const struct link_ops *ops,
             void *ctx)
{
    struct link *link = calloc(1, sizeof(*link));
    int rc;

    if (!link)
        return -ENOMEM;
    link->spawner = spawner;
    link->ops = ops;
    link->ctx = ctx;
    link->lanes = lanes;
    link->control = link->pidfd = -1;
    link->backoff_ms = BACKOFF_MIN_MS;
    memset(link->fds, -1, sizeof(link->fds));
    link->timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
    link->epoll = epoll_create1(EPOLL_CLOEXEC);
    rc = link->timer < 0 || link->epoll < 0 ? -errno : watch(link, link->timer);
    if (rc < 0) {
        link_free(link);
        return rc;
    }
    *out = link;
    return 0;
}

static void close_enclave(struct link *link)
{
    uint32_t i, fd;

    close_fdp(&link->control);
    close_fdp(&link->pidfd);
    for (i = 0; i < link->lanes; i++) {
        ring_area_unmap(link->areas[i]);
        link->areas[i] = NULL;
        for (fd = 0; fd < IPC_LANE_FDS; fd++)
            close_fdp(&link->fds[i][fd]);
    }
    link->pid = 0;
    link->state = LINK_DOWN;
}

void link_free(struct link *link)
{
    if (!link)
        return;
    close_enclave(link);
    close_fdp(&link->timer);
    close_fdp(&link->epoll);
    free(link);
}

/* What fails is closed with the enclave. */
static int make_lane(struct link *link, uint32_t lane)
{
    int *fds = link->fds[lane], i;

    fds[IPC_LANE_MEMORY] = ring_area_create();
    fds[IPC_LANE_WORKER_BELL] = bell_create();
    fds[IPC_LANE_BELL] = bell_create();
    for (i = 0; i < IPC_LANE_FDS; i++)
        if (fds[i] < 0)
            return fds[i];
    return ring_area_map(fds[IPC_LANE_MEMORY], &link->areas[lane]);
}

/* Rings and bells are made fresh for each enclave: nothing of a dead one is used again. */
static int send_rings(struct link *link)
{
    union ipc_msg msg;
    uint32_t i;
    int rc = 0;

    for (i = 0; i < link->lanes && rc == 0; i++)
        rc = make_lane(link, i);
    if (rc < 0)
        return rc;
    ipc_fill(&msg, IPC_SETUP);
    msg.setup.lanes = link->lanes;
    rc = ipc_send(link->control, &msg, link->fds[0], (size_t)IPC_LANE_FDS * link->lanes);
    for (i = 0; i < link->lanes; i++)
        close_fdp(&link->fds[i][IPC_LANE_MEMORY]);
    /* One that has given up already: link_service() reads why. */
    return rc == -EPIPE || rc == -ECONNRESET ? 0 : rc;
}

int link_start(struct link *link, struct err *err)
{
    int size = 4 << 20;
    int rc = spawner_spawn(link->spawner, &link->control, &link->pidfd, &link->pid, err);

    if (rc < 0)
        return rc;
    /* 10,000 users are announced in one go; the kernel caps this at what it allows. */
    if (setsockopt(link->control, SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof(size)) < 0)
        (void)setsockopt(link->control, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
    rc = send_rings(link);
    if (rc == 0)
        rc = watch(link, link->control);
    if (rc == 0)
        rc = watch(link, link->pidfd);
    if (rc < 0) {
        close_enclave(link);
        return err_set(err, rc, "the enclave's rings cannot be set up: %s", strerror(-rc));
    }
    link->state = LINK_STARTING;
    link->since_ms = clock_mono_ms();
    arm(link, START_MS);
    return 0;
}

int link_fd(const struct link *link)
{
    return link->epoll;
}

/* The next attempt waits longer each time, unless the last enclave had served for a while. */
static void schedule_restart(struct link *link)
{
    link->restarts++;
    arm(link, link->backoff_ms);
    link->backoff_ms *= 2;
    if (link->backoff_ms > BACKOFF_MAX_MS)
        link->backoff_ms = BACKOFF_MAX_MS;
}

static void enclave_died(struct link *link)
{
    bool was_ready = link->state == LINK_READY;

    if (was_ready && clock_mono_ms() - link->since_ms >= STABLE_MS)
        link->backoff_ms = BACKOFF_MIN_MS;
    /* Before the lanes are stopped: one that lives could hold them up by its bells. */
    (void)spawner_kill(link->spawner);
    if (was_ready)
        link->ops->down(link->ctx);
    close_enclave(link);
    schedule_restart(link);
    if (!was_ready)
        link->ops->failed(link->ctx, "it ended before it was ready (a library is missing, memory "
                                     "ran out, or a security module forbids it: see dmesg)");
}

/* Return: false when the enclave is gone and its descriptors with it. */
static bool take_message(struct link *link, const union ipc_msg *msg)
{
    switch (msg->hdr.type) {
    case IPC_READY:
        if (link->state != LINK_STARTING)
            break;
        link->state = LINK_READY;
        link->since_ms = clock_mono_ms();
        link->ready = msg->ready;
        link->ready.engine[sizeof(link->ready.engine) - 1] = '\0';
        arm(link, 0);
        link->ops->ready(link->ctx, &link->ready);
        return true;
    case IPC_FAILED: {
        char why[sizeof(msg->failed.why) + 1] = "";

        /* After READY it would take the rings away from under the lanes. */
        if (link->state != LINK_STARTING)
            break;
        memcpy(why, msg->failed.why, sizeof(msg->failed.why));
        (void)spawner_kill(link->spawner);
        close_enclave(link);
        schedule_restart(link);
        link->ops->failed(link->ctx, why);
        return false;
    }
    default:
        if (link->state == LINK_READY) {
            link->ops->message(link->ctx, msg);
            return link->state == LINK_READY;
        }
        break;
    }
    enclave_died(link);
    return false;
}

static bool drain_control(struct link *link)
{
    bool reset = false;
    unsigned int i;

    /* Bounded, so that a chatty enclave cannot hold up the loop. */
    for (i = 0; i < 256; i++) {
        union ipc_msg msg;
        int rc = ipc_recv(link->control, &msg, MSG_DONTWAIT, NULL, 0);

        if (rc == -EAGAIN || rc == -EINTR)
            return true;
        /* It ended without reading all that we sent; this is told before its own last words. */
        if (rc == -ECONNRESET && !reset) {
            reset = true;
            continue;
        }
        if (rc < 0) {
            enclave_died(link);
            return false;
        }
        if (!take_message(link, &msg))
            return false;
    }
    return true;
}

static void on_timer(struct link *link)
{
    struct err err;
    uint64_t ticks;

    if (read(link->timer, &ticks, sizeof(ticks)) < 0)
        return;
    if (link->state == LINK_STARTING) {
        (void)spawner_kill(link->spawner);
        close_enclave(link);
        schedule_restart(link);
        link->ops->failed(link->ctx, "it did not become ready in time");
    } else if (link->state == LINK_DOWN) {
        int rc = link_start(link, &err);

        if (rc == -EPIPE) {
            link->ops->lost(link->ctx);
        } else if (rc < 0) {
            schedule_restart(link);
            link->ops->failed(link->ctx, err.msg);
        }
    }
}

void link_service(struct link *link)
{
    struct epoll_event events[4];
    int n = epoll_wait(link->epoll, events, 4, 0);
    bool dead = false;
    int i;

    for (i = 0; i < n; i++) {
        int fd = events[i].data.fd;

        if (fd == link->timer)
            on_timer(link);
        else if (fd == link->control && !drain_control(link))
            return; /* the other descriptors of this wake-up are closed */
        else if (fd == link->pidfd)
            dead = true;
    }
    /* Last: what it said before it died has been read. */
    if (dead && link->pidfd >= 0)
        enclave_died(link);
}

int link_send(struct link *link, const union ipc_msg *msg)
{
    ssize_t n;

    if (link->state != LINK_READY)
        return -ENOTCONN;
    n = send(link->control, msg, msg->hdr.length, MSG_DONTWAIT | MSG_NOSIGNAL);
    return n < 0 ? -errno : 0;
}

int link_send_all(struct link *link, const union ipc_msg *msg)
{
    struct pollfd p = {.fd = link->control, .events = POLLOUT};
    int rc = link_send(link, msg);

    while (rc == -EAGAIN && poll(&p, 1, 1000) > 0)
        rc = link_send(link, msg);
    return rc;
}

enum link_state link_state(const struct link *link)
{
    return link->state;
}

pid_t link_pid(const struct link *link)
{
    return link->pid;
}

uint32_t link_restarts(const struct link *link)
{
    return link->restarts;
}

const struct ipc_ready *link_ready_info(const struct link *link)
{
    return &link->ready;
}

bool link_is_sealed(const struct link *link)
{
    /* Memory locking, memfd_secret and Landlock add depth; these carry the claim. */
    static const enum ipc_step needed[] = {
        IPC_STEP_NAMESPACES,   IPC_STEP_EMPTY_ROOT,   IPC_STEP_BOUNDING_SET, IPC_STEP_UID,
        IPC_STEP_NO_NEW_PRIVS, IPC_STEP_NOT_DUMPABLE, IPC_STEP_PARENT_DEATH, IPC_STEP_DESCRIPTORS,
        IPC_STEP_LIMITS,       IPC_STEP_SECCOMP,
    };
    size_t i;

    for (i = 0; i < ARRAY_SIZE(needed); i++)
        if (link->ready.step[needed[i]] != IPC_STEP_DONE)
            return false;
    return link->state == LINK_READY;
}

struct ring_area *link_ring(struct link *link, uint32_t lane)
{
    return link->areas[lane];
}

int link_worker_bell(const struct link *link, uint32_t lane)
{
    return link->fds[lane][IPC_LANE_WORKER_BELL];
}

int link_lane_bell(const struct link *link, uint32_t lane)
{
    return link->fds[lane][IPC_LANE_BELL];
}

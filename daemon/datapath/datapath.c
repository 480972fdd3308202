/* Owner's side of the data path: what exists before lanes run and after they stopped. */
#include "daemon/datapath/datapath.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/bell.h"
#include "common/cleanup.h"
#include "daemon/datapath/lane.h"

/* How long a lane may take to end, all its waits together, before it is helped. */
#define END_MS 500

#define QUEUE_BYTES (1 << 20)

const char *dp_drop_name(unsigned int drop)
{
    static const char *const names[] = {
        [DP_DROP_BAD_LENGTH] = "bad-length",   [DP_DROP_BAD_TYPE] = "bad-type",
        [DP_DROP_BAD_VERSION] = "bad-version", [DP_DROP_TOO_LONG] = "too-long",
        [DP_DROP_BAD_MAC1] = "bad-mac1",       [DP_DROP_UNEXPECTED] = "unexpected",
        [DP_DROP_NO_PEER] = "no-peer",         [DP_DROP_BAD_PACKET] = "bad-packet",
        [DP_DROP_ISOLATED] = "isolated",       [DP_DROP_QUEUE_FULL] = "queue-full",
        [DP_DROP_SEND] = "send-failed",        [DP_DROP_TOO_BIG] = "too-big",
        [DP_DROP_PATH_LIMIT] = "path-limit",   [DP_DROP_TUN_WRITE] = "tun-write",
        [DP_DROP_CONTROL] = "control-limit",   [DP_DROP_UNTOLD] = "unknown-budget",
    };
    static_assert(ARRAY_SIZE(names) == DP_DROP_NUM, "a new reason needs its name here");

    return drop < DP_DROP_NUM ? names[drop] : "unknown";
}

static int queue_pair(int fds[2])
{
    int size = QUEUE_BYTES;

    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds) < 0)
        return -errno;
    (void)setsockopt(fds[1], SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof(size));
    return 0;
}

static int open_events(struct datapath *dp)
{
    struct epoll_event ev = {.events = EPOLLIN};
    int rc = queue_pair(dp->event_fds);

    if (rc == 0)
        rc = queue_pair(dp->stranger_fds);
    if (rc < 0)
        return rc;
    dp->event_epoll = epoll_create1(EPOLL_CLOEXEC);
    if (dp->event_epoll < 0 ||
        epoll_ctl(dp->event_epoll, EPOLL_CTL_ADD, dp->event_fds[0], &ev) < 0 ||
        epoll_ctl(dp->event_epoll, EPOLL_CTL_ADD, dp->stranger_fds[0], &ev) < 0)
        return -errno;
    return 0;
}

int datapath_init(struct datapath *dp, enum dp_role role, uint32_t lanes, uint32_t max_addresses,
                  uint32_t max_networks, struct err *err)
{
    struct offload_choice offloads;
    uint64_t seed;
    uint32_t i, j;
    int rc = offload_parse(getenv(OFFLOAD_ENVIRONMENT), &offloads, err);

    memset(dp, 0, sizeof(*dp));
    if (rc < 0)
        return rc;
    dp->offloads = offloads;
    dp->role = role;
    dp->n_lanes = lanes;
    dp->epoch.readers = lanes;
    dp->event_fds[0] = dp->event_fds[1] = dp->stranger_fds[0] = dp->stranger_fds[1] = -1;
    dp->event_epoll = -1;
    for (i = 0; i < DP_MAX_SOCKETS; i++)
        dp->logins[i] = -1;
    for (i = 0; i < IPC_MAX_LANES; i++) {
        dp->inbox_fds[i][0] = dp->inbox_fds[i][1] = -1;
        for (j = 0; j < DP_MAX_SOCKETS; j++)
            dp->sockets[i][j] = -1;
    }
    if (getrandom(&seed, sizeof(seed), 0) != sizeof(seed))
        return err_set(err, -EIO, "no randomness");
    dp->ports = calloc(DP_MAX_PORTS, sizeof(*dp->ports));
    dp->lanes = aligned_alloc(64, (lanes * sizeof(*dp->lanes) + 63) & ~(size_t)63);
    dp->lookup = lookup_new(max_addresses, max_networks, seed, &dp->epoch);
    rc = dp->ports && dp->lanes && dp->lookup ? peers_init(&dp->peers) : -ENOMEM;
    if (dp->lanes)
        memset(dp->lanes, 0, lanes * sizeof(*dp->lanes));
    if (rc == 0)
        rc = open_events(dp);
    for (i = 0; rc == 0 && i < lanes; i++)
        rc = queue_pair(dp->inbox_fds[i]);
    if (rc < 0) {
        datapath_clear(dp);
        return err_set(err, rc, "packet lanes: %s", strerror(-rc));
    }
    return 0;
}

void datapath_clear(struct datapath *dp)
{
    uint32_t i, j;

    if (dp->lanes)
        datapath_stop(dp, false);
    for (j = 0; j < dp->n_sockets; j++)
        close_fdp(&dp->logins[j]);
    for (i = 0; i < dp->n_lanes; i++) {
        for (j = 0; j < dp->n_sockets; j++)
            close_fdp(&dp->sockets[i][j]);
        for (j = 0; j < dp->n_ports; j++)
            close_fdp(&dp->ports[j].queue[i]);
        close_fdp(&dp->inbox_fds[i][0]);
        close_fdp(&dp->inbox_fds[i][1]);
    }
    close_fdp(&dp->event_epoll);
    for (i = 0; i < 2; i++) {
        close_fdp(&dp->event_fds[i]);
        close_fdp(&dp->stranger_fds[i]);
    }
    lookup_free(dp->lookup);
    peers_clear(&dp->peers);
    free(dp->ports);
    free(dp->lanes);
    dp->lookup = NULL;
    dp->ports = NULL;
    dp->lanes = NULL;
    dp->n_lanes = dp->n_ports = dp->n_sockets = 0;
}

int datapath_add_port(struct datapath *dp, bool by_lookup)
{
    struct dp_port *port = &dp->ports[dp->n_ports];
    uint32_t i;

    if (dp->n_ports == DP_MAX_PORTS)
        return -ENOSPC;
    for (i = 0; i < IPC_MAX_LANES; i++)
        port->queue[i] = -1;
    port->by_lookup = by_lookup;
    return (int)dp->n_ports++;
}

static uint32_t free_group(const struct datapath *dp)
{
    uint32_t group = 0;

    while (group < dp->n_sockets && dp->listening[group].addr.family)
        group++;
    return group;
}

void datapath_unlisten(struct datapath *dp, uint32_t group)
{
    uint32_t lane;

    for (lane = 0; lane < dp->n_lanes; lane++)
        close_fdp(&dp->sockets[lane][group]);
    close_fdp(&dp->logins[group]);
    dp->listening[group] = (struct ip_endpoint){0};
}

static int open_group(struct datapath *dp, uint32_t group, const struct ip_endpoint *listen,
                      struct err *err)
{
    uint32_t lane;
    int rc = 0;

    for (lane = 0; rc == 0 && lane <= dp->n_lanes; lane++) {
        int fd = udp_open(listen, true, 0, err);

        if (fd < 0)
            return fd;
        *(lane < dp->n_lanes ? &dp->sockets[lane][group] : &dp->logins[group]) = fd;
        if (lane < dp->n_lanes)
            rc = datapath_socket_offload(dp, fd, err);
    }
    return rc;
}

int datapath_listen(struct datapath *dp, const struct ip_endpoint *listen, int *steered,
                    struct err *err)
{
    uint32_t group = free_group(dp);
    int fd, rc;

    if (group == DP_MAX_SOCKETS)
        return err_set(err, -ENOSPC, "more than %u addresses to listen on", DP_MAX_SOCKETS);
    /* Alone first: SO_REUSEPORT would let another program of our uid share the port silently. */
    fd = udp_open(listen, false, 0, err);
    if (fd < 0)
        return fd;
    close(fd);
    rc = open_group(dp, group, listen, err);
    if (rc < 0) {
        datapath_unlisten(dp, group);
        return rc;
    }
    dp->listening[group] = *listen;
    if (group == dp->n_sockets)
        dp->n_sockets++;
    *steered = udp_steer(dp->sockets[0][group], dp->n_lanes);
    /* A socket for logins that is sent sessions as well would be none. */
    if (*steered < 0)
        close_fdp(&dp->logins[group]);
    return 0;
}

/* Signals belong to the main thread's signalfd. */
static int start_thread(struct lane *l)
{
    sigset_t all, old;
    int rc;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    rc = -pthread_create(&l->thread, NULL, lane_main, l);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    return rc;
}

/* What was left for lanes that are gone means nothing to the next ones. */
static void empty_inbox(struct datapath *dp, uint32_t lane)
{
    struct lane_request req;

    while (recv(dp->inbox_fds[lane][0], &req, sizeof(req), MSG_DONTWAIT) > 0)
        ;
}

static int start_lanes(struct datapath *dp, bool resumed, struct err *err)
{
    uint32_t i;
    int rc;

    dp->running = true;
    for (i = 0; i < dp->n_lanes; i++) {
        struct lane *l = &dp->lanes[i];

        l->resumed = resumed;
        l->stopping = l->drained = false;
        atomic_store_explicit(&l->stop_wanted, LANE_STOP_NONE, memory_order_relaxed);
        rc = start_thread(l);
        if (rc < 0) {
            datapath_stop(dp, false);
            return err_set(err, rc, "a packet thread cannot be started: %s", strerror(-rc));
        }
        l->started = true;
    }
    return 0;
}

int datapath_start(struct datapath *dp, struct link *link, struct err *err)
{
    uint32_t i;

    for (i = 0; i < dp->n_lanes; i++) {
        struct lane *l = &dp->lanes[i];

        l->dp = dp;
        l->number = i;
        l->area = link_ring(link, i);
        l->bell = link_lane_bell(link, i);
        l->worker_bell = link_worker_bell(link, i);
        l->broken = false;
        empty_inbox(dp, i);
    }
    return start_lanes(dp, false, err);
}

/*
 * A lane with its inbox full reads it as soon as it has a free slot; one that has given up never
 * does; one that waits for its worker alone hears its bell, which a mad enclave may have filled.
 */
static void post_stop(struct datapath *dp, uint32_t lane, bool drain)
{
    struct lane_request req;

    atomic_store_explicit(&dp->lanes[lane].stop_wanted, drain ? LANE_STOP_DRAIN : LANE_STOP_NOW,
                          memory_order_release);
    memset(&req, 0, offsetof(struct lane_request, data));
    req.kind = LANE_REQUEST_WAKE;
    (void)send(dp->inbox_fds[lane][1], &req, offsetof(struct lane_request, data),
               MSG_DONTWAIT | MSG_NOSIGNAL);
    bell_empty(dp->lanes[lane].bell);
    bell_ring(dp->lanes[lane].bell);
}

/*
 * An honest enclave holds no lane up.  A mad one may have taken the ring that was for the lane, or
 * filled the worker's bell, so that the lane cannot ring it.
 */
static void join_lane(struct lane *l)
{
    struct timespec until;

    for (;;) {
        clock_gettime(CLOCK_REALTIME, &until);
        until.tv_nsec += END_MS * 1000000L;
        until.tv_sec += until.tv_nsec / 1000000000;
        until.tv_nsec %= 1000000000;
        if (pthread_timedjoin_np(l->thread, NULL, &until) != ETIMEDOUT)
            return;
        bell_empty(l->worker_bell);
        bell_empty(l->bell);
        bell_ring(l->bell);
    }
}

static void join_lanes(struct datapath *dp, bool drain)
{
    uint32_t i;

    for (i = 0; i < dp->n_lanes; i++)
        if (dp->lanes[i].started)
            post_stop(dp, i, drain);
    for (i = 0; i < dp->n_lanes; i++) {
        if (dp->lanes[i].started)
            join_lane(&dp->lanes[i]);
        dp->lanes[i].started = false;
    }
    dp->running = false;
}

void datapath_stop(struct datapath *dp, bool drain)
{
    struct dp_event event;

    if (!dp->running)
        return;
    join_lanes(dp, drain);
    /* What they had to say is about sessions, and a ring, that are gone. */
    while (datapath_event(dp, &event) == 0)
        ;
}

int datapath_pause(struct datapath *dp)
{
    bool whole = true;
    uint32_t i;

    if (!dp->running)
        return 0;
    join_lanes(dp, true);
    for (i = 0; i < dp->n_lanes; i++)
        whole &= !dp->lanes[i].broken && dp->lanes[i].n_free == RING_SLOTS;
    dp->paused = whole;
    return whole ? 0 : -EIO;
}

int datapath_resume(struct datapath *dp, struct err *err)
{
    if (!dp->paused)
        return 0;
    dp->paused = false;
    return start_lanes(dp, true, err);
}

int datapath_event_fd(const struct datapath *dp)
{
    return dp->event_epoll;
}

int datapath_event(struct datapath *dp, struct dp_event *event)
{
    ssize_t n = recv(dp->event_fds[0], event, sizeof(*event), MSG_DONTWAIT);

    if (n < 0)
        n = recv(dp->stranger_fds[0], event, sizeof(*event), MSG_DONTWAIT);
    if (n < (ssize_t)offsetof(struct dp_event, data))
        return -EAGAIN;
    return 0;
}

int datapath_seal(struct datapath *dp, uint32_t peer, uint8_t type, const void *data, size_t len)
{
    uint32_t lane = IPC_PEER_SLOT(peer) % dp->n_lanes;
    struct lane_request req;

    if (len > sizeof(req.data) || !dp->running)
        return -EINVAL;
    memset(&req, 0, offsetof(struct lane_request, data));
    req.kind = LANE_REQUEST_SEAL;
    req.peer = peer;
    req.type = type;
    req.length = (uint32_t)len;
    memcpy(req.data, data, len);
    if (send(dp->inbox_fds[lane][1], &req, offsetof(struct lane_request, data) + len,
             MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
        return -errno;
    return 0;
}

int datapath_send(struct datapath *dp, const void *buf, size_t len, const struct path *to)
{
    if (to->socket >= dp->n_sockets)
        return -EINVAL;
    return udp_send_one(dp->sockets[0][to->socket], buf, len, to);
}

static uint64_t load(const _Atomic uint64_t *counter)
{
    return atomic_load_explicit(counter, memory_order_relaxed);
}

void datapath_stats(struct datapath *dp, struct dp_stats *out)
{
    uint32_t i, j;

    memset(out, 0, sizeof(*out));
    for (i = 0; i < dp->n_lanes; i++) {
        const struct lane *l = &dp->lanes[i];

        for (j = 0; j < DP_DROP_NUM; j++)
            out->drops[j] += load(&l->stats.drops[j]);
        for (j = 0; j < RING_STATUS_NUM; j++)
            out->statuses[j] += load(&l->stats.statuses[j]);
        out->rx_packets += load(&l->stats.rx_packets);
        out->rx_bytes += load(&l->stats.rx_bytes);
        out->tx_packets += load(&l->stats.tx_packets);
        out->tx_bytes += load(&l->stats.tx_bytes);
    }
}

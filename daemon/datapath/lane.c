/*
 * The lane's loop.
 *
 * Theory of operation
 * -------------------
 * A lane moves batches between three places: its UDP sockets, its TUN queues, and the enclave's
 * worker behind the ring.  One epoll set holds sockets, queues and the lane's inbox; results ring a
 * bell of their own.
 *
 *   UDP ─recvmmsg→ slot ─submit(OPEN)→ worker ─complete→ lane_opened() ─writev→ TUN
 *   TUN ─read────→ slot ─submit(SEAL)→ worker ─complete→ lane_sealed() ─sendmmsg→ UDP
 *
 * What makes it fast is that the kernel is passed as seldom as can be, for its way from a system
 * call through routing to a socket costs the same for 64 KiB as for one packet.  At all four ends
 * many packets travel as one: the device hands over and takes super-packets, which gso.c cuts and
 * coalesce.c merges; sockets take and hand over trains of datagrams of one size (UDP_SEGMENT,
 * UDP_GRO).  Nobody waits for company: a batch is what is there at this moment, and a lone small
 * packet leaves at once.
 *
 * All packets of a round are submitted before the lane looks for results, so that worker and lane
 * run side by side.  Then it sleeps with the ring's flag set.  Watching the ring instead would burn
 * a core that the worker, the kernel or the hosts at both ends of a stream can use: measured, it
 * costs throughput, and a lone packet's round trip is no shorter for it.
 *
 * While the worker has something, a sleeping lane is woken by its results alone.  What arrives
 * meanwhile stays in the sockets and queues, for microseconds, and is then a batch and not many
 * wake-ups: the more there is to do, the fewer there are.  The kernel's buffers are the queue, and
 * a full one pushes back on the sender.
 *
 * Nothing here locks, allocates or logs.
 */
#include "daemon/datapath/lane.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/bell.h"

/* How long a stopping lane waits for what is under way. */
#define DRAIN_MS 200

/* What an epoll event belongs to. */
enum source { SOURCE_SOCKET, SOURCE_LOGINS, SOURCE_PORT, SOURCE_INBOX };

int lane_slot_take(struct lane *l)
{
    return l->n_free ? l->free[--l->n_free] : -1;
}

int lane_slot_traffic(struct lane *l)
{
    return l->n_free > LANE_SPARE ? lane_slot_take(l) : -1;
}

/* Last in, first out: the slot still in the cache is used next. */
void lane_slot_give(struct lane *l, unsigned int slot)
{
    l->free[l->n_free++] = (uint16_t)slot;
}

struct ring_slot *lane_slot(struct lane *l, unsigned int slot)
{
    return &l->area->slots[slot];
}

void lane_submit(struct lane *l, unsigned int slot, enum ring_op op, unsigned int count)
{
    struct ring_entry entry = {.slot = (uint16_t)slot, .op = (uint8_t)op, .count = (uint8_t)count};

    if (count == 0) {
        lane_slot_give(l, slot);
        return;
    }
    if (ring_push(&l->submit, entry) < 0) {
        l->broken = true;
        return;
    }
    l->under_way |= 1U << slot;
    if (ring_wants_bell(&l->submit))
        bell_ring(l->worker_bell);
}

uint8_t *lane_fill_room(struct lane *l, struct lane_fill *fill, enum ring_op op, size_t size)
{
    if (fill->slot >= 0 && (fill->entries == RING_PACKETS || size > RING_SLOT_SIZE - fill->at))
        lane_fill_submit(l, fill, op);
    if (fill->slot < 0) {
        fill->slot = fill->urgent ? lane_slot_take(l) : lane_slot_traffic(l);
        if (fill->slot < 0)
            return NULL;
        fill->entries = 0;
        fill->at = RING_TABLE_SIZE;
    }
    return (uint8_t *)lane_slot(l, (unsigned int)fill->slot) + fill->at;
}

void lane_fill_submit(struct lane *l, struct lane_fill *fill, enum ring_op op)
{
    if (fill->slot >= 0)
        lane_submit(l, (unsigned int)fill->slot, op, fill->entries);
    fill->slot = -1;
}

void lane_event(struct lane *l, struct dp_event *event, const void *data, size_t len)
{
    bool stranger = event->kind == DP_EVENT_HANDSHAKE || event->kind == DP_EVENT_UNKNOWN;
    int fd = stranger ? l->dp->stranger_fds[1] : l->dp->event_fds[1];

    if (len > sizeof(event->data))
        len = sizeof(event->data);
    event->lane = l->number;
    if (len)
        memcpy(event->data, data, len);
    if (send(fd, event, offsetof(struct dp_event, data) + len, MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
        lane_drop(l, DP_DROP_QUEUE_FULL);
}

void lane_peer_event(struct lane *l, enum dp_event_kind kind, uint32_t peer,
                     const struct path *from, const void *data, size_t len)
{
    struct dp_event event = {.kind = kind, .peer = peer, .length = (uint32_t)len, .from = *from};

    lane_event(l, &event, data, len);
}

/* ---- results -------------------------------------------------------------------------------- */

/* Return: batches that came back. */
static unsigned int complete_batches(struct lane *l)
{
    struct ring_entry entry;
    unsigned int n = 0;
    int rc;

    while ((rc = ring_pop(&l->complete, &entry)) > 0) {
        /* A slot that the worker does not have cannot come back. */
        if (!(l->under_way & 1U << entry.slot)) {
            rc = -EPROTO;
            break;
        }
        l->under_way &= ~(1U << entry.slot);
        if (entry.op == RING_OPEN)
            lane_opened(l, entry.slot, entry.count);
        else
            lane_sealed(l, entry.slot, entry.count);
        lane_slot_give(l, entry.slot);
        n++;
    }
    if (rc < 0)
        l->broken = true;
    return n;
}

/* ---- inbox ---------------------------------------------------------------------------------- */

/* Return: true when it is empty. */
static bool read_inbox(struct lane *l)
{
    struct lane_request req;
    ssize_t n = 1;

    while (l->n_free &&
           (n = recv(l->dp->inbox_fds[l->number][0], &req, sizeof(req), MSG_DONTWAIT)) > 0) {
        if ((size_t)n < offsetof(struct lane_request, data) ||
            req.length != (size_t)n - offsetof(struct lane_request, data))
            continue;
        switch ((enum lane_request_kind)req.kind) {
        case LANE_REQUEST_WAKE:
            break;
        case LANE_REQUEST_SEAL:
            lane_seal_small(l, req.peer, (uint8_t)req.type, req.data, req.length);
            break;
        case LANE_REQUEST_DATAGRAM:
            lane_take_datagram(l, &req);
            break;
        }
    }
    return n < 0;
}

/* ---- waiting -------------------------------------------------------------------------------- */

static int watch(struct lane *l, int fd, enum source source, uint32_t number)
{
    struct epoll_event ev = {.events = EPOLLIN, .data.u64 = (uint64_t)source << 32 | number};

    return epoll_ctl(l->epoll, EPOLL_CTL_ADD, fd, &ev) < 0 ? -errno : 0;
}

static int watch_all(struct lane *l)
{
    const struct datapath *dp = l->dp;
    uint32_t i;
    int rc = watch(l, dp->inbox_fds[l->number][0], SOURCE_INBOX, 0);

    for (i = 0; rc == 0 && i < dp->n_sockets; i++)
        if (dp->sockets[l->number][i] >= 0)
            rc = watch(l, dp->sockets[l->number][i], SOURCE_SOCKET, i);
    for (i = 0; rc == 0 && l->number == 0 && i < dp->n_sockets; i++)
        if (dp->logins[i] >= 0)
            rc = watch(l, dp->logins[i], SOURCE_LOGINS, i);
    for (i = 0; rc == 0 && i < dp->n_ports; i++)
        if (dp->ports[i].queue[l->number] >= 0)
            rc = watch(l, dp->ports[i].queue[l->number], SOURCE_PORT, i);
    return rc;
}

/* Somebody deleted the device: its queue would be ready, with an error, for ever. */
static void device_gone(struct lane *l, uint32_t port)
{
    struct dp_event event = {.kind = DP_EVENT_DEVICE, .peer = port};

    (void)epoll_ctl(l->epoll, EPOLL_CTL_DEL, l->dp->ports[port].queue[l->number], NULL);
    lane_event(l, &event, NULL, 0);
}

/*
 * Sources that are always ready keep their order in the epoll set, and each takes all the slots it
 * can use.  So they begin in turn, or a flood through one would leave nothing to the others.
 *
 * Return: true when anything was done.
 */
static bool serve_sources(struct lane *l, const struct epoll_event *events, int n)
{
    const unsigned int begin = n > 0 ? l->turn++ % (unsigned int)n : 0;
    bool busy = false;
    int i;

    for (i = 0; i < n; i++) {
        const struct epoll_event *event = &events[(begin + (unsigned int)i) % (unsigned int)n];
        uint32_t number = (uint32_t)event->data.u64;

        switch ((enum source)(event->data.u64 >> 32)) {
        case SOURCE_SOCKET:
            busy |= lane_receive(l, number) > 0;
            break;
        case SOURCE_LOGINS:
            busy |= lane_receive_logins(l, number) > 0;
            break;
        case SOURCE_PORT:
            if (event->events & EPOLLERR)
                device_gone(l, number);
            else if (lane_read_on(l))
                busy |= lane_read_tun(l, number) > 0;
            break;
        case SOURCE_INBOX:
            read_inbox(l);
            /* What has to wait in it for a slot is no reason to stay awake. */
            busy |= l->n_free > LANE_SPARE;
            break;
        }
    }
    return busy;
}

static void tell_broken(struct lane *l)
{
    struct dp_event event = {.kind = DP_EVENT_RING};

    lane_event(l, &event, NULL, 0);
}

/*
 * Nothing but results, while the worker has something.  Whoever wants the lane to stop rings as
 * well; from then on a worker that hangs is not waited for.
 */
static void wait_results(struct lane *l)
{
    struct pollfd p = {.fd = l->bell, .events = POLLIN};

    if (l->stopping && poll(&p, 1, DRAIN_MS) <= 0)
        return;
    if (bell_wait(l->bell) < 0)
        l->broken = true;
}

static int wait_events(struct lane *l, struct epoll_event *events, int max, bool may_block)
{
    const bool sleeps = may_block && ring_sleep(&l->complete);
    int n = 0;

    if (sleeps && l->under_way)
        wait_results(l);
    else
        n = epoll_wait(l->epoll, events, max, sleeps ? 1000 : 0);
    ring_awake(&l->complete);
    return n < 0 ? 0 : n;
}

static void look_for_stop(struct lane *l)
{
    int wanted = atomic_load_explicit(&l->stop_wanted, memory_order_acquire);

    if (wanted == LANE_STOP_NONE || l->stopping)
        return;
    l->stopping = true;
    l->stop_by_ms = l->now.mono_ms + (wanted == LANE_STOP_DRAIN ? DRAIN_MS : 0);
}

/* A stopping lane takes nothing new but what was left in its inbox: good-byes above all. */
static void drain(struct lane *l)
{
    bool empty = read_inbox(l);

    lane_fill_submit(l, &l->small, RING_SEAL);
    l->drained = (empty && l->n_free == RING_SLOTS) || l->now.mono_ms >= l->stop_by_ms;
}

static bool lane_over(const struct lane *l)
{
    return l->broken || l->drained;
}

static void lane_loop(struct lane *l)
{
    struct epoch *epoch = &l->dp->epoch;
    struct epoll_event events[32];
    bool busy = true; /* a pause may have left something of a frame */

    while (!lane_over(l)) {
        int n = wait_events(l, events, 32, !busy);

        clock_read(&l->now);
        epoch_enter(epoch, l->number);
        look_for_stop(l);
        busy = complete_batches(l) > 0;
        if (l->stopping)
            drain(l);
        else if (lane_read_on(l))
            busy |= serve_sources(l, events, n);
        lane_fill_submit(l, &l->small, RING_SEAL);
        /* A worker on this core is done by now, and what it has done need not be waited for. */
        busy |= complete_batches(l) > 0;
        lane_fill_submit(l, &l->small, RING_SEAL);
        epoch_leave(epoch, l->number);
        /* With nothing under way, sources that have more end the wait at once; a frame cannot. */
        if (!l->under_way)
            busy = gso_split_more(&l->frame.split);
    }
}

void *lane_main(void *arg)
{
    struct lane *l = arg;
    unsigned int i;

    if (!l->resumed) {
        l->n_free = l->under_way = 0;
        for (i = 0; i < RING_SLOTS; i++)
            lane_slot_give(l, RING_SLOTS - 1 - i);
        l->frame.split = (struct gso_split){0};
        l->small = (struct lane_fill){.slot = -1, .urgent = true};
        ring_end_init(&l->submit, &l->area->submit);
        ring_end_init(&l->complete, &l->area->complete);
    }
    l->epoll = epoll_create1(EPOLL_CLOEXEC);
    if (l->epoll < 0 || watch_all(l) < 0)
        l->broken = true;
    clock_read(&l->now);
    lane_loop(l);
    if (l->epoll >= 0)
        close(l->epoll);
    if (l->broken)
        tell_broken(l);
    return NULL;
}

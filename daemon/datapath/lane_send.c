/*
 * Into the tunnel: what the worker sealed, to UDP.
 *
 * Datagrams of a batch that go to the same peer and are of the same length form a *run*, and a run
 * leaves with one UDP_SEGMENT send: the kernel makes datagrams of it as late as it can, often only
 * in the network card.  Runs leave in the order of their first datagram and a peer's datagram joins
 * only that peer's newest run, so nobody's packets pass each other.
 */
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>

#include "daemon/datapath/lane.h"

/*
 * How long a lane waits for room in a full socket before it drops: less than a scheduler tick, and
 * once in a slot's batch, whatever sockets that leaves by, for it has other users.
 */
#define SEND_WAIT_MS 2
/* Runs looked at for a peer's newest: more peers than that in one batch send less together. */
#define LOOK_BACK    8

struct run {
    struct dp_peer *peer;
    struct path to;
    uint32_t handle;
    uint8_t first, last; /* entries of the slot's table */
    uint8_t count;
    bool cut;    /* the network may fragment them */
    bool closed; /* the last one is shorter: no other may follow */
    uint16_t size;
    uint32_t bytes;
    uint32_t data_packets, data_bytes; /* of DATA, inner */
};

/* One batch on its way out. */
struct sending {
    const struct ring_packet *packets; /* our copy of the table */
    uint8_t *slot;
    bool segment; /* UDP_SEGMENT may be used */
    bool waited;  /* for room in a socket */
    unsigned int n_runs;
    struct run runs[RING_PACKETS];
    uint8_t next[RING_PACKETS]; /* of the same run */
};

/* ---- sending --------------------------------------------------------------------------------- */

/* The queue behind us is the kernel's, and it pushes back. */
static bool wait_writable(int fd)
{
    struct pollfd p = {.fd = fd, .events = POLLOUT};

    return poll(&p, 1, SEND_WAIT_MS) > 0;
}

/*
 * The device to this peer has become smaller than what we took for granted: the main thread shall
 * measure again, once.  A probe may be refused: that is its answer.  Return: true for DATA.
 */
static bool refused_size(struct lane *l, const uint8_t *datagram, uint32_t handle)
{
    struct dp_peer *peer = peers_get(&l->dp->peers, handle);
    const struct path nowhere = {0};

    if (datagram[0] != WIRE_DATA)
        return false;
    if (peer && atomic_exchange_explicit(&peer->shrunk, 1, memory_order_relaxed) == 0)
        lane_peer_event(l, DP_EVENT_SHRUNK, handle, &nowhere, NULL, 0);
    return true;
}

/* A batch's socket, and the setting that belongs to it and not to a message. */
struct outlet {
    int fd;
    sa_family_t family;
    bool cut;
    bool *waited;
};

static void outlet_cut(struct outlet *o, bool cut)
{
    if (o->cut != cut)
        udp_fragment(o->fd, o->family, cut);
    o->cut = cut;
}

/* A datagram, or a run of them, that could not leave.  Return: true to try it once more. */
static bool try_again(struct lane *l, struct outlet *o, const struct msghdr *mh, uint32_t handle)
{
    if ((errno == EAGAIN || errno == ENOBUFS) && !*o->waited) {
        *o->waited = true;
        if (wait_writable(o->fd))
            return true;
    }
    if (errno == EMSGSIZE && !o->cut) {
        if (!refused_size(l, mh->msg_iov->iov_base, handle))
            return false;
        outlet_cut(o, true);
        return true;
    }
    /* No route, or refused: these datagrams are lost, the ones after them may go elsewhere. */
    lane_count(&l->stats.drops[DP_DROP_SEND], mh->msg_iovlen);
    return false;
}

/*
 * The kernel would not take a run: the device has become too small for its pieces, or has no
 * checksum offload (EIO, before Linux 6.10).  Its datagrams may still leave one by one.
 */
static bool run_refused(const struct msghdr *mh)
{
    return mh->msg_iovlen > 1 && (errno == EMSGSIZE || errno == EINVAL || errno == EIO);
}

static void send_singly(struct lane *l, struct outlet *o, const struct msghdr *run, uint32_t handle)
{
    struct msghdr mh = *run;

    mh.msg_iovlen = 1;
    mh.msg_controllen -= CMSG_SPACE(sizeof(uint16_t)); /* UDP_SEGMENT stands last */
    for (; mh.msg_iov < run->msg_iov + run->msg_iovlen; mh.msg_iov++) {
        while (sendmsg(o->fd, &mh, MSG_DONTWAIT | MSG_NOSIGNAL) < 0 && try_again(l, o, &mh, handle))
            ;
        outlet_cut(o, false); /* the next one may be a probe */
    }
}

/*
 * What leaves by one socket, with one setting, both of which are @last's.  Whether the network may
 * fragment these is the socket's setting and not the message's; large packets to small paths are
 * rare enough for two more system calls.
 */
static void send_batch(struct lane *l, struct sending *s, const struct run *last,
                       unsigned int count)
{
    const bool cut = last->cut;
    struct outlet o = {.fd = l->dp->sockets[l->number][last->to.socket],
                       .family = l->tx.names[0].ss_family,
                       .waited = &s->waited};
    unsigned int done = 0;

    outlet_cut(&o, cut);
    while (done < count) {
        const struct msghdr *mh = &l->tx.msgs[done].msg_hdr;
        /* What was refused for its size is cut, but not a probe that comes after it. */
        const unsigned int several = o.cut == cut ? count - done : 1;
        int n = sendmmsg(o.fd, l->tx.msgs + done, several, MSG_DONTWAIT | MSG_NOSIGNAL);

        if (n > 0) {
            done += (unsigned int)n;
            outlet_cut(&o, cut);
        } else if (run_refused(mh)) {
            if (errno == EIO)
                atomic_fetch_and(&l->dp->offloads_used, ~OFFLOAD_BIT(OFFLOAD_UDP_SEGMENT));
            send_singly(l, &o, mh, l->tx_peers[done++]);
        } else if (!try_again(l, &o, mh, l->tx_peers[done])) {
            done++;
            outlet_cut(&o, cut);
        }
    }
    outlet_cut(&o, false);
}

/* ---- runs ------------------------------------------------------------------------------------ */

/* What UDP and IP add: whoever counts on the wire shall find the limit kept as well. */
static size_t on_the_wire(const struct path *to, size_t len)
{
    return len + 8 + (to->remote.addr.family == 4 ? 20 : 40);
}

/* May the network fragment this datagram?  A probe must show what arrives unfragmented. */
static bool may_cut(struct dp_peer *peer, const uint8_t *datagram, size_t len)
{
    return datagram[0] == WIRE_DATA &&
           len - WIRE_OVERHEAD > atomic_load_explicit(&peer->whole, memory_order_relaxed);
}

static struct run *find_run(struct sending *s, uint32_t handle)
{
    const unsigned int stop = s->n_runs > LOOK_BACK ? s->n_runs - LOOK_BACK : 0;

    for (unsigned int i = s->n_runs; i > stop; i--)
        if (s->runs[i - 1].handle == handle)
            return &s->runs[i - 1];
    return NULL;
}

static void run_count(struct run *run, const struct ring_packet *p, const uint8_t *datagram)
{
    if (datagram[0] != WIRE_DATA)
        return;
    run->data_packets++;
    run->data_bytes += p->length - (uint32_t)WIRE_OVERHEAD;
}

static bool run_join(struct sending *s, struct run *run, unsigned int entry)
{
    const struct ring_packet *p = &s->packets[entry];
    const uint8_t *datagram = s->slot + p->offset;

    if (!s->segment || run->closed || run->cut || run->count == UDP_SEGMENTS ||
        p->length > run->size || run->bytes + p->length > UDP_SEGMENTS_LEN ||
        may_cut(run->peer, datagram, p->length))
        return false;
    s->next[run->last] = s->next[entry] = (uint8_t)entry;
    run->last = (uint8_t)entry;
    run->count++;
    run->bytes += p->length;
    run->closed = p->length < run->size;
    run_count(run, p, datagram);
    return true;
}

static void run_found(struct sending *s, struct dp_peer *peer, const struct path *to,
                      unsigned int entry)
{
    const struct ring_packet *p = &s->packets[entry];
    const uint8_t *datagram = s->slot + p->offset;
    struct run *run = &s->runs[s->n_runs++];

    *run = (struct run){
        .peer = peer,
        .to = *to,
        .handle = p->peer,
        .first = (uint8_t)entry,
        .last = (uint8_t)entry,
        .count = 1,
        .cut = may_cut(peer, datagram, p->length),
        .size = p->length,
        .bytes = p->length,
    };
    s->next[entry] = (uint8_t)entry;
    run_count(run, p, datagram);
}

/* One sealed datagram: into its peer's run, or dropped. */
static void sealed_packet(struct lane *l, struct sending *s, unsigned int entry)
{
    const struct ring_packet *p = &s->packets[entry];
    struct run *run = find_run(s, p->peer);
    struct dp_peer *peer = run ? run->peer : peers_get(&l->dp->peers, p->peer);
    struct path to;

    if (!peer)
        return;
    to = run ? run->to : peer_path(peer);
    if (to.socket >= l->dp->n_sockets || l->dp->sockets[l->number][to.socket] < 0) {
        lane_drop(l, DP_DROP_SEND);
        return;
    }
    if (!peer_spend(peer, on_the_wire(&to, p->length))) {
        lane_drop(l, DP_DROP_PATH_LIMIT);
        return;
    }
    if (!run || !run_join(s, run, entry))
        run_found(s, peer, &to, entry);
}

static void count_sent(struct lane *l, const struct run *run, const uint8_t *last)
{
    struct dp_peer *peer = run->peer;
    uint64_t none = 0;

    atomic_store_explicit(&peer->last_tx_ms, l->now.mono_ms, memory_order_relaxed);
    atomic_store_explicit(&peer->next_counter, wire_transport_counter(last) + 1,
                          memory_order_relaxed);
    if (run->data_packets == 0)
        return;
    atomic_fetch_add_explicit(&peer->tx_packets, run->data_packets, memory_order_relaxed);
    atomic_fetch_add_explicit(&peer->tx_bytes, run->data_bytes, memory_order_relaxed);
    atomic_compare_exchange_strong_explicit(&peer->unanswered_since_ms, &none, l->now.mono_ms,
                                            memory_order_relaxed, memory_order_relaxed);
    lane_count(&l->stats.tx_packets, run->data_packets);
    lane_count(&l->stats.tx_bytes, run->data_bytes);
}

/* A batch goes out through one socket, with one setting: another one starts a new one. */
static void send_runs(struct lane *l, struct sending *s)
{
    struct iovec *pieces = l->tx.iovs;
    unsigned int i, n = 0;

    for (i = 0; i < s->n_runs; i++) {
        struct run *run = &s->runs[i], *before = run - 1;
        unsigned int entry = run->first, k;

        if (n > 0 &&
            (n == UDP_BATCH || run->to.socket != before->to.socket || run->cut != before->cut)) {
            send_batch(l, s, before, n);
            n = 0;
        }
        for (k = 0; k < run->count; k++, entry = s->next[entry])
            pieces[k] = (struct iovec){.iov_base = s->slot + s->packets[entry].offset,
                                       .iov_len = s->packets[entry].length};
        l->tx_peers[n] = run->handle;
        udp_batch_send(&l->tx, n++, pieces, run->count, &run->to);
        pieces += run->count;
        count_sent(l, run, s->slot + s->packets[run->last].offset);
    }
    if (n)
        send_batch(l, s, &s->runs[i - 1], n);
}

void lane_sealed(struct lane *l, unsigned int slot, unsigned int count)
{
    struct ring_slot *shared = lane_slot(l, slot);
    struct ring_packet packets[RING_PACKETS];
    struct sending s;
    unsigned int i;

    memcpy(packets, shared->packets, count * sizeof(packets[0]));
    s.packets = packets;
    s.slot = (uint8_t *)shared;
    s.segment = atomic_load_explicit(&l->dp->offloads_used, memory_order_relaxed) &
                OFFLOAD_BIT(OFFLOAD_UDP_SEGMENT);
    s.waited = false;
    s.n_runs = 0;
    for (i = 0; i < count; i++) {
        const struct ring_packet *p = &packets[i];

        if (p->status != RING_STATUS_OK) {
            lane_count(&l->stats.statuses[p->status < RING_STATUS_NUM ? p->status : 1], 1);
            continue;
        }
        if (p->offset < RING_TABLE_SIZE || p->offset + (size_t)p->length > RING_SLOT_SIZE ||
            p->length < WIRE_TRANSPORT_MIN) {
            l->broken = true;
            return;
        }
        sealed_packet(l, &s, i);
    }
    send_runs(l, &s);
}

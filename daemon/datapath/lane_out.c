/* Into the tunnel: packets from the TUN device to the worker, and what it sealed to UDP. */
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/inner.h"
#include "daemon/datapath/lane.h"

/* How long a lane waits for room in a full socket before it drops: less than a scheduler tick. */
#define SEND_WAIT_MS 2

/* ---- TUN → ring ------------------------------------------------------------------------------ */

static uint32_t find_peer(struct lane *l, struct dp_port *port, const struct inner *in)
{
    if (port->by_lookup)
        return lookup_find(l->dp->lookup, &in->dst);
    return atomic_load_explicit(&port->peer, memory_order_acquire);
}

/* The device's header and the answer: what the kernel reads as one packet out of the tunnel. */
static void say_too_big(struct lane *l, struct dp_port *port, const uint8_t *packet,
                        const struct inner *in, uint16_t limit)
{
    uint8_t frame[LANE_VNET_LEN + ICMP_ANSWER_MAX] = {0};
    size_t len;

    lane_drop(l, DP_DROP_TOO_BIG);
    len = icmp_too_big(packet, in, limit, frame + LANE_VNET_LEN);
    if (len == 0 || !icmp_limit_allows(&l->icmp, &in->src, l->now.mono_ms))
        return;
    if (write(port->queue[l->number], frame, LANE_VNET_LEN + len) < 0)
        lane_drop(l, DP_DROP_TUN_WRITE);
}

/* Return: true when the packet at @packet goes into the batch as entry @p. */
static bool take_packet(struct lane *l, struct dp_port *port, uint8_t *packet, size_t len,
                        struct ring_packet *p, size_t offset)
{
    struct dp_peer *peer;
    struct inner in;
    uint32_t handle, limit;

    if (inner_parse(packet, len, &in) < 0) {
        lane_drop(l, DP_DROP_BAD_PACKET);
        return false;
    }
    handle = find_peer(l, port, &in);
    peer = peers_get(&l->dp->peers, handle);
    if (!peer) {
        lane_drop(l, DP_DROP_NO_PEER);
        return false;
    }
    limit = atomic_load_explicit(&peer->limit, memory_order_relaxed);
    if (in.total > atomic_load_explicit(&peer->mtu, memory_order_relaxed)) {
        lane_drop(l, DP_DROP_BAD_PACKET);
        return false;
    }
    /* Who lets the network cut his packets gets them cut: outside, after sealing. */
    if (in.total > limit && !icmp_may_fragment(packet)) {
        say_too_big(l, port, packet, &in, (uint16_t)limit);
        return false;
    }
    inner_clamp_mss(packet, &in, (uint16_t)limit);
    *p = (struct ring_packet){
        .offset = (uint32_t)offset, .length = in.total, .type = WIRE_DATA, .peer = handle};
    return true;
}

unsigned int lane_read_tun(struct lane *l, uint32_t port_number)
{
    struct dp_port *port = &l->dp->ports[port_number];
    int slot = lane_slot_take(l);
    unsigned int entries = 0, n;
    struct ring_slot *s;

    if (slot < 0)
        return 0;
    s = lane_slot(l, (unsigned int)slot);
    for (n = 0; n < LANE_BATCH; n++) {
        size_t offset = LANE_CELL_AT(entries);
        uint8_t *packet = (uint8_t *)s + offset + WIRE_OVERHEAD;
        ssize_t len = read(port->queue[l->number], packet - LANE_VNET_LEN,
                           LANE_CELL - WIRE_OVERHEAD + LANE_VNET_LEN);

        if (len < LANE_VNET_LEN)
            break;
        if (take_packet(l, port, packet, (size_t)len - LANE_VNET_LEN, &s->packets[entries], offset))
            entries++;
    }
    lane_submit(l, (unsigned int)slot, RING_SEAL, entries);
    return n;
}

void lane_seal_small(struct lane *l, uint32_t peer, uint8_t type, const void *data, size_t len)
{
    int slot = lane_slot_take(l);
    struct ring_slot *s;

    if (slot < 0 || len > WIRE_MTU_MAX) {
        if (slot >= 0)
            lane_slot_give(l, (unsigned int)slot);
        lane_drop(l, DP_DROP_QUEUE_FULL);
        return;
    }
    s = lane_slot(l, (unsigned int)slot);
    s->packets[0] = (struct ring_packet){
        .offset = LANE_CELL_AT(0), .length = (uint16_t)len, .type = type, .peer = peer};
    memcpy((uint8_t *)s + LANE_CELL_AT(0) + WIRE_OVERHEAD, data, len);
    lane_submit(l, (unsigned int)slot, RING_SEAL, 1);
}

/* ---- ring → UDP ------------------------------------------------------------------------------ */

/* Wait for room once per batch: the queue behind us is the kernel's, and it pushes back. */
static bool wait_writable(int fd)
{
    struct pollfd p = {.fd = fd, .events = POLLOUT};

    return poll(&p, 1, SEND_WAIT_MS) > 0;
}

/*
 * The device to this peer has become smaller than what we took for granted: the main thread shall
 * measure again, once.  A probe may be refused: that is its answer.  Return: true for DATA.
 */
static bool refused_size(struct lane *l, unsigned int i)
{
    const uint8_t *datagram = l->tx.iovs[i].iov_base;
    struct dp_peer *peer = peers_get(&l->dp->peers, l->tx_peers[i]);
    const struct path nowhere = {0};

    if (datagram[0] != WIRE_DATA)
        return false;
    if (peer && atomic_exchange_explicit(&peer->shrunk, 1, memory_order_relaxed) == 0)
        lane_peer_event(l, DP_EVENT_SHRUNK, l->tx_peers[i], &nowhere, NULL, 0);
    return true;
}

/*
 * One batch out of one socket.  @cut: the network may fragment these, which is the socket's setting
 * and not the message's; large packets to small paths are rare enough for two more system calls.
 */
static void send_batch(struct lane *l, uint32_t socket, bool cut, unsigned int count)
{
    int fd = l->dp->sockets[l->number][socket];
    unsigned int done = 0;
    bool waited = false;

    if (cut)
        udp_fragment(fd, l->tx.names[0].ss_family, true);
    while (done < count) {
        int n = sendmmsg(fd, l->tx.msgs + done, count - done, MSG_DONTWAIT | MSG_NOSIGNAL);

        if (n > 0) {
            done += (unsigned int)n;
            continue;
        }
        if ((errno == EAGAIN || errno == ENOBUFS) && !waited && wait_writable(fd)) {
            waited = true;
            continue;
        }
        if (errno == EMSGSIZE && !cut) {
            if (refused_size(l, done)) {
                cut = true;
                udp_fragment(fd, l->tx.names[0].ss_family, true);
            } else {
                done++;
            }
            continue;
        }
        /* No route, or refused: this datagram is lost, the ones after it may go elsewhere. */
        lane_drop(l, DP_DROP_SEND);
        done++;
    }
    if (cut)
        udp_fragment(fd, l->tx.names[0].ss_family, false);
}

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

static void count_sent(struct lane *l, struct dp_peer *peer, const struct ring_packet *p,
                       const uint8_t *datagram)
{
    uint64_t none = 0;
    size_t inner = p->length - WIRE_OVERHEAD;

    atomic_store_explicit(&peer->last_tx_ms, l->now.mono_ms, memory_order_relaxed);
    atomic_store_explicit(&peer->next_counter, wire_transport_counter(datagram) + 1,
                          memory_order_relaxed);
    if (datagram[0] != WIRE_DATA)
        return;
    atomic_fetch_add_explicit(&peer->tx_packets, 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&peer->tx_bytes, inner, memory_order_relaxed);
    atomic_compare_exchange_strong_explicit(&peer->unanswered_since_ms, &none, l->now.mono_ms,
                                            memory_order_relaxed, memory_order_relaxed);
    lane_count(&l->stats.tx_packets, 1);
    lane_count(&l->stats.tx_bytes, inner);
}

void lane_sealed(struct lane *l, unsigned int slot, unsigned int count)
{
    struct ring_slot *s = lane_slot(l, slot);
    uint32_t socket = 0;
    unsigned int i, n = 0;
    bool cut = false;

    for (i = 0; i < count; i++) {
        struct ring_packet p = s->packets[i];
        const uint8_t *datagram = (uint8_t *)s + p.offset;
        struct dp_peer *peer;
        struct path to;
        bool cut_this;

        if (p.status != RING_STATUS_OK) {
            lane_count(&l->stats.statuses[p.status < RING_STATUS_NUM ? p.status : 1], 1);
            continue;
        }
        if (p.offset < RING_TABLE_SIZE || p.offset + (size_t)p.length > RING_SLOT_SIZE ||
            p.length < WIRE_TRANSPORT_MIN) {
            l->broken = true;
            return;
        }
        peer = peers_get(&l->dp->peers, p.peer);
        if (!peer)
            continue;
        to = peer_path(peer);
        if (to.socket >= l->dp->n_sockets || l->dp->sockets[l->number][to.socket] < 0) {
            lane_drop(l, DP_DROP_SEND);
            continue;
        }
        if (!peer_spend(peer, on_the_wire(&to, p.length))) {
            lane_drop(l, DP_DROP_PATH_LIMIT);
            continue;
        }
        cut_this = may_cut(peer, datagram, p.length);
        /* A batch goes out through one socket, with one setting: another one starts a new one. */
        if (n == UDP_BATCH || (n > 0 && (to.socket != socket || cut_this != cut))) {
            send_batch(l, socket, cut, n);
            n = 0;
        }
        socket = to.socket;
        cut = cut_this;
        l->tx_peers[n] = p.peer;
        udp_batch_send(&l->tx, n++, (uint8_t *)s + p.offset, p.length, &to);
        count_sent(l, peer, &p, datagram);
    }
    if (n)
        send_batch(l, socket, cut, n);
}

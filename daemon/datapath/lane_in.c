/* Out of the tunnel: datagrams from UDP to the worker, and what it opened to the TUN device. */
#include <errno.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/control.h"
#include "common/inner.h"
#include "daemon/datapath/lane.h"

/* ---- UDP → ring ------------------------------------------------------------------------------ */

static void put_datagram(struct lane *l, unsigned int slot, unsigned int entry, size_t offset,
                         size_t len, const struct path *from)
{
    struct ring_packet *p = &lane_slot(l, slot)->packets[entry];

    *p = (struct ring_packet){.offset = (uint32_t)offset, .length = (uint16_t)len};
    l->slots[slot].from[entry] = *from;
}

static void handshake_event(struct lane *l, const uint8_t *buf, size_t len, const struct path *from)
{
    struct dp_event event = {.kind = DP_EVENT_HANDSHAKE, .length = (uint32_t)len, .from = *from};

    lane_event(l, &event, buf, len);
}

/* Steering missed: the lane that owns the session takes it. */
static void hand_over(struct lane *l, uint32_t owner, const uint8_t *buf, size_t len,
                      const struct path *from)
{
    struct lane_request req;

    memset(&req, 0, offsetof(struct lane_request, data));
    req.kind = LANE_REQUEST_DATAGRAM;
    req.length = (uint32_t)len;
    req.from = *from;
    memcpy(req.data, buf, len);
    if (send(l->dp->inbox_fds[owner][1], &req, offsetof(struct lane_request, data) + len,
             MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
        lane_drop(l, DP_DROP_QUEUE_FULL);
}

/*
 * The cheap checks.  Return: true when the datagram belongs into this lane's batch.
 */
static bool sort_datagram(struct lane *l, const uint8_t *buf, size_t len, const struct path *from)
{
    uint32_t owner;

    switch (wire_classify(buf, len)) {
    case WIRE_KIND_TRANSPORT:
        owner = wire_transport_index(buf) % l->dp->n_lanes;
        if (owner == l->number)
            return true;
        hand_over(l, owner, buf, len, from);
        return false;
    case WIRE_KIND_CONNECT_REQ:
        if (l->dp->role != DP_SERVER)
            lane_drop(l, DP_DROP_UNEXPECTED);
        else if (!mac1_valid(&l->dp->mac, buf))
            lane_drop(l, DP_DROP_BAD_MAC1);
        else
            handshake_event(l, buf, len, from);
        return false;
    case WIRE_KIND_CONNECT_RESP:
    case WIRE_KIND_COOKIE:
    case WIRE_KIND_STALE:
        if (l->dp->role != DP_CLIENT)
            lane_drop(l, DP_DROP_UNEXPECTED);
        else
            handshake_event(l, buf, len, from);
        return false;
    case WIRE_KIND_BAD_LENGTH:
        lane_drop(l, DP_DROP_BAD_LENGTH);
        return false;
    case WIRE_KIND_BAD_TYPE:
        lane_drop(l, DP_DROP_BAD_TYPE);
        return false;
    case WIRE_KIND_BAD_VERSION:
        lane_drop(l, DP_DROP_BAD_VERSION);
        return false;
    }
    return false;
}

unsigned int lane_receive(struct lane *l, uint32_t socket)
{
    int slot = lane_slot_take(l);
    unsigned int entries = 0;
    uint8_t *base;
    int i, n;

    if (slot < 0)
        return 0;
    base = (uint8_t *)lane_slot(l, (unsigned int)slot);
    for (i = 0; i < LANE_BATCH; i++)
        udp_batch_receive(&l->rx, (unsigned int)i, base + LANE_CELL_AT(i), WIRE_DATAGRAM_MAX);
    n = recvmmsg(l->dp->sockets[l->number][socket], l->rx.msgs, LANE_BATCH, MSG_DONTWAIT, NULL);
    for (i = 0; i < n; i++) {
        size_t len = l->rx.msgs[i].msg_len;
        struct path from;

        if (l->rx.msgs[i].msg_hdr.msg_flags & MSG_TRUNC) {
            lane_drop(l, DP_DROP_TOO_LONG);
            continue;
        }
        if (udp_batch_from(&l->rx, (unsigned int)i, &from) < 0)
            continue;
        from.socket = socket;
        /* The client lets routing choose its source, so that it may roam. */
        if (l->dp->role == DP_CLIENT)
            from.local.family = 0;
        if (sort_datagram(l, base + LANE_CELL_AT(i), len, &from))
            put_datagram(l, (unsigned int)slot, entries++, LANE_CELL_AT(i), len, &from);
    }
    lane_submit(l, (unsigned int)slot, RING_OPEN, entries);
    return n > 0 ? (unsigned int)n : 0;
}

/*
 * Logins have sockets of their own: users who send more than the worker can open fill the others,
 * and a login must not be lost among their packets.
 */
unsigned int lane_receive_logins(struct lane *l, uint32_t socket)
{
    uint8_t bufs[LANE_BATCH][WIRE_CONNECT_REQ_LEN + 1]; /* one more, to know the longer ones */
    int i, n;

    for (i = 0; i < LANE_BATCH; i++)
        udp_batch_receive(&l->rx, (unsigned int)i, bufs[i], sizeof(bufs[i]));
    n = recvmmsg(l->dp->logins[socket], l->rx.msgs, LANE_BATCH, MSG_DONTWAIT, NULL);
    for (i = 0; i < n; i++) {
        struct path from;

        if (udp_batch_from(&l->rx, (unsigned int)i, &from) < 0)
            continue;
        /* Answers, and later the session's packets, go out by the lane's socket of this address. */
        from.socket = socket;
        if (sort_datagram(l, bufs[i], l->rx.msgs[i].msg_len, &from))
            lane_drop(l, DP_DROP_UNEXPECTED);
    }
    return n > 0 ? (unsigned int)n : 0;
}

void lane_take_datagram(struct lane *l, const struct lane_request *req)
{
    int slot = lane_slot_take(l);

    if (slot < 0) {
        lane_drop(l, DP_DROP_QUEUE_FULL);
        return;
    }
    memcpy((uint8_t *)lane_slot(l, (unsigned int)slot) + LANE_CELL_AT(0), req->data, req->length);
    put_datagram(l, (unsigned int)slot, 0, LANE_CELL_AT(0), req->length, &req->from);
    lane_submit(l, (unsigned int)slot, RING_OPEN, 1);
}

/* ---- ring → TUN ------------------------------------------------------------------------------ */

/*
 * The server's users do not see each other unless the operator says so.  The check stands here,
 * before the kernel could route the packet back into the tunnel.
 */
static bool is_isolated(struct lane *l, const struct inner *in)
{
    return l->dp->role == DP_SERVER &&
           !atomic_load_explicit(&l->dp->client_to_client, memory_order_relaxed) &&
           lookup_find(l->dp->lookup, &in->dst) != 0;
}

static void deliver(struct lane *l, struct dp_peer *peer, uint8_t *packet, size_t len)
{
    uint32_t port = atomic_load_explicit(&peer->port, memory_order_relaxed);
    uint8_t *frame = packet - LANE_VNET_LEN;
    struct inner in;

    /* The enclave has checked all this; the headers are parsed for the next two decisions. */
    if (port >= l->dp->n_ports || inner_parse(packet, len, &in) < 0) {
        lane_drop(l, DP_DROP_BAD_PACKET);
        return;
    }
    if (is_isolated(l, &in)) {
        lane_drop(l, DP_DROP_ISOLATED);
        return;
    }
    inner_clamp_mss(packet, &in,
                    (uint16_t)atomic_load_explicit(&peer->limit, memory_order_relaxed));
    /* An all-zero virtio_net_hdr: one plain packet, checksum complete. */
    memset(frame, 0, LANE_VNET_LEN);
    if (write(l->dp->ports[port].queue[l->number], frame, LANE_VNET_LEN + len) < 0) {
        lane_drop(l, DP_DROP_TUN_WRITE);
        return;
    }
    atomic_fetch_add_explicit(&peer->rx_packets, 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&peer->rx_bytes, len, memory_order_relaxed);
    atomic_store_explicit(&peer->last_rx_data_ms, l->now.mono_ms, memory_order_relaxed);
    lane_count(&l->stats.rx_packets, 1);
    lane_count(&l->stats.rx_bytes, len);
}

/* The path is another one: ask who is there.  The id must be beyond guessing, also for the peer. */
static void challenge_path(struct lane *l, uint32_t handle, struct dp_peer *peer)
{
    uint8_t ping[WIRE_PAD] = {0};
    uint64_t id;

    if (getrandom(&id, sizeof(id), GRND_NONBLOCK) != sizeof(id) || id == 0)
        return; /* the path stays limited until it moves again */
    peer_challenge(peer, id);
    be64_put(ping, id);
    lane_seal_small(l, handle, WIRE_PING, ping, sizeof(ping));
}

/* Something authentic came from @from: the peer lives, and may have moved. */
static void peer_heard(struct lane *l, const struct ring_packet *p, struct dp_peer *peer,
                       const struct path *from)
{
    enum peer_follow follow = PEER_FOLLOW_SAME;

    atomic_store_explicit(&peer->last_rx_ms, l->now.mono_ms, memory_order_relaxed);
    atomic_store_explicit(&peer->unanswered_since_ms, 0, memory_order_relaxed);
    if (p->flags & RING_FLAG_NEWEST)
        follow = peer_follow(peer, from);
    peer_earn(peer, from, WIRE_OVERHEAD + (size_t)p->length);
    if (follow == PEER_FOLLOW_NEW)
        challenge_path(l, p->peer, peer);
    /* A user who forges addresses could make one event per packet: only the client needs them. */
    if (follow != PEER_FOLLOW_SAME && l->dp->role == DP_CLIENT)
        lane_peer_event(l, DP_EVENT_MOVED, p->peer, from, NULL, 0);
}

static void take_pong(struct lane *l, uint32_t handle, struct dp_peer *peer,
                      const struct path *from, const uint8_t *text)
{
    uint64_t id = be64_get(text);

    if (peer_prove(peer, id, from))
        lane_peer_event(l, DP_EVENT_PROVEN, handle, from, NULL, 0);
    else if (peer_answered(peer, id))
        lane_peer_event(l, DP_EVENT_PONG, handle, from, text, 16);
}

/* The main thread answers no more than this in a second; the rest need not wake it. */
static bool unknown_budget(struct lane *l)
{
    uint64_t second = l->now.mono_ms / 1000;

    if (l->unknown_second != second) {
        l->unknown_second = second;
        l->unknown_told = 0;
    }
    return l->unknown_told++ < LANE_UNKNOWN_MAX;
}

/* The owning lane alone comes here for a peer, so a load and a store are enough. */
static bool control_allowed(struct lane *l, struct dp_peer *peer)
{
    uint64_t second = l->now.mono_ms / 1000 << 32;
    uint64_t used = atomic_load_explicit(&peer->control_second, memory_order_relaxed);

    if (used < second || used - second > UINT32_MAX)
        used = second;
    if (used - second >= DP_CONTROL_PER_SECOND)
        return false;
    atomic_store_explicit(&peer->control_second, used + 1, memory_order_relaxed);
    return true;
}

/*
 * For the main thread, not for the host; no traffic, so a session that only asks for routes still
 * times out.  Bounded, or one authentic peer could fill the queue that logins need.
 */
static void take_control(struct lane *l, struct dp_peer *peer, uint32_t handle,
                         const struct path *from, const uint8_t *record, size_t len)
{
    if (control_allowed(l, peer))
        lane_peer_event(l, DP_EVENT_CONTROL, handle, from, record, len);
    else
        lane_drop(l, DP_DROP_CONTROL);
}

static void opened_packet(struct lane *l, const struct ring_packet *p, uint8_t *slot,
                          const struct path *from)
{
    struct dp_peer *peer = peers_get(&l->dp->peers, p->peer);
    uint8_t *text = slot + p->offset + WIRE_OVERHEAD;

    if (p->flags & RING_FLAG_PROMOTED)
        lane_peer_event(l, DP_EVENT_PROMOTED, p->peer, from, NULL, 0);
    if (p->status != RING_STATUS_OK) {
        lane_count(&l->stats.statuses[p->status < RING_STATUS_NUM ? p->status : 1], 1);
        if (p->status == RING_STATUS_UNKNOWN_INDEX && l->dp->role == DP_SERVER && unknown_budget(l))
            lane_peer_event(l, DP_EVENT_UNKNOWN, 0, from, slot + p->offset, WIRE_TRANSPORT_MIN);
        return;
    }
    if (!peer)
        return; /* removed while this was under way */
    peer_heard(l, p, peer, from);

    switch ((enum wire_type)p->type) {
    case WIRE_DATA:
        if (control_is(text, p->length))
            take_control(l, peer, p->peer, from, text, p->length);
        else
            deliver(l, peer, text, p->length);
        break;
    case WIRE_PING: {
        /* PONG: the PING's id and its timestamp, which stands in the header in clear. */
        uint8_t pong[16];

        memcpy(pong, text, 8);
        memcpy(pong + 8, slot + p->offset + 8, 8);
        lane_seal_small(l, p->peer, WIRE_PONG, pong, sizeof(pong));
        break;
    }
    case WIRE_PONG:
        take_pong(l, p->peer, peer, from, text);
        break;
    case WIRE_DISCONNECT:
        /* One that was held back, under an older session, must not end the newer one. */
        if (p->flags & RING_FLAG_NEWEST)
            lane_peer_event(l, DP_EVENT_DISCONNECT, p->peer, from, text, 1);
        break;
    case WIRE_CONNECT_REQ:
    case WIRE_CONNECT_RESP:
        break;
    }
}

void lane_opened(struct lane *l, unsigned int slot, unsigned int count)
{
    struct ring_slot *s = lane_slot(l, slot);
    unsigned int i;

    for (i = 0; i < count && i < LANE_BATCH; i++) {
        struct ring_packet p = s->packets[i];

        /* Up to a whole shortest message is read below, whatever the length says. */
        if (p.offset < RING_TABLE_SIZE || p.offset > RING_SLOT_SIZE - WIRE_TRANSPORT_MIN ||
            p.offset + WIRE_OVERHEAD + (size_t)p.length > RING_SLOT_SIZE) {
            l->broken = true;
            return;
        }
        opened_packet(l, &p, (uint8_t *)s, &l->slots[slot].from[i]);
    }
}

/* Out of the tunnel: datagrams from UDP, sorted, to the worker. */
#include <string.h>
#include <sys/socket.h>

#include "daemon/datapath/lane.h"

/* The table's next entry: a datagram at @offset, from the path noted last. */
static void put_datagram(struct lane *l, unsigned int slot, unsigned int entry, size_t offset,
                         size_t len)
{
    struct lane_slot *notes = &l->slots[slot];

    lane_slot(l, slot)->packets[entry] =
        (struct ring_packet){.offset = (uint32_t)offset, .length = (uint16_t)len};
    notes->source[entry] = (uint8_t)(notes->n_from - 1);
}

static void note_source(struct lane *l, unsigned int slot, const struct path *from)
{
    struct lane_slot *notes = &l->slots[slot];

    notes->from[notes->n_from++] = *from;
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

/* Return: false for a message that cannot be used. */
static bool read_source(struct lane *l, uint32_t socket, unsigned int i, struct path *from,
                        size_t *stride)
{
    if (l->rx.msgs[i].msg_hdr.msg_flags & MSG_TRUNC) {
        lane_drop(l, DP_DROP_TOO_LONG);
        return false;
    }
    if (udp_batch_from(&l->rx, i, from, stride) < 0)
        return false;
    from->socket = socket;
    /*
     * The client lets routing choose its source, so that it may roam.  What was called stays beside
     * that: from another address of ours the path is another one.
     */
    if (l->dp->role == DP_CLIENT)
        from->local.family = 0;
    return true;
}

/* Up to a batch of datagrams, each read into a cell of one slot. */
static unsigned int receive_singly(struct lane *l, uint32_t socket)
{
    int slot = lane_slot_traffic(l);
    unsigned int entries = 0;
    uint8_t *base;
    int i, n;

    if (slot < 0)
        return 0;
    base = (uint8_t *)lane_slot(l, (unsigned int)slot);
    l->slots[slot].n_from = 0;
    for (i = 0; i < LANE_BATCH; i++)
        udp_batch_receive(&l->rx, (unsigned int)i, base + LANE_CELL_AT(i), WIRE_DATAGRAM_MAX);
    n = recvmmsg(l->dp->sockets[l->number][socket], l->rx.msgs, LANE_BATCH, MSG_DONTWAIT, NULL);
    for (i = 0; i < n; i++) {
        size_t len = l->rx.msgs[i].msg_len, stride;
        struct path from;

        if (!read_source(l, socket, (unsigned int)i, &from, &stride) ||
            !sort_datagram(l, base + LANE_CELL_AT(i), len, &from))
            continue;
        note_source(l, (unsigned int)slot, &from);
        put_datagram(l, (unsigned int)slot, entries++, LANE_CELL_AT(i), len);
    }
    lane_submit(l, (unsigned int)slot, RING_OPEN, entries);
    return n > 0 ? (unsigned int)n : 0;
}

/* The datagrams of a message that stands where @fill has room for it. */
static void put_train(struct lane *l, struct lane_fill *fill, size_t len, size_t stride,
                      const struct path *from)
{
    const unsigned int slot = (unsigned int)fill->slot;
    uint8_t *base = (uint8_t *)lane_slot(l, slot);
    const size_t end = fill->at + len;
    size_t at, size;

    if (fill->entries == 0)
        l->slots[slot].n_from = 0;
    note_source(l, slot, from);
    for (at = fill->at; at < end; at += size) {
        size = end - at < stride ? end - at : stride;
        if (size > WIRE_DATAGRAM_MAX)
            lane_drop(l, DP_DROP_TOO_LONG);
        else if (fill->entries == RING_PACKETS)
            lane_drop(l, DP_DROP_QUEUE_FULL);
        else if (sort_datagram(l, base + at, size, from))
            put_datagram(l, slot, fill->entries++, at, size);
    }
    fill->at = end;
}

/* Does the message join what @fill has, or does its own slot become the next to be filled? */
static bool moves(const struct lane_fill *fill, size_t len, size_t stride)
{
    return fill->slot >= 0 && len <= LANE_SHORT && len <= RING_SLOT_SIZE - fill->at &&
           fill->entries + (len + stride - 1) / stride <= RING_PACKETS;
}

static unsigned int receive_trains(struct lane *l, uint32_t socket)
{
    struct lane_fill fill = {.slot = -1};
    int slots[LANE_TRAINS], n, i, given;

    for (given = 0; given < LANE_TRAINS && (slots[given] = lane_slot_traffic(l)) >= 0; given++)
        udp_batch_receive(&l->rx, (unsigned int)given,
                          lane_slot(l, (unsigned int)slots[given])->data, LANE_TRAIN_MAX);
    n = given ? recvmmsg(l->dp->sockets[l->number][socket], l->rx.msgs, (unsigned int)given,
                         MSG_DONTWAIT, NULL)
              : 0;
    for (i = 0; i < n && i < given; i++) {
        const size_t len = l->rx.msgs[i].msg_len;
        struct path from;
        size_t stride;

        if (len == 0 || !read_source(l, socket, (unsigned int)i, &from, &stride))
            continue;
        if (moves(&fill, len, stride)) {
            memcpy((uint8_t *)lane_slot(l, (unsigned int)fill.slot) + fill.at,
                   lane_slot(l, (unsigned int)slots[i])->data, len);
        } else {
            lane_fill_submit(l, &fill, RING_OPEN);
            fill = (struct lane_fill){.slot = slots[i], .at = RING_TABLE_SIZE};
            slots[i] = -1;
        }
        put_train(l, &fill, len, stride, &from);
    }
    lane_fill_submit(l, &fill, RING_OPEN);
    for (i = given; i > 0; i--)
        if (slots[i - 1] >= 0)
            lane_slot_give(l, (unsigned int)slots[i - 1]);
    return n > 0 ? (unsigned int)n : 0;
}

unsigned int lane_receive(struct lane *l, uint32_t socket)
{
    if (atomic_load_explicit(&l->dp->offloads_used, memory_order_relaxed) &
        OFFLOAD_BIT(OFFLOAD_UDP_GRO))
        return receive_trains(l, socket);
    return receive_singly(l, socket);
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
        size_t stride;

        if (udp_batch_from(&l->rx, (unsigned int)i, &from, &stride) < 0)
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
    l->slots[slot].n_from = 0;
    note_source(l, (unsigned int)slot, &req->from);
    put_datagram(l, (unsigned int)slot, 0, LANE_CELL_AT(0), req->length);
    lane_submit(l, (unsigned int)slot, RING_OPEN, 1);
}

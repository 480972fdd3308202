/* Into the tunnel: packets from the TUN device, cut where they are too large, to the worker. */
#include <string.h>
#include <unistd.h>

#include "common/inner.h"
#include "daemon/datapath/lane.h"

/* Frames read before the lane looks at its other sources. */
#define FRAMES_MAX 64
/* A slot with so many packets goes to the worker at once: sealing and reading run side by side. */
#define ENOUGH     32
/* Packets begin at cache lines. */
#define ALIGN      63

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
    uint8_t frame[GSO_HEADER_LEN + ICMP_ANSWER_MAX] = {0};
    size_t len;

    lane_drop(l, DP_DROP_TOO_BIG);
    len = icmp_too_big(packet, in, limit, frame + GSO_HEADER_LEN);
    if (len == 0 || !icmp_limit_allows(&l->icmp, &in->src, l->now.mono_ms))
        return;
    if (write(port->queue[l->number], frame, GSO_HEADER_LEN + len) < 0)
        lane_drop(l, DP_DROP_TUN_WRITE);
}

/* Whoever sent a super-packet is answered about its first piece. */
static void refuse_piece(struct lane *l, struct dp_port *port, struct gso_split *split,
                         uint16_t limit)
{
    uint8_t piece[WIRE_MTU_MAX];
    size_t size = gso_split_size(split);
    struct inner in;

    gso_split_next(split, piece);
    if (inner_parse(piece, size, &in) == 0)
        say_too_big(l, port, piece, &in, limit);
}

/* Return: true when the frame's pieces go to l->frame.peer. */
static bool take_frame(struct lane *l, struct dp_port *port, size_t len)
{
    struct gso_split *split = &l->frame.split;
    uint8_t *packet = l->frame.bytes + GSO_HEADER_LEN;
    struct dp_peer *peer;
    struct inner in;
    uint32_t mtu, limit;
    size_t size;
    bool may_cut;

    if (gso_split_begin(split, l->frame.bytes, len) < 0 ||
        inner_parse(packet, len - GSO_HEADER_LEN, &in) < 0) {
        lane_drop(l, DP_DROP_BAD_PACKET);
        return false;
    }
    gso_split_trim(split, in.total);
    l->frame.peer = find_peer(l, port, &in);
    peer = peers_get(&l->dp->peers, l->frame.peer);
    if (!peer) {
        lane_drop(l, DP_DROP_NO_PEER);
        return false;
    }
    size = gso_split_size(split);
    mtu = atomic_load_explicit(&peer->mtu, memory_order_relaxed);
    limit = atomic_load_explicit(&peer->limit, memory_order_relaxed);
    limit = limit < mtu ? limit : mtu;
    may_cut = icmp_may_fragment(packet);
    if (size > WIRE_MTU_MAX || (size > mtu && may_cut)) {
        lane_drop(l, DP_DROP_BAD_PACKET);
        return false;
    }
    /* Who lets the network cut his packets gets them cut: outside, after sealing. */
    if (size > limit && !may_cut) {
        refuse_piece(l, port, split, (uint16_t)limit);
        return false;
    }
    inner_clamp_mss(packet, &in, (uint16_t)limit);
    return true;
}

static void fill_put(struct lane *l, struct lane_fill *fill, size_t len, uint8_t type,
                     uint32_t peer)
{
    struct ring_slot *slot = lane_slot(l, (unsigned int)fill->slot);

    slot->packets[fill->entries++] = (struct ring_packet){
        .offset = (uint32_t)fill->at, .length = (uint16_t)len, .type = type, .peer = peer};
    fill->at += (WIRE_OVERHEAD + wire_padded(len) + WIRE_PAD + ALIGN) & ~(size_t)ALIGN;
    if (fill->at > RING_SLOT_SIZE)
        fill->at = RING_SLOT_SIZE;
}

/* Room for a plaintext, and what sealing makes of it. */
static uint8_t *fill_room(struct lane *l, struct lane_fill *fill, size_t len)
{
    return lane_fill_room(l, fill, RING_SEAL, WIRE_OVERHEAD + wire_padded(len) + WIRE_PAD);
}

/* Return: true when all pieces of the frame have found a slot. */
static bool put_pieces(struct lane *l, struct lane_fill *fill)
{
    struct gso_split *split = &l->frame.split;

    while (gso_split_more(split)) {
        const size_t size = gso_split_size(split);
        uint8_t *room = fill_room(l, fill, size);

        if (!room)
            return false;
        gso_split_next(split, room + WIRE_OVERHEAD);
        fill_put(l, fill, size, WIRE_DATA, l->frame.peer);
    }
    return true;
}

bool lane_read_on(struct lane *l)
{
    struct lane_fill fill = {.slot = -1};
    bool all = put_pieces(l, &fill);

    lane_fill_submit(l, &fill, RING_SEAL);
    return all;
}

unsigned int lane_read_tun(struct lane *l, uint32_t port_number)
{
    struct dp_port *port = &l->dp->ports[port_number];
    struct lane_fill fill = {.slot = -1};
    bool room = true;
    unsigned int n;

    /* Nothing is read that could not be put anywhere: the device's queue is the better place. */
    for (n = 0; n < FRAMES_MAX && room && fill_room(l, &fill, WIRE_MTU_MAX); n++) {
        ssize_t len = read(port->queue[l->number], l->frame.bytes, sizeof(l->frame.bytes));

        if (len < 0)
            break;
        if (take_frame(l, port, (size_t)len))
            room = put_pieces(l, &fill);
        else
            l->frame.split = (struct gso_split){0};
        if (fill.slot >= 0 && fill.entries >= ENOUGH && l->under_way == 0)
            lane_fill_submit(l, &fill, RING_SEAL);
    }
    lane_fill_submit(l, &fill, RING_SEAL);
    return n;
}

void lane_seal_small(struct lane *l, uint32_t peer, uint8_t type, const void *data, size_t len)
{
    uint8_t *room = len <= WIRE_MTU_MAX ? fill_room(l, &l->small, len) : NULL;

    if (!room) {
        lane_drop(l, DP_DROP_QUEUE_FULL);
        return;
    }
    memcpy(room + WIRE_OVERHEAD, data, len);
    fill_put(l, &l->small, len, type, peer);
}

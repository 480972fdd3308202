/*
 * Out of the tunnel: what the worker opened, to the TUN device.
 *
 * Order is a security property: a packet gets here only after the enclave has authenticated it and
 * checked its inner source; then the endpoint moves, then it is merged with its neighbours, then it
 * is written.  What concerns a peer and not a packet (who was heard, from where, how much) is
 * settled once for a *stretch* of the batch: packets that follow each other, from one peer over one
 * path.
 */
#include <errno.h>
#include <string.h>
#include <sys/random.h>
#include <sys/uio.h>
#include <unistd.h>

#include "common/control.h"
#include "common/inner.h"
#include "daemon/datapath/lane.h"

/* Packets that follow each other, from one peer over one path; what they add up to. */
struct stretch {
    struct dp_peer *peer;
    const struct path *from;
    uint32_t handle;
    uint32_t port, merge, limit; /* the peer's, loaded once */
    uint32_t heard;              /* bytes of datagrams since it was settled last */
    uint32_t data_packets, data_bytes;
    bool newest;
    bool checked; /* the answer below is for @dst */
    bool isolated;
    struct ip_addr dst;
};

/* ---- packets --------------------------------------------------------------------------------- */

/*
 * The server's users do not see each other unless the operator says so.  The check stands here,
 * before the kernel could route the packet back into the tunnel.
 */
static bool is_isolated(struct lane *l, struct stretch *st, const struct inner *in)
{
    if (l->dp->role != DP_SERVER ||
        atomic_load_explicit(&l->dp->client_to_client, memory_order_relaxed))
        return false;
    if (!st->checked || !ip_addr_equal(&st->dst, &in->dst)) {
        st->isolated = lookup_find(l->dp->lookup, &in->dst) != 0;
        st->dst = in->dst;
        st->checked = true;
    }
    return st->isolated;
}

static void deliver(struct lane *l, struct stretch *st, uint8_t *packet, size_t len)
{
    struct inner in;

    /* The enclave has checked all this; the headers are parsed for the next two decisions. */
    if (st->port >= l->dp->n_ports || inner_parse(packet, len, &in) < 0) {
        lane_drop(l, DP_DROP_BAD_PACKET);
        return;
    }
    if (is_isolated(l, st, &in)) {
        lane_drop(l, DP_DROP_ISOLATED);
        return;
    }
    inner_clamp_mss(packet, &in, (uint16_t)st->limit);
    coalesce_add(&l->merge, packet, in.total, (uint16_t)st->port, st->merge);
    st->data_packets++;
    st->data_bytes += in.total;
}

static void write_merged(struct lane *l)
{
    struct iovec iov[COALESCE_PACKETS];
    unsigned int i;

    for (i = 0; i < l->merge.n_groups; i++) {
        const struct coalesce_group *g = &l->merge.groups[i];
        unsigned int n = coalesce_frame(&l->merge, i, iov);

        if (writev(l->dp->ports[g->target].queue[l->number], iov, (int)n) < 0)
            lane_count(&l->stats.drops[DP_DROP_TUN_WRITE], g->count);
    }
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

/* Something authentic came: the peer lives, and may have moved. */
static void settle_heard(struct lane *l, struct stretch *st)
{
    enum peer_follow follow = PEER_FOLLOW_SAME;

    if (st->heard == 0)
        return;
    atomic_store_explicit(&st->peer->last_rx_ms, l->now.mono_ms, memory_order_relaxed);
    atomic_store_explicit(&st->peer->unanswered_since_ms, 0, memory_order_relaxed);
    if (st->newest)
        follow = peer_follow(st->peer, st->from);
    peer_earn(st->peer, st->from, st->heard);
    st->heard = 0;
    st->newest = false;
    if (follow == PEER_FOLLOW_NEW)
        challenge_path(l, st->handle, st->peer);
    /* A user who forges addresses could make one event per packet: only the client needs them. */
    if (follow != PEER_FOLLOW_SAME && l->dp->role == DP_CLIENT)
        lane_peer_event(l, DP_EVENT_MOVED, st->handle, st->from, NULL, 0);
}

/* Only the owning lane opens a peer's packets, so it alone writes these counters. */
static void settle(struct lane *l, struct stretch *st)
{
    settle_heard(l, st);
    if (st->data_packets == 0)
        return;
    lane_count(&st->peer->rx_packets, st->data_packets);
    lane_count(&st->peer->rx_bytes, st->data_bytes);
    atomic_store_explicit(&st->peer->last_rx_data_ms, l->now.mono_ms, memory_order_relaxed);
    lane_count(&l->stats.rx_packets, st->data_packets);
    lane_count(&l->stats.rx_bytes, st->data_bytes);
    st->data_packets = st->data_bytes = 0;
}

/* Return: false when the peer was removed while this was under way. */
static bool stretch_begin(struct lane *l, struct stretch *st, uint32_t handle,
                          const struct path *from)
{
    struct dp_peer *peer;

    settle(l, st);
    peer = peers_get(&l->dp->peers, handle);
    *st = (struct stretch){.peer = peer, .from = from, .handle = handle};
    if (!peer)
        return false;
    st->port = atomic_load_explicit(&peer->port, memory_order_relaxed);
    st->limit = atomic_load_explicit(&peer->limit, memory_order_relaxed);
    if (st->port < l->dp->n_ports)
        st->merge = atomic_load_explicit(&l->dp->ports[st->port].merge, memory_order_relaxed);
    return true;
}

/* ---- other messages -------------------------------------------------------------------------- */

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

static void refused_packet(struct lane *l, const struct ring_packet *p, const uint8_t *datagram,
                           const struct path *from)
{
    lane_count(&l->stats.statuses[p->status < RING_STATUS_NUM ? p->status : 1], 1);
    if (p->status != RING_STATUS_UNKNOWN_INDEX || l->dp->role != DP_SERVER)
        return;
    if (unknown_budget(l))
        lane_peer_event(l, DP_EVENT_UNKNOWN, 0, from, datagram, WIRE_TRANSPORT_MIN);
    else
        lane_drop(l, DP_DROP_UNTOLD);
}

/* Anything but DATA is rare: it is settled at once who was heard from where. */
static void opened_message(struct lane *l, struct stretch *st, const struct ring_packet *p,
                           const uint8_t *datagram)
{
    const uint8_t *text = datagram + WIRE_OVERHEAD;
    uint8_t pong[16];

    settle_heard(l, st);
    switch ((enum wire_type)p->type) {
    case WIRE_DATA:
        take_control(l, st->peer, st->handle, st->from, text, p->length);
        break;
    case WIRE_PING:
        /* PONG: the PING's id and its timestamp, which stands in the header in clear. */
        memcpy(pong, text, 8);
        memcpy(pong + 8, datagram + 8, 8);
        lane_seal_small(l, st->handle, WIRE_PONG, pong, sizeof(pong));
        break;
    case WIRE_PONG:
        take_pong(l, st->handle, st->peer, st->from, text);
        break;
    case WIRE_DISCONNECT:
        /* One that was held back, under an older session, must not end the newer one. */
        if (p->flags & RING_FLAG_NEWEST)
            lane_peer_event(l, DP_EVENT_DISCONNECT, st->handle, st->from, text, 1);
        break;
    case WIRE_CONNECT_REQ:
    case WIRE_CONNECT_RESP:
        break;
    }
}

static void opened_packet(struct lane *l, struct stretch *st, const struct ring_packet *p,
                          uint8_t *datagram, const struct path *from)
{
    uint8_t *text = datagram + WIRE_OVERHEAD;

    if (p->flags & RING_FLAG_PROMOTED)
        lane_peer_event(l, DP_EVENT_PROMOTED, p->peer, from, NULL, 0);
    if (p->status != RING_STATUS_OK) {
        refused_packet(l, p, datagram, from);
        return;
    }
    if ((st->handle != p->peer || st->from != from) && !stretch_begin(l, st, p->peer, from))
        return;
    if (!st->peer)
        return;
    st->heard += (uint32_t)WIRE_OVERHEAD + p->length;
    st->newest |= (p->flags & RING_FLAG_NEWEST) != 0;
    if (p->type == WIRE_DATA && !control_is(text, p->length))
        deliver(l, st, text, p->length);
    else
        opened_message(l, st, p, datagram);
}

void lane_opened(struct lane *l, unsigned int slot, unsigned int count)
{
    const struct lane_slot *notes = &l->slots[slot];
    struct ring_slot *s = lane_slot(l, slot);
    struct stretch st = {0};
    unsigned int i;

    coalesce_begin(&l->merge);
    for (i = 0; i < count; i++) {
        struct ring_packet p = s->packets[i];

        /* Up to a whole shortest message is read below, whatever the length says. */
        if (p.offset < RING_TABLE_SIZE || p.offset > RING_SLOT_SIZE - WIRE_TRANSPORT_MIN ||
            p.offset + WIRE_OVERHEAD + (size_t)p.length > RING_SLOT_SIZE) {
            l->broken = true;
            return;
        }
        opened_packet(l, &st, &p, (uint8_t *)s + p.offset, &notes->from[notes->source[i]]);
    }
    settle(l, &st);
    write_merged(l);
}

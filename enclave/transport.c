/*
 * Transport messages (types 3 to 6).
 *
 * Theory of operation
 * -------------------
 * Order is a security property.  Receiving: index → age and packet limits → window pre-check →
 * AEAD → window commit → freshness → header sequence equals counter → inner checks; only then may
 * the caller move the endpoint or write to the TUN device.  What fails before the AEAD costs almost
 * nothing, and nothing of a session changes before its peer has proved itself.
 *
 * Freshness without trusted clocks: arrival − timestamp is the path's delay plus the unknown,
 * constant difference of the two clocks.  Its smallest value so far is the session's floor, seeded
 * by the handshake and never raised: a packet that arrives more than 5 s above it was held back.
 * One more than 5 s below it claims to come from the future; believing it would lower the floor and
 * make every later packet look old.  The arithmetic wraps.
 */
#include "enclave/transport.h"

#include <sodium.h>
#include <string.h>

#include "common/control.h"
#include "common/inner.h"
#include "common/wire.h"

#define FRESH_MS 5000

static void nonce_put(uint8_t nonce[WIRE_NONCE_LEN], uint32_t index, uint64_t counter)
{
    be32_put(nonce, index);
    be64_put(nonce + 4, counter);
}

static bool session_over(const struct session *s, const struct clock *now)
{
    /* Signed: a session may be made after the batch's clock was read. */
    return (int64_t)(now->mono_ms - s->created_ms) >= KEYSTORE_SESSION_LIFE_MS;
}

static bool all_zero(const uint8_t *p, size_t n)
{
    return sodium_is_zero(p, n) == 1;
}

/* Authentic by now: the floor may follow. */
static bool fresh(struct session *s, const struct clock *now, uint64_t timestamp_ms)
{
    int64_t late = (int64_t)(now->stamp_ms - timestamp_ms - (uint64_t)s->floor_ms);

    if (late > FRESH_MS || late < -FRESH_MS)
        return false;
    if (late < 0)
        s->floor_ms = (int64_t)((uint64_t)s->floor_ms + (uint64_t)late);
    return true;
}

/*
 * May this packet come from this peer?  The server lets a client speak for its own addresses and
 * the networks behind it; the client takes only what is for itself or the networks behind it, from
 * accepted routes.
 */
static enum ring_status check_addresses(struct transport *t, const struct session *s,
                                        const struct inner *in)
{
    const struct ip_addr *own = in->src.family == 4 ? &s->ip4 : &s->ip6;

    if (!ip_addr_is_unicast(&in->src) || !ip_addr_is_unicast(&in->dst))
        return RING_STATUS_SPOOFED;
    if (t->role == TRANSPORT_RESPONDER) {
        if (ip_addr_equal(&in->src, own) || keystore_allowed(t->ks, s, IPC_ALLOW_SOURCE, &in->src))
            return RING_STATUS_OK;
    } else {
        if ((ip_addr_equal(&in->dst, own) ||
             keystore_allowed(t->ks, s, IPC_ALLOW_DESTINATION, &in->dst)) &&
            keystore_allowed(t->ks, s, IPC_ALLOW_SOURCE, &in->src))
            return RING_STATUS_OK;
    }
    return RING_STATUS_SPOOFED;
}

/* Each end takes only what it can be asked or answered, and of that only what is exact. */
static enum ring_status check_control(const struct transport *t, const uint8_t *plain, size_t len)
{
    uint8_t page;
    int rc = t->role == TRANSPORT_RESPONDER ? control_request_parse(plain, len, &page)
                                            : control_answer_parse(plain, len, NULL);

    return rc < 0 ? RING_STATUS_BAD_INNER : RING_STATUS_OK;
}

static enum ring_status check_data(struct transport *t, const struct session *s,
                                   const uint8_t *plain, size_t len, uint16_t *length)
{
    struct inner in;
    size_t padding;

    if (control_is(plain, len))
        return check_control(t, plain, len);
    if (inner_parse(plain, len, &in) < 0)
        return RING_STATUS_BAD_INNER;
    padding = len - in.total;
    if (padding >= WIRE_PAD || !all_zero(plain + in.total, padding))
        return RING_STATUS_BAD_INNER;
    *length = in.total;
    return check_addresses(t, s, &in);
}

static enum ring_status check_inner(struct transport *t, const struct session *s, uint8_t type,
                                    const uint8_t *plain, size_t len, uint16_t *length)
{
    *length = (uint16_t)len;
    switch ((enum wire_type)type) {
    case WIRE_DATA:
        return check_data(t, s, plain, len, length);
    case WIRE_PING:
        return len % WIRE_PAD == 0 && all_zero(plain + 10, len - 10) ? RING_STATUS_OK
                                                                     : RING_STATUS_BAD_INNER;
    case WIRE_PONG:
        return len == 16 ? RING_STATUS_OK : RING_STATUS_BAD_INNER;
    case WIRE_DISCONNECT:
        return len == 16 && all_zero(plain + 1, 15) ? RING_STATUS_OK : RING_STATUS_BAD_INNER;
    case WIRE_CONNECT_REQ:
    case WIRE_CONNECT_RESP:
        break;
    }
    return RING_STATUS_MALFORMED;
}

enum ring_status transport_open(struct transport *t, const struct clock *now,
                                const uint8_t *datagram, size_t len, uint8_t *plain,
                                struct transport_opened *out)
{
    const uint8_t *nonce = datagram + WIRE_HEADER_LEN;
    size_t text_len;
    struct session *s;
    uint64_t counter;
    uint32_t index;
    enum ring_status status;

    /* The caller has classified it; it is not believed. */
    if (wire_classify(datagram, len) != WIRE_KIND_TRANSPORT)
        return RING_STATUS_MALFORMED;
    text_len = len - WIRE_OVERHEAD;
    index = wire_transport_index(datagram);
    counter = wire_transport_counter(datagram);
    if (index % keystore_lanes(t->ks) != t->lane)
        return RING_STATUS_WRONG_LANE;
    s = keystore_lookup(t->ks, index);
    if (!s)
        return RING_STATUS_UNKNOWN_INDEX;
    out->peer = keystore_session_peer(t->ks, s);
    if (out->peer == 0)
        return RING_STATUS_UNKNOWN_INDEX;

    if (session_over(s, now) || counter >= WIRE_COUNTER_LIMIT)
        return RING_STATUS_EXPIRED;
    if (!replay_check(&s->window, counter))
        return RING_STATUS_REPLAY;
    if (aead_open(t->aead, s->keys.recv, nonce, datagram, WIRE_HEADER_LEN, datagram + WIRE_OVERHEAD,
                  text_len, nonce + WIRE_NONCE_LEN, plain) < 0)
        return RING_STATUS_FORGED;
    out->flags = !s->window.any || counter > s->window.last ? RING_FLAG_NEWEST : 0;
    if (!replay_commit(&s->window, counter))
        return RING_STATUS_REPLAY;
    if (!fresh(s, now, be64_get(datagram + 8)))
        return RING_STATUS_NOT_FRESH;
    if (be32_get(datagram + 4) != (uint32_t)counter)
        return RING_STATUS_BAD_SEQUENCE;
    if (keystore_promote(t->ks, s))
        out->flags |= RING_FLAG_PROMOTED;
    /* A late packet of the previous session says nothing about where the peer is now. */
    if (!keystore_is_current(t->ks, s))
        out->flags &= ~(uint32_t)RING_FLAG_NEWEST;

    out->type = datagram[0];
    status = check_inner(t, s, out->type, plain, text_len, &out->length);
    return status;
}

enum ring_status transport_seal(struct transport *t, const struct clock *now, uint32_t peer,
                                uint8_t type, uint8_t *datagram, size_t *len)
{
    uint8_t *nonce = datagram + WIRE_HEADER_LEN;
    uint8_t *text = datagram + WIRE_OVERHEAD;
    size_t padded = wire_padded(*len);
    struct session *s;
    uint64_t counter;

    if (type < WIRE_DATA || type > WIRE_DISCONNECT || *len == 0 || *len > WIRE_MTU_MAX)
        return RING_STATUS_MALFORMED;
    s = keystore_current(t->ks, peer);
    if (!s)
        return RING_STATUS_NO_SESSION;
    if (session_over(s, now))
        return RING_STATUS_EXPIRED;
    /* Padding hides the exact length but never makes a packet larger than the path carries. */
    if (padded > s->mtu)
        padded = *len > s->mtu ? *len : s->mtu;
    if (padded < WIRE_PAD)
        padded = WIRE_PAD;

    /*
     * Any worker seals, so the counter is shared.  Looking before adding keeps it from running
     * away: at most one overshoot per worker, and 2^16 counters lie between the limit and the wrap.
     */
    if (atomic_load_explicit(&s->send_counter, memory_order_relaxed) >= WIRE_COUNTER_LIMIT)
        return RING_STATUS_EXPIRED;
    counter = atomic_fetch_add_explicit(&s->send_counter, 1, memory_order_relaxed);
    if (counter >= WIRE_COUNTER_LIMIT)
        return RING_STATUS_EXPIRED;

    memset(text + *len, 0, padded - *len);
    *len = WIRE_OVERHEAD + padded;
    wire_header_put(datagram, (enum wire_type)type, *len, (uint32_t)counter, now->stamp_ms);
    nonce_put(nonce, s->remote_index, counter);
    if (aead_seal(t->aead, s->keys.send, nonce, datagram, WIRE_HEADER_LEN, text, padded, text,
                  nonce + WIRE_NONCE_LEN) < 0)
        return RING_STATUS_NO_SESSION;
    return RING_STATUS_OK;
}

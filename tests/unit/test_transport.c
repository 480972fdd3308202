/*
 * Transport messages between a responder's and an initiator's key store: what opens, what is
 * refused, for which reason and in which order.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include <sodium.h>

#include "common/cleanup.h"
#include "common/control.h"
#include "common/wire.h"
#include "enclave/transport.h"

#define LANES 2
#define IDS   4
#define FRESH 5000

/* One side.  Its peer stands in slot 1, so its session belongs to lane 1. */
struct side {
    void *mem;
    struct keystore *ks;
    struct transport t;
    struct session *s;
    uint32_t peer;
    struct clock now;
};

static struct side server, client;
static uint8_t datagram[WIRE_DATAGRAM_MAX], plain[WIRE_DATAGRAM_MAX];
static struct transport_opened opened;

static const uint8_t client4[4] = {10, 8, 0, 10}, server4[4] = {10, 8, 0, 1};
static const uint8_t client6[16] = {0xfd, 8, [15] = 0x10}, server6[16] = {0xfd, 8, [15] = 1};

static void side_start(struct side *side, enum transport_role role)
{
    static const uint8_t device[WIRE_DEVICE_ID_LEN] = {9};
    size_t size = (keystore_size(4, IDS) + 63) & ~(size_t)63;
    uint32_t slot;

    side->mem = aligned_alloc(64, size);
    assert_non_null(side->mem);
    memset(side->mem, 0, size);
    side->ks = keystore_new(side->mem, LANES, 4, IDS);
    side->t = (struct transport){.ks = side->ks, .aead = aead_new(), .role = role, .lane = 1};
    assert_non_null(side->t.aead);
    slot = keystore_peer_add(side->ks, 2, device);
    side->peer = keystore_peer_handle(side->ks, slot);
    side->now = (struct clock){.mono_ms = 5000000, .stamp_ms = role ? 77777777777 : 42};
}

/* A session as dispatch.c fills it; the keys are crossed by link_sides(). */
static struct session *side_session(struct side *side)
{
    struct session *s = keystore_session_new(side->ks, 1);

    assert_non_null(s);
    s->created_ms = side->now.mono_ms;
    s->ip4 = (struct ip_addr){.family = 4};
    s->ip6 = (struct ip_addr){.family = 6};
    memcpy(s->ip4.bytes, client4, 4);
    memcpy(s->ip6.bytes, client6, 16);
    s->mtu = 1400;
    return s;
}

/* A login: the server's session is `next`, the client's current. */
static void link_sides(void)
{
    struct session *c = side_session(&client), *s = side_session(&server);

    s->remote_index = c->index;
    c->remote_index = s->index;
    randombytes_buf(s->keys.send, 32);
    randombytes_buf(s->keys.recv, 32);
    memcpy(c->keys.recv, s->keys.send, 32);
    memcpy(c->keys.send, s->keys.recv, 32);
    s->floor_ms = (int64_t)(server.now.stamp_ms - client.now.stamp_ms);
    c->floor_ms = (int64_t)(client.now.stamp_ms - server.now.stamp_ms);
    keystore_session_publish(server.ks, s, SESSION_NEXT);
    keystore_session_publish(client.ks, c, SESSION_CURRENT);
    server.s = s;
    client.s = c;
}

static int reset(void **state)
{
    struct ip_prefix networks;

    (void)state;
    side_start(&server, TRANSPORT_RESPONDER);
    side_start(&client, TRANSPORT_INITIATOR);
    assert_int_equal(ip_prefix_parse("10.8.0.0/24", &networks), 0);
    assert_int_equal(keystore_allow_add(client.ks, 2, IPC_ALLOW_SOURCE, &networks), 0);
    assert_int_equal(ip_prefix_parse("fd08::/64", &networks), 0);
    assert_int_equal(keystore_allow_add(client.ks, 2, IPC_ALLOW_SOURCE, &networks), 0);
    link_sides();
    return 0;
}

static int clear(void **state)
{
    (void)state;
    aead_free(server.t.aead);
    aead_free(client.t.aead);
    free(server.mem);
    free(client.mem);
    return 0;
}

static void pass(int64_t ms)
{
    server.now.mono_ms += (uint64_t)ms;
    server.now.stamp_ms += (uint64_t)ms;
    client.now.mono_ms += (uint64_t)ms;
    client.now.stamp_ms += (uint64_t)ms;
}

/* ---- packets -------------------------------------------------------------------------------- */

static size_t ip4(uint8_t *p, const uint8_t *src, const uint8_t *dst, size_t len)
{
    memset(p, 0, len);
    p[0] = 0x45;
    be16_put(p + 2, (uint16_t)len);
    p[9] = 17;
    memcpy(p + 12, src, 4);
    memcpy(p + 16, dst, 4);
    memset(p + 20, 0x77, len - 20);
    return len;
}

static size_t ip6(uint8_t *p, const uint8_t *src, const uint8_t *dst, size_t len)
{
    memset(p, 0, 40);
    p[0] = 0x60;
    be16_put(p + 4, (uint16_t)(len - 40));
    p[6] = 17;
    memcpy(p + 8, src, 16);
    memcpy(p + 24, dst, 16);
    memset(p + 40, 0x66, len - 40);
    return len;
}

/* Seal what stands at @text.  Return: the datagram's length. */
static size_t seal(struct side *from, uint8_t type, const void *text, size_t len)
{
    memcpy(datagram + WIRE_OVERHEAD, text, len);
    assert_int_equal(transport_seal(&from->t, &from->now, from->peer, type, datagram, &len),
                     RING_STATUS_OK);
    return len;
}

static enum ring_status open_at(struct side *to, size_t len)
{
    memset(&opened, 0, sizeof(opened));
    return transport_open(&to->t, &to->now, datagram, len, plain, &opened);
}

/* An honest DATA packet of @len bytes across. */
static enum ring_status data(struct side *from, struct side *to, size_t len)
{
    uint8_t packet[WIRE_MTU_MAX];

    ip4(packet, from == &client ? client4 : server4, from == &client ? server4 : client4, len);
    return open_at(to, seal(from, WIRE_DATA, packet, len));
}

static void confirm(void)
{
    assert_int_equal(data(&client, &server, 100), RING_STATUS_OK);
    assert_int_equal(opened.flags, RING_FLAG_NEWEST | RING_FLAG_PROMOTED);
}

/*
 * A message that no honest side would make: the right key, but header, counter and text of our
 * choice.
 */
static size_t forge(struct side *from, uint8_t type, uint64_t counter, uint32_t sequence,
                    uint64_t stamp_ms, const void *text, size_t len)
{
    uint8_t *nonce = datagram + WIRE_HEADER_LEN;
    size_t total = WIRE_OVERHEAD + len;

    wire_header_put(datagram, (enum wire_type)type, total, sequence, stamp_ms);
    be32_put(nonce, from->s->remote_index);
    be64_put(nonce + 4, counter);
    memcpy(datagram + WIRE_OVERHEAD, text, len);
    crypto_aead_chacha20poly1305_ietf_encrypt_detached(
        datagram + WIRE_OVERHEAD, nonce + WIRE_NONCE_LEN, NULL, datagram + WIRE_OVERHEAD, len,
        datagram, WIRE_HEADER_LEN, NULL, nonce, from->s->keys.send);
    return total;
}

/* The same with an honest header. */
static enum ring_status inner(struct side *from, struct side *to, uint8_t type, const void *text,
                              size_t len)
{
    uint64_t counter = atomic_fetch_add(&from->s->send_counter, 1);

    return open_at(to,
                   forge(from, type, counter, (uint32_t)counter, from->now.stamp_ms, text, len));
}

/* ---- round trips ---------------------------------------------------------------------------- */

static void test_round_trip(void **state)
{
    size_t len;

    (void)state;
    confirm();
    for (len = 20; len <= 1400; len += 7) {
        struct side *from = len & 1 ? &client : &server, *to = len & 1 ? &server : &client;
        uint8_t want[WIRE_MTU_MAX];

        assert_int_equal(data(from, to, len), RING_STATUS_OK);
        ip4(want, from == &client ? client4 : server4, from == &client ? server4 : client4, len);
        assert_int_equal(opened.type, WIRE_DATA);
        assert_int_equal(opened.length, len); /* padding trimmed */
        assert_int_equal(opened.peer, to->peer);
        assert_int_equal(opened.flags & RING_FLAG_NEWEST, RING_FLAG_NEWEST);
        assert_memory_equal(plain, want, len);
    }
}

static void test_ip6(void **state)
{
    uint8_t packet[100];

    (void)state;
    ip6(packet, client6, server6, 100);
    assert_int_equal(open_at(&server, seal(&client, WIRE_DATA, packet, 100)), RING_STATUS_OK);
    ip6(packet, server6, client6, 100);
    assert_int_equal(open_at(&client, seal(&server, WIRE_DATA, packet, 100)), RING_STATUS_OK);
    assert_int_equal(opened.length, 100);
}

/* What a datagram looks like on the wire. */
static void test_format(void **state)
{
    uint8_t packet[100];
    size_t len;

    (void)state;
    ip4(packet, client4, server4, 100);
    len = seal(&client, WIRE_DATA, packet, 100);
    assert_int_equal(len, WIRE_OVERHEAD + 112);
    assert_int_equal(wire_classify(datagram, len), WIRE_KIND_TRANSPORT);
    assert_int_equal(wire_transport_index(datagram), server.s->index);
    assert_int_equal(wire_transport_counter(datagram), 0);
    assert_int_equal(be32_get(datagram + 4), 0);
    assert_int_equal(be64_get(datagram + 8), client.now.stamp_ms);
    (void)seal(&client, WIRE_DATA, packet, 100);
    assert_int_equal(wire_transport_counter(datagram), 1);
    assert_int_equal(be32_get(datagram + 4), 1);
}

/* Padding hides the length, but never makes a packet larger than the path carries. */
static void test_padding(void **state)
{
    static const struct {
        size_t mtu, len, padded;
    } cases[] = {{1400, 20, 32},     {1400, 32, 32},     {1400, 33, 48},     {1400, 1393, 1400},
                 {1400, 1400, 1400}, {1399, 1399, 1399}, {1408, 1393, 1408}, {1280, 1400, 1400}};
    size_t i;

    (void)state;
    for (i = 0; i < ARRAY_SIZE(cases); i++) {
        uint8_t packet[WIRE_MTU_MAX];
        size_t len;

        client.s->mtu = (uint16_t)cases[i].mtu;
        ip4(packet, client4, server4, cases[i].len);
        memset(datagram, 0xee, sizeof(datagram)); /* nothing of it may end up as padding */
        len = seal(&client, WIRE_DATA, packet, cases[i].len);
        assert_int_equal(len, WIRE_OVERHEAD + cases[i].padded);
        assert_int_equal(open_at(&server, len), RING_STATUS_OK);
        assert_int_equal(opened.length, cases[i].len);
    }
}

static void test_control_messages(void **state)
{
    uint8_t text[160] = {1, 2, 3, 4, 5, 6, 7, 8, 0x05, 0x78};

    (void)state;
    assert_int_equal(inner(&client, &server, WIRE_PING, text, 16), RING_STATUS_OK);
    assert_int_equal(opened.type, WIRE_PING);
    assert_int_equal(opened.length, 16);
    assert_int_equal(inner(&client, &server, WIRE_PING, text, 160), RING_STATUS_OK);
    assert_int_equal(inner(&client, &server, WIRE_PING, text, 17), RING_STATUS_MALFORMED);
    assert_int_equal(inner(&client, &server, WIRE_PONG, text, 16), RING_STATUS_OK);
    assert_int_equal(inner(&client, &server, WIRE_PONG, text, 32), RING_STATUS_MALFORMED);
    assert_int_equal(inner(&client, &server, WIRE_DISCONNECT, text, 16), RING_STATUS_BAD_INNER);
    text[10] = 1;
    assert_int_equal(inner(&client, &server, WIRE_PING, text, 16), RING_STATUS_BAD_INNER);
    memset(text, 0, sizeof(text));
    text[159] = 1;
    assert_int_equal(inner(&client, &server, WIRE_PING, text, 160), RING_STATUS_BAD_INNER);
    text[0] = 3;
    assert_int_equal(inner(&client, &server, WIRE_DISCONNECT, text, 16), RING_STATUS_OK);
    assert_int_equal(plain[0], 3);
    assert_int_equal(inner(&client, &server, WIRE_DISCONNECT, text, 32), RING_STATUS_MALFORMED);
}

/* ---- refused before the AEAD ---------------------------------------------------------------- */

static void test_malformed(void **state)
{
    uint8_t packet[100];
    size_t len, cut;

    (void)state;
    ip4(packet, client4, server4, 100);
    len = seal(&client, WIRE_DATA, packet, 100);
    for (cut = 0; cut < len; cut++)
        assert_int_equal(open_at(&server, cut), RING_STATUS_MALFORMED);
    assert_int_equal(open_at(&server, len + 1), RING_STATUS_MALFORMED);
    datagram[0] = WIRE_CONNECT_REQ;
    assert_int_equal(open_at(&server, len), RING_STATUS_MALFORMED);
    datagram[0] = WIRE_DATA;
    datagram[1] = 0;
    assert_int_equal(open_at(&server, len), RING_STATUS_MALFORMED);
    datagram[1] = WIRE_VERSION;
    assert_int_equal(open_at(&server, len), RING_STATUS_OK);
}

static void test_wrong_lane(void **state)
{
    uint8_t packet[100];
    size_t len;

    (void)state;
    ip4(packet, client4, server4, 100);
    len = seal(&client, WIRE_DATA, packet, 100);
    server.t.lane = 0;
    assert_int_equal(open_at(&server, len), RING_STATUS_WRONG_LANE);
    assert_null(keystore_current(server.ks, server.peer));
    server.t.lane = 1;
    assert_int_equal(open_at(&server, len), RING_STATUS_OK);
    /* Sealing is for every worker. */
    server.t.lane = 0;
    len = ip4(packet, server4, client4, 100);
    assert_int_equal(open_at(&client, seal(&server, WIRE_DATA, packet, len)), RING_STATUS_OK);
}

static void test_unknown_index(void **state)
{
    uint8_t packet[100];
    size_t len;

    (void)state;
    ip4(packet, client4, server4, 100);
    len = seal(&client, WIRE_DATA, packet, 100);
    be32_put(datagram + WIRE_HEADER_LEN, server.s->index + LANES);
    assert_int_equal(open_at(&server, len), RING_STATUS_UNKNOWN_INDEX);
    be32_put(datagram + WIRE_HEADER_LEN, server.s->index);
    assert_int_equal(keystore_peer_remove(server.ks, server.peer), 0);
    assert_int_equal(open_at(&server, len), RING_STATUS_UNKNOWN_INDEX);
}

static void test_expired(void **state)
{
    uint8_t packet[100];
    size_t len = 100;

    (void)state;
    confirm();
    pass(KEYSTORE_SESSION_LIFE_MS - 1);
    assert_int_equal(data(&client, &server, 100), RING_STATUS_OK);
    assert_int_equal(data(&server, &client, 100), RING_STATUS_OK);
    ip4(packet, client4, server4, 100);
    len = seal(&client, WIRE_DATA, packet, 100);
    pass(1);
    assert_int_equal(open_at(&server, len), RING_STATUS_EXPIRED);
    len = 100;
    assert_int_equal(transport_seal(&client.t, &client.now, client.peer, WIRE_DATA, datagram, &len),
                     RING_STATUS_EXPIRED);
}

/* The sequence never wraps: both sides stop 2^16 before. */
static void test_counter_limit(void **state)
{
    uint8_t packet[100];
    size_t len = 100;
    int i;

    (void)state;
    ip4(packet, client4, server4, 100);
    atomic_store(&client.s->send_counter, WIRE_COUNTER_LIMIT - 1);
    assert_int_equal(data(&client, &server, 100), RING_STATUS_OK);
    for (i = 0; i < 1000; i++) {
        assert_int_equal(transport_seal(&client.t, &client.now, client.peer, WIRE_DATA, datagram,
                                        &len),
                         RING_STATUS_EXPIRED);
    }
    assert_true(atomic_load(&client.s->send_counter) <= WIRE_COUNTER_LIMIT);
    len = forge(&client, WIRE_DATA, WIRE_COUNTER_LIMIT, (uint32_t)WIRE_COUNTER_LIMIT,
                client.now.stamp_ms, packet, 100);
    assert_int_equal(open_at(&server, len), RING_STATUS_EXPIRED);
    len = forge(&client, WIRE_DATA, UINT64_MAX, UINT32_MAX, client.now.stamp_ms, packet, 100);
    assert_int_equal(open_at(&server, len), RING_STATUS_EXPIRED);
}

/* ---- forgeries and replays ------------------------------------------------------------------ */

/* Every bit counts: header and nonce are authenticated too. */
static void test_forged(void **state)
{
    uint8_t packet[64], good[WIRE_DATAGRAM_MAX];
    size_t len, i;

    (void)state;
    ip4(packet, client4, server4, 64);
    len = seal(&client, WIRE_DATA, packet, 64);
    memcpy(good, datagram, len);
    for (i = 0; i < 8 * len; i++) {
        enum ring_status status;

        memcpy(datagram, good, len);
        datagram[i / 8] ^= (uint8_t)(1U << (i % 8));
        status = open_at(&server, len);
        assert_int_not_equal(status, RING_STATUS_OK);
        if (i / 8 >= WIRE_HEADER_LEN + WIRE_NONCE_LEN)
            assert_int_equal(status, RING_STATUS_FORGED);
    }
    /* None of it promoted the session or used up the counter. */
    assert_null(keystore_current(server.ks, server.peer));
    memcpy(datagram, good, len);
    assert_int_equal(open_at(&server, len), RING_STATUS_OK);
}

static void test_replay(void **state)
{
    uint8_t packet[64], first[WIRE_DATAGRAM_MAX];
    size_t len;

    (void)state;
    ip4(packet, client4, server4, 64);
    len = seal(&client, WIRE_DATA, packet, 64);
    memcpy(first, datagram, len);
    assert_int_equal(open_at(&server, len), RING_STATUS_OK);
    assert_int_equal(open_at(&server, len), RING_STATUS_REPLAY);
    /* A forged copy of a used counter costs no AEAD. */
    datagram[len - 1] ^= 1;
    assert_int_equal(open_at(&server, len), RING_STATUS_REPLAY);

    (void)seal(&client, WIRE_DATA, packet, 64);
    len = seal(&client, WIRE_DATA, packet, 64); /* counter 2 */
    assert_int_equal(open_at(&server, len), RING_STATUS_OK);
    assert_int_equal(opened.flags, RING_FLAG_NEWEST);
    len = forge(&client, WIRE_DATA, 1, 1, client.now.stamp_ms, packet, 64);
    assert_int_equal(open_at(&server, len), RING_STATUS_OK);
    assert_int_equal(opened.flags, 0); /* late: the endpoint stays */
    memcpy(datagram, first, len);
    assert_int_equal(open_at(&server, len), RING_STATUS_REPLAY);

    len = forge(&client, WIRE_DATA, 10000, 10000, client.now.stamp_ms, packet, 64);
    assert_int_equal(open_at(&server, len), RING_STATUS_OK);
    len = forge(&client, WIRE_DATA, 10000 - REPLAY_WINDOW, 10000 - REPLAY_WINDOW,
                client.now.stamp_ms, packet, 64);
    assert_int_equal(open_at(&server, len), RING_STATUS_REPLAY);
}

static void test_bad_sequence(void **state)
{
    uint8_t packet[64];
    size_t len;

    (void)state;
    ip4(packet, client4, server4, 64);
    len = forge(&client, WIRE_DATA, 5, 6, client.now.stamp_ms, packet, 64);
    assert_int_equal(open_at(&server, len), RING_STATUS_BAD_SEQUENCE);
    assert_null(keystore_current(server.ks, server.peer));
}

/* ---- freshness ------------------------------------------------------------------------------ */

static enum ring_status stamped(int64_t off_ms)
{
    uint8_t packet[64];
    uint64_t counter = atomic_fetch_add(&client.s->send_counter, 1);

    ip4(packet, client4, server4, 64);
    return open_at(&server, forge(&client, WIRE_DATA, counter, (uint32_t)counter,
                                  client.now.stamp_ms + (uint64_t)off_ms, packet, 64));
}

static void test_held_back(void **state)
{
    (void)state;
    assert_int_equal(stamped(0), RING_STATUS_OK);
    assert_int_equal(stamped(-FRESH), RING_STATUS_OK);
    assert_int_equal(stamped(-FRESH - 1), RING_STATUS_NOT_FRESH);
    assert_int_equal(stamped(-1000000), RING_STATUS_NOT_FRESH);
    assert_int_equal(stamped(INT64_MIN), RING_STATUS_NOT_FRESH);
    assert_int_equal(stamped(0), RING_STATUS_OK);
}

/* The future is refused too, or one packet from there would make all later ones stale. */
static void test_future(void **state)
{
    (void)state;
    assert_int_equal(stamped(FRESH + 1), RING_STATUS_NOT_FRESH);
    assert_int_equal(stamped(1LL << 40), RING_STATUS_NOT_FRESH);
    assert_int_equal(stamped(INT64_MAX), RING_STATUS_NOT_FRESH);
    assert_int_equal(stamped(0), RING_STATUS_OK);
}

/* The floor follows a faster path down and is never raised. */
static void test_floor(void **state)
{
    int64_t seeded = server.s->floor_ms;

    (void)state;
    assert_int_equal(stamped(-300), RING_STATUS_OK); /* 300 ms on the way */
    assert_int_equal(server.s->floor_ms, seeded);
    assert_int_equal(stamped(200), RING_STATUS_OK); /* the login itself had been 200 ms late */
    assert_int_equal(server.s->floor_ms, seeded - 200);
    assert_int_equal(stamped(200 - FRESH), RING_STATUS_OK);
    assert_int_equal(stamped(200 - FRESH - 1), RING_STATUS_NOT_FRESH);
    assert_int_equal(stamped(200 + FRESH), RING_STATUS_OK);
    assert_int_equal(server.s->floor_ms, seeded - 200 - FRESH);
}

/* Clocks anywhere, also across the wrap of their 64 bits. */
static void test_clock_wrap(void **state)
{
    (void)state;
    client.now.stamp_ms = UINT64_MAX - 1000;
    server.s->floor_ms = (int64_t)(server.now.stamp_ms - client.now.stamp_ms);
    assert_int_equal(stamped(0), RING_STATUS_OK);
    pass(2000);
    assert_true(client.now.stamp_ms < 2000);
    assert_int_equal(stamped(0), RING_STATUS_OK);
    assert_int_equal(stamped(-FRESH), RING_STATUS_OK);
    assert_int_equal(stamped(-FRESH - 1), RING_STATUS_NOT_FRESH);
    assert_int_equal(stamped(FRESH + 1), RING_STATUS_NOT_FRESH);
}

/* ---- promotion ------------------------------------------------------------------------------ */

static void test_promotion(void **state)
{
    struct session *old;
    uint8_t packet[64], late[WIRE_DATAGRAM_MAX];
    size_t len = 64;

    (void)state;
    memset(packet, 0, sizeof(packet));
    assert_int_equal(transport_seal(&server.t, &server.now, server.peer, WIRE_DATA, datagram, &len),
                     RING_STATUS_NO_SESSION);
    confirm();
    assert_int_equal(data(&client, &server, 64), RING_STATUS_OK);
    assert_int_equal(opened.flags, RING_FLAG_NEWEST);
    ip4(packet, client4, server4, 64);
    len = seal(&client, WIRE_DATA, packet, 64);
    memcpy(late, datagram, len);

    /* A rekey: the server seals under the old key until the client has used the new one. */
    old = server.s;
    link_sides();
    ip4(packet, server4, client4, 64);
    (void)seal(&server, WIRE_DATA, packet, 64);
    assert_int_equal(wire_transport_index(datagram), old->remote_index);
    confirm();
    (void)seal(&server, WIRE_DATA, packet, 64);
    assert_int_equal(wire_transport_index(datagram), server.s->remote_index);
    assert_int_equal(wire_transport_counter(datagram), 0);

    /* What was under way still arrives, and says nothing about where the client is now. */
    memcpy(datagram, late, len);
    assert_int_equal(open_at(&server, len), RING_STATUS_OK);
    assert_int_equal(opened.flags, 0);
}

/* ---- inner packets -------------------------------------------------------------------------- */

static void test_bad_inner(void **state)
{
    uint8_t packet[96];

    (void)state;
    ip4(packet, client4, server4, 64);
    memset(packet + 64, 0, 32);
    assert_int_equal(inner(&client, &server, WIRE_DATA, packet, 64), RING_STATUS_OK);
    assert_int_equal(inner(&client, &server, WIRE_DATA, packet, 79), RING_STATUS_OK);
    assert_int_equal(inner(&client, &server, WIRE_DATA, packet, 80), RING_STATUS_BAD_INNER);
    assert_int_equal(inner(&client, &server, WIRE_DATA, packet, 63), RING_STATUS_BAD_INNER);
    packet[70] = 1; /* padding is zero: no covert bytes */
    assert_int_equal(inner(&client, &server, WIRE_DATA, packet, 79), RING_STATUS_BAD_INNER);
    packet[0] = 0x44;
    assert_int_equal(inner(&client, &server, WIRE_DATA, packet, 64), RING_STATUS_BAD_INNER);
    packet[0] = 0x55;
    assert_int_equal(inner(&client, &server, WIRE_DATA, packet, 64), RING_STATUS_BAD_INNER);
}

/* Whose packets are these?  The server's question. */
static void test_spoofed_by_client(void **state)
{
    static const uint8_t other[4] = {10, 8, 0, 11}, behind[4] = {192, 168, 50, 7};
    static const uint8_t other6[16] = {0xfd, 8, [15] = 0x11};
    struct ip_prefix network;
    uint8_t packet[64];

    (void)state;
    ip4(packet, other, server4, 64);
    assert_int_equal(inner(&client, &server, WIRE_DATA, packet, 64), RING_STATUS_SPOOFED);
    ip4(packet, server4, server4, 64);
    assert_int_equal(inner(&client, &server, WIRE_DATA, packet, 64), RING_STATUS_SPOOFED);
    ip6(packet, other6, server6, 64);
    assert_int_equal(inner(&client, &server, WIRE_DATA, packet, 64), RING_STATUS_SPOOFED);
    ip4(packet, behind, server4, 64);
    assert_int_equal(inner(&client, &server, WIRE_DATA, packet, 64), RING_STATUS_SPOOFED);
    assert_int_equal(ip_prefix_parse("192.168.50.0/24", &network), 0);
    assert_int_equal(keystore_allow_add(server.ks, 2, IPC_ALLOW_SOURCE, &network), 0);
    assert_int_equal(inner(&client, &server, WIRE_DATA, packet, 64), RING_STATUS_OK);
    /* No IPv6 lease: none of its addresses is the client's. */
    memset(&server.s->ip6, 0, sizeof(server.s->ip6));
    ip6(packet, client6, server6, 64);
    assert_int_equal(inner(&client, &server, WIRE_DATA, packet, 64), RING_STATUS_SPOOFED);
    memset(packet + 8, 0, 16);
    assert_int_equal(inner(&client, &server, WIRE_DATA, packet, 64), RING_STATUS_SPOOFED);
}

/* For whom, and from where?  The client's question. */
static void test_spoofed_by_server(void **state)
{
    static const uint8_t other[4] = {10, 8, 0, 11}, outside[4] = {8, 8, 8, 8};
    static const uint8_t other6[16] = {0xfd, 8, [15] = 0x11};
    static const uint8_t outside6[16] = {0x20, 1, 0xd, 0xb8, [15] = 1};
    uint8_t packet[64];

    (void)state;
    ip6(packet, server6, other6, 64);
    assert_int_equal(inner(&server, &client, WIRE_DATA, packet, 64), RING_STATUS_SPOOFED);
    ip6(packet, outside6, client6, 64);
    assert_int_equal(inner(&server, &client, WIRE_DATA, packet, 64), RING_STATUS_SPOOFED);
    ip4(packet, server4, other, 64);
    assert_int_equal(inner(&server, &client, WIRE_DATA, packet, 64), RING_STATUS_SPOOFED);
    ip4(packet, outside, client4, 64);
    assert_int_equal(inner(&server, &client, WIRE_DATA, packet, 64), RING_STATUS_SPOOFED);
    ip4(packet, other, client4, 64);
    assert_int_equal(inner(&server, &client, WIRE_DATA, packet, 64), RING_STATUS_OK);
}

/* A network behind the client: its packets are taken in, from accepted sources alone. */
static void test_network_behind_client(void **state)
{
    static const uint8_t behind[4] = {192, 168, 50, 7}, outside[4] = {8, 8, 8, 8};
    struct ip_prefix network;
    uint8_t packet[64];

    (void)state;
    assert_int_equal(ip_prefix_parse("192.168.50.0/24", &network), 0);
    ip4(packet, server4, behind, 64);
    assert_int_equal(inner(&server, &client, WIRE_DATA, packet, 64), RING_STATUS_SPOOFED);
    /* Accepted as a source, it is not yet a destination. */
    assert_int_equal(keystore_allow_add(client.ks, 2, IPC_ALLOW_SOURCE, &network), 0);
    assert_int_equal(inner(&server, &client, WIRE_DATA, packet, 64), RING_STATUS_SPOOFED);
    assert_int_equal(keystore_allow_add(client.ks, 2, IPC_ALLOW_DESTINATION, &network), 0);
    assert_int_equal(inner(&server, &client, WIRE_DATA, packet, 64), RING_STATUS_OK);
    ip4(packet, outside, behind, 64);
    assert_int_equal(inner(&server, &client, WIRE_DATA, packet, 64), RING_STATUS_SPOOFED);
}

/* The client asks, the server answers; neither takes what only the other may send. */
static void test_control_records(void **state)
{
    uint8_t request[CONTROL_REQUEST_LEN], answer[CONTROL_ANSWER_MAX];
    struct ip_prefix routes[2];
    size_t len;

    (void)state;
    confirm();
    assert_int_equal(ip_prefix_parse("192.168.100.0/24", &routes[0]), 0);
    assert_int_equal(ip_prefix_parse("fd64::/64", &routes[1]), 0);
    control_request_build(request, 3);
    len = control_answer_build(answer, routes, 2, 0);
    assert_int_equal(inner(&client, &server, WIRE_DATA, request, sizeof(request)), RING_STATUS_OK);
    assert_int_equal(opened.type, WIRE_DATA);
    assert_int_equal(opened.length, sizeof(request));
    assert_int_equal(inner(&server, &client, WIRE_DATA, answer, len), RING_STATUS_OK);
    assert_int_equal(opened.length, len);
    assert_int_equal(inner(&client, &server, WIRE_DATA, answer, len), RING_STATUS_BAD_INNER);
    assert_int_equal(inner(&server, &client, WIRE_DATA, request, sizeof(request)),
                     RING_STATUS_BAD_INNER);
    request[9] = 1;
    assert_int_equal(inner(&client, &server, WIRE_DATA, request, sizeof(request)),
                     RING_STATUS_BAD_INNER);
    answer[len - 1] = 1;
    assert_int_equal(inner(&server, &client, WIRE_DATA, answer, len), RING_STATUS_BAD_INNER);
}

static void test_not_unicast(void **state)
{
    static const uint8_t bad[][4] = {{0, 0, 0, 0},   {127, 0, 0, 1},       {169, 254, 1, 1},
                                     {224, 0, 0, 1}, {255, 255, 255, 255}, {239, 255, 255, 250}};
    static const uint8_t bad6[][16] = {{0},
                                       {[15] = 1},
                                       {0xfe, 0x80, [15] = 1},
                                       {0xff, 2, [15] = 1},
                                       {[10] = 0xff, 0xff, 10, 8, 0, 10}};
    struct ip_prefix all;
    uint8_t packet[64];
    size_t i;

    (void)state;
    /* Not even when every source is allowed. */
    assert_int_equal(ip_prefix_parse("0.0.0.0/0", &all), 0);
    assert_int_equal(keystore_allow_add(server.ks, 2, IPC_ALLOW_SOURCE, &all), 0);
    assert_int_equal(ip_prefix_parse("::/0", &all), 0);
    assert_int_equal(keystore_allow_add(server.ks, 2, IPC_ALLOW_SOURCE, &all), 0);
    for (i = 0; i < ARRAY_SIZE(bad); i++) {
        ip4(packet, bad[i], server4, 64);
        assert_int_equal(inner(&client, &server, WIRE_DATA, packet, 64), RING_STATUS_SPOOFED);
        ip4(packet, client4, bad[i], 64);
        assert_int_equal(inner(&client, &server, WIRE_DATA, packet, 64), RING_STATUS_SPOOFED);
    }
    for (i = 0; i < ARRAY_SIZE(bad6); i++) {
        ip6(packet, bad6[i], server6, 64);
        assert_int_equal(inner(&client, &server, WIRE_DATA, packet, 64), RING_STATUS_SPOOFED);
        ip6(packet, client6, bad6[i], 64);
        assert_int_equal(inner(&client, &server, WIRE_DATA, packet, 64), RING_STATUS_SPOOFED);
    }
}

/* ---- sealing -------------------------------------------------------------------------------- */

static void test_seal_refused(void **state)
{
    static const uint8_t types[] = {0, WIRE_CONNECT_REQ, WIRE_CONNECT_RESP, 7, 255};
    size_t i, len;

    (void)state;
    for (i = 0; i < ARRAY_SIZE(types); i++) {
        len = 64;
        assert_int_equal(transport_seal(&client.t, &client.now, client.peer, types[i], datagram,
                                        &len),
                         RING_STATUS_MALFORMED);
    }
    len = 0;
    assert_int_equal(transport_seal(&client.t, &client.now, client.peer, WIRE_DATA, datagram, &len),
                     RING_STATUS_MALFORMED);
    len = WIRE_MTU_MAX + 1;
    assert_int_equal(transport_seal(&client.t, &client.now, client.peer, WIRE_DATA, datagram, &len),
                     RING_STATUS_MALFORMED);
    len = 64;
    assert_int_equal(transport_seal(&client.t, &client.now, client.peer + 1, WIRE_DATA, datagram,
                                    &len),
                     RING_STATUS_NO_SESSION);
    assert_int_equal(transport_seal(&client.t, &client.now, 0, WIRE_DATA, datagram, &len),
                     RING_STATUS_NO_SESSION);
    /* Nothing of this took a counter. */
    assert_int_equal(atomic_load(&client.s->send_counter), 0);
}

int main(void)
{
#define UNIT(name) cmocka_unit_test_setup_teardown(name, reset, clear)
    const struct CMUnitTest tests[] = {
        UNIT(test_round_trip),
        UNIT(test_ip6),
        UNIT(test_format),
        UNIT(test_padding),
        UNIT(test_control_messages),
        UNIT(test_malformed),
        UNIT(test_wrong_lane),
        UNIT(test_unknown_index),
        UNIT(test_expired),
        UNIT(test_counter_limit),
        UNIT(test_forged),
        UNIT(test_replay),
        UNIT(test_bad_sequence),
        UNIT(test_held_back),
        UNIT(test_future),
        UNIT(test_floor),
        UNIT(test_clock_wrap),
        UNIT(test_promotion),
        UNIT(test_bad_inner),
        UNIT(test_spoofed_by_client),
        UNIT(test_spoofed_by_server),
        UNIT(test_network_behind_client),
        UNIT(test_control_records),
        UNIT(test_not_unicast),
        UNIT(test_seal_refused),
    };
#undef UNIT

    if (aead_init() < 0 || aead_choose(NULL) < 0)
        return 1;
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/*
 * Transport messages that are refused, whatever is in them: for which reason and in which order.
 * Malformed, for another lane, of no session, expired; forged, repeated, out of order, not fresh.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "common/wire.h"
#include "tests/unit/transport_rig.h"

#define FRESH 5000

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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_malformed, setup, teardown),
        cmocka_unit_test_setup_teardown(test_wrong_lane, setup, teardown),
        cmocka_unit_test_setup_teardown(test_unknown_index, setup, teardown),
        cmocka_unit_test_setup_teardown(test_expired, setup, teardown),
        cmocka_unit_test_setup_teardown(test_counter_limit, setup, teardown),
        cmocka_unit_test_setup_teardown(test_forged, setup, teardown),
        cmocka_unit_test_setup_teardown(test_replay, setup, teardown),
        cmocka_unit_test_setup_teardown(test_bad_sequence, setup, teardown),
        cmocka_unit_test_setup_teardown(test_held_back, setup, teardown),
        cmocka_unit_test_setup_teardown(test_future, setup, teardown),
        cmocka_unit_test_setup_teardown(test_floor, setup, teardown),
        cmocka_unit_test_setup_teardown(test_clock_wrap, setup, teardown),
    };

    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("transport refused", tests, group_setup, NULL);
}

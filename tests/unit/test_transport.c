/*
 * Transport messages between two honest sides: what they look like, that they open, and with which
 * session they are sealed.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "common/cleanup.h"
#include "common/wire.h"
#include "tests/unit/transport_rig.h"

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
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_round_trip, setup, teardown),
        cmocka_unit_test_setup_teardown(test_ip6, setup, teardown),
        cmocka_unit_test_setup_teardown(test_format, setup, teardown),
        cmocka_unit_test_setup_teardown(test_padding, setup, teardown),
        cmocka_unit_test_setup_teardown(test_control_messages, setup, teardown),
        cmocka_unit_test_setup_teardown(test_promotion, setup, teardown),
        cmocka_unit_test_setup_teardown(test_seal_refused, setup, teardown),
    };

    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("transport", tests, group_setup, NULL);
}

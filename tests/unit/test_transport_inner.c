/*
 * What transport messages carry: packets of whom, for whom and from where, and records of control.
 * The key and the header are right in all of them.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "common/cleanup.h"
#include "common/control.h"
#include "common/wire.h"
#include "tests/unit/transport_rig.h"

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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_bad_inner, setup, teardown),
        cmocka_unit_test_setup_teardown(test_spoofed_by_client, setup, teardown),
        cmocka_unit_test_setup_teardown(test_spoofed_by_server, setup, teardown),
        cmocka_unit_test_setup_teardown(test_network_behind_client, setup, teardown),
        cmocka_unit_test_setup_teardown(test_control_records, setup, teardown),
        cmocka_unit_test_setup_teardown(test_not_unicast, setup, teardown),
    };

    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("transport inner", tests, group_setup, NULL);
}

/*
 * mac1 and STALE.  The expected bytes come from Python's hashlib:
 *   k = sha256(b"SVPN1 mac1" + bytes(range(32))).digest()
 *   blake2b(bytes(i % 251 for i in range(248)), key=k, digest_size=16)
 * and for STALE the key sha256(b"SVPN1 stale" + ...) over header and nonce, first 8 bytes.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <sodium.h>

#include "common/mac.h"

static struct mac_keys keys;

static int setup(void **state)
{
    uint8_t public_key[WIRE_KEY_LEN];

    (void)state;
    for (size_t i = 0; i < sizeof(public_key); i++)
        public_key[i] = (uint8_t)i;
    mac_keys_init(&keys, public_key);
    return sodium_init() < 0;
}

static void request_fill(uint8_t req[WIRE_CONNECT_REQ_LEN])
{
    for (size_t i = 0; i < WIRE_CONNECT_REQ_LEN; i++)
        req[i] = (uint8_t)(i % 251);
}

static void mac1_known(void **state)
{
    static const uint8_t want[WIRE_MAC_LEN] = {0xab, 0x41, 0xfe, 0xfd, 0x7d, 0x75, 0xdd, 0xcc,
                                               0xf7, 0xe4, 0x8f, 0x35, 0x0e, 0x60, 0x13, 0x59};
    uint8_t req[WIRE_CONNECT_REQ_LEN];

    (void)state;
    request_fill(req);
    mac1_put(&keys, req);
    assert_memory_equal(req + WIRE_REQ_MAC1, want, sizeof(want));
    assert_int_equal(req[WIRE_REQ_MAC2], WIRE_REQ_MAC2 % 251); /* mac2 is left alone */
}

static void mac1_covers_all_before_it(void **state)
{
    uint8_t req[WIRE_CONNECT_REQ_LEN];

    (void)state;
    request_fill(req);
    mac1_put(&keys, req);
    assert_true(mac1_valid(&keys, req));
    for (size_t i = 0; i < WIRE_CONNECT_REQ_LEN; i++) {
        req[i] ^= 0x10;
        assert_int_equal(mac1_valid(&keys, req), i >= WIRE_REQ_MAC2);
        req[i] ^= 0x10;
    }
}

static void stale_round(void **state)
{
    static const uint8_t want[8] = {0x8a, 0x4c, 0xfd, 0x0c, 0xad, 0x42, 0x0e, 0xf3};
    uint8_t unknown[WIRE_TRANSPORT_MIN], msg[WIRE_STALE_LEN];

    (void)state;
    for (size_t i = 0; i < sizeof(unknown); i++)
        unknown[i] = (uint8_t)(i + 1);
    wire_header_put(unknown, WIRE_DATA, sizeof(unknown), 0xdeadbeef, 5);

    stale_build(&keys, unknown, 0x0102030405060708, msg);
    assert_int_equal(wire_classify(msg, sizeof(msg)), WIRE_KIND_STALE);
    assert_int_equal(be32_get(msg + 4), 0xdeadbeef);
    assert_memory_equal(msg + 24, unknown + WIRE_HEADER_LEN, WIRE_NONCE_LEN);
    assert_memory_equal(msg + 16, want, sizeof(want));
    assert_true(stale_valid(&keys, msg));
    for (size_t i = 0; i < sizeof(msg); i++) {
        msg[i] ^= 1;
        assert_false(stale_valid(&keys, msg));
        msg[i] ^= 1;
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(mac1_known),
        cmocka_unit_test(mac1_covers_all_before_it),
        cmocka_unit_test(stale_round),
    };

    return cmocka_run_group_tests(tests, setup, NULL);
}

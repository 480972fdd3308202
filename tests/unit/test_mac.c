/*
 * mac1, STALE and cookies.  The expected bytes come from Python's hashlib:
 *   k = sha256(b"SVPN1 mac1" + bytes(range(32))).digest()
 *   blake2b(bytes(i % 251 for i in range(248)), key=k, digest_size=16)
 * and for STALE the key sha256(b"SVPN1 stale" + ...) over header and nonce, first 8 bytes.
 * For cookies, with c = ChaCha20Poly1305 of pyca/cryptography and HChaCha20 of the XChaCha draft:
 *   cookie = blake2b(b"\x04\xc0\0\2\2" + bytes(12) + (40000).to_bytes(2), key=b"\x11" * 32,
 *                    digest_size=16)
 *   mac2 = blake2b(request[:264], key=cookie, digest_size=16)
 *   sealed = c(hchacha20(sha256(b"SVPN1 cookie" + ...), nonce[:16]))
 *            .encrypt(bytes(4) + nonce[16:], cookie, request[248:264])
 */
#include <errno.h>
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

/* Told unasked: both indexes stand where a message's nonce would, and no counter looks like that.
 */
static void stale_unasked(void **state)
{
    static const uint8_t want[8] = {0xd9, 0xba, 0xde, 0x4a, 0x97, 0x2d, 0x18, 0x26};
    uint8_t unknown[WIRE_TRANSPORT_MIN], msg[WIRE_STALE_LEN];
    uint32_t index = 0;

    (void)state;
    stale_build_unasked(&keys, 0x11223344, 0x55667788, 0x0102030405060708, msg);
    assert_int_equal(wire_classify(msg, sizeof(msg)), WIRE_KIND_STALE);
    assert_memory_equal(msg + 16, want, sizeof(want));
    assert_true(stale_valid(&keys, msg));
    assert_int_equal(be32_get(msg + 24), 0x11223344);
    assert_true(stale_is_unasked(msg + 24, &index));
    assert_int_equal(index, 0x55667788);
    /* The highest counter that a session can reach. */
    memset(unknown, 0, sizeof(unknown));
    wire_header_put(unknown, WIRE_DATA, sizeof(unknown), UINT32_MAX, 5);
    be64_put(unknown + WIRE_HEADER_LEN + 4, UINT32_MAX);
    stale_build(&keys, unknown, 1, msg);
    assert_false(stale_is_unasked(msg + 24, &index));
}

/* ---- cookies -------------------------------------------------------------------------------- */

static const uint8_t cookie_want[WIRE_MAC_LEN] = {0x0e, 0xb3, 0x0b, 0x83, 0x57, 0xc6, 0xcf, 0x32,
                                                  0xa5, 0xc8, 0x38, 0x58, 0x0d, 0x35, 0x5a, 0xa5};
static const struct ip_endpoint somebody = {.addr = {4, {192, 0, 2, 2}}, .port = 40000};

static struct cookie_jar known_jar(void)
{
    struct cookie_jar jar;

    memset(jar.current, 0x11, sizeof(jar.current));
    memset(jar.previous, 0x22, sizeof(jar.previous));
    jar.turn_ms = COOKIE_SECRET_MS;
    return jar;
}

static void mac2_known(void **state)
{
    static const uint8_t want[WIRE_MAC_LEN] = {0x38, 0x16, 0x01, 0xcb, 0xa2, 0x57, 0x27, 0x90,
                                               0x1d, 0x9e, 0x0c, 0x5a, 0x8b, 0xac, 0xae, 0x50};
    const struct cookie_jar jar = known_jar();
    uint8_t cookie[WIRE_MAC_LEN], req[WIRE_CONNECT_REQ_LEN];

    (void)state;
    cookie_make(&jar, &somebody, cookie);
    assert_memory_equal(cookie, cookie_want, sizeof(cookie));
    request_fill(req);
    mac2_put(cookie, req);
    assert_memory_equal(req + WIRE_REQ_MAC2, want, sizeof(want));
    assert_true(mac2_valid(&jar, &somebody, req));
    for (size_t i = 0; i < sizeof(req); i++) {
        req[i] ^= 0x10;
        assert_false(mac2_valid(&jar, &somebody, req));
        req[i] ^= 0x10;
    }
    memset(req + WIRE_REQ_MAC2, 0, WIRE_MAC_LEN);
    assert_false(mac2_valid(&jar, &somebody, req));
}

/* A cookie is one place's: every byte of address, family and port counts. */
static void cookie_is_for_one_place(void **state)
{
    const struct cookie_jar jar = known_jar();
    uint8_t cookie[WIRE_MAC_LEN], req[WIRE_CONNECT_REQ_LEN];
    struct ip_endpoint other = somebody;

    (void)state;
    request_fill(req);
    cookie_make(&jar, &somebody, cookie);
    mac2_put(cookie, req);
    for (size_t i = 0; i < sizeof(other.addr.bytes); i++) {
        other.addr.bytes[i] ^= 1;
        assert_false(mac2_valid(&jar, &other, req));
        other.addr.bytes[i] ^= 1;
    }
    other.port ^= 1;
    assert_false(mac2_valid(&jar, &other, req));
    other.port ^= 0x101;
    assert_false(mac2_valid(&jar, &other, req));
    other.port ^= 0x100;
    other.addr.family = 6;
    assert_false(mac2_valid(&jar, &other, req));
    other.addr.family = 4;
    assert_true(mac2_valid(&jar, &other, req));
}

/* Two turns of 120 s, however late the jar is turned. */
static void cookie_life(void **state)
{
    static const struct {
        uint64_t turns[3]; /* when the jar is turned; 0: not */
        bool valid;
    } cases[] = {
        {{COOKIE_SECRET_MS - 1}, true},
        {{COOKIE_SECRET_MS}, true},
        {{COOKIE_SECRET_MS, 2 * COOKIE_SECRET_MS - 1}, true},
        {{COOKIE_SECRET_MS, 2 * COOKIE_SECRET_MS}, false},
        {{2 * COOKIE_SECRET_MS - 1}, true},
        {{2 * COOKIE_SECRET_MS - 1, 2 * COOKIE_SECRET_MS}, false},
        {{2 * COOKIE_SECRET_MS}, false},
        {{7 * COOKIE_SECRET_MS}, false},
    };
    uint8_t cookie[WIRE_MAC_LEN], req[WIRE_CONNECT_REQ_LEN];

    (void)state;
    request_fill(req);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct cookie_jar jar;

        cookie_jar_init(&jar, 0);
        cookie_make(&jar, &somebody, cookie);
        mac2_put(cookie, req);
        for (size_t j = 0; j < 3 && cases[i].turns[j]; j++)
            cookie_jar_turn(&jar, cases[i].turns[j]);
        assert_int_equal(mac2_valid(&jar, &somebody, req), cases[i].valid);
    }
}

static void cookie_known(void **state)
{
    static const uint8_t sealed[32] = {0x2c, 0x90, 0x80, 0xb3, 0x9e, 0x90, 0x52, 0xee,
                                       0x7d, 0xc6, 0x3b, 0x7d, 0xd0, 0x02, 0x22, 0x78,
                                       0x41, 0x25, 0x23, 0x9d, 0xef, 0x68, 0xa8, 0x3f,
                                       0x6b, 0x89, 0x5b, 0x94, 0x60, 0x1c, 0xf4, 0x66};
    uint8_t req[WIRE_CONNECT_REQ_LEN], msg[WIRE_COOKIE_LEN] = {0}, cookie[WIRE_MAC_LEN];
    struct cookie_request asked;

    (void)state;
    request_fill(req);
    wire_header_put(req, WIRE_CONNECT_REQ, sizeof(req), 7, 1);
    cookie_request_read(req, &asked);
    wire_header_put(msg, WIRE_CONNECT_RESP, sizeof(msg), 7, 0x0102030405060708);
    memcpy(msg + 16, req + WIRE_REQ_INDEX, 4);
    for (uint8_t i = 0; i < 24; i++)
        msg[24 + i] = 0x40 + i;
    memcpy(msg + 48, sealed, sizeof(sealed));
    assert_int_equal(cookie_open(&keys, msg, &asked, cookie), 0);
    assert_memory_equal(cookie, cookie_want, sizeof(cookie));
}

static void cookie_round(void **state)
{
    uint8_t req[WIRE_CONNECT_REQ_LEN], msg[WIRE_COOKIE_LEN], again[WIRE_COOKIE_LEN];
    uint8_t cookie[WIRE_MAC_LEN] = {0};
    struct cookie_request asked;

    (void)state;
    request_fill(req);
    cookie_request_read(req, &asked);
    cookie_build(&keys, &asked, cookie_want, 0x0102030405060708, msg);
    assert_int_equal(wire_classify(msg, sizeof(msg)), WIRE_KIND_COOKIE);
    assert_memory_equal(msg + 4, req + 4, 4);
    assert_int_equal(be64_get(msg + 8), 0x0102030405060708);
    assert_memory_equal(msg + 16, req + WIRE_REQ_INDEX, 4);
    cookie_build(&keys, &asked, cookie_want, 0, again);
    assert_memory_not_equal(msg + 24, again + 24, 24); /* the nonce */

    /* All but type, version and length, which wire_classify() checks, and the time. */
    for (size_t i = 4; i < sizeof(msg); i = i == 7 ? 16 : i + 1) {
        msg[i] ^= 1;
        assert_int_equal(cookie_open(&keys, msg, &asked, cookie), i < 20 ? -ENOENT : -EBADMSG);
        msg[i] ^= 1;
    }
    assert_true(sodium_is_zero(cookie, sizeof(cookie)));

    /* It is for the one request whose mac1 it was sealed with. */
    asked.mac1[3] ^= 1;
    assert_int_equal(cookie_open(&keys, msg, &asked, cookie), -EBADMSG);
    asked.mac1[3] ^= 1;
    assert_int_equal(cookie_open(&keys, msg, &asked, cookie), 0);
    assert_memory_equal(cookie, cookie_want, sizeof(cookie));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(mac1_known),   cmocka_unit_test(mac1_covers_all_before_it),
        cmocka_unit_test(stale_round),  cmocka_unit_test(stale_unasked),
        cmocka_unit_test(mac2_known),   cmocka_unit_test(cookie_is_for_one_place),
        cmocka_unit_test(cookie_life),  cmocka_unit_test(cookie_known),
        cmocka_unit_test(cookie_round),
    };

    return cmocka_run_group_tests(tests, setup, NULL);
}

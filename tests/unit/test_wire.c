/* What a datagram is, by type, version and exact length: every length and type against a table. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "common/wire.h"

static void header_layout(void **state)
{
    static const uint8_t want[WIRE_HEADER_LEN] = {0x01, 0x01, 0x01, 0x08, 0x00, 0x00, 0x00, 0x02,
                                                  0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77, 0x88};
    uint8_t buf[WIRE_HEADER_LEN];

    (void)state;
    wire_header_put(buf, WIRE_CONNECT_REQ, WIRE_CONNECT_REQ_LEN, 2, 0x1122334455667788);
    assert_memory_equal(buf, want, sizeof(want)); /* length 264 = 0x108, as the protocol says */
}

/* The specification once more, written as plainly as possible. */
static enum wire_kind expected(unsigned int type, size_t len)
{
    if (type == 1)
        return len == 280 ? WIRE_KIND_CONNECT_REQ : WIRE_KIND_BAD_LENGTH;
    if (type == 2) {
        if (len == 200)
            return WIRE_KIND_CONNECT_RESP;
        if (len == 80)
            return WIRE_KIND_COOKIE;
        return len == 40 ? WIRE_KIND_STALE : WIRE_KIND_BAD_LENGTH;
    }
    if (type == 5 || type == 6)
        return len == 60 ? WIRE_KIND_TRANSPORT : WIRE_KIND_BAD_LENGTH;
    if (type == 4)
        return len >= 60 && (len - 44) % 16 == 0 ? WIRE_KIND_TRANSPORT : WIRE_KIND_BAD_LENGTH;
    return len >= 60 ? WIRE_KIND_TRANSPORT : WIRE_KIND_BAD_LENGTH;
}

static void every_length_of_every_type(void **state)
{
    uint8_t buf[WIRE_DATAGRAM_MAX + 64] = {0};

    (void)state;
    for (unsigned int type = 1; type <= 6; type++) {
        for (size_t len = WIRE_HEADER_LEN; len <= WIRE_DATAGRAM_MAX; len++) {
            wire_header_put(buf, (enum wire_type)type, len, 0, 0);
            assert_int_equal(wire_classify(buf, len), expected(type, len));
        }
        /* A whole number of blocks, but more than a datagram may have. */
        wire_header_put(buf, (enum wire_type)type, WIRE_DATAGRAM_MAX + 12, 0, 0);
        assert_int_equal(wire_classify(buf, WIRE_DATAGRAM_MAX + 12), WIRE_KIND_BAD_LENGTH);
    }
}

static void bad_headers(void **state)
{
    uint8_t buf[WIRE_CONNECT_REQ_LEN] = {0};

    (void)state;
    wire_header_put(buf, WIRE_CONNECT_REQ, sizeof(buf), 1, 1);
    for (size_t len = 0; len < WIRE_HEADER_LEN; len++)
        assert_int_equal(wire_classify(buf, len), WIRE_KIND_BAD_LENGTH);

    for (unsigned int type = 0; type < 256; type++) {
        buf[0] = (uint8_t)type;
        if (type < 1 || type > 6)
            assert_int_equal(wire_classify(buf, sizeof(buf)), WIRE_KIND_BAD_TYPE);
    }
    buf[0] = WIRE_CONNECT_REQ;
    for (unsigned int version = 0; version < 256; version++) {
        buf[1] = (uint8_t)version;
        assert_int_equal(wire_classify(buf, sizeof(buf)),
                         version == WIRE_VERSION ? WIRE_KIND_CONNECT_REQ : WIRE_KIND_BAD_VERSION);
    }

    /* The length field must agree with what arrived, not only be plausible. */
    buf[1] = WIRE_VERSION;
    be16_put(buf + 2, WIRE_CONNECT_REQ_LEN - WIRE_HEADER_LEN - 1);
    assert_int_equal(wire_classify(buf, sizeof(buf)), WIRE_KIND_BAD_LENGTH);
    be16_put(buf + 2, WIRE_CONNECT_REQ_LEN);
    assert_int_equal(wire_classify(buf, sizeof(buf)), WIRE_KIND_BAD_LENGTH);
}

static void transport_fields(void **state)
{
    uint8_t buf[WIRE_TRANSPORT_MIN] = {0};

    (void)state;
    be32_put(buf + 16, 0xa1b2c3d4);
    be64_put(buf + 20, 0x0102030405060708);
    assert_int_equal(wire_transport_index(buf), 0xa1b2c3d4);
    assert_int_equal(wire_transport_counter(buf), 0x0102030405060708);
    assert_int_equal(buf[16], 0xa1);
    assert_int_equal(buf[27], 0x08);
}

static void padding(void **state)
{
    (void)state;
    assert_int_equal(wire_padded(0), 0);
    assert_int_equal(wire_padded(1), 16);
    assert_int_equal(wire_padded(16), 16);
    assert_int_equal(wire_padded(1400), 1408);
}

static void status_names(void **state)
{
    (void)state;
    for (unsigned int i = 0; i < WIRE_STATUS_NUM; i++) {
        assert_non_null(wire_status_name(i));
        assert_string_not_equal(wire_status_name(i), "unknown");
    }
    assert_string_equal(wire_status_name(WIRE_STATUS_DENIED), "denied");
    assert_string_equal(wire_status_name(WIRE_STATUS_NUM), "unknown");
    assert_string_equal(wire_status_name(255), "unknown");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(header_layout), cmocka_unit_test(every_length_of_every_type),
        cmocka_unit_test(bad_headers),   cmocka_unit_test(transport_fields),
        cmocka_unit_test(padding),       cmocka_unit_test(status_names),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

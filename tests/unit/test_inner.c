/* The IP packet inside: header limits, and the MSS clamp against a checksum computed anew. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "common/cleanup.h"
#include "common/inner.h"
#include "common/wire.h"

static uint64_t random_state = 88172645463325252U;

static uint64_t random_next(void)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return random_state;
}

/* ---- headers -------------------------------------------------------------------------------- */

static size_t ip4_put(uint8_t *p, size_t ihl, size_t payload, uint8_t protocol)
{
    memset(p, 0, ihl);
    p[0] = (uint8_t)(0x40 | ihl / 4);
    be16_put(p + 2, (uint16_t)(ihl + payload));
    p[8] = 64;
    p[9] = protocol;
    memcpy(p + 12, "\x0a\x08\x00\x0a", 4);
    memcpy(p + 16, "\xc0\xa8\x64\x02", 4);
    return ihl + payload;
}

static size_t ip6_put(uint8_t *p, size_t payload, uint8_t next)
{
    memset(p, 0, 40);
    p[0] = 0x60;
    be16_put(p + 4, (uint16_t)payload);
    p[6] = next;
    p[7] = 64;
    memcpy(p + 8, "\xfd\x08\0\0\0\0\0\0\0\0\0\0\0\0\0\x10", 16);
    memcpy(p + 24, "\xfd\x64\0\0\0\0\0\0\0\0\0\0\0\0\0\x02", 16);
    return 40 + payload;
}

static void test_ip4(void **state)
{
    uint8_t p[128] = {0};
    struct inner in;
    size_t len = ip4_put(p, 24, 40, 17), i;

    (void)state;
    assert_int_equal(inner_parse(p, len, &in), 0);
    assert_int_equal(in.total, 64);
    assert_int_equal(in.payload, 24);
    assert_int_equal(in.protocol, 17);
    assert_int_equal(in.fragment, 0);
    assert_int_equal(in.src.family, 4);
    assert_memory_equal(in.src.bytes, p + 12, 4);
    assert_memory_equal(in.dst.bytes, p + 16, 4);
    /* Padding after the packet belongs to nobody. */
    assert_int_equal(inner_parse(p, len + 15, &in), 0);
    assert_int_equal(in.total, 64);
    for (i = 0; i < len; i++)
        assert_int_equal(inner_parse(p, i, &in), -EINVAL);
}

static void test_ip4_lengths(void **state)
{
    uint8_t p[128];
    struct inner in;
    unsigned int ihl;

    (void)state;
    for (ihl = 0; ihl < 16; ihl++) {
        (void)ip4_put(p, 20, 60, 17);
        p[0] = (uint8_t)(0x40 | ihl);
        assert_int_equal(inner_parse(p, 80, &in), ihl < 5 ? -EINVAL : 0);
        /* A total length inside the header is a lie. */
        be16_put(p + 2, (uint16_t)(ihl * 4 - 1));
        assert_int_equal(inner_parse(p, 80, &in), -EINVAL);
        be16_put(p + 2, (uint16_t)(ihl * 4));
        assert_int_equal(inner_parse(p, 80, &in), ihl < 5 ? -EINVAL : 0);
    }
    (void)ip4_put(p, 20, 60, 17);
    be16_put(p + 2, 81);
    assert_int_equal(inner_parse(p, 80, &in), -EINVAL);
    be16_put(p + 2, UINT16_MAX);
    assert_int_equal(inner_parse(p, 80, &in), -EINVAL);
    be16_put(p + 2, 0);
    assert_int_equal(inner_parse(p, 80, &in), -EINVAL);
}

static void test_ip6(void **state)
{
    uint8_t p[128] = {0};
    struct inner in;
    size_t len = ip6_put(p, 24, 6), i;

    (void)state;
    assert_int_equal(inner_parse(p, len, &in), 0);
    assert_int_equal(in.total, 64);
    assert_int_equal(in.payload, 40);
    assert_int_equal(in.protocol, 6);
    assert_int_equal(in.src.family, 6);
    assert_memory_equal(in.src.bytes, p + 8, 16);
    assert_memory_equal(in.dst.bytes, p + 24, 16);
    for (i = 0; i < len; i++)
        assert_int_equal(inner_parse(p, i, &in), -EINVAL);
    be16_put(p + 4, UINT16_MAX); /* 40 more than 16 bits hold */
    assert_int_equal(inner_parse(p, len, &in), -EINVAL);
    be16_put(p + 4, 0);
    assert_int_equal(inner_parse(p, 40, &in), 0);
    assert_int_equal(in.total, 40);
}

static void test_versions(void **state)
{
    uint8_t p[128];
    struct inner in;
    unsigned int version;

    (void)state;
    (void)ip4_put(p, 20, 60, 17);
    for (version = 0; version < 16; version++) {
        p[0] = (uint8_t)(version << 4 | 5);
        if (version != 4 && version != 6)
            assert_int_equal(inner_parse(p, 80, &in), -EINVAL);
    }
    assert_int_equal(inner_parse(p, 0, &in), -EINVAL);
    assert_int_equal(inner_parse(p, (size_t)UINT16_MAX + 1, &in), -EINVAL);
}

static void test_fragments(void **state)
{
    static const struct {
        uint16_t field;
        uint8_t fragment;
    } cases[] = {{0x0000, 0}, {0x4000, 0}, {0x2000, 0}, {0x0001, 1}, {0x2001, 1}, {0x1fff, 1}};
    uint8_t p[64];
    struct inner in;
    size_t i, len = ip4_put(p, 20, 40, 6);

    (void)state;
    for (i = 0; i < ARRAY_SIZE(cases); i++) {
        be16_put(p + 6, cases[i].field);
        assert_int_equal(inner_parse(p, len, &in), 0);
        assert_int_equal(in.fragment, cases[i].fragment);
    }
}

/* ---- the clamp ------------------------------------------------------------------------------ */

/* RFC 9293, 3.1: the whole segment with its pseudo-header.  Right: 0xffff before the complement. */
static bool tcp_checksum_right(const uint8_t *p, const struct inner *in)
{
    const uint8_t *addrs = p + (in->src.family == 4 ? 12 : 8);
    size_t addrs_len = in->src.family == 4 ? 8 : 32, i;
    size_t len = (size_t)in->total - in->payload;
    uint32_t sum = 6 + (uint32_t)len;

    for (i = 0; i < addrs_len; i += 2)
        sum += be16_get(addrs + i);
    for (i = 0; i + 1 < len; i += 2)
        sum += be16_get(p + in->payload + i);
    if (len & 1)
        sum += (uint32_t)p[in->total - 1] << 8;
    while (sum >> 16)
        sum = (sum & 0xffff) + (sum >> 16);
    return sum == 0xffff;
}

static void tcp_checksum_set(uint8_t *p, const struct inner *in)
{
    uint8_t *tcp = p + in->payload;
    uint32_t guess;

    /* Slow and independent of any cleverness: the value that makes the check come out right. */
    for (guess = 0; guess <= UINT16_MAX; guess++) {
        be16_put(tcp + 16, (uint16_t)guess);
        if (tcp_checksum_right(p, in))
            return;
    }
    fail_msg("no checksum fits");
}

struct syn {
    uint8_t bytes[160];
    struct inner in;
};

/* A SYN whose options are @options, padded to words, with some data after them. */
static void syn_make(struct syn *s, uint8_t family, uint8_t flags, const uint8_t *options,
                     size_t options_len, size_t data)
{
    size_t words = (options_len + 3) / 4, tcp_len = 20 + words * 4 + data, i, len;
    uint8_t *tcp;

    memset(s->bytes, 0, sizeof(s->bytes));
    len = family == 4 ? ip4_put(s->bytes, 20, tcp_len, 6) : ip6_put(s->bytes, tcp_len, 6);
    tcp = s->bytes + len - tcp_len;
    for (i = 0; i < 12; i++)
        tcp[i] = (uint8_t)random_next();
    tcp[12] = (uint8_t)((5 + words) << 4);
    tcp[13] = flags;
    be16_put(tcp + 14, 64240);
    memcpy(tcp + 20, options, options_len);
    for (i = 0; i < data; i++)
        tcp[20 + words * 4 + i] = (uint8_t)random_next();
    assert_int_equal(inner_parse(s->bytes, len, &s->in), 0);
    tcp_checksum_set(s->bytes, &s->in);
}

/* Clamp, and expect @want as MSS at @at in the options; the checksum must be right either way. */
static void expect_mss(struct syn *s, uint16_t mtu, size_t at, uint16_t want)
{
    uint8_t before[sizeof(s->bytes)], *tcp = s->bytes + s->in.payload;
    size_t i;

    memcpy(before, s->bytes, sizeof(before));
    inner_clamp_mss(s->bytes, &s->in, mtu);
    assert_int_equal(be16_get(tcp + 20 + at + 2), want);
    assert_true(tcp_checksum_right(s->bytes, &s->in));
    /* Nothing else moved. */
    memcpy(before + s->in.payload + 16, tcp + 16, 2);
    memcpy(before + s->in.payload + 20 + at + 2, tcp + 20 + at + 2, 2);
    for (i = 0; i < sizeof(before); i++)
        assert_int_equal(before[i], s->bytes[i]);
}

static void expect_unchanged(struct syn *s, uint16_t mtu)
{
    uint8_t before[sizeof(s->bytes)];

    memcpy(before, s->bytes, sizeof(before));
    inner_clamp_mss(s->bytes, &s->in, mtu);
    assert_memory_equal(before, s->bytes, sizeof(before));
}

static void test_clamp(void **state)
{
    static const uint8_t options[] = {2, 4, 0x05, 0xb4, 4, 2, 8, 10, 1, 2, 3, 4, 5, 6, 7, 8};
    struct syn s;

    (void)state;
    syn_make(&s, 4, 0x02, options, sizeof(options), 0);
    expect_mss(&s, 1400, 0, 1360);
    expect_mss(&s, 1400, 0, 1360); /* twice is once */
    expect_mss(&s, 1280, 0, 1240);
    syn_make(&s, 6, 0x02, options, sizeof(options), 0);
    expect_mss(&s, 1400, 0, 1340);
    /* SYN and ACK, and with data behind it (fast open). */
    syn_make(&s, 4, 0x12, options, sizeof(options), 13);
    expect_mss(&s, 1400, 0, 1360);
    /* Already small enough: never raised. */
    syn_make(&s, 4, 0x02, options, sizeof(options), 0);
    expect_unchanged(&s, 1500);
    expect_unchanged(&s, 9000);
}

/* The option behind a number of NOPs: at even and odd places, random values. */
static void test_clamp_places(void **state)
{
    uint8_t options[40];
    struct syn s;
    size_t nops;
    int round;

    (void)state;
    for (round = 0; round < 24; round++) {
        for (nops = 0; nops < 12; nops++) {
            uint16_t mss = (uint16_t)(1400 + random_next() % 64000);
            uint16_t mtu = (uint16_t)(1280 + random_next() % 120);
            uint8_t family = round & 1 ? 4 : 6;

            memset(options, 1, sizeof(options));
            options[nops] = 2;
            options[nops + 1] = 4;
            be16_put(options + nops + 2, mss);
            syn_make(&s, family, 0x02, options, nops + 4, (size_t)(round % 3));
            expect_mss(&s, mtu, nops, (uint16_t)(mtu - (family == 4 ? 40 : 60)));
        }
    }
}

static void test_clamp_left_alone(void **state)
{
    static const uint8_t mss[] = {2, 4, 0x05, 0xb4};
    static const struct {
        uint8_t bytes[8];
        size_t len;
    } bad[] = {
        {{1, 1, 1, 1}, 4},            /* none */
        {{0, 2, 4, 5, 0xb4}, 5},      /* after the end of the list */
        {{3, 0, 2, 4, 5, 0xb4}, 6},   /* length 0 would never end */
        {{3, 1, 2, 4, 5, 0xb4}, 6},   /* length 1 */
        {{3, 200, 2, 4, 5, 0xb4}, 6}, /* beyond the header */
        {{1, 1, 1, 2}, 4},            /* cut off at the last byte */
        {{2, 3, 0x05, 1, 2, 3}, 6},   /* MSS of a wrong length */
        {{1, 1, 2, 4}, 4},            /* its value lies beyond the header */
    };
    struct syn s;
    size_t i;

    (void)state;
    for (i = 0; i < ARRAY_SIZE(bad); i++) {
        syn_make(&s, 4, 0x02, bad[i].bytes, bad[i].len, 4);
        expect_unchanged(&s, 1280);
    }
    syn_make(&s, 4, 0x10, mss, sizeof(mss), 0); /* no SYN */
    expect_unchanged(&s, 1280);
    syn_make(&s, 4, 0x02, mss, sizeof(mss), 0);
    s.in.protocol = 17;
    expect_unchanged(&s, 1280);
    s.in.protocol = 6;
    s.in.fragment = 1; /* its first bytes are no TCP header */
    expect_unchanged(&s, 1280);
    s.in.fragment = 0;
    expect_mss(&s, 1280, 0, 1240);
}

/* Header lengths that leave the packet, cut at every length. */
static void test_clamp_truncated(void **state)
{
    static const uint8_t options[] = {1, 1, 1, 1, 2, 4, 0x05, 0xb4};
    struct syn s;
    unsigned int words;

    (void)state;
    for (words = 0; words < 16; words++) {
        syn_make(&s, 4, 0x02, options, sizeof(options), 0);
        s.bytes[32] = (uint8_t)(words << 4);
        if (words == 7)
            continue;
        expect_unchanged(&s, 1280);
    }
    syn_make(&s, 4, 0x02, options, sizeof(options), 0);
    for (s.in.total--; s.in.total >= s.in.payload; s.in.total--) {
        uint8_t *exact = malloc(s.in.total); /* the sanitizers watch its end */

        assert_non_null(exact);
        memcpy(exact, s.bytes, s.in.total);
        inner_clamp_mss(exact, &s.in, 1280);
        assert_memory_equal(exact, s.bytes, s.in.total);
        free(exact);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ip4),
        cmocka_unit_test(test_ip4_lengths),
        cmocka_unit_test(test_ip6),
        cmocka_unit_test(test_versions),
        cmocka_unit_test(test_fragments),
        cmocka_unit_test(test_clamp),
        cmocka_unit_test(test_clamp_places),
        cmocka_unit_test(test_clamp_left_alone),
        cmocka_unit_test(test_clamp_truncated),
    };

    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}

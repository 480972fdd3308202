/* Cutting super-packets: against a plain reference, and whatever a broken device might hand over.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "daemon/datapath/checksum.h"
#include "daemon/datapath/gso.h"
#include "tests/unit/packets.h"

#define FRAME_MAX (GSO_HEADER_LEN + 65535)

static uint8_t frame[FRAME_MAX];

/* As the kernel leaves a packet whose checksum it did not finish. */
static size_t frame_make(const struct shape *s, uint8_t gso_type, uint16_t gso_size)
{
    uint8_t *p = frame + GSO_HEADER_LEN;
    size_t len = packet_make(s, p);
    struct virtio_net_hdr hdr = {
        .flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
        .gso_type = gso_type,
        .gso_size = gso_size,
        .csum_start = (uint16_t)transport_at(p),
        .csum_offset = (uint16_t)(checksum_at(p) - transport_at(p)),
    };

    be16_put(p + checksum_at(p), pseudo_header(p, len));
    memcpy(frame, &hdr, sizeof(hdr));
    return GSO_HEADER_LEN + len;
}

static void test_checksum(void **state)
{
    static uint8_t data[4096];
    int i;

    (void)state;
    for (i = 0; i < (int)sizeof(data); i++)
        data[i] = (uint8_t)random_next();
    for (i = 0; i < 20000; i++) {
        size_t at = random_below(64), len = random_below(2048), half = random_below(1024) & ~1U;
        uint64_t sum = checksum_add(0, data + at, len);
        uint16_t stored = checksum_fold(sum);

        assert_int_equal(be16_get(&stored), plain_sum(0, data + at, len));
        if (half <= len)
            assert_int_equal(checksum_fold(checksum_add(checksum_add(0, data + at, half),
                                                        data + at + half, len - half)),
                             stored);
        sum = checksum_sub16(checksum_add16(sum, (uint16_t)i), (uint16_t)i);
        assert_int_equal(checksum_fold(sum) % 0xffff, stored % 0xffff);
    }
    memset(data, 0xff, sizeof(data));
    assert_int_equal(checksum_finish(checksum_add(0, data, sizeof(data))), 0);
}

/* One piece as the reference makes it: a packet of its own from the same shape. */
static void check_piece(const struct shape *whole, const uint8_t *super, const uint8_t *piece,
                        size_t size, size_t done, uint16_t stride)
{
    static uint8_t expected[65535];
    struct shape s = *whole;
    size_t header = transport_at(super) + (s.protocol == IPPROTO_TCP ? 20U + s.options : 8);
    bool first = done == 0, last;

    s.data = size - header;
    last = done + s.data == whole->data;
    s.seq += (uint32_t)done;
    s.id = (uint16_t)(s.id + done / stride);
    if (!first)
        s.flags &= (uint8_t)~CWR;
    if (!last)
        s.flags &= (uint8_t) ~(FIN | PSH);
    assert_int_equal(packet_make(&s, expected), size);
    /* The reference fills in data by sequence number; UDP has none. */
    memcpy(expected + header, super + header + done, s.data);
    put_sums(expected, size);
    assert_memory_equal(piece, expected, size);
    assert_true(sums_right(piece, size));
}

static void test_split(void **state)
{
    static uint8_t piece[65535];
    int round;

    (void)state;
    for (round = 0; round < 4000; round++) {
        const bool six = random_below(2), tcp = random_below(2);
        const uint16_t stride = (uint16_t)(1 + random_below(round % 4 ? 1400 : 20));
        struct shape s = {
            .family = six ? 6 : 4,
            .protocol = tcp ? IPPROTO_TCP : IPPROTO_UDP,
            .tos = (uint8_t)random_below(16),
            .ttl = 64,
            .id = (uint16_t)random_next(),
            .dont_fragment = random_below(2),
            .port = 40000,
            .seq = random_next(),
            .ack = random_next(),
            .flags = (uint8_t)(ACK | (random_next() & (FIN | PSH | CWR | ECE))),
            .window = 500,
            .options = (uint8_t)(4 * random_below(11)),
            .stamp = random_next(),
            .data = 1 + random_below(round % 4 ? 64000 : 3000),
        };
        uint8_t type = tcp ? (six ? VIRTIO_NET_HDR_GSO_TCPV6 : VIRTIO_NET_HDR_GSO_TCPV4)
                           : VIRTIO_NET_HDR_GSO_UDP_L4;
        size_t len = frame_make(&s, type | (s.flags & CWR ? VIRTIO_NET_HDR_GSO_ECN : 0), stride);
        struct gso_split split;
        size_t done = 0, pieces = 0;

        assert_int_equal(gso_split_begin(&split, frame, len), 0);
        while (gso_split_more(&split)) {
            size_t size = gso_split_size(&split);

            gso_split_next(&split, piece);
            check_piece(&s, frame + GSO_HEADER_LEN, piece, size, done, stride);
            done += size - split.headers;
            pieces++;
        }
        assert_int_equal(done, s.data);
        assert_int_equal(pieces, (s.data + stride - 1) / stride);
    }
}

/* IPv6 with destination options: each piece is what it would be without them, and has them. */
static void test_extension_headers(void **state)
{
    static uint8_t with[GSO_HEADER_LEN + 5000], a[2048], b[2048];
    const uint8_t options[8] = {IPPROTO_TCP, 0, 1, 4};
    const struct shape s = {
        .family = 6, .protocol = IPPROTO_TCP, .ttl = 64, .flags = ACK, .seq = 7, .data = 4000};
    const size_t len = frame_make(&s, VIRTIO_NET_HDR_GSO_TCPV6, 900), ip = GSO_HEADER_LEN + 40;
    struct virtio_net_hdr hdr;
    struct gso_split plain, split;
    unsigned int pieces = 0;

    (void)state;
    memcpy(with, frame, ip);
    memcpy(with + ip, options, sizeof(options));
    memcpy(with + ip + sizeof(options), frame + ip, len - ip);
    with[GSO_HEADER_LEN + 6] = IPPROTO_DSTOPTS;
    be16_put(with + GSO_HEADER_LEN + 4, (uint16_t)(len - ip + sizeof(options)));
    memcpy(&hdr, with, sizeof(hdr));
    hdr.csum_start += sizeof(options);
    memcpy(with, &hdr, sizeof(hdr));
    assert_int_equal(gso_split_begin(&plain, frame, len), 0);
    assert_int_equal(gso_split_begin(&split, with, len + sizeof(options)), 0);
    for (; gso_split_more(&plain); pieces++) {
        const size_t size = gso_split_size(&plain);

        assert_int_equal(gso_split_size(&split), size + sizeof(options));
        gso_split_next(&plain, a);
        gso_split_next(&split, b);
        assert_int_equal(be16_get(b + 4), size + sizeof(options) - 40);
        assert_memory_equal(b + 40, options, sizeof(options));
        assert_memory_equal(b + 48, a + 40, size - 40);
    }
    assert_int_equal(pieces, 5);
    assert_false(gso_split_more(&split));
}

/* A packet that is none of that passes through, its checksum finished where that was left to us. */
static void test_whole(void **state)
{
    struct shape s = {.family = 4, .protocol = IPPROTO_UDP, .ttl = 9, .port = 53, .data = 777};
    uint8_t expected[1500], out[1500];
    size_t len = packet_make(&s, expected);
    struct gso_split split;

    (void)state;
    assert_int_equal(frame_make(&s, VIRTIO_NET_HDR_GSO_NONE, 0), GSO_HEADER_LEN + len);
    assert_int_equal(gso_split_begin(&split, frame, GSO_HEADER_LEN + len), 0);
    assert_true(gso_split_more(&split));
    assert_int_equal(gso_split_size(&split), len);
    gso_split_next(&split, out);
    assert_memory_equal(out, expected, len);
    assert_false(gso_split_more(&split));

    /* A sum that comes out as zero is spelled ffff in UDP, and stays in TCP. */
    memset(frame, 0, sizeof(frame));
    memcpy(frame + GSO_HEADER_LEN, expected, len);
    assert_int_equal(gso_split_begin(&split, frame, GSO_HEADER_LEN + len), 0);
    gso_split_next(&split, out);
    assert_memory_equal(out, expected, len);
}

static void test_zero_sum(void **state)
{
    struct shape s = {.family = 6, .protocol = IPPROTO_UDP, .ttl = 9, .port = 53, .data = 64};
    uint8_t *p = frame + GSO_HEADER_LEN, piece[200];
    struct gso_split split;
    size_t len = frame_make(&s, VIRTIO_NET_HDR_GSO_UDP_L4, 32);
    int i;

    (void)state;
    /* Two bytes that bring the first piece's sum to ffff, whose inverse is zero. */
    for (i = 0; i < 2; i++) {
        assert_int_equal(gso_split_begin(&split, frame, len), 0);
        gso_split_next(&split, piece);
        if (i == 0)
            be16_put(p + 48, plain_sum(be16_get(p + 48), piece + 46, 2));
    }
    assert_int_equal(be16_get(piece + 46), 0xffff);
    assert_true(sums_right(piece, 80));
}

static void test_refused(void **state)
{
    struct shape tcp = {
        .family = 4, .protocol = IPPROTO_TCP, .ttl = 64, .flags = ACK, .data = 4000};
    struct virtio_net_hdr hdr;
    struct gso_split split;
    size_t len = frame_make(&tcp, VIRTIO_NET_HDR_GSO_TCPV4, 1000);
    uint8_t *p = frame + GSO_HEADER_LEN;

    (void)state;
#define REFUSED(change)                                                                            \
    do {                                                                                           \
        len = frame_make(&tcp, VIRTIO_NET_HDR_GSO_TCPV4, 1000);                                    \
        memcpy(&hdr, frame, sizeof(hdr));                                                          \
        change;                                                                                    \
        memcpy(frame, &hdr, sizeof(hdr));                                                          \
        assert_true(gso_split_begin(&split, frame, len) < 0);                                      \
    } while (0)
    assert_int_equal(gso_split_begin(&split, frame, len), 0);
    REFUSED(hdr.gso_size = 0);
    REFUSED(hdr.flags = 0);
    REFUSED(hdr.gso_type = VIRTIO_NET_HDR_GSO_UDP); /* fragments, which we never asked for */
    REFUSED(hdr.gso_type = VIRTIO_NET_HDR_GSO_TCPV6);
    REFUSED(hdr.gso_type = VIRTIO_NET_HDR_GSO_UDP_L4);
    REFUSED(hdr.gso_type = 99);
    REFUSED(hdr.csum_start = 24);
    REFUSED(hdr.csum_start = 65000);
    REFUSED(p[0] = 0x44);
    REFUSED(p[0] = 0x55);
    REFUSED(p[7] = 1);                  /* a fragment */
    REFUSED(p[6] = 0x20);               /* and one with more to come */
    REFUSED(p[20 + 12] = 0x40);         /* a TCP header of 16 bytes */
    REFUSED(len = GSO_HEADER_LEN + 40); /* nothing but headers */
    REFUSED(len = GSO_HEADER_LEN + 30);
    REFUSED(len = GSO_HEADER_LEN + 10);
    REFUSED(len = GSO_HEADER_LEN);
    REFUSED(len = 3);
    REFUSED(hdr.gso_type = 0; hdr.csum_start = 4039);
    REFUSED(hdr.gso_type = 0; hdr.csum_offset = 4019);
#undef REFUSED
}

/* Anything at all: what is cut lies within the frame, and ends. */
static void test_random(void **state)
{
    static uint8_t piece[65535];
    int round, cut = 0;

    (void)state;
    for (round = 0; round < 200000; round++) {
        size_t len = random_below(200), i, total = 0;
        uint8_t *copy = malloc(len + 1); /* so that a sanitizer sees the end */
        struct gso_split split;

        assert_non_null(copy);
        for (i = 0; i < len; i++)
            copy[i] = (uint8_t)random_next();
        if (len > 0 && round % 2)
            copy[0] = VIRTIO_NET_HDR_F_NEEDS_CSUM;
        if (len > 21 && round % 4) {
            copy[1] = (uint8_t[]){0, 1, 4, 5}[round / 4 % 4];
            copy[3] = 0;                     /* pieces of up to 255 bytes */
            copy[5] = copy[7] = copy[9] = 0; /* and offsets */
            copy[10] = round % 3 ? 0x45 : 0x60;
            copy[6] = round % 3 ? 20 : 40;
            copy[16] = copy[17] = 0;
            copy[19] = round % 8 < 4 ? IPPROTO_TCP : IPPROTO_UDP;
        }
        if (gso_split_begin(&split, copy, len) == 0) {
            while (gso_split_more(&split)) {
                size_t size = gso_split_size(&split);

                assert_true(size <= len);
                gso_split_next(&split, piece);
                total += size - split.headers;
            }
            assert_int_equal(total, len - GSO_HEADER_LEN - split.headers);
            cut += split.headers > 0;
        }
        free(copy);
    }
    assert_true(cut > 1000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_checksum),
        cmocka_unit_test(test_split),
        cmocka_unit_test(test_extension_headers),
        cmocka_unit_test(test_whole),
        cmocka_unit_test(test_zero_sum),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_random),
    };

    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}

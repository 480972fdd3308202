/* Merging: what of a stream becomes one frame, and what must not be merged. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <cmocka.h>

#include "daemon/datapath/coalesce.h"
#include "tests/unit/coalesce_rig.h"
#include "tests/unit/packets.h"

/* ---- a stream ------------------------------------------------------------------------------- */

static void check_stream(int family, int protocol, uint8_t last_flags, size_t last_data)
{
    static uint8_t in[40][ROOM];
    struct shape s = segment(1000);
    size_t len[40];
    unsigned int i;

    s.family = family;
    s.protocol = protocol;
    coalesce_begin(&merge);
    for (i = 0; i < 40; i++) {
        if (i == 39) {
            s.data = last_data;
            s.flags |= last_flags;
        }
        len[i] = packet_make(&s, cell(i));
        memcpy(in[i], cell(i), len[i]);
        add(i, len[i]);
        follow(&s);
    }
    take_out();
    assert_int_equal(n_frames, 1);
    assert_int_equal(n_out, 40);
    for (i = 0; i < 40; i++) {
        assert_int_equal(out[i].len, len[i]);
        assert_memory_equal(out[i].bytes, in[i], len[i]);
    }
}

static void test_stream(void **state)
{
    (void)state;
    check_stream(4, IPPROTO_TCP, 0, 1000);
    check_stream(4, IPPROTO_TCP, PSH, 1000);
    check_stream(4, IPPROTO_TCP, PSH | FIN, 1);
    check_stream(6, IPPROTO_TCP, PSH, 333);
    check_stream(4, IPPROTO_UDP, 0, 1000);
    check_stream(6, IPPROTO_UDP, 0, 7);
}

/* Nothing grows beyond what an IP header can say, nor UDP beyond the kernel's 64. */
static void test_limits(void **state)
{
    struct shape s = segment(1400);
    unsigned int i;

    (void)state;
    coalesce_begin(&merge);
    for (i = 0; i < 100; i++, follow(&s))
        add(i, packet_make(&s, cell(i)));
    take_out();
    assert_int_equal(n_out, 100);
    assert_int_equal(n_frames, 3); /* 46 of 1400 bytes fit 64 KiB */

    s = segment(64);
    s.protocol = IPPROTO_UDP;
    coalesce_begin(&merge);
    for (i = 0; i < COALESCE_PACKETS; i++, follow(&s))
        add(i, packet_make(&s, cell(i)));
    take_out();
    assert_int_equal(n_out, COALESCE_PACKETS);
    assert_int_equal(n_frames, 2);
}

/* ---- what must not be merged ----------------------------------------------------------------- */

/* How many frames two packets make, the second of which differs from what should follow. */
static unsigned int two(struct shape first, struct shape second)
{
    coalesce_begin(&merge);
    add(0, packet_make(&first, cell(0)));
    add(1, packet_make(&second, cell(1)));
    return merge.n_groups;
}

static void test_differences(void **state)
{
    const struct shape a = segment(500);
    struct shape b, c;

    (void)state;
#define FRAMES(n, change)                                                                          \
    do {                                                                                           \
        b = a;                                                                                     \
        follow(&b);                                                                                \
        change;                                                                                    \
        assert_int_equal(two(a, b), n);                                                            \
    } while (0)
    FRAMES(1, b.data = 500);
    FRAMES(1, b.data = 499);
    FRAMES(1, b.flags |= PSH);
    FRAMES(1, b.flags |= FIN);
    FRAMES(2, b.data = 501);
    FRAMES(2, b.data = 0);
    FRAMES(2, b.seq++);
    FRAMES(2, b.seq--);
    FRAMES(2, b.seq -= 500); /* sent once more */
    FRAMES(2, b.ack++);
    FRAMES(2, b.window++);
    FRAMES(2, b.stamp++);
    FRAMES(2, b.options = 8);
    FRAMES(2, b.options = 16);
    FRAMES(2, b.tos = 3); /* congestion experienced */
    FRAMES(2, b.ttl--);
    FRAMES(2, b.id++);
    FRAMES(2, b.dont_fragment = true);
    FRAMES(2, b.port++);
    FRAMES(2, b.host++);
    FRAMES(2, b.flags |= SYN);
    FRAMES(2, b.flags |= 4);    /* RST */
    FRAMES(2, b.flags |= 0x20); /* URG */
    FRAMES(2, b.flags |= CWR);
    FRAMES(2, b.flags |= ECE);
    FRAMES(2, b.flags = 0);
    FRAMES(2, b.protocol = IPPROTO_UDP);
    FRAMES(2, b.protocol = IPPROTO_SCTP);
    FRAMES(2, b.family = 6);
#undef FRAMES
    /* Whose identification means nothing may have any. */
    c = a;
    c.dont_fragment = true;
    b = c;
    follow(&b);
    b.id = 4711;
    assert_int_equal(two(c, b), 1);
    /* A first one that ends its group. */
    b = a;
    follow(&b);
    c = a;
    c.flags |= PSH;
    assert_int_equal(two(c, b), 2);
    c = a;
    c.flags |= CWR;
    assert_int_equal(two(c, b), 2);
    /* Flow labels. */
    c = a;
    c.family = 6;
    b = c;
    follow(&b);
    assert_int_equal(two(c, b), 1);
    b.tos = 1; /* stands in the label's bits here */
    assert_int_equal(two(c, b), 2);
    /* UDP: ports, length, and none of the sequence. */
    c = a;
    c.protocol = IPPROTO_UDP;
    b = c;
    b.id++;
    assert_int_equal(two(c, b), 1);
    b.port++;
    assert_int_equal(two(c, b), 2);
}

/* Two that would be one, but for a bit at @at in one of them. */
static void check_damage(size_t at)
{
    const struct shape a = segment(500);
    struct shape b = a;
    unsigned int which, i;

    follow(&b);
    for (which = 0; which < 2; which++) {
        coalesce_begin(&merge);
        for (i = 0; i < 2; i++) {
            size_t len = packet_make(i ? &b : &a, cell(i));

            cell(i)[at] ^= i == which;
            add(i, len);
        }
        take_out();
        assert_int_equal(n_frames, 2);
        assert_false(sums_right(out[which].bytes, out[which].len));
        assert_true(sums_right(out[!which].bytes, out[!which].len));
    }
}

static void test_damaged(void **state)
{
    struct shape b = segment(500);
    unsigned int i;

    (void)state;
    check_damage(100); /* the data */
    check_damage(11);  /* the IP header's own checksum */
    /* UDP without a checksum stays without one. */
    b.protocol = IPPROTO_UDP;
    coalesce_begin(&merge);
    for (i = 0; i < 2; i++, b.id++) {
        size_t len = packet_make(&b, cell(i));

        be16_put(cell(i) + 26, 0);
        add(i, len);
    }
    assert_int_equal(merge.n_groups, 2);
}

/* Devices, what may be merged at all, and fragments. */
static void test_apart(void **state)
{
    const struct shape a = segment(500);
    struct shape b = a;
    size_t len = packet_make(&a, cell(0));

    (void)state;
    follow(&b);
    packet_make(&b, cell(1));
    coalesce_begin(&merge);
    coalesce_add(&merge, cell(0), len, 1, BOTH);
    coalesce_add(&merge, cell(1), len, 2, BOTH);
    assert_int_equal(merge.n_groups, 2);
    coalesce_begin(&merge);
    coalesce_add(&merge, cell(0), len, 1, COALESCE_UDP);
    coalesce_add(&merge, cell(1), len, 1, COALESCE_UDP);
    assert_int_equal(merge.n_groups, 2);
    coalesce_begin(&merge);
    for (unsigned int i = 0; i < 2; i++) {
        cell(i)[6] = 0x20;
        put_ip_sum(cell(i));
        add(i, len);
    }
    assert_int_equal(merge.n_groups, 2);
    /* IPv4 options. */
    coalesce_begin(&merge);
    for (unsigned int i = 0; i < 2; i++) {
        cell(i)[6] = 0;
        cell(i)[0] = 0x46;
        add(i, len);
    }
    assert_int_equal(merge.n_groups, 2);
}

/* A packet that cannot be merged is not overtaken by later ones between the same hosts. */
static void test_not_overtaken(void **state)
{
    struct shape s = segment(500), icmp;
    unsigned int i;
    size_t len;

    (void)state;
    coalesce_begin(&merge);
    for (i = 0; i < 3; i++) {
        icmp = s;
        icmp.protocol = IPPROTO_SCTP;
        len = packet_make(i == 1 ? &icmp : &s, cell(i));
        add(i, len);
        if (i != 1)
            follow(&s);
    }
    assert_int_equal(merge.n_groups, 3);
    take_out();
    assert_int_equal(protocol_of(out[0].bytes), IPPROTO_TCP);
    assert_int_equal(protocol_of(out[1].bytes), IPPROTO_SCTP);
    assert_int_equal(protocol_of(out[2].bytes), IPPROTO_TCP);
}

/* Acknowledgements of a stream end no group of another one, but one of their own. */
static void test_acknowledgements(void **state)
{
    struct shape s = segment(500), bare;
    unsigned int i;

    (void)state;
    for (int same = 0; same < 2; same++) {
        coalesce_begin(&merge);
        for (i = 0; i < 16; i++) {
            bare = s;
            bare.data = 0;
            bare.port += !same;
            add(i, packet_make(i % 2 ? &bare : &s, cell(i)));
            if (i % 2 == 0)
                follow(&s);
        }
        assert_int_equal(merge.n_groups, same ? 16 : 1 + 8);
        take_out();
        assert_int_equal(n_out, 16);
        for (i = 0; same && i < 16; i++)
            assert_int_equal(out[i].len, 52 + (i % 2 ? 0 : 500));
    }
}

/* The enclave may write to a packet at any time: what was IPv4 of 20 bytes is IPv6 all at once. */
static void test_changed_meanwhile(void **state)
{
    const size_t page = (size_t)sysconf(_SC_PAGESIZE);
    uint8_t *memory =
        mmap(NULL, 2 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    uint8_t *packet = memory + page - 20;

    (void)state;
    assert_ptr_not_equal(memory, MAP_FAILED);
    assert_int_equal(mprotect(memory + page, page, PROT_NONE), 0);
    packet[0] = 0x65;
    coalesce_begin(&merge);
    coalesce_add(&merge, packet, 20, 0, BOTH);
    coalesce_add(&merge, packet, 20, 0, BOTH);
    assert_int_equal(merge.n_groups, 2);
    munmap(memory, 2 * page);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_stream),
        cmocka_unit_test(test_limits),
        cmocka_unit_test(test_differences),
        cmocka_unit_test(test_damaged),
        cmocka_unit_test(test_apart),
        cmocka_unit_test(test_not_overtaken),
        cmocka_unit_test(test_acknowledgements),
        cmocka_unit_test(test_changed_meanwhile),
    };

    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("coalesce", tests, NULL, NULL);
}

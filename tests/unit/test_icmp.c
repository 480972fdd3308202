/* "Too big": layout, checksums and what is quoted, and all the packets that get no answer. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "common/wire.h"
#include "daemon/datapath/icmp.h"

static uint8_t packet[1500], answer[ICMP_ANSWER_MAX];
static struct inner in;

/* An independent checksum: bytes one by one, in 64 bits. */
static uint16_t reference(const uint8_t *a, size_t a_len, const uint8_t *b, size_t b_len,
                          uint64_t extra)
{
    uint64_t sum = extra;
    size_t i;

    for (i = 0; i < a_len; i++)
        sum += (uint64_t)a[i] << (i % 2 ? 0 : 8);
    for (i = 0; i < b_len; i++)
        sum += (uint64_t)b[i] << (i % 2 ? 0 : 8);
    while (sum >> 16)
        sum = (sum & 0xffff) + (sum >> 16);
    return (uint16_t)sum;
}

static void fill(void)
{
    for (size_t i = 0; i < sizeof(packet); i++)
        packet[i] = (uint8_t)(i * 7 + 3);
}

/* 192.168.100.2 → 10.8.0.10, UDP, DF. */
static void make4(uint16_t total)
{
    fill();
    memset(packet, 0, 20);
    packet[0] = 0x45;
    be16_put(packet + 2, total);
    be16_put(packet + 6, 0x4000);
    packet[8] = 64;
    packet[9] = 17;
    memcpy(packet + 12, "\xc0\xa8\x64\x02\x0a\x08\x00\x0a", 8);
}

static void make6(uint16_t total, uint8_t next)
{
    fill();
    memset(packet, 0, 40);
    packet[0] = 0x60;
    be16_put(packet + 4, total - 40);
    packet[6] = next;
    packet[7] = 64;
    packet[8] = packet[24] = 0xfd;
    packet[23] = 2;
    packet[39] = 10;
}

static size_t ask(uint16_t mtu)
{
    assert_int_equal(inner_parse(packet, sizeof(packet), &in), 0);
    memset(answer, 0xee, sizeof(answer));
    return icmp_too_big(packet, &in, mtu, answer);
}

static void answers_ip4(void **state)
{
    static const uint16_t totals[] = {1400, 1329, 1401};

    (void)state;
    for (size_t i = 0; i < 3; i++) {
        make4(totals[i]);
        assert_int_equal(ask(1328), 576);
        assert_int_equal(answer[0], 0x45);
        assert_int_equal(be16_get(answer + 2), 576);
        assert_int_equal(answer[9], 1);
        assert_memory_equal(answer + 12, "\x0a\x08\x00\x0a\xc0\xa8\x64\x02", 8);
        assert_int_equal(reference(answer, 20, NULL, 0, 0), 0xffff);
        assert_int_equal(answer[20], 3);
        assert_int_equal(answer[21], 4);
        assert_int_equal(be16_get(answer + 24), 0);
        assert_int_equal(be16_get(answer + 26), 1328);
        assert_memory_equal(answer + 28, packet, 548);
        assert_int_equal(reference(answer + 20, 556, NULL, 0, 0), 0xffff);
    }
}

static void answers_ip6(void **state)
{
    (void)state;
    make6(1400, 17);
    assert_int_equal(ask(1296), 1280);
    assert_int_equal(answer[0], 0x60);
    assert_int_equal(be16_get(answer + 4), 1240);
    assert_int_equal(answer[6], 58);
    assert_memory_equal(answer + 8, packet + 24, 16);
    assert_memory_equal(answer + 24, packet + 8, 16);
    assert_int_equal(answer[40], 2);
    assert_int_equal(answer[41], 0);
    assert_int_equal(be32_get(answer + 44), 1296);
    assert_memory_equal(answer + 48, packet, 1232);
    assert_int_equal(reference(answer + 8, 32, answer + 40, 1240, 1240 + 58), 0xffff);
}

static void says_nothing_when_it_fits(void **state)
{
    (void)state;
    make4(1328);
    assert_int_equal(ask(1328), 0);
    make6(1296, 17);
    assert_int_equal(ask(1296), 0);
}

static void ip4_without_df_may_be_cut(void **state)
{
    (void)state;
    make4(1400);
    assert_false(icmp_may_fragment(packet));
    be16_put(packet + 6, 0);
    assert_true(icmp_may_fragment(packet));
    assert_int_equal(ask(1328), 0);
    make6(1400, 17);
    assert_false(icmp_may_fragment(packet));
}

static void no_answer_to_fragments(void **state)
{
    (void)state;
    make4(1400);
    be16_put(packet + 6, 0x4000 | 0x2000); /* the first fragment carries the ports: answered */
    assert_int_equal(ask(1328), 576);
    be16_put(packet + 6, 0x4000 | 100);
    assert_int_equal(ask(1328), 0);

    make6(1400, 44);
    packet[40] = 17;
    be16_put(packet + 42, 1);
    assert_int_equal(ask(1296), 1280);
    be16_put(packet + 42, 8 | 1);
    assert_int_equal(ask(1296), 0);
}

static void no_answer_to_errors(void **state)
{
    unsigned int type;

    (void)state;
    for (type = 0; type < 256; type++) {
        const bool query4 = type == 0 || (type >= 8 && type <= 10) || (type >= 13 && type <= 18);

        make4(1400);
        packet[9] = 1;
        packet[20] = (uint8_t)type;
        assert_int_equal(ask(1328) != 0, query4);
        make6(1400, 58);
        packet[40] = (uint8_t)type;
        assert_int_equal(ask(1296) != 0, type >= 128);
        /* Behind hop-by-hop options and a routing header as well. */
        make6(1400, 0);
        packet[40] = 43;
        packet[41] = 0;
        packet[48] = 58;
        packet[49] = 1;
        packet[64] = (uint8_t)type;
        assert_int_equal(ask(1296) != 0, type >= 128);
    }
}

/* Extension headers that lead out of the packet are nobody's business. */
static void no_answer_to_endless_headers(void **state)
{
    (void)state;
    make6(1400, 60);
    for (size_t i = 40; i + 8 <= 1400; i += 8) {
        packet[i] = 60;
        packet[i + 1] = 0;
    }
    assert_int_equal(ask(1296), 0);
    packet[41] = 255;
    assert_int_equal(ask(1296), 0);
    make6(1400, 44);
    be16_put(packet + 42, 0);
    packet[40] = 58;
    packet[48] = 128;
    assert_int_equal(ask(1296), 1280);
}

static void no_answer_from_or_to_many(void **state)
{
    static const uint8_t bad[][4] = {
        {224, 0, 0, 1}, {255, 255, 255, 255}, {0, 0, 0, 0}, {127, 0, 0, 1}, {169, 254, 1, 1}};

    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        make4(1400);
        memcpy(packet + 12, bad[i], 4);
        assert_int_equal(ask(1328), 0);
        make4(1400);
        memcpy(packet + 16, bad[i], 4);
        assert_int_equal(ask(1328), 0);
    }
    make6(1400, 17);
    packet[24] = 0xff;
    assert_int_equal(ask(1296), 0);
    make6(1400, 17);
    packet[8] = 0xff;
    assert_int_equal(ask(1296), 0);
    make6(1400, 17);
    memset(packet + 8, 0, 16);
    assert_int_equal(ask(1296), 0);
}

static void limited_per_source(void **state)
{
    static struct icmp_limit limit;
    const struct ip_addr a = {4, {10, 8, 0, 10}}, b = {4, {10, 8, 0, 11}};
    unsigned int i, allowed = 0;

    (void)state;
    for (i = 0; i < 1000; i++)
        allowed += icmp_limit_allows(&limit, &a, 5000 + i % 1000);
    assert_int_equal(allowed, ICMP_PER_SECOND);
    assert_true(icmp_limit_allows(&limit, &b, 5999));
    assert_true(icmp_limit_allows(&limit, &a, 6000));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(answers_ip4),
        cmocka_unit_test(answers_ip6),
        cmocka_unit_test(says_nothing_when_it_fits),
        cmocka_unit_test(ip4_without_df_may_be_cut),
        cmocka_unit_test(no_answer_to_fragments),
        cmocka_unit_test(no_answer_to_errors),
        cmocka_unit_test(no_answer_to_endless_headers),
        cmocka_unit_test(no_answer_from_or_to_many),
        cmocka_unit_test(limited_per_source),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

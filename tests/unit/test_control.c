/* Control records: what is built is what is read, and nothing but that is taken. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "common/control.h"

static struct ip_prefix routes[200];

static void fill(void)
{
    for (size_t i = 0; i < 200; i++) {
        char text[64];

        snprintf(text, sizeof(text), i % 2 ? "fd00:%zx::/32" : "10.%zu.0.0/16", i);
        assert_int_equal(ip_prefix_parse(text, &routes[i]), 0);
    }
}

static void requests(void **state)
{
    uint8_t buf[CONTROL_REQUEST_LEN], page = 0;

    (void)state;
    control_request_build(buf, 7);
    assert_true(control_is(buf, sizeof(buf)));
    assert_int_equal(control_request_parse(buf, sizeof(buf), &page), 0);
    assert_int_equal(page, 7);
    assert_int_equal(control_request_parse(buf, 15, &page), -22);
    for (size_t i = 0; i < sizeof(buf); i++) {
        control_request_build(buf, 7);
        buf[i] ^= 0x10;
        assert_int_equal(control_request_parse(buf, sizeof(buf), &page), i == 1 ? 0 : -22);
    }
    buf[0] = 0x45;
    assert_false(control_is(buf, sizeof(buf)));
    assert_false(control_is(buf, 0));
}

/* 0, 1, 63, 64 and 200 routes: as many pages as they need, each route on one of them. */
static void pages(void **state)
{
    static const struct {
        size_t n, pages, last;
    } cases[] = {{0, 1, 0}, {1, 1, 1}, {63, 1, 63}, {64, 2, 1}, {126, 2, 63}, {200, 4, 11}};

    (void)state;
    fill();
    for (size_t c = 0; c < sizeof(cases) / sizeof(cases[0]); c++) {
        size_t seen = 0;

        assert_int_equal(control_pages(cases[c].n), cases[c].pages);
        for (size_t page = 0; page < cases[c].pages; page++) {
            uint8_t buf[CONTROL_ANSWER_MAX];
            size_t len = control_answer_build(buf, routes, cases[c].n, (uint8_t)page);
            struct control_answer a;

            assert_true(len >= 16 && len <= CONTROL_ANSWER_MAX && len % 16 == 0);
            assert_true(control_is(buf, len));
            assert_int_equal(control_answer_parse(buf, len, &a), 0);
            assert_int_equal(a.page, page);
            assert_int_equal(a.pages, cases[c].pages);
            assert_int_equal(a.count, page + 1 == cases[c].pages ? cases[c].last : 63);
            for (size_t i = 0; i < a.count; i++, seen++) {
                assert_int_equal(a.routes[i].len, routes[seen].len);
                assert_true(ip_addr_equal(&a.routes[i].addr, &routes[seen].addr));
            }
        }
        assert_int_equal(seen, cases[c].n);
        assert_int_equal(control_answer_build((uint8_t[CONTROL_ANSWER_MAX]){0}, routes, cases[c].n,
                                              (uint8_t)cases[c].pages),
                         0);
    }
}

/* The layout, byte by byte, as the protocol has it. */
static void layout(void **state)
{
    static const uint8_t want[64] = {
        2,  0, 1, 2, 0,    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,             /* header */
        16, 4, 0, 0, 10,   0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, /* 10.0.0.0/16 */
        32, 6, 0, 0, 0xfd, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, /* fd00:1::/32 */
    };
    uint8_t buf[CONTROL_ANSWER_MAX];

    (void)state;
    fill();
    assert_int_equal(control_answer_build(buf, routes, 2, 0), 64);
    assert_memory_equal(buf, want, 64);
}

static void bad_answers(void **state)
{
    static const struct {
        size_t at;
        uint8_t value;
    } changes[] = {
        {0, 1},  {0, 3},    {1, 1},   {2, 0},  {3, 0},  {3, 1},  {3, 3},  {3, 64},
        {4, 1},  {15, 1},   {16, 33}, {17, 5}, {18, 1}, {19, 1}, {22, 1}, {24, 1},
        {35, 1}, {36, 129}, {36, 16}, {37, 0}, {55, 1}, {56, 1}, {63, 1},
    };
    uint8_t good[CONTROL_ANSWER_MAX], buf[CONTROL_ANSWER_MAX];
    size_t len;

    (void)state;
    fill();
    routes[1].addr.bytes[3] = 1;
    len = control_answer_build(good, routes, 2, 0);
    assert_int_equal(len, 64);
    assert_int_equal(control_answer_parse(good, len, NULL), 0);
    for (size_t i = 0; i < len; i++)
        assert_int_equal(control_answer_parse(good, i, NULL), -22);
    assert_int_equal(control_answer_parse(good, len + 16, NULL), -22);
    for (size_t i = 0; i < sizeof(changes) / sizeof(changes[0]); i++) {
        memcpy(buf, good, len);
        assert_int_not_equal(buf[changes[i].at], changes[i].value);
        buf[changes[i].at] = changes[i].value;
        if (control_answer_parse(buf, len, NULL) != -22)
            fail_msg("byte %zu = %u was taken", changes[i].at, changes[i].value);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(requests),
        cmocka_unit_test(pages),
        cmocka_unit_test(layout),
        cmocka_unit_test(bad_answers),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* Rates: what is understood, what is refused, and how they are shown. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "common/cleanup.h"
#include "common/rate.h"

static void test_parse(void **state)
{
    static const struct {
        const char *text;
        uint64_t bits;
    } good[] = {
        {"5mbit", 5000000},        {"5Mbps", 5000000},        {"640kbit", 640000},
        {"1gbit", 1000000000},     {"2.5mbit", 2500000},      {"0.064mbps", 64000},
        {"8000bit", 8000},         {"8kbps", 8000},           {"1Tbit", 1000000000000},
        {"1.000001mbit", 1000001}, {"100GBIT", 100000000000}, {"8000000000bps", 8000000000},
    };
    static const struct {
        const char *text, *words;
    } bad[] = {
        {"", "not a rate"},
        {"fast", "not a rate"},
        {"-5mbit", "not a rate"},
        {"5", "has no unit"},
        {"5.5", "has no unit"},
        {"5m", "no unit that is known"},
        {"5MB", "no unit that"},
        {"5 mbit", "no unit that"},
        {"7.9kbit", "out of range"},
        {"2tbit", "out of range"},
        {"1.1tbit", "out of range"},
        {"1.2.3mbit", "no unit that"},
        {"5.mbit", "not a rate"},
        {".5mbit", "not a rate"},
        {"1.0000001mbit", "not a rate"},
        {"99999999999999mbit", "not a rate"},
        {"0mbit", "out of range"},
    };
    struct err err;
    uint64_t bits;

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
        bits = 0;
        assert_int_equal(rate_parse(good[i].text, &bits, &err), 0);
        assert_true(bits == good[i].bits);
    }
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        bits = 7;
        assert_true(rate_parse(bad[i].text, &bits, &err) < 0);
        if (!strstr(err.msg, bad[i].words))
            fail_msg("%s: %s", bad[i].text, err.msg);
        assert_true(bits == 7);
    }
}

static void test_format(void **state)
{
    char buf[RATE_STRLEN];

    (void)state;
    assert_string_equal(rate_format(5000000, buf), "5mbit");
    assert_string_equal(rate_format(2500000, buf), "2500kbit");
    assert_string_equal(rate_format(1000000000, buf), "1gbit");
    assert_string_equal(rate_format(12345, buf), "12345bit");
    assert_string_equal(rate_format(0, buf), "0bit");
    assert_string_equal(rate_short(4969000, buf), "4.97 Mbit/s");
    assert_string_equal(rate_short(12340000, buf), "12.3 Mbit/s");
    assert_string_equal(rate_short(999999, buf), "1000 kbit/s");
    assert_string_equal(rate_short(123456789, buf), "123 Mbit/s");
    assert_string_equal(rate_short(17, buf), "17 bit/s");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_parse),
        cmocka_unit_test(test_format),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* common/value: words to checked values, and the words that are none. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <net/if.h>
#include <sodium.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/value.h"

static void test_numbers(void **state)
{
    static const char *const bad[] = {"",    "-1",  "+5", "05",         "5 ",
                                      "0x5", "5.0", "11", "4294967296", "99999999999999999999",
                                      "five"};
    uint32_t n = 77;
    bool b = false;

    (void)state;
    assert_int_equal(value_uint("0", 0, 10, &n, NULL), 0);
    assert_int_equal(n, 0);
    assert_int_equal(value_uint("4294967295", 0, UINT32_MAX, &n, NULL), 0);
    assert_int_equal(n, UINT32_MAX);
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
        assert_int_equal(value_uint(bad[i], 1, 10, &n, NULL), -EINVAL);
    assert_int_equal(n, UINT32_MAX);

    assert_int_equal(value_bool("True", &b, NULL), 0);
    assert_true(b);
    assert_int_equal(value_bool("false", &b, NULL), 0);
    assert_false(b);
    assert_int_equal(value_bool("yes", &b, NULL), -EINVAL);
    assert_int_equal(value_bool("tRUE", &b, NULL), -EINVAL);
}

static void test_durations(void **state)
{
    static const struct {
        const char *text;
        uint32_t seconds;
    } good[] = {{"30s", 30}, {"5m", 300}, {"1h", 3600}, {"2d", 172800}, {"90m", 5400}};
    static const char *const bad[] = {"",    "s",  "30", "1w",  "1.5h", "1h30m",
                                      "-1s", "0s", "4d", " 1h", "01h",  "4294967295d"};
    struct err err;
    uint32_t n;
    char buf[16];

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
        assert_int_equal(value_duration(good[i].text, 1, 3 * 86400, &n, NULL), 0);
        assert_int_equal(n, good[i].seconds);
    }
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
        assert_int_equal(value_duration(bad[i], 1, 3 * 86400, &n, NULL), -EINVAL);
    value_duration("30", 1, 86400, &n, &err);
    assert_string_equal(err.msg, "\"30\" has no unit (write 30s, or use m, h, d)");
    assert_string_equal(value_duration_format(0, buf), "0s");
    assert_string_equal(value_duration_format(90, buf), "90s");
    assert_string_equal(value_duration_format(7200, buf), "2h");
    assert_string_equal(value_duration_format(UINT32_MAX, buf), "4294967295s");
}

static void test_dates(void **state)
{
    static const struct {
        const char *text;
        uint64_t end; /* date -u -d "TEXT + 1 day" +%s */
    } good[] = {{"1970-01-01", 86400},      {"2000-02-29", 951868800},   {"2024-02-29", 1709251200},
                {"2026-12-31", 1798761600}, {"2027-01-31", 1801440000},  {"2100-02-28", 4107542400},
                {"2100-03-01", 4107628800}, {"9999-12-31", 253402300800}};
    static const char *const bad[] = {"",           "2027",       "2027-1-31",  "2027-02-29",
                                      "2100-02-29", "2027-13-01", "2027-00-10", "2027-04-31",
                                      "2027-01-00", "1969-12-31", "2027/01/31", " 2027-01-31",
                                      "2027-01-3x", "+027-01-31", "2027-01-31 "};
    uint64_t end = 7;

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
        assert_int_equal(value_date(good[i].text, &end, NULL), 0);
        assert_int_equal(end, good[i].end);
    }
    end = 7;
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
        assert_int_equal(value_date(bad[i], &end, NULL), -EINVAL);
    assert_int_equal(end, 7);
}

static void test_marks_and_uids(void **state)
{
    static const struct {
        const char *text;
        uint32_t value, mask;
    } good[] = {{"7", 7, UINT32_MAX},
                {"0x1/0xff", 1, 0xff},
                {"0xdeadBEEF", 0xdeadbeef, UINT32_MAX},
                {"1/3", 1, 3},
                {"0/0x1", 0, 1},
                {"0xffffffff/0xffffffff", UINT32_MAX, UINT32_MAX}};
    static const char *const bad[] = {"",    "0x",  "0xg",   "0x123456789", "1/",        "/1",
                                      "1/0", "2/1", "1/2/3", "0X1",         "-1",        "07",
                                      " 7",  "7 ",  "x",     "1/0x",        "4294967296"};
    static const char *const bad_uids[] = {"",    "-",          "5-", "-5",           "6-5",
                                           "0x5", "4294967295", "a",  "5-4294967295", "1-2-3"};
    struct value_mark mark;
    struct value_span uids = {1, 2};

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
        assert_int_equal(value_mark(good[i].text, &mark, NULL), 0);
        assert_int_equal(mark.value, good[i].value);
        assert_int_equal(mark.mask, good[i].mask);
    }
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
        assert_int_equal(value_mark(bad[i], &mark, NULL), -EINVAL);
    for (size_t i = 0; i < ARRAY_SIZE(bad_uids); i++)
        assert_int_equal(value_uids(bad_uids[i], &uids, NULL), -EINVAL);
    assert_int_equal(uids.last, 2);
    assert_int_equal(value_uids("0-4294967294", &uids, NULL), 0);
    assert_int_equal(uids.first, 0);
    assert_int_equal(uids.last, UINT32_MAX - 1);
    assert_int_equal(value_uids("1101", &uids, NULL), 0);
    assert_int_equal(uids.last, 1101);
}

static void test_names(void **state)
{
    static const char *const devices[] = {"tun0", "a", "fifteen-letters", "eth0.5", "\xc3\xa4"};
    static const char *const bad_devices[] = {
        "", "sixteen-letters.", "a/b", "a b", "a:b", "tun%d", ".", "..", "a\tb", "\x7f"};
    char out[IFNAMSIZ];

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(devices) - 1; i++) {
        assert_int_equal(value_device(devices[i], out, NULL), 0);
        assert_string_equal(out, devices[i]);
    }
    assert_int_equal(value_device(devices[4], out, NULL), -EINVAL);
    for (size_t i = 0; i < ARRAY_SIZE(bad_devices); i++)
        assert_int_equal(value_device(bad_devices[i], out, NULL), -EINVAL);

    assert_int_equal(value_name("office-1.x_Y", NULL), 0);
    assert_int_equal(value_name(".hidden", NULL), -EINVAL);
    assert_int_equal(value_name("a/b", NULL), -EINVAL);
    assert_int_equal(value_name("", NULL), -EINVAL);
    assert_int_equal(value_path("/a/b", true, 4, NULL), 0);
    assert_int_equal(value_path("/a/b", true, 3, NULL), -EINVAL);
    assert_int_equal(value_path("a/b", true, 100, NULL), -EINVAL);
    assert_int_equal(value_path("a/b", false, 100, NULL), 0);
    assert_int_equal(value_path("/", true, 100, NULL), 0);
    assert_int_equal(value_path("/a/", true, 100, NULL), -EINVAL);
    assert_int_equal(value_path("/a\nb", true, 100, NULL), -EINVAL);
    assert_int_equal(value_path("", false, 100, NULL), -EINVAL);
}

static void test_endpoints(void **state)
{
    static const struct {
        const char *text, *host;
        uint16_t port;
    } good[] = {
        {"vpn.example.org:51820", "vpn.example.org", 51820},
        {"localhost:1", "localhost", 1},
        {"10.0.0.1:65535", "10.0.0.1", 65535},
        {"[fd08::1]:51820", "fd08::1", 51820},
        {"4you.example:5", "4you.example", 5},
    };
    static const char *const bad[] = {"vpn.example.org",
                                      "vpn.example.org:",
                                      "vpn.example.org:0",
                                      "vpn.example.org:65536",
                                      ":51820",
                                      "fd08::1",
                                      "fd08::1:51820",
                                      "[fd08::1]",
                                      "[10.0.0.1]:5",
                                      "[vpn.example.org]:5",
                                      "a..b:5",
                                      "-a.b:5",
                                      "a-.b:5",
                                      "10.8.0.300:5",
                                      "1234:5",
                                      "a b:5",
                                      "a.:5",
                                      "a:05",
                                      "[]:5",
                                      "a/b:5"};
    char host[VALUE_HOST_MAX + 1], label[80];
    uint16_t port;

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
        assert_int_equal(value_endpoint(good[i].text, host, &port, NULL), 0);
        assert_string_equal(host, good[i].host);
        assert_int_equal(port, good[i].port);
    }
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        if (value_endpoint(bad[i], host, &port, NULL) != -EINVAL)
            fail_msg("%s was accepted", bad[i]);
    }
    memset(label, 'a', sizeof(label));
    memcpy(label + 63, ".b:5", 5);
    assert_int_equal(value_endpoint(label, NULL, NULL, NULL), 0);
    memcpy(label + 63, "a.b:5", 6);
    assert_int_equal(value_endpoint(label, NULL, NULL, NULL), -EINVAL);
}

static void test_ranges(void **state)
{
    static const char *const bad[] = {"10.8.0.1",          "10.8.0.1-",
                                      "-10.8.0.1",         "10.8.0.1 - 10.8.0.2",
                                      "10.8.0.2-10.8.0.1", "10.8.0.1-fd08::1",
                                      "10.8.0.0/24",       ""};
    struct ip_endpoint ep;
    struct ip_prefix prefix;
    struct ip_range range;

    (void)state;
    assert_int_equal(value_range("fd08::10-fd08::ffff", &range, NULL), 0);
    assert_int_equal(range.last.bytes[14], 0xff);
    assert_int_equal(value_range("10.8.0.1-10.8.0.1", &range, NULL), 0);
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
        assert_int_equal(value_range(bad[i], &range, NULL), -EINVAL);
    assert_int_equal(value_prefix("10.8.0.1/24", &prefix, NULL), 0);
    assert_int_equal(prefix.addr.bytes[3], 1);
    assert_int_equal(value_prefix("10.8.0.1", &prefix, NULL), -EINVAL);
    assert_int_equal(value_listen("[::]:51820", &ep, NULL), 0);
    assert_int_equal(ep.addr.family, 6);
    assert_int_equal(value_listen("::51820", &ep, NULL), -EINVAL);
    assert_int_equal(value_listen("localhost:51820", &ep, NULL), -EINVAL);
    assert_int_equal(value_listen("[fe80::1]:51820", &ep, NULL), -EINVAL);
    assert_int_equal(value_listen("255.255.255.255:1", &ep, NULL), -EINVAL);
}

/* libsodium is the judge: what its X25519 refuses as a peer, the configuration refuses too. */
static void test_low_order_keys(void **state)
{
    static const char *const low[] = {
        "0000000000000000000000000000000000000000000000000000000000000000",
        "0100000000000000000000000000000000000000000000000000000000000000",
        "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
        "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
    };
    static const char good[] = "hSDwCYkwp1R0i33ctD73Wg2/Og0mOBr066SpjqqbTmo=";
    static const uint8_t scalar[32] = {8, 1, 2, 3, 4};
    uint8_t point[32], shared[32], out[32];

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(low); i++) {
        assert_int_equal(sodium_hex2bin(point, 32, low[i], 64, NULL, NULL, NULL), 0);
        assert_int_equal(crypto_scalarmult(shared, scalar, point), -1);
        assert_int_equal(value_key(low[i], out, NULL), -EINVAL);
    }
    assert_int_equal(value_key(good, out, NULL), 0);
    assert_int_equal(crypto_scalarmult(shared, scalar, out), 0);
    assert_int_equal(value_key("abc", out, NULL), -EINVAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_numbers), cmocka_unit_test(test_durations),
        cmocka_unit_test(test_dates),   cmocka_unit_test(test_marks_and_uids),
        cmocka_unit_test(test_names),   cmocka_unit_test(test_endpoints),
        cmocka_unit_test(test_ranges),  cmocka_unit_test(test_low_order_keys),
    };

    return cmocka_run_group_tests_name("value", tests, NULL, NULL);
}

/* Addresses, prefixes, endpoints: text, order, arithmetic, containment. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/ip.h"
#include "tests/unit/expect.h"

static struct ip_addr addr(const char *text)
{
    struct ip_addr a;

    assert_int_equal(ip_addr_parse(text, &a), 0);
    return a;
}

static void test_addr_text(void **state)
{
    /* The right-hand side is RFC 5952's form. */
    static const char *const good[][2] = {
        {"10.8.0.1", "10.8.0.1"},
        {"0.0.0.0", "0.0.0.0"},
        {"255.255.255.255", "255.255.255.255"},
        {"FD08::0001", "fd08::1"},
        {"2001:db8:0:0:1:0:0:1", "2001:db8::1:0:0:1"},
        {"2001:0db8::0:0001", "2001:db8::1"},
        {"::", "::"},
        {"::ffff:10.0.0.1", "::ffff:10.0.0.1"},
    };
    static const char *const bad[] = {
        "",          "10.8.0",     "10.8.0.256",   "10.8.0.01",   "0x0a.1.1.1", "10.8.0.1 ",
        " 10.8.0.1", "fd08::1::2", "fe80::1%eth0", "10.8.0.1/24", "localhost"};
    char buf[IP_ADDR_STRLEN];

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
        struct ip_addr a = addr(good[i][0]);

        assert_string_equal(ip_addr_format(&a, buf), good[i][1]);
    }
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        struct ip_addr a = {.family = 9};

        assert_int_equal(ip_addr_parse(bad[i], &a), -EINVAL);
        assert_int_equal(a.family, 9);
    }
    assert_string_equal(ip_addr_format(&(struct ip_addr){0}, buf), "none");
}

static void test_prefix_text(void **state)
{
    static const char *const bad[] = {"10.8.0.1/33", "10.8.0.1/",     "10.8.0.1/024",
                                      "10.8.0.1/-1", "10.8.0.1/ 8",   "fd08::1/129",
                                      "/24",         "10.8.0.1/24/8", "10.8.0.1/0x8",
                                      "fd08::1/1000"};
    char buf[IP_PREFIX_STRLEN];
    struct ip_prefix p = prefix("10.8.0.1/24");

    (void)state;
    assert_string_equal(ip_prefix_format(&p, buf), "10.8.0.1/24");
    p = prefix("10.8.0.1");
    assert_int_equal(p.len, 32);
    p = prefix("fd08::1");
    assert_int_equal(p.len, 128);
    p = prefix("::/0");
    assert_int_equal(p.len, 0);
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
        assert_int_equal(ip_prefix_parse(bad[i], &p), -EINVAL);
}

static void test_endpoint_text(void **state)
{
    struct ip_endpoint ep = {.addr = addr("10.0.0.1"), .port = 51820};
    char buf[IP_ENDPOINT_STRLEN];

    (void)state;
    assert_string_equal(ip_endpoint_format(&ep, buf), "10.0.0.1:51820");
    ep.addr = addr("fe80::1");
    assert_string_equal(ip_endpoint_format(&ep, buf), "[fe80::1]:51820");
    ep.scope = 3;
    assert_string_equal(ip_endpoint_format(&ep, buf), "[fe80::1%3]:51820");

    /* The longest there is must fit its buffer. */
    ep = (struct ip_endpoint){.addr.family = 6, .port = 65535, .scope = UINT32_MAX};
    memset(ep.addr.bytes, 0xff, 16);
    assert_string_equal(ip_endpoint_format(&ep, buf),
                        "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff%4294967295]:65535");
}

static void test_order(void **state)
{
    static const char *const sorted[] = {"0.0.0.0", "9.255.255.255", "10.0.0.0", "255.0.0.1",
                                         "::",      "::1",           "fd08::1",  "fd08::1:0"};

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(sorted); i++) {
        for (size_t j = 0; j < ARRAY_SIZE(sorted); j++) {
            struct ip_addr a = addr(sorted[i]), b = addr(sorted[j]);
            int order = ip_addr_cmp(&a, &b);

            assert_int_equal((order > 0) - (order < 0), (i > j) - (i < j));
            assert_int_equal(ip_addr_equal(&a, &b), i == j);
        }
    }
}

static void test_add(void **state)
{
    struct ip_addr a = ip_addr_add(addr("10.8.0.255"), 1);
    char buf[IP_ADDR_STRLEN];

    (void)state;
    assert_string_equal(ip_addr_format(&a, buf), "10.8.1.0");
    a = ip_addr_add(addr("255.255.255.255"), 2);
    assert_string_equal(ip_addr_format(&a, buf), "0.0.0.1");
    a = ip_addr_add(addr("fd08::ffff:ffff"), 1);
    assert_string_equal(ip_addr_format(&a, buf), "fd08::1:0:0");
    a = ip_addr_add(addr("fd08::"), UINT32_MAX);
    assert_string_equal(ip_addr_format(&a, buf), "fd08::ffff:ffff");
    a = ip_addr_add(addr("10.0.0.1"), 0);
    assert_string_equal(ip_addr_format(&a, buf), "10.0.0.1");
}

static void test_network(void **state)
{
    static const char *const cases[][2] = {
        {"10.8.77.1/24", "10.8.77.0/24"},      {"10.8.77.255/20", "10.8.64.0/20"},
        {"10.8.77.1/32", "10.8.77.1/32"},      {"10.8.77.1/0", "0.0.0.0/0"},
        {"fd08:1:2:3::9/61", "fd08:1:2::/61"}, {"ffff::1/1", "8000::/1"},
    };
    char buf[IP_PREFIX_STRLEN];

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct ip_prefix p = ip_prefix_network(prefix(cases[i][0]));

        assert_string_equal(ip_prefix_format(&p, buf), cases[i][1]);
    }
}

static void test_contains(void **state)
{
    static const struct {
        const char *prefix, *addr;
        bool inside;
    } cases[] = {
        {"10.8.0.1/24", "10.8.0.255", true}, {"10.8.0.1/24", "10.8.1.0", false},
        {"10.8.0.0/23", "10.8.1.255", true}, {"0.0.0.0/0", "1.2.3.4", true},
        {"0.0.0.0/0", "::1", false},         {"::/0", "1.2.3.4", false},
        {"fd08::/64", "fd08::1", true},      {"fd08::/65", "fd08:0:0:0:8000::", false},
        {"10.8.0.1/32", "10.8.0.1", true},   {"10.8.0.1/32", "10.8.0.0", false},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct ip_prefix p = prefix(cases[i].prefix);
        struct ip_addr a = addr(cases[i].addr);

        assert_int_equal(ip_prefix_contains(&p, &a), cases[i].inside);
    }
    assert_false(ip_prefix_contains(&(struct ip_prefix){0}, &(struct ip_addr){0}));
}

static void test_overlaps(void **state)
{
    static const struct {
        const char *a, *b;
        bool overlap;
    } cases[] = {
        {"10.0.0.0/8", "10.8.0.0/24", true},    {"10.8.0.0/24", "10.8.1.0/24", false},
        {"0.0.0.0/0", "10.8.1.0/24", true},     {"0.0.0.0/0", "::/0", false},
        {"10.8.0.7/24", "10.8.0.200/25", true},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct ip_prefix a = prefix(cases[i].a), b = prefix(cases[i].b);

        assert_int_equal(ip_prefix_overlaps(&a, &b), cases[i].overlap);
        assert_int_equal(ip_prefix_overlaps(&b, &a), cases[i].overlap);
    }
}

static void test_unicast(void **state)
{
    static const char *const good[] = {
        "10.8.0.1",        "1.0.0.0",         "223.255.255.255", "240.0.0.1",   "192.168.0.1",
        "169.253.255.255", "255.255.255.254", "fd08::1",         "2001:db8::1", "::2",
        "fec0::1",         "64:ff9b::1.2.3.4"};
    static const char *const bad[] = {"0.0.0.0",
                                      "0.1.2.3",
                                      "127.0.0.1",
                                      "127.255.255.255",
                                      "224.0.0.1",
                                      "239.255.255.255",
                                      "255.255.255.255",
                                      "169.254.1.1",
                                      "::",
                                      "::1",
                                      "ff02::1",
                                      "fe80::1",
                                      "febf::1",
                                      "::ffff:10.0.0.1"};

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
        struct ip_addr a = addr(good[i]);

        if (!ip_addr_is_unicast(&a))
            fail_msg("%s was refused", good[i]);
    }
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        struct ip_addr a = addr(bad[i]);

        if (ip_addr_is_unicast(&a))
            fail_msg("%s was accepted", bad[i]);
    }
    assert_false(ip_addr_is_unicast(&(struct ip_addr){0}));
}

static void test_sockaddr(void **state)
{
    struct ip_endpoint in = {.addr = addr("10.1.2.3"), .port = 51820}, out;
    struct sockaddr_storage ss;

    (void)state;
    assert_int_equal(ip_endpoint_to_sockaddr(&in, &ss), sizeof(struct sockaddr_in));
    assert_int_equal(ss.ss_family, AF_INET);
    assert_memory_equal((const char *)&ss + 2, "\xca\x6c\x0a\x01\x02\x03", 6);
    assert_int_equal(ip_endpoint_from_sockaddr(&ss, &out), 0);
    assert_true(ip_endpoint_equal(&in, &out));

    in = (struct ip_endpoint){.addr = addr("fe80::9"), .port = 1, .scope = 7};
    assert_int_equal(ip_endpoint_to_sockaddr(&in, &ss), sizeof(struct sockaddr_in6));
    assert_int_equal(ip_endpoint_from_sockaddr(&ss, &out), 0);
    assert_true(ip_endpoint_equal(&in, &out));
    out.scope = 8;
    assert_false(ip_endpoint_equal(&in, &out));

    ss.ss_family = AF_UNIX;
    assert_int_equal(ip_endpoint_from_sockaddr(&ss, &out), -EAFNOSUPPORT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_addr_text),     cmocka_unit_test(test_prefix_text),
        cmocka_unit_test(test_endpoint_text), cmocka_unit_test(test_order),
        cmocka_unit_test(test_add),           cmocka_unit_test(test_network),
        cmocka_unit_test(test_contains),      cmocka_unit_test(test_overlaps),
        cmocka_unit_test(test_unicast),       cmocka_unit_test(test_sockaddr),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

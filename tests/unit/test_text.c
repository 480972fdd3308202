/* Strict UTF-8, escaping, did-you-mean; and the one-error sentence. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "common/cleanup.h"
#include "common/err.h"
#include "common/text.h"

static void test_utf8(void **state)
{
    static const struct {
        const char *bytes;
        size_t len;
        uint32_t code;
    } good[] = {
        {"A", 1, 0x41},
        {"\x7f", 1, 0x7f},
        {"\xc2\x80", 2, 0x80},
        {"\xdf\xbf", 2, 0x7ff},
        {"\xe0\xa0\x80", 3, 0x800},
        {"\xed\x9f\xbf", 3, 0xd7ff},
        {"\xee\x80\x80", 3, 0xe000},
        {"\xf0\x90\x80\x80", 4, 0x10000},
        {"\xf4\x8f\xbf\xbf", 4, 0x10ffff},
    };
    /* Lone and missing continuations, overlong forms, surrogates, beyond the end, old 5-byte form.
     */
    static const char *const bad[] = {"\x80",
                                      "\xbf",
                                      "\xc2",
                                      "\xc2\x41",
                                      "\xc0\xaf",
                                      "\xc1\xbf",
                                      "\xe0\x9f\xbf",
                                      "\xed\xa0\x80",
                                      "\xed\xbf\xbf",
                                      "\xf0\x8f\xbf\xbf",
                                      "\xf4\x90\x80\x80",
                                      "\xf8\x88\x80\x80\x80",
                                      "\xe2\x82",
                                      "\xff"};
    uint32_t code;

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
        assert_int_equal(utf8_decode((const uint8_t *)good[i].bytes, strlen(good[i].bytes), &code),
                         good[i].len);
        assert_int_equal(code, good[i].code);
    }
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
        assert_int_equal(utf8_decode((const uint8_t *)bad[i], strlen(bad[i]), &code), 0);
}

static void test_escape(void **state)
{
    const char *in = "a\t\xc3\xa4\x01\xe2\x80\xae\xc2\x85\xfe";
    char out[TEXT_ESCAPED_MAX(32)];

    (void)state;
    assert_int_equal(text_escape(out, in),
                     strlen("a\\x09\xc3\xa4\\x01\\xe2\\x80\\xae\\xc2\\x85\\xfe"));
    assert_string_equal(out, "a\\x09\xc3\xa4\\x01\\xe2\\x80\\xae\\xc2\\x85\\xfe");
    assert_int_equal(text_escape(out, ""), 0);
    assert_string_equal(out, "");
}

static void test_nearest(void **state)
{
    static const char *const names[] = {"max-clients", "realm", "warning", "listen", "key", NULL};
    static const char *const cases[][2] = {
        {"max-client", "max-clients"}, {"maxclients", "max-clients"}, {"raelm", "realm"},
        {"Listen", "listen"},          {"warn", "warning"},           {"kye", "key"},
        {"lisetn", "listen"},
    };
    static const char *const far[] = {"qos", "k",
                                      "",    "identity",
                                      "mtu", "a-word-that-is-far-too-long-to-be-a-slip"};

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
        assert_string_equal(text_nearest(cases[i][0], names), cases[i][1]);
    for (size_t i = 0; i < ARRAY_SIZE(far); i++)
        assert_null(text_nearest(far[i], names));
}

static void test_err(void **state)
{
    char longer[1024];
    struct err err;

    (void)state;
    assert_int_equal(err_set(&err, -5, "no %s", "device"), -5);
    assert_string_equal(err.msg, "no device");
    assert_int_equal(err_prefix(&err, -5, "%s: ", "tun0"), -5);
    assert_string_equal(err.msg, "tun0: no device");
    assert_int_equal(err_set(NULL, -1, "nobody listens"), -1);
    assert_int_equal(err_prefix(NULL, -1, "nobody listens"), -1);

    memset(longer, 'x', sizeof(longer) - 1);
    longer[sizeof(longer) - 1] = '\0';
    err_set(&err, -1, "%s", longer);
    assert_int_equal(strlen(err.msg), sizeof(err.msg) - 1);
    err_prefix(&err, -1, "ab");
    assert_int_equal(strlen(err.msg), sizeof(err.msg) - 1);
    assert_memory_equal(err.msg, "abxx", 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_utf8),
        cmocka_unit_test(test_escape),
        cmocka_unit_test(test_nearest),
        cmocka_unit_test(test_err),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

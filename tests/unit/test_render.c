/* What vpnctl prints: hostile text, alignment, numbers, times. */
#include <errno.h>
#include <locale.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "client/render.h"
#include "common/cleanup.h"

static void assert_bytes(uint64_t bytes, const char *text)
{
    char buf[RENDER_NUMBER_LEN];

    assert_string_equal(render_bytes(bytes, buf), text);
}

static void test_bytes(void **state)
{
    (void)state;
    assert_bytes(0, "0 B");
    assert_bytes(1023, "1023 B");
    assert_bytes(1024, "1.00 KiB");
    assert_bytes(1500, "1.46 KiB");
    assert_bytes(10235, "10.0 KiB");
    assert_bytes(102348, "99.9 KiB");
    assert_bytes(102400, "100 KiB");
    assert_bytes(1048575, "1.00 MiB"); /* never "1024 KiB" */
    assert_bytes(1ULL << 30, "1.00 GiB");
    assert_bytes(3ULL << 40, "3.00 TiB");
    assert_bytes(UINT64_MAX, "16.0 EiB");
}

static void assert_duration(int64_t seconds, const char *text)
{
    char buf[RENDER_NUMBER_LEN];

    assert_string_equal(render_duration(seconds, buf), text);
}

static void test_duration(void **state)
{
    (void)state;
    assert_duration(-5, "0 s");
    assert_duration(0, "0 s");
    assert_duration(59, "59 s");
    assert_duration(60, "1 min");
    assert_duration(303, "5 min 3 s");
    assert_duration(3600, "1 h");
    assert_duration(3659, "1 h"); /* two units at most, and never "1 h 59 s" */
    assert_duration(3660, "1 h 1 min");
    assert_duration(187200, "2 d 4 h");
    assert_duration(INT64_MAX, "106751991167300 d 15 h");
}

static void test_time(void **state)
{
    static const char *const bad[] = {
        "",
        "2026-11-22",
        "2026-11-22T03:10:49",
        "2026-11-22T03:10:49Z ",
        " 2026-11-22T03:10:49Z",
        "2026-11-22T03:10:49z",
        "2026-11-22 03:10:49Z",
        "2026-11-22T03:10:49+01:00",
        "2026-1-22T03:10:49Z",
        "2026-02-30T03:10:49Z",
        "2026-13-01T03:10:49Z",
        "2026-11-22T24:10:49Z",
    };
    int64_t seconds = 0;

    (void)state;
    assert_int_equal(render_time_parse("1970-01-01T00:00:00Z", &seconds), 0);
    assert_int_equal(seconds, 0);
    assert_int_equal(render_time_parse("2026-11-22T03:10:49Z", &seconds), 0);
    assert_int_equal(seconds, 1795317049);
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        seconds = 7;
        assert_int_equal(render_time_parse(bad[i], &seconds), -EINVAL);
        assert_int_equal(seconds, 7);
    }
}

static void test_width(void **state)
{
    (void)state;
    assert_int_equal(render_width(""), 0);
    assert_int_equal(render_width("alice"), 5);
    assert_int_equal(render_width("M\xc3\xbcller"), 6);
    assert_int_equal(render_width("e\xcc\x81t"), 2);               /* a combining accent */
    assert_int_equal(render_width("\xe6\x9d\xb1\xe4\xba\xac"), 4); /* two wide characters */
    assert_int_equal(render_width("\xff\xfe"), 2);
}

/* What a table prints, to be freed. */
static char *printed(struct render_table *table, bool color)
{
    char *text = NULL;
    size_t len;
    FILE *out = open_memstream(&text, &len);

    assert_int_equal(render_table_print(table, out, color), 0);
    fclose(out);
    render_table_free(table);
    return text;
}

static void test_table(void **state)
{
    static const char *const titles[] = {"USER", "SENT", "STATE"};
    struct render_table *table = render_table_new(titles, 3, 1U << 1);
    char *text;

    (void)state;
    render_table_cell(table, RENDER_STYLE_PLAIN, "alice");
    render_table_cell(table, RENDER_STYLE_PLAIN, "%d B", 7);
    render_table_cell(table, RENDER_STYLE_GOOD, "online");
    render_table_cell(table, RENDER_STYLE_PLAIN, "J\xc3\xb6rg");
    render_table_cell(table, RENDER_STYLE_PLAIN, "1.00 MiB");
    render_table_cell(table, RENDER_STYLE_DIM, "-");
    text = printed(table, false);
    assert_string_equal(text, "USER       SENT  STATE\n"
                              "alice       7 B  online\n"
                              "J\xc3\xb6rg   1.00 MiB  -\n");
    free(text);
}

static void test_table_hostile_text(void **state)
{
    struct render_table *table = render_table_new(NULL, 2, 0);
    char *text;

    (void)state;
    /* A new line, a colour, a change of direction, a C1 control, broken UTF-8: shown, not obeyed.
     */
    render_table_cell(table, RENDER_STYLE_PLAIN, "a\nb\033[31m");
    render_table_cell(table, RENDER_STYLE_PLAIN, "x");
    render_table_cell(table, RENDER_STYLE_PLAIN,
                      "\xe2\x80\xae"
                      "c\xc2\x9b");
    render_table_cell(table, RENDER_STYLE_PLAIN, "\xff\x7f");
    text = printed(table, false);
    assert_string_equal(text, "a\\x0ab\\x1b[31m         x\n"
                              "\\xe2\\x80\\xaec\\xc2\\x9b  \\xff\\x7f\n");
    free(text);
}

static void test_table_color(void **state)
{
    struct render_table *table = render_table_new(NULL, 2, 0);
    char *text;

    (void)state;
    render_table_cell(table, RENDER_STYLE_GOOD, "up");
    render_table_cell(table, RENDER_STYLE_PLAIN, "x");
    render_table_cell(table, RENDER_STYLE_BAD, "down");
    render_table_cell(table, RENDER_STYLE_BOLD, "y");
    text = printed(table, true);
    /* The codes take no room: columns line up as without them. */
    assert_string_equal(text, "\033[32mup\033[0m    x\n"
                              "\033[31mdown\033[0m  \033[1my\033[0m\n");
    free(text);
}

static void test_text_and_json(void **state)
{
    json_t *json = json_pack("{s:s, s:i}", "user", "J\xc3\xb6rg\xe2\x80\xae\n", "n", 3);
    char *text = NULL;
    size_t len;
    FILE *out = open_memstream(&text, &len);

    (void)state;
    render_text(out, false, RENDER_STYLE_BAD, "no \033]0;title\007");
    putc('\n', out);
    assert_int_equal(render_json(out, json), 0);
    fclose(out);
    assert_string_equal(text, "no \\x1b]0;title\\x07\n"
                              "{\n"
                              "  \"user\": \"J\\u00F6rg\\u202E\\n\",\n"
                              "  \"n\": 3\n"
                              "}\n");
    json_decref(json);
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bytes),       cmocka_unit_test(test_duration),
        cmocka_unit_test(test_time),        cmocka_unit_test(test_width),
        cmocka_unit_test(test_table),       cmocka_unit_test(test_table_hostile_text),
        cmocka_unit_test(test_table_color), cmocka_unit_test(test_text_and_json),
    };

    if (!setlocale(LC_CTYPE, "C.UTF-8"))
        return 77;
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* Collecting pushed routes: order, losses, changes on the way, refusals. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "client/pushed.h"

static struct control_answer answer(uint8_t page, uint8_t pages, uint8_t count, uint8_t seed)
{
    struct control_answer a = {.page = page, .pages = pages, .count = count};

    for (uint8_t i = 0; i < count; i++)
        a.routes[i] = (struct ip_prefix){{4, {10, page, seed, i}}, 32};
    return a;
}

static int take(struct pushed *p, uint8_t page, uint8_t pages, uint8_t count, uint8_t seed)
{
    struct control_answer a = answer(page, pages, count, seed);

    return pushed_answer(p, &a);
}

static void assert_asks(struct pushed *p, uint64_t now, int page)
{
    uint8_t asked = 0;

    if (page < 0) {
        assert_false(pushed_due(p, now, &asked));
        return;
    }
    assert_true(pushed_due(p, now, &asked));
    assert_int_equal(asked, page);
}

static void in_order(void **state)
{
    struct pushed p = {0};
    struct ip_prefix routes[200];
    size_t refused;

    (void)state;
    assert_asks(&p, 5000, -1);
    pushed_begin(&p);
    assert_asks(&p, 5000, 0);
    assert_asks(&p, 5500, -1);
    assert_asks(&p, 6000, 0); /* lost: again after a second */
    assert_int_equal(take(&p, 0, 3, 63, 1), 0);
    assert_false(pushed_take_over(&p));
    assert_asks(&p, 6001, 1);
    assert_int_equal(take(&p, 1, 3, 63, 1), 0);
    assert_asks(&p, 6002, 2);
    assert_int_equal(take(&p, 2, 3, 5, 1), 0);
    assert_asks(&p, 99999, -1);
    assert_true(pushed_take_over(&p));
    assert_false(pushed_take_over(&p));
    assert_int_equal(pushed_count(&p), 131);
    assert_int_equal(pushed_copy(&p, routes, &refused), 131);
    assert_int_equal(refused, 0);
    assert_int_equal(routes[130].addr.bytes[1], 2);

    /* A new session hears the same: nothing to do. */
    pushed_begin(&p);
    for (uint8_t page = 0; page < 3; page++) {
        assert_asks(&p, 200000, page);
        assert_int_equal(take(&p, page, 3, page < 2 ? 63 : 5, 1), 0);
    }
    assert_false(pushed_take_over(&p));
    pushed_clear(&p);
    assert_int_equal(pushed_count(&p), 0);
}

static void none(void **state)
{
    struct pushed p = {0};

    (void)state;
    pushed_begin(&p);
    assert_int_equal(take(&p, 0, 1, 0, 0), 0);
    assert_asks(&p, 99999, -1);
    assert_true(pushed_take_over(&p));
    assert_int_equal(pushed_count(&p), 0);
    pushed_clear(&p);
}

/* A page that comes unasked: the others are asked for again, even if it is as it was. */
static void unasked(void **state)
{
    struct pushed p = {0};

    (void)state;
    pushed_begin(&p);
    take(&p, 0, 2, 63, 1);
    take(&p, 1, 2, 2, 1);
    assert_true(pushed_take_over(&p));
    assert_int_equal(take(&p, 0, 2, 63, 1), 0);
    assert_asks(&p, 1000, 1);
    assert_int_equal(take(&p, 1, 2, 3, 9), 0);
    assert_true(pushed_take_over(&p));
    assert_int_equal(pushed_count(&p), 66);
    /* Another number of pages. */
    assert_int_equal(take(&p, 0, 1, 4, 3), 0);
    assert_true(pushed_take_over(&p));
    assert_int_equal(pushed_count(&p), 4);
    pushed_clear(&p);
}

/* The routes change between two pages: what was collected before is heard again. */
static void changed_on_the_way(void **state)
{
    struct pushed p = {0};

    (void)state;
    pushed_begin(&p);
    take(&p, 0, 3, 63, 1);
    take(&p, 1, 3, 63, 1);
    assert_int_equal(take(&p, 0, 3, 63, 2), 0);
    assert_asks(&p, 1, 1);
    take(&p, 1, 3, 63, 2);
    take(&p, 2, 3, 1, 2);
    assert_true(pushed_take_over(&p));
    assert_int_equal(pushed_count(&p), 127);
    pushed_clear(&p);
}

static void refusals(void **state)
{
    static const char *const texts[] = {"127.0.0.0/8", "127.1.0.0/16", "224.0.0.0/4", "fe80::/64",
                                        "::1/128",     "ff00::/8",     "10.0.0.0/8",  "0.0.0.0/0"};
    struct control_answer a = {.pages = 1, .count = 8};
    struct ip_prefix routes[8];
    struct pushed p = {0};
    size_t refused;

    (void)state;
    for (size_t i = 0; i < 8; i++)
        assert_int_equal(ip_prefix_parse(texts[i], &a.routes[i]), 0);
    pushed_begin(&p);
    assert_int_equal(pushed_answer(&p, &a), 0);
    assert_int_equal(pushed_copy(&p, routes, &refused), 2);
    assert_int_equal(refused, 6);
    assert_int_equal(routes[0].len, 8);
    assert_int_equal(routes[1].len, 0);
    assert_int_equal(take(&p, 0, PUSHED_PAGES_MAX + 1, 63, 1), -E2BIG);
    assert_asks(&p, 99999, -1);
    pushed_clear(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(in_order),           cmocka_unit_test(none),     cmocka_unit_test(unasked),
        cmocka_unit_test(changed_on_the_way), cmocka_unit_test(refusals),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

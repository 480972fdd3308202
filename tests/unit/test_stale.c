/* client/stale: which STALE is believed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "client/stale.h"

#define T0 50000ULL

/* Ten packets a second, looked at once a second. */
static struct stale after_seconds(unsigned int seconds)
{
    struct stale s = {0};

    stale_reset(&s, T0);
    for (unsigned int i = 1; i <= seconds; i++)
        stale_sample(&s, 10 * i, T0 + 1000 * i);
    return s;
}

static void test_recent(void **state)
{
    struct stale s = after_seconds(20);

    (void)state;
    /* The oldest sample is 5 s old: 150 packets had been sent then. */
    assert_false(stale_heed(&s, 149, 200, T0 + 20000));
    assert_false(stale_heed(&s, 200, 200, T0 + 20000));
    assert_false(stale_heed(&s, UINT64_MAX, 200, T0 + 20000));
    assert_true(stale_heed(&s, 199, 200, T0 + 20000));
    s = after_seconds(20);
    assert_true(stale_heed(&s, 150, 200, T0 + 20000));
}

static void test_rate(void **state)
{
    struct stale s = after_seconds(20);

    (void)state;
    assert_true(stale_heed(&s, 190, 200, T0 + 20000));
    assert_false(stale_heed(&s, 191, 200, T0 + 20001));
    assert_false(stale_heed(&s, 191, 200, T0 + 24999));
    assert_true(stale_heed(&s, 191, 200, T0 + 25000));
}

/* A refused one does not use up the turn of one that is to be believed. */
static void test_refused_costs_nothing(void **state)
{
    struct stale s = after_seconds(20);

    (void)state;
    assert_false(stale_heed(&s, 3, 200, T0 + 20000));
    assert_true(stale_heed(&s, 195, 200, T0 + 20001));
}

static void test_first_packet(void **state)
{
    struct stale s = {0};

    (void)state;
    stale_reset(&s, T0);
    assert_false(stale_heed(&s, 0, 0, T0 + 1));
    assert_true(stale_heed(&s, 0, 1, T0 + 1));
}

/* A restarted server's notice takes its turn with the answers, and resets with the session. */
static void test_unasked(void **state)
{
    struct stale s = after_seconds(20);

    (void)state;
    assert_true(stale_heed_unasked(&s, T0 + 20000));
    assert_false(stale_heed_unasked(&s, T0 + 20900));
    assert_false(stale_heed(&s, 199, 200, T0 + 21000));
    assert_true(stale_heed_unasked(&s, T0 + 25000));
    stale_reset(&s, T0 + 25100);
    assert_true(stale_heed_unasked(&s, T0 + 25200));
}

/* A pause of the process: what is older than it counts as old. */
static void test_late_sample(void **state)
{
    struct stale s = after_seconds(3);

    (void)state;
    stale_sample(&s, 40, T0 + 3000 + 60000);
    assert_false(stale_heed(&s, 39, 41, T0 + 64000));
    assert_true(stale_heed(&s, 40, 41, T0 + 64000));
    stale_sample(&s, 99, T0 + 3000 + 60999);
    assert_int_equal(s.next[0], 40);
}

static void test_new_session(void **state)
{
    struct stale s = after_seconds(20);

    (void)state;
    stale_reset(&s, T0 + 20000);
    assert_true(stale_heed(&s, 0, 5, T0 + 20100));
    assert_false(stale_heed(&s, 150, 5, T0 + 26000));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_recent),
        cmocka_unit_test(test_rate),
        cmocka_unit_test(test_refused_costs_nothing),
        cmocka_unit_test(test_first_packet),
        cmocka_unit_test(test_unasked),
        cmocka_unit_test(test_late_sample),
        cmocka_unit_test(test_new_session),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

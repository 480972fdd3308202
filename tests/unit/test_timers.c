/* client/timers: retries, pauses, and what a session's age and silence call for. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "client/timers.h"

#define T0 1000000ULL /* the session begins */

static struct session_times fresh(void)
{
    return (struct session_times){
        .started = T0,
        .rekey_at = T0 + 115000,
        .last_rx = T0,
        .last_tx = T0,
        .last_ping = T0,
        .keepalive_ms = 25000,
    };
}

static void test_answer(void **state)
{
    (void)state;
    assert_int_equal(timers_answer_ms(0), 5000);
    assert_int_equal(timers_answer_ms(333), 5333);
    assert_int_equal(timers_answer_ms(334), 5000);
}

static void test_pause(void **state)
{
    (void)state;
    assert_int_equal(timers_pause_ms(0, 0, 0), 0);
    assert_int_equal(timers_pause_ms(89999, 0, 0), 0);
    assert_int_equal(timers_pause_ms(90000, 0, 0), 5000);
    assert_int_equal(timers_pause_ms(90000, 1, 0), 10000);
    assert_int_equal(timers_pause_ms(90000, 2, 0), 20000);
    assert_int_equal(timers_pause_ms(90000, 3, 0), 40000);
    assert_int_equal(timers_pause_ms(90000, 4, 0), 60000);
    assert_int_equal(timers_pause_ms(UINT64_MAX, UINT32_MAX, 0), 60000);
    /* Jitter takes off up to a quarter, never adds. */
    for (uint32_t random = 0; random < 100000; random += 17) {
        assert_in_range(timers_pause_ms(90000, 9, random), 45000, 60000);
        assert_in_range(timers_rekey_ms(random), 110000, 120000);
    }
    assert_int_equal(timers_pause_ms(90000, 9, 15000), 45000);
}

/* A server that ends sessions is asked again at once; one that ends them all, rarely. */
static void test_ended(void **state)
{
    uint64_t hour = 0;
    uint32_t logins = 0;

    (void)state;
    for (uint32_t n = 0; n <= 5; n++)
        assert_int_equal(timers_ended_ms(n, 0), 1000);
    assert_int_equal(timers_ended_ms(6, 0), 2000);
    assert_int_equal(timers_ended_ms(7, 0), 4000);
    assert_int_equal(timers_ended_ms(11, 0), 45000);
    assert_int_equal(timers_ended_ms(UINT32_MAX, 0), 45000);
    for (uint32_t random = 0; random < 100000; random += 17) {
        assert_in_range(timers_ended_ms(1, random), 1000, 1333);
        assert_in_range(timers_ended_ms(99, random), 45000, 60000);
    }
    for (; hour < 3600000; logins++)
        hour += timers_ended_ms(logins, 0);
    assert_in_range(logins, 80, 100);
}

/* One that lasted makes up for those before it, also when it was lost without a word. */
static void test_cut_short(void **state)
{
    uint32_t n = 0;

    (void)state;
    for (uint32_t i = 1; i <= 9; i++) {
        n = timers_cut_short(n, 59999, true);
        assert_int_equal(n, i);
    }
    assert_int_equal(timers_cut_short(n, 59999, false), 9);
    n = timers_cut_short(n, 60000, false);
    assert_int_equal(n, 0);
    assert_int_equal(timers_cut_short(n, 10, true), 1);
    assert_int_equal(timers_cut_short(9, 60000, true), 0);
    assert_int_equal(timers_cut_short(UINT32_MAX, 0, true), UINT32_MAX);
}

static void test_quiet_session(void **state)
{
    struct session_times s = fresh();

    (void)state;
    assert_int_equal(session_due(&s, T0), 0);
    assert_int_equal(session_due(&s, T0 + 24999), 0);
    assert_int_equal(session_due(&s, T0 + 25000), SESSION_PING);
    /* Asked for, and not sent yet: not again at once. */
    s.last_ping = T0 + 25000;
    assert_int_equal(session_due(&s, T0 + 25999), 0);
    assert_int_equal(session_due(&s, T0 + 26000), SESSION_PING);
    s.last_tx = T0 + 26000;
    assert_int_equal(session_due(&s, T0 + 50999), 0);
}

static void test_age(void **state)
{
    struct session_times s = fresh();

    (void)state;
    s.keepalive_ms = 1000000;
    assert_int_equal(session_due(&s, T0 + 114999), 0);
    assert_int_equal(session_due(&s, T0 + 115000), SESSION_LOGIN);
    assert_int_equal(session_due(&s, T0 + 179999), SESSION_LOGIN);
    assert_int_equal(session_due(&s, T0 + 180000), SESSION_OVER);
    s.packets = (1ULL << 31) - 1;
    assert_int_equal(session_due(&s, T0 + 1), 0);
    s.packets++;
    assert_int_equal(session_due(&s, T0 + 1), SESSION_LOGIN);
}

static void test_unanswered(void **state)
{
    struct session_times s = fresh();

    (void)state;
    s.unanswered_since = T0 + 2000;
    s.last_tx = T0 + 11000;
    assert_int_equal(session_due(&s, T0 + 11999), 0);
    assert_int_equal(session_due(&s, T0 + 12000), SESSION_PING);
    /* One PING per silence. */
    s.last_ping = T0 + 12000;
    assert_int_equal(session_due(&s, T0 + 16999), 0);
    assert_int_equal(session_due(&s, T0 + 17000), SESSION_LOGIN);
    s.unanswered_since = 0;
    assert_int_equal(session_due(&s, T0 + 17000), 0);
}

static void test_stale(void **state)
{
    struct session_times s = fresh();

    (void)state;
    s.stale_at = T0 + 5000;
    s.last_tx = T0 + 5000;
    assert_int_equal(session_due(&s, T0 + 5999), 0);
    assert_int_equal(session_due(&s, T0 + 6000), SESSION_LOGIN);
    /* The server is there after all. */
    s.last_rx = T0 + 5001;
    assert_int_equal(session_due(&s, T0 + 6000), 0);
}

/* The lanes' clock may be a moment ahead of the main thread's. */
static void test_clock_ahead(void **state)
{
    struct session_times s = fresh();

    (void)state;
    s.last_tx = s.last_rx = s.unanswered_since = T0 + 10;
    assert_int_equal(session_due(&s, T0 + 5), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_answer),        cmocka_unit_test(test_pause),
        cmocka_unit_test(test_ended),         cmocka_unit_test(test_cut_short),
        cmocka_unit_test(test_quiet_session), cmocka_unit_test(test_age),
        cmocka_unit_test(test_unanswered),    cmocka_unit_test(test_stale),
        cmocka_unit_test(test_clock_ahead),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

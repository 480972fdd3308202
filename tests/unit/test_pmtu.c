/* The search for a path's MTU, on simulated paths of every size, with and without loss. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "daemon/datapath/pmtu.h"

static struct pmtu p;
static uint64_t now, sent, bytes;
static unsigned int seed;

static uint16_t min16(uint16_t a, uint16_t b)
{
    return a < b ? a : b;
}

/* Runs until the search rests.  The path carries plaintexts up to @carries; @loss in 100. */
static void run(uint16_t carries, unsigned int loss, uint64_t delay)
{
    struct {
        uint64_t at, id;
    } under_way[64];
    size_t n = 0;
    uint16_t sizes[PMTU_ROUND];

    for (unsigned int steps = 0; p.due_ms != PMTU_NEVER && p.due_ms < now + 9000; steps++) {
        size_t count, i;

        assert_true(steps < 100000);
        count = pmtu_send(&p, now, sizes);
        for (i = 0; i < count; i++) {
            assert_int_equal(sizes[i] % 16, 0);
            assert_in_range(sizes[i], 1280, 1920);
            sent++;
            bytes += sizes[i];
            if (sizes[i] > carries || (unsigned int)(rand_r(&seed) % 100) < loss)
                continue;
            assert_true(n < 64);
            under_way[n].at = now + delay;
            under_way[n++].id = pmtu_id(&p, sizes[i]);
        }
        now += 10;
        for (i = 0; i < n;) {
            if (under_way[i].at > now) {
                i++;
                continue;
            }
            pmtu_answer(&p, under_way[i].id);
            under_way[i] = under_way[--n];
        }
        assert_true(p.whole <= p.mtu && p.limit <= p.mtu);
        assert_true(p.limit >= 1280 && p.whole <= p.limit);
        assert_true(p.whole <= carries);
    }
}

static void begin(uint16_t mtu)
{
    memset(&p, 0, sizeof(p));
    sent = bytes = 0;
    pmtu_begin(&p, mtu, 0x123456789abcdef0, true, now);
}

static void a_wide_path_costs_one_probe(void **state)
{
    (void)state;
    begin(1400);
    assert_int_equal(p.whole, 0); /* until it is known, everything may be cut */
    assert_int_equal(p.limit, 1400);
    run(1920, 0, 50);
    assert_int_equal(p.whole, 1400);
    assert_int_equal(p.limit, 1400);
    assert_int_equal(sent, 1);
    assert_int_equal(p.due_ms, PMTU_NEVER);
}

/* Every MTU that may be agreed, every path: the largest multiple of 16 that passes is found. */
static void finds_the_largest_size(void **state)
{
    (void)state;
    for (uint16_t mtu = 1280; mtu <= 1920; mtu++) {
        for (uint16_t carries = 1280; carries <= 1936; carries++) {
            const uint64_t began = now;

            begin(mtu);
            run(carries, 0, 20);
            assert_int_equal(p.whole, min16(carries & ~15, mtu));
            assert_int_equal(p.limit, p.whole);
            assert_true(now - began <= 3600);
            assert_true(sent <= 2 + 3 * 2 * PMTU_ROUND);
        }
    }
}

/* What passes is never overrated, and a lost probe or two do not underrate it. */
static void survives_loss(void **state)
{
    unsigned int exact = 0;

    (void)state;
    for (unsigned int i = 1; i <= 2000; i++) {
        seed = i * 2654435761U;
        begin(1400);
        run(1328, 5, 20);
        exact += p.whole == 1328;
    }
    assert_true(exact >= 1900);
}

static void late_answers_still_count(void **state)
{
    (void)state;
    begin(1400);
    run(1920, 0, 700); /* longer than the wait */
    assert_int_equal(p.whole, 1400);
    assert_true(sent <= 2 + PMTU_ROUND);
    begin(1400);
    while (p.due_ms != PMTU_NEVER && now < 100000000 && p.again_ms == 0) {
        uint16_t sizes[PMTU_ROUND];

        pmtu_send(&p, now, sizes);
        now += 100;
    }
    assert_int_equal(p.whole, 0);
    pmtu_answer(&p, pmtu_id(&p, 1408)); /* after the search had ended without one */
    assert_int_equal(p.whole, 1400);
    assert_int_equal(p.limit, 1400);
}

/* Nobody answers: all may be cut; inside 1280 is told only when that happens again. */
static void a_narrow_path(void **state)
{
    uint32_t again = 0;

    (void)state;
    begin(1400);
    run(1264, 0, 20);
    assert_int_equal(p.whole, 0);
    assert_int_equal(p.limit, 1400);
    for (int i = 0; i < 8; i++) {
        assert_true(p.again_ms >= again);
        assert_true(p.again_ms <= PMTU_AGAIN_MAX_MS);
        again = p.again_ms;
        assert_int_equal(p.due_ms >= now + again - 10, 1);
        now = p.due_ms;
        run(1264, 0, 20);
        assert_int_equal(p.whole, 0);
        assert_int_equal(p.limit, 1280);
    }
    assert_int_equal(again, PMTU_AGAIN_MAX_MS);
    /* It widens: the next search says so. */
    now = p.due_ms;
    run(1392, 0, 20);
    assert_int_equal(p.whole, 1392);
    assert_int_equal(p.due_ms, PMTU_NEVER);
}

/* A renewed session measures the same path: what was found stays in force until it is wrong. */
static void a_later_search_keeps_what_is_known(void **state)
{
    (void)state;
    begin(1400);
    run(1328, 0, 20);
    pmtu_begin(&p, 1400, 0xfedcba9876543210, false, now);
    assert_int_equal(p.whole, 1328);
    assert_int_equal(p.limit, 1328);
    run(1328, 0, 20);
    assert_int_equal(p.limit, 1328);
    pmtu_begin(&p, 1400, 0x1111111111111111, false, now);
    run(1328, 100, 20); /* nobody there for a moment: nothing is told to anybody */
    assert_int_equal(p.whole, 0);
    assert_int_equal(p.limit, 1328);
    pmtu_begin(&p, 1400, 0x2222222222222222, false, now);
    run(1400 + 8, 0, 20);
    assert_int_equal(p.limit, 1400);
    pmtu_begin(&p, 1300, 0x3333333333333333, false, now);
    assert_int_equal(p.whole, 0); /* another MTU was agreed */
    assert_int_equal(p.limit, 1300);
}

/* A peer that changes its path all the time makes one search a second of it. */
static void searches_are_a_second_apart(void **state)
{
    const uint64_t began = now;
    uint16_t sizes[PMTU_ROUND];

    (void)state;
    begin(1400);
    for (; now < began + 10000; now += 10) {
        if (pmtu_send(&p, now, sizes) > 0) {
            sent++;
            pmtu_answer(&p, pmtu_id(&p, sizes[0]));
        }
        if (p.due_ms == PMTU_NEVER)
            pmtu_begin(&p, 1400, now << 20, true, now);
    }
    assert_int_equal(sent, 10);
}

static void foreign_answers_change_nothing(void **state)
{
    struct pmtu before;

    (void)state;
    begin(1400);
    pmtu_begin(&p, 1400, 0, true, now);
    assert_true(p.base != 0);
    before = p;
    pmtu_answer(&p, 0);
    pmtu_answer(&p, 1408);                           /* no base */
    pmtu_answer(&p, pmtu_id(&p, 1408) ^ 1ULL << 40); /* another search */
    pmtu_answer(&p, pmtu_id(&p, 1424));              /* larger than any */
    pmtu_answer(&p, pmtu_id(&p, 1264));
    pmtu_answer(&p, pmtu_id(&p, 1300)); /* no multiple of 16 */
    pmtu_answer(&p, pmtu_id(&p, 0xffff));
    assert_memory_equal(&before, &p, sizeof(p));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_wide_path_costs_one_probe),
        cmocka_unit_test(finds_the_largest_size),
        cmocka_unit_test(survives_loss),
        cmocka_unit_test(late_answers_still_count),
        cmocka_unit_test(a_narrow_path),
        cmocka_unit_test(a_later_search_keeps_what_is_known),
        cmocka_unit_test(searches_are_a_second_apart),
        cmocka_unit_test(foreign_answers_change_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* The replay window against an oracle that remembers every counter in a plain bitmap. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "common/wire.h"
#include "enclave/replay.h"

#define STEPS      10000000
#define ORACLE_MAX (1ULL << 27)

static uint64_t random_state = 0x9e3779b97f4a7c15;

/* xorshift64: the same numbers in every run, so that a failure can be repeated. */
static uint64_t random_next(void)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return random_state;
}

struct oracle {
    uint8_t *seen; /* a bit per counter, never cleared */
    uint64_t last;
    bool any;
};

static bool oracle_commit(struct oracle *o, uint64_t counter)
{
    if (o->any && counter <= o->last && o->last - counter >= 8128)
        return false;
    if (o->seen[counter / 8] & (1U << (counter % 8)))
        return false;
    o->seen[counter / 8] |= (uint8_t)(1U << (counter % 8));
    if (!o->any || counter > o->last)
        o->last = counter;
    o->any = true;
    return true;
}

/* Mostly near the top, sometimes a jump ahead, sometimes far behind. */
static uint64_t counter_next(const struct oracle *o)
{
    uint64_t r = random_next();
    uint64_t back = (r >> 8) % 9000;

    switch (r % 1024) {
    case 0: /* a jump that may leave the whole window behind */
        return o->last + (r >> 10) % 20000;
    case 1:
        return o->last > back ? (r >> 8) % o->last : 0;
    default:
        if (r % 4 == 0)
            return o->last + 1 + (r >> 8) % 3;
        return o->last > back ? o->last - back : 0;
    }
}

static void against_oracle(void **state)
{
    struct oracle o = {.seen = calloc(ORACLE_MAX / 8, 1)};
    uint64_t accepted = 0, refused = 0;
    struct replay w;

    (void)state;
    assert_non_null(o.seen);
    replay_init(&w);
    for (int i = 0; i < STEPS; i++) {
        uint64_t counter = counter_next(&o);
        bool check = replay_check(&w, counter);
        bool got = replay_commit(&w, counter);

        if (counter >= ORACLE_MAX || check != got || got != oracle_commit(&o, counter))
            fail_msg("step %d, counter %llu, last %llu", i, (unsigned long long)counter,
                     (unsigned long long)o.last);
        if (got)
            accepted++;
        else
            refused++;
    }
    free(o.seen);
    /* Neither side of the comparison may have been idle. */
    assert_true(accepted > STEPS / 10);
    assert_true(refused > STEPS / 10);
}

static void big_jumps(void **state)
{
    struct replay w;

    (void)state;
    for (uint64_t jump = 1; jump < 40000; jump += 61) {
        replay_init(&w);
        for (uint64_t c = 0; c < 8200; c++)
            assert_true(replay_commit(&w, c));
        assert_true(replay_commit(&w, 8199 + jump));
        /* What was committed stays so while it is in the window, what was skipped is free. */
        for (uint64_t back = 0; back < 8128; back += 7) {
            uint64_t c = 8199 + jump - back;

            assert_int_equal(replay_check(&w, c), c > 8199 && back > 0);
        }
    }
}

static void boundaries(void **state)
{
    struct replay w;

    (void)state;
    replay_init(&w);
    assert_true(replay_commit(&w, 0)); /* counter 0 is valid, once */
    assert_false(replay_commit(&w, 0));
    assert_true(replay_commit(&w, REPLAY_WINDOW));
    assert_false(replay_check(&w, 0));
    assert_true(replay_commit(&w, 1)); /* last - 1 = 8127: the oldest that is let in */
    assert_false(replay_commit(&w, 1));
    assert_true(replay_commit(&w, REPLAY_WINDOW + 1));
    assert_false(replay_check(&w, 1));
    assert_true(replay_check(&w, 2));

    /* A first counter in the middle of a word, then the ones below it. */
    replay_init(&w);
    assert_true(replay_commit(&w, 100));
    for (uint64_t c = 0; c < 100; c++)
        assert_true(replay_commit(&w, c));
    for (uint64_t c = 0; c <= 100; c++)
        assert_false(replay_check(&w, c));

    /* The highest counters there are: nothing overflows. */
    assert_true(replay_commit(&w, UINT64_MAX));
    assert_false(replay_commit(&w, UINT64_MAX));
    assert_true(replay_commit(&w, UINT64_MAX - 8127));
    assert_false(replay_commit(&w, UINT64_MAX - 8128));
}

/*
 * The cases of WireGuard's own test (selftest/counter.c of its kernel module).  WIDEST is what it
 * calls the window: the greatest distance from the newest counter that is still let in.
 */
#define WIDEST ((uint64_t)REPLAY_WINDOW - 1)
#define LIM    (WIDEST + 1)

/* As the receiver does it: counters above the limit are refused before the window sees them. */
static void wg(struct replay *w, unsigned int line, uint64_t counter, bool want)
{
    if ((counter < WIRE_COUNTER_LIMIT && replay_commit(w, counter)) != want)
        fail_msg("line %u: %llu, %s expected", line, (unsigned long long)counter,
                 want ? "accepted" : "refused");
}

static void wireguard_cases(void **state)
{
    const uint64_t end = WIRE_COUNTER_LIMIT;
    const struct {
        uint64_t counter;
        bool want;
    } steps[] = {
        {0, true},
        {1, true},
        {1, false},
        {9, true},
        {8, true},
        {7, true},
        {7, false},
        {LIM, true},
        {LIM - 1, true},
        {LIM - 1, false},
        {LIM - 2, true},
        {2, true},
        {2, false},
        {LIM + 16, true},
        {3, false},
        {LIM + 16, false},
        {LIM * 4, true},
        {LIM * 4 - (LIM - 1), true},
        {10, false},
        {LIM * 4 - LIM, false},
        {LIM * 4 - (LIM + 1), false},
        {LIM * 4 - (LIM - 2), true},
        {LIM * 4 + 1 - LIM, false},
        {0, false},
        {end, false},
        {end - 1, true},
        {end, false},
        {end - 1, false},
        {end - 2, true},
        {end + 1, false},
        {end + 2, false},
        {end - 2, false},
        {end - 3, true},
        {0, false},
    };
    struct replay w;

    (void)state;
    replay_init(&w);
    for (unsigned int i = 0; i < sizeof(steps) / sizeof(*steps); i++)
        wg(&w, i + 1, steps[i].counter, steps[i].want);
}

/* Whole windows, upwards and downwards, and what stands at their ends. */
static void wireguard_windows(void **state)
{
    struct replay w;
    uint64_t i;

    (void)state;
    replay_init(&w);
    for (i = 1; i <= WIDEST; i++)
        wg(&w, __LINE__, i, true);
    wg(&w, __LINE__, 0, true);
    wg(&w, __LINE__, 0, false);

    replay_init(&w);
    for (i = 2; i <= WIDEST + 1; i++)
        wg(&w, __LINE__, i, true);
    wg(&w, __LINE__, 1, true);
    wg(&w, __LINE__, 0, false);

    replay_init(&w);
    for (i = WIDEST + 1; i-- > 0;)
        wg(&w, __LINE__, i, true);

    replay_init(&w);
    for (i = WIDEST + 2; i-- > 1;)
        wg(&w, __LINE__, i, true);
    wg(&w, __LINE__, 0, false);

    replay_init(&w);
    for (i = WIDEST + 1; i-- > 1;)
        wg(&w, __LINE__, i, true);
    wg(&w, __LINE__, WIDEST + 1, true);
    wg(&w, __LINE__, 0, false);

    replay_init(&w);
    for (i = WIDEST + 1; i-- > 1;)
        wg(&w, __LINE__, i, true);
    wg(&w, __LINE__, 0, true);
    wg(&w, __LINE__, WIDEST + 1, true);
}

static void check_changes_nothing(void **state)
{
    struct replay w, before;

    (void)state;
    replay_init(&w);
    assert_true(replay_commit(&w, 5000));
    before = w;
    assert_true(replay_check(&w, 1000000));
    assert_false(replay_check(&w, 5000));
    assert_false(replay_commit(&w, 5000));
    assert_memory_equal(&w, &before, sizeof(w));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(against_oracle),    cmocka_unit_test(wireguard_cases),
        cmocka_unit_test(wireguard_windows), cmocka_unit_test(big_jumps),
        cmocka_unit_test(boundaries),        cmocka_unit_test(check_changes_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* Admission against a plain model: tokens that are counted, and sources in an endless list. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include <sodium.h>

#include "daemon/admission.h"

#define SOURCES 64

static struct admission a;

static int setup(void **state)
{
    (void)state;
    admission_init(&a);
    return 0;
}

static void source_number(uint32_t n, uint8_t source[ADMISSION_SOURCE_LEN])
{
    memset(source, 0, ADMISSION_SOURCE_LEN);
    memcpy(source, &n, sizeof(n));
}

/* ---- the model: a token is worth as many microseconds as it takes to grow ---- */

struct tokens {
    uint64_t worth_us, most_us, level_us;
};

static void tokens_grow(struct tokens *t, uint64_t us)
{
    t->level_us += us;
    if (t->level_us > t->most_us)
        t->level_us = t->most_us;
}

static bool tokens_take(struct tokens *t)
{
    if (t->level_us < t->worth_us)
        return false;
    t->level_us -= t->worth_us;
    return true;
}

static enum admission_verdict model(struct tokens *budget, struct tokens *source, bool proven,
                                    uint32_t queued)
{
    const bool load = queued >= 64 || budget->level_us < budget->worth_us;

    if (load && !proven)
        return ADMISSION_COOKIE;
    if (load && source->level_us < source->worth_us)
        return ADMISSION_SOURCE;
    if (load && queued >= 192)
        return ADMISSION_QUEUE;
    tokens_take(budget);
    if (load)
        tokens_take(source);
    return ADMISSION_FORWARD;
}

static void against_model(void **state)
{
    struct tokens budget = {4000, 500 * 4000, 500 * 4000}, sources[SOURCES];
    unsigned int seen[4] = {0};
    uint64_t now_ms = 1000;

    (void)state;
    srand(11);
    for (int i = 0; i < SOURCES; i++)
        sources[i] = (struct tokens){50000, 5 * 50000, 5 * 50000};
    for (int i = 0; i < 400000; i++) {
        const uint32_t n = (uint32_t)rand() % ((rand() & 1) ? 4 : SOURCES);
        const bool proven = rand() % 3 == 0;
        const uint32_t queued = (rand() & 7) ? (uint32_t)rand() % 80 : (uint32_t)rand() % 256;
        /* Mostly a flood; now and then a pause in which all buckets fill. */
        const uint64_t step = rand() % 5000 == 0 ? 3000 : (uint64_t)(rand() % 3 == 0);
        uint8_t source[ADMISSION_SOURCE_LEN];
        enum admission_verdict want;

        now_ms += step;
        tokens_grow(&budget, step * 1000);
        for (int j = 0; j < SOURCES; j++)
            tokens_grow(&sources[j], step * 1000);
        want = model(&budget, &sources[n], proven, queued);
        source_number(n, source);
        assert_int_equal(admission_decide(&a, source, proven, queued, now_ms), want);
        seen[want]++;
    }
    /* The model has been everywhere. */
    for (int i = 0; i < 4; i++)
        assert_true(seen[i] > 400);
}

/* ---- exact numbers ---- */

/* Ten thousand a second for ten seconds, each from elsewhere: what is not shown gets the budget. */
static void forged_flood(void **state)
{
    uint8_t source[ADMISSION_SOURCE_LEN];
    unsigned int forwarded = 0, cookies = 0;

    (void)state;
    for (uint32_t i = 0; i < 100000; i++) {
        enum admission_verdict verdict;

        source_number(i, source);
        verdict = admission_decide(&a, source, false, 0, 5000 + i / 10);
        forwarded += verdict == ADMISSION_FORWARD;
        cookies += verdict == ADMISSION_COOKIE;
    }
    assert_int_equal(forwarded, 500 + 2499);
    assert_int_equal(cookies, 100000 - forwarded);

    /* Meanwhile a client that has its cookie passes, and forgers left no trace in the table. */
    source_number(7, source);
    for (int i = 0; i < 5; i++)
        assert_int_equal(admission_decide(&a, source, true, 0, 14999), ADMISSION_FORWARD);
    assert_int_equal(admission_decide(&a, source, true, 0, 14999), ADMISSION_SOURCE);
    for (int i = 0; i < ADMISSION_SETS * ADMISSION_WAYS; i++)
        if (a.source[i / ADMISSION_WAYS][i % ADMISSION_WAYS].tag)
            forwarded++;
    assert_int_equal(forwarded, 500 + 2499 + 1);
}

/* Fifty clients behind one address who come back at once are no attack. */
static void many_behind_one_address(void **state)
{
    uint8_t source[ADMISSION_SOURCE_LEN];

    (void)state;
    source_number(1, source);
    for (uint32_t i = 0; i < 100; i++)
        assert_int_equal(admission_decide(&a, source, false, i % 64, 1000), ADMISSION_FORWARD);
}

static void source_bucket(void **state)
{
    uint8_t source[ADMISSION_SOURCE_LEN];
    uint64_t now_ms = 1000;
    int forwarded = 0;

    (void)state;
    source_number(1, source);
    for (int i = 0; i < 10000; i++) /* ten seconds, one each millisecond */
        forwarded += admission_decide(&a, source, true, 64, now_ms++) == ADMISSION_FORWARD;
    assert_int_equal(forwarded, 5 + 199);

    /* A full queue takes nothing out of the bucket. */
    now_ms += 10000;
    for (int i = 0; i < 100; i++)
        assert_int_equal(admission_decide(&a, source, true, 192, now_ms), ADMISSION_QUEUE);
    for (int i = 0; i < 5; i++)
        assert_int_equal(admission_decide(&a, source, true, 191, now_ms), ADMISSION_FORWARD);
    assert_int_equal(admission_decide(&a, source, true, 191, now_ms), ADMISSION_SOURCE);
}

/* More sources than places: the table stays, and who is in it and spent stays spent. */
static void table_is_bounded(void **state)
{
    uint8_t source[ADMISSION_SOURCE_LEN];
    int forwarded = 0;

    (void)state;
    for (uint32_t i = 0; i < 200000; i++) {
        source_number(i, source);
        assert_int_equal(admission_decide(&a, source, true, 64, 1000), ADMISSION_FORWARD);
    }
    /* Of the last hundred most are still known: four more each, not five. */
    for (uint32_t i = 199900; i < 200000; i++) {
        source_number(i, source);
        for (int j = 0; j < 6; j++)
            forwarded += admission_decide(&a, source, true, 64, 1000) == ADMISSION_FORWARD;
    }
    assert_in_range(forwarded, 400, 500);
}

static void source_names(void **state)
{
    struct ip_addr x = {4, {192, 0, 2, 1}}, y = {4, {192, 0, 2, 2}};
    uint8_t first[ADMISSION_SOURCE_LEN], second[ADMISSION_SOURCE_LEN];

    (void)state;
    admission_source(&x, first);
    admission_source(&y, second);
    assert_memory_not_equal(first, second, sizeof(first));

    /* The same bytes in the other family are somebody else. */
    x.family = 6;
    admission_source(&x, second);
    assert_memory_not_equal(first, second, sizeof(first));

    /* IPv6: the /64 is one source. */
    y = x;
    y.bytes[15] = 9;
    y.bytes[8] = 9;
    admission_source(&y, first);
    assert_memory_equal(first, second, sizeof(first));
    y.bytes[7] = 9;
    admission_source(&y, first);
    assert_memory_not_equal(first, second, sizeof(first));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(against_model, setup),
        cmocka_unit_test_setup(forged_flood, setup),
        cmocka_unit_test_setup(many_behind_one_address, setup),
        cmocka_unit_test_setup(source_bucket, setup),
        cmocka_unit_test_setup(table_is_bounded, setup),
        cmocka_unit_test(source_names),
    };

    return sodium_init() < 0 ? 1 : cmocka_run_group_tests(tests, NULL, NULL);
}

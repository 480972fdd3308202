/* Quiescence: nothing is given up while a reader that could have seen it is still inside. */
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "common/epoch.h"

static struct epoch epoch;

static int reset(void **state)
{
    (void)state;
    memset(&epoch, 0, sizeof(epoch));
    epoch.readers = 3;
    return 0;
}

static void test_nobody_inside(void **state)
{
    struct epoch_snapshot then;

    (void)state;
    epoch_snapshot(&epoch, &then);
    assert_true(epoch_passed(&epoch, &then));
    epoch.readers = 0;
    assert_true(epoch_passed(&epoch, &then));
}

static void test_inside_holds(void **state)
{
    struct epoch_snapshot then;
    uint32_t i;

    (void)state;
    for (i = 0; i < 3; i++) {
        epoch_enter(&epoch, i);
        epoch_snapshot(&epoch, &then);
        assert_false(epoch_passed(&epoch, &then));
        assert_false(epoch_passed(&epoch, &then));
        epoch_leave(&epoch, i);
        assert_true(epoch_passed(&epoch, &then));
    }
}

/* Whoever came in after the snapshot cannot have seen what was unpublished before it. */
static void test_late_readers_do_not_hold(void **state)
{
    struct epoch_snapshot then;

    (void)state;
    epoch_snapshot(&epoch, &then);
    epoch_enter(&epoch, 0);
    assert_true(epoch_passed(&epoch, &then));

    epoch_snapshot(&epoch, &then);
    epoch_leave(&epoch, 0);
    epoch_enter(&epoch, 0); /* it was outside meanwhile, though nobody looked */
    assert_true(epoch_passed(&epoch, &then));
}

static void test_all_must_pass(void **state)
{
    struct epoch_snapshot then;

    (void)state;
    epoch_enter(&epoch, 0);
    epoch_enter(&epoch, 2);
    epoch_snapshot(&epoch, &then);
    epoch_leave(&epoch, 0);
    assert_false(epoch_passed(&epoch, &then));
    epoch_leave(&epoch, 2);
    assert_true(epoch_passed(&epoch, &then));
}

static void test_counter_wraps(void **state)
{
    struct epoch_snapshot then;

    (void)state;
    atomic_store(&epoch.reader[1].count, UINT64_MAX - 1);
    epoch_enter(&epoch, 1);
    epoch_snapshot(&epoch, &then);
    assert_false(epoch_passed(&epoch, &then));
    epoch_leave(&epoch, 1);
    assert_int_equal(atomic_load(&epoch.reader[1].count), 0);
    assert_true(epoch_passed(&epoch, &then));
}

/* ---- two readers and a writer that spoils what it has taken back ----------------------------- */

#define OBJECTS 8
#define ROUNDS  20000

struct object {
    _Atomic uint64_t value, twin; /* equal whenever the object may be read */
};

static struct object objects[OBJECTS];
static _Atomic(struct object *) published;
static atomic_bool stop;
static _Atomic uint64_t torn, seen;

static void *read_objects(void *arg)
{
    uint32_t reader = (uint32_t)(uintptr_t)arg;
    uint64_t batches = 0;

    while (!atomic_load_explicit(&stop, memory_order_relaxed)) {
        struct object *o;

        epoch_enter(&epoch, reader);
        o = atomic_load_explicit(&published, memory_order_acquire);
        if (o) {
            uint64_t value = atomic_load_explicit(&o->value, memory_order_relaxed);
            int i;

            for (i = 0; i < 20; i++)
                if (atomic_load_explicit(&o->twin, memory_order_relaxed) != value || value == 0)
                    atomic_fetch_add(&torn, 1);
            atomic_fetch_add_explicit(&seen, 1, memory_order_relaxed);
        }
        epoch_leave(&epoch, reader);
        if (++batches % 64 == 0)
            sched_yield(); /* outside a batch, so that the writer gets its turn */
    }
    return NULL;
}

static void test_threads(void **state)
{
    pthread_t threads[2];
    uint64_t round;
    uintptr_t i;

    (void)state;
    epoch.readers = 2;
    atomic_store(&stop, false);
    for (i = 0; i < 2; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, read_objects, (void *)i), 0);
    for (round = 1; round <= ROUNDS || atomic_load(&seen) < 100; round++) {
        struct object *o = &objects[round % OBJECTS];
        struct epoch_snapshot then;

        atomic_store_explicit(&o->value, round, memory_order_relaxed);
        atomic_store_explicit(&o->twin, round, memory_order_relaxed);
        atomic_store_explicit(&published, o, memory_order_release);
        atomic_store_explicit(&published, NULL, memory_order_release);
        epoch_snapshot(&epoch, &then);
        while (!epoch_passed(&epoch, &then))
            sched_yield();
        atomic_store_explicit(&o->value, 0, memory_order_relaxed);
        atomic_store_explicit(&o->twin, ~round, memory_order_relaxed);
        if (round % 64 == 0) {
            /* Something to see for a while, or slow readers would only ever find nothing. */
            struct object *lasting = &objects[(round + 1) % OBJECTS];

            atomic_store_explicit(&lasting->value, round, memory_order_relaxed);
            atomic_store_explicit(&lasting->twin, round, memory_order_relaxed);
            atomic_store_explicit(&published, lasting, memory_order_release);
            sched_yield();
            atomic_store_explicit(&published, NULL, memory_order_release);
            epoch_snapshot(&epoch, &then);
            while (!epoch_passed(&epoch, &then))
                sched_yield();
        }
    }
    atomic_store(&stop, true);
    for (i = 0; i < 2; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(atomic_load(&torn), 0);
    assert_true(atomic_load(&seen) >= 100);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_nobody_inside, reset),
        cmocka_unit_test_setup(test_inside_holds, reset),
        cmocka_unit_test_setup(test_late_readers_do_not_hold, reset),
        cmocka_unit_test_setup(test_all_must_pass, reset),
        cmocka_unit_test_setup(test_counter_wraps, reset),
        cmocka_unit_test_setup(test_threads, reset),
    };

    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}

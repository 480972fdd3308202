/* When a worker wakes the lane that waits for it, and when it stops for good. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "common/bell.h"
#include "common/cleanup.h"
#include "enclave/aead.h"
#include "enclave/end.h"
#include "enclave/worker.h"

#define PEERS 4

static struct ring_area *area;
static struct worker worker;
static struct ring_end submit;
static uint32_t rung_at[RING_SLOTS]; /* batches done at each bell */
static unsigned int n_rung;

/* In place of the bell's: whom it wakes sleeps again at once. */
void bell_ring(int bell)
{
    (void)bell;
    /* A caller may let it wait here: those who wipe must not wait along. */
    assert_false(atomic_load(&worker.at_work));
    assert_true(n_rung < RING_SLOTS);
    rung_at[n_rung++] = atomic_load(&area->complete.tail);
    atomic_store(&area->complete.sleeping, 1);
}

/* Where a halted worker stays: the process ends meanwhile. */
int bell_wait(int bell)
{
    (void)bell;
    pthread_exit(NULL);
}

void enclave_end(const char *why)
{
    fail_msg("%s", why);
    abort();
}

static void *zeroed(size_t alignment, size_t size)
{
    void *mem = aligned_alloc(alignment, (size + alignment - 1) & ~(alignment - 1));

    assert_non_null(mem);
    memset(mem, 0, size);
    return mem;
}

/* @batches of one packet that no peer is there for, handed to a new worker. */
static void submit_batches(unsigned int batches, void *memory)
{
    struct ring_entry entry;

    area = zeroed(4096, sizeof(*area));
    assert_int_equal(worker_init(&worker, keystore_new(memory, 1, PEERS, PEERS),
                                 TRANSPORT_RESPONDER, 0, area, -1, -1),
                     0);
    ring_end_init(&submit, &area->submit);
    for (unsigned int i = 0; i < batches; i++) {
        area->slots[i].packets[0] = (struct ring_packet){.offset = RING_TABLE_SIZE, .length = 64};
        entry = (struct ring_entry){.slot = (uint16_t)i, .op = RING_OPEN, .count = 1};
        assert_int_equal(ring_push(&submit, entry), 0);
    }
    n_rung = 0;
}

static void serve(unsigned int batches, bool asleep)
{
    void *memory = zeroed(64, keystore_size(PEERS, PEERS));

    submit_batches(batches, memory);
    atomic_store(&area->complete.sleeping, asleep);
    assert_int_equal(worker_serve(&worker), batches);
    assert_int_equal(atomic_load(&area->complete.tail), batches);
    aead_free(worker.transport.aead);
    free(area);
    free(memory);
}

static void one_at_once(void **state)
{
    (void)state;
    serve(1, true);
    assert_int_equal(n_rung, 1);
    assert_int_equal(rung_at[0], 1);
}

static void many_together(void **state)
{
    const uint32_t expected[] = {4, 8, 9};

    (void)state;
    serve(9, true);
    assert_int_equal(n_rung, ARRAY_SIZE(expected));
    assert_memory_equal(rung_at, expected, sizeof(expected));
    /* Nothing is rung for twice. */
    serve(8, true);
    assert_int_equal(n_rung, 2);
}

static void awake(void **state)
{
    (void)state;
    serve(9, false);
    assert_int_equal(n_rung, 0);
}

static void *service(void *unused)
{
    worker_serve(&worker);
    return unused;
}

/* A caller that has much to do, and takes every result at once: nothing else stops this worker. */
static void halted(void **state)
{
    void *memory = zeroed(64, keystore_size(PEERS, PEERS));
    pthread_t thread;

    (void)state;
    submit_batches(3, memory);
    workers_halt(NULL, 0);
    assert_int_equal(pthread_create(&thread, NULL, service, NULL), 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(atomic_load(&area->complete.tail), 0);
    assert_false(atomic_load(&worker.at_work));
    aead_free(worker.transport.aead);
    free(area);
    free(memory);
}

static int set_up(void **state)
{
    (void)state;
    return aead_init() < 0 || aead_choose(NULL) < 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_at_once), cmocka_unit_test(many_together), cmocka_unit_test(awake),
        cmocka_unit_test(halted), /* last: there is no way back */
    };

    return cmocka_run_group_tests(tests, set_up, NULL);
}

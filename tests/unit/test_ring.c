/* The rings: order, bounds, violations of either side, and a lossless sleep. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>
#include <cmocka.h>

#include "common/bell.h"
#include "common/cleanup.h"
#include "common/ring.h"

static struct ring ring;
static struct ring_end producer, consumer;

static int reset(void **state)
{
    (void)state;
    memset(&ring, 0, sizeof(ring));
    ring_end_init(&producer, &ring);
    ring_end_init(&consumer, &ring);
    return 0;
}

static struct ring_entry entry(unsigned int slot, unsigned int op, unsigned int count)
{
    return (struct ring_entry){(uint16_t)slot, (uint8_t)op, (uint8_t)count};
}

static void test_order(void **state)
{
    struct ring_entry e;
    unsigned int i;

    (void)state;
    assert_int_equal(ring_pop(&consumer, &e), 0);
    for (i = 0; i < 10 * RING_ENTRIES; i++) {
        assert_int_equal(ring_push(&producer, entry(i % RING_SLOTS, 1 + i % 2, 1 + i % 128)), 0);
        if (i % 3 == 0)
            continue; /* let some gather */
        while (ring_pop(&consumer, &e) > 0)
            ;
    }
    while (ring_pop(&consumer, &e) > 0)
        ;
    assert_int_equal(consumer.index, i);
    assert_int_equal(e.slot, (i - 1) % RING_SLOTS);
    assert_int_equal(e.op, 1 + (i - 1) % 2);
    assert_int_equal(e.count, 1 + (i - 1) % 128);
}

static void test_full(void **state)
{
    struct ring_entry e;
    int i;

    (void)state;
    for (i = 0; i < RING_ENTRIES; i++)
        assert_int_equal(ring_push(&producer, entry(0, RING_OPEN, 1)), 0);
    assert_int_equal(ring_push(&producer, entry(0, RING_OPEN, 1)), -EPROTO);
    assert_int_equal(ring_pop(&consumer, &e), 1);
    assert_int_equal(ring_push(&producer, entry(0, RING_OPEN, 1)), 0);
    for (i = 0; i < RING_ENTRIES; i++)
        assert_int_equal(ring_pop(&consumer, &e), 1);
    assert_int_equal(ring_pop(&consumer, &e), 0);
}

/* Indexes run over 2^32 without anybody noticing. */
static void test_wrap(void **state)
{
    struct ring_entry e;
    uint32_t i;

    (void)state;
    producer.index = consumer.index = consumer.limit = UINT32_MAX - 20;
    atomic_store(&ring.head, UINT32_MAX - 20);
    atomic_store(&ring.tail, UINT32_MAX - 20);
    for (i = 0; i < 40; i++)
        assert_int_equal(ring_push(&producer, entry(i % RING_SLOTS, RING_SEAL, 1)), 0);
    for (i = 0; i < 40; i++) {
        assert_int_equal(ring_pop(&consumer, &e), 1);
        assert_int_equal(e.slot, i % RING_SLOTS);
    }
    assert_int_equal(ring_pop(&consumer, &e), 0);
    assert_int_equal(producer.index, 19);
}

static void test_bad_tail(void **state)
{
    static const uint32_t tails[] = {RING_ENTRIES + 1, 1U << 31, UINT32_MAX};
    struct ring_entry e = {7, 7, 7};
    size_t i;

    (void)state;
    for (i = 0; i < ARRAY_SIZE(tails); i++) {
        atomic_store(&ring.tail, tails[i]);
        assert_int_equal(ring_pop(&consumer, &e), -EPROTO);
        assert_int_equal(e.slot, 7); /* nothing written */
        assert_int_equal(atomic_load(&ring.head), 0);
    }
    atomic_store(&ring.tail, RING_ENTRIES);
    atomic_store(&ring.entries[0], 1U << 24 | RING_OPEN << 16);
    assert_int_equal(ring_pop(&consumer, &e), 1);
}

static void test_bad_head(void **state)
{
    (void)state;
    atomic_store(&ring.head, 1); /* ahead of what was ever pushed */
    assert_int_equal(ring_push(&producer, entry(0, RING_OPEN, 1)), -EPROTO);
    atomic_store(&ring.head, (uint32_t)-RING_ENTRIES);
    assert_int_equal(ring_push(&producer, entry(0, RING_OPEN, 1)), -EPROTO);
    assert_int_equal(atomic_load(&ring.tail), 0);
}

static void test_bad_entries(void **state)
{
    static const uint32_t bad[] = {
        0,                                               /* op 0, count 0 */
        1U << 24 | RING_OPEN << 16 | RING_SLOTS,         /* slot */
        1U << 24 | RING_OPEN << 16 | 0xffff,             /* slot */
        1U << 24 | 0U << 16,                             /* op */
        1U << 24 | 3U << 16,                             /* op */
        1U << 24 | 255U << 16,                           /* op */
        0U << 24 | RING_SEAL << 16,                      /* count */
        (RING_PACKETS + 1U) << 24 | RING_SEAL << 16,     /* count */
        255U << 24 | RING_OPEN << 16 | (RING_SLOTS - 1), /* count */
    };
    struct ring_entry e;
    size_t i;

    (void)state;
    for (i = 0; i < ARRAY_SIZE(bad); i++) {
        reset(NULL);
        atomic_store(&ring.entries[0], bad[i]);
        atomic_store(&ring.tail, 1);
        assert_int_equal(ring_pop(&consumer, &e), -EPROTO);
    }
    reset(NULL);
    assert_int_equal(ring_push(&producer, entry(RING_SLOTS - 1, RING_SEAL, RING_PACKETS)), 0);
    assert_int_equal(ring_pop(&consumer, &e), 1);
    assert_int_equal(e.slot, RING_SLOTS - 1);
    assert_int_equal(e.count, RING_PACKETS);
}

static void test_bells(void **state)
{
    (void)state;
    assert_false(ring_wants_bell(&producer));
    assert_true(ring_sleep(&consumer));
    assert_int_equal(ring_push(&producer, entry(0, RING_OPEN, 1)), 0);
    assert_true(ring_wants_bell(&producer));
    assert_false(ring_wants_bell(&producer)); /* one bell is enough */
    assert_false(ring_sleep(&consumer));      /* there is something: do not block */
    ring_awake(&consumer);
    assert_false(ring_wants_bell(&producer));
}

/* ---- the shared memory ---------------------------------------------------------------------- */

static void test_area(void **state)
{
    struct ring_area *a, *b;
    int fd = ring_area_create();

    (void)state;
    assert_true(fd >= 0);
    assert_int_equal(fcntl(fd, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
    assert_int_equal(ring_area_map(fd, &a), 0);
    assert_int_equal(ring_area_map(fd, &b), 0);
    a->slots[RING_SLOTS - 1].data[sizeof(a->slots[0].data) - 1] = 0x5a;
    assert_int_equal(b->slots[RING_SLOTS - 1].data[sizeof(b->slots[0].data) - 1], 0x5a);
    assert_int_equal(ftruncate(fd, 4096), -1);
    assert_int_equal(ftruncate(fd, (off_t)sizeof(*a) * 2), -1);
    assert_int_equal(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE), -1);
    ring_area_unmap(a);
    ring_area_unmap(b);
    ring_area_unmap(NULL);
    close(fd);
}

static void test_area_refused(void **state)
{
    const int seals[] = {0, F_SEAL_SHRINK | F_SEAL_GROW, F_SEAL_SEAL | F_SEAL_GROW,
                         F_SEAL_SEAL | F_SEAL_SHRINK};
    struct ring_area *area = NULL;
    size_t i;
    int fd;

    (void)state;
    for (i = 0; i < ARRAY_SIZE(seals); i++) {
        fd = memfd_create("t", MFD_CLOEXEC | MFD_ALLOW_SEALING);
        assert_int_equal(ftruncate(fd, sizeof(*area)), 0);
        if (seals[i])
            assert_int_equal(fcntl(fd, F_ADD_SEALS, seals[i]), 0);
        assert_int_equal(ring_area_map(fd, &area), -EPERM);
        close(fd);
    }
    for (i = 0; i < 3; i++) {
        static const off_t sizes[] = {0, sizeof(struct ring_area) - 1,
                                      sizeof(struct ring_area) + 1};

        fd = memfd_create("t", MFD_CLOEXEC | MFD_ALLOW_SEALING);
        assert_int_equal(ftruncate(fd, sizes[i]), 0);
        assert_int_equal(fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL), 0);
        assert_int_equal(ring_area_map(fd, &area), -EINVAL);
        close(fd);
    }
    fd = open("/dev/null", O_RDWR | O_CLOEXEC);
    assert_int_equal(ring_area_map(fd, &area), -EINVAL); /* no seals to ask for */
    close(fd);
    assert_int_equal(ring_area_map(-1, &area), -EBADF);
    assert_null(area);
}

static void test_status_names(void **state)
{
    unsigned int i, j;

    (void)state;
    for (i = 0; i < RING_STATUS_NUM; i++)
        for (j = 0; j < i; j++)
            assert_string_not_equal(ring_status_name(i), ring_status_name(j));
    assert_string_equal(ring_status_name(RING_STATUS_NUM), "unknown");
}

/* ---- two threads ---------------------------------------------------------------------------- */

#define BATCHES 200000

static int bells[2];                 /* the worker's, and the lane's */
static uint32_t payload[RING_SLOTS]; /* plain memory: only the ring orders access to it */
static struct ring back;
static struct ring_end back_producer, back_consumer;

/* The worker's loop in small: take, change, give back, sleep until rung for when dry. */
static void *serve(void *arg)
{
    uint32_t done = 0;

    (void)arg;
    while (done < BATCHES) {
        struct ring_entry e;
        int rc = ring_pop(&consumer, &e);

        if (rc < 0)
            return (void *)1;
        if (rc == 0) {
            /* An hour without a bell would be a lost wake-up: the join below would hang. */
            if (ring_sleep(&consumer) && bell_wait(bells[0]) < 0)
                return (void *)2;
            ring_awake(&consumer);
            continue;
        }
        payload[e.slot] = ~payload[e.slot];
        if (ring_push(&back_producer, e) < 0)
            return (void *)3;
        if (ring_wants_bell(&back_producer))
            bell_ring(bells[1]);
        done++;
    }
    return NULL;
}

static void test_two_threads(void **state)
{
    uint16_t free_slots[RING_SLOTS];
    uint32_t n_free = RING_SLOTS, sent = 0, done = 0, wrong = 0, i;
    uint32_t expected[RING_SLOTS];
    pthread_t thread;
    void *result;

    (void)state;
    memset(&back, 0, sizeof(back));
    ring_end_init(&back_producer, &back);
    ring_end_init(&back_consumer, &back);
    for (i = 0; i < 2; i++) {
        bells[i] = bell_create();
        assert_true(bells[i] >= 0);
    }
    for (i = 0; i < RING_SLOTS; i++)
        free_slots[i] = (uint16_t)i;
    assert_int_equal(pthread_create(&thread, NULL, serve, NULL), 0);
    while (done < BATCHES) {
        struct ring_entry e;
        int rc;

        /* Bursts of changing length, so that both sides run dry at times. */
        for (i = 0; i < 1 + sent % 5 && n_free && sent < BATCHES; i++) {
            e = entry(free_slots[--n_free], RING_OPEN, 1);
            payload[e.slot] = expected[e.slot] = sent++;
            assert_int_equal(ring_push(&producer, e), 0);
            if (ring_wants_bell(&producer))
                bell_ring(bells[0]);
        }
        rc = ring_pop(&back_consumer, &e);
        assert_true(rc >= 0);
        if (rc == 0) {
            if (ring_sleep(&back_consumer))
                assert_int_equal(bell_wait(bells[1]), 0);
            ring_awake(&back_consumer);
            continue;
        }
        wrong += payload[e.slot] != ~expected[e.slot];
        free_slots[n_free++] = e.slot;
        done++;
    }
    assert_int_equal(pthread_join(thread, &result), 0);
    assert_null(result);
    assert_int_equal(wrong, 0);
    assert_int_equal(n_free, RING_SLOTS);
    close(bells[0]);
    close(bells[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_order, reset),
        cmocka_unit_test_setup(test_full, reset),
        cmocka_unit_test_setup(test_wrap, reset),
        cmocka_unit_test_setup(test_bad_tail, reset),
        cmocka_unit_test_setup(test_bad_head, reset),
        cmocka_unit_test_setup(test_bad_entries, reset),
        cmocka_unit_test_setup(test_bells, reset),
        cmocka_unit_test(test_area),
        cmocka_unit_test(test_area_refused),
        cmocka_unit_test(test_status_names),
        cmocka_unit_test_setup(test_two_threads, reset),
    };

    alarm(120); /* a lost wake-up would wait for ever */
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/*
 * How sessions and peers end: in their time, and nothing is wiped or given away under a reader.
 * Readers are marks in the epoch; the last test has real threads.
 */
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include <sodium.h>

#include "tests/unit/keystore_rig.h"

/* ---- quiescence ----------------------------------------------------------------------------- */

static void test_reader_holds_session(void **state)
{
    uint32_t slot = keystore_peer_add(ks, 1, device_a);
    struct session *s = publish(slot, SESSION_NEXT);
    struct epoch *epoch = keystore_epoch(ks);
    uint32_t index = s->index;

    (void)state;
    epoch_enter(epoch, 1);
    assert_ptr_equal(keystore_lookup(ks, index), s);
    (void)publish(slot, SESSION_NEXT);
    assert_null(keystore_lookup(ks, index)); /* unpublished at once ... */
    reap();
    assert_false(wiped(s)); /* ... but not wiped under the reader */
    epoch_leave(epoch, 1);
    epoch_enter(epoch, 1);
    reap();
    assert_true(wiped(s));
    epoch_leave(epoch, 1);
}

/* A removed peer's slot is given to nobody while a reader may hold a session of it. */
static void test_reader_holds_peer(void **state)
{
    struct epoch *epoch;
    uint32_t slot;

    (void)state;
    start(2, 1);
    epoch = keystore_epoch(ks);
    slot = keystore_peer_add(ks, 1, device_a);
    epoch_enter(epoch, 0);
    assert_int_equal(keystore_peer_remove(ks, keystore_peer_handle(ks, slot)), 0);
    reap();
    assert_int_equal(keystore_peer_add(ks, 2, device_b), 0);
    epoch_leave(epoch, 0);
    reap();
    assert_int_equal(keystore_peer_add(ks, 2, device_b), slot);
}

/* A reader standing on a removed session finds its way on to the others of its bucket. */
static void test_chain_survives_removal(void **state)
{
    uint32_t index[64], slot[64], i, j;

    (void)state;
    start(1, 64);
    for (i = 0; i < 64; i++) {
        uint8_t device[WIRE_DEVICE_ID_LEN] = {(uint8_t)i};

        slot[i] = keystore_peer_add(ks, 1, device);
        index[i] = publish(slot[i], SESSION_CURRENT)->index;
    }
    for (i = 0; i < 64; i++) {
        assert_int_equal(keystore_peer_remove(ks, keystore_peer_handle(ks, slot[i])), 0);
        for (j = 0; j < 64; j++)
            assert_int_equal(keystore_lookup(ks, index[j]) != NULL, j > i);
    }
}

/* ---- expiry --------------------------------------------------------------------------------- */

static void test_unconfirmed_expires(void **state)
{
    uint32_t slot = keystore_peer_add(ks, 1, device_a);
    struct session *s = publish(slot, SESSION_NEXT);

    (void)state;
    now.mono_ms += KEYSTORE_CONFIRM_MS - 1;
    reap();
    assert_ptr_equal(keystore_peer_next(ks, slot), s);
    now.mono_ms++;
    reap();
    assert_null(keystore_peer_next(ks, slot));
    assert_true(wiped(s));
    assert_int_equal(keystore_peer_find(ks, 1, device_a), 0); /* an empty peer goes as well */
}

static void test_sessions_expire(void **state)
{
    uint32_t slot = keystore_peer_add(ks, 1, device_a), handle = keystore_peer_handle(ks, slot);
    struct session *old = publish(slot, SESSION_CURRENT), *current;

    (void)state;
    now.mono_ms += 60000;
    current = publish(slot, SESSION_CURRENT);
    now.mono_ms += KEYSTORE_SESSION_LIFE_MS - 60001;
    reap();
    assert_ptr_equal(keystore_lookup(ks, old->index), old);
    now.mono_ms++;
    reap();
    assert_true(wiped(old));
    assert_ptr_equal(keystore_current(ks, handle), current);
    now.mono_ms += 59999;
    reap();
    assert_ptr_equal(keystore_current(ks, handle), current);
    now.mono_ms++;
    reap();
    assert_null(keystore_current(ks, handle));
    assert_true(wiped(current));
}

/* A tunnel's peer is there for good, with or without a session. */
static void test_permanent_peers(void **state)
{
    uint32_t slot = keystore_peer_add(ks, 1, device_a), handle = keystore_peer_handle(ks, slot);
    struct session *s = publish(slot, SESSION_CURRENT);

    (void)state;
    now.mono_ms += KEYSTORE_SESSION_LIFE_MS;
    keystore_reap(ks, &now, false);
    keystore_reap(ks, &now, false);
    assert_true(wiped(s));
    assert_int_equal(keystore_peer_handle(ks, slot), handle);
}

/* ---- real readers --------------------------------------------------------------------------- */

#define THREADS 2
#define LOGINS  30000

static _Atomic uint32_t newest[PEERS]; /* an index of each peer that was published lately */
static atomic_bool stop;
static _Atomic uint64_t spoilt, promoted;

/* All bytes of a key are the same and not zero, unless it is being wiped. */
static bool key_whole(const struct session *s)
{
    const volatile uint8_t *key = s->keys.send;
    size_t i;

    for (i = 1; i < sizeof(s->keys.send); i++)
        if (key[i] != key[0] || key[0] == 0)
            return false;
    return true;
}

static void *work(void *arg)
{
    uint32_t lane = (uint32_t)(uintptr_t)arg;
    uint32_t n = 0;

    while (!atomic_load_explicit(&stop, memory_order_relaxed)) {
        struct session *s;

        epoch_enter(keystore_epoch(ks), lane);
        s = keystore_lookup(ks, atomic_load_explicit(&newest[n++ % PEERS], memory_order_relaxed));
        if (s) {
            if (!key_whole(s))
                atomic_fetch_add(&spoilt, 1);
            if (n % 4 == 0 && keystore_promote(ks, s))
                atomic_fetch_add(&promoted, 1);
            if (!key_whole(s))
                atomic_fetch_add(&spoilt, 1);
        }
        epoch_leave(keystore_epoch(ks), lane);
    }
    return NULL;
}

static void test_threads(void **state)
{
    pthread_t threads[THREADS];
    uint32_t logins = 0;
    uintptr_t i;

    (void)state;
    atomic_store(&stop, false);
    for (i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, work, (void *)i), 0);
    while (logins < LOGINS || atomic_load(&promoted) < 100) {
        uint8_t device[WIRE_DEVICE_ID_LEN] = {(uint8_t)(logins % PEERS)};
        uint32_t slot = keystore_peer_find(ks, 1, device);
        struct session *s;

        if (!slot)
            slot = keystore_peer_add(ks, 1, device);
        s = slot ? keystore_session_new(ks, slot) : NULL;
        if (s) {
            memset(&s->keys, (int)(1 + logins % 255), sizeof(s->keys));
            s->created_ms = now.mono_ms;
            keystore_session_publish(ks, s, SESSION_NEXT);
            atomic_store_explicit(&newest[logins % PEERS], s->index, memory_order_relaxed);
        }
        if (logins % 7 == 0)
            keystore_reap(ks, &now, true);
        if (logins % 50 == 0 && slot)
            (void)keystore_peer_remove(ks, keystore_peer_handle(ks, slot));
        if (logins % 16 == 0)
            sched_yield();
        logins++;
    }
    atomic_store(&stop, true);
    for (i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(atomic_load(&spoilt), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_reader_holds_session, setup),
        cmocka_unit_test_setup(test_reader_holds_peer, setup),
        cmocka_unit_test_setup(test_chain_survives_removal, setup),
        cmocka_unit_test_setup(test_unconfirmed_expires, setup),
        cmocka_unit_test_setup(test_sessions_expire, setup),
        cmocka_unit_test_setup(test_permanent_peers, setup),
        cmocka_unit_test_setup(test_threads, setup),
    };

    if (sodium_init() < 0)
        return 1;
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("keystore end", tests, NULL, finish);
}

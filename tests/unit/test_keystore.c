/*
 * Peers, sessions and prefixes: what is found, for how long, and that nothing is wiped under a
 * reader.  Readers are marks in the epoch; the last test has real threads.
 */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include <sodium.h>

#include "common/cleanup.h"
#include "enclave/keystore.h"

#define PEERS    4
#define IDS      8
/* Four per peer and 64 for logins that are just ending. */
#define SESSIONS (PEERS * 4 + 64)

static const uint8_t device_a[WIRE_DEVICE_ID_LEN] = {1}, device_b[WIRE_DEVICE_ID_LEN] = {2};

static void *mem;
static struct keystore *ks;
static struct clock now;

static void start(uint32_t lanes, uint32_t peers)
{
    size_t size = (keystore_size(peers, IDS) + 63) & ~(size_t)63;

    free(mem);
    mem = aligned_alloc(64, size);
    assert_non_null(mem);
    memset(mem, 0, size);
    ks = keystore_new(mem, lanes, peers, IDS);
    now = (struct clock){.mono_ms = 1000000, .stamp_ms = 5, .real_us = 7};
}

static int reset(void **state)
{
    (void)state;
    start(2, PEERS);
    return 0;
}

static int finish(void **state)
{
    (void)state;
    free(mem);
    mem = NULL;
    return 0;
}

static struct session *make(uint32_t slot)
{
    struct session *s = keystore_session_new(ks, slot);

    assert_non_null(s);
    memset(&s->keys, 0xab, sizeof(s->keys));
    s->created_ms = now.mono_ms;
    return s;
}

static struct session *publish(uint32_t slot, enum session_slot where)
{
    struct session *s = make(slot);

    keystore_session_publish(ks, s, where);
    return s;
}

static bool wiped(const struct session *s)
{
    return sodium_is_zero((const uint8_t *)&s->keys, sizeof(s->keys)) == 1;
}

static void reap(void)
{
    keystore_reap(ks, &now, true);
}

/* ---- peers ---------------------------------------------------------------------------------- */

static void test_peers(void **state)
{
    uint32_t a, b, handle;

    (void)state;
    assert_int_equal(keystore_peer_find(ks, 3, device_a), 0);
    a = keystore_peer_add(ks, 3, device_a);
    b = keystore_peer_add(ks, 3, device_b);
    assert_int_not_equal(a, 0);
    assert_int_not_equal(a, b);
    assert_int_equal(keystore_peer_find(ks, 3, device_a), a);
    assert_int_equal(keystore_peer_find(ks, 3, device_b), b);
    assert_int_equal(keystore_peer_find(ks, 4, device_a), 0);

    handle = keystore_peer_handle(ks, a);
    assert_int_equal(IPC_PEER_SLOT(handle), a);
    assert_int_equal(keystore_peer_remove(ks, handle), 0);
    assert_int_equal(keystore_peer_remove(ks, handle), -ENOENT);
    assert_int_equal(keystore_peer_find(ks, 3, device_a), 0);
    assert_int_equal(keystore_peer_find(ks, 3, device_b), b);
    assert_int_equal(keystore_peer_remove(ks, 0), -ENOENT);
    assert_int_equal(keystore_peer_remove(ks, UINT32_MAX), -ENOENT);
    assert_int_equal(keystore_peer_remove(ks, keystore_peer_handle(ks, b) + (1U << 16)), -ENOENT);
}

static void test_peer_table_full(void **state)
{
    uint8_t device[WIRE_DEVICE_ID_LEN] = {0};
    uint32_t i;

    (void)state;
    for (i = 0; i < PEERS; i++) {
        device[0] = (uint8_t)i;
        assert_int_not_equal(keystore_peer_add(ks, 1, device), 0);
    }
    assert_int_equal(keystore_peer_add(ks, 1, device_b), 0);
    keystore_peers_remove_id(ks, 1);
    assert_int_equal(keystore_peer_add(ks, 1, device_b), 0); /* not before they are reaped */
    reap();
    for (i = 0; i < PEERS; i++)
        assert_int_not_equal(keystore_peer_add(ks, 2, &device[0]), 0);
}

/* Handles are never 0 and an old one never fits the slot's next owner, 65535 owners long. */
static void test_generations(void **state)
{
    uint32_t i, last = 0;

    (void)state;
    for (i = 0; i < 66000; i++) {
        uint32_t slot = keystore_peer_add(ks, 1, device_a);
        uint32_t handle = keystore_peer_handle(ks, slot);

        assert_true(handle >> 16 != 0);
        assert_true(handle != last);
        assert_null(keystore_current(ks, last));
        assert_int_equal(keystore_peer_remove(ks, handle), 0);
        reap();
        last = handle;
    }
}

static void test_remove_by_id(void **state)
{
    uint32_t a = keystore_peer_add(ks, 1, device_a), b = keystore_peer_add(ks, 1, device_b);
    uint32_t c = keystore_peer_add(ks, 2, device_a);
    uint32_t index_a = publish(a, SESSION_CURRENT)->index;
    uint32_t index_c = publish(c, SESSION_CURRENT)->index;

    (void)state;
    keystore_peers_remove_id(ks, 1);
    assert_int_equal(keystore_peer_handle(ks, a), 0);
    assert_int_equal(keystore_peer_handle(ks, b), 0);
    assert_null(keystore_lookup(ks, index_a));
    assert_non_null(keystore_lookup(ks, index_c));
    assert_int_not_equal(keystore_peer_handle(ks, c), 0);
}

/* ---- sessions ------------------------------------------------------------------------------- */

/* An index falls into its peer's lane, whatever the number of lanes, and is unique. */
static void test_index_lane(void **state)
{
    static const uint32_t lane_counts[] = {1, 2, 3, 5, 7, 16};
    uint32_t i, j, n;

    (void)state;
    for (i = 0; i < ARRAY_SIZE(lane_counts); i++) {
        uint32_t lanes = lane_counts[i], index[64];

        start(lanes, 64);
        for (n = 0; n < 64; n++) {
            uint8_t device[WIRE_DEVICE_ID_LEN] = {(uint8_t)n};
            uint32_t slot = keystore_peer_add(ks, 1, device);

            index[n] = publish(slot, SESSION_NEXT)->index;
            assert_int_equal(index[n] % lanes, slot % lanes);
            assert_true(index[n] >= lanes);
            for (j = 0; j < n; j++)
                assert_int_not_equal(index[n], index[j]);
        }
        for (n = 0; n < 64; n++)
            assert_int_equal(keystore_lookup(ks, index[n])->index, index[n]);
        assert_int_equal(keystore_lanes(ks), lanes);
    }
}

static void test_not_published(void **state)
{
    uint32_t slot = keystore_peer_add(ks, 1, device_a);
    struct session *s = make(slot);
    uint32_t index = s->index;

    (void)state;
    assert_null(keystore_lookup(ks, index));
    assert_null(keystore_peer_next(ks, slot));
    keystore_session_discard(ks, s);
    assert_true(wiped(s));
    keystore_session_discard(ks, NULL);
}

static void test_exhaustion(void **state)
{
    uint32_t slot = keystore_peer_add(ks, 1, device_a);
    struct session *all[SESSIONS];
    uint32_t round, i;

    (void)state;
    for (round = 0; round < 3; round++) {
        for (i = 0; i < SESSIONS; i++)
            all[i] = make(slot);
        assert_null(keystore_session_new(ks, slot));
        for (i = 0; i < SESSIONS; i++)
            keystore_session_discard(ks, all[i]);
    }
}

static void test_promote(void **state)
{
    uint32_t slot = keystore_peer_add(ks, 1, device_a), handle = keystore_peer_handle(ks, slot);
    struct session *first = publish(slot, SESSION_NEXT), *second, *third;

    (void)state;
    assert_ptr_equal(keystore_peer_next(ks, slot), first);
    assert_null(keystore_current(ks, handle)); /* nothing is sealed before the peer has confirmed */
    assert_false(keystore_is_current(ks, first));
    assert_true(keystore_promote(ks, first));
    assert_false(keystore_promote(ks, first));
    assert_ptr_equal(keystore_current(ks, handle), first);
    assert_true(keystore_is_current(ks, first));
    assert_null(keystore_peer_next(ks, slot));

    second = publish(slot, SESSION_NEXT);
    assert_ptr_equal(keystore_current(ks, handle), first);
    assert_true(keystore_promote(ks, second));
    assert_ptr_equal(keystore_current(ks, handle), second);
    /* The previous one still opens what is under way. */
    assert_ptr_equal(keystore_lookup(ks, first->index), first);

    third = publish(slot, SESSION_NEXT);
    assert_true(keystore_promote(ks, third));
    assert_null(keystore_lookup(ks, first->index));
    assert_ptr_equal(keystore_lookup(ks, second->index), second);
    reap();
    assert_true(wiped(first));
    assert_false(wiped(second));
}

/* A second login before the first was confirmed takes its place. */
static void test_next_replaced(void **state)
{
    uint32_t slot = keystore_peer_add(ks, 1, device_a);
    struct session *first = publish(slot, SESSION_NEXT);
    uint32_t index = first->index;
    struct session *second = publish(slot, SESSION_NEXT);

    (void)state;
    assert_null(keystore_lookup(ks, index));
    assert_ptr_equal(keystore_peer_next(ks, slot), second);
    assert_false(keystore_promote(ks, first)); /* a worker may have found it just before */
    reap();
    assert_true(wiped(first));
    assert_true(keystore_promote(ks, second));
}

/* The initiator: the answer is proof enough, the session is current at once. */
static void test_publish_current(void **state)
{
    uint32_t slot = keystore_peer_add(ks, 1, device_a), handle = keystore_peer_handle(ks, slot);
    struct session *first = publish(slot, SESSION_CURRENT), *second;

    (void)state;
    assert_ptr_equal(keystore_current(ks, handle), first);
    second = publish(slot, SESSION_CURRENT);
    assert_ptr_equal(keystore_current(ks, handle), second);
    assert_ptr_equal(keystore_lookup(ks, first->index), first);
    assert_int_equal(keystore_session_peer(ks, first), handle);
}

static void test_handles(void **state)
{
    uint32_t slot = keystore_peer_add(ks, 1, device_a), handle = keystore_peer_handle(ks, slot);
    struct session *s = publish(slot, SESSION_CURRENT);

    (void)state;
    assert_ptr_equal(keystore_current(ks, handle), s);
    assert_null(keystore_current(ks, 0));
    assert_null(keystore_current(ks, slot)); /* generation 0 */
    assert_null(keystore_current(ks, handle + (1U << 16)));
    assert_null(keystore_current(ks, (handle & ~0xffffU) | 0xffff));
    assert_null(keystore_current(ks, (handle & ~0xffffU) | (PEERS + 1)));
    assert_int_equal(keystore_peer_remove(ks, handle), 0);
    assert_null(keystore_current(ks, handle));
    /* Still in a worker's hands: it belongs to nobody. */
    assert_int_equal(keystore_session_peer(ks, s), 0);
}

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
    struct epoch *epoch = keystore_epoch(ks);
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

/* ---- prefixes ------------------------------------------------------------------------------- */

static struct ip_prefix prefix(const char *text)
{
    struct ip_prefix p;

    assert_int_equal(ip_prefix_parse(text, &p), 0);
    return p;
}

static bool allowed(const struct session *s, const char *text)
{
    struct ip_addr addr;

    assert_int_equal(ip_addr_parse(text, &addr), 0);
    return keystore_allowed(ks, s, IPC_ALLOW_SOURCE, &addr);
}

static void test_allow(void **state)
{
    struct session *one = publish(keystore_peer_add(ks, 1, device_a), SESSION_CURRENT);
    struct session *two = publish(keystore_peer_add(ks, 2, device_a), SESSION_CURRENT);
    struct ip_prefix p = prefix("192.168.50.0/24"), all6 = prefix("::/0");

    (void)state;
    assert_false(allowed(one, "192.168.50.7"));
    assert_int_equal(keystore_allow_add(ks, 1, IPC_ALLOW_SOURCE, &p), 0);
    assert_int_equal(keystore_allow_add(ks, 1, IPC_ALLOW_SOURCE, &all6), 0);
    assert_true(allowed(one, "192.168.50.7"));
    assert_true(allowed(one, "2001:db8::1"));
    assert_false(allowed(one, "192.168.51.7"));
    assert_false(allowed(two, "192.168.50.7"));
    /* One end says nothing about the other, and is forgotten by itself. */
    assert_int_equal(keystore_allow_add(ks, 2, IPC_ALLOW_DESTINATION, &p), 0);
    assert_false(allowed(two, "192.168.50.7"));
    assert_int_equal(keystore_allow_clear(ks, 2, IPC_ALLOW_DESTINATION), 0);
    assert_true(allowed(one, "192.168.50.7"));
    keystore_allow_clear(ks, 1, IPC_ALLOW_SOURCE);
    keystore_allow_clear(ks, 1, IPC_ALLOW_SOURCE);
    assert_false(allowed(one, "192.168.50.7"));
}

static void test_allow_refused(void **state)
{
    struct ip_prefix p = prefix("10.0.0.0/8");

    (void)state;
    assert_int_equal(keystore_allow_add(ks, IDS, IPC_ALLOW_SOURCE, &p), -EINVAL);
    assert_int_equal(keystore_allow_add(ks, UINT32_MAX, IPC_ALLOW_SOURCE, &p), -EINVAL);
    assert_int_equal(keystore_allow_add(ks, 0, IPC_ALLOW_ENDS, &p), -EINVAL);
    assert_int_equal(keystore_allow_clear(ks, IDS, IPC_ALLOW_SOURCE), -EINVAL);
    assert_int_equal(keystore_allow_clear(ks, UINT32_MAX, IPC_ALLOW_SOURCE), -EINVAL);
    assert_int_equal(keystore_allow_clear(ks, 0, IPC_ALLOW_ENDS), -EINVAL);
    p.len = 33;
    assert_int_equal(keystore_allow_add(ks, 0, IPC_ALLOW_SOURCE, &p), -EINVAL);
    p.addr.family = 0;
    p.len = 0;
    assert_int_equal(keystore_allow_add(ks, 0, IPC_ALLOW_SOURCE, &p), -EINVAL);
    assert_true(keystore_has_id(ks, IDS - 1));
    assert_false(keystore_has_id(ks, IDS));
}

/* Bounded, reused, and never reused under a reader that walks the chain. */
static void test_allow_reuse(void **state)
{
    struct session *s = publish(keystore_peer_add(ks, 1, device_a), SESSION_CURRENT);
    struct ip_prefix p = prefix("10.0.0.0/8"), other = prefix("172.16.0.0/12");
    struct epoch *epoch = keystore_epoch(ks);
    uint32_t n = 0;

    (void)state;
    while (keystore_allow_add(ks, 1, IPC_ALLOW_SOURCE, &p) == 0)
        assert_true(++n < 1 << 20);
    assert_int_equal(keystore_allow_add(ks, 2, IPC_ALLOW_SOURCE, &p), -ENOSPC);
    epoch_enter(epoch, 0);
    keystore_allow_clear(ks, 1, IPC_ALLOW_SOURCE);
    reap();
    assert_int_equal(keystore_allow_add(ks, 2, IPC_ALLOW_SOURCE, &other), -ENOSPC);
    epoch_leave(epoch, 0);
    reap();
    assert_int_equal(keystore_allow_add(ks, 1, IPC_ALLOW_SOURCE, &other), 0);
    assert_true(allowed(s, "172.16.0.1"));
    assert_false(allowed(s, "10.0.0.1"));
    for (; n > 1; n--)
        assert_int_equal(keystore_allow_add(ks, 2, IPC_ALLOW_SOURCE, &p), 0);
    assert_int_equal(keystore_allow_add(ks, 2, IPC_ALLOW_SOURCE, &p), -ENOSPC);
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
        cmocka_unit_test_setup(test_peers, reset),
        cmocka_unit_test_setup(test_peer_table_full, reset),
        cmocka_unit_test_setup(test_generations, reset),
        cmocka_unit_test_setup(test_remove_by_id, reset),
        cmocka_unit_test_setup(test_index_lane, reset),
        cmocka_unit_test_setup(test_not_published, reset),
        cmocka_unit_test_setup(test_exhaustion, reset),
        cmocka_unit_test_setup(test_promote, reset),
        cmocka_unit_test_setup(test_next_replaced, reset),
        cmocka_unit_test_setup(test_publish_current, reset),
        cmocka_unit_test_setup(test_handles, reset),
        cmocka_unit_test_setup(test_reader_holds_session, reset),
        cmocka_unit_test_setup(test_reader_holds_peer, reset),
        cmocka_unit_test_setup(test_chain_survives_removal, reset),
        cmocka_unit_test_setup(test_unconfirmed_expires, reset),
        cmocka_unit_test_setup(test_sessions_expire, reset),
        cmocka_unit_test_setup(test_permanent_peers, reset),
        cmocka_unit_test_setup(test_allow, reset),
        cmocka_unit_test_setup(test_allow_refused, reset),
        cmocka_unit_test_setup(test_allow_reuse, reset),
        cmocka_unit_test_setup(test_threads, reset),
    };

    if (sodium_init() < 0)
        return 1;
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, finish);
}

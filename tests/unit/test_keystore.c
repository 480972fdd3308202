/* Peers and sessions: what is found under which handle or index, and which one is current. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <sodium.h>

#include "common/cleanup.h"
#include "tests/unit/keystore_rig.h"

/* Four per peer and 64 for logins that are just ending. */
#define SESSIONS (PEERS * 4 + 64)

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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_peers, setup),
        cmocka_unit_test_setup(test_peer_table_full, setup),
        cmocka_unit_test_setup(test_generations, setup),
        cmocka_unit_test_setup(test_remove_by_id, setup),
        cmocka_unit_test_setup(test_index_lane, setup),
        cmocka_unit_test_setup(test_not_published, setup),
        cmocka_unit_test_setup(test_exhaustion, setup),
        cmocka_unit_test_setup(test_promote, setup),
        cmocka_unit_test_setup(test_next_replaced, setup),
        cmocka_unit_test_setup(test_publish_current, setup),
        cmocka_unit_test_setup(test_handles, setup),
    };

    if (sodium_init() < 0)
        return 1;
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("keystore", tests, NULL, finish);
}

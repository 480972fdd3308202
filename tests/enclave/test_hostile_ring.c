/*
 * A hostile caller at the shared memory: rings that lie, tables that point elsewhere, packets that
 * change while the worker reads them.  The enclave wipes and exits by itself, or answers the packet
 * with a refusal and carries on unharmed; it never crashes and never hangs.
 */
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <cmocka.h>
#include <sodium.h>

#include "common/bell.h"
#include "common/cleanup.h"
#include "common/clock.h"
#include "tests/enclave/rig.h"

#define BROKE_RING "the ring was violated"

/* ---- rings ---------------------------------------------------------------------------------- */

static void ring_bell(struct rig *r)
{
    bell_ring(r->fds[0][IPC_LANE_WORKER_BELL]);
}

static void test_ring_tail(void **state)
{
    static const uint32_t jumps[] = {RING_ENTRIES + 1, 1000, 1U << 31, UINT32_MAX};
    size_t i;

    (void)state;
    for (i = 0; i < ARRAY_SIZE(jumps); i++) {
        struct rig r;

        rig_start(&r, RIG_RESPONDER, 1);
        atomic_store(&r.area[0]->submit.tail, jumps[i]);
        ring_bell(&r);
        rig_assert_ended(&r, BROKE_RING);
        rig_stop(&r);
    }
}

static void test_ring_entries(void **state)
{
    static const struct ring_entry entries[] = {
        {RING_SLOTS, RING_OPEN, 1},
        {UINT16_MAX, RING_OPEN, 1},
        {0, 0, 1},
        {0, 3, 1},
        {0, 255, 1},
        {0, RING_OPEN, 0},
        {0, RING_SEAL, 0},
        {0, RING_OPEN, RING_PACKETS + 1},
        {0, RING_SEAL, 255},
    };
    size_t i;

    (void)state;
    for (i = 0; i < ARRAY_SIZE(entries); i++) {
        struct rig r;

        rig_start(&r, RIG_RESPONDER, 1);
        rig_submit(&r, 0, entries[i]);
        rig_assert_ended(&r, BROKE_RING);
        rig_stop(&r);
    }
}

/* The completion ring is the caller's to consume: an index that cannot be true. */
static void test_ring_head(void **state)
{
    static const uint32_t heads[] = {1, 1U << 31, (uint32_t)-RING_ENTRIES};
    size_t i;

    (void)state;
    for (i = 0; i < ARRAY_SIZE(heads); i++) {
        struct rig r;

        rig_start(&r, RIG_RESPONDER, 1);
        atomic_store(&r.area[0]->complete.head, heads[i]);
        rig_submit(&r, 0, (struct ring_entry){0, RING_OPEN, 1});
        rig_assert_ended(&r, BROKE_RING);
        rig_stop(&r);
    }
}

/* All 64 entries, the same slot in many of them: no more than a waste of the caller's time. */
static void test_ring_repeats(void **state)
{
    struct rig r;
    int i;

    (void)state;
    rig_start(&r, RIG_RESPONDER, 1);
    for (i = 0; i < RING_ENTRIES; i++)
        rig_submit(&r, 0, (struct ring_entry){3, RING_OPEN, RING_PACKETS});
    for (i = 0; i < RING_ENTRIES; i++)
        assert_int_equal(rig_complete(&r, 0), 3);
    rig_assert_alive(&r);
    rig_stop(&r);
}

/* ---- packets -------------------------------------------------------------------------------- */

struct bad_packet {
    enum ring_op op;
    struct ring_packet packet;
    enum ring_status status;
};

static void test_packet_bounds(void **state)
{
    const uint32_t end = RING_SLOT_SIZE, table = RING_TABLE_SIZE;
    const struct bad_packet bad[] = {
        {RING_OPEN, {.offset = 0, .length = 60}, RING_STATUS_MALFORMED},
        {RING_OPEN, {.offset = table - 1, .length = 60}, RING_STATUS_MALFORMED},
        {RING_OPEN, {.offset = end - 59, .length = 60}, RING_STATUS_MALFORMED},
        {RING_OPEN, {.offset = end, .length = 60}, RING_STATUS_MALFORMED},
        {RING_OPEN, {.offset = end + 1, .length = 60}, RING_STATUS_MALFORMED},
        {RING_OPEN, {.offset = UINT32_MAX, .length = 60}, RING_STATUS_MALFORMED},
        {RING_OPEN, {.offset = UINT32_MAX - 59, .length = 60}, RING_STATUS_MALFORMED},
        {RING_OPEN, {.offset = table, .length = 0}, RING_STATUS_MALFORMED},
        {RING_OPEN, {.offset = table, .length = 59}, RING_STATUS_MALFORMED},
        {RING_OPEN, {.offset = table, .length = WIRE_DATAGRAM_MAX + 1}, RING_STATUS_MALFORMED},
        {RING_OPEN, {.offset = table, .length = UINT16_MAX}, RING_STATUS_MALFORMED},
        {RING_SEAL, {.offset = 0, .length = 60, .type = WIRE_DATA}, RING_STATUS_MALFORMED},
        {RING_SEAL, {.offset = table - 1, .length = 60, .type = WIRE_DATA}, RING_STATUS_MALFORMED},
        {RING_SEAL, {.offset = end - 100, .length = 60, .type = WIRE_DATA}, RING_STATUS_MALFORMED},
        {RING_SEAL, {.offset = UINT32_MAX, .length = 60, .type = WIRE_DATA}, RING_STATUS_MALFORMED},
        {RING_SEAL, {.offset = table, .length = 0, .type = WIRE_DATA}, RING_STATUS_MALFORMED},
        {RING_SEAL,
         {.offset = table, .length = WIRE_MTU_MAX + 1, .type = WIRE_DATA},
         RING_STATUS_MALFORMED},
        {RING_SEAL,
         {.offset = table, .length = UINT16_MAX, .type = WIRE_DATA},
         RING_STATUS_MALFORMED},
        {RING_SEAL, {.offset = table, .length = 60, .type = 0}, RING_STATUS_MALFORMED},
        {RING_SEAL,
         {.offset = table, .length = 60, .type = WIRE_CONNECT_REQ},
         RING_STATUS_MALFORMED},
        {RING_SEAL, {.offset = table, .length = 60, .type = 7}, RING_STATUS_MALFORMED},
        {RING_SEAL, {.offset = table, .length = 60, .type = WIRE_DATA}, RING_STATUS_NO_SESSION},
        {RING_SEAL,
         {.offset = table, .length = 60, .type = WIRE_DATA, .peer = UINT32_MAX},
         RING_STATUS_NO_SESSION},
        {RING_SEAL,
         {.offset = table, .length = 60, .type = WIRE_DATA, .peer = 0x1ffff},
         RING_STATUS_NO_SESSION},
    };
    static const uint8_t ping[16] = {2};
    uint8_t datagram[WIRE_DATAGRAM_MAX];
    struct peer p;
    struct rig r;
    size_t i, len;

    (void)state;
    rig_start(&r, RIG_RESPONDER, 1);
    rig_user_add(&r, RIG_USER_ID);
    peer_init(&p, rig_home.user_private, "alice", rig_home.server_public);
    (void)rig_login(&r, &p);
    for (i = 0; i < ARRAY_SIZE(bad); i++) {
        struct ring_packet *packet = &r.area[0]->slots[1].packets[0];

        *packet = bad[i].packet;
        rig_submit(&r, 0, (struct ring_entry){1, (uint8_t)bad[i].op, 1});
        assert_int_equal(rig_complete(&r, 0), 1);
        if (packet->status != bad[i].status)
            fail_msg("packet %zu: status %s", i, ring_status_name(packet->status));
    }
    /* All of it changed nothing for the session. */
    len = peer_seal(&p, WIRE_PING, ping, sizeof(ping), datagram);
    assert_int_equal(rig_open(&r, 0, datagram, len).status, RING_STATUS_OK);
    rig_stop(&r);
}

/* ---- the caller changes memory while the worker reads it ------------------------------------ */

struct scribble {
    struct ring_slot *slots;
    size_t count;
    atomic_bool stop;
};

static void *scribbler(void *arg)
{
    struct scribble *s = arg;
    uint32_t random = 2463534242U;

    while (!atomic_load_explicit(&s->stop, memory_order_relaxed)) {
        struct ring_slot *slot;

        random ^= random << 13;
        random ^= random >> 17;
        random ^= random << 5;
        slot = &s->slots[random % s->count];
        if (random & 0x100) {
            ((volatile uint8_t *)slot)[(random >> 9) % 8192] ^= (uint8_t)(random >> 3);
        } else {
            volatile struct ring_packet *p = &slot->packets[(random >> 9) % 8];

            p->offset = random >> 14;
            p->length = (uint16_t)(random >> 20);
        }
    }
    return NULL;
}

static void test_scribbling(void **state)
{
    struct scribble scribble = {.count = 4};
    uint8_t datagram[WIRE_DATAGRAM_MAX], packet[128];
    uint64_t until = clock_mono_ms() + 700;
    pthread_t thread;
    uint32_t handle;
    struct peer p;
    struct rig r;
    size_t len;
    int batches = 0;

    (void)state;
    rig_start(&r, RIG_RESPONDER, 1);
    rig_user_add(&r, RIG_USER_ID);
    peer_init(&p, rig_home.user_private, "alice", rig_home.server_public);
    handle = rig_login(&r, &p);
    scribble.slots = &r.area[0]->slots[1];
    assert_int_equal(pthread_create(&thread, NULL, scribbler, &scribble), 0);
    while (clock_mono_ms() < until || batches < 1000) {
        unsigned int i, slot = 1 + (unsigned int)batches % 4;
        struct ring_slot *s = &r.area[0]->slots[slot];

        (void)packet4(packet, p.grant.ip4, p.grant.gateway4, "scribble", 8);
        for (i = 0; i < 8; i++) {
            size_t offset = RING_TABLE_SIZE + i * 512;

            len = peer_seal(&p, WIRE_DATA, packet, 36, datagram);
            memcpy((uint8_t *)s + offset, datagram, len);
            s->packets[i] = (struct ring_packet){.offset = (uint32_t)offset,
                                                 .length = (uint16_t)len,
                                                 .type = WIRE_DATA,
                                                 .peer = handle};
        }
        rig_submit(&r, 0,
                   (struct ring_entry){(uint16_t)slot, batches & 1 ? RING_OPEN : RING_SEAL, 8});
        assert_int_equal(rig_complete(&r, 0), slot);
        batches++;
    }
    atomic_store(&scribble.stop, true);
    pthread_join(thread, NULL);
    len = packet4(packet, p.grant.ip4, p.grant.gateway4, "still well", 10);
    len = peer_seal(&p, WIRE_DATA, packet, len, datagram);
    assert_int_equal(rig_open(&r, 0, datagram, len).status, RING_STATUS_OK);
    rig_stop(&r);
}

/* Random bytes all over the shared memory, indexes included: it carries on or ends by itself. */
static void test_random_memory(void **state)
{
    uint8_t seed[randombytes_SEEDBYTES] = {0};
    int round, ended = 0;

    (void)state;
    for (round = 0; round < 24; round++) {
        struct rig r;
        int i;

        seed[0] = (uint8_t)round;
        rig_start(&r, RIG_RESPONDER, 1);
        for (i = 0; i < 4; i++) {
            struct ring_slot *slot = &r.area[0]->slots[i];

            seed[1] = (uint8_t)i;
            randombytes_buf_deterministic(slot, sizeof(*slot), seed);
            if (round < 20)
                rig_submit(&r, 0, (struct ring_entry){(uint16_t)i, (uint8_t)(1 + i % 2), 128});
        }
        if (round >= 8) {
            size_t rings = offsetof(struct ring_area, slots);

            randombytes_buf_deterministic(r.area[0], rings, seed);
            ring_bell(&r);
            rig_assert_ended(&r, BROKE_RING);
            ended++;
        } else {
            for (i = 0; i < 4; i++)
                assert_int_equal(rig_complete(&r, 0), i);
            rig_assert_alive(&r);
        }
        rig_stop(&r);
    }
    assert_int_equal(ended, 16);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ring_tail),     cmocka_unit_test(test_ring_entries),
        cmocka_unit_test(test_ring_head),     cmocka_unit_test(test_ring_repeats),
        cmocka_unit_test(test_packet_bounds), cmocka_unit_test(test_scribbling),
        cmocka_unit_test(test_random_memory),
    };
    const int rc = rig_home_make(NULL);

    if (rc)
        return rc;
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("hostile ring", tests, NULL, rig_home_remove) ? 1 : 0;
}

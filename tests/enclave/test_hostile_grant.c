/*
 * A hostile caller at the control socket: grants that were never asked for, come twice, too late or
 * with a status that is none.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <time.h>
#include <cmocka.h>
#include <sodium.h>

#include "common/cleanup.h"
#include "tests/enclave/rig.h"

static void test_grant_unknown_handle(void **state)
{
    static const uint32_t handles[] = {0, 1, 63, 64, 65, 12345, UINT32_MAX};
    union ipc_msg msg;
    size_t i;

    (void)state;
    for (i = 0; i < ARRAY_SIZE(handles); i++) {
        rig_grant(&msg, handles[i], WIRE_STATUS_OK);
        rig_assert_fatal(&msg, true);
    }
}

/* The first grant consumes the handle, whatever it says. */
static void test_two_grants(void **state)
{
    static const uint32_t firsts[] = {WIRE_STATUS_OK, WIRE_STATUS_POOL_FULL, WIRE_STATUS_DISABLED};
    size_t i;

    (void)state;
    for (i = 0; i < ARRAY_SIZE(firsts); i++) {
        union ipc_msg msg;
        uint32_t handle;
        struct peer p;
        struct rig r;

        rig_start(&r, RIG_RESPONDER, 1);
        rig_user_add(&r, RIG_USER_ID);
        peer_init(&p, rig_home.user_private, "alice", rig_home.server_public);
        handle = rig_hs_auth(&r, &p);
        rig_grant(&msg, handle, firsts[i]);
        rig_send(&r, &msg, msg.hdr.length);
        rig_recv(&r, IPC_HS_RESPONSE, &msg);
        assert_int_equal(peer_answer(&p, msg.hs_response.msg), firsts[i]);
        rig_grant(&msg, handle, WIRE_STATUS_OK);
        rig_send(&r, &msg, msg.hdr.length);
        rig_assert_ended(&r, RIG_BROKE_CONTRACT);
        rig_stop(&r);
    }
}

static void test_grant_status(void **state)
{
    static const uint32_t statuses[] = {WIRE_STATUS_CHALLENGE, WIRE_STATUS_BAD_REV, WIRE_STATUS_NUM,
                                        255, UINT32_MAX};
    size_t i;

    (void)state;
    for (i = 0; i < ARRAY_SIZE(statuses); i++) {
        union ipc_msg msg;
        struct peer p;
        struct rig r;

        rig_start(&r, RIG_RESPONDER, 1);
        rig_user_add(&r, RIG_USER_ID);
        peer_init(&p, rig_home.user_private, "alice", rig_home.server_public);
        rig_grant(&msg, rig_hs_auth(&r, &p), statuses[i]);
        rig_send(&r, &msg, msg.hdr.length);
        rig_assert_ended(&r, RIG_BROKE_CONTRACT);
        rig_stop(&r);
    }
}

static void sleep_ms(long ms)
{
    const struct timespec t = {ms / 1000, ms % 1000 * 1000000};

    nanosleep(&t, NULL);
}

/*
 * A caller that was slow is not hostile: a grant after the handle's second is dropped, also when
 * the handle's place has been given to another login meanwhile.
 */
static void test_late_grants(void **state)
{
    struct peer p[2 + 64];
    uint32_t handle[2];
    union ipc_msg msg;
    struct rig r;
    size_t i;

    (void)state;
    rig_start(&r, RIG_RESPONDER, 1);
    for (i = 0; i < 3; i++) {
        uint8_t key[WIRE_KEY_LEN] = {0};

        key[1] = (uint8_t)(i + 1);
        ipc_fill(&msg, IPC_USER_ADD);
        msg.user_add.user_id = (uint32_t)i;
        memcpy(msg.user_add.user, "bob", 3);
        crypto_scalarmult_base(msg.user_add.key, key);
        rig_send(&r, &msg, msg.hdr.length);
    }
    for (i = 0; i < 2; i++) {
        uint8_t key[WIRE_KEY_LEN] = {0, 1};

        peer_init(&p[i], key, "bob", rig_home.server_public);
        handle[i] = rig_hs_auth(&r, &p[i]);
    }
    sleep_ms(1100); /* the handles' life */
    rig_grant(&msg, handle[0], WIRE_STATUS_OK);
    rig_send(&r, &msg, msg.hdr.length);
    rig_recv(&r, IPC_HS_DROPPED, &msg);
    assert_int_equal(msg.hs_dropped.reason, HS_DROP_EXPIRED);
    /* All 64 places are given anew. */
    for (i = 2; i < ARRAY_SIZE(p); i++) {
        uint8_t key[WIRE_KEY_LEN] = {0};

        key[1] = (uint8_t)(1 + i % 3);
        peer_init(&p[i], key, "bob", rig_home.server_public);
        (void)rig_hs_auth(&r, &p[i]);
    }
    rig_grant(&msg, handle[1], WIRE_STATUS_OK);
    rig_send(&r, &msg, msg.hdr.length);
    rig_assert_alive(&r);
    rig_stop(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_grant_unknown_handle),
        cmocka_unit_test(test_two_grants),
        cmocka_unit_test(test_grant_status),
        cmocka_unit_test(test_late_grants),
    };
    const int rc = rig_home_make(NULL);

    if (rc)
        return rc;
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("hostile grants", tests, NULL, rig_home_remove) ? 1 : 0;
}

/*
 * A hostile caller at the control socket: requests that are well-formed, with values that nobody
 * may send.  The enclave ends or carries on unharmed, as the request has it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include <sodium.h>

#include "common/cleanup.h"
#include "tests/enclave/rig.h"

static void test_user_ids(void **state)
{
    static const uint32_t beyond[] = {RIG_USERS, RIG_USERS + 1, 1U << 20, UINT32_MAX};
    union ipc_msg msg;
    size_t i;

    (void)state;
    for (i = 0; i < ARRAY_SIZE(beyond); i++) {
        ipc_fill(&msg, IPC_USER_ADD);
        msg.user_add.user_id = beyond[i];
        memcpy(msg.user_add.user, "bob", 3);
        memcpy(msg.user_add.key, rig_home.server_public, WIRE_KEY_LEN);
        rig_assert_fatal(&msg, false);
        ipc_fill(&msg, IPC_USER_DEL);
        msg.user_del.user_id = beyond[i];
        rig_assert_fatal(&msg, true);
        ipc_fill(&msg, IPC_ALLOW);
        msg.allow.id = beyond[i];
        msg.allow.family = 4;
        rig_assert_fatal(&msg, true);
        ipc_fill(&msg, IPC_ALLOW_CLEAR);
        msg.allow_clear.id = beyond[i];
        rig_assert_fatal(&msg, true);
    }
    /* What lies behind a server is not the enclave's business. */
    ipc_fill(&msg, IPC_ALLOW);
    msg.allow.id = RIG_USER_ID;
    msg.allow.family = 4;
    msg.allow.end = IPC_ALLOW_DESTINATION;
    rig_assert_fatal(&msg, true);
    /* Nobody by that number; the same number or key twice. */
    ipc_fill(&msg, IPC_USER_DEL);
    msg.user_del.user_id = RIG_USER_ID + 1;
    rig_assert_fatal(&msg, true);
    ipc_fill(&msg, IPC_USER_ADD);
    msg.user_add.user_id = RIG_USER_ID;
    memcpy(msg.user_add.user, "bob", 3);
    memcpy(msg.user_add.key, rig_home.server_public, WIRE_KEY_LEN);
    rig_assert_fatal(&msg, true);
    msg.user_add.user_id = RIG_USER_ID + 1;
    memcpy(msg.user_add.key, rig_home.user_public, WIRE_KEY_LEN);
    rig_assert_fatal(&msg, true);
}

static void test_too_many_users(void **state)
{
    union ipc_msg msg;
    struct rig r;
    uint32_t i;

    (void)state;
    rig_start(&r, RIG_RESPONDER, 1);
    for (i = 0; i <= RIG_USERS; i++) {
        ipc_fill(&msg, IPC_USER_ADD);
        msg.user_add.user_id = i;
        memcpy(msg.user_add.user, "bob", 3);
        randombytes_buf(msg.user_add.key, WIRE_KEY_LEN);
        rig_send(&r, &msg, msg.hdr.length);
    }
    rig_assert_ended(&r, RIG_BROKE_CONTRACT);
    rig_stop(&r);
}

static void test_allow_values(void **state)
{
    static const struct {
        uint8_t family, len;
    } bad[] = {{0, 0}, {5, 8}, {255, 8}, {4, 33}, {4, 255}, {6, 129}};
    union ipc_msg msg;
    size_t i;

    (void)state;
    for (i = 0; i < ARRAY_SIZE(bad); i++) {
        ipc_fill(&msg, IPC_ALLOW);
        msg.allow.id = RIG_USER_ID;
        msg.allow.family = bad[i].family;
        msg.allow.prefix_len = bad[i].len;
        rig_assert_fatal(&msg, true);
    }
}

static void test_allow_flood(void **state)
{
    union ipc_msg msg;
    struct rig r;
    int i;

    (void)state;
    rig_start(&r, RIG_RESPONDER, 1);
    ipc_fill(&msg, IPC_ALLOW);
    msg.allow.id = RIG_USER_ID;
    msg.allow.family = 4;
    msg.allow.prefix_len = 32;
    /* The table is bounded: at its end the caller has broken the contract. */
    for (i = 0; i < 40000; i++) {
        be32_put(msg.allow.addr, (uint32_t)i);
        rig_send(&r, &msg, msg.hdr.length);
    }
    rig_assert_ended(&r, RIG_BROKE_CONTRACT);
    rig_stop(&r);
}

/* Names and keys that no user can have are refused without harm to the others. */
static void test_unusable_users(void **state)
{
    static const char *const names[] = {"", "Bob", "bob smith", "\xc3\xb6"};
    struct peer p;
    union ipc_msg msg;
    struct rig r;
    size_t i;

    (void)state;
    rig_start(&r, RIG_RESPONDER, 1);
    for (i = 0; i <= ARRAY_SIZE(names); i++) {
        ipc_fill(&msg, IPC_USER_ADD);
        msg.user_add.user_id = (uint32_t)i;
        if (i < ARRAY_SIZE(names))
            memcpy(msg.user_add.user, names[i], strlen(names[i]));
        else
            memset(msg.user_add.user, '\xff', sizeof(msg.user_add.user));
        rig_send(&r, &msg, msg.hdr.length); /* the key is zeros: a low-order point */
        memcpy(msg.user_add.key, rig_home.server_public, WIRE_KEY_LEN);
        rig_send(&r, &msg, msg.hdr.length);
    }
    rig_user_add(&r, RIG_USER_ID);
    peer_init(&p, rig_home.user_private, "alice", rig_home.server_public);
    assert_int_not_equal(rig_login(&r, &p), 0);
    rig_stop(&r);
}

/* ---- initiator ------------------------------------------------------------------------------ */

static void test_initiator_values(void **state)
{
    static const uint32_t tunnels[] = {1, 1024, UINT32_MAX};
    static const uint16_t mtus[] = {0, WIRE_MTU_MIN - 1, WIRE_MTU_MAX + 1, UINT16_MAX};
    union ipc_msg msg;
    size_t i;

    (void)state;
    for (i = 0; i < ARRAY_SIZE(tunnels) + ARRAY_SIZE(mtus); i++) {
        struct rig r;

        rig_start(&r, RIG_INITIATOR, 1);
        ipc_fill(&msg, IPC_CONNECT);
        msg.connect.mtu = 1400;
        if (i < ARRAY_SIZE(tunnels))
            msg.connect.tunnel = tunnels[i];
        else
            msg.connect.mtu = mtus[i - ARRAY_SIZE(tunnels)];
        rig_send(&r, &msg, msg.hdr.length);
        rig_assert_ended(&r, RIG_BROKE_CONTRACT);
        rig_stop(&r);
    }
    for (i = 0; i < ARRAY_SIZE(tunnels); i++) {
        struct rig r;

        rig_start(&r, RIG_INITIATOR, 1);
        ipc_fill(&msg, IPC_HS_ANSWER);
        msg.hs_answer.tunnel = tunnels[i];
        rig_send(&r, &msg, msg.hdr.length);
        rig_assert_ended(&r, RIG_BROKE_CONTRACT);
        rig_stop(&r);
    }
}

/* Answers to nothing, forged ones and repeated ones are dropped; the login they aim at succeeds. */
static void test_initiator_answers(void **state)
{
    static const struct hs_grant grant = {.ip4 = {10, 8, 0, 10}, .prefix4 = 24, .mtu = 1400};
    uint8_t resp[WIRE_CONNECT_RESP_LEN];
    union ipc_msg msg;
    struct peer p;
    struct rig r;
    size_t i;

    (void)state;
    rig_start(&r, RIG_INITIATOR, 1);
    ipc_fill(&msg, IPC_HS_ANSWER);
    rig_send(&r, &msg, msg.hdr.length);
    rig_recv(&r, IPC_HS_DROPPED, &msg);

    ipc_fill(&msg, IPC_CONNECT);
    msg.connect.sequence = 1;
    msg.connect.mtu = 1400;
    rig_send(&r, &msg, msg.hdr.length);
    rig_recv(&r, IPC_HS_CONNECT, &msg);
    peer_init(&p, rig_home.server_private, "alice", NULL);
    peer_respond(&p, msg.hs_connect.msg, &grant, resp);
    for (i = 0; i < sizeof(resp); i += 7) {
        ipc_fill(&msg, IPC_HS_ANSWER);
        memcpy(msg.hs_answer.msg, resp, sizeof(resp));
        msg.hs_answer.msg[i] ^= 0x10;
        rig_send(&r, &msg, msg.hdr.length);
        rig_recv(&r, IPC_HS_DROPPED, &msg);
    }
    for (i = 0; i < 2; i++) {
        ipc_fill(&msg, IPC_HS_ANSWER);
        memcpy(msg.hs_answer.msg, resp, sizeof(resp));
        rig_send(&r, &msg, msg.hdr.length);
        rig_recv(&r, i == 0 ? IPC_HS_DONE : IPC_HS_DROPPED, &msg);
        if (i == 0)
            assert_int_equal(msg.hs_done.index, p.index);
    }
    rig_stop(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_user_ids),          cmocka_unit_test(test_too_many_users),
        cmocka_unit_test(test_allow_values),      cmocka_unit_test(test_allow_flood),
        cmocka_unit_test(test_unusable_users),    cmocka_unit_test(test_initiator_values),
        cmocka_unit_test(test_initiator_answers),
    };
    const int rc = rig_home_make(NULL);

    if (rc)
        return rc;
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("hostile requests", tests, NULL, rig_home_remove) ? 1 : 0;
}

/*
 * Renewing a session under load, when idle, and when messages of it get lost, with packets under
 * way on the old session and on the new one.  Every packet arrives exactly once, no nonce is used
 * twice.
 */
#include "tests/unit/rekey_fixture.h"

/* A confirmed first session. */
static void connect_first(void)
{
    uint8_t resp[WIRE_CONNECT_RESP_LEN];
    struct datagram d;
    uint32_t flags;

    login_ask(resp);
    assert_int_equal(seal(&server, &d), RING_STATUS_NO_SESSION); /* until the client has spoken */
    login_finish(resp);
    assert_int_equal(seal(&client, &d), RING_STATUS_OK);
    assert_int_equal(open_at(&server, &d, &flags), RING_STATUS_OK);
    assert_int_equal(flags, RING_FLAG_NEWEST | RING_FLAG_PROMOTED);
    send_one(&server);
    deliver_all();
    pass(2000);
}

/* ---- tests ------------------------------------------------------------------------------------
 */

/* Each step of a renewal with packets of both directions under way around it. */
static void rekey_under_load(void **state)
{
    uint8_t resp[WIRE_CONNECT_RESP_LEN];
    struct datagram up_old, up_new, down_old, down_new, late;
    uint32_t flags;

    (void)state;
    connect_first();
    pass(115000);
    for (int i = 0; i < 50; i++) {
        send_one(&client);
        send_one(&server);
    }
    assert_int_equal(seal(&client, &up_old), RING_STATUS_OK);
    assert_int_equal(seal(&server, &late), RING_STATUS_OK);
    login_ask(resp);

    /* The server knows the new session and uses the old one; so does the client. */
    assert_int_equal(seal(&server, &down_old), RING_STATUS_OK);
    assert_int_equal(index_of(&down_old), index_of(&late));
    send_one(&client);
    assert_int_equal(index_of(&flight[n_flight - 1]), index_of(&up_old));

    /* The client has it and seals with it; the server goes on with the old one. */
    login_finish(resp);
    assert_int_equal(seal(&client, &up_new), RING_STATUS_OK);
    assert_int_not_equal(index_of(&up_new), index_of(&up_old));
    assert_int_equal(seal(&server, &down_new), RING_STATUS_OK);
    assert_int_equal(index_of(&down_new), index_of(&late));
    assert_int_equal(open_at(&client, &down_new, &flags), RING_STATUS_OK);
    assert_int_equal(flags, 0); /* of the previous session: moves no endpoint */

    /* The client's first packet confirms it; only now the server changes. */
    assert_int_equal(open_at(&server, &up_new, &flags), RING_STATUS_OK);
    assert_int_equal(flags, RING_FLAG_NEWEST | RING_FLAG_PROMOTED);
    assert_int_equal(seal(&server, &down_new), RING_STATUS_OK);
    assert_int_not_equal(index_of(&down_new), index_of(&late));
    assert_int_equal(open_at(&client, &down_new, &flags), RING_STATUS_OK);
    assert_int_equal(flags, RING_FLAG_NEWEST);

    /* What was sent under the old session still arrives, and says nothing about the path. */
    assert_int_equal(open_at(&server, &up_old, &flags), RING_STATUS_OK);
    assert_int_equal(flags, 0);
    assert_int_equal(open_at(&client, &down_old, &flags), RING_STATUS_OK);
    assert_int_equal(flags, 0);
    for (int i = 0; i < 50; i++) {
        send_one(&client);
        send_one(&server);
    }
    deliver_all();
    assert_int_equal(open_at(&client, &late, &flags), RING_STATUS_OK);
    assert_int_equal(open_at(&client, &late, NULL), RING_STATUS_REPLAY);
}

/* A day of renewals, each with packets under way before, during and after it. */
static void many_rekeys_lose_nothing(void **state)
{
    uint8_t resp[WIRE_CONNECT_RESP_LEN];

    (void)state;
    connect_first();
    for (int round = 0; round < 720; round++) {
        for (int i = 0; i < 20; i++)
            send_one(i % 3 ? &client : &server);
        login_ask(resp);
        for (int i = 0; i < 20; i++)
            send_one(i % 3 ? &client : &server);
        login_finish(resp);
        for (int i = 0; i < 20; i++)
            send_one(i % 3 ? &client : &server);
        pass(50);
        deliver_all();
        tick();
        pass(119950);
        tick();
    }
    assert_true(next_number > 43000);
}

/* No counter of a session is ever used twice, also while the two sessions are mixed. */
static void no_nonce_twice(void **state)
{
    uint8_t resp[WIRE_CONNECT_RESP_LEN];

    (void)state;
    connect_first();
    for (int i = 0; i < 300; i++)
        send_one(i % 2 ? &client : &server);
    login_ask(resp);
    for (int i = 0; i < 300; i++)
        send_one(i % 2 ? &client : &server);
    login_finish(resp);
    for (int i = 0; i < 300; i++)
        send_one(i % 2 ? &client : &server);
    for (size_t i = 0; i < n_flight; i++)
        for (size_t j = 0; j < i; j++)
            assert_memory_not_equal(flight[i].bytes + WIRE_HEADER_LEN,
                                    flight[j].bytes + WIRE_HEADER_LEN, WIRE_NONCE_LEN);
    deliver_all();
}

/* An idle session ends at 180 s on both sides; renewed in time, there is nothing to notice. */
static void rekey_when_idle(void **state)
{
    uint8_t resp[WIRE_CONNECT_RESP_LEN];
    struct datagram old_up, old_down, d;
    uint32_t flags;

    (void)state;
    connect_first();
    pass(117000);
    tick();
    assert_int_equal(seal(&client, &old_up), RING_STATUS_OK);
    assert_int_equal(seal(&server, &old_down), RING_STATUS_OK);
    login_ask(resp);
    login_finish(resp);
    assert_int_equal(seal(&client, &d), RING_STATUS_OK); /* the PING that confirms it */
    assert_int_equal(open_at(&server, &d, &flags), RING_STATUS_OK);
    assert_int_equal(flags, RING_FLAG_NEWEST | RING_FLAG_PROMOTED);
    pass(61000); /* the old one is 180 s old now */
    assert_int_equal(open_at(&server, &old_up, NULL), RING_STATUS_EXPIRED);
    assert_int_equal(open_at(&client, &old_down, NULL), RING_STATUS_EXPIRED);
    tick();
    tick();
    assert_int_equal(open_at(&server, &old_up, NULL), RING_STATUS_UNKNOWN_INDEX);
    assert_int_equal(open_at(&client, &old_down, NULL), RING_STATUS_UNKNOWN_INDEX);
    send_one(&client);
    send_one(&server);
    deliver_all();

    /* Not renewed: both refuse at 180 s and wipe. */
    pass(118999);
    send_one(&client);
    send_one(&server);
    deliver_all();
    assert_int_equal(seal(&client, &old_up), RING_STATUS_OK);
    pass(1);
    assert_int_equal(seal(&client, &d), RING_STATUS_EXPIRED);
    assert_int_equal(seal(&server, &d), RING_STATUS_EXPIRED);
    assert_int_equal(open_at(&server, &old_up, NULL), RING_STATUS_EXPIRED);
    tick();
    tick();
    assert_int_equal(seal(&client, &d), RING_STATUS_NO_SESSION);
    assert_int_equal(seal(&server, &d), RING_STATUS_NO_SESSION);
}

/* The answer is lost: the old session serves on, the unconfirmed one is wiped, the next try works.
 */
static void a_lost_answer(void **state)
{
    uint8_t lost[WIRE_CONNECT_RESP_LEN], resp[WIRE_CONNECT_RESP_LEN];

    (void)state;
    connect_first();
    pass(115000);
    login_ask(lost);
    for (int i = 0; i < 20; i++)
        send_one(i % 2 ? &client : &server);
    deliver_all();
    pass(5300);
    login_ask(resp); /* takes the place of the unconfirmed one */
    send_one(&client);
    send_one(&server);
    login_finish(resp);
    send_one(&client);
    send_one(&server);
    deliver_all();
    pass(2000);
    send_one(&server);
    send_one(&client);
    assert_int_equal(index_of(&flight[0]) == index_of(&flight[1]), 0);
    deliver_all();

    /* Nobody asks again: 10 s later the server has forgotten the offer, not the session. */
    login_ask(lost);
    pass(10000);
    tick();
    tick();
    assert_null(keystore_peer_next(server.dispatch.ks, IPC_PEER_SLOT(server.peer)));
    send_one(&client);
    send_one(&server);
    deliver_all();
}

/* The confirming packet is lost or late: any later packet of the new session confirms it. */
static void a_lost_confirmation(void **state)
{
    uint8_t resp[WIRE_CONNECT_RESP_LEN];
    struct datagram lost, d;
    uint32_t flags;

    (void)state;
    connect_first();
    pass(115000);
    login_ask(resp);
    login_finish(resp);
    assert_int_equal(seal(&client, &lost), RING_STATUS_OK);
    for (int i = 0; i < 10; i++)
        send_one(&server); /* under the old session, and taken */
    deliver_all();
    assert_int_equal(seal(&client, &d), RING_STATUS_OK);
    assert_int_equal(open_at(&server, &d, &flags), RING_STATUS_OK);
    assert_int_equal(flags, RING_FLAG_NEWEST | RING_FLAG_PROMOTED);
    assert_int_equal(open_at(&server, &lost, &flags), RING_STATUS_OK);
    assert_int_equal(flags, 0);
}

/* Two sessions are kept, not three: what is older is unknown. */
static void the_one_before_the_previous_is_gone(void **state)
{
    uint8_t resp[WIRE_CONNECT_RESP_LEN];
    struct datagram up, down;

    (void)state;
    connect_first();
    assert_int_equal(seal(&client, &up), RING_STATUS_OK);
    assert_int_equal(seal(&server, &down), RING_STATUS_OK);
    for (int i = 0; i < 2; i++) {
        pass(2000);
        login_ask(resp);
        login_finish(resp);
        send_one(&client);
        deliver_all();
    }
    assert_int_equal(open_at(&server, &up, NULL), RING_STATUS_UNKNOWN_INDEX);
    assert_int_equal(open_at(&client, &down, NULL), RING_STATUS_UNKNOWN_INDEX);
}

int main(void)
{
#define REKEY_TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        REKEY_TEST(rekey_under_load),
        REKEY_TEST(many_rekeys_lose_nothing),
        REKEY_TEST(no_nonce_twice),
        REKEY_TEST(rekey_when_idle),
        REKEY_TEST(a_lost_answer),
        REKEY_TEST(a_lost_confirmation),
        REKEY_TEST(the_one_before_the_previous_is_gone),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

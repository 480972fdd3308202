/* The tables behind the login: waiting handles, users, and that both forget. */
#include "enclave/hs_users.h"
#include "tests/unit/handshake_fixture.h"

static int grant_status(uint32_t handle, unsigned int status)
{
    struct hs_keys keys;

    return hs_responder_grant(server, handle, status, 1, &some_grant, &now, answer, &keys);
}

/* Three times through all slots: no number comes twice, and a used one stays used. */
static void handles(void **state)
{
    uint32_t given[200];

    (void)state;
    for (uint32_t never = 0; never < 256; never++)
        assert_int_equal(grant_status(never, WIRE_STATUS_OK), -EBADMSG);
    become_known();
    for (int i = 0; i < 200; i++) {
        clock_add(250);
        request_make();
        request_send();
        expect_auth(false);
        given[i] = verdict.auth.handle;
        for (int j = 0; j < i; j++)
            assert_int_not_equal(given[i], given[j]);
        if (i == 199)
            break;
        grant_ok();
        for (int j = 0; j <= i; j += 9)
            assert_int_equal(grant_status(given[j], WIRE_STATUS_OK), -EBADMSG);
        assert_int_equal(grant_status(given[i], WIRE_STATUS_OK), -EBADMSG);
    }

    /* Statuses that are not the caller's to give, and a number of the same slot from the future. */
    assert_int_equal(grant_status(given[199], WIRE_STATUS_CHALLENGE), -EBADMSG);
    assert_int_equal(grant_status(given[199], WIRE_STATUS_BAD_REV), -EBADMSG);
    assert_int_equal(grant_status(given[199], WIRE_STATUS_NUM), -EBADMSG);
    assert_int_equal(grant_status(given[199] + 64, WIRE_STATUS_OK), -EBADMSG);
    clock_add(999);
    assert_int_equal(grant_status(given[199], WIRE_STATUS_OK), 0); /* none of that used it up */

    request_make();
    request_send();
    expect_auth(false);
    clock_add(1000);
    assert_int_equal(grant_status(verdict.auth.handle, WIRE_STATUS_OK), -ETIMEDOUT);
    assert_int_equal(grant_status(verdict.auth.handle, WIRE_STATUS_OK), -EBADMSG);
}

/* One login per user, 64 at once; their handles run out, and late grants are told from hostile. */
static void handles_run_out(void **state)
{
    const size_t size = hs_responder_size(65);
    uint8_t *mem = dirty(size), key[65][32], public_key[32];
    struct hs_initiator *who[65];
    uint8_t *who_mem[65];
    uint32_t given[65];
    struct hs_keys keys;
    struct hs_answer out;

    (void)state;
    server = hs_responder_new(mem, server_key, 65);
    for (uint32_t i = 0; i < 65; i++) {
        cred_key_random(key[i]);
        cred_public(key[i], public_key);
        assert_int_equal(hs_responder_user_add(server, i, "alice", public_key), 0);
        who_mem[i] = dirty(hs_initiator_size());
        who[i] = hs_initiator_new(who_mem[i], key[i], "alice", server_public);
        clock_add(500);
        hs_initiator_request(who[i], &request_in, &now, req);
        request_send();
        assert_int_equal(verdict.verdict, HS_VERDICT_ANSWER);
        assert_int_equal(hs_initiator_answer(who[i], verdict.answer, &now, &out, &keys), 0);
    }
    for (int i = 0; i < 64; i++) {
        hs_initiator_request(who[i], &request_in, &now, req);
        request_send();
        expect_auth(true);
        given[i] = verdict.auth.handle;
    }
    hs_initiator_request(who[64], &request_in, &now, req);
    request_send();
    expect_drop(HS_DROP_NO_HANDLE);

    clock_add(1000); /* no tick: the next login finds them expired */
    for (int i = 0; i < 64; i++) {
        hs_initiator_request(who[i], &request_in, &now, req);
        request_send();
        expect_auth(false);
        assert_int_not_equal(verdict.auth.handle, given[i]);
    }
    for (int i = 0; i < 64; i++) {
        assert_int_equal(hs_responder_grant(server, given[i], WIRE_STATUS_OK, 1, &some_grant, &now,
                                            answer, &keys),
                         -ETIMEDOUT);
        assert_int_equal(hs_responder_grant(server, given[i], WIRE_STATUS_OK, 1, &some_grant, &now,
                                            answer, &keys),
                         -EBADMSG);
    }
    for (int i = 0; i < 65; i++)
        free(who_mem[i]);
    free(mem);
}

static void accepted_list(void **state)
{
    void *mem = dirty(hs_users_size(2));
    struct hs_users u;
    struct hs_user *user;
    uint8_t e[32] = {0};

    (void)state;
    hs_users_init(&u, mem, 2);
    assert_int_equal(hs_users_add(&u, 5, "bob", alice_public, zeros), 0);
    user = hs_users_by_id(&u, 5);
    assert_ptr_equal(user, hs_users_by_key(&u, alice_public));
    for (int i = 0; i < 32; i++) {
        e[0] = (uint8_t)i;
        assert_false(hs_user_accepted_has(&u, user, e, 100));
        assert_true(hs_user_accepted_room(&u, user, 100));
        hs_user_accepted_add(&u, user, e, 100);
        assert_true(hs_user_accepted_has(&u, user, e, 100));
    }
    assert_false(hs_user_accepted_room(&u, user, 220));
    assert_true(hs_user_accepted_has(&u, user, e, 220));
    assert_true(hs_user_accepted_room(&u, user, 221));
    assert_false(hs_user_accepted_has(&u, user, e, 221));
    free(mem);
}

static void user_deleted(void **state)
{
    uint32_t handle;
    struct hs_keys keys;

    (void)state;
    become_known();
    request_make();
    request_send();
    expect_auth(false);
    handle = verdict.auth.handle;
    assert_int_equal(hs_responder_user_del(server, ALICE), 0);
    assert_int_equal(hs_responder_user_del(server, ALICE), -ENOENT);
    /* The caller could not know: its grant is late, not hostile. */
    assert_int_equal(hs_responder_grant(server, handle, WIRE_STATUS_OK, 1, &some_grant, &now,
                                        answer, &keys),
                     -ETIMEDOUT);
    request_make();
    request_send();
    expect_refusal(WIRE_STATUS_DENIED);

    assert_int_equal(hs_responder_user_add(server, ALICE + 1, "alice", alice_public), 0);
    clock_add(1000);
    challenge_round(); /* its records went with it */
    assert_int_equal(verdict.auth.user_id, ALICE + 1);
}

static void user_table(void **state)
{
    uint8_t key[32], low_order[32] = {1};

    (void)state;
    cred_key_random(key);
    assert_int_equal(hs_responder_user_add(server, ALICE, "bob", key), -EEXIST);
    assert_int_equal(hs_responder_user_add(server, 1, "bob", alice_public), -EEXIST);
    assert_int_equal(hs_responder_user_add(server, 1, "Bob", key), -EINVAL);
    assert_int_equal(hs_responder_user_add(server, 1, "bob", low_order), -EINVAL);
    for (uint32_t i = 1; i < MAX_USERS; i++) {
        cred_key_random(key);
        assert_int_equal(hs_responder_user_add(server, i, "bob", key), 0);
    }
    cred_key_random(key);
    assert_int_equal(hs_responder_user_add(server, 100, "bob", key), -ENOSPC);
    assert_int_equal(hs_responder_user_del(server, 3), 0);
    assert_int_equal(hs_responder_user_add(server, 100, "bob", key), 0);
    become_known();
}

/* Ten thousand users in the promised space; any of them can log in, none is lost on the way. */
static void ten_thousand_users(void **state)
{
    const uint32_t num = 10000;
    void *mem = dirty(hs_users_size(num));
    uint8_t key[32];
    struct hs_users u;

    (void)state;
    assert_true(hs_users_size(num) < (size_t)num * 950);
    hs_users_init(&u, mem, num);
    for (uint32_t round = 0; round < 3; round++) {
        for (uint32_t i = 0; i < num; i++) {
            memset(key, 0, sizeof(key));
            memcpy(key, &i, sizeof(i));
            assert_int_equal(hs_users_add(&u, i * 7, "x", key, key), 0);
        }
        assert_int_equal(hs_users_add(&u, 1, "x", zeros, key), -EEXIST);
        for (uint32_t i = 0; i < num; i++) {
            memcpy(key, &i, sizeof(i));
            assert_int_equal(hs_users_by_key(&u, key)->id, i * 7);
            assert_ptr_equal(hs_users_by_id(&u, i * 7), hs_users_by_key(&u, key));
        }
        for (uint32_t i = 0; i < num; i++) {
            uint32_t n = (i * 3001) % num; /* another order than they came in */

            memcpy(key, &n, sizeof(n));
            assert_int_equal(hs_users_del(&u, n * 7), 0);
            assert_null(hs_users_by_key(&u, key));
        }
        assert_int_equal(u.num, 0);
        assert_int_equal(u.touched, num); /* given-back places are used again */
    }
    free(mem);
}

static bool server_holds(const void *bytes, size_t len)
{
    return memmem(server_mem, hs_responder_size(MAX_USERS), bytes, len) != NULL;
}

/* What is over leaves nothing behind.  E_c stands for the login's state: it lies beside it. */
static void wiping(void **state)
{
    uint8_t dh[32];

    (void)state;
    assert_int_equal(noise_dh(server_key, alice_public, dh), 0);
    become_known();
    request_make();
    request_send();
    assert_true(server_holds(req + WIRE_REQ_EPHEMERAL, 32));
    grant_ok();
    assert_false(server_holds(req + WIRE_REQ_EPHEMERAL, 32));

    request_make();
    request_send();
    assert_true(server_holds(req + WIRE_REQ_EPHEMERAL, 32));
    clock_add(999);
    hs_responder_tick(server, &now);
    assert_true(server_holds(req + WIRE_REQ_EPHEMERAL, 32));
    clock_add(1);
    hs_responder_tick(server, &now);
    assert_false(server_holds(req + WIRE_REQ_EPHEMERAL, 32));

    request_make();
    request_send();
    assert_true(server_holds(dh, sizeof(dh)));
    assert_true(server_holds(alice_public, sizeof(alice_public)));
    assert_int_equal(hs_responder_user_del(server, ALICE), 0);
    assert_false(server_holds(req + WIRE_REQ_EPHEMERAL, 32));
    assert_false(server_holds(dh, sizeof(dh)));
    assert_false(server_holds(alice_public, sizeof(alice_public)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        LOGIN_TEST(handles),      LOGIN_TEST(handles_run_out), LOGIN_TEST(accepted_list),
        LOGIN_TEST(user_deleted), LOGIN_TEST(user_table),      LOGIN_TEST(ten_thousand_users),
        LOGIN_TEST(wiping),
    };

    return sodium_init() < 0 ? 1 : cmocka_run_group_tests(tests, NULL, NULL);
}

/* Recorded messages, clocks that cannot be believed, and how often anything is answered. */
#include "tests/unit/handshake_fixture.h"

static void replayed(void **state)
{
    (void)state;
    become_known();
    request_make();
    request_send();
    expect_auth(false);
    grant_ok();
    request_send();
    expect_drop(HS_DROP_REPLAY);
    clock_add(119000);
    request_send();
    expect_drop(HS_DROP_REPLAY);
    /* Forgotten by now, but its hs_time is used up: a question, and nothing else. */
    clock_add(3000);
    request_send();
    assert_int_equal(verdict.verdict, HS_VERDICT_ANSWER);
    clock_add(1000);
    request_send();
    expect_drop(HS_DROP_REPLAY);
}

static void clock_stands_still(void **state)
{
    uint64_t first;

    (void)state;
    become_known();
    request_make();
    request_send();
    expect_auth(false);
    first = verdict.auth.hs_time;
    now.real_us -= 3600 * 1000000ULL; /* and even goes back */
    request_make();
    request_send();
    expect_auth(false);
    assert_int_equal(verdict.auth.hs_time, first + 1);
}

static void client_without_a_clock(void **state)
{
    (void)state;
    become_known();
    now.real_us = 5; /* 1970 */
    client_restart();
    challenge_round();
    grant_ok();

    /* Nor after a restart of the server. */
    server_restart();
    challenge_round();
}

static void future_clock(void **state)
{
    const uint64_t today = now.real_us;
    uint8_t recorded[WIRE_CONNECT_REQ_LEN];

    (void)state;
    become_known();
    now.real_us = 2 * today;
    request_make();
    request_send();
    expect_auth(false);
    grant_ok();
    memcpy(recorded, req, sizeof(recorded));

    now.real_us = today;
    client_restart();
    challenge_round();
    grant_ok();
    clock_add(125000);

    /* What was recorded in that future does not come back to life. */
    memcpy(req, recorded, sizeof(req));
    request_send();
    assert_int_equal(verdict.verdict, HS_VERDICT_ANSWER);
    clock_add(5000);
    client_restart();
    challenge_round();
}

static void challenge_expires(void **state)
{
    (void)state;
    request_make();
    request_send();
    expect_refusal(WIRE_STATUS_CHALLENGE);
    clock_add(121000); /* both epochs are over, though nobody ticked */
    request_make();
    request_send();
    expect_refusal(WIRE_STATUS_CHALLENGE);
    for (int i = 0; i < 59; i++) {
        clock_add(1000);
        hs_responder_tick(server, &now);
    }
    request_make();
    request_send();
    expect_auth(true);
}

/* A challenge is for one device: another of the same user must ask for its own. */
static void challenge_is_personal(void **state)
{
    (void)state;
    request_make();
    request_send();
    expect_refusal(WIRE_STATUS_CHALLENGE);
    request_in.device_id[0] ^= 1;
    request_make();
    request_send();
    expect_refusal(WIRE_STATUS_CHALLENGE);
}

static void challenge_limits(void **state)
{
    uint8_t other[16] = {0};

    (void)state;
    for (int i = 0; i < 2; i++) {
        request_in.device_id[1] = (uint8_t)i;
        request_make();
        request_send();
        assert_int_equal(verdict.verdict, HS_VERDICT_ANSWER);
    }
    request_make();
    request_send();
    expect_drop(HS_DROP_NO_COOKIE);
    for (int i = 0; i < 198; i++) { /* 200 in all, from as many places */
        other[0] = (uint8_t)i;
        request_make();
        hs_responder_request(server, req, other, false, &now, &verdict);
        assert_int_equal(verdict.verdict, HS_VERDICT_ANSWER);
    }
    other[1] = 1;
    request_make();
    hs_responder_request(server, req, other, false, &now, &verdict);
    expect_drop(HS_DROP_NO_COOKIE);
    clock_add(500);
    request_make();
    request_send();
    expect_refusal(WIRE_STATUS_CHALLENGE);
}

/* Whoever has shown its address is challenged beyond those limits, within others. */
static void challenge_by_cookie(void **state)
{
    uint8_t other[16] = {0};
    int answered = 0;

    (void)state;
    for (int i = 0; i < 100; i++) {
        request_make();
        hs_responder_request(server, req, source, true, &now, &verdict);
        answered += verdict.verdict == HS_VERDICT_ANSWER;
        assert_true(verdict.verdict == HS_VERDICT_ANSWER || verdict.drop == HS_DROP_CHALLENGE);
    }
    assert_int_equal(answered, 2 + 64);
    clock_add(50);
    request_make();
    request_send();
    expect_drop(HS_DROP_NO_COOKIE);
    request_make();
    hs_responder_request(server, req, source, true, &now, &verdict);
    expect_refusal(WIRE_STATUS_CHALLENGE);

    /* Five hundred in all beside the 200 that need no cookie; by a device that has no challenge. */
    request_in.device_id[0] ^= 1;
    clock_add(5000);
    answered = 0;
    for (int i = 0; i < 800; i++) {
        be16_put(other, (uint16_t)i);
        request_make();
        hs_responder_request(server, req, other, true, &now, &verdict);
        answered += verdict.verdict == HS_VERDICT_ANSWER;
    }
    assert_int_equal(answered, 200 + 500);
    assert_int_equal(verdict.drop, HS_DROP_CHALLENGE);
}

static void unknown_keys_in_all(void **state)
{
    uint8_t payload[WIRE_PAYLOAD1_LEN], key[32], other[16] = {0};
    int answered = 0;

    (void)state;
    for (int i = 0; i < 100; i++) {
        cred_key_random(key);
        payload1_make(payload);
        request_forge(key, payload);
        other[0] = (uint8_t)i;
        hs_responder_request(server, req, other, false, &now, &verdict);
        answered += verdict.verdict == HS_VERDICT_ANSWER;
        assert_true(verdict.verdict == HS_VERDICT_ANSWER || verdict.drop == HS_DROP_UNKNOWN_KEY);
    }
    assert_int_equal(answered, 5);
    become_known(); /* alice is not in that bucket */
}

static void peer_limit(void **state)
{
    uint8_t recorded[8][WIRE_CONNECT_REQ_LEN];

    (void)state;
    become_known();
    for (int i = 0; i < 8; i++) {
        clock_add(1000);
        request_make();
        memcpy(recorded[i], req, sizeof(req));
        request_send();
        expect_auth(false);
    }
    clock_add(125000);

    /* Recordings first: they must not spend what is alice's. */
    for (int i = 0; i < 8; i++) {
        memcpy(req, recorded[i], sizeof(req));
        request_send();
        assert_true(verdict.verdict != HS_VERDICT_AUTH);
    }
    for (int i = 0; i < 4; i++) {
        request_make();
        request_send();
        expect_auth(false);
    }
    request_make();
    request_send();
    expect_drop(HS_DROP_PEER_LIMIT);
    clock_add(250);
    request_make();
    request_send();
    expect_auth(false);
    request_make();
    request_send();
    expect_drop(HS_DROP_PEER_LIMIT);
}

static void device_number(int n)
{
    request_in.device_id[0] = (uint8_t)n;
    client_restart();
}

/* 16 records per user, 32 logins by challenge in 120 s; neither is a way around the other. */
static void many_devices(void **state)
{
    (void)state;
    for (int i = 0; i < 32; i++) {
        device_number(i);
        challenge_round();
        clock_add(1000);
    }
    device_number(31); /* still remembered */
    request_make();
    request_send();
    expect_auth(false);
    device_number(16);
    request_make();
    request_send();
    expect_auth(false);
    device_number(15); /* forgotten */
    request_make();
    request_send();
    expect_refusal(WIRE_STATUS_CHALLENGE);
    request_make();
    request_send();
    expect_drop(HS_DROP_ACCEPTED);

    clock_add(125000);
    challenge_round();
    device_number(17); /* the least recently used one made room: 16 logged in again meanwhile */
    request_make();
    request_send();
    expect_refusal(WIRE_STATUS_CHALLENGE);
    device_number(16);
    request_make();
    request_send();
    expect_auth(false);
}

/*
 * The memory of ephemeral keys can be flushed by a user who sends enough; a message that a
 * challenge let in stays used up all the same, for as long as its challenge lives.
 */
static void replay_after_flush(void **state)
{
    uint8_t let_in[WIRE_CONNECT_REQ_LEN];

    (void)state;
    challenge_round();
    memcpy(let_in, req, sizeof(let_in));
    grant_ok();
    client_restart();
    request_in.device_id[0] ^= 1;
    for (int i = 0; i < 15000; i++) {
        if (i % 5 == 0)
            clock_add(1);
        request_make();
        request_send();
        assert_true(verdict.verdict != HS_VERDICT_AUTH);
    }
    memcpy(req, let_in, sizeof(req));
    request_send();
    expect_drop(HS_DROP_REPLAY);
}

/* A flood of nonsense is stopped by the common bucket before its DHs, and then lets alice in. */
static void flood(void **state)
{
    int crypto = 0, busy = 0;

    (void)state;
    become_known();
    for (int i = 0; i < 3000; i++) {
        request_make();
        req[WIRE_REQ_STATIC] ^= 1;
        request_send();
        crypto += verdict.drop == HS_DROP_CRYPTO;
        busy += verdict.drop == HS_DROP_BUSY;
    }
    assert_int_equal(crypto, 1000);
    assert_int_equal(busy, 2000);
    clock_add(1);
    request_make();
    request_send();
    expect_auth(false);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        LOGIN_TEST(replayed),
        LOGIN_TEST(clock_stands_still),
        LOGIN_TEST(client_without_a_clock),
        LOGIN_TEST(future_clock),
        LOGIN_TEST(challenge_expires),
        LOGIN_TEST(challenge_is_personal),
        LOGIN_TEST(challenge_limits),
        LOGIN_TEST(challenge_by_cookie),
        LOGIN_TEST(unknown_keys_in_all),
        LOGIN_TEST(peer_limit),
        LOGIN_TEST(many_devices),
        LOGIN_TEST(replay_after_flush),
        LOGIN_TEST(flood),
    };

    return sodium_init() < 0 ? 1 : cmocka_run_group_tests(tests, NULL, NULL);
}

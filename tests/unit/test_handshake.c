/* The login, both sides: what is let in, and what spoilt messages come to. */
#include "common/mac.h"
#include "tests/unit/handshake_fixture.h"

static void full_login(void **state)
{
    struct hs_keys server_keys, client_keys;
    struct mac_keys mac;
    struct hs_answer out;

    (void)state;
    become_known();
    request_make();
    assert_int_equal(wire_classify(req, sizeof(req)), WIRE_KIND_CONNECT_REQ);
    mac_keys_init(&mac, hs_responder_public(server));
    assert_true(mac1_valid(&mac, req));
    assert_true(sodium_is_zero(req + WIRE_REQ_MAC2, WIRE_MAC_LEN));

    request_send();
    expect_auth(false);
    assert_int_equal(verdict.auth.user_id, ALICE);
    assert_string_equal(verdict.auth.user, "alice");
    assert_memory_equal(verdict.auth.device_id, request_in.device_id, WIRE_DEVICE_ID_LEN);
    assert_memory_equal(verdict.auth.want_ip4, request_in.want_ip4, 4);
    assert_int_equal(verdict.auth.mtu, 1380);
    assert_int_equal(verdict.auth.client_index, 0xc0ffee);
    assert_int_equal(verdict.auth.timestamp_ms, now.stamp_ms);
    assert_int_equal(verdict.auth.hs_time, now.real_us);

    clock_add(30);
    assert_int_equal(hs_responder_grant(server, verdict.auth.handle, WIRE_STATUS_OK, 0xabcdef01,
                                        &some_grant, &now, answer, &server_keys),
                     0);
    assert_int_equal(wire_classify(answer, sizeof(answer)), WIRE_KIND_CONNECT_RESP);
    assert_int_equal(hs_initiator_answer(client, answer, &now, &out, &client_keys), 0);
    assert_int_equal(out.status, WIRE_STATUS_OK);
    assert_int_equal(out.server_index, 0xabcdef01);
    assert_int_equal(out.client_index, 0xc0ffee);
    assert_int_equal(out.timestamp_ms, now.stamp_ms);
    assert_memory_equal(&out.grant, &some_grant, sizeof(some_grant));

    assert_memory_equal(server_keys.send, client_keys.recv, 32);
    assert_memory_equal(server_keys.recv, client_keys.send, 32);
    assert_memory_not_equal(server_keys.send, server_keys.recv, 32);
    assert_int_equal(hs_initiator_answer(client, answer, &now, &out, &client_keys), -ENOENT);
}

static void every_status(void **state)
{
    static const unsigned int statuses[] = {WIRE_STATUS_POOL_FULL, WIRE_STATUS_DEVICE_LIMIT,
                                            WIRE_STATUS_DISABLED, WIRE_STATUS_DENIED};
    struct hs_keys keys = {{0}, {0}};
    struct hs_answer out;

    (void)state;
    become_known();
    for (size_t i = 0; i < sizeof(statuses) / sizeof(statuses[0]); i++) {
        request_make();
        request_send();
        expect_auth(false);
        /* An index given by mistake does not travel. */
        assert_int_equal(hs_responder_grant(server, verdict.auth.handle, statuses[i], 99,
                                            &some_grant, &now, answer, &keys),
                         0);
        assert_int_equal(hs_initiator_answer(client, answer, &now, &out, &keys), 0);
        assert_int_equal(out.status, statuses[i]);
        assert_int_equal(out.server_index, 0);
        assert_true(sodium_is_zero((uint8_t *)&keys, sizeof(keys)));
        clock_add(1000);
    }
}

static void request_every_byte(void **state)
{
    (void)state;
    become_known();
    request_make();
    for (size_t i = 0; i < WIRE_REQ_MAC1; i++) {
        for (unsigned int bit = 0x01; bit <= 0x80; bit *= 0x80) {
            req[i] ^= (uint8_t)bit;
            request_send();
            assert_int_equal(verdict.verdict, HS_VERDICT_DROP);
            assert_true(verdict.drop == HS_DROP_CRYPTO || verdict.drop == HS_DROP_MALFORMED);
            req[i] ^= (uint8_t)bit;
        }
    }
    request_send(); /* all that harmed nothing */
    expect_auth(false);
}

static void answer_every_byte(void **state)
{
    struct hs_keys keys = {{0}, {0}};
    struct hs_answer out = {.status = 77};

    (void)state;
    become_known();
    request_make();
    request_send();
    grant_ok();
    for (size_t i = 0; i < sizeof(answer); i++) {
        for (unsigned int bit = 0x01; bit <= 0x80; bit *= 0x80) {
            answer[i] ^= (uint8_t)bit;
            assert_int_equal(hs_initiator_answer(client, answer, &now, &out, &keys), -EBADMSG);
            answer[i] ^= (uint8_t)bit;
        }
    }
    assert_int_equal(out.status, 77); /* written on success only */
    assert_true(sodium_is_zero((uint8_t *)&keys, sizeof(keys)));
    assert_int_equal(hs_initiator_answer(client, answer, &now, &out, &keys), 0);
}

/* DENIED for a stranger and for a wrong name: the same bytes, at the same rate. */
static void unknown_key_and_wrong_name(void **state)
{
    uint8_t payload[WIRE_PAYLOAD1_LEN], mallory_key[32];
    struct hs_initiator *other;
    struct hs_answer out[2];
    struct hs_keys keys;
    void *mem = dirty(hs_initiator_size());

    (void)state;
    become_known();
    cred_key_random(mallory_key);
    for (int i = 0; i < 2; i++) {
        other = hs_initiator_new(mem, i ? alice_key : mallory_key, i ? "alicia" : "alice",
                                 server_public);
        assert_non_null(other);
        memset(&out[i], 0, sizeof(out[i]));
        hs_initiator_request(other, &request_in, &now, req);
        request_send();
        assert_int_equal(verdict.verdict, HS_VERDICT_ANSWER);
        assert_int_equal(hs_initiator_answer(other, verdict.answer, &now, &out[i], &keys), 0);
        assert_int_equal(out[i].status, WIRE_STATUS_DENIED);

        hs_initiator_request(other, &request_in, &now, req);
        request_send();
        expect_drop(HS_DROP_UNKNOWN_KEY);
        clock_add(1000);
        out[i].timestamp_ms = 0;
    }
    assert_memory_equal(&out[0], &out[1], sizeof(out[0]));

    for (int i = 0; i < 2; i++) { /* and another revision is told to both */
        payload1_make(payload);
        payload[0] = 2;
        payload[6] = 1; /* a field of that revision, perhaps */
        request_forge(i ? alice_key : mallory_key, payload);
        request_send();
        assert_int_equal(verdict.verdict, HS_VERDICT_ANSWER);
        clock_add(1000);
    }
    free(mem);
}

/* The client believes BAD_REV. */
static void bad_revision(void **state)
{
    uint8_t payload[WIRE_PAYLOAD2_LEN];
    struct hs_keys keys;
    struct hs_answer out;

    (void)state;
    request_make();
    hs_payload2_put(WIRE_STATUS_BAD_REV, NULL, NULL, payload);
    answer_forge(0, payload, NULL);
    assert_int_equal(hs_initiator_answer(client, answer, &now, &out, &keys), 0);
    assert_int_equal(out.status, WIRE_STATUS_BAD_REV);
}

static void malformed_requests(void **state)
{
    static const struct {
        size_t at;
        uint8_t value;
    } spoilt[] = {
        {1, 0},                     /* user_len */
        {1, 65}, {1, 255},  {1, 4}, /* "alic", and an e where zeros belong */
        {6, 1},  {7, 0x80},         /* reserved */
        {52, 1}, {63, 1},   {69, 'x'}, {127, 1},
    };
    uint8_t payload[WIRE_PAYLOAD1_LEN];

    (void)state;
    for (size_t i = 0; i < sizeof(spoilt) / sizeof(spoilt[0]); i++) {
        payload1_make(payload);
        payload[spoilt[i].at] = spoilt[i].value;
        request_forge(alice_key, payload);
        request_send();
        expect_drop(HS_DROP_MALFORMED);
    }
    payload1_make(payload);
    request_forge_flags(1, alice_key, payload);
    request_send();
    expect_drop(HS_DROP_MALFORMED);
    payload1_make(payload);
    payload[2] = 0x80; /* an unknown capability is no error */
    request_forge(alice_key, payload);
    request_send();
    assert_int_equal(verdict.verdict, HS_VERDICT_ANSWER);
}

static void malformed_answers(void **state)
{
    uint8_t payload[WIRE_PAYLOAD2_LEN], challenge[WIRE_CHALLENGE_LEN] = {1};
    struct hs_keys keys;
    struct hs_answer out;

    (void)state;
    for (unsigned int status = 1; status < WIRE_STATUS_NUM; status++) {
        request_make();
        for (size_t at = 1; at < sizeof(payload); at++) {
            if (status == WIRE_STATUS_CHALLENGE && at >= 60 && at < 76)
                continue;
            hs_payload2_put(status, NULL, challenge, payload);
            payload[at] ^= 0x40;
            answer_forge(0, payload, NULL);
            assert_int_equal(hs_initiator_answer(client, answer, &now, &out, &keys), -EBADMSG);
        }
        hs_payload2_put(status, NULL, challenge, payload);
        answer_forge(1, payload, NULL); /* an index, but no session */
        assert_int_equal(hs_initiator_answer(client, answer, &now, &out, &keys), -EBADMSG);
        answer_forge(0, payload, NULL);
        assert_int_equal(hs_initiator_answer(client, answer, &now, &out, &keys), 0);
        assert_int_equal(out.status, status);
    }

    request_make();
    for (unsigned int status = WIRE_STATUS_NUM; status < 256; status++) {
        memset(payload, 0, sizeof(payload));
        payload[0] = (uint8_t)status;
        answer_forge(0, payload, NULL);
        assert_int_equal(hs_initiator_answer(client, answer, &now, &out, &keys), -EBADMSG);
    }
}

static void malformed_grants(void **state)
{
    static const size_t unused[] = {49, 51, 58, 59, 60, 75, 124, 127};
    uint8_t payload[WIRE_PAYLOAD2_LEN];
    struct hs_grant grant;
    struct hs_keys keys;
    struct hs_answer out;

    (void)state;
    request_make();
    for (size_t i = 0; i < sizeof(unused) / sizeof(unused[0]); i++) {
        hs_payload2_put(WIRE_STATUS_OK, &some_grant, NULL, payload);
        payload[unused[i]] = 1;
        answer_forge(7, payload, NULL);
        assert_int_equal(hs_initiator_answer(client, answer, &now, &out, &keys), -EBADMSG);
    }
    for (int i = 0; i < 4; i++) {
        grant = some_grant;
        grant.prefix4 = i == 0 ? 33 : 24;
        grant.prefix6 = i == 1 ? 129 : 64;
        grant.mtu = i == 2 ? WIRE_MTU_MIN - 1 : i == 3 ? WIRE_MTU_MAX + 1 : 1400;
        hs_payload2_put(WIRE_STATUS_OK, &grant, NULL, payload);
        answer_forge(7, payload, NULL);
        assert_int_equal(hs_initiator_answer(client, answer, &now, &out, &keys), -EBADMSG);
    }
    hs_payload2_put(WIRE_STATUS_OK, &some_grant, NULL, payload);
    sequence_off = 1;
    answer_forge(7, payload, NULL);
    sequence_off = 0;
    assert_int_equal(hs_initiator_answer(client, answer, &now, &out, &keys), -EBADMSG);
    payload[92] = 1; /* the server's next key may be announced one day */
    answer_forge(7, payload, NULL);
    assert_int_equal(hs_initiator_answer(client, answer, &now, &out, &keys), 0);
}

static void answers_in_time(void **state)
{
    struct hs_keys keys;
    struct hs_answer out;

    (void)state;
    assert_int_equal(hs_initiator_answer(client, answer, &now, &out, &keys), -ENOENT);
    become_known();
    request_make();
    request_send();
    grant_ok();
    clock_add(5001);
    assert_int_equal(hs_initiator_answer(client, answer, &now, &out, &keys), -ETIMEDOUT);
    now.mono_ms--;
    assert_int_equal(hs_initiator_answer(client, answer, &now, &out, &keys), 0);

    /* An answer to the attempt before the last one. */
    request_make();
    request_send();
    grant_ok();
    request_in.sequence++;
    request_make();
    assert_int_equal(hs_initiator_answer(client, answer, &now, &out, &keys), -EBADMSG);
}

static void low_order_points(void **state)
{
    uint8_t payload[WIRE_PAYLOAD1_LEN], payload2[WIRE_PAYLOAD2_LEN], point[32] = {0};
    uint8_t ephemeral[32], prologue[HS_PROLOGUE_LEN];
    struct hs_answer out;
    struct hs_keys keys;
    struct noise_ik ik;

    (void)state;
    for (uint8_t first = 0; first < 2; first++) {
        point[0] = first;
        assert_null(hs_initiator_new(client_mem, alice_key, "alice", point));
        client_restart();

        request_make(); /* as E_c */
        memcpy(req + WIRE_REQ_EPHEMERAL, point, sizeof(point));
        request_send();
        expect_drop(HS_DROP_CRYPTO);

        /* As C: whoever names it knows DH(s, C), for it is zero, and must not get an answer. */
        payload1_make(payload);
        cred_key_random(ephemeral);
        memset(req, 0, sizeof(req));
        wire_header_put(req, WIRE_CONNECT_REQ, sizeof(req), 1, now.stamp_ms);
        hs_prologue(req, prologue);
        noise_ik_start(&ik, &noise_sha256, HS_PROTOCOL, prologue, sizeof(prologue), server_public);
        assert_int_equal(noise_ik_send1(&ik, ephemeral, point, server_public, zeros, payload,
                                        sizeof(payload), req + WIRE_REQ_EPHEMERAL),
                         0);
        request_send();
        expect_drop(HS_DROP_CRYPTO);
        clock_add(1000);

        request_make(); /* as E_s */
        hs_payload2_put(WIRE_STATUS_OK, &some_grant, NULL, payload2);
        answer_forge(1, payload2, point);
        assert_int_equal(hs_initiator_answer(client, answer, &now, &out, &keys), -EBADMSG);
    }
    assert_null(hs_initiator_new(client_mem, alice_key, "Alice", server_public));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        LOGIN_TEST(full_login),
        LOGIN_TEST(every_status),
        LOGIN_TEST(request_every_byte),
        LOGIN_TEST(answer_every_byte),
        LOGIN_TEST(unknown_key_and_wrong_name),
        LOGIN_TEST(bad_revision),
        LOGIN_TEST(malformed_requests),
        LOGIN_TEST(malformed_answers),
        LOGIN_TEST(malformed_grants),
        LOGIN_TEST(answers_in_time),
        LOGIN_TEST(low_order_points),
    };

    return sodium_init() < 0 ? 1 : cmocka_run_group_tests(tests, NULL, NULL);
}

/*
 * One server and one client that know each other, for the tests of the login.
 *
 * Requests and answers that no honest side would send are made here with the Noise core, with the
 * right keys: the checks behind the encryption must not rely on it.
 */
#ifndef TESTS_UNIT_HANDSHAKE_FIXTURE_H
#define TESTS_UNIT_HANDSHAKE_FIXTURE_H

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include <sodium.h>

#include "common/cred.h"
#include "enclave/handshake.h"
#include "enclave/hs_payload.h"
#include "enclave/noise.h"

#define MAX_USERS 8
#define ALICE     17

static const uint8_t source[16] = {10, 1, 2, 3};
static const uint8_t zeros[32];

/* One server and one client that know each other. */
static struct clock now;
static struct hs_responder *server;
static struct hs_initiator *client;
static uint8_t *server_mem, *client_mem;
static uint8_t server_key[32], server_public[32], alice_key[32], alice_public[32];
static uint8_t req[WIRE_CONNECT_REQ_LEN], answer[WIRE_CONNECT_RESP_LEN];
static struct hs_verdict_out verdict;
static struct hs_request_in request_in;
static uint32_t sequence_off; /* how far answer_forge() misses the request's sequence */

static const struct hs_grant some_grant = {
    .ip4 = {10, 8, 0, 10},
    .gateway4 = {10, 8, 0, 1},
    .dns4 = {10, 8, 0, 53},
    .ip6 = {0xfd, 8, [15] = 0x10},
    .gateway6 = {0xfd, 8, [15] = 1},
    .dns6 = {0xfd, 8, [15] = 0x53},
    .prefix4 = 24,
    .prefix6 = 64,
    .mtu = 1400,
    .keepalive_s = 25,
    .lease_s = 3600,
};

static inline void clock_add(uint64_t ms)
{
    now.mono_ms += ms;
    now.stamp_ms += ms;
    now.real_us += ms * 1000;
}

/* Memory that is not zero: nothing may rely on it. */
static inline void *dirty(size_t size)
{
    void *mem = aligned_alloc(64, (size + 63) & ~(size_t)63);

    assert_non_null(mem);
    memset(mem, 0xa5, size);
    return mem;
}

static inline void client_restart(void)
{
    memset(client_mem, 0xa5, hs_initiator_size());
    client = hs_initiator_new(client_mem, alice_key, "alice", server_public);
    assert_non_null(client);
}

static inline void server_restart(void)
{
    memset(server_mem, 0xa5, hs_responder_size(MAX_USERS));
    server = hs_responder_new(server_mem, server_key, MAX_USERS);
    assert_non_null(server);
    assert_int_equal(hs_responder_user_add(server, ALICE, "alice", alice_public), 0);
}

static inline int setup(void **state)
{
    (void)state;
    now = (struct clock){.mono_ms = 777, .stamp_ms = 5000000, .real_us = 1800000000000000};
    cred_key_random(server_key);
    cred_public(server_key, server_public);
    cred_key_random(alice_key);
    cred_public(alice_key, alice_public);
    server_mem = dirty(hs_responder_size(MAX_USERS));
    client_mem = dirty(hs_initiator_size());
    server_restart();
    client_restart();
    request_in = (struct hs_request_in){
        .client_index = 0xc0ffee, .sequence = 1, .mtu = 1380, .want_ip4 = {10, 8, 0, 99}};
    memset(request_in.device_id, 0xd1, sizeof(request_in.device_id));
    return 0;
}

static inline int teardown(void **state)
{
    (void)state;
    free(server_mem);
    free(client_mem);
    return 0;
}

static inline void request_make(void)
{
    hs_initiator_request(client, &request_in, &now, req);
}

static inline void request_send(void)
{
    hs_responder_request(server, req, source, false, &now, &verdict);
}

static inline void expect_drop(enum hs_drop why)
{
    static const uint8_t no_answer[WIRE_CONNECT_RESP_LEN];

    assert_int_equal(verdict.verdict, HS_VERDICT_DROP);
    assert_int_equal(verdict.drop, why);
    assert_memory_equal(verdict.answer, no_answer, sizeof(no_answer));
    assert_int_equal(verdict.auth.handle, 0);
}

/* The server answered by itself, the client believes it, and no keys come of it. */
static inline void expect_refusal(unsigned int status)
{
    struct hs_keys keys = {{0}, {0}};
    struct hs_answer out;

    assert_int_equal(verdict.verdict, HS_VERDICT_ANSWER);
    assert_int_equal(hs_initiator_answer(client, verdict.answer, &now, &out, &keys), 0);
    assert_int_equal(out.status, status);
    assert_int_equal(out.server_index, 0);
    assert_true(sodium_is_zero((uint8_t *)&keys, sizeof(keys)));
}

static inline void expect_auth(bool by_challenge)
{
    assert_int_equal(verdict.verdict, HS_VERDICT_AUTH);
    assert_int_equal(verdict.auth.by_challenge, by_challenge);
}

static inline void grant_ok(void)
{
    struct hs_keys keys;

    assert_int_equal(hs_responder_grant(server, verdict.auth.handle, WIRE_STATUS_OK, 0x5e55,
                                        &some_grant, &now, answer, &keys),
                     0);
}

/* Request, challenge, request: what it takes when the server has no record of the device. */
static inline void challenge_round(void)
{
    request_make();
    request_send();
    expect_refusal(WIRE_STATUS_CHALLENGE);
    request_make();
    request_send();
    expect_auth(true);
}

/* Let the device become known, and the buckets full again. */
static inline void become_known(void)
{
    struct hs_answer out;
    struct hs_keys keys;

    challenge_round();
    grant_ok();
    assert_int_equal(hs_initiator_answer(client, answer, &now, &out, &keys), 0);
    clock_add(2000);
}

/* A request with any flags and payload, under any key. */
static inline void request_forge_flags(uint32_t flags, const uint8_t private_key[32],
                                       const uint8_t payload[WIRE_PAYLOAD1_LEN])
{
    uint8_t public_key[32], dh[32], ephemeral[32], prologue[HS_PROLOGUE_LEN];
    struct noise_ik ik;

    cred_public(private_key, public_key);
    assert_int_equal(noise_dh(private_key, server_public, dh), 0);
    cred_key_random(ephemeral);
    memset(req, 0, sizeof(req));
    wire_header_put(req, WIRE_CONNECT_REQ, sizeof(req), 1, now.stamp_ms);
    be32_put(req + WIRE_REQ_FLAGS, flags);
    hs_prologue(req, prologue);
    noise_ik_start(&ik, &noise_sha256, HS_PROTOCOL, prologue, sizeof(prologue), server_public);
    assert_int_equal(noise_ik_send1(&ik, ephemeral, public_key, server_public, dh, payload,
                                    WIRE_PAYLOAD1_LEN, req + WIRE_REQ_EPHEMERAL),
                     0);
}

static inline void request_forge(const uint8_t private_key[32],
                                 const uint8_t payload[WIRE_PAYLOAD1_LEN])
{
    request_forge_flags(0, private_key, payload);
}

/* An honest payload of alice's, for spoiling. */
static inline void payload1_make(uint8_t payload[WIRE_PAYLOAD1_LEN])
{
    struct hs_payload1 p = {.mtu = 1400, .hs_time = now.real_us, .user_len = 5, .user = "alice"};

    memset(p.device_id, 0xd1, sizeof(p.device_id));
    hs_payload1_put(&p, payload);
}

/* An answer to the request in req, made with the server's keys but any index and payload. */
static inline void answer_forge(uint32_t server_index, const uint8_t payload[WIRE_PAYLOAD2_LEN],
                                const uint8_t *ephemeral_public)
{
    uint8_t prologue[HS_PROLOGUE_LEN], claimed[32], ephemeral[32], ignored[WIRE_PAYLOAD1_LEN];
    uint8_t dh[32];
    struct noise_ik ik;

    hs_prologue(req, prologue);
    noise_ik_start(&ik, &noise_sha256, HS_PROTOCOL, prologue, sizeof(prologue), server_public);
    assert_int_equal(noise_ik_recv1_static(&ik, server_key, req + WIRE_REQ_EPHEMERAL, claimed), 0);
    assert_int_equal(noise_dh(server_key, claimed, dh), 0);
    assert_int_equal(
        noise_ik_recv1_payload(&ik, dh, req + WIRE_REQ_PAYLOAD, WIRE_PAYLOAD1_LEN, ignored), 0);
    memset(answer, 0, sizeof(answer));
    wire_header_put(answer, WIRE_CONNECT_RESP, sizeof(answer), be32_get(req + 4) + sequence_off,
                    now.stamp_ms);
    be32_put(answer + WIRE_RESP_SERVER_INDEX, server_index);
    be32_put(answer + WIRE_RESP_CLIENT_INDEX, be32_get(req + WIRE_REQ_INDEX));
    noise_mix_hash(&ik.s, answer, HS_HEAD_LEN);
    cred_key_random(ephemeral);
    assert_int_equal(noise_ik_send2(&ik, ephemeral, claimed, zeros, payload, WIRE_PAYLOAD2_LEN,
                                    answer + WIRE_RESP_EPHEMERAL),
                     0);
    if (ephemeral_public)
        memcpy(answer + WIRE_RESP_EPHEMERAL, ephemeral_public, 32);
}

#define LOGIN_TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

#endif

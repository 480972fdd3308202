/*
 * The handshake's state machine, both sides, driven by the input: each step is an operation and
 * what it needs.  Requests are forwarded as they are or spoilt; grants go to good and to invented
 * handles; the clock jumps.  A spoilt message must come to nothing, a handle must work at most
 * once.
 */
#include <errno.h>
#include <sodium.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "enclave/handshake.h"

#define STEP_LEN 8

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct hs_responder *server;
static struct hs_initiator *client;
static uint32_t handle;
static uint8_t req[WIRE_CONNECT_REQ_LEN], answer[WIRE_CONNECT_RESP_LEN];

static void require(int holds)
{
    if (!holds)
        abort();
}

static void start(void)
{
    static uint8_t private_key[32] = {1}, client_key[32] = {2}, public_key[32];
    static void *server_mem, *client_mem;

    require(sodium_init() >= 0);
    if (!server_mem) {
        server_mem = aligned_alloc(64, (hs_responder_size(2) + 63) & ~(size_t)63);
        client_mem = aligned_alloc(64, (hs_initiator_size() + 63) & ~(size_t)63);
    }
    require(server_mem && client_mem);
    server = hs_responder_new(server_mem, private_key, 2);
    client = hs_initiator_new(client_mem, client_key, "a", hs_responder_public(server));
    crypto_scalarmult_base(public_key, client_key);
    require(client && hs_responder_user_add(server, 0, "a", public_key) == 0);
    handle = 0;
    memset(req, 0, sizeof(req));
    memset(answer, 0, sizeof(answer));
}

/* Hand @req to the server with one byte changed; a change that mac1 covers must be noticed. */
static void send_request(const uint8_t *step, const struct clock *now)
{
    const size_t at = step[2] + (size_t)(step[3] & 1) * 24;
    struct hs_verdict_out out;

    req[at] ^= step[4];
    hs_responder_request(server, req, step, step[3] & 2, now, &out);
    require(step[4] == 0 || at >= WIRE_REQ_MAC1 || out.verdict == HS_VERDICT_DROP);
    if (out.verdict == HS_VERDICT_AUTH)
        handle = out.auth.handle;
    if (out.verdict == HS_VERDICT_ANSWER)
        memcpy(answer, out.answer, sizeof(answer));
    req[at] ^= step[4];
}

static void send_grant(const uint8_t *step, const struct clock *now)
{
    const uint32_t number = step[2] ? handle : be32_get(step + 3);
    struct hs_grant grant = {.mtu = 1400};
    struct hs_keys keys;

    if (hs_responder_grant(server, number, step[1] % 9, 1, &grant, now, answer, &keys) == 0)
        require(hs_responder_grant(server, number, 0, 1, &grant, now, answer, &keys) == -EBADMSG);
}

static void send_answer(const uint8_t *step, const struct clock *now)
{
    const size_t at = step[2] % sizeof(answer);
    struct hs_answer out;
    struct hs_keys keys;
    int rc;

    answer[at] ^= step[4];
    rc = hs_initiator_answer(client, answer, now, &out, &keys);
    require(rc < 0 || (step[4] == 0 && out.status < WIRE_STATUS_NUM));
    answer[at] ^= step[4];
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct clock now = {.mono_ms = 1000, .stamp_ms = 1000, .real_us = 1000};
    uint8_t step[16] = {0};

    start();
    for (; size >= STEP_LEN && size < 512; data += STEP_LEN, size -= STEP_LEN) {
        struct hs_request_in in = {.sequence = data[1], .mtu = 1400};

        memcpy(step, data, STEP_LEN);
        in.device_id[0] = step[2];
        switch (step[0] % 7) {
        case 0:
            hs_initiator_request(client, &in, &now, req);
            break;
        case 1:
            send_request(step, &now);
            break;
        case 2:
            send_grant(step, &now);
            break;
        case 3:
            send_answer(step, &now);
            break;
        case 4:
            now.mono_ms += be16_get(step + 1);
            now.real_us += be32_get(step + 4);
            hs_responder_tick(server, &now);
            break;
        case 5: /* bytes that were never a message of either side */
            randombytes_buf_deterministic(req, sizeof(req), (const uint8_t[32]){step[1]});
            break;
        case 6:
            if (hs_responder_user_del(server, 0) == 0)
                handle = 0;
            break;
        }
    }
    return 0;
}

/*
 * A whole server's and a whole client's sealed part in one process, on a clock of the test's own:
 * logins in halves, and packets that stay under way as long as the test wants.
 */
#ifndef TESTS_UNIT_REKEY_FIXTURE_H
#define TESTS_UNIT_REKEY_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <cmocka.h>
#include <sodium.h>

#include "common/bell.h"
#include "common/clock.h"
#include "common/cred.h"
#include "enclave/aead.h"
#include "enclave/dispatch.h"
#include "enclave/worker.h"

#define LANES     3
#define MAX_PEERS 8
#define USER      3
#define FLIGHT    4096

/* Time is the test's: both sides read this clock, each with an offset of its own. */
static struct clock now;
static uint64_t stamp_offset;

void clock_read(struct clock *out)
{
    *out = now;
    out->stamp_ms += stamp_offset;
}

struct side {
    struct dispatch dispatch;
    struct worker workers[LANES];
    struct ring_area *areas[LANES];
    struct ring_end submit[LANES], complete[LANES];
    int control[2], bell;
    void *keystore, *handshake;
    uint64_t stamp_offset;
    uint32_t lanes, peer;
};

static struct side server, client;
static struct dispatch_tunnel tunnels[1];
static uint32_t sequence, next_number;

/* A datagram under way. */
struct datagram {
    uint8_t bytes[256];
    size_t len;
    uint32_t number; /* of the packet inside */
    bool arrived;
};

static struct datagram flight[FLIGHT];
static size_t n_flight;

static inline void pass(uint64_t ms)
{
    now.mono_ms += ms;
    now.stamp_ms += ms;
    now.real_us += ms * 1000;
}

/* ---- both sides --------------------------------------------------------------------------- */

static inline void *zeroed(size_t size)
{
    void *mem = aligned_alloc(64, (size + 63) & ~(size_t)63);

    assert_non_null(mem);
    memset(mem, 0, size);
    return mem;
}

static inline void side_open(struct side *s, enum transport_role role, uint32_t lanes)
{
    memset(s, 0, sizeof(*s));
    s->lanes = lanes;
    s->stamp_offset = role == TRANSPORT_RESPONDER ? 1ULL << 39 : 12345;
    s->keystore = zeroed(keystore_size(MAX_PEERS, MAX_PEERS));
    s->dispatch.ks = keystore_new(s->keystore, lanes, MAX_PEERS, MAX_PEERS);
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, s->control), 0);
    s->dispatch.control = s->control[1];
    s->bell = bell_create();
    assert_true(s->bell >= 0);
    for (uint32_t i = 0; i < lanes; i++) {
        int fd = ring_area_create();

        assert_true(fd >= 0);
        assert_int_equal(ring_area_map(fd, &s->areas[i]), 0);
        close(fd);
        assert_int_equal(
            worker_init(&s->workers[i], s->dispatch.ks, role, i, s->areas[i], s->bell, s->bell), 0);
        ring_end_init(&s->submit[i], &s->areas[i]->submit);
        ring_end_init(&s->complete[i], &s->areas[i]->complete);
    }
}

static inline void side_close(struct side *s)
{
    for (uint32_t i = 0; i < s->lanes; i++) {
        aead_free(s->workers[i].transport.aead);
        ring_area_unmap(s->areas[i]);
    }
    close(s->bell);
    close(s->control[0]);
    close(s->control[1]);
    free(s->keystore);
    free(s->handshake);
}

/* One message to the sealed side; what it answers, if anything, is left in its socket. */
static inline void tell(struct side *s, union ipc_msg *msg)
{
    stamp_offset = s->stamp_offset;
    assert_int_equal(dispatch_message(&s->dispatch, msg, msg->hdr.length), 0);
}

static inline void hear(struct side *s, union ipc_msg *msg, enum ipc_type type)
{
    assert_int_equal(ipc_recv(s->control[0], msg, MSG_DONTWAIT, NULL, 0), 0);
    assert_int_equal(msg->hdr.type, type);
}

static inline void tick(void)
{
    stamp_offset = server.stamp_offset;
    dispatch_tick(&server.dispatch);
    stamp_offset = client.stamp_offset;
    dispatch_tick(&client.dispatch);
}

static inline int setup(void **state)
{
    static const struct ip_prefix inside = {{4, {10, 8, 0, 0}}, 24};
    uint8_t server_key[32], server_public[32], user_key[32], user_public[32];
    union ipc_msg msg;

    (void)state;
    now = (struct clock){.mono_ms = 1000000, .stamp_ms = 1000000, .real_us = 1800000000000000ULL};
    assert_int_equal(aead_init(), 0);
    assert_int_equal(aead_choose(NULL), 0);
    cred_key_random(server_key);
    cred_public(server_key, server_public);
    cred_key_random(user_key);
    cred_public(user_key, user_public);

    side_open(&server, TRANSPORT_RESPONDER, LANES);
    server.handshake = zeroed(hs_responder_size(MAX_PEERS));
    server.dispatch.responder = hs_responder_new(server.handshake, server_key, MAX_PEERS);
    ipc_fill(&msg, IPC_USER_ADD);
    msg.user_add.user_id = USER;
    memcpy(msg.user_add.user, "alice", 5);
    memcpy(msg.user_add.key, user_public, sizeof(user_public));
    tell(&server, &msg);

    side_open(&client, TRANSPORT_INITIATOR, 1);
    client.handshake = zeroed(hs_initiator_size());
    memset(tunnels, 0, sizeof(tunnels));
    tunnels[0].initiator = hs_initiator_new(client.handshake, user_key, "alice", server_public);
    client.dispatch.tunnels = tunnels;
    client.dispatch.n_tunnels = 1;
    ipc_fill(&msg, IPC_ALLOW);
    msg.allow.family = 4;
    msg.allow.prefix_len = inside.len;
    memcpy(msg.allow.addr, inside.addr.bytes, 16);
    tell(&client, &msg);
    sequence = next_number = 0;
    n_flight = 0;
    return 0;
}

static inline int teardown(void **state)
{
    (void)state;
    side_close(&server);
    side_close(&client);
    return 0;
}

/* ---- a login, in halves: between them packets are under way -------------------------------- */

static inline void request(uint8_t req[WIRE_CONNECT_REQ_LEN])
{
    union ipc_msg msg;

    ipc_fill(&msg, IPC_CONNECT);
    msg.connect.sequence = ++sequence;
    msg.connect.mtu = 1400;
    memset(msg.connect.device_id, 0xd1, sizeof(msg.connect.device_id));
    tell(&client, &msg);
    hear(&client, &msg, IPC_HS_CONNECT);
    memcpy(req, msg.hs_connect.msg, WIRE_CONNECT_REQ_LEN);
}

static inline uint32_t answer(const uint8_t resp[WIRE_CONNECT_RESP_LEN])
{
    union ipc_msg msg;

    ipc_fill(&msg, IPC_HS_ANSWER);
    memcpy(msg.hs_answer.msg, resp, WIRE_CONNECT_RESP_LEN);
    tell(&client, &msg);
    hear(&client, &msg, IPC_HS_DONE);
    if (msg.hs_done.status == WIRE_STATUS_OK)
        client.peer = msg.hs_done.peer;
    return msg.hs_done.status;
}

/* The server has the new session, the client not yet: @resp is under way. */
static inline void login_ask(uint8_t resp[WIRE_CONNECT_RESP_LEN])
{
    uint8_t req[WIRE_CONNECT_REQ_LEN];
    union ipc_msg msg;
    uint32_t handle;

    for (;;) {
        request(req);
        ipc_fill(&msg, IPC_HS_REQUEST);
        msg.hs_request.ref = 9;
        msg.hs_request.source[0] = 10;
        memcpy(msg.hs_request.msg, req, sizeof(req));
        tell(&server, &msg);
        assert_int_equal(ipc_recv(server.control[0], &msg, MSG_DONTWAIT, NULL, 0), 0);
        if (msg.hdr.type == IPC_HS_AUTH)
            break;
        /* The server does not know the device yet: once more, with the challenge. */
        assert_int_equal(msg.hdr.type, IPC_HS_RESPONSE);
        assert_int_equal(answer(msg.hs_response.msg), WIRE_STATUS_CHALLENGE);
    }
    handle = msg.hs_auth.handle;
    ipc_fill(&msg, IPC_HS_GRANT);
    msg.hs_grant.handle = handle;
    msg.hs_grant.lease = (struct ipc_lease){
        .ip4 = {10, 8, 0, 10}, .gateway4 = {10, 8, 0, 1}, .prefix4 = 24, .mtu = 1400};
    tell(&server, &msg);
    hear(&server, &msg, IPC_HS_RESPONSE);
    assert_int_equal(msg.hs_response.status, WIRE_STATUS_OK);
    server.peer = msg.hs_response.peer;
    memcpy(resp, msg.hs_response.msg, WIRE_CONNECT_RESP_LEN);
}

static inline void login_finish(const uint8_t resp[WIRE_CONNECT_RESP_LEN])
{
    assert_int_equal(answer(resp), WIRE_STATUS_OK);
}

/* ---- packets ----------------------------------------------------------------------------------
 */

/* One batch of one packet through the ring of @lane.  Return: what became of it. */
static inline struct ring_packet through_ring(struct side *s, uint32_t lane, enum ring_op op,
                                              struct ring_packet p)
{
    struct ring_entry entry = {.slot = 5, .op = (uint8_t)op, .count = 1};

    s->areas[lane]->slots[5].packets[0] = p;
    stamp_offset = s->stamp_offset;
    assert_int_equal(ring_push(&s->submit[lane], entry), 0);
    assert_int_equal(worker_serve(&s->workers[lane]), 1);
    assert_int_equal(ring_pop(&s->complete[lane], &entry), 1);
    return s->areas[lane]->slots[5].packets[0];
}

static inline uint8_t *slot_bytes(struct side *s, uint32_t lane)
{
    return (uint8_t *)&s->areas[lane]->slots[5] + RING_TABLE_SIZE;
}

/* An IPv4 packet of 64 bytes with a number in it, from one end of the tunnel to the other. */
static inline void packet_make(const struct side *from, uint8_t packet[64], uint32_t number)
{
    static const uint8_t up[8] = {10, 8, 0, 10, 10, 8, 0, 1}, down[8] = {10, 8, 0, 1, 10, 8, 0, 10};

    memset(packet, 0, 64);
    packet[0] = 0x45;
    be16_put(packet + 2, 64);
    packet[9] = 17;
    memcpy(packet + 12, from == &client ? up : down, 8);
    be32_put(packet + 40, number);
}

/* @from sends one packet, by any lane.  Return: the status. */
static inline enum ring_status seal(struct side *from, struct datagram *d)
{
    const uint32_t lane = next_number % from->lanes;
    struct ring_packet p = {.offset = RING_TABLE_SIZE, .length = 64, .type = WIRE_DATA};

    p.peer = from->peer;
    d->number = next_number++;
    d->arrived = false;
    packet_make(from, slot_bytes(from, lane) + WIRE_OVERHEAD, d->number);
    p = through_ring(from, lane, RING_SEAL, p);
    if (p.status != RING_STATUS_OK)
        return p.status;
    d->len = p.length;
    assert_true(d->len <= sizeof(d->bytes));
    memcpy(d->bytes, slot_bytes(from, lane), d->len);
    return RING_STATUS_OK;
}

/* @to receives it.  Return: the status; @flags when OK. */
static inline enum ring_status open_at(struct side *to, const struct datagram *d, uint32_t *flags)
{
    const uint32_t lane = wire_transport_index(d->bytes) % to->lanes;
    struct ring_packet p = {.offset = RING_TABLE_SIZE, .length = (uint16_t)d->len};

    memcpy(slot_bytes(to, lane), d->bytes, d->len);
    p = through_ring(to, lane, RING_OPEN, p);
    if (p.status == RING_STATUS_OK) {
        assert_int_equal(p.peer, to->peer);
        assert_int_equal(p.length, 64);
        assert_int_equal(be32_get(slot_bytes(to, lane) + WIRE_OVERHEAD + 40), d->number);
    }
    if (flags)
        *flags = p.flags;
    return p.status;
}

static inline void send_one(struct side *from)
{
    assert_true(n_flight < FLIGHT);
    assert_int_equal(seal(from, &flight[n_flight++]), RING_STATUS_OK);
}

static inline struct side *receiver(const struct datagram *d)
{
    uint32_t index = wire_transport_index(d->bytes);

    return keystore_lookup(server.dispatch.ks, index) ? &server : &client;
}

/* Everything under way arrives, in an order of its own, and each a second time as a replay. */
static inline void deliver_all(void)
{
    for (size_t left = n_flight; left > 0; left--) {
        size_t i = randombytes_uniform((uint32_t)left);
        struct datagram d = flight[i];
        struct side *to = receiver(&d);

        assert_int_equal(open_at(to, &d, NULL), RING_STATUS_OK);
        assert_int_equal(open_at(to, &d, NULL), RING_STATUS_REPLAY);
        flight[i] = flight[left - 1];
        flight[left - 1] = d;
    }
    n_flight = 0;
}

static inline uint32_t index_of(const struct datagram *d)
{
    return wire_transport_index(d->bytes);
}

#endif

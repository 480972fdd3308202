/* Two sides of a tunnel and the datagrams between them. */
#include "tests/unit/transport_rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include <sodium.h>

#define IDS 4

struct side server, client;
uint8_t datagram[WIRE_DATAGRAM_MAX], plain[WIRE_DATAGRAM_MAX];
struct transport_opened opened;

const uint8_t client4[4] = {10, 8, 0, 10}, server4[4] = {10, 8, 0, 1};
const uint8_t client6[16] = {0xfd, 8, [15] = 0x10}, server6[16] = {0xfd, 8, [15] = 1};

static void side_start(struct side *side, enum transport_role role)
{
    static const uint8_t device[WIRE_DEVICE_ID_LEN] = {9};
    size_t size = (keystore_size(4, IDS) + 63) & ~(size_t)63;
    uint32_t slot;

    side->mem = aligned_alloc(64, size);
    assert_non_null(side->mem);
    memset(side->mem, 0, size);
    side->ks = keystore_new(side->mem, LANES, 4, IDS);
    side->t = (struct transport){.ks = side->ks, .aead = aead_new(), .role = role, .lane = 1};
    assert_non_null(side->t.aead);
    slot = keystore_peer_add(side->ks, 2, device);
    side->peer = keystore_peer_handle(side->ks, slot);
    side->now = (struct clock){.mono_ms = 5000000, .stamp_ms = role ? 77777777777 : 42};
}

/* A session as dispatch.c fills it; the keys are crossed by link_sides(). */
static struct session *side_session(struct side *side)
{
    struct session *s = keystore_session_new(side->ks, 1);

    assert_non_null(s);
    s->created_ms = side->now.mono_ms;
    s->ip4 = (struct ip_addr){.family = 4};
    s->ip6 = (struct ip_addr){.family = 6};
    memcpy(s->ip4.bytes, client4, 4);
    memcpy(s->ip6.bytes, client6, 16);
    s->mtu = 1400;
    return s;
}

void link_sides(void)
{
    struct session *c = side_session(&client), *s = side_session(&server);

    s->remote_index = c->index;
    c->remote_index = s->index;
    randombytes_buf(s->keys.send, 32);
    randombytes_buf(s->keys.recv, 32);
    memcpy(c->keys.recv, s->keys.send, 32);
    memcpy(c->keys.send, s->keys.recv, 32);
    s->floor_ms = (int64_t)(server.now.stamp_ms - client.now.stamp_ms);
    c->floor_ms = (int64_t)(client.now.stamp_ms - server.now.stamp_ms);
    keystore_session_publish(server.ks, s, SESSION_NEXT);
    keystore_session_publish(client.ks, c, SESSION_CURRENT);
    server.s = s;
    client.s = c;
}

int group_setup(void **state)
{
    (void)state;
    assert_int_equal(aead_init(), 0);
    assert_int_equal(aead_choose(NULL), 0);
    return 0;
}

int setup(void **state)
{
    struct ip_prefix networks;

    (void)state;
    side_start(&server, TRANSPORT_RESPONDER);
    side_start(&client, TRANSPORT_INITIATOR);
    assert_int_equal(ip_prefix_parse("10.8.0.0/24", &networks), 0);
    assert_int_equal(keystore_allow_add(client.ks, 2, IPC_ALLOW_SOURCE, &networks), 0);
    assert_int_equal(ip_prefix_parse("fd08::/64", &networks), 0);
    assert_int_equal(keystore_allow_add(client.ks, 2, IPC_ALLOW_SOURCE, &networks), 0);
    link_sides();
    return 0;
}

int teardown(void **state)
{
    (void)state;
    aead_free(server.t.aead);
    aead_free(client.t.aead);
    free(server.mem);
    free(client.mem);
    return 0;
}

void pass(int64_t ms)
{
    server.now.mono_ms += (uint64_t)ms;
    server.now.stamp_ms += (uint64_t)ms;
    client.now.mono_ms += (uint64_t)ms;
    client.now.stamp_ms += (uint64_t)ms;
}

/* ---- packets -------------------------------------------------------------------------------- */

size_t ip4(uint8_t *p, const uint8_t *src, const uint8_t *dst, size_t len)
{
    memset(p, 0, len);
    p[0] = 0x45;
    be16_put(p + 2, (uint16_t)len);
    p[9] = 17;
    memcpy(p + 12, src, 4);
    memcpy(p + 16, dst, 4);
    memset(p + 20, 0x77, len - 20);
    return len;
}

size_t ip6(uint8_t *p, const uint8_t *src, const uint8_t *dst, size_t len)
{
    memset(p, 0, 40);
    p[0] = 0x60;
    be16_put(p + 4, (uint16_t)(len - 40));
    p[6] = 17;
    memcpy(p + 8, src, 16);
    memcpy(p + 24, dst, 16);
    memset(p + 40, 0x66, len - 40);
    return len;
}

size_t seal(struct side *from, uint8_t type, const void *text, size_t len)
{
    memcpy(datagram + WIRE_OVERHEAD, text, len);
    assert_int_equal(transport_seal(&from->t, &from->now, from->peer, type, datagram, &len),
                     RING_STATUS_OK);
    return len;
}

enum ring_status open_at(struct side *to, size_t len)
{
    memset(&opened, 0, sizeof(opened));
    return transport_open(&to->t, &to->now, datagram, len, plain, &opened);
}

enum ring_status data(struct side *from, struct side *to, size_t len)
{
    uint8_t packet[WIRE_MTU_MAX];

    ip4(packet, from == &client ? client4 : server4, from == &client ? server4 : client4, len);
    return open_at(to, seal(from, WIRE_DATA, packet, len));
}

void confirm(void)
{
    assert_int_equal(data(&client, &server, 100), RING_STATUS_OK);
    assert_int_equal(opened.flags, RING_FLAG_NEWEST | RING_FLAG_PROMOTED);
}

size_t forge(struct side *from, uint8_t type, uint64_t counter, uint32_t sequence,
             uint64_t stamp_ms, const void *text, size_t len)
{
    uint8_t *nonce = datagram + WIRE_HEADER_LEN;
    size_t total = WIRE_OVERHEAD + len;

    wire_header_put(datagram, (enum wire_type)type, total, sequence, stamp_ms);
    be32_put(nonce, from->s->remote_index);
    be64_put(nonce + 4, counter);
    memcpy(datagram + WIRE_OVERHEAD, text, len);
    crypto_aead_chacha20poly1305_ietf_encrypt_detached(
        datagram + WIRE_OVERHEAD, nonce + WIRE_NONCE_LEN, NULL, datagram + WIRE_OVERHEAD, len,
        datagram, WIRE_HEADER_LEN, NULL, nonce, from->s->keys.send);
    return total;
}

enum ring_status inner(struct side *from, struct side *to, uint8_t type, const void *text,
                       size_t len)
{
    uint64_t counter = atomic_fetch_add(&from->s->send_counter, 1);

    return open_at(to,
                   forge(from, type, counter, (uint32_t)counter, from->now.stamp_ms, text, len));
}

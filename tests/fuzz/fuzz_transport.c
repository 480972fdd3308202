/*
 * What an authentic but hostile peer can send: header and text are the input's, sealed with the
 * right key.  What is let through must be what the protocol page says, checked here again.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sodium.h>

#include "common/wire.h"
#include "enclave/transport.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct keystore *ks;
static struct transport t;
static struct session *session;
static const uint8_t own4[4] = {10, 8, 0, 10};
static const uint8_t own6[16] = {0xfd, 8, [15] = 0x10};

static void require(int holds)
{
    if (!holds)
        abort();
}

static void start(const struct clock *now, enum transport_role role)
{
    static const uint8_t device[WIRE_DEVICE_ID_LEN];
    static const struct ip_prefix networks = {.addr = {.family = 4, .bytes = {10, 8}}, .len = 24};
    static void *mem;
    size_t size = (keystore_size(1, 2) + 63) & ~(size_t)63;

    if (!mem) {
        require(aead_init() == 0 && aead_choose(NULL) == 0);
        mem = aligned_alloc(64, size);
        t.aead = aead_new();
        require(mem && t.aead);
    }
    memset(mem, 0, size);
    ks = keystore_new(mem, 1, 1, 2);
    t.ks = ks;
    t.role = role;
    session = keystore_session_new(ks, keystore_peer_add(ks, 1, device));
    require(session && keystore_allow_add(ks, 1, IPC_ALLOW_SOURCE, &networks) == 0);
    memset(session->keys.recv, 7, sizeof(session->keys.recv));
    session->created_ms = now->mono_ms;
    session->ip4.family = 4;
    memcpy(session->ip4.bytes, own4, 4);
    session->ip6.family = 6;
    memcpy(session->ip6.bytes, own6, 16);
    session->mtu = 1400;
    keystore_session_publish(ks, session, SESSION_NEXT);
}

/* DATA that was let through: a whole packet, and for or from the client's own address. */
static void check_data(const uint8_t *plain, size_t text_len, size_t length)
{
    int version = plain[0] >> 4;
    size_t total = version == 4 ? be16_get(plain + 2) : 40U + be16_get(plain + 4);
    size_t i;

    require(version == 4 || version == 6);
    require(length == total && total <= text_len && text_len - total < WIRE_PAD);
    for (i = total; i < text_len; i++)
        require(plain[i] == 0);
    if (t.role == TRANSPORT_INITIATOR) {
        require(version == 4 && memcmp(plain + 16, own4, 4) == 0); /* no IPv6 route is accepted */
        require(plain[12] == 10 && plain[13] == 8 && plain[14] == 0);
    } else if (version == 4) {
        require(plain[12] == 10 && plain[13] == 8 && plain[14] == 0);
    } else {
        require(memcmp(plain + 8, own6, 16) == 0);
    }
}

/* A first nibble of 0: a client asks for a page, a server answers with one. */
static void check_control(const uint8_t *plain, size_t text_len, size_t length)
{
    size_t i;

    require(length == text_len && text_len % WIRE_PAD == 0);
    require(plain[0] == (t.role == TRANSPORT_RESPONDER ? 1 : 2));
    if (t.role == TRANSPORT_RESPONDER)
        for (i = 2, require(text_len == 16); i < text_len; i++)
            require(plain[i] == 0);
    else
        require(plain[1] < plain[2] && plain[3] <= 63 && text_len >= 16 + 20U * plain[3]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct clock now = {.mono_ms = 1000000, .stamp_ms = 1000000};
    uint8_t datagram[WIRE_DATAGRAM_MAX], plain[WIRE_DATAGRAM_MAX];
    uint8_t *nonce = datagram + WIRE_HEADER_LEN;
    struct transport_opened out = {0};
    enum ring_status status, again;
    size_t text_len, len;
    uint64_t counter, stamp;
    uint32_t sequence;

    if (size < 8 + WIRE_PAD || size > 1600)
        return 0;
    start(&now, data[0] & 1 ? TRANSPORT_INITIATOR : TRANSPORT_RESPONDER);
    counter = data[1] & 0x80 ? UINT64_MAX - data[1] : data[1];
    sequence = (uint32_t)counter + (data[2] & 0x80 ? data[2] : 0);
    stamp = now.stamp_ms + (uint64_t)((int8_t)data[3] * 64);
    text_len = size - 8;
    len = WIRE_OVERHEAD + text_len;
    wire_header_put(datagram, (enum wire_type)(data[4] & 0x80 ? data[4] : WIRE_DATA + data[4] % 4),
                    len, sequence, stamp);
    be32_put(nonce, session->index);
    be64_put(nonce + 4, counter);
    crypto_aead_chacha20poly1305_ietf_encrypt_detached(datagram + WIRE_OVERHEAD,
                                                       nonce + WIRE_NONCE_LEN, NULL, data + 8,
                                                       text_len, datagram, WIRE_HEADER_LEN, NULL,
                                                       nonce, session->keys.recv);
    status = transport_open(&t, &now, datagram, len, plain, &out);
    require(status < RING_STATUS_NUM && status != RING_STATUS_FORGED);
    if (status == RING_STATUS_OK) {
        require(counter < WIRE_COUNTER_LIMIT && sequence == counter);
        require((int8_t)data[3] * 64 <= 5000 && (int8_t)data[3] * 64 >= -5000);
        require(memcmp(plain, data + 8, out.length) == 0);
        require(out.flags == (RING_FLAG_NEWEST | RING_FLAG_PROMOTED));
        if (out.type == WIRE_DATA && plain[0] >> 4 == 0)
            check_control(plain, text_len, out.length);
        else if (out.type == WIRE_DATA)
            check_data(plain, text_len, out.length);
        else
            require(out.length == text_len && text_len % WIRE_PAD == 0);
    }
    /* Nothing is taken twice. */
    again = transport_open(&t, &now, datagram, len, plain, &out);
    require(again != RING_STATUS_OK);
    return 0;
}

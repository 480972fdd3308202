/*
 * The UDP messages: sizes, layout and the checks that need no key.
 *
 * All integers are big-endian, reserved bytes zero, every length exact.  The second byte (0x01)
 * tells these messages from WireGuard's (0x00), which the same port will serve.
 */
#ifndef COMMON_WIRE_H
#define COMMON_WIRE_H

#include <endian.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define WIRE_VERSION 0x01

enum wire_type {
    WIRE_CONNECT_REQ = 1,
    WIRE_CONNECT_RESP = 2, /* also COOKIE and STALE, told apart by their length */
    WIRE_DATA = 3,
    WIRE_PING = 4,
    WIRE_PONG = 5,
    WIRE_DISCONNECT = 6,
};

#define WIRE_HEADER_LEN       16
#define WIRE_NONCE_LEN        12
#define WIRE_TAG_LEN          16
#define WIRE_OVERHEAD         (WIRE_HEADER_LEN + WIRE_NONCE_LEN + WIRE_TAG_LEN)
#define WIRE_PAD              16 /* plaintext is padded to a multiple of this */
#define WIRE_TRANSPORT_MIN    (WIRE_OVERHEAD + WIRE_PAD)
#define WIRE_DATAGRAM_MAX     2048
#define WIRE_MTU_MIN          1280
#define WIRE_MTU_MAX          1920
#define WIRE_CONNECT_REQ_LEN  280
#define WIRE_CONNECT_RESP_LEN 200
#define WIRE_COOKIE_LEN       80
#define WIRE_STALE_LEN        40
#define WIRE_USER_MAX         64
#define WIRE_DEVICE_ID_LEN    16
#define WIRE_KEY_LEN          32
#define WIRE_MAC_LEN          16
#define WIRE_CHALLENGE_LEN    16
#define WIRE_REVISION         1

/* Counters at or above this are refused, so that the 32-bit sequence never wraps. */
#define WIRE_COUNTER_LIMIT ((1ULL << 32) - (1ULL << 16))

/* Offsets, see protocol: CONNECT_REQ. */
#define WIRE_REQ_INDEX         16
#define WIRE_REQ_FLAGS         20
#define WIRE_REQ_EPHEMERAL     24
#define WIRE_REQ_STATIC        56
#define WIRE_REQ_PAYLOAD       104
#define WIRE_REQ_MAC1          248
#define WIRE_REQ_MAC2          264
#define WIRE_PAYLOAD1_LEN      128
/* CONNECT_RESP. */
#define WIRE_RESP_SERVER_INDEX 16
#define WIRE_RESP_CLIENT_INDEX 20
#define WIRE_RESP_EPHEMERAL    24
#define WIRE_RESP_PAYLOAD      56
#define WIRE_PAYLOAD2_LEN      128

/* Why the server did not say OK; authenticated, so the client may believe it. */
enum wire_status {
    WIRE_STATUS_OK = 0,
    WIRE_STATUS_CHALLENGE = 1,
    WIRE_STATUS_POOL_FULL = 2,
    WIRE_STATUS_DEVICE_LIMIT = 3,
    WIRE_STATUS_DISABLED = 4,
    WIRE_STATUS_BAD_REV = 5,
    WIRE_STATUS_DENIED = 6,
    WIRE_STATUS_NUM,
};

enum wire_disconnect {
    WIRE_DISCONNECT_UNSPECIFIED = 0,
    WIRE_DISCONNECT_SHUTDOWN = 1, /* the client reconnects */
    WIRE_DISCONNECT_REPLACED = 2, /* these three: the client waits for its operator */
    WIRE_DISCONNECT_KICKED = 3,
    WIRE_DISCONNECT_DISABLED = 4,
};

static inline uint16_t be16_get(const void *p)
{
    uint16_t v;

    memcpy(&v, p, sizeof(v));
    return be16toh(v);
}

static inline uint32_t be32_get(const void *p)
{
    uint32_t v;

    memcpy(&v, p, sizeof(v));
    return be32toh(v);
}

static inline uint64_t be64_get(const void *p)
{
    uint64_t v;

    memcpy(&v, p, sizeof(v));
    return be64toh(v);
}

static inline void be16_put(void *p, uint16_t v)
{
    v = htobe16(v);
    memcpy(p, &v, sizeof(v));
}

static inline void be32_put(void *p, uint32_t v)
{
    v = htobe32(v);
    memcpy(p, &v, sizeof(v));
}

static inline void be64_put(void *p, uint64_t v)
{
    v = htobe64(v);
    memcpy(p, &v, sizeof(v));
}

struct wire_header {
    uint8_t type;
    uint8_t version;
    uint16_t length; /* bytes after the header */
    uint32_t sequence;
    uint64_t timestamp_ms;
};

/** wire_header_put() - write the 16 bytes; @total is the datagram's whole length. */
void wire_header_put(uint8_t *buf, enum wire_type type, size_t total, uint32_t sequence,
                     uint64_t timestamp_ms);

/* What a datagram is, by type and exact length alone. */
enum wire_kind {
    WIRE_KIND_CONNECT_REQ,
    WIRE_KIND_CONNECT_RESP,
    WIRE_KIND_COOKIE,
    WIRE_KIND_STALE,
    WIRE_KIND_TRANSPORT, /* DATA, PING, PONG, DISCONNECT: header and length are exact */
    WIRE_KIND_BAD_LENGTH,
    WIRE_KIND_BAD_TYPE,
    WIRE_KIND_BAD_VERSION,
};

/**
 * wire_classify() - the cheap check that comes before everything else
 * @buf: the datagram
 * @len: its length, any
 *
 * Looks at type, version, the length field and the exact length of the type.  For a kind up to
 * WIRE_KIND_TRANSPORT all fixed fields may be read without another length check.
 */
enum wire_kind wire_classify(const uint8_t *buf, size_t len);

/** wire_transport_index() - the receiver index of a transport message (checked by classify). */
static inline uint32_t wire_transport_index(const uint8_t *buf)
{
    return be32_get(buf + WIRE_HEADER_LEN);
}

/** wire_transport_counter() - its counter. */
static inline uint64_t wire_transport_counter(const uint8_t *buf)
{
    return be64_get(buf + WIRE_HEADER_LEN + 4);
}

/** wire_padded() - @len rounded up to the padding. */
static inline size_t wire_padded(size_t len)
{
    return (len + WIRE_PAD - 1) & ~(size_t)(WIRE_PAD - 1);
}

/** wire_status_name() - for logs and JSON, never NULL. */
const char *wire_status_name(unsigned int status);

#endif

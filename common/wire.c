/* The cheap checks of a datagram: type, version and exact length; nothing here needs a key. */
#include "common/wire.h"

_Static_assert(WIRE_REQ_PAYLOAD + WIRE_PAYLOAD1_LEN + WIRE_TAG_LEN == WIRE_REQ_MAC1,
               "payload1 ends where mac1 begins");
_Static_assert(WIRE_REQ_MAC2 + WIRE_MAC_LEN == WIRE_CONNECT_REQ_LEN, "mac2 ends CONNECT_REQ");
_Static_assert(WIRE_RESP_PAYLOAD + WIRE_PAYLOAD2_LEN + WIRE_TAG_LEN == WIRE_CONNECT_RESP_LEN,
               "payload2 ends CONNECT_RESP");
_Static_assert(WIRE_CONNECT_RESP_LEN <= WIRE_CONNECT_REQ_LEN,
               "an answer larger than its request makes the server an amplifier");

void wire_header_put(uint8_t *buf, enum wire_type type, size_t total, uint32_t sequence,
                     uint64_t timestamp_ms)
{
    buf[0] = (uint8_t)type;
    buf[1] = WIRE_VERSION;
    be16_put(buf + 2, (uint16_t)(total - WIRE_HEADER_LEN));
    be32_put(buf + 4, sequence);
    be64_put(buf + 8, timestamp_ms);
}

/* The server's three answers share a type, so that their length alone tells them apart. */
static enum wire_kind classify_answer(size_t len)
{
    switch (len) {
    case WIRE_CONNECT_RESP_LEN:
        return WIRE_KIND_CONNECT_RESP;
    case WIRE_COOKIE_LEN:
        return WIRE_KIND_COOKIE;
    case WIRE_STALE_LEN:
        return WIRE_KIND_STALE;
    default:
        return WIRE_KIND_BAD_LENGTH;
    }
}

enum wire_kind wire_classify(const uint8_t *buf, size_t len)
{
    if (len < WIRE_HEADER_LEN || len > WIRE_DATAGRAM_MAX)
        return WIRE_KIND_BAD_LENGTH;
    if (buf[0] < WIRE_CONNECT_REQ || buf[0] > WIRE_DISCONNECT)
        return WIRE_KIND_BAD_TYPE;
    if (buf[1] != WIRE_VERSION)
        return WIRE_KIND_BAD_VERSION;
    if (be16_get(buf + 2) != len - WIRE_HEADER_LEN)
        return WIRE_KIND_BAD_LENGTH;

    switch (buf[0]) {
    case WIRE_CONNECT_REQ:
        return len == WIRE_CONNECT_REQ_LEN ? WIRE_KIND_CONNECT_REQ : WIRE_KIND_BAD_LENGTH;
    case WIRE_CONNECT_RESP:
        return classify_answer(len);
    case WIRE_PONG:
    case WIRE_DISCONNECT:
        return len == WIRE_TRANSPORT_MIN ? WIRE_KIND_TRANSPORT : WIRE_KIND_BAD_LENGTH;
    case WIRE_PING:
        if (len < WIRE_TRANSPORT_MIN || (len - WIRE_OVERHEAD) % WIRE_PAD != 0)
            return WIRE_KIND_BAD_LENGTH;
        return WIRE_KIND_TRANSPORT;
    default: /* DATA: padding is capped at the MTU, so a full packet may end anywhere */
        return len >= WIRE_TRANSPORT_MIN ? WIRE_KIND_TRANSPORT : WIRE_KIND_BAD_LENGTH;
    }
}

const char *wire_status_name(unsigned int status)
{
    static const char *const names[WIRE_STATUS_NUM] = {
        [WIRE_STATUS_OK] = "ok",
        [WIRE_STATUS_CHALLENGE] = "challenge",
        [WIRE_STATUS_POOL_FULL] = "pool-full",
        [WIRE_STATUS_DEVICE_LIMIT] = "device-limit",
        [WIRE_STATUS_DISABLED] = "disabled",
        [WIRE_STATUS_BAD_REV] = "bad-rev",
        [WIRE_STATUS_DENIED] = "denied",
    };

    return status < WIRE_STATUS_NUM ? names[status] : "unknown";
}

/*
 * Any datagram through the checks that come before every key: a kind that lets fields be read must
 * mean that they are there, and neither mac1 nor STALE may be met by chance.
 */
#include <sodium.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "common/mac.h"
#include "common/wire.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct mac_keys keys;

static void require(int holds)
{
    if (!holds)
        abort();
}

static void check_transport(const uint8_t *buf, size_t len)
{
    uint8_t stale[WIRE_STALE_LEN];

    require(len >= WIRE_TRANSPORT_MIN && len <= WIRE_DATAGRAM_MAX);
    require((len - WIRE_OVERHEAD) % WIRE_PAD == 0 || buf[0] == WIRE_DATA);
    require(wire_transport_index(buf) == be32_get(buf + 16));
    stale_build(&keys, buf, wire_transport_counter(buf), stale);
    require(wire_classify(stale, sizeof(stale)) == WIRE_KIND_STALE);
    require(stale_valid(&keys, stale));
    require(memcmp(stale + 4, buf + 4, 4) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const uint8_t public_key[WIRE_KEY_LEN] = {9};
    uint8_t *buf;

    if (sodium_init() == 0)
        mac_keys_init(&keys, public_key);
    buf =
        malloc(size ? size : 1); /* exactly as long as it claims, so that ASan sees one byte more */
    require(buf != NULL);
    memcpy(buf, data, size);

    switch (wire_classify(buf, size)) {
    case WIRE_KIND_CONNECT_REQ:
        require(size == WIRE_CONNECT_REQ_LEN && !mac1_valid(&keys, buf));
        mac1_put(&keys, buf);
        require(mac1_valid(&keys, buf));
        break;
    case WIRE_KIND_CONNECT_RESP:
        require(size == WIRE_CONNECT_RESP_LEN);
        break;
    case WIRE_KIND_COOKIE:
        require(size == WIRE_COOKIE_LEN);
        break;
    case WIRE_KIND_STALE:
        require(size == WIRE_STALE_LEN && !stale_valid(&keys, buf));
        break;
    case WIRE_KIND_TRANSPORT:
        check_transport(buf, size);
        break;
    case WIRE_KIND_BAD_LENGTH:
    case WIRE_KIND_BAD_TYPE:
    case WIRE_KIND_BAD_VERSION:
        break;
    }
    free(buf);
    return 0;
}

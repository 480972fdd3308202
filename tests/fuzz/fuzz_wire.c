/*
 * Any datagram through the checks that come before every key: a kind that lets fields be read must
 * mean that they are there, and neither mac1, mac2, STALE nor COOKIE may be met by chance.
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
static struct cookie_jar jar;

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

static void check_request(uint8_t *buf)
{
    const struct ip_endpoint from = {.addr = {4, {192, 0, 2, 2}}, .port = 7};
    uint8_t cookie[WIRE_MAC_LEN], got[WIRE_MAC_LEN], msg[WIRE_COOKIE_LEN];
    struct cookie_request asked;

    require(!mac1_valid(&keys, buf) && !mac2_valid(&jar, &from, buf));
    mac1_put(&keys, buf);
    require(mac1_valid(&keys, buf));
    cookie_make(&jar, &from, cookie);
    cookie_request_read(buf, &asked);
    cookie_build(&keys, &asked, cookie, 1, msg);
    require(wire_classify(msg, sizeof(msg)) == WIRE_KIND_COOKIE);
    require(cookie_open(&keys, msg, &asked, got) == 0 && memcmp(got, cookie, sizeof(got)) == 0);
    mac2_put(cookie, buf);
    require(mac2_valid(&jar, &from, buf));
}

static void check_cookie(const uint8_t *buf)
{
    const struct cookie_request asked = {be32_get(buf + 4), be32_get(buf + 16), {0}};
    uint8_t cookie[WIRE_MAC_LEN];

    require(cookie_open(&keys, buf, &asked, cookie) < 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const uint8_t public_key[WIRE_KEY_LEN] = {9};
    uint8_t *buf;

    if (sodium_init() == 0) {
        mac_keys_init(&keys, public_key);
        cookie_jar_init(&jar, 0);
    }
    buf =
        malloc(size ? size : 1); /* exactly as long as it claims, so that ASan sees one byte more */
    require(buf != NULL);
    memcpy(buf, data, size);

    switch (wire_classify(buf, size)) {
    case WIRE_KIND_CONNECT_REQ:
        require(size == WIRE_CONNECT_REQ_LEN);
        check_request(buf);
        break;
    case WIRE_KIND_CONNECT_RESP:
        require(size == WIRE_CONNECT_RESP_LEN);
        break;
    case WIRE_KIND_COOKIE:
        require(size == WIRE_COOKIE_LEN);
        check_cookie(buf);
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

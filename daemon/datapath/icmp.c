/* ICMP "too big" of both families; see icmp.h. */
#include "daemon/datapath/icmp.h"

#include <string.h>

#include "common/wire.h"
#include "daemon/datapath/checksum.h"

#define IP4_HEADER     20
#define IP6_HEADER     40
#define ICMP_HEADER    8
#define TTL            64
#define DONT_FRAGMENT  0x4000
#define IP4_ANSWER_MAX 576 /* RFC 1812, 4.3.2.3 */

enum {
    PROTO_HOP_BY_HOP = 0,
    PROTO_ICMP = 1,
    PROTO_ROUTING = 43,
    PROTO_FRAGMENT = 44,
    PROTO_ICMP6 = 58,
    PROTO_DESTINATION = 60,
};

bool icmp_limit_allows(struct icmp_limit *limit, const struct ip_addr *source, uint64_t now_ms)
{
    const uint64_t second = now_ms / 1000;
    uint32_t hash = 2166136261U; /* FNV-1a: who collides shares an allowance, nothing worse */

    for (size_t i = 0; i < ip_addr_bytes(source); i++)
        hash = (hash ^ source->bytes[i]) * 16777619U;
    hash = (hash ^ hash >> 15) % ICMP_SOURCES;
    if (limit->second[hash] != second) {
        limit->second[hash] = second;
        limit->used[hash] = 0;
    }
    if (limit->used[hash] == ICMP_PER_SECOND)
        return false;
    limit->used[hash]++;
    return true;
}

bool icmp_may_fragment(const uint8_t *packet)
{
    return packet[0] >> 4 == 4 && !(be16_get(packet + 6) & DONT_FRAGMENT);
}

/* Every type but the queries and their answers: an unknown one is taken for an error. */
static bool is_query4(uint8_t type)
{
    static const uint8_t queries[] = {0, 8, 9, 10, 13, 14, 15, 16, 17, 18};

    return memchr(queries, type, sizeof(queries)) != NULL;
}

static size_t too_big4(const uint8_t *packet, const struct inner *in, uint16_t mtu, uint8_t *out)
{
    const size_t room = IP4_ANSWER_MAX - IP4_HEADER - ICMP_HEADER;
    const size_t quoted = in->total < room ? in->total : room;
    const size_t len = IP4_HEADER + ICMP_HEADER + quoted;
    uint8_t *icmp = out + IP4_HEADER;

    if (icmp_may_fragment(packet) || in->fragment)
        return 0;
    if (in->protocol == PROTO_ICMP && (in->total == in->payload || !is_query4(packet[in->payload])))
        return 0;
    memset(out, 0, IP4_HEADER + ICMP_HEADER);
    out[0] = 4 << 4 | IP4_HEADER / 4;
    be16_put(out + 2, (uint16_t)len);
    be16_put(out + 6, DONT_FRAGMENT);
    out[8] = TTL;
    out[9] = PROTO_ICMP;
    memcpy(out + 12, in->dst.bytes, 4);
    memcpy(out + 16, in->src.bytes, 4);
    checksum_put(out + 10, checksum_finish(checksum_add(0, out, IP4_HEADER)));

    icmp[0] = 3; /* destination unreachable */
    icmp[1] = 4; /* fragmentation needed */
    be16_put(icmp + 6, mtu);
    memcpy(icmp + ICMP_HEADER, packet, quoted);
    checksum_put(icmp + 2, checksum_finish(checksum_add(0, icmp, ICMP_HEADER + quoted)));
    return len;
}

/* Walks the extension headers, of which any number may precede an ICMPv6 header. */
static bool may_answer6(const uint8_t *packet, const struct inner *in)
{
    size_t at = IP6_HEADER;
    uint8_t next = in->protocol;

    for (;;) {
        switch (next) {
        case PROTO_ICMP6:
            return at < in->total && packet[at] >= 128; /* below are the errors */
        case PROTO_HOP_BY_HOP:
        case PROTO_ROUTING:
        case PROTO_DESTINATION:
            if (at + 8 > in->total)
                return false;
            next = packet[at];
            at += 8 + (size_t)packet[at + 1] * 8;
            break;
        case PROTO_FRAGMENT:
            if (at + 8 > in->total || be16_get(packet + at + 2) >> 3 != 0)
                return false;
            next = packet[at];
            at += 8;
            break;
        default:
            return true;
        }
    }
}

static size_t too_big6(const uint8_t *packet, const struct inner *in, uint16_t mtu, uint8_t *out)
{
    const size_t room = ICMP_ANSWER_MAX - IP6_HEADER - ICMP_HEADER;
    const size_t quoted = in->total < room ? in->total : room;
    uint8_t *icmp = out + IP6_HEADER;
    uint64_t pseudo;

    if (!may_answer6(packet, in))
        return 0;
    memset(out, 0, IP6_HEADER + ICMP_HEADER);
    out[0] = 6 << 4;
    be16_put(out + 4, (uint16_t)(ICMP_HEADER + quoted));
    out[6] = PROTO_ICMP6;
    out[7] = TTL;
    memcpy(out + 8, in->dst.bytes, 16);
    memcpy(out + 24, in->src.bytes, 16);

    icmp[0] = 2; /* packet too big */
    be32_put(icmp + 4, mtu);
    memcpy(icmp + ICMP_HEADER, packet, quoted);
    pseudo = checksum_add16(checksum_add(0, out + 8, 32), (uint16_t)(ICMP_HEADER + quoted));
    pseudo = checksum_add16(pseudo, PROTO_ICMP6);
    checksum_put(icmp + 2, checksum_finish(checksum_add(pseudo, icmp, ICMP_HEADER + quoted)));
    return IP6_HEADER + ICMP_HEADER + quoted;
}

size_t icmp_too_big(const uint8_t *packet, const struct inner *in, uint16_t mtu, uint8_t *out)
{
    if (in->total <= mtu || !ip_addr_is_unicast(&in->src) || !ip_addr_is_unicast(&in->dst))
        return 0;
    return in->src.family == 4 ? too_big4(packet, in, mtu, out) : too_big6(packet, in, mtu, out);
}

/*
 * Inner packets made by hand, and plain references that look at one byte after the other: what
 * gso.c and coalesce.c do with several at once must come to the same.  Included by their tests.
 */
#ifndef TESTS_UNIT_PACKETS_H
#define TESTS_UNIT_PACKETS_H

#include <netinet/in.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "common/wire.h"

#define FIN 0x01
#define SYN 0x02
#define PSH 0x08
#define ACK 0x10
#define ECE 0x40
#define CWR 0x80

/* xorshift: the same packets in every run of a test, whose seed it prints when it fails. */
static uint32_t random_state = 2463534242U;

static inline uint32_t random_next(void)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 17;
    random_state ^= random_state << 5;
    return random_state;
}

static inline uint32_t random_below(uint32_t n)
{
    return random_next() % n;
}

/* What a packet is made of. */
struct shape {
    int family, protocol;
    uint8_t host, tos, ttl;
    uint16_t id;
    bool dont_fragment;
    uint16_t port;
    uint32_t seq, ack;
    uint8_t flags;
    uint16_t window;
    uint8_t options; /* bytes of TCP options, a multiple of 4 */
    uint32_t stamp;  /* in the options */
    size_t data;
};

/* RFC 1071, word for word. */
static inline uint16_t plain_sum(uint32_t from, const uint8_t *p, size_t len)
{
    for (; len > 1; p += 2, len -= 2)
        from += (uint32_t)(p[0] << 8 | p[1]);
    if (len)
        from += (uint32_t)(p[0] << 8);
    while (from >> 16)
        from = (from & 0xffff) + (from >> 16);
    return (uint16_t)from;
}

static inline size_t transport_at(const uint8_t *p)
{
    return p[0] >> 4 == 4 ? (size_t)(p[0] & 15) * 4 : 40;
}

static inline uint8_t protocol_of(const uint8_t *p)
{
    return p[0] >> 4 == 4 ? p[9] : p[6];
}

static inline size_t total_of(const uint8_t *p)
{
    return p[0] >> 4 == 4 ? be16_get(p + 2) : 40U + be16_get(p + 4);
}

static inline uint16_t pseudo_header(const uint8_t *p, size_t len)
{
    uint32_t sum = protocol_of(p) + (uint32_t)(len - transport_at(p));

    return p[0] >> 4 == 4 ? plain_sum(sum, p + 12, 8) : plain_sum(sum, p + 8, 32);
}

static inline size_t checksum_at(const uint8_t *p)
{
    return transport_at(p) + (protocol_of(p) == IPPROTO_TCP ? 16 : 6);
}

/* Are all checksums of the packet right?  (UDP's 0, "none", is not.) */
static inline bool sums_right(const uint8_t *p, size_t len)
{
    size_t at = transport_at(p);

    if (p[0] >> 4 == 4 && plain_sum(0, p, at) != 0xffff)
        return false;
    if (protocol_of(p) != IPPROTO_TCP && protocol_of(p) != IPPROTO_UDP)
        return true;
    return be16_get(p + checksum_at(p)) != 0 || protocol_of(p) == IPPROTO_TCP
               ? plain_sum(pseudo_header(p, len), p + at, len - at) == 0xffff
               : false;
}

static inline void put_ip_sum(uint8_t *p)
{
    if (p[0] >> 4 != 4)
        return;
    be16_put(p + 10, 0);
    be16_put(p + 10, (uint16_t)~plain_sum(0, p, transport_at(p)));
}

static inline void put_sums(uint8_t *p, size_t len)
{
    size_t at = transport_at(p);
    uint16_t sum;

    put_ip_sum(p);
    be16_put(p + checksum_at(p), 0);
    sum = (uint16_t)~plain_sum(pseudo_header(p, len), p + at, len - at);
    be16_put(p + checksum_at(p), sum == 0 && protocol_of(p) == IPPROTO_UDP ? 0xffff : sum);
}

/* Return: the packet's length; the data counts up from the sequence number. */
static inline size_t packet_make(const struct shape *s, uint8_t *p)
{
    size_t at = s->family == 4 ? 20 : 40;
    size_t header = s->protocol == IPPROTO_TCP ? 20U + s->options : 8;
    size_t len = at + header + s->data, i;

    memset(p, 0, at + header);
    if (s->family == 4) {
        p[0] = 0x45;
        p[1] = s->tos;
        be16_put(p + 2, (uint16_t)len);
        be16_put(p + 4, s->id);
        be16_put(p + 6, s->dont_fragment ? 0x4000 : 0);
        p[8] = s->ttl;
        p[9] = (uint8_t)s->protocol;
        memcpy(p + 12, (uint8_t[]){10, 8, 0, s->host, 192, 168, 100, 2}, 8);
    } else {
        p[0] = 0x60;
        p[1] = s->tos;
        be16_put(p + 4, (uint16_t)(len - 40));
        p[6] = (uint8_t)s->protocol;
        p[7] = s->ttl;
        p[8] = 0xfd;
        p[23] = s->host;
        p[24] = 0xfd;
        p[39] = 2;
    }
    be16_put(p + at, s->port);
    be16_put(p + at + 2, 5201);
    if (s->protocol == IPPROTO_TCP) {
        be32_put(p + at + 4, s->seq);
        be32_put(p + at + 8, s->ack);
        p[at + 12] = (uint8_t)(header / 4 << 4);
        p[at + 13] = s->flags;
        be16_put(p + at + 14, s->window);
        for (i = 0; i + 4 <= s->options; i += 4)
            be32_put(p + at + 20 + i, s->stamp + (uint32_t)i);
    } else {
        be16_put(p + at + 4, (uint16_t)(8 + s->data));
    }
    for (i = 0; i < s->data; i++)
        p[at + header + i] = (uint8_t)((s->seq + i) * 31 >> 3);
    put_sums(p, len);
    return len;
}

#endif

/* The IP packet inside a tunnel: the few fields that decide where it may go.  Pure. */
#ifndef COMMON_INNER_H
#define COMMON_INNER_H

#include <stddef.h>
#include <stdint.h>

#include "common/ip.h"

struct inner {
    struct ip_addr src;
    struct ip_addr dst;
    uint16_t total;   /* length by the IP header: what follows it is padding */
    uint16_t payload; /* offset of the upper-layer header */
    uint8_t protocol; /* IPv6: the first next header; extension headers are not walked */
    uint8_t fragment; /* 1 when this is a fragment other than the first */
};

/**
 * inner_parse() - read the IP header of a packet
 * @buf: the packet, hostile
 * @len: bytes at @buf, padding included
 *
 * Checks version, IHL (RFC 791) and that the total length lies within @len.
 *
 * Return: 0 or -EINVAL.
 */
int inner_parse(const uint8_t *buf, size_t len, struct inner *out);

/**
 * inner_clamp_mss() - lower the MSS option of a TCP SYN to what @mtu carries (RFC 9293, 3.7.1)
 * @buf: a packet that inner_parse() took
 *
 * The TCP checksum is updated incrementally (RFC 1624).  Anything else is left alone.
 */
void inner_clamp_mss(uint8_t *buf, const struct inner *in, uint16_t mtu);

#endif

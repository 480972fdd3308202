/*
 * "Too big", said to a host inside: its packet is larger than what the path to the peer carries.
 *
 * The answer comes from the packet's own destination.  An address of this host would be more to the
 * letter, but the kernel takes a packet from one of its own addresses on a device for a forgery;
 * the destination is where the device leads to by every route and filter.
 *
 * Pure: no system call, clock or log line.
 */
#ifndef DAEMON_DATAPATH_ICMP_H
#define DAEMON_DATAPATH_ICMP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/inner.h"

#define ICMP_ANSWER_MAX 1280
#define ICMP_SOURCES    64
#define ICMP_PER_SECOND 20

/* How often, by source: hosts that send many flows do not silence the others. */
struct icmp_limit {
    uint64_t second[ICMP_SOURCES];
    uint8_t used[ICMP_SOURCES];
};

/** icmp_limit_allows() - may one more answer go to @source now?  Counts it. */
bool icmp_limit_allows(struct icmp_limit *limit, const struct ip_addr *source, uint64_t now_ms);

/** icmp_may_fragment() - an IPv4 packet whose sender leaves it to the network to cut it. */
bool icmp_may_fragment(const uint8_t *packet);

/**
 * icmp_too_big() - "fragmentation needed" (RFC 792, 1191) or "packet too big" (RFC 4443)
 * @packet: what inner_parse() made @in of
 * @mtu: what would pass; 1280 at least
 * @out: ICMP_ANSWER_MAX bytes
 *
 * Nothing is said to who did not ask for it or could not use it (RFC 1122, 3.2.2; RFC 4443, 2.4):
 * no answer to ICMP errors, to fragments other than the first, from or to what is no single host.
 *
 * Return: length of the IP packet at @out; 0 when there must be no answer.
 */
size_t icmp_too_big(const uint8_t *packet, const struct inner *in, uint16_t mtu, uint8_t *out);

#endif

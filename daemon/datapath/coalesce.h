/*
 * The reverse of gso.h: packets of one flow that follow each other become one super-packet, which
 * the kernel takes, routes and delivers for about the price of one.
 *
 * Theory of operation
 * -------------------
 * Packets of a batch are added one by one; each joins the newest *group* of its flow or founds one.
 * It joins only if cutting the group again would give back the very packets: same addresses, ports,
 * TOS, TTL, flow label, options, acknowledgement and window; the next sequence number (TCP) and
 * the next identification (IPv4, unless it has no meaning: RFC 6864, 4.1); as much data as the
 * others; only the last may be shorter or carry FIN or PSH, and ends the group.
 *
 * Order: groups come out in the order in which they were founded, and nothing joins a group after
 * a packet of the same flow that could not: a SYN or a bare acknowledgement ends its flow's group,
 * and no other flow's.  A packet of no known flow (ICMP, fragments, IP options, …) ends all groups
 * between its two hosts, so nothing overtakes it.  Different flows may pass each other, as they
 * may in a network card.
 *
 * Checksums: a super-packet is passed on with a checksum that the kernel takes for true, and an
 * IPv4 header of its own.  So both of each packet's must be right before it is merged, or damage
 * done before the tunnel would be blessed here; a wrong one stays alone.  A packet that stays alone
 * costs no checksum.
 *
 * Pure: no system call, clock or log line.
 */
#ifndef DAEMON_DATAPATH_COALESCE_H
#define DAEMON_DATAPATH_COALESCE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

#include "common/ring.h"
#include "daemon/datapath/gso.h"

#define COALESCE_PACKETS RING_PACKETS

/* What may be merged. */
#define COALESCE_TCP 0x1u
#define COALESCE_UDP 0x2u

struct coalesce_group {
    uint8_t first, last; /* numbers of packets */
    uint8_t count;
    bool closed;        /* nothing may join any more */
    bool checked;       /* the first packet's checksum has been looked at */
    uint8_t protocol;   /* IPPROTO_TCP, IPPROTO_UDP, or 0: no flow of ours */
    uint16_t transport; /* where its header begins */
    uint16_t headers;   /* and where the data, if any could join */
    uint16_t stride;    /* data of each packet but the last */
    uint16_t target;    /* the caller's, see coalesce_add() */
    uint32_t hosts;     /* of both addresses */
    uint32_t data;      /* bytes in all */
};

struct coalesce {
    unsigned int n_packets, n_groups;
    struct {
        uint8_t *bytes;
        uint16_t length;
        uint8_t next; /* of the same group */
    } packets[COALESCE_PACKETS];
    struct coalesce_group groups[COALESCE_PACKETS];
};

/** coalesce_begin() - an empty batch. */
void coalesce_begin(struct coalesce *c);

/**
 * coalesce_add() - one more packet
 * @packet: an IP packet whose total length is @len, as inner_parse() found it; stays the caller's,
 *          with GSO_HEADER_LEN bytes of room before it, until the batch is over.  Others may write
 *          to it meanwhile: no more than @len bytes are touched, whatever they say
 * @target: packets with different targets (devices) are never merged
 * @what: COALESCE_…, may it be merged?
 *
 * At most COALESCE_PACKETS fit.
 */
void coalesce_add(struct coalesce *c, uint8_t *packet, size_t len, uint16_t target,
                  unsigned int what);

/**
 * coalesce_frame() - what to write to the device for a group
 * @iov: of at least COALESCE_PACKETS entries: the device's header with the first packet, then the
 *       data of the others
 *
 * The first packet's headers and the room before it are overwritten.  Call it once for each group.
 *
 * Return: the number of entries.
 */
unsigned int coalesce_frame(struct coalesce *c, unsigned int group, struct iovec *iov);

#endif

/*
 * Super-packets: what the kernel hands over as one TCP or UDP packet of up to 64 KiB becomes the
 * packets it stands for.
 *
 * A device with segmentation offload leaves to its driver, us, what every network card does: repeat
 * the headers before each piece of the payload, with lengths, IP identification, sequence number,
 * flags and checksums of its own.  Checksums too are left to us, finished but for the sum over the
 * data.  Pure: no system call, clock or log line.
 */
#ifndef DAEMON_DATAPATH_GSO_H
#define DAEMON_DATAPATH_GSO_H

#include <linux/virtio_net.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The device's header, in the machine's byte order. */
#define GSO_HEADER_LEN 10
_Static_assert(sizeof(struct virtio_net_hdr) == GSO_HEADER_LEN, "no padding");

/* Linux 6.2; older headers lack it. */
#ifndef VIRTIO_NET_HDR_GSO_UDP_L4
#define VIRTIO_NET_HDR_GSO_UDP_L4 5
#endif

/* A packet that is being cut; gso_split_begin() fills it, the rest only moves @done. */
struct gso_split {
    const uint8_t *packet;
    size_t len;
    size_t headers;   /* bytes repeated before each piece */
    size_t transport; /* where the TCP or UDP header begins */
    size_t stride;    /* payload of each piece but the last */
    size_t done;      /* payload bytes that went into pieces */
    uint64_t pseudo;  /* checksum over the pseudo header, its length field left out */
    bool tcp;
};

/**
 * gso_split_begin() - look at a frame from the device
 * @frame: the device's header and the packet, @len bytes in all; a packet that is no super-packet
 *         gets its checksum finished in place and is cut into one piece, itself
 *
 * The headers are measured by their own fields.  What the device says besides is taken as far as it
 * stays within the frame: the size of the pieces, and where IPv6's extension headers end.
 *
 * Return: 0, or -EINVAL for what cannot be cut.
 */
int gso_split_begin(struct gso_split *s, uint8_t *frame, size_t len);

/** gso_split_trim() - no super-packet: the packet ends after @total bytes, what follows is none. */
static inline void gso_split_trim(struct gso_split *s, size_t total)
{
    if (s->headers == 0)
        s->len = s->stride = total;
}

/** gso_split_more() - is another piece left? */
static inline bool gso_split_more(const struct gso_split *s)
{
    return s->headers + s->done < s->len;
}

/** gso_split_size() - how long the next piece is; call it only while there is more. */
static inline size_t gso_split_size(const struct gso_split *s)
{
    size_t left = s->len - s->headers - s->done;

    return s->headers + (left < s->stride ? left : s->stride);
}

/** gso_split_next() - write the next piece, gso_split_size() bytes, to @out. */
void gso_split_next(struct gso_split *s, uint8_t *out);

#endif

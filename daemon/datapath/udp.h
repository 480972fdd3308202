/* UDP sockets of a lane: opening, steering, and batches with the address that was called. */
#ifndef DAEMON_DATAPATH_UDP_H
#define DAEMON_DATAPATH_UDP_H

#include <stdbool.h>
#include <sys/socket.h>

#include "common/err.h"
#include "daemon/datapath/peers.h"

#define UDP_BATCH        32  /* messages */
#define UDP_BATCH_PIECES 128 /* datagrams in them */
/* The kernel's limits for one send with UDP_SEGMENT: 64 datagrams (128 since 6.9), 64 KiB. */
#define UDP_SEGMENTS     64
#define UDP_SEGMENTS_LEN 65000

/**
 * udp_open() - one socket
 * @local: address and port to bind; port 0 for any; an unspecified address for all of its family
 * @reuse: join the SO_REUSEPORT group of the same address
 * @mark: SO_MARK, 0 for none
 *
 * Non-blocking, large buffers, PKTINFO, path-MTU probing (no fragments of our own), IPv6 only on
 * IPv6 sockets.
 *
 * Return: a descriptor or -errno with the sentence.
 */
int udp_open(const struct ip_endpoint *local, bool reuse, uint32_t mark, struct err *err);

/** udp_fragment() - may the network cut what this socket sends?  Not until this was called. */
void udp_fragment(int fd, sa_family_t family, bool may);

/** udp_bound_port() - the port a socket is bound to, 0 when unknown. */
uint16_t udp_bound_port(int fd);

/**
 * udp_steer() - spread a REUSEPORT group by the packets' own bytes
 * @fd: any socket of the group; its sockets must have been bound in the order of their lanes, and
 *      the one for logins last
 *
 * A classic BPF program returns word 16 of the payload mod @lanes: a transport message's receiver
 * index, which the enclave chose to fit its peer's lane.  A CONNECT_REQ, by its first byte, goes to
 * the last socket.
 *
 * Return: 0 or -errno; without it only one lane can be used, and logins share its socket.
 */
int udp_steer(int fd, uint32_t lanes);

/** udp_receive_bulk() - let the kernel hand over datagrams of one sender together.  0 or -errno. */
int udp_receive_bulk(int fd);
/** udp_can_segment() - does this kernel know UDP_SEGMENT? */
bool udp_can_segment(int fd);

/* A batch to receive into, or to send. */
struct udp_batch {
    struct mmsghdr msgs[UDP_BATCH];
    struct iovec iovs[UDP_BATCH_PIECES];
    struct sockaddr_storage names[UDP_BATCH];
    union {
        struct cmsghdr align;
        char buf[CMSG_SPACE(sizeof(struct in6_pktinfo)) + CMSG_SPACE(sizeof(int))];
    } controls[UDP_BATCH];
};

/** udp_batch_receive() - prepare message @i to receive up to @len bytes into @buf. */
void udp_batch_receive(struct udp_batch *b, unsigned int i, void *buf, size_t len);
/**
 * udp_batch_from() - after recvmmsg(): where message @i came from and what address was called
 * @stride: the length of each datagram in it but the last, which may be shorter
 *
 * Return: 0 or -errno.
 */
int udp_batch_from(const struct udp_batch *b, unsigned int i, struct path *out, size_t *stride);
/**
 * udp_batch_send() - prepare message @i for @to
 * @pieces: its datagrams, @n of them; stays the caller's until it is sent
 *
 * Several must be of one length, but for a shorter last one, and within the limits above.
 */
void udp_batch_send(struct udp_batch *b, unsigned int i, struct iovec *pieces, size_t n,
                    const struct path *to);

/** udp_send_one() - one datagram outside a batch.  Return: 0 or -errno. */
int udp_send_one(int fd, const void *buf, size_t len, const struct path *to);

#endif

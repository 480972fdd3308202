/*
 * TUN devices: a network device whose other end is a file descriptor of ours.
 *
 * What the host sends into the device we read, what we write the host receives.  /dev/net/tun is
 * opened by the spawner, which is still root, and handed over; from there CAP_NET_ADMIN is enough.
 */
#ifndef NETLINK_TUN_H
#define NETLINK_TUN_H

#include <stdbool.h>

#include "common/err.h"

/* What precedes each packet: struct virtio_net_hdr, without the field for merged buffers. */
#define TUN_VNET_HDR_LEN 10

struct tun_options {
    bool multi_queue; /* several descriptors, one queue each, share the device */
    bool persist;     /* the device stays when the last descriptor is closed */
};

/**
 * tun_attach() - make a descriptor a queue of a TUN device
 * @fd:   /dev/net/tun, freshly opened; it is made non-blocking
 * @name: the device; made if there is none, adopted if there is
 *
 * All offloads are off, also in an adopted device: packets come whole, one by one.
 *
 * A device remembers whether it was made for several queues and can only be adopted so.  Any
 * process may add a queue to a device made for several: look at net_link.carrier first, it says
 * whether somebody holds one.
 *
 * Return: 0; -EPERM without CAP_NET_ADMIN; -EBUSY in use by another process; -EINVAL exists and is
 * of another kind; or -errno.  After a failure close @fd.
 */
int tun_attach(int fd, const char *name, const struct tun_options *options, struct err *err);

/** tun_set_persist() - whether the device outlives its descriptors. */
int tun_set_persist(int fd, bool persist, struct err *err);

#endif

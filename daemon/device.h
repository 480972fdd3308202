/*
 * The server's TUN device: made or adopted, with a queue for each lane, and removed again.
 *
 * A TUN device is the one thing that rtnetlink cannot make.  So it is made here and marked as ours;
 * the engine does the rest: MTU, up, addresses, routes.
 */
#ifndef DAEMON_DEVICE_H
#define DAEMON_DEVICE_H

#include <net/if.h>

#include "common/err.h"
#include "common/ipc.h"

struct server;

struct device {
    char name[IFNAMSIZ]; /* empty: none */
    int queue[IPC_MAX_LANES];
};

/**
 * device_make() - a device of this name with its queues, marked as ours; adopted if it is a
 * leftover
 *
 * Return: 0; -EEXIST when the name is somebody else's; -EBUSY when another server uses it; -errno.
 */
int device_make(struct server *s, const char *name, struct device *out, struct err *err);
/** device_unmake() - close its queues, whereupon it vanishes; fine for one that was not made. */
void device_unmake(struct server *s, struct device *device);

/**
 * device_exchange() - give the lanes this device; they are not running
 * @device: becomes the one they had
 *
 * Return: 0 or -errno with the sentence: the offloads that were insisted on are missing,
 * and the lanes have what they had.
 */
int device_exchange(struct server *s, struct device *device, struct err *err);

/** device_offload() - the configuration in force is another: may super-packets still pass whole? */
void device_offload(struct server *s);

/** device_open() - at start: the configuration's device, given to the lanes. */
int device_open(struct server *s, struct err *err);
/** device_close() - at the end, after the lanes. */
void device_close(struct server *s);

/** device_lost() - a lane found its queue dead: somebody deleted the device.  Make it again. */
void device_lost(struct server *s);
/** device_tick() - try again what device_lost() could not. */
void device_tick(struct server *s);

#endif

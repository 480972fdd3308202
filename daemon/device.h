/* The server's TUN device: made or adopted, with its queues and addresses, and removed again. */
#ifndef DAEMON_DEVICE_H
#define DAEMON_DEVICE_H

#include "common/err.h"

struct server;

/** device_open() - the device as the configuration has it.  Return: 0 or -errno. */
int device_open(struct server *s, struct err *err);
/** device_close() - remove it, with all that is on it; fine when it was never made. */
void device_close(struct server *s);

#endif

/* Which device of its user this tunnel is: 16 random bytes, made once and kept. */
#ifndef CLIENT_DEVICE_ID_H
#define CLIENT_DEVICE_ID_H

#include <stdint.h>

#include "common/err.h"
#include "common/wire.h"

/**
 * device_id_load() - read <folder>/<name>.device, or make it
 * @folder: exists and may be written by us
 * @name: the tunnel's, checked to be fit for a file's name
 *
 * The server tells the devices of one user apart by it and gives each its own lease, so it must
 * survive restarts.  It is no secret, and nothing is derived from it.  A damaged file is an error:
 * silently making another one would use up a lease.
 *
 * Return: 0 or -errno with the sentence.
 */
int device_id_load(const char *folder, const char *name, uint8_t id[WIRE_DEVICE_ID_LEN],
                   struct err *err);

#endif

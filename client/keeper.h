/* Makes the kernel equal to what the tunnels need, and knows which devices are ours. */
#ifndef CLIENT_KEEPER_H
#define CLIENT_KEEPER_H

#include <stdint.h>

#include "common/err.h"
#include "netlink/set.h"

struct keeper;

/** keeper_new() - nothing is touched yet.  Return: 0 or -errno. */
int keeper_new(struct keeper **out, struct err *err);
/** keeper_free() - the kernel's state stays as it is; NULL is allowed. */
void keeper_free(struct keeper *k);

/**
 * keeper_want() - make the kernel equal to @want
 *
 * What is ours and not wanted goes, also when an earlier run left it; devices only when no process
 * holds them.  A refusal does not keep the rest from being set.
 *
 * Return: 0, or -errno of the first refusal.
 */
int keeper_want(struct keeper *k, const struct net_set *want, struct err *err);

/**
 * keeper_device_check() - may we use a device of this name?
 *
 * Return: 0 when there is none or it is ours from an earlier run; -EEXIST for anybody else's.
 */
int keeper_device_check(struct keeper *k, const char *device, struct err *err);
/** keeper_device_claim() - mark a device that was just attached as ours. */
int keeper_device_claim(struct keeper *k, const char *device, struct err *err);
/** keeper_device_remove() - one that we hold; gone already is success. */
int keeper_device_remove(struct keeper *k, const char *device, struct err *err);

#endif

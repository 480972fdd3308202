/* Keeps the kernel equal to what the tunnels need (netlink/reconcile.h), and knows our devices. */
#ifndef CLIENT_KEEPER_H
#define CLIENT_KEEPER_H

#include <stdint.h>

#include "common/err.h"
#include "netlink/reconcile.h"

struct keeper;

/** keeper_new() - nothing is touched yet.  Return: 0 or -errno. */
int keeper_new(struct keeper **out, struct err *err);
/** keeper_free() - the kernel's state stays as it is; NULL is allowed. */
void keeper_free(struct keeper *k);

/** keeper_fd() - watch it for reading: the kernel has news. */
int keeper_fd(const struct keeper *k);
/** keeper_deadline() - when to call keeper_service() at the latest. */
uint64_t keeper_deadline(const struct keeper *k);
/** keeper_service() - put right what others have changed, when it is time. */
void keeper_service(struct keeper *k, uint64_t now_ms);

/**
 * keeper_want() - make the kernel equal to @want, now and from here on
 *
 * What is ours and not wanted goes, also when an earlier run left it; TUN devices only when no
 * process holds them.  A refusal does not keep the rest from being set: see keeper_check().
 *
 * Return: 0, or -errno when the kernel could not be read or set at all.
 */
int keeper_want(struct keeper *k, const struct net_set *want, uint64_t now_ms, struct err *err);

/**
 * keeper_check() - did all of @mine come to be, as far as its device is there?
 * @mine: sorted; a part of what is wanted
 *
 * Return: 0, or -EEXIST with the first object that clashes with somebody else's or was refused.
 */
int keeper_check(const struct keeper *k, const struct net_set *mine, struct err *err);

void keeper_status(const struct keeper *k, struct net_reconciler_status *out);

/**
 * keeper_device_check() - may we use a device of this name?
 *
 * Return: 0 when there is none or it is ours from an earlier run; -EEXIST for anybody else's.
 */
int keeper_device_check(struct keeper *k, const char *device, struct err *err);
/** keeper_device_claim() - mark a device that was just attached as ours. */
int keeper_device_claim(struct keeper *k, const char *device, struct err *err);
/** keeper_device_remove() - also one that we hold; gone already is success. */
int keeper_device_remove(struct keeper *k, const char *device, struct err *err);

#endif

/*
 * Former values of network settings, kept in a file for as long as ours are in force.
 *
 * Theory of operation: what a clean exit puts back must be known even when the process that changed
 * it was killed, so former values are on disk before the first setting is written.  A setting that
 * is in the file is ours already: its former value stays as it was found at first.
 *
 * Some settings change others along (measured on 6.18): net/ipv4/ip_forward sets conf/all/
 * accept_redirects and the forwarding of every device, also back to 0 for one that had been 1
 * before; net/ipv6/conf/all/forwarding those of IPv6.  Such companions are remembered with it, and
 * put right after it.
 *
 * The file speaks for one boot and one network namespace: settings do not outlive either, so what
 * was true in another is of no use.  A file that is anything else than what is written here is not
 * believed, and nothing is put back from it.
 */
#ifndef NETLINK_SYSCTL_KEEP_H
#define NETLINK_SYSCTL_KEEP_H

#include <stdbool.h>
#include <stddef.h>

#include "common/err.h"
#include "netlink/set.h"

struct net_sysctl_keep;

/**
 * net_sysctl_keep_open() - read the file, if there is one
 * @path: the file; its folder must be there and writable
 * @note: gets a sentence when the file is not believed; untouched otherwise
 *
 * Return: 0, also when it is not believed; -ENOMEM; or -errno when it cannot be read.
 */
int net_sysctl_keep_open(struct net_sysctl_keep **out, const char *path, struct err *note,
                         struct err *err);
/** net_sysctl_keep_free() - the file and the settings stay; NULL is allowed. */
void net_sysctl_keep_free(struct net_sysctl_keep *keep);

/**
 * net_sysctl_keep_note() - these settings, and no others, are ours from here on
 *
 * Others that were are put back.  A setting that has the value already is not ours: whoever set it
 * keeps it.  Their former values go to disk; where it does not take them, they are only known to
 * this process.  Nothing is written to the settings yet: the caller does that.
 *
 * Return: 0, or -errno of the first thing that failed; the rest is done nevertheless.
 */
int net_sysctl_keep_note(struct net_sysctl_keep *keep, const struct net_setting *settings, size_t n,
                         struct err *err);

/** net_sysctl_keep_want() - likewise, and write them. */
int net_sysctl_keep_want(struct net_sysctl_keep *keep, const struct net_setting *settings, size_t n,
                         struct err *err);

/** net_sysctl_keep_has() - is this setting ours, because it had another value? */
bool net_sysctl_keep_has(const struct net_sysctl_keep *keep, const char *path);

/**
 * net_sysctl_keep_restore() - put all back, and remove the file
 *
 * A setting that somebody else changed since stays theirs, and so do those that changed along with
 * it; but where it is what it was before, those are put back.  Return: 0, or -errno of the first
 * that failed.
 */
int net_sysctl_keep_restore(struct net_sysctl_keep *keep, struct err *err);

#endif

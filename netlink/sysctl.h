/* Network settings under /proc/sys/net, and putting them back as they were. */
#ifndef NETLINK_SYSCTL_H
#define NETLINK_SYSCTL_H

#include <stdbool.h>
#include <stddef.h>

#include "common/err.h"

#define NET_SYSCTL_ROOT       "/proc/sys/net"
#define NET_SYSCTL_DEPTH      5
#define NET_SYSCTL_VALUE_SIZE 64
#define NET_SYSCTL_PATH_SIZE  128

/*
 * A setting by the parts of its path, so that the dot in "eth0.100" does not split it:
 * {{"ipv6", "conf", "tun0", "addr_gen_mode"}} is /proc/sys/net/ipv6/conf/tun0/addr_gen_mode.
 */
struct net_sysctl {
    const char *part[NET_SYSCTL_DEPTH]; /* unused ones are NULL */
};

/* A setting that we changed.  Written by net_sysctl_change() only. */
struct net_sysctl_saved {
    bool changed; /* false: there is nothing to put back */
    char path[NET_SYSCTL_PATH_SIZE];
    char former[NET_SYSCTL_VALUE_SIZE];
    char ours[NET_SYSCTL_VALUE_SIZE];
};

/**
 * net_sysctl_split() - "ipv4/conf/tun0/rp_filter" in its parts
 * @copy: at least as large as @path; holds the parts' text
 *
 * Return: 0, or -EINVAL for what no setting can be called, such as one part too many or an empty
 * one.
 */
int net_sysctl_split(const char *path, char *copy, struct net_sysctl *key);

/**
 * net_sysctl_read() - the value as text, without its line end
 * @buf: at least NET_SYSCTL_VALUE_SIZE bytes
 *
 * Return: 0, -ENOENT when there is no such setting, -EMSGSIZE when the value is longer, -errno.
 */
int net_sysctl_read(const struct net_sysctl *key, char *buf, struct err *err);

/** net_sysctl_write() - set a value.  Return: 0 or -errno, -EINVAL when the kernel refuses it. */
int net_sysctl_write(const struct net_sysctl *key, const char *value, struct err *err);

/**
 * net_sysctl_change() - set a value and remember the former one
 * @saved: for net_sysctl_restore(); a setting that has the value already is not written
 */
int net_sysctl_change(const struct net_sysctl *key, const char *value,
                      struct net_sysctl_saved *saved, struct err *err);

/**
 * net_sysctl_restore() - put the former value back
 *
 * Unless somebody set another value since: then theirs stays.  A setting that went away with its
 * device needs nothing.
 */
int net_sysctl_restore(struct net_sysctl_saved *saved, struct err *err);

#endif

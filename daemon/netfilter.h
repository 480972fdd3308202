/*
 * The server's table of the packet filter in the kernel: set, followed when the configuration
 * changes, removed on a clean exit and adopted after any other.
 *
 * A kernel that cannot do it, or only some of it, is no reason not to serve: it is said in the log
 * and in the status, with what is not protected.
 */
#ifndef DAEMON_NETFILTER_H
#define DAEMON_NETFILTER_H

#include <jansson.h>

struct server;
struct netfilter;

/** netfilter_open() - set the table that the configuration asks for. */
void netfilter_open(struct server *s);
/** netfilter_apply() - the same after a reload; fine when it could not be opened. */
void netfilter_apply(struct server *s);
/** netfilter_close() - remove the table. */
void netfilter_close(struct server *s);

/** netfilter_status() - for vpnctl: {"state": "active", "rules": 9}, or what is missing and why. */
json_t *netfilter_status(const struct server *s);

#endif

/*
 * The server's table of the packet filter: what of it this kernel can do.  The engine sets, keeps,
 * changes and removes it (daemon/keeper).
 *
 * The kernel is asked with rules that are never set, so whatever stands in the place of our table
 * makes no difference: that is the engine's to report and to wait for.  A kernel that cannot do it,
 * or only some of it, is no reason not to serve: it is said in the log and in the status, with what
 * is not protected.  Where memory or descriptors were short, all is wanted, and it is asked again.
 */
#ifndef DAEMON_NETFILTER_H
#define DAEMON_NETFILTER_H

#include <jansson.h>

#include "daemon/desired.h"

struct server;
struct netfilter;

/** netfilter_open() - ask the kernel about the table that the configuration wants. */
void netfilter_open(struct server *s);
/** netfilter_tick() - once a second: ask again if it could not be found out. */
void netfilter_tick(struct server *s);
/** netfilter_support() - what the engine may want. */
struct desired_support netfilter_support(const struct server *s);
void netfilter_close(struct server *s);

/**
 * netfilter_status() - for vpnctl: {"state": "active", "rules": 9}, or what is missing ("partial",
 * "missing"), in the way ("clash") or could not be found out ("unknown"), and why ("reason").
 */
json_t *netfilter_status(struct server *s);

#endif

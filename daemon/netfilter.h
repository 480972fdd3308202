/*
 * The server's table of the packet filter: what of it this kernel can do, found out by setting it.
 * From there on the engine keeps it, changes and removes it (daemon/keeper).
 *
 * A kernel that cannot do it, or only some of it, is no reason not to serve: it is said in the log
 * and in the status, with what is not protected.
 */
#ifndef DAEMON_NETFILTER_H
#define DAEMON_NETFILTER_H

#include <jansson.h>

#include "daemon/desired.h"

struct server;
struct netfilter;

/** netfilter_open() - set the table that the configuration asks for. */
void netfilter_open(struct server *s);
/** netfilter_support() - what the engine may want. */
struct desired_support netfilter_support(const struct server *s);
/** netfilter_close() - remove the table if it is still there. */
void netfilter_close(struct server *s);

/** netfilter_status() - for vpnctl: {"state": "active", "rules": 9}, or what is missing and why. */
json_t *netfilter_status(const struct server *s);

#endif

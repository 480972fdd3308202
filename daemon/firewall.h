/*
 * What the configuration means for the packet filter.
 *
 * Theory of operation: a host with a tunnel accepts, as any Linux host does, a packet for any of
 * its addresses on any of its interfaces, and a router forwards what it is given.  Three attacks
 * live on that, and one table of our own stops them without touching anybody else's:
 *
 *  - Somebody beside an outer interface sends packets *to tunnel addresses* with guessed inner
 *    sources, and learns from the size of the encrypted answers which connections exist inside, or
 *    injects into them (CVE-2019-14899).  So: the server's own tunnel addresses are reached through
 *    the tunnel alone; nothing comes from elsewhere with a source in the tunnel's network; what is
 *    routed into the tunnel must come in by the interface through which its source is reached, so a
 *    network behind the server reaches clients and is impersonated by no other; and where clients
 *    are masqueraded, nobody out there knows their addresses, so nothing for them comes in.
 *  - A client sends from the server's own port through the server's NAT to another client, and the
 *    connection tracking then takes that client's packets to the server for answers to the first
 *    one (CVE-2021-3773, "port shadow").  So: masquerading gives out no port that the server
 *    listens on, and no packet to or from these is tracked at all, whoever masquerades.
 *  - A flood of spoofed logins fills the connection table.  It is not tracked either.
 *
 * What this costs: tunnel addresses of the server do not answer on the networks behind it; a
 * network that reaches clients over one interface and is reached over another (asymmetric routing)
 * does not reach them; a host beyond a masqueraded interface cannot open connections to clients,
 * even with a route to them; and redirecting another port to the server's does not work (give
 * `server.listen` both).
 *
 * Pure: no system call.
 */
#ifndef DAEMON_FIREWALL_H
#define DAEMON_FIREWALL_H

#include <stdbool.h>
#include <stdint.h>

#include "daemon/config.h"
#include "netlink/firewall.h"

/**
 * firewall_lower() - the table that @config asks for
 * @fib: whether rules may ask the routing tables; without it (a kernel that cannot) forwarding into
 *       the tunnel is not checked, and ports of wildcard listen addresses are tracked
 * @out: zeroed; net_firewall_clear() it
 *
 * Return: 0, -ENOMEM, or -ENOSPC when there are too many rules.
 */
int firewall_lower(const struct config *config, bool fib, struct net_firewall *out);

/**
 * firewall_ports() - the ports that masquerading may use
 *
 * The largest part of 32768 to 65535, where no well-known service lives, that holds no port of
 * ours.
 */
void firewall_ports(const struct config *config, uint16_t *first, uint16_t *last);

#endif

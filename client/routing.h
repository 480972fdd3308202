/*
 * A tunnel's routes and rules: what goes into which table, so that the tunnel's own datagrams never
 * enter the tunnel.
 *
 * Theory of operation
 * -------------------
 * An ordinary route goes into the main table.  A route that covers the server's own address (the
 * default route always does) would catch the tunnel's datagrams as well and carry them in circles,
 * or, if an exception for that one address were made, leave a hole that anybody who can forge a
 * name server's answer chooses.  Such a route goes into a table of the tunnel's own, and
 *
 *   32080: from all lookup main suppress_prefixlength 0
 *   32081: not from all fwmark MARK lookup TABLE
 *
 * say: main decides when it knows anything better than its default route; else everything that does
 * not carry our mark goes into the tunnel; our sockets' datagrams do carry it and fall through to
 * main's default, which stays as it was.  The length that is suppressed is that of the shortest
 * such route, so that between main and the tunnel the longer prefix wins as in one table.
 *
 * The tunnel with the default route comes after all others, right before main's own rule (32766):
 * the rules of the operator, which have smaller numbers, go first.
 *
 * Pure: no system call.
 */
#ifndef CLIENT_ROUTING_H
#define CLIENT_ROUTING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/ip.h"
#include "netlink/object.h"

#define ROUTING_MARK             0x56504eU /* "VPN", on every datagram of the client's sockets */
#define ROUTING_TABLE            51087     /* and up, one per tunnel */
#define ROUTING_PRIORITY         30000     /* and up, two per tunnel */
#define ROUTING_PRIORITY_DEFAULT 32080     /* and the next: the tunnel with the default route */
#define ROUTING_RULES_MAX        4         /* two per family */

struct routing {
    uint32_t number;  /* the tunnel's */
    uint32_t ifindex; /* its device */
    bool has_default; /* its configuration has a default route */
    bool ip4, ip6;    /* families it has an address of; routes of others are left out */
    struct ip_addr server;
    const struct ip_prefix *routes;
    size_t n_routes;
};

/** routing_has_default() - is a default route of either family among them? */
bool routing_has_default(const struct ip_prefix *routes, size_t n);

/** routing_applies() - is route @i of a family that the tunnel carries? */
bool routing_applies(const struct routing *r, size_t i);

/** routing_route() - route @i as the kernel's object. */
struct net_route routing_route(const struct routing *r, size_t i);

/** routing_rules() - the rules that go with them.  Return: how many were written. */
size_t routing_rules(const struct routing *r, struct net_rule rules[ROUTING_RULES_MAX]);

/** routing_priority() - the first of this tunnel's two priorities. */
uint32_t routing_priority(const struct routing *r);

#endif

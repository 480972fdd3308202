/*
 * A client host whose main table is an attacker's to fill, and a model of the kernel's lookup: it
 * walks the rules of a set in order, finds the longest prefix with the smallest metric in the
 * table, and knows suppress_prefixlength, marks, uids and ports.
 */
#ifndef TESTS_UNIT_ROUTING_RIG_H
#define TESTS_UNIT_ROUTING_RIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "client/routing.h"
#include "netlink/set.h"
#include "tests/unit/expect.h"

#define UNREACHABLE "unreachable"
#define OUTSIDE     "eth0"
#define EVIL        "evil0"
#define UDP         17

struct packet {
    struct ip_addr to;
    const char *iif; /* NULL: this host sends it, or looks back at one that is for it */
    uint32_t mark, uid;
    uint8_t ip_proto;
    uint16_t sport, dport;
};

extern const struct packet plain;  /* of a user */
extern const struct packet marked; /* of the client's own sockets */

/* ---- what is there --------------------------------------------------------------------------- */

/** host() - a host with a network of its own and a way out.  The caller frees it. */
struct net_set *host(void);
/** main_route() - somebody adds a route to the main table */
void main_route(struct net_set *set, const char *dst, const char *dev);

struct ip_endpoint endpoint(const char *addr, uint16_t port);
/** routing() - the tunnel tun3, up with both families, to these networks */
struct routing routing(const struct ip_prefix *routes, size_t n);
/** lower() - add its rules and routes, and the ways back where it catches IPv4; sort the set */
void lower(const struct routing *r, struct net_set *set);

/* ---- what comes of it ------------------------------------------------------------------------ */

/** table_find() - the route that a table has for @to, or NULL */
const struct net_object *table_find(const struct net_set *set, uint32_t table,
                                    const struct ip_addr *to);
/** fate() - where @p leaves: a device, UNREACHABLE, or NULL when no table knows */
const char *fate(const struct net_set *set, const struct packet *p);
/** expect() - @p, sent to @to, leaves there */
void expect(const struct net_set *set, struct packet p, const char *to, const char *where);
/** count() - how many rules or routes are of @protocol? */
size_t count(const struct net_set *set, enum net_kind kind, uint8_t protocol);

#endif

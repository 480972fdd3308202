/*
 * Kernel objects as plain structs, and the two questions a reconciler asks about each.
 *
 * Theory of operation: the kernel finds an object by some of its fields (its identity) and lets
 * others be changed in place (its attributes), and the two differ per kind: metric is part of a
 * route's identity, MTU is an attribute of a link.  So each noun has two functions: _cmp_id()
 * orders by what the kernel matches on, so that sets can be sorted and merged, and _diff() or
 * _same() says whether two objects with one identity also agree in the rest.  Fields are compared
 * one by one, never by memcmp over a struct with padding.
 *
 * Ownership is a mark in the object, never a guess: the protocol number that addresses, routes and
 * rules carry.  Objects with another number belong to somebody else and are never changed.
 *
 * This file has no system call, and links no netlink library.
 */
#ifndef NETLINK_OBJECT_H
#define NETLINK_OBJECT_H

#include <net/if.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/ip.h"

/* Who made it: route protocol, FRA_PROTOCOL and IFA_PROTO. */
#define NET_PROTO_SERVER 86 /* "vpn" */
#define NET_PROTO_CLIENT 87 /* "vpn-client" */

#define NET_TABLE_MAIN       254
#define NET_ALIAS_SIZE       64 /* longer ones are cut when read: none of ours is as long */
#define NET_KIND_SIZE        16
#define NET_ROUTE_METRIC_IP6 1024 /* what IPv6 makes of metric 0 */
#define NET_FORMAT_SIZE      320  /* enough for every _format() below */

/* What is done to an object. */
enum net_verb {
    NET_CREATE,
    NET_CHANGE, /* in place */
    NET_DELETE,
};

/* What of a link can be set; also what may differ between two. */
enum net_link_part {
    NET_LINK_MTU = 1 << 0,
    NET_LINK_ALIAS = 1 << 1,
    NET_LINK_IP6LL = 1 << 2,
    NET_LINK_UP = 1 << 3,
};

/* How a device gets its IPv6 link-local address. */
enum net_ip6ll {
    NET_IP6LL_ABSENT, /* the device has no IPv6 at all; wanted: left as it is */
    NET_IP6LL_AUTO,   /* made by the kernel */
    NET_IP6LL_NONE,   /* none is made: "addrgenmode none" */
};

struct net_link {
    uint32_t ifindex;
    char name[IFNAMSIZ];
    char kind[NET_KIND_SIZE]; /* "tun", "veth"; empty for a physical device */
    char alias[NET_ALIAS_SIZE];
    uint32_t group; /* our mark from the moment of making on; the alias comes an instant later */
    uint32_t mtu;   /* wanted: 0 leaves it as it is */
    bool up;        /* the administrator's wish */
    bool carrier;   /* for a TUN: some process holds a queue of it */
    enum net_ip6ll ip6ll;
};

struct net_addr {
    uint32_t ifindex;
    struct ip_prefix prefix; /* the host's own address with the length of its network */
    uint8_t protocol;        /* 0 when the kernel (before 5.18) keeps none */
    bool no_prefix_route;    /* the kernel shall not write the network's route into main */
    bool has_peer;           /* read only: has a point-to-point peer, so it is none of ours */
};

enum net_route_type {
    NET_ROUTE_UNICAST,
    NET_ROUTE_UNREACHABLE, /* refused with an ICMP message */
    NET_ROUTE_BLACKHOLE,   /* dropped without a word */
    NET_ROUTE_PROHIBIT,    /* refused as "administratively prohibited" */
    NET_ROUTE_OTHER,       /* read only: a type we never write */
};

struct net_route {
    struct ip_prefix dst; /* the family is always set; length 0 is the default route */
    uint32_t table;
    uint32_t metric;
    uint32_t ifindex;   /* where unicast leaves, else 0; with a gateway 0: the kernel finds it */
    struct ip_addr via; /* the gateway; family 0: none */
    struct ip_addr src; /* the preferred source; family 0: the kernel chooses */
    uint8_t protocol;
    enum net_route_type type;
    bool has_more; /* read only: nexthops or the like, so it equals none of ours */
};

/* "When all of this matches a packet, look its destination up in that table." */
struct net_rule {
    uint8_t family; /* 4 or 6 */
    uint32_t priority;
    struct ip_prefix from; /* length 0: any */
    struct ip_prefix to;
    char iif[IFNAMSIZ]; /* empty: any */
    char oif[IFNAMSIZ];
    uint32_t mark;
    uint32_t mask; /* 0: marks do not matter */
    bool has_uids;
    uint32_t uid_first;
    uint32_t uid_last;
    uint8_t ip_proto; /* 0: any */
    uint16_t sport;   /* 0: any */
    uint16_t dport;
    bool invert; /* matches what the selectors above do not */
    uint32_t table;
    bool has_suppress;
    uint32_t suppress_prefixlen; /* results with a length up to this count as not found */
    uint8_t protocol;
    bool beside;       /* wanted: also beside others' rules of that priority, which is no clash */
    bool has_more;     /* read only: selectors or actions that we never write */
    uint32_t position; /* read only: place in the kernel's list, which decides what a delete hits */
};

/**
 * net_ifname_valid() - may a device be called so?
 *
 * The kernel's rules (1 to 15 bytes, no '/', ':' or white space, not "." or ".."), and no '%',
 * which the kernel would take for a template.
 */
bool net_ifname_valid(const char *name);

/** net_link_cmp_id() - links are known by their name: <0, 0, >0. */
int net_link_cmp_id(const struct net_link *a, const struct net_link *b);
/**
 * net_link_diff() - what has to be set to make @have like @want
 *
 * Return: NET_LINK_ bits, 0 when nothing differs.  A device without IPv6 needs no addrgenmode.
 */
unsigned int net_link_diff(const struct net_link *want, const struct net_link *have);

/**
 * net_addr_cmp_id() - as the kernel finds addresses
 *
 * IPv4: device, address, length (10.8.0.1/24 and 10.8.0.1/16 can stand side by side).  IPv6: device
 * and address only.
 */
int net_addr_cmp_id(const struct net_addr *a, const struct net_addr *b);
bool net_addr_same(const struct net_addr *a, const struct net_addr *b);

/** net_route_cmp_id() - table, destination, metric. */
int net_route_cmp_id(const struct net_route *a, const struct net_route *b);
/** net_route_same() - do two with one identity agree?  Without a device @want's gateway finds it.
 */
bool net_route_same(const struct net_route *want, const struct net_route *have);
/** net_route_metric() - the metric the kernel keeps: IPv6 turns 0 into 1024. */
uint32_t net_route_metric(const struct net_route *route);

/**
 * net_rule_cmp_id() - order by priority, then by everything else
 *
 * Nothing of a rule can be changed in place: all of it is identity, the owner's mark included, and
 * so there is no function for attributes.
 */
int net_rule_cmp_id(const struct net_rule *a, const struct net_rule *b);
/**
 * net_rule_hits() - would a request to delete @want remove @have?
 *
 * The kernel compares only what the request carries, and not the invert flag: deleting "lookup 101"
 * also takes "uidrange 5-5 lookup 101".
 */
bool net_rule_hits(const struct net_rule *want, const struct net_rule *have);

/** net_link_format() - "tun0 type tun mtu 1400 up alias vpn-server"; @buf as below. */
const char *net_link_format(const struct net_link *link, char *buf);

/**
 * net_addr_format() - "10.8.0.1/24 dev tun0"
 * @dev: the device's name, NULL to write its number
 * @buf: at least NET_FORMAT_SIZE bytes
 *
 * Return: @buf.  net_route_format() and net_rule_format() likewise, as ip(8) writes them.
 */
const char *net_addr_format(const struct net_addr *addr, const char *dev, char *buf);
const char *net_route_format(const struct net_route *route, const char *dev, char *buf);
const char *net_rule_format(const struct net_rule *rule, char *buf);

#endif

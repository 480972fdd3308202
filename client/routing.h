/*
 * A tunnel's routes and rules: what enters it, what stays outside, and what is blocked.
 *
 * Theory of operation
 * -------------------
 * Everybody who can answer DHCP or send router advertisements on the local network writes routes
 * into the main table, and chooses which network counts as local.  So for traffic that a tunnel
 * *must* carry the main table is not asked (CVE-2024-3661 TunnelVision; TunnelCrack LocalNet).
 * Such a tunnel is *strict*: it has a default route, belongs to uids, blocks when it is down, or
 * stands beside one with a default route, which would take what main has for it.
 * Its routes stand in a table of its own, each with an unreachable twin of the worst metric, so
 * that a device without an address, without an IPv6 lease, or gone, leads nowhere instead of on to
 * the next rule:
 *
 *   32070: from all to EXCLUDED lookup main                         the operator's exceptions
 *   32071: not from all fwmark MARK lookup TABLE suppress_prefixlength 0
 *   32072: from all to PRIVATE lookup main suppress_prefixlength 0  both only for allow-lan
 *   32073: not from all fwmark MARK lookup TABLE
 *   10101: from all uidrange 1101-1101 lookup 101                   instead, for uids
 *   23980: from ADDRESS lookup 101                                  answers to who calls from there
 *
 * What leaves outside is known by its mark, which needs CAP_NET_ADMIN, and not by its destination:
 * whoever forges the answer of a name server gains nothing for that address (TunnelCrack ServerIP).
 * What needs no route is not touched: ARP, neighbour discovery, DHCP's broadcasts, and programs
 * that bind themselves to a device.
 *
 * With 32071 and 32072 the private networks that this host is connected to (main knows something
 * better than its default route) win over the tunnel's default route, but not over its other
 * routes: a network behind the server cannot be taken over by calling the local one the same.
 *
 * An ordinary tunnel's routes go into the main table and compete there by their length, save those
 * that cover the server's own address, which would carry the tunnel's datagrams in circles:
 *
 *   24002: from all lookup main suppress_prefixlength N             N: the shortest such route's
 *   24003: not from all fwmark MARK lookup TABLE
 *
 * The way back
 * ------------
 * A host that checks where packets come from (rp_filter=1; also 2, when the answer is unreachable)
 * looks the sender's address up as if it sent there, without a mark and as uid 0, and would find
 * the tunnel: no answer of the server would arrive, and no ARP request be answered.  (IPv6 has no
 * such check.)  Only ports tell such a lookup from one of another program.  So while a rule leads
 * into a tunnel, these let our own sockets' answers and DHCP's pass; an ordinary user's program can
 * use none of them, nor what is forwarded (iif lo), and root's only from those ports:
 *
 *   23990: from all to SERVER iif lo uidrange 0-0 ipproto udp sport OURS dport PORT lookup main
 *   23991: from all iif lo uidrange 0-0 ipproto udp sport OURS dport 53 lookup main
 *   23992: from all uidrange 0-0 ipproto udp sport 68 dport 67 lookup main
 *
 * The first follows the server wherever its name leads.  The last takes what is forwarded as well:
 * unless one rule does, the kernel looks for no ports in what arrives, and the others never match
 * (fib_rule_requires_fldissect()).  ARP has no ports, and no rule could tell it from all else that
 * has none (GRE, ESP, what is forwarded): see neighbours.h.
 *
 * Pure: no system call.
 */
#ifndef CLIENT_ROUTING_H
#define CLIENT_ROUTING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/ip.h"
#include "common/value.h"
#include "netlink/set.h"

#define ROUTING_MARK          0x56504eU   /* "VPN", on every datagram of the client's sockets */
#define ROUTING_TABLE         51087       /* and up, one per tunnel that the file gives none */
#define ROUTING_BLOCK_METRIC  4294967294U /* of the unreachable twins */
#define ROUTING_PRIORITY_FROM 23980       /* what has a tunnel's address as its source */
#define ROUTING_PRIORITY_BACK 23990       /* and the next two: answers */
#define ROUTING_PRIORITY      24000       /* and up, ROUTING_SLOTS per tunnel */
#define ROUTING_PRIORITY_FULL 32070       /* the one tunnel with the default route: the last */
#define ROUTING_PRIORITY_UIDS 9990        /* exceptions from all tunnels with uids */
#define ROUTING_UIDS_TABLE    10000       /* + table: the rule of a tunnel with uids */
#define ROUTING_UIDS_OWN      20000       /* + number: likewise, in a table of our own */

/* One tunnel's rules, by the place within its priorities. */
enum routing_slot {
    ROUTING_SLOT_EXCLUDE,
    ROUTING_SLOT_OWN,
    ROUTING_SLOT_LAN, /* strict; else the main table, up to a length */
    ROUTING_SLOT_TABLE,
    ROUTING_SLOTS,
};

struct routing {
    uint32_t number;    /* the tunnel's */
    const char *device; /* its name */
    uint32_t table;     /* the operator's; 0: none was given */
    bool has_uids;
    struct value_span uids;
    bool block; /* what it would carry is unreachable while it is down */
    bool allow_lan;
    bool no_ip6;   /* this kernel has no IPv6 at all */
    bool apart;    /* another tunnel takes everything, and the main table comes after it */
    bool up;       /* it has had a lease: its routes are set, whether it is connected or not */
    bool ip4, ip6; /* families it has an address of */
    struct ip_endpoint server; /* where datagrams go; family 0: not known yet */
    uint16_t port;             /* where IPv4 datagrams come from */
    const struct ip_prefix *routes;
    size_t n_routes;
    const struct ip_prefix *exclude;
    size_t n_exclude;
    const struct ip_prefix *networks; /* behind this host: it has routes of its own to them */
    size_t n_networks;
};

/** routing_is_full() - does the tunnel ask for all of a family, by a default route or its halves?
 */
bool routing_is_full(const struct routing *r, uint8_t family);

/** routing_is_private() - does a network lie wholly where the internet never does? */
bool routing_is_private(const struct ip_prefix *network);

/** routing_catches() - would a rule of this tunnel catch a family's packets that have no mark? */
bool routing_catches(const struct routing *r, uint8_t family);

/** routing_lower() - add the tunnel's routes and rules to a set.  Return: 0 or -ENOMEM. */
int routing_lower(const struct routing *r, struct net_set *set);

/** routing_lower_from() - add the rule for an address of the tunnel, when it needs one. */
int routing_lower_from(const struct routing *r, const struct ip_addr *addr, struct net_set *set);

/**
 * routing_lower_back() - add the rule for the server's answers; due when any tunnel catches
 *
 * Return: 0 or -ENOMEM.
 */
int routing_lower_back(const struct routing *r, struct net_set *set);

/**
 * routing_lower_others() - likewise for answers of name servers and DHCP
 * @names_port: where questions to name servers come from, 0 for nowhere
 */
int routing_lower_others(uint16_t names_port, struct net_set *set);

#endif

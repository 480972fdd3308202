/*
 * A packet filter table of ours, as one plain value.
 *
 * Theory of operation: nf_tables changes by transaction, and in one a whole table can be replaced
 * without a packet seeing anything between the old and the new.  So the noun is the table: all its
 * rules, in their order, wanted or found as one; there is no rule to be added or removed alone.
 * The chains follow from the rules: each of those below exists when a rule is in it.
 *
 * ARP has a table of its own family in nf_tables.  Ours has the same name and the same comment, is
 * there when a rule of it is, and changes in the same transaction: both are one table to us.  When
 * that of ARP is somebody else's, our rules for ARP are left out, and the others stand.
 *
 * A rule is a conjunction of the few conditions that a VPN needs and one thing to do.  What the
 * kernel shows and this struct cannot say, such as a rule that somebody else wrote into our table,
 * reads as has_more and equals nothing: it is drift.
 *
 * The owner's mark is the table's comment ("vpn-server"): a table that has our name and not our
 * comment is somebody else's, and is not touched.
 *
 * This file has no system call, and links no netlink library.
 */
#ifndef NETLINK_FIREWALL_H
#define NETLINK_FIREWALL_H

#include <net/if.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/ip.h"

#define NET_FW_NAME_SIZE   32
#define NET_FW_RULES_MAX   1000 /* one transaction has room for them */
#define NET_FW_FORMAT_SIZE 512  /* enough for net_fw_rule_format() */

#define NET_FW_TABLE_SERVER "vpn" /* of family inet, and arp */
#define NET_FW_TABLE_CLIENT "vpn-client"
#define NET_FW_OWNER_SERVER "vpn-server"
#define NET_FW_OWNER_CLIENT "vpn-client"

/* Where a rule looks; each a base chain named as its hook. */
enum net_fw_chain {
    NET_FW_PREROUTING,  /* all that arrives, before connections are tracked */
    NET_FW_OUTPUT,      /* what this host sends, before connections are tracked */
    NET_FW_POSTROUTING, /* what leaves, the first packet of each connection */
    NET_FW_ARP,         /* ARP that arrives, before it is looked at */
    NET_FW_CHAIN_NUM,
};

enum net_fw_action {
    NET_FW_DROP,    /* and counted */
    NET_FW_NOTRACK, /* and let it pass: no later rule of ours is looked at */
    NET_FW_MASQUERADE,
    NET_FW_MARK, /* ARP alone, all of it */
};

/* "When all of this holds, do that." */
struct net_fw_rule {
    enum net_fw_chain chain;
    char iif[IFNAMSIZ];       /* came by this device; empty: any */
    char not_iif[IFNAMSIZ];   /* came by none but this and lo; empty: any */
    char oif[IFNAMSIZ];       /* leaves by this device */
    struct ip_prefix from;    /* family 0: any; length 0: any of that family */
    struct ip_prefix to;      /* likewise; of the same family when both are given */
    char routed_to[IFNAMSIZ]; /* its destination is routed to this device */
    bool wrong_way;           /* its source is routed to another device than it came by */
    bool to_local;            /* its destination is an address of this host */
    uint8_t proto;            /* IPPROTO_TCP or IPPROTO_UDP; 0: any */
    uint16_t sport, dport;    /* with a proto; 0: any */
    enum net_fw_action action;
    uint16_t port_first; /* masquerade with a proto: the ports to use; 0: any */
    uint16_t port_last;
    uint32_t mark; /* what NET_FW_MARK marks with; not 0 */
};

/* A table.  Zeroed it is empty; net_firewall_clear() it.  Without rules the table is absent. */
struct net_firewall {
    char table[NET_FW_NAME_SIZE];
    char owner[NET_FW_NAME_SIZE]; /* the table's comment */
    struct net_fw_rule *rules;    /* by chain, and within one in the order of evaluation */
    size_t n;
    size_t size;
    bool has_more;  /* read only: something in it that we never write */
    bool arp_taken; /* read only: ARP's table of this name is somebody else's, and no part of it */
};

/** net_firewall_clear() - free the rules; the names stay. */
void net_firewall_clear(struct net_firewall *fw);

/**
 * net_firewall_add() - append a rule to its chain
 * @rule: kept in one canonical form: no host bits, a bare family only where no prefix implies it
 *
 * Return: 0; -EINVAL for a rule that nf_tables would refuse or that could not be read back;
 * -ENOSPC beyond NET_FW_RULES_MAX; -ENOMEM.
 */
int net_firewall_add(struct net_firewall *fw, const struct net_fw_rule *rule);

/** net_firewall_copy() - @to, cleared before, becomes equal to @from.  Return: 0 or -ENOMEM. */
int net_firewall_copy(struct net_firewall *to, const struct net_firewall *from);

/** net_firewall_others() - how many rules are not ARP's; they come first. */
size_t net_firewall_others(const struct net_firewall *fw);

/** net_firewall_cmp_id() - a table is known by its name: <0, 0, >0. */
int net_firewall_cmp_id(const struct net_firewall *a, const struct net_firewall *b);
/** net_firewall_same() - the same rules in the same order, but for ARP's where they cannot be? */
bool net_firewall_same(const struct net_firewall *a, const struct net_firewall *b);

bool net_fw_rule_same(const struct net_fw_rule *a, const struct net_fw_rule *b);
/** net_fw_rule_valid() - one that nf_tables takes, and that reads back as it was written? */
bool net_fw_rule_valid(const struct net_fw_rule *rule);

/** net_fw_chain_name() - "prerouting", "output", "postrouting"; "input" for ARP. */
const char *net_fw_chain_name(enum net_fw_chain chain);

/**
 * net_fw_rule_format() - as nft(8) writes it, without the counter
 * @buf: at least NET_FW_FORMAT_SIZE bytes
 *
 * For instance: ip daddr 10.8.0.1 iifname != "tun0" iifname != "lo" drop
 *
 * Return: @buf.
 */
const char *net_fw_rule_format(const struct net_fw_rule *rule, char *buf);

/** net_firewall_family() - "inet", or "arp" for a table that has rules of that family alone */
const char *net_firewall_family(const struct net_firewall *fw);

/**
 * net_firewall_format() - "table inet vpn (7 rules)"
 * @buf: at least NET_FW_FORMAT_SIZE bytes
 */
const char *net_firewall_format(const struct net_firewall *fw, char *buf);

/** net_fw_each - a rule that comes (@sign '+') or goes ('-') */
typedef void net_fw_each(void *ctx, char sign, const struct net_fw_rule *rule);

/**
 * net_firewall_diff() - which rules make the difference between two tables
 * @want: NULL for an absent table; likewise @have
 *
 * In the order of the tables; a rule that only changes its place is not shown.
 */
void net_firewall_diff(const struct net_firewall *want, const struct net_firewall *have,
                       net_fw_each *each, void *ctx);

#endif

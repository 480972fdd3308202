/*
 * What the kernel shows of nf_tables, read back into a table.
 *
 * Nothing is trusted: a length that is not that of its type is -EBADMSG, and whatever we never
 * write sets has_more.
 */
#ifndef NETLINK_NFT_READ_H
#define NETLINK_NFT_READ_H

#include <stdbool.h>
#include <stdint.h>

#include "netlink/firewall.h"

struct nlmsghdr;

#define NET_NFT_WHO_SIZE 32

/* Who changed the packet filter of this network namespace last. */
struct net_nft_gen {
    uint32_t id; /* changes with every change */
    uint32_t pid;
    char who[NET_NFT_WHO_SIZE]; /* the program's name; empty when it is not told */
};

/** net_nft_read_gen() - Return: 0 or -EBADMSG, also for another kind of message. */
int net_nft_read_gen(const struct nlmsghdr *nlh, struct net_nft_gen *out);

/**
 * net_nft_read_table() - the owner and oddities of fw->table
 *
 * Return: 0; -EBADMSG.
 */
int net_nft_read_table(const struct nlmsghdr *nlh, struct net_firewall *fw);

/**
 * net_nft_read_chain() - a chain, if it is one of fw->table
 * @chains: gets a bit (1 << enum net_fw_chain) for a chain of ours; another one sets fw->has_more
 *
 * Return: 0, also for another table's; -EBADMSG.
 */
int net_nft_read_chain(const struct nlmsghdr *nlh, struct net_firewall *fw, unsigned int *chains);

/**
 * net_nft_read_rule() - append a rule, if it is one of fw->table
 *
 * Return: 0, also for another table's; -EBADMSG; -ENOMEM.
 */
int net_nft_read_rule(const struct nlmsghdr *nlh, struct net_firewall *fw);

/**
 * net_nft_read_event() - does this message announce a change in @table?
 *
 * Of the table itself, or of anything in it.
 */
bool net_nft_read_event(const struct nlmsghdr *nlh, const char *table);

#endif

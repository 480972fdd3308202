/*
 * nf_tables requests.  They travel inside a transaction (net_transaction()).
 */
#ifndef NETLINK_NFT_MSG_H
#define NETLINK_NFT_MSG_H

#include <stdint.h>

#include "netlink/firewall.h"

struct nl_msg;

/* A table's comment lies in its user data, as nft(8) has it: type, length, text with its NUL. */
#define NET_NFT_UDATA_COMMENT 0

/* What a base chain is. */
struct net_nft_chain {
    uint8_t family; /* of the table that it is in */
    const char *type;
    uint32_t hook;
    int32_t priority;
};
extern const struct net_nft_chain net_nft_chains[NET_FW_CHAIN_NUM];

/* The families of our tables. */
#define NET_NFT_FAMILIES 2
extern const uint8_t net_nft_families[NET_NFT_FAMILIES];

/** net_nft_msg_type() - NFT_MSG_... as an nlmsg_type. */
uint16_t net_nft_msg_type(int nft_msg);

/*
 * The requests.  Return: the message, or NULL when out of memory.
 *
 * net_nft_msg_begin(): @gen is the generation the transaction builds on; it is refused with
 * -ERESTART when somebody was faster.
 */
struct nl_msg *net_nft_msg_begin(uint32_t gen);
struct nl_msg *net_nft_msg_end(void);
struct nl_msg *net_nft_msg_new_table(uint8_t family, const struct net_firewall *fw);
struct nl_msg *net_nft_msg_del_table(uint8_t family, const char *table);
struct nl_msg *net_nft_msg_new_chain(const char *table, enum net_fw_chain chain);
struct nl_msg *net_nft_msg_new_rule(const char *table, const struct net_fw_rule *rule);
struct nl_msg *net_nft_msg_get_gen(void);
struct nl_msg *net_nft_msg_get_table(uint8_t family, const char *table);
struct nl_msg *net_nft_msg_get_chains(uint8_t family);
struct nl_msg *net_nft_msg_get_rules(uint8_t family, const char *table);

#endif

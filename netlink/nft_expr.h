/*
 * A rule as nf_tables has it: a list of small steps that load, compare and act.
 *
 * Theory of operation: the kernel knows no "ip daddr 10.8.0.1", only "load 4 bytes at offset 16 of
 * the network header" and "go on if they equal 0a080001".  Each rule is translated in one way only,
 * the one in which nft(8) does it, so that its listings read well.  Back is stricter than it looks:
 * a list is read as a rule and translated again, and unless that gives the same list it is none of
 * ours.
 *
 * Pure: no system call, no netlink library.
 */
#ifndef NETLINK_NFT_EXPR_H
#define NETLINK_NFT_EXPR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "netlink/firewall.h"

#define NET_NFT_EXPRS_MAX 32 /* more than any rule of ours has */
#define NET_NFT_DATA_MAX  16

enum net_nft_kind {
    NET_NFT_META,      /* load of the packet's circumstances: key */
    NET_NFT_PAYLOAD,   /* load of its bytes: base, offset, len */
    NET_NFT_FIB,       /* load of what routing says: key (the result), flags */
    NET_NFT_BITWISE,   /* and: data (the mask), len */
    NET_NFT_CMP,       /* go on if: key (the operator), data, len */
    NET_NFT_IMMEDIATE, /* load of a constant: data, len */
    NET_NFT_COUNTER,
    NET_NFT_DROP,
    NET_NFT_ACCEPT,
    NET_NFT_NOTRACK,
    NET_NFT_MASQ, /* flags: with the ports in registers 1 and 2, or without */
    NET_NFT_SET,  /* store into the packet's circumstances: key */
    NET_NFT_KIND_NUM,
};

/* Of the members a kind has no use for, all are zero. */
struct net_nft_expr {
    enum net_nft_kind kind;
    uint32_t reg; /* register that is loaded, changed or compared: 1, or 2 */
    uint32_t key;
    uint32_t base;
    uint32_t offset;
    uint32_t flags;
    uint32_t len;
    uint8_t data[NET_NFT_DATA_MAX];
};

/** net_nft_compile() - @rule, which is valid, as steps.  Return: how many. */
size_t net_nft_compile(const struct net_fw_rule *rule,
                       struct net_nft_expr out[static NET_NFT_EXPRS_MAX]);

/**
 * net_nft_decompile() - read steps as a rule
 * @out: written on success
 *
 * Return: false when they are not what net_nft_compile() makes of any rule.
 */
bool net_nft_decompile(enum net_fw_chain chain, const struct net_nft_expr *exprs, size_t n,
                       struct net_fw_rule *out);

/** net_nft_kind_name() - as the kernel calls it: "cmp". */
const char *net_nft_kind_name(enum net_nft_kind kind);

#endif

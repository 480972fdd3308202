/*
 * What the kernel shows of one step of a rule (see nft_expr.h), read back.
 *
 * Nothing is trusted: a length that is not that of its type is -EBADMSG, and whatever we never
 * write is NET_NFT_NOT_OURS.
 */
#ifndef NETLINK_NFT_READ_EXPR_H
#define NETLINK_NFT_READ_EXPR_H

#include <stdint.h>

#include "netlink/nft_expr.h"

struct nlattr;

#define NET_NFT_NOT_OURS 1 /* well formed, but nothing that we write */

/**
 * net_nft_expect() - a number that must have the one value that we write
 *
 * Return: 0, NET_NFT_NOT_OURS or -EBADMSG.
 */
int net_nft_expect(const struct nlattr *attr, uint32_t want);

/**
 * net_nft_read_expr() - one element of a rule's expressions
 *
 * Return: 0, NET_NFT_NOT_OURS or -EBADMSG.
 */
int net_nft_read_expr(const struct nlattr *elem, struct net_nft_expr *e);

#endif

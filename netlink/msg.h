/*
 * Building and reading the attributes of one netlink message.
 *
 * Writing goes through libnl's nla_put_*(); each returns a negative number when the message is
 * full, so a builder ORs the results together and looks once.  Reading never trusts a length: an
 * attribute whose size is not exactly that of its type is -EBADMSG.
 */
#ifndef NETLINK_MSG_H
#define NETLINK_MSG_H

#include <stddef.h>
#include <stdint.h>

#include "common/ip.h"

struct nl_msg;
struct nlattr;

/**
 * net_msg_new() - start a message
 * @type:  RTM_...
 * @flags: NLM_F_...; the connection adds those of the exchange
 * @hdr:   the fixed header of that type, @len bytes
 *
 * Return: the message, NULL when out of memory.
 */
struct nl_msg *net_msg_new(int type, int flags, const void *hdr, size_t len);
/** net_msg_freep() - for _cleanup_(). */
void net_msg_freep(struct nl_msg **msg);

/** net_msg_put_ip() - append @addr in the length of its family.  Return: negative when full. */
int net_msg_put_ip(struct nl_msg *msg, int attr, const struct ip_addr *addr);

/** net_af() - 4 or 6 as AF_INET or AF_INET6; anything else AF_UNSPEC. */
uint8_t net_af(uint8_t family);
/** net_family() - AF_INET or AF_INET6 as 4 or 6; anything else 0. */
uint8_t net_family(uint8_t af);

/** net_attr_u8() - Return: 0, or -EBADMSG and @out untouched.  The others likewise. */
int net_attr_u8(const struct nlattr *attr, uint8_t *out);
int net_attr_u32(const struct nlattr *attr, uint32_t *out);
/** net_attr_be32() - a number that netfilter sends in network order, in ours */
int net_attr_be32(const struct nlattr *attr, uint32_t *out);
/** net_attr_ip() - an address of @family, in exactly its length. */
int net_attr_ip(const struct nlattr *attr, uint8_t family, struct ip_addr *out);
/** net_attr_str() - a string of less than @size bytes, its NUL counted if it has one. */
int net_attr_str(const struct nlattr *attr, char *out, size_t size);

#endif

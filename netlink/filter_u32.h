/* How the packet's words look to a u32 filter; for filter.c and filter_parse.c only. */
#ifndef NETLINK_FILTER_U32_H
#define NETLINK_FILTER_U32_H

#include <linux/pkt_cls.h>
#include <stdint.h>

#include "netlink/tc.h"

#define NET_U32_KEYS_MAX     4     /* words of an IPv6 address */
#define NET_U32_FIRST_ROOT   0x800 /* the kernel's number of the first priority's table 0 */
#define NET_U32_VERSION_MASK 0xf0000000u
#define NET_U32_KIND         "u32"
#define NET_U32_MIRRED       "mirred"

/* A selector and its keys, which follow it in a message. */
struct net_u32_selector {
    struct tc_u32_key keys[NET_U32_KEYS_MAX];
    struct tc_u32_sel sel;
};

/* net_u32_offset() - where in the packet an address stands: RFC 791, RFC 8200. */
static inline int net_u32_offset(uint8_t family, enum net_filter_side side)
{
    if (family == 6)
        return side == NET_FILTER_SRC ? 8 : 24;
    return side == NET_FILTER_SRC ? 12 : 16;
}

/* net_u32_version() - the packet's first word under NET_U32_VERSION_MASK. */
static inline uint32_t net_u32_version(uint8_t family)
{
    return (uint32_t)family << 28;
}

/* net_u32_hash_mask() - under which byte @byte of an address is taken from its word. */
static inline uint32_t net_u32_hash_mask(unsigned int byte)
{
    return 0xff000000u >> (8 * (byte & 3));
}

/* net_u32_family() - whose addresses the filter is about. */
static inline uint8_t net_u32_family(const struct net_filter *filter)
{
    return filter->prefix.addr.family ? filter->prefix.addr.family : filter->family;
}

#endif

/*
 * u32 filters over rtnetlink: hash tables of addresses, classes, redirection by mirred.
 *
 * Theory of operation: a u32 filter compares some 32-bit words of the packet, counted from its
 * network header, each under a mask.  A prefix becomes one word of IPv4 or up to four of IPv6.  A
 * link names a table, the word of the packet to take bits from, and those bits; the kernel shifts
 * them down to its lowest set one (u32_hash_fold).
 */
#include "netlink/filter.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_ether.h>
#include <linux/pkt_cls.h>
#include <linux/rtnetlink.h>
#include <linux/tc_act/tc_mirred.h>
#include <string.h>
#include <netlink/attr.h>
#include <netlink/msg.h>

#include "common/cleanup.h"
#include "netlink/conn.h"
#include "netlink/filter_u32.h"
#include "netlink/msg.h"
#include "netlink/tc_msg.h"

#define ACTION_ORDER 1 /* the first and only one */

struct filter_dump {
    uint32_t ifindex;
    net_filter_each *each;
    void *ctx;
};

static int dump_one(const struct nlmsghdr *nlh, void *ctx)
{
    const struct filter_dump *dump = ctx;
    struct net_filter filter;
    int rc = net_filter_parse(nlh, &filter);

    if (rc == -ENOENT)
        return 0;
    if (rc < 0)
        return rc;
    return filter.ifindex == dump->ifindex ? dump->each(&filter, dump->ctx) : 0;
}

int net_filter_dump(struct net_conn *conn, uint32_t ifindex, uint32_t parent, net_filter_each *each,
                    void *ctx, struct err *err)
{
    _cleanup_(net_msg_freep) struct nl_msg *msg = NULL;
    struct filter_dump dump = {.ifindex = ifindex, .each = each, .ctx = ctx};
    struct tcmsg tcm = {.tcm_family = AF_UNSPEC, .tcm_ifindex = (int)ifindex, .tcm_parent = parent};
    int rc;

    msg = net_msg_new(RTM_GETTFILTER, 0, &tcm, sizeof(tcm));
    if (!msg)
        return err_set(err, -ENOMEM, "reading filters: out of memory");
    rc = net_dump(conn, msg, RTNLGRP_TC, dump_one, &dump, err);
    if (rc == -EBADMSG)
        return err_set(err, rc, "reading filters: the kernel's description is malformed");
    return rc < 0 ? err_prefix(err, rc, "reading filters: ") : rc;
}

/* ---- writing ------------------------------------------------------------------------------- */

/* The mask of word @i of an address under a prefix of @len bits, in host order. */
static uint32_t word_mask(unsigned int len, unsigned int i)
{
    unsigned int bits = len <= 32 * i ? 0 : len - 32 * i;

    return bits >= 32 ? UINT32_MAX : bits ? UINT32_MAX << (32 - bits) : 0;
}

static void write_prefix(const struct net_filter *filter, struct net_u32_selector *s)
{
    uint8_t family = filter->prefix.addr.family;
    struct ip_prefix prefix = ip_prefix_network(filter->prefix);
    unsigned int n = (prefix.len + 31u) / 32;

    for (unsigned int i = 0; i < n; i++) {
        memcpy(&s->keys[i].val, prefix.addr.bytes + (size_t)(4 * i), sizeof(s->keys[i].val));
        s->keys[i].mask = htonl(word_mask(prefix.len, i));
        s->keys[i].off = net_u32_offset(family, filter->side) + (int)(4 * i);
    }
    s->sel.nkeys = (uint8_t)n;
}

static void write_selector(const struct net_filter *filter, struct net_u32_selector *s)
{
    s->sel.nkeys = 1;
    if (filter->side == NET_FILTER_VERSION) {
        s->keys[0].mask = htonl(NET_U32_VERSION_MASK);
        s->keys[0].val = htonl(net_u32_version(filter->prefix.addr.family));
    } else if (filter->side != NET_FILTER_ANY) {
        write_prefix(filter, s);
    }
    if (filter->kind == NET_FILTER_LINK) {
        uint8_t family = net_u32_family(filter);

        s->sel.hoff = (short)(net_u32_offset(family, filter->hash_side) + (filter->hash_byte & ~3));
        s->sel.hmask = htonl(net_u32_hash_mask(filter->hash_byte));
    } else {
        s->sel.flags = TC_U32_TERMINAL;
    }
}

static int put_redirect(struct nl_msg *msg, const struct net_filter *filter)
{
    struct tc_mirred mirred = {
        .action = TC_ACT_STOLEN,
        .eaction = TCA_EGRESS_REDIR,
        .ifindex = filter->redirect_ifindex,
    };
    struct nlattr *actions = nla_nest_start(msg, TCA_U32_ACT);
    struct nlattr *action = actions ? nla_nest_start(msg, ACTION_ORDER) : NULL;
    struct nlattr *options;

    if (!action || nla_put_string(msg, TCA_ACT_KIND, NET_U32_MIRRED) < 0)
        return -EMSGSIZE;
    options = nla_nest_start(msg, TCA_ACT_OPTIONS);
    if (!options || nla_put(msg, TCA_MIRRED_PARMS, sizeof(mirred), &mirred) < 0)
        return -EMSGSIZE;
    nla_nest_end(msg, options);
    nla_nest_end(msg, action);
    return nla_nest_end(msg, actions);
}

static int put_selector(struct nl_msg *msg, const struct net_u32_selector *s)
{
    size_t keys = s->sel.nkeys * sizeof(s->keys[0]);
    struct nlattr *attr = nla_reserve(msg, TCA_U32_SEL, (int)(sizeof(s->sel) + keys));

    if (!attr)
        return -EMSGSIZE;
    memcpy(nla_data(attr), &s->sel, sizeof(s->sel));
    memcpy((uint8_t *)nla_data(attr) + sizeof(s->sel), s->keys, keys);
    return 0;
}

static int put_key(struct nl_msg *msg, const struct net_filter *filter)
{
    struct net_u32_selector s = {0};
    uint32_t table = NET_U32_TABLE(filter->handle);
    int rc;

    write_selector(filter, &s);
    rc = put_selector(msg, &s);
    /* Without it, the first table is meant, whatever its number. */
    if (table != 0)
        rc |= nla_put_u32(msg, TCA_U32_HASH,
                          NET_U32_HANDLE(table, NET_U32_BUCKET(filter->handle), 0));
    if (filter->kind == NET_FILTER_LINK)
        rc |= nla_put_u32(msg, TCA_U32_LINK, NET_U32_HANDLE(filter->table, 0, 0));
    if (filter->kind == NET_FILTER_CLASS)
        rc |= nla_put_u32(msg, TCA_U32_CLASSID, filter->classid);
    if (filter->kind == NET_FILTER_REDIRECT)
        rc |= put_redirect(msg, filter);
    return rc < 0 ? -EMSGSIZE : 0;
}

static int put_options(struct nl_msg *msg, const struct net_filter *filter)
{
    struct nlattr *nest = nla_nest_start(msg, TCA_OPTIONS);
    int rc;

    if (!nest)
        return -EMSGSIZE;
    if (filter->kind == NET_FILTER_TABLE)
        rc = nla_put_u32(msg, TCA_U32_DIVISOR, filter->buckets);
    else
        rc = put_key(msg, filter);
    return rc < 0 ? -EMSGSIZE : nla_nest_end(msg, nest);
}

static bool match_complete(const struct net_filter *filter)
{
    switch (filter->side) {
    case NET_FILTER_ANY:
        return true;
    case NET_FILTER_VERSION:
        return ip_addr_bytes(&filter->prefix.addr) != 0;
    case NET_FILTER_SRC:
    case NET_FILTER_DST:
        return filter->prefix.len > 0 && filter->prefix.len <= ip_addr_bits(&filter->prefix.addr);
    }
    return false;
}

static bool link_complete(const struct net_filter *filter)
{
    uint8_t family = net_u32_family(filter);
    struct ip_addr addr = {.family = family};

    return filter->table > 0 && filter->table <= NET_U32_TABLE_MAX &&
           (filter->hash_side == NET_FILTER_SRC || filter->hash_side == NET_FILTER_DST) &&
           filter->hash_byte < ip_addr_bytes(&addr);
}

static bool key_complete(const struct net_filter *filter)
{
    if (NET_U32_NODE(filter->handle) == 0 || !match_complete(filter))
        return false;
    if (NET_U32_TABLE(filter->handle) == 0 && NET_U32_BUCKET(filter->handle) != 0)
        return false;
    switch (filter->kind) {
    case NET_FILTER_LINK:
        return link_complete(filter);
    case NET_FILTER_CLASS:
        return filter->classid != 0;
    case NET_FILTER_REDIRECT:
        return filter->redirect_ifindex != 0;
    case NET_FILTER_TABLE:
    case NET_FILTER_OTHER:
        break;
    }
    return false;
}

static bool filter_complete(enum net_tc_verb verb, const struct net_filter *filter)
{
    uint32_t table = NET_U32_TABLE(filter->handle);

    if (filter->ifindex == 0 || filter->parent == 0 || filter->pref == 0)
        return false;
    if (verb == NET_TC_DEL)
        return true;
    if (table > NET_U32_TABLE_MAX || filter->has_more)
        return false;
    if (filter->kind != NET_FILTER_TABLE)
        return key_complete(filter);
    return verb == NET_TC_ADD && table != 0 && filter->handle == NET_U32_HANDLE(table, 0, 0) &&
           filter->buckets > 0 && filter->buckets <= NET_U32_BUCKETS &&
           (filter->buckets & (filter->buckets - 1)) == 0;
}

int net_filter_build(enum net_tc_verb verb, const struct net_filter *filter, struct nl_msg **out)
{
    _cleanup_(net_msg_freep) struct nl_msg *msg = NULL;
    uint16_t protocol = filter->other         ? filter->other
                        : filter->family == 4 ? ETH_P_IP
                        : filter->family == 6 ? ETH_P_IPV6
                                              : ETH_P_ALL;
    struct net_tc_msg head = {
        .ifindex = filter->ifindex,
        .handle = filter->handle,
        .parent = filter->parent,
        .info = ((uint32_t)filter->pref << 16) | htons(protocol),
    };

    if (!filter_complete(verb, filter))
        return -EINVAL;
    /* To find one in table 0, the kernel wants the number that it gave that table. */
    if (verb != NET_TC_ADD && NET_U32_TABLE(filter->handle) == 0)
        head.handle |=
            NET_U32_HANDLE(filter->root_table ? filter->root_table : NET_U32_FIRST_ROOT, 0, 0);
    if (filter->kind != NET_FILTER_OTHER)
        strcpy(head.kind, NET_U32_KIND);
    msg = net_tc_msg_build(RTM_NEWTFILTER, verb, &head);
    if (!msg || (verb != NET_TC_DEL && put_options(msg, filter) < 0))
        return -ENOMEM;
    *out = TAKE(msg);
    return 0;
}

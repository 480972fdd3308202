/*
 * u32 filters as the kernel describes them.
 *
 * Only what net_filter_build() writes is understood; anything else a filter matches or does is
 * marked as "more", so that it equals none of ours.
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
#include "netlink/filter_u32.h"
#include "netlink/msg.h"
#include "netlink/tc_msg.h"

static bool read_version(const struct tc_u32_key *key, struct net_filter *filter)
{
    uint32_t word = ntohl(key->val);

    if (ntohl(key->mask) != NET_U32_VERSION_MASK ||
        (word != net_u32_version(4) && word != net_u32_version(6)))
        return false;
    filter->side = NET_FILTER_VERSION;
    filter->prefix.addr.family = word == net_u32_version(6) ? 6 : 4;
    return true;
}

/* The length of a mask of ones followed by zeros, -1 for another. */
static int mask_len(uint32_t mask)
{
    uint32_t rest = ~mask;

    return (rest & (rest + 1)) == 0 ? __builtin_popcount(mask) : -1;
}

static bool read_prefix_at(const struct tc_u32_key *keys, unsigned int n, uint8_t family,
                           enum net_filter_side side, struct net_filter *filter)
{
    struct ip_prefix prefix = {.addr = {.family = family}};
    int offset = net_u32_offset(family, side);

    for (unsigned int i = 0; i < n; i++) {
        uint32_t mask = ntohl(keys[i].mask);
        int len = mask_len(mask);

        if (keys[i].off != offset + (int)(4 * i) || len <= 0 || (len < 32 && i + 1 < n))
            return false;
        memcpy(prefix.addr.bytes + (size_t)(4 * i), &keys[i].val, sizeof(keys[i].val));
        prefix.len = (uint8_t)(prefix.len + len);
    }
    filter->side = side;
    filter->prefix = prefix;
    return true;
}

/* IPv6's source and IPv4's do not start at one place, so the offset tells family and side. */
static bool read_prefix(const struct tc_u32_key *keys, unsigned int n, struct net_filter *filter)
{
    if (n == 1 && (read_prefix_at(keys, n, 4, NET_FILTER_SRC, filter) ||
                   read_prefix_at(keys, n, 4, NET_FILTER_DST, filter)))
        return true;
    return read_prefix_at(keys, n, 6, NET_FILTER_SRC, filter) ||
           read_prefix_at(keys, n, 6, NET_FILTER_DST, filter);
}

static bool read_match(const struct net_u32_selector *s, unsigned int n, struct net_filter *filter)
{
    for (unsigned int i = 0; i < n; i++) {
        if (s->keys[i].offmask != 0)
            return false;
    }
    if (n == 0 || (n == 1 && s->keys[0].mask == 0)) {
        filter->side = NET_FILTER_ANY;
        return true;
    }
    if (n == 1 && s->keys[0].off == 0)
        return read_version(&s->keys[0], filter);
    return read_prefix(s->keys, n, filter);
}

/* Which byte of which address a link takes its bucket from. */
static bool read_hash(const struct tc_u32_sel *sel, uint8_t family, struct net_filter *filter)
{
    static const enum net_filter_side sides[] = {NET_FILTER_SRC, NET_FILTER_DST};
    uint32_t mask = ntohl(sel->hmask);

    for (size_t i = 0; i < ARRAY_SIZE(sides); i++) {
        int first = net_u32_offset(family, sides[i]);

        for (int byte = 0; byte < (family == 6 ? 16 : 4); byte++) {
            if (sel->hoff == first + (byte & ~3) && mask == net_u32_hash_mask((unsigned int)byte)) {
                filter->hash_side = sides[i];
                filter->hash_byte = (uint8_t)byte;
                return true;
            }
        }
    }
    return false;
}

static int parse_selector(const struct nlattr *attr, struct net_filter *filter,
                          struct tc_u32_sel *out)
{
    struct net_u32_selector s = {0};
    size_t len = (size_t)nla_len(attr);

    if (len < sizeof(s.sel))
        return -EBADMSG;
    memcpy(&s.sel, nla_data(attr), sizeof(s.sel));
    if (len != sizeof(s.sel) + s.sel.nkeys * sizeof(s.keys[0]))
        return -EBADMSG;
    *out = s.sel;
    if (s.sel.nkeys > NET_U32_KEYS_MAX) {
        filter->has_more = true;
        return 0;
    }
    memcpy(s.keys, (const uint8_t *)nla_data(attr) + sizeof(s.sel),
           s.sel.nkeys * sizeof(s.keys[0]));
    if ((s.sel.flags & ~TC_U32_TERMINAL) || !read_match(&s, s.sel.nkeys, filter))
        filter->has_more = true;
    return 0;
}

static int parse_mirred(const struct nlattr *options, struct net_filter *filter)
{
    struct tc_mirred mirred;
    struct nlattr *attr;
    int left;

    nla_for_each_nested(attr, options, left)
    {
        if (nla_type(attr) != TCA_MIRRED_PARMS)
            continue;
        if (net_tc_attr(attr, &mirred, sizeof(mirred)) < 0)
            return -EBADMSG;
        if (mirred.eaction != TCA_EGRESS_REDIR || mirred.action != TC_ACT_STOLEN)
            filter->has_more = true;
        filter->redirect_ifindex = mirred.ifindex;
        return 0;
    }
    return -EBADMSG;
}

static int parse_action(const struct nlattr *action, struct net_filter *filter)
{
    const struct nlattr *options = NULL;
    char kind[NET_KIND_SIZE] = "";
    struct nlattr *attr;
    int left;

    nla_for_each_nested(attr, action, left)
    {
        if (nla_type(attr) == TCA_ACT_KIND && net_attr_str(attr, kind, sizeof(kind)) < 0)
            return -EBADMSG;
        if (nla_type(attr) == TCA_ACT_OPTIONS)
            options = attr;
    }
    if (strcmp(kind, NET_U32_MIRRED) != 0) {
        filter->has_more = true;
        return 0;
    }
    return options ? parse_mirred(options, filter) : -EBADMSG;
}

static int parse_actions(const struct nlattr *actions, struct net_filter *filter)
{
    struct nlattr *attr;
    unsigned int n = 0;
    int left;

    filter->kind = NET_FILTER_REDIRECT;
    nla_for_each_nested(attr, actions, left)
    {
        if (parse_action(attr, filter) < 0)
            return -EBADMSG;
        n++;
    }
    filter->has_more = filter->has_more || n != 1;
    return 0;
}

/* What was seen of a filter's options before it is known which kind it is. */
struct options {
    const struct nlattr *sel;
    const struct nlattr *actions;
    uint32_t link;
    uint32_t classid;
    uint32_t divisor;
    bool more;
};

static int options_attr(const struct nlattr *attr, struct options *o)
{
    switch (nla_type(attr)) {
    case TCA_U32_SEL:
        o->sel = attr;
        return 0;
    case TCA_U32_ACT:
        o->actions = attr;
        return 0;
    case TCA_U32_LINK:
        return net_attr_u32(attr, &o->link);
    case TCA_U32_CLASSID:
        return net_attr_u32(attr, &o->classid);
    case TCA_U32_DIVISOR:
        return net_attr_u32(attr, &o->divisor);
    case TCA_U32_MARK:
    case TCA_U32_INDEV:
    case TCA_U32_POLICE:
        o->more = true;
        return 0;
    default:
        /* Counters, and flags about offloading to hardware. */
        return 0;
    }
}

static int parse_key(const struct options *o, struct net_filter *filter)
{
    struct tc_u32_sel sel;
    uint8_t family;

    if (!o->sel || parse_selector(o->sel, filter, &sel) < 0)
        return -EBADMSG;
    family = net_u32_family(filter);
    filter->has_more = filter->has_more || o->more;
    filter->kind = NET_FILTER_OTHER;
    if (o->link) {
        filter->kind = NET_FILTER_LINK;
        filter->table = NET_U32_TABLE(o->link);
        if (!read_hash(&sel, family, filter) || o->actions || o->classid)
            filter->has_more = true;
    } else if (o->actions) {
        if (o->classid)
            filter->has_more = true;
        return parse_actions(o->actions, filter);
    } else if (o->classid) {
        filter->kind = NET_FILTER_CLASS;
        filter->classid = o->classid;
    }
    return 0;
}

static int parse_u32(const struct nlattr *options, struct net_filter *filter)
{
    struct options o = {0};
    struct nlattr *attr;
    int left;

    nla_for_each_nested(attr, options, left)
    {
        if (options_attr(attr, &o) < 0)
            return -EBADMSG;
    }
    if (NET_U32_TABLE(filter->handle) >= NET_U32_FIRST_ROOT) {
        filter->root_table = NET_U32_TABLE(filter->handle);
        filter->handle &= NET_U32_HANDLE(1, 0, 0) - 1;
    }
    if (NET_U32_NODE(filter->handle) != 0)
        return parse_key(&o, filter);
    /* The first table of each priority comes and goes with it. */
    if (filter->root_table)
        return -ENOENT;
    filter->kind = NET_FILTER_TABLE;
    filter->buckets = o.divisor;
    return 0;
}

int net_filter_parse(const struct nlmsghdr *nlh, struct net_filter *out)
{
    struct net_filter filter = {0};
    struct net_tc_msg msg;
    uint16_t protocol;
    int rc = 0;

    if (net_tc_msg_parse(nlh, RTM_NEWTFILTER, &msg) < 0)
        return -EBADMSG;
    if (msg.handle == 0)
        return -ENOENT;
    filter.ifindex = msg.ifindex;
    filter.parent = msg.parent;
    filter.handle = msg.handle;
    filter.pref = (uint16_t)(msg.info >> 16);
    protocol = ntohs((uint16_t)msg.info);
    filter.family = protocol == ETH_P_IP ? 4 : protocol == ETH_P_IPV6 ? 6 : 0;
    filter.kind = NET_FILTER_OTHER;
    filter.other = filter.family == 0 && protocol != ETH_P_ALL ? protocol : 0;
    filter.has_more = msg.chain != 0 || filter.other != 0;
    if (strcmp(msg.kind, NET_U32_KIND) == 0)
        rc = msg.options ? parse_u32(msg.options, &filter) : -EBADMSG;
    else
        filter.has_more = true;
    if (rc == 0)
        *out = filter;
    return rc;
}

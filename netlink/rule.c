/*
 * Policy routing rules: which table a packet is looked up in.
 *
 * Theory of operation: rules have no key of their own.  Only EXCL keeps the kernel from adding the
 * same rule twice, and it passes over the invert flag, so EEXIST may mean the opposite rule: look.
 * A delete removes the first rule that agrees with what the request carries, so it carries all we
 * know, the owner's mark first of all, and the rules are looked through beforehand: if the first
 * that would be hit is not exactly the one meant, nothing is removed.
 */
#include "netlink/rule.h"

#include <errno.h>
#include <linux/fib_rules.h>
#include <linux/rtnetlink.h>
#include <string.h>
#include <netlink/attr.h>
#include <netlink/msg.h>

#include "common/cleanup.h"
#include "netlink/conn.h"
#include "netlink/msg.h"

/* Since Linux 6.14, which adds a mask of all ones to a single port; older headers lack the names.
 */
#define RULE_SPORT_MASK 28
#define RULE_DPORT_MASK 29

struct rule_dump {
    uint8_t family;
    uint8_t protocol;
    net_rule_each *each;
    void *ctx;
};

static int parse_uids(const struct nlattr *attr, struct net_rule *rule)
{
    struct fib_rule_uid_range range;

    if (nla_len(attr) != sizeof(range))
        return -EBADMSG;
    memcpy(&range, nla_data(attr), sizeof(range));
    rule->has_uids = true;
    rule->uid_first = range.start;
    rule->uid_last = range.end;
    return 0;
}

/* A range of one port is a port; others are none of ours. */
static int parse_port(const struct nlattr *attr, uint16_t *port, struct net_rule *rule)
{
    struct fib_rule_port_range range;

    if (nla_len(attr) != sizeof(range))
        return -EBADMSG;
    memcpy(&range, nla_data(attr), sizeof(range));
    if (range.start == range.end)
        *port = range.start;
    else
        rule->has_more = true;
    return 0;
}

static int parse_port_mask(const struct nlattr *attr, struct net_rule *rule)
{
    uint16_t mask;

    if (nla_len(attr) != sizeof(mask))
        return -EBADMSG;
    memcpy(&mask, nla_data(attr), sizeof(mask));
    rule->has_more = rule->has_more || mask != UINT16_MAX;
    return 0;
}

static int parse_suppress(const struct nlattr *attr, struct net_rule *rule)
{
    uint32_t len;

    if (net_attr_u32(attr, &len) < 0)
        return -EBADMSG;
    /* The kernel writes -1 for a rule that suppresses nothing. */
    if (len != UINT32_MAX) {
        rule->has_suppress = true;
        rule->suppress_prefixlen = len;
    }
    return 0;
}

static int parse_attr(const struct nlattr *attr, struct net_rule *rule)
{
    switch (nla_type(attr)) {
    case FRA_SRC:
        return net_attr_ip(attr, rule->family, &rule->from.addr);
    case FRA_DST:
        return net_attr_ip(attr, rule->family, &rule->to.addr);
    case FRA_IIFNAME:
        return net_attr_str(attr, rule->iif, sizeof(rule->iif));
    case FRA_OIFNAME:
        return net_attr_str(attr, rule->oif, sizeof(rule->oif));
    case FRA_PRIORITY:
        return net_attr_u32(attr, &rule->priority);
    case FRA_FWMARK:
        return net_attr_u32(attr, &rule->mark);
    case FRA_FWMASK:
        return net_attr_u32(attr, &rule->mask);
    case FRA_TABLE:
        return net_attr_u32(attr, &rule->table);
    case FRA_UID_RANGE:
        return parse_uids(attr, rule);
    case FRA_IP_PROTO:
        return net_attr_u8(attr, &rule->ip_proto);
    case FRA_SPORT_RANGE:
        return parse_port(attr, &rule->sport, rule);
    case FRA_DPORT_RANGE:
        return parse_port(attr, &rule->dport, rule);
    case RULE_SPORT_MASK:
    case RULE_DPORT_MASK:
        return parse_port_mask(attr, rule);
    case FRA_SUPPRESS_PREFIXLEN:
        return parse_suppress(attr, rule);
    case FRA_PROTOCOL:
        return net_attr_u8(attr, &rule->protocol);
    case FRA_UNSPEC:
    case FRA_PAD:
        return 0;
    default:
        /* A selector we never write, perhaps one that did not exist when this was written. */
        rule->has_more = true;
        return 0;
    }
}

int net_rule_parse(const struct nlmsghdr *nlh, struct net_rule *out)
{
    struct net_rule rule = {0};
    const struct fib_rule_hdr *frh;
    struct nlattr *attr;
    int left;

    if (nlh->nlmsg_type != RTM_NEWRULE || !nlmsg_valid_hdr(nlh, sizeof(*frh)))
        return -EBADMSG;
    frh = nlmsg_data(nlh);
    rule.family = net_family(frh->family);
    rule.from.len = frh->src_len;
    rule.from.addr.family = rule.from.len ? rule.family : 0;
    rule.to.len = frh->dst_len;
    rule.to.addr.family = rule.to.len ? rule.family : 0;
    rule.table = frh->table;
    rule.invert = frh->flags & FIB_RULE_INVERT;
    rule.has_more = frh->action != FR_ACT_TO_TBL || frh->tos != 0;
    if (rule.from.len > ip_addr_bits(&rule.from.addr) || rule.to.len > ip_addr_bits(&rule.to.addr))
        return -EBADMSG;
    nlmsg_for_each_attr(attr, nlh, sizeof(*frh), left)
    {
        if (parse_attr(attr, &rule) < 0)
            return -EBADMSG;
    }
    *out = rule;
    return 0;
}

static int dump_one(const struct nlmsghdr *nlh, void *ctx)
{
    const struct rule_dump *dump = ctx;
    struct net_rule rule;
    int rc = net_rule_parse(nlh, &rule);

    if (rc < 0)
        return rc;
    if (rule.family != dump->family || (dump->protocol && rule.protocol != dump->protocol))
        return 0;
    return dump->each(&rule, dump->ctx);
}

static int dump_family(struct net_conn *conn, struct rule_dump *dump, uint8_t family,
                       struct err *err)
{
    _cleanup_(net_msg_freep) struct nl_msg *msg = NULL;
    struct fib_rule_hdr frh = {.family = net_af(family)};
    int rc;

    dump->family = family;
    msg = net_msg_new(RTM_GETRULE, 0, &frh, sizeof(frh));
    if (!msg)
        return err_set(err, -ENOMEM, "reading rules: out of memory");
    rc = net_dump(conn, msg, family == 6 ? RTNLGRP_IPV6_RULE : RTNLGRP_IPV4_RULE, dump_one, dump,
                  err);
    /* A kernel without IPv6 (ipv6.disable=1) has no rules of it. */
    if (rc == -EAFNOSUPPORT && family == 6)
        return 0;
    if (rc == -EBADMSG)
        return err_set(err, rc, "reading rules: the kernel's description is malformed");
    return rc < 0 ? err_prefix(err, rc, "reading rules: ") : rc;
}

int net_rule_dump(struct net_conn *conn, uint8_t family, uint8_t protocol, net_rule_each *each,
                  void *ctx, struct err *err)
{
    struct rule_dump dump = {.protocol = protocol, .each = each, .ctx = ctx};
    int rc = 0;

    /* A dump of all families would also bring the rules of multicast routing. */
    if (family != 6)
        rc = dump_family(conn, &dump, 4, err);
    if (rc == 0 && family != 4)
        rc = dump_family(conn, &dump, 6, err);
    return rc;
}

static int put_port(struct nl_msg *msg, int type, uint16_t port)
{
    struct fib_rule_port_range range = {.start = port, .end = port};

    return nla_put(msg, type, sizeof(range), &range);
}

static int put_selectors(struct nl_msg *msg, const struct net_rule *rule)
{
    int rc = 0;

    if (rule->from.len > 0)
        rc |= net_msg_put_ip(msg, FRA_SRC, &rule->from.addr);
    if (rule->to.len > 0)
        rc |= net_msg_put_ip(msg, FRA_DST, &rule->to.addr);
    if (rule->iif[0])
        rc |= nla_put_string(msg, FRA_IIFNAME, rule->iif);
    if (rule->oif[0])
        rc |= nla_put_string(msg, FRA_OIFNAME, rule->oif);
    if (rule->mask) {
        rc |= nla_put_u32(msg, FRA_FWMARK, rule->mark);
        rc |= nla_put_u32(msg, FRA_FWMASK, rule->mask);
    }
    if (rule->has_uids) {
        struct fib_rule_uid_range range = {.start = rule->uid_first, .end = rule->uid_last};

        rc |= nla_put(msg, FRA_UID_RANGE, sizeof(range), &range);
    }
    if (rule->ip_proto)
        rc |= nla_put_u8(msg, FRA_IP_PROTO, rule->ip_proto);
    if (rule->sport)
        rc |= put_port(msg, FRA_SPORT_RANGE, rule->sport);
    if (rule->dport)
        rc |= put_port(msg, FRA_DPORT_RANGE, rule->dport);
    return rc;
}

static bool rule_complete(const struct net_rule *rule)
{
    return net_af(rule->family) != AF_UNSPEC && rule->table != 0 && rule->priority != 0 &&
           !rule->has_more && (rule->from.len == 0 || rule->from.addr.family == rule->family) &&
           (rule->to.len == 0 || rule->to.addr.family == rule->family);
}

int net_rule_build(enum net_verb verb, const struct net_rule *rule, struct nl_msg **out,
                   struct err *err)
{
    _cleanup_(net_msg_freep) struct nl_msg *msg = NULL;
    struct fib_rule_hdr frh = {
        .family = net_af(rule->family),
        .src_len = rule->from.len,
        .dst_len = rule->to.len,
        .action = FR_ACT_TO_TBL,
        .flags = rule->invert ? FIB_RULE_INVERT : 0,
    };
    int rc;

    if (!rule_complete(rule))
        return err_set(err, -EINVAL, "a rule needs a family, a priority and a table");
    if (verb == NET_CHANGE)
        return err_set(err, -EOPNOTSUPP, "a rule cannot be changed");
    if (verb == NET_CREATE)
        msg = net_msg_new(RTM_NEWRULE, NLM_F_CREATE | NLM_F_EXCL, &frh, sizeof(frh));
    else
        msg = net_msg_new(RTM_DELRULE, 0, &frh, sizeof(frh));
    if (!msg)
        return err_set(err, -ENOMEM, "out of memory");
    rc = put_selectors(msg, rule);
    rc |= nla_put_u32(msg, FRA_PRIORITY, rule->priority);
    rc |= nla_put_u32(msg, FRA_TABLE, rule->table);
    rc |= nla_put_u8(msg, FRA_PROTOCOL, rule->protocol);
    if (rule->has_suppress)
        rc |= nla_put_u32(msg, FRA_SUPPRESS_PREFIXLEN, rule->suppress_prefixlen);
    if (rc < 0)
        return err_set(err, -EMSGSIZE, "cannot build the request");
    *out = TAKE(msg);
    return 0;
}

static int rule_send(struct net_conn *conn, enum net_verb verb, const struct net_rule *rule,
                     struct err *err)
{
    _cleanup_(net_msg_freep) struct nl_msg *msg = NULL;
    int rc = net_rule_build(verb, rule, &msg, err);

    return rc < 0 ? rc : net_request(conn, msg, err);
}

/* The first rule that a request about @want would hit, and whether @want itself is there. */
struct rule_search {
    const struct net_rule *want;
    struct net_rule first;
    bool any;
    bool exact;
};

static int search_one(const struct net_rule *rule, void *ctx)
{
    struct rule_search *search = ctx;

    if (!net_rule_hits(search->want, rule))
        return 0;
    if (!search->any)
        search->first = *rule;
    search->any = true;
    search->exact = search->exact || net_rule_cmp_id(rule, search->want) == 0;
    return 0;
}

/* The rule as the kernel keeps it: networks without host bits. */
static struct net_rule rule_network(const struct net_rule *rule)
{
    struct net_rule out = *rule;

    out.from = ip_prefix_network(rule->from);
    out.to = ip_prefix_network(rule->to);
    return out;
}

static int rule_fail(const struct net_rule *rule, const char *verb, int rc, struct err *err)
{
    char text[NET_FORMAT_SIZE];

    return err_prefix(err, rc, "cannot %s rule %s: ", verb, net_rule_format(rule, text));
}

int net_rule_put(struct net_conn *conn, const struct net_rule *rule, struct err *err)
{
    struct net_rule want = rule_network(rule);
    struct rule_search search = {.want = &want};
    char text[NET_FORMAT_SIZE];
    int rc = rule_send(conn, NET_CREATE, &want, err);

    if (rc == -EEXIST) {
        rc = net_rule_dump(conn, rule->family, 0, search_one, &search, err);
        if (rc == 0 && !search.exact)
            rc = err_set(err, -EEXIST, "another rule is in its place: %s",
                         search.any ? net_rule_format(&search.first, text) : "(gone meanwhile)");
    }
    return rc < 0 ? rule_fail(rule, "set", rc, err) : 0;
}

int net_rule_del(struct net_conn *conn, const struct net_rule *rule, struct err *err)
{
    struct net_rule want = rule_network(rule);
    struct rule_search search = {.want = &want};
    char text[NET_FORMAT_SIZE];
    int rc = net_rule_dump(conn, rule->family, 0, search_one, &search, err);

    if (rc == 0 && search.exact && net_rule_cmp_id(&search.first, &want) != 0)
        rc = err_set(err, -EEXIST, "the kernel would remove another rule first: %s",
                     net_rule_format(&search.first, text));
    else if (rc == 0 && search.exact)
        rc = rule_send(conn, NET_DELETE, &want, err);
    if (rc == -ENOENT || rc == -ESRCH)
        return 0;
    return rc < 0 ? rule_fail(rule, "remove", rc, err) : 0;
}

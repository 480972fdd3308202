/* Links: reading a device and setting what the router owns of it. */
#include "netlink/link.h"

#include <errno.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <string.h>
#include <netlink/attr.h>
#include <netlink/msg.h>

#include "common/cleanup.h"
#include "netlink/conn.h"
#include "netlink/msg.h"

static int parse_kind(const struct nlattr *info, struct net_link *link)
{
    struct nlattr *attr;
    int left;
    int rc = 0;

    nla_for_each_nested(attr, info, left)
    {
        if (nla_type(attr) == IFLA_INFO_KIND)
            rc = net_attr_str(attr, link->kind, sizeof(link->kind));
        if (rc < 0)
            return rc;
    }
    return 0;
}

/* IFLA_AF_SPEC holds one nest per family the device speaks; without AF_INET6 it has no IPv6. */
static int parse_ip6ll(const struct nlattr *spec, struct net_link *link)
{
    struct nlattr *family, *attr;
    int family_left, left;

    nla_for_each_nested(family, spec, family_left)
    {
        if (nla_type(family) != AF_INET6)
            continue;
        nla_for_each_nested(attr, family, left)
        {
            uint8_t mode;

            if (nla_type(attr) != IFLA_INET6_ADDR_GEN_MODE)
                continue;
            if (net_attr_u8(attr, &mode) < 0)
                return -EBADMSG;
            link->ip6ll = mode == IN6_ADDR_GEN_MODE_NONE ? NET_IP6LL_NONE : NET_IP6LL_AUTO;
        }
    }
    return 0;
}

static int parse_alias(const struct nlattr *attr, struct net_link *link)
{
    size_t len = strnlen(nla_data(attr), (size_t)nla_len(attr));

    if (len >= sizeof(link->alias))
        len = sizeof(link->alias) - 1;
    memcpy(link->alias, nla_data(attr), len);
    link->alias[len] = '\0';
    return 0;
}

static int parse_attr(const struct nlattr *attr, struct net_link *link)
{
    uint8_t carrier;

    switch (nla_type(attr)) {
    case IFLA_IFNAME:
        return net_attr_str(attr, link->name, sizeof(link->name));
    case IFLA_MTU:
        return net_attr_u32(attr, &link->mtu);
    case IFLA_GROUP:
        return net_attr_u32(attr, &link->group);
    case IFLA_IFALIAS:
        return parse_alias(attr, link);
    /* Unlike IFF_LOWER_UP it is told for links that are down as well. */
    case IFLA_CARRIER:
        if (net_attr_u8(attr, &carrier) < 0)
            return -EBADMSG;
        link->carrier = carrier != 0;
        return 0;
    case IFLA_LINKINFO:
        return parse_kind(attr, link);
    case IFLA_AF_SPEC:
        return parse_ip6ll(attr, link);
    default:
        return 0;
    }
}

int net_link_parse(const struct nlmsghdr *nlh, struct net_link *out)
{
    struct net_link link = {0};
    const struct ifinfomsg *ifi;
    struct nlattr *attr;
    int left;

    if (nlh->nlmsg_type != RTM_NEWLINK || !nlmsg_valid_hdr(nlh, sizeof(*ifi)))
        return -EBADMSG;
    ifi = nlmsg_data(nlh);
    if (ifi->ifi_index <= 0)
        return -EBADMSG;
    link.ifindex = (uint32_t)ifi->ifi_index;
    link.up = ifi->ifi_flags & IFF_UP;
    nlmsg_for_each_attr(attr, nlh, sizeof(*ifi), left)
    {
        if (parse_attr(attr, &link) < 0)
            return -EBADMSG;
    }
    *out = link;
    return 0;
}

static int take_one(const struct nlmsghdr *nlh, void *ctx)
{
    return net_link_parse(nlh, ctx);
}

struct link_dump {
    net_link_each *each;
    void *ctx;
};

static int dump_one(const struct nlmsghdr *nlh, void *ctx)
{
    const struct link_dump *dump = ctx;
    struct net_link link;
    int rc = net_link_parse(nlh, &link);

    return rc < 0 ? rc : dump->each(&link, dump->ctx);
}

int net_link_dump(struct net_conn *conn, net_link_each *each, void *ctx, struct err *err)
{
    _cleanup_(net_msg_freep) struct nl_msg *msg = NULL;
    struct link_dump dump = {.each = each, .ctx = ctx};
    struct ifinfomsg ifi = {.ifi_family = AF_UNSPEC};
    int rc;

    msg = net_msg_new(RTM_GETLINK, 0, &ifi, sizeof(ifi));
    if (!msg || nla_put_u32(msg, IFLA_EXT_MASK, RTEXT_FILTER_SKIP_STATS) < 0)
        return err_set(err, -ENOMEM, "reading devices: out of memory");
    rc = net_dump(conn, msg, 0, dump_one, &dump, err);
    if (rc == -EBADMSG)
        return err_set(err, rc, "reading devices: the kernel's description is malformed");
    return rc < 0 ? err_prefix(err, rc, "reading devices: ") : rc;
}

int net_link_get(struct net_conn *conn, const char *name, struct net_link *out, struct err *err)
{
    _cleanup_(net_msg_freep) struct nl_msg *msg = NULL;
    struct ifinfomsg ifi = {.ifi_family = AF_UNSPEC};
    struct net_link link = {0};
    int rc;

    if (!net_ifname_valid(name))
        return err_set(err, -EINVAL, "\"%.32s\" cannot be the name of a network device", name);
    msg = net_msg_new(RTM_GETLINK, 0, &ifi, sizeof(ifi));
    if (!msg || nla_put_string(msg, IFLA_IFNAME, name) < 0)
        return err_set(err, -ENOMEM, "device %s: out of memory", name);
    rc = net_query(conn, msg, take_one, &link, err);
    if (rc == -EBADMSG || (rc == 0 && link.ifindex == 0))
        return err_set(err, -EBADMSG, "device %s: the kernel's description is malformed", name);
    if (rc < 0)
        return err_prefix(err, rc, "device %s: ", name);
    *out = link;
    return 0;
}

/* An alias of no bytes removes the alias; so no NUL may be sent along. */
static int put_alias(struct nl_msg *msg, const char *alias)
{
    return nla_put(msg, IFLA_IFALIAS, (int)strnlen(alias, NET_ALIAS_SIZE - 1), alias);
}

static int put_ip6ll(struct nl_msg *msg, enum net_ip6ll ip6ll)
{
    uint8_t mode = ip6ll == NET_IP6LL_NONE ? IN6_ADDR_GEN_MODE_NONE : IN6_ADDR_GEN_MODE_EUI64;
    struct nlattr *spec = nla_nest_start(msg, IFLA_AF_SPEC);
    struct nlattr *family = spec ? nla_nest_start(msg, AF_INET6) : NULL;

    if (!family || nla_put_u8(msg, IFLA_INET6_ADDR_GEN_MODE, mode) < 0)
        return -EMSGSIZE;
    nla_nest_end(msg, family);
    nla_nest_end(msg, spec);
    return 0;
}

static int put_settings(struct nl_msg *msg, const struct net_link *want, unsigned int parts)
{
    int rc = 0;

    if (parts & NET_LINK_MTU)
        rc |= nla_put_u32(msg, IFLA_MTU, want->mtu);
    if (parts & NET_LINK_ALIAS)
        rc |= put_alias(msg, want->alias);
    if (parts & NET_LINK_IP6LL)
        rc |= put_ip6ll(msg, want->ip6ll);
    return rc;
}

int net_link_build(uint32_t ifindex, const struct net_link *want, unsigned int parts,
                   struct nl_msg *msgs[NET_LINK_MSGS], struct err *err)
{
    struct ifinfomsg settings = {.ifi_family = AF_UNSPEC, .ifi_index = (int)ifindex};
    struct ifinfomsg state = settings;
    unsigned int quiet = parts & ~(unsigned int)NET_LINK_UP;
    int n = 0;

    /* In one message the kernel would raise the link before it takes addrgenmode. */
    if (quiet) {
        _cleanup_(net_msg_freep) struct nl_msg *msg = NULL;

        msg = net_msg_new(RTM_SETLINK, 0, &settings, sizeof(settings));
        if (!msg || put_settings(msg, want, quiet) < 0)
            return err_set(err, -ENOMEM, "device %s: out of memory", want->name);
        msgs[n++] = TAKE(msg);
    }
    if (parts & NET_LINK_UP) {
        state.ifi_change = IFF_UP;
        state.ifi_flags = want->up ? IFF_UP : 0;
        msgs[n] = net_msg_new(RTM_SETLINK, 0, &state, sizeof(state));
        if (!msgs[n] && n > 0)
            net_msg_freep(&msgs[0]);
        if (!msgs[n])
            return err_set(err, -ENOMEM, "device %s: out of memory", want->name);
        n++;
    }
    return n;
}

static int set_part(struct net_conn *conn, uint32_t ifindex, const struct net_link *want,
                    enum net_link_part part, struct err *err)
{
    static const char *const words[] = {
        [NET_LINK_MTU] = "MTU", [NET_LINK_ALIAS] = "alias", [NET_LINK_IP6LL] = "addrgenmode"};
    const char *what = part == NET_LINK_UP ? (want->up ? "up" : "down") : words[part];
    struct nl_msg *msgs[NET_LINK_MSGS] = {NULL};
    int rc = net_link_build(ifindex, want, part, msgs, err);

    if (rc < 0)
        return rc;
    rc = net_request(conn, msgs[0], err);
    net_msg_freep(&msgs[0]);
    /* A device without IPv6 makes no link-local address, which is what NONE asks for. */
    if (rc == -EAFNOSUPPORT && part == NET_LINK_IP6LL && want->ip6ll == NET_IP6LL_NONE)
        return 0;
    return rc < 0 ? err_prefix(err, rc, "device %s: cannot set %s: ", want->name, what) : 0;
}

int net_link_set(struct net_conn *conn, uint32_t ifindex, const struct net_link *want,
                 unsigned int parts, struct err *err)
{
    static const enum net_link_part order[] = {NET_LINK_MTU, NET_LINK_ALIAS, NET_LINK_IP6LL,
                                               NET_LINK_UP};

    for (size_t i = 0; i < ARRAY_SIZE(order); i++) {
        int rc = parts & order[i] ? set_part(conn, ifindex, want, order[i], err) : 0;

        if (rc < 0)
            return rc;
    }
    return 0;
}

static int build_make(const struct net_link *want, struct nl_msg **out)
{
    _cleanup_(net_msg_freep) struct nl_msg *msg = NULL;
    struct ifinfomsg ifi = {.ifi_family = AF_UNSPEC};
    struct nlattr *info;
    int rc;

    msg = net_msg_new(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, &ifi, sizeof(ifi));
    if (!msg)
        return -ENOMEM;
    rc = nla_put_string(msg, IFLA_IFNAME, want->name);
    rc |= nla_put_u32(msg, IFLA_GROUP, want->group);
    if (want->mtu)
        rc |= nla_put_u32(msg, IFLA_MTU, want->mtu);
    info = nla_nest_start(msg, IFLA_LINKINFO);
    if (!info || rc < 0 || nla_put_string(msg, IFLA_INFO_KIND, want->kind) < 0)
        return -EMSGSIZE;
    nla_nest_end(msg, info);
    *out = TAKE(msg);
    return 0;
}

int net_link_make(struct net_conn *conn, const struct net_link *want, struct err *err)
{
    _cleanup_(net_msg_freep) struct nl_msg *msg = NULL;
    struct net_link made = {0};
    int rc;

    if (!net_ifname_valid(want->name))
        return err_set(err, -EINVAL, "\"%.32s\" cannot be the name of a network device",
                       want->name);
    rc = build_make(want, &msg);
    if (rc < 0)
        return err_set(err, rc, "device %s: out of memory", want->name);
    rc = net_request(conn, msg, err);
    if (rc == -EOPNOTSUPP)
        return err_set(err, rc, "device %s: this kernel has no devices of kind %s (modprobe %s)",
                       want->name, want->kind, want->kind);
    if (rc < 0)
        return err_prefix(err, rc, "device %s: cannot make it: ", want->name);
    rc = net_link_get(conn, want->name, &made, err);
    return rc < 0 ? rc : net_link_set(conn, made.ifindex, want, net_link_diff(want, &made), err);
}

int net_link_build_del(uint32_t ifindex, struct nl_msg **msg, struct err *err)
{
    struct ifinfomsg ifi = {.ifi_family = AF_UNSPEC, .ifi_index = (int)ifindex};

    /* Index 0 names no device; the kernel would look for other marks and may remove a group. */
    if (ifindex == 0)
        return err_set(err, -EINVAL, "cannot remove a device without its index");
    *msg = net_msg_new(RTM_DELLINK, 0, &ifi, sizeof(ifi));
    return *msg ? 0 : err_set(err, -ENOMEM, "device #%u: out of memory", ifindex);
}

int net_link_del(struct net_conn *conn, uint32_t ifindex, struct err *err)
{
    _cleanup_(net_msg_freep) struct nl_msg *msg = NULL;
    int rc = net_link_build_del(ifindex, &msg, err);

    if (rc < 0)
        return rc;
    rc = net_request(conn, msg, err);
    if (rc == -ENODEV)
        return 0;
    return rc < 0 ? err_prefix(err, rc, "device #%u: cannot remove: ", ifindex) : 0;
}

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

static int link_parse(const struct nlmsghdr *nlh, void *ctx)
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
    *(struct net_link *)ctx = link;
    return 0;
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
    rc = net_query(conn, msg, link_parse, &link, err);
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

static int set_part(struct net_conn *conn, uint32_t ifindex, const struct net_link *want,
                    enum net_link_part part, struct err *err)
{
    _cleanup_(net_msg_freep) struct nl_msg *msg = NULL;
    struct ifinfomsg ifi = {.ifi_family = AF_UNSPEC, .ifi_index = (int)ifindex};
    const char *what = "";
    int rc = 0;

    if (part == NET_LINK_UP) {
        ifi.ifi_change = IFF_UP;
        ifi.ifi_flags = want->up ? IFF_UP : 0;
    }
    msg = net_msg_new(RTM_SETLINK, 0, &ifi, sizeof(ifi));
    if (!msg)
        return err_set(err, -ENOMEM, "device %s: out of memory", want->name);
    switch (part) {
    case NET_LINK_MTU:
        what = "MTU";
        rc = nla_put_u32(msg, IFLA_MTU, want->mtu);
        break;
    case NET_LINK_ALIAS:
        what = "alias";
        rc = put_alias(msg, want->alias);
        break;
    case NET_LINK_IP6LL:
        what = "addrgenmode";
        rc = put_ip6ll(msg, want->ip6ll);
        break;
    case NET_LINK_UP:
        what = want->up ? "up" : "down";
        break;
    }
    if (rc < 0)
        return err_set(err, -EMSGSIZE, "device %s: cannot build the request", want->name);
    rc = net_request(conn, msg, err);
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

int net_link_del(struct net_conn *conn, uint32_t ifindex, struct err *err)
{
    _cleanup_(net_msg_freep) struct nl_msg *msg = NULL;
    struct ifinfomsg ifi = {.ifi_family = AF_UNSPEC, .ifi_index = (int)ifindex};
    int rc;

    /* Index 0 names no device; the kernel would look for other marks and may remove a group. */
    if (ifindex == 0)
        return err_set(err, -EINVAL, "cannot remove a device without its index");
    msg = net_msg_new(RTM_DELLINK, 0, &ifi, sizeof(ifi));
    if (!msg)
        return err_set(err, -ENOMEM, "device #%u: out of memory", ifindex);
    rc = net_request(conn, msg, err);
    if (rc == -ENODEV)
        return 0;
    return rc < 0 ? err_prefix(err, rc, "device #%u: cannot remove: ", ifindex) : 0;
}

/* Addresses of devices. */
#include "netlink/addr.h"

#include <errno.h>
#include <linux/if_addr.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <netlink/attr.h>
#include <netlink/msg.h>

#include "common/cleanup.h"
#include "netlink/conn.h"
#include "netlink/msg.h"

/* IFA_PROTO came with Linux 5.18; the headers of older distributions lack the name. */
#define ADDR_ATTR_PROTO 11

struct addr_dump {
    uint8_t family;
    uint32_t ifindex;
    net_addr_each *each;
    void *ctx;
};

static int parse_attr(const struct nlattr *attr, uint8_t family, struct net_addr *addr,
                      struct ip_addr *local, struct ip_addr *far)
{
    uint32_t flags;

    switch (nla_type(attr)) {
    case IFA_LOCAL:
        return net_attr_ip(attr, family, local);
    case IFA_ADDRESS:
        return net_attr_ip(attr, family, far);
    case IFA_FLAGS:
        if (net_attr_u32(attr, &flags) < 0)
            return -EBADMSG;
        addr->no_prefix_route = flags & IFA_F_NOPREFIXROUTE;
        return 0;
    case ADDR_ATTR_PROTO:
        return net_attr_u8(attr, &addr->protocol);
    default:
        return 0;
    }
}

/*
 * IFA_ADDRESS is the far end of a point-to-point pair and IFA_LOCAL ours; where there is no pair
 * IPv4 sends both, equal, and IPv6 only IFA_ADDRESS.
 */
int net_addr_parse(const struct nlmsghdr *nlh, struct net_addr *out)
{
    struct net_addr addr = {0};
    struct ip_addr local = {0}, far = {0};
    const struct ifaddrmsg *ifa;
    struct nlattr *attr;
    uint8_t family;
    int left;

    if (nlh->nlmsg_type != RTM_NEWADDR || !nlmsg_valid_hdr(nlh, sizeof(*ifa)))
        return -EBADMSG;
    ifa = nlmsg_data(nlh);
    family = net_family(ifa->ifa_family);
    nlmsg_for_each_attr(attr, nlh, sizeof(*ifa), left)
    {
        if (parse_attr(attr, family, &addr, &local, &far) < 0)
            return -EBADMSG;
    }
    addr.ifindex = ifa->ifa_index;
    addr.prefix.addr = local.family ? local : far;
    addr.prefix.len = ifa->ifa_prefixlen;
    addr.has_peer = local.family && far.family && !(ip_addr_equal(&local, &far));
    if (addr.prefix.addr.family == 0 || addr.prefix.len > ip_addr_bits(&addr.prefix.addr))
        return -EBADMSG;
    *out = addr;
    return 0;
}

static int dump_one(const struct nlmsghdr *nlh, void *ctx)
{
    const struct addr_dump *dump = ctx;
    struct net_addr addr;
    int rc = net_addr_parse(nlh, &addr);

    if (rc < 0)
        return rc;
    /* Kernels without strict checking send more than was asked for. */
    if ((dump->family && addr.prefix.addr.family != dump->family) ||
        (dump->ifindex && addr.ifindex != dump->ifindex))
        return 0;
    return dump->each(&addr, dump->ctx);
}

int net_addr_dump(struct net_conn *conn, uint8_t family, uint32_t ifindex, net_addr_each *each,
                  void *ctx, struct err *err)
{
    _cleanup_(net_msg_freep) struct nl_msg *msg = NULL;
    struct addr_dump dump = {.family = family, .ifindex = ifindex, .each = each, .ctx = ctx};
    struct ifaddrmsg ifa = {.ifa_family = net_af(family), .ifa_index = ifindex};
    int rc;

    msg = net_msg_new(RTM_GETADDR, 0, &ifa, sizeof(ifa));
    if (!msg)
        return err_set(err, -ENOMEM, "reading addresses: out of memory");
    rc = net_dump(conn, msg, 0, dump_one, &dump, err);
    if (rc == -EBADMSG)
        return err_set(err, rc, "reading addresses: the kernel's description is malformed");
    return rc < 0 ? err_prefix(err, rc, "reading addresses: ") : rc;
}

int net_addr_build(enum net_verb verb, const struct net_addr *addr, struct nl_msg **out,
                   struct err *err)
{
    static const int flags[] = {[NET_CREATE] = NLM_F_CREATE | NLM_F_EXCL,
                                [NET_CHANGE] = NLM_F_CREATE | NLM_F_REPLACE,
                                [NET_DELETE] = 0};
    _cleanup_(net_msg_freep) struct nl_msg *msg = NULL;
    struct ifaddrmsg ifa = {
        .ifa_family = net_af(addr->prefix.addr.family),
        .ifa_prefixlen = addr->prefix.len,
        .ifa_scope = RT_SCOPE_UNIVERSE,
        .ifa_index = addr->ifindex,
    };
    bool put = verb != NET_DELETE;
    int rc;

    if (ifa.ifa_family == AF_UNSPEC || addr->ifindex == 0)
        return err_set(err, -EINVAL, "an address needs a family and a device");
    msg = net_msg_new(put ? RTM_NEWADDR : RTM_DELADDR, flags[verb], &ifa, sizeof(ifa));
    if (!msg)
        return err_set(err, -ENOMEM, "out of memory");
    rc = net_msg_put_ip(msg, IFA_LOCAL, &addr->prefix.addr);
    /* Not for one that has a peer: there this is the peer's. */
    if (put || !addr->has_peer)
        rc |= net_msg_put_ip(msg, IFA_ADDRESS, &addr->prefix.addr);
    if (put && addr->no_prefix_route)
        rc |= nla_put_u32(msg, IFA_FLAGS, IFA_F_NOPREFIXROUTE);
    if (put && addr->protocol)
        rc |= nla_put_u8(msg, ADDR_ATTR_PROTO, addr->protocol);
    if (rc < 0)
        return err_set(err, -EMSGSIZE, "cannot build the request");
    *out = TAKE(msg);
    return 0;
}

static int addr_send(struct net_conn *conn, enum net_verb verb, const struct net_addr *addr,
                     struct err *err)
{
    _cleanup_(net_msg_freep) struct nl_msg *msg = NULL;
    int rc = net_addr_build(verb, addr, &msg, err);

    return rc < 0 ? rc : net_request(conn, msg, err);
}

struct addr_search {
    const struct net_addr *want;
    struct net_addr found;
};

static int search_one(const struct net_addr *addr, void *ctx)
{
    struct addr_search *search = ctx;

    if (net_addr_cmp_id(addr, search->want) != 0)
        return 0;
    search->found = *addr;
    return 1;
}

/* Return: 1 found, 0 not there, or -errno. */
static int addr_find(struct net_conn *conn, const struct net_addr *want, struct net_addr *out,
                     struct err *err)
{
    struct addr_search search = {.want = want};
    int rc = net_addr_dump(conn, want->prefix.addr.family, want->ifindex, search_one, &search, err);

    if (rc == 1)
        *out = search.found;
    return rc;
}

/* What is there already has the same identity: keep it, change it, or as the last resort swap. */
static int addr_make_equal(struct net_conn *conn, const struct net_addr *want, struct err *err)
{
    struct net_addr have = {0};
    struct net_addr unmarked = *want;
    int rc = addr_find(conn, want, &have, err);

    if (rc == 1 && net_addr_same(want, &have))
        return 0;
    if (rc >= 0)
        rc = addr_send(conn, NET_CHANGE, want, err);
    /* REPLACE reports success and leaves alone what it cannot change: look again. */
    if (rc == 0)
        rc = addr_find(conn, want, &have, err);
    unmarked.protocol = 0;
    if (rc == 1 && (net_addr_same(want, &have) || net_addr_same(&unmarked, &have)))
        return 0;
    if (rc == 1)
        rc = addr_send(conn, NET_DELETE, &have, err);
    if (rc >= 0)
        rc = addr_send(conn, NET_CHANGE, want, err);
    return rc;
}

/* Errors name the device, as far as it still has a name. */
static int addr_fail(const struct net_addr *addr, const char *verb, int rc, struct err *err)
{
    char dev[IF_NAMESIZE], text[NET_FORMAT_SIZE];

    return err_prefix(err, rc, "cannot %s address %s: ", verb,
                      net_addr_format(addr, if_indextoname(addr->ifindex, dev), text));
}

int net_addr_put(struct net_conn *conn, const struct net_addr *addr, struct err *err)
{
    int rc = addr_send(conn, NET_CREATE, addr, err);

    if (rc == -EEXIST)
        rc = addr_make_equal(conn, addr, err);
    return rc < 0 ? addr_fail(addr, "set", rc, err) : 0;
}

int net_addr_del(struct net_conn *conn, const struct net_addr *addr, struct err *err)
{
    int rc = addr_send(conn, NET_DELETE, addr, err);

    if (rc == -EADDRNOTAVAIL || rc == -ENODEV)
        return 0;
    return rc < 0 ? addr_fail(addr, "remove", rc, err) : 0;
}

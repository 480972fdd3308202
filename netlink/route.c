/*
 * Routes over devices and gateways, and routes that refuse.
 *
 * Theory of operation: the kernel would let us do more than we want.  CREATE without EXCL adds a
 * second route beside the first; REPLACE replaces whatever route has the identity, other people's
 * too; a delete with metric 0 takes the IPv4 route of any metric.  So a put first tries EXCL, which
 * is one message in the usual case, and looks at who is there only when the kernel says EEXIST.
 */
#include "netlink/route.h"

#include <errno.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <netlink/attr.h>
#include <netlink/msg.h>

#include "common/cleanup.h"
#include "netlink/conn.h"
#include "netlink/msg.h"

struct route_dump {
    struct net_route_filter filter;
    uint8_t family; /* the one that is read now */
    net_route_each *each;
    void *ctx;
};

static const uint8_t kernel_types[] = {
    [NET_ROUTE_UNICAST] = RTN_UNICAST,
    [NET_ROUTE_UNREACHABLE] = RTN_UNREACHABLE,
    [NET_ROUTE_BLACKHOLE] = RTN_BLACKHOLE,
    [NET_ROUTE_PROHIBIT] = RTN_PROHIBIT,
};

static enum net_route_type type_of(uint8_t rtm_type)
{
    for (size_t i = 0; i < ARRAY_SIZE(kernel_types); i++) {
        if (kernel_types[i] == rtm_type)
            return (enum net_route_type)i;
    }
    return NET_ROUTE_OTHER;
}

static int parse_attr(const struct nlattr *attr, uint8_t family, struct net_route *route)
{
    switch (nla_type(attr)) {
    case RTA_DST:
        return net_attr_ip(attr, family, &route->dst.addr);
    case RTA_TABLE:
        return net_attr_u32(attr, &route->table);
    case RTA_PRIORITY:
        return net_attr_u32(attr, &route->metric);
    case RTA_OIF:
        return net_attr_u32(attr, &route->ifindex);
    case RTA_GATEWAY:
        return net_attr_ip(attr, family, &route->via);
    case RTA_PREFSRC:
        return net_attr_ip(attr, family, &route->src);
    case RTA_VIA:
    case RTA_MULTIPATH:
    case RTA_NH_ID:
    case RTA_ENCAP:
    case RTA_METRICS:
        route->has_more = true;
        return 0;
    default:
        return 0;
    }
}

int net_route_parse(const struct nlmsghdr *nlh, struct net_route *out)
{
    struct net_route route = {0};
    const struct rtmsg *rtm;
    struct nlattr *attr;
    uint8_t family;
    int left;

    if (nlh->nlmsg_type != RTM_NEWROUTE || !nlmsg_valid_hdr(nlh, sizeof(*rtm)))
        return -EBADMSG;
    rtm = nlmsg_data(nlh);
    family = net_family(rtm->rtm_family);
    /* A dump of all families also brings multicast routes, under families of their own. */
    if (family == 0 || rtm->rtm_flags & RTM_F_CLONED || rtm->rtm_tos || rtm->rtm_src_len)
        return 1;
    route.dst.addr.family = family;
    route.dst.len = rtm->rtm_dst_len;
    route.table = rtm->rtm_table;
    route.protocol = rtm->rtm_protocol;
    route.type = type_of(rtm->rtm_type);
    if (route.dst.len > ip_addr_bits(&route.dst.addr))
        return -EBADMSG;
    nlmsg_for_each_attr(attr, nlh, sizeof(*rtm), left)
    {
        if (parse_attr(attr, family, &route) < 0)
            return -EBADMSG;
    }
    /* IPv6 hangs routes that refuse on the loopback device. */
    if (route.type != NET_ROUTE_UNICAST && route.type != NET_ROUTE_OTHER)
        route.ifindex = 0;
    *out = route;
    return 0;
}

static int dump_one(const struct nlmsghdr *nlh, void *ctx)
{
    const struct route_dump *dump = ctx;
    struct net_route route;
    int rc = net_route_parse(nlh, &route);

    if (rc != 0)
        return rc < 0 ? rc : 0;
    /* Kernels without strict checking send more than was asked for; without IPv6 all of IPv4's. */
    if (route.dst.addr.family != dump->family ||
        (dump->filter.table && route.table != dump->filter.table) ||
        (dump->filter.protocol && route.protocol != dump->filter.protocol))
        return 0;
    return dump->each(&route, dump->ctx);
}

/* The header has one byte for the table; the attribute holds it whole. */
static uint8_t short_table(uint32_t table)
{
    return table <= UINT8_MAX ? (uint8_t)table : RT_TABLE_UNSPEC;
}

/* A change of a route that is not shown is none; but what takes another's place may be. */
static bool concerns_dump(const struct nlmsghdr *nlh, const void *ctx)
{
    const struct route_dump *dump = ctx;
    const struct rtmsg *rtm = nlmsg_data(nlh);

    if (!nlmsg_valid_hdr(nlh, sizeof(*rtm)) || nlh->nlmsg_flags & NLM_F_REPLACE)
        return true;
    return dump->filter.protocol == 0 || rtm->rtm_protocol == dump->filter.protocol;
}

static int dump_family(struct net_conn *conn, struct route_dump *dump, uint8_t family,
                       struct err *err)
{
    _cleanup_(net_msg_freep) struct nl_msg *msg = NULL;
    struct rtmsg rtm = {
        .rtm_family = net_af(family),
        .rtm_table = short_table(dump->filter.table),
        .rtm_protocol = dump->filter.protocol,
    };
    const struct net_watch watch = {
        .group = family == 6 ? RTNLGRP_IPV6_ROUTE : RTNLGRP_IPV4_ROUTE,
        .concerns = concerns_dump,
        .ctx = dump,
    };
    int rc;

    dump->family = family;
    msg = net_msg_new(RTM_GETROUTE, 0, &rtm, sizeof(rtm));
    if (!msg || (dump->filter.table && nla_put_u32(msg, RTA_TABLE, dump->filter.table) < 0))
        return err_set(err, -ENOMEM, "reading routes: out of memory");
    rc = net_dump_watch(conn, msg, &watch, dump_one, dump, err);
    /* A table comes to be with its first route: not there means empty. */
    if (rc == -ENOENT)
        return 0;
    if (rc == -EBADMSG)
        return err_set(err, rc, "reading routes: the kernel's description is malformed");
    return rc < 0 ? err_prefix(err, rc, "reading routes: ") : rc;
}

int net_route_dump(struct net_conn *conn, const struct net_route_filter *filter,
                   net_route_each *each, void *ctx, struct err *err)
{
    struct route_dump dump = {.filter = *filter, .each = each, .ctx = ctx};
    int rc = 0;

    /* One family at a time: the error of one does not hide the other's routes. */
    if (filter->family != 6)
        rc = dump_family(conn, &dump, 4, err);
    if (rc == 0 && filter->family != 4)
        rc = dump_family(conn, &dump, 6, err);
    return rc;
}

static bool route_complete(const struct net_route *route)
{
    bool goes_out = route->ifindex != 0 || route->via.family != 0;
    uint8_t family = route->dst.addr.family;

    return net_af(family) != AF_UNSPEC && route->table != 0 && route->type != NET_ROUTE_OTHER &&
           !route->has_more && (route->type == NET_ROUTE_UNICAST) == goes_out &&
           (route->via.family == 0 || route->via.family == family) &&
           (route->src.family == 0 || route->src.family == family);
}

/* What says which way it goes; to remove a route this is more than is needed, so it is exact. */
static int put_way(struct nl_msg *msg, const struct net_route *route)
{
    int rc = 0;

    if (route->ifindex)
        rc |= nla_put_u32(msg, RTA_OIF, route->ifindex);
    if (route->via.family)
        rc |= net_msg_put_ip(msg, RTA_GATEWAY, &route->via);
    if (route->src.family)
        rc |= net_msg_put_ip(msg, RTA_PREFSRC, &route->src);
    return rc;
}

static uint8_t route_scope(enum net_verb verb, const struct net_route *route)
{
    if (verb == NET_DELETE)
        return RT_SCOPE_NOWHERE; /* any */
    return route->type == NET_ROUTE_UNICAST && !route->via.family ? RT_SCOPE_LINK
                                                                  : RT_SCOPE_UNIVERSE;
}

int net_route_build(enum net_verb verb, const struct net_route *route, struct nl_msg **out,
                    struct err *err)
{
    static const int flags[] = {[NET_CREATE] = NLM_F_CREATE | NLM_F_EXCL,
                                [NET_CHANGE] = NLM_F_CREATE | NLM_F_REPLACE,
                                [NET_DELETE] = 0};
    _cleanup_(net_msg_freep) struct nl_msg *msg = NULL;
    struct rtmsg rtm = {
        .rtm_family = net_af(route->dst.addr.family),
        .rtm_dst_len = route->dst.len,
        .rtm_table = short_table(route->table),
        .rtm_protocol = route->protocol,
        .rtm_scope = route_scope(verb, route),
    };
    bool known = route_complete(route);
    int rc = 0;

    /* One that we would never write can only be removed. */
    if (!known && (verb != NET_DELETE || rtm.rtm_family == AF_UNSPEC || route->table == 0))
        return err_set(err, -EINVAL,
                       "a route needs a family, a table and, to go out, a device or a gateway");
    if (known)
        rtm.rtm_type = kernel_types[route->type];
    msg = net_msg_new(verb == NET_DELETE ? RTM_DELROUTE : RTM_NEWROUTE, flags[verb], &rtm,
                      sizeof(rtm));
    if (!msg)
        return err_set(err, -ENOMEM, "out of memory");
    if (route->dst.len > 0)
        rc |= net_msg_put_ip(msg, RTA_DST, &route->dst.addr);
    rc |= nla_put_u32(msg, RTA_TABLE, route->table);
    rc |= nla_put_u32(msg, RTA_PRIORITY, net_route_metric(route));
    if (known)
        rc |= put_way(msg, route);
    if (rc < 0)
        return err_set(err, -EMSGSIZE, "cannot build the request");
    *out = TAKE(msg);
    return 0;
}

static int route_send(struct net_conn *conn, enum net_verb verb, const struct net_route *route,
                      struct err *err)
{
    _cleanup_(net_msg_freep) struct nl_msg *msg = NULL;
    int rc = net_route_build(verb, route, &msg, err);

    return rc < 0 ? rc : net_request(conn, msg, err);
}

struct route_search {
    const struct net_route *want;
    struct net_route found;
};

static int search_one(const struct net_route *route, void *ctx)
{
    struct route_search *search = ctx;

    if (net_route_cmp_id(route, search->want) != 0)
        return 0;
    search->found = *route;
    return 1;
}

/* Return: 1 found (the first, which is the one the kernel would replace), 0 not there, -errno. */
static int route_find(struct net_conn *conn, const struct net_route *want, uint8_t protocol,
                      struct net_route *out, struct err *err)
{
    struct route_search search = {.want = want};
    struct net_route_filter filter = {.family = want->dst.addr.family,
                                      .table = want->table,
                                      .protocol = protocol};
    int rc = net_route_dump(conn, &filter, search_one, &search, err);

    if (rc == 1)
        *out = search.found;
    return rc;
}

/* Something is there already: leave it, replace it, or refuse because it is not ours. */
static int route_make_equal(struct net_conn *conn, const struct net_route *want, struct err *err)
{
    struct net_route have = {0};
    char dev[IF_NAMESIZE], text[NET_FORMAT_SIZE];
    int rc = route_find(conn, want, 0, &have, err);

    if (rc < 0)
        return rc;
    if (rc == 1 && have.protocol != want->protocol)
        return err_set(err, -EEXIST, "a route of somebody else is in its place: %s",
                       net_route_format(&have, if_indextoname(have.ifindex, dev), text));
    if (rc == 1 && net_route_same(want, &have))
        return 0;
    return route_send(conn, NET_CHANGE, want, err);
}

/* The route as the kernel keeps it: the network without host bits. */
static struct net_route route_network(const struct net_route *route)
{
    struct net_route out = *route;

    out.dst = ip_prefix_network(route->dst);
    return out;
}

/* Errors name the device, as far as it still has a name. */
static int route_fail(const struct net_route *route, const char *verb, int rc, struct err *err)
{
    char dev[IF_NAMESIZE], text[NET_FORMAT_SIZE];

    return err_prefix(err, rc, "cannot %s route %s: ", verb,
                      net_route_format(route, if_indextoname(route->ifindex, dev), text));
}

int net_route_put(struct net_conn *conn, const struct net_route *route, struct err *err)
{
    struct net_route want = route_network(route);
    int rc = route_send(conn, NET_CREATE, &want, err);

    if (rc == -EEXIST)
        rc = route_make_equal(conn, &want, err);
    return rc < 0 ? route_fail(route, "set", rc, err) : 0;
}

int net_route_del(struct net_conn *conn, const struct net_route *route, struct err *err)
{
    struct net_route want = route_network(route);
    struct net_route have;
    int rc = 1;

    /* To the kernel metric 0 in a delete means any metric. */
    if (net_route_metric(&want) == 0)
        rc = route_find(conn, &want, want.protocol, &have, err);
    if (rc == 1)
        rc = route_send(conn, NET_DELETE, &want, err);
    if (rc == -ESRCH || rc == -ENOENT || rc == -ENODEV)
        return 0;
    return rc < 0 ? route_fail(route, "remove", rc, err) : 0;
}

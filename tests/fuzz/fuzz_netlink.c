/*
 * Any message through the readers of every noun of rtnetlink: what comes out is well-formed, can be
 * written for people, and what we would send for it reads the same once more.
 *
 * The first byte says which reader; the message's header says what that reader expects.
 */
#include <linux/rtnetlink.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <netlink/msg.h>

#include "netlink/addr.h"
#include "netlink/class.h"
#include "netlink/filter.h"
#include "netlink/link.h"
#include "netlink/msg.h"
#include "netlink/noun.h"
#include "netlink/qdisc.h"
#include "netlink/route.h"
#include "netlink/rule.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(int holds)
{
    if (!holds)
        abort();
}

/* Text with its end in it, and an identity that equals itself. */
static void check(const struct net_object *object)
{
    char text[NET_FORMAT_SIZE];

    require(memchr(net_object_format(object, text), 0, sizeof(text)) != NULL);
    require(net_object_cmp_id(object, object) == 0);
}

static void check_link(const struct nlmsghdr *nlh)
{
    struct net_object object = {.kind = NET_KIND_LINK};

    if (net_link_parse(nlh, &object.link) < 0)
        return;
    require(object.link.ifindex > 0);
    require(memchr(object.link.name, 0, sizeof(object.link.name)) != NULL);
    require(memchr(object.link.alias, 0, sizeof(object.link.alias)) != NULL);
    require(net_link_diff(&object.link, &object.link) == 0);
    check(&object);
}

static void check_addr(const struct nlmsghdr *nlh)
{
    struct net_object object = {.kind = NET_KIND_ADDR};
    struct net_addr again;
    struct nl_msg *msg;

    if (net_addr_parse(nlh, &object.addr) < 0)
        return;
    check(&object);
    if (object.addr.has_peer || net_addr_build(NET_CREATE, &object.addr, &msg, NULL) < 0)
        return;
    require(net_addr_parse(nlmsg_hdr(msg), &again) == 0);
    require(net_addr_cmp_id(&object.addr, &again) == 0 && net_addr_same(&object.addr, &again));
    nlmsg_free(msg);
}

static void check_route(const struct nlmsghdr *nlh)
{
    struct net_object object = {.kind = NET_KIND_ROUTE};
    struct net_route again;
    struct nl_msg *msg;

    if (net_route_parse(nlh, &object.route) != 0)
        return;
    check(&object);
    if (net_route_build(NET_CREATE, &object.route, &msg, NULL) < 0)
        return;
    require(net_route_parse(nlmsg_hdr(msg), &again) == 0);
    require(net_route_cmp_id(&object.route, &again) == 0 && net_route_same(&object.route, &again));
    nlmsg_free(msg);
}

static void check_rule(const struct nlmsghdr *nlh)
{
    struct net_object object = {.kind = NET_KIND_RULE};
    struct net_rule again;
    struct nl_msg *msg;

    if (net_rule_parse(nlh, &object.rule) < 0)
        return;
    check(&object);
    if (net_rule_build(NET_CREATE, &object.rule, &msg, NULL) < 0)
        return;
    require(net_rule_parse(nlmsg_hdr(msg), &again) == 0);
    require(net_rule_cmp_id(&object.rule, &again) == 0);
    nlmsg_free(msg);
}

static void check_qdisc(const struct nlmsghdr *nlh)
{
    struct net_object object = {.kind = NET_KIND_QDISC};
    struct net_tc_stats stats;

    if (net_qdisc_parse(nlh, &object.qdisc, &stats) == 0)
        check(&object);
}

static void check_class(const struct nlmsghdr *nlh)
{
    struct net_object object = {.kind = NET_KIND_CLASS};
    struct net_tc_stats stats;

    if (net_class_parse(nlh, &object.cls, &stats) == 0)
        check(&object);
}

static void check_filter(const struct nlmsghdr *nlh)
{
    struct net_object object = {.kind = NET_KIND_FILTER};

    if (net_filter_parse(nlh, &object.filter) == 0)
        check(&object);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct {
        uint16_t type;
        void (*check)(const struct nlmsghdr *nlh);
    } readers[] = {
        {RTM_NEWLINK, check_link},      {RTM_NEWADDR, check_addr},   {RTM_NEWROUTE, check_route},
        {RTM_NEWRULE, check_rule},      {RTM_NEWQDISC, check_qdisc}, {RTM_NEWTCLASS, check_class},
        {RTM_NEWTFILTER, check_filter},
    };
    size_t n = sizeof(readers) / sizeof(readers[0]), which;
    struct nlmsghdr *nlh;

    if (size < 1)
        return 0;
    which = data[0] % n;
    /* The connection hands on messages whose length it has checked. */
    nlh = calloc(1, NLMSG_LENGTH(size - 1));
    require(nlh != NULL);
    nlh->nlmsg_len = (uint32_t)NLMSG_LENGTH(size - 1);
    nlh->nlmsg_type = readers[which].type;
    memcpy(NLMSG_DATA(nlh), data + 1, size - 1);
    readers[which].check(nlh);
    free(nlh);
    return 0;
}

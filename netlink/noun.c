/* What the engine asks about an object, whatever its kind; see noun.h. */
#include "netlink/noun.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- links ----------------------------------------------------------------------------------- */

static int link_cmp(const struct net_object *a, const struct net_object *b)
{
    return net_link_cmp_id(&a->link, &b->link);
}

static bool link_same(const struct net_object *want, const struct net_object *have)
{
    return strcmp(want->link.kind, have->link.kind) == 0 &&
           net_link_diff(&want->link, &have->link) == 0;
}

static bool link_in_place(const struct net_object *want, const struct net_object *have)
{
    return strcmp(want->link.kind, have->link.kind) == 0;
}

/* The noun before the text of formatters that leave it out. */
static const char *with_noun(const char *noun, const char *text, char *buf)
{
    snprintf(buf, NET_FORMAT_SIZE, "%s %.*s", noun, NET_FORMAT_SIZE - 16, text);
    return buf;
}

static const char *link_format(const struct net_object *object, char *buf)
{
    char text[NET_FORMAT_SIZE];

    return with_noun("link", net_link_format(&object->link, text), buf);
}

static uint32_t *link_ifindex(struct net_object *object)
{
    return &object->link.ifindex;
}

static void link_normalize(struct net_object *object)
{
    memcpy(object->dev, object->link.name, sizeof(object->dev));
}

/* ---- settings -------------------------------------------------------------------------------- */

static int setting_cmp(const struct net_object *a, const struct net_object *b)
{
    return strcmp(a->setting.path, b->setting.path);
}

static bool setting_same(const struct net_object *want, const struct net_object *have)
{
    return strcmp(want->setting.value, have->setting.value) == 0;
}

static const char *setting_format(const struct net_object *object, char *buf)
{
    snprintf(buf, NET_FORMAT_SIZE, "setting %s = %s", object->setting.path, object->setting.value);
    return buf;
}

/* The device in "ipv4/conf/tun0/rp_filter", which has the setting and takes it along. */
static void setting_normalize(struct net_object *object)
{
    const char *path = object->setting.path;
    size_t len;

    object->dev[0] = '\0';
    if (strncmp(path, "ipv4/conf/", 10) != 0 && strncmp(path, "ipv6/conf/", 10) != 0)
        return;
    path += 10;
    len = strcspn(path, "/");
    if (path[len] == '\0' || len >= sizeof(object->dev))
        return;
    memcpy(object->dev, path, len);
    object->dev[len] = '\0';
    if (!net_ifname_valid(object->dev) || strcmp(object->dev, "all") == 0 ||
        strcmp(object->dev, "default") == 0)
        object->dev[0] = '\0';
}

/* ---- addresses ------------------------------------------------------------------------------- */

/* On which device is said by its name alone: what is wanted may not know the index yet. */
static int addr_cmp(const struct net_object *a, const struct net_object *b)
{
    struct net_addr there = b->addr;
    int order = strcmp(a->dev, b->dev);

    there.ifindex = a->addr.ifindex;
    return order ? order : net_addr_cmp_id(&a->addr, &there);
}

/* Kernels before 5.18 keep no mark: on our own device an address without one is ours as well. */
static bool addr_same(const struct net_object *want, const struct net_object *have)
{
    struct net_addr marked = have->addr;

    if (marked.protocol == 0)
        marked.protocol = want->addr.protocol;
    return net_addr_same(&want->addr, &marked);
}

/* A REPLACE reports success and leaves these alone. */
static bool addr_in_place(const struct net_object *want, const struct net_object *have)
{
    return want->addr.prefix.len == have->addr.prefix.len && !have->addr.has_peer &&
           (want->addr.prefix.addr.family == 6 ||
            want->addr.no_prefix_route == have->addr.no_prefix_route);
}

static const char *addr_format(const struct net_object *object, char *buf)
{
    char text[NET_FORMAT_SIZE];

    return with_noun("address", net_addr_format(&object->addr, object->dev, text), buf);
}

static uint32_t *addr_ifindex(struct net_object *object)
{
    return &object->addr.ifindex;
}

/* ---- routes ---------------------------------------------------------------------------------- */

static int route_cmp(const struct net_object *a, const struct net_object *b)
{
    return net_route_cmp_id(&a->route, &b->route);
}

static bool route_same(const struct net_object *want, const struct net_object *have)
{
    bool any_dev = want->route.via.family && !want->dev[0];
    struct net_route there = have->route;

    there.ifindex = want->route.ifindex;
    return net_route_same(&want->route, &there) && (any_dev || strcmp(want->dev, have->dev) == 0);
}

static const char *route_format(const struct net_object *object, char *buf)
{
    char text[NET_FORMAT_SIZE];

    return with_noun("route",
                     net_route_format(&object->route, object->dev[0] ? object->dev : NULL, text),
                     buf);
}

static uint32_t *route_ifindex(struct net_object *object)
{
    return &object->route.ifindex;
}

static void route_normalize(struct net_object *object)
{
    object->route.dst = ip_prefix_network(object->route.dst);
}

/* ---- rules ----------------------------------------------------------------------------------- */

static int rule_cmp(const struct net_object *a, const struct net_object *b)
{
    return net_rule_cmp_id(&a->rule, &b->rule);
}

static bool rule_same(const struct net_object *want, const struct net_object *have)
{
    return net_rule_cmp_id(&want->rule, &have->rule) == 0;
}

static const char *rule_format(const struct net_object *object, char *buf)
{
    char text[NET_FORMAT_SIZE];

    return with_noun("rule", net_rule_format(&object->rule, text), buf);
}

static void rule_normalize(struct net_object *object)
{
    object->rule.from = ip_prefix_network(object->rule.from);
    object->rule.to = ip_prefix_network(object->rule.to);
}

/* ---- the firewall ---------------------------------------------------------------------------- */

static int firewall_cmp(const struct net_object *a, const struct net_object *b)
{
    return net_firewall_cmp_id(a->firewall, b->firewall);
}

static bool firewall_same(const struct net_object *want, const struct net_object *have)
{
    return net_firewall_same(want->firewall, have->firewall);
}

static const char *firewall_format(const struct net_object *object, char *buf)
{
    char text[NET_FW_FORMAT_SIZE];

    snprintf(buf, NET_FORMAT_SIZE, "%.*s", NET_FORMAT_SIZE - 1,
             net_firewall_format(object->firewall, text));
    return buf;
}

static int firewall_own(struct net_object *object)
{
    struct net_firewall *copy = calloc(1, sizeof(*copy));

    if (!copy || net_firewall_copy(copy, object->firewall) < 0) {
        free(copy);
        return -ENOMEM;
    }
    object->firewall = copy;
    return 0;
}

static void firewall_clear(struct net_object *object)
{
    net_firewall_clear(object->firewall);
    free(object->firewall);
}

/* ---- traffic control ------------------------------------------------------------------------- */

static int qdisc_cmp(const struct net_object *a, const struct net_object *b)
{
    struct net_qdisc there = b->qdisc;
    int order = strcmp(a->dev, b->dev);

    there.ifindex = a->qdisc.ifindex;
    return order ? order : net_qdisc_cmp_id(&a->qdisc, &there);
}

static bool qdisc_same(const struct net_object *want, const struct net_object *have)
{
    return net_qdisc_diff(&want->qdisc, &have->qdisc) == NET_TC_SAME;
}

static bool qdisc_in_place(const struct net_object *want, const struct net_object *have)
{
    return net_qdisc_diff(&want->qdisc, &have->qdisc) == NET_TC_CHANGE;
}

static const char *qdisc_format(const struct net_object *object, char *buf)
{
    return net_qdisc_format(&object->qdisc, object->dev, buf);
}

static uint32_t *qdisc_ifindex(struct net_object *object)
{
    return &object->qdisc.ifindex;
}

static int class_cmp(const struct net_object *a, const struct net_object *b)
{
    struct net_class there = b->cls;
    int order = strcmp(a->dev, b->dev);

    there.ifindex = a->cls.ifindex;
    return order ? order : net_class_cmp_id(&a->cls, &there);
}

static bool class_same(const struct net_object *want, const struct net_object *have)
{
    return net_class_diff(&want->cls, &have->cls) == NET_TC_SAME;
}

static bool class_in_place(const struct net_object *want, const struct net_object *have)
{
    return net_class_diff(&want->cls, &have->cls) == NET_TC_CHANGE;
}

static const char *class_format(const struct net_object *object, char *buf)
{
    return net_class_format(&object->cls, object->dev, buf);
}

static uint32_t *class_ifindex(struct net_object *object)
{
    return &object->cls.ifindex;
}

static int filter_cmp(const struct net_object *a, const struct net_object *b)
{
    struct net_filter there = b->filter;
    int order = strcmp(a->dev, b->dev);

    there.ifindex = a->filter.ifindex;
    return order ? order : net_filter_cmp_id(&a->filter, &there);
}

static bool filter_same(const struct net_object *want, const struct net_object *have)
{
    return net_filter_diff(&want->filter, &have->filter) == NET_TC_SAME;
}

static bool filter_in_place(const struct net_object *want, const struct net_object *have)
{
    return net_filter_diff(&want->filter, &have->filter) == NET_TC_CHANGE;
}

static const char *filter_format(const struct net_object *object, char *buf)
{
    return net_filter_format(&object->filter, object->dev, buf);
}

static uint32_t *filter_ifindex(struct net_object *object)
{
    return &object->filter.ifindex;
}

static char *filter_other_dev(struct net_object *object, uint32_t **ifindex)
{
    if (object->filter.kind != NET_FILTER_REDIRECT)
        return NULL;
    *ifindex = &object->filter.redirect_ifindex;
    return object->filter.redirect;
}

static int filter_rank(const struct net_object *object)
{
    return net_filter_rank(&object->filter);
}

static bool filter_lingers(const struct net_object *object)
{
    return net_filter_lingers(&object->filter);
}

/* ---- the table ------------------------------------------------------------------------------- */

static const struct net_noun nouns[NET_KINDS] = {
    [NET_KIND_LINK] = {.name = "link",
                       .cmp_id = link_cmp,
                       .same = link_same,
                       .in_place = link_in_place,
                       .format = link_format,
                       .ifindex = link_ifindex,
                       .normalize = link_normalize},
    [NET_KIND_FIREWALL] = {.name = "firewall",
                           .cmp_id = firewall_cmp,
                           .same = firewall_same,
                           .format = firewall_format,
                           .own = firewall_own,
                           .clear = firewall_clear},
    [NET_KIND_SETTING] = {.name = "setting",
                          .cmp_id = setting_cmp,
                          .same = setting_same,
                          .format = setting_format,
                          .normalize = setting_normalize},
    [NET_KIND_ADDR] = {.name = "address",
                       .cmp_id = addr_cmp,
                       .same = addr_same,
                       .in_place = addr_in_place,
                       .format = addr_format,
                       .ifindex = addr_ifindex},
    [NET_KIND_ROUTE] = {.name = "route",
                        .cmp_id = route_cmp,
                        .same = route_same,
                        .format = route_format,
                        .ifindex = route_ifindex,
                        .normalize = route_normalize},
    [NET_KIND_RULE] = {.name = "rule",
                       .cmp_id = rule_cmp,
                       .same = rule_same,
                       .format = rule_format,
                       .normalize = rule_normalize},
    [NET_KIND_QDISC] = {.name = "qdisc",
                        .cmp_id = qdisc_cmp,
                        .same = qdisc_same,
                        .in_place = qdisc_in_place,
                        .format = qdisc_format,
                        .ifindex = qdisc_ifindex},
    [NET_KIND_CLASS] = {.name = "class",
                        .cmp_id = class_cmp,
                        .same = class_same,
                        .in_place = class_in_place,
                        .format = class_format,
                        .ifindex = class_ifindex},
    [NET_KIND_FILTER] = {.name = "filter",
                         .cmp_id = filter_cmp,
                         .same = filter_same,
                         .in_place = filter_in_place,
                         .format = filter_format,
                         .ifindex = filter_ifindex,
                         .other_dev = filter_other_dev,
                         .rank = filter_rank,
                         .lingers = filter_lingers},
};

const struct net_noun *net_noun_of(enum net_kind kind)
{
    return &nouns[kind];
}

int net_object_cmp_id(const struct net_object *a, const struct net_object *b)
{
    if (a->kind != b->kind)
        return a->kind < b->kind ? -1 : 1;
    return nouns[a->kind].cmp_id(a, b);
}

bool net_object_same(const struct net_object *want, const struct net_object *have)
{
    return nouns[want->kind].same(want, have);
}

const char *net_object_format(const struct net_object *object, char *buf)
{
    return nouns[object->kind].format(object, buf);
}

/* What the engine asks about an object, whatever its kind; see noun.h. */
#include "netlink/noun.h"

#include <stdio.h>
#include <string.h>

/* ---- links ------------------------------------------------------------------------------------
 */

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

static const char *link_format(const struct net_object *object, char *buf)
{
    return net_link_format(&object->link, buf);
}

static uint32_t *link_ifindex(struct net_object *object)
{
    return &object->link.ifindex;
}

static void link_normalize(struct net_object *object)
{
    memcpy(object->dev, object->link.name, sizeof(object->dev));
}

/* ---- settings ---------------------------------------------------------------------------------
 */

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
    snprintf(buf, NET_FORMAT_SIZE, "%s = %s", object->setting.path, object->setting.value);
    return buf;
}

/* ---- addresses --------------------------------------------------------------------------------
 */

static int addr_cmp(const struct net_object *a, const struct net_object *b)
{
    int order = strcmp(a->dev, b->dev);

    return order ? order : net_addr_cmp_id(&a->addr, &b->addr);
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
    return net_addr_format(&object->addr, object->dev, buf);
}

static uint32_t *addr_ifindex(struct net_object *object)
{
    return &object->addr.ifindex;
}

/* ---- routes -----------------------------------------------------------------------------------
 */

static int route_cmp(const struct net_object *a, const struct net_object *b)
{
    return net_route_cmp_id(&a->route, &b->route);
}

static bool route_same(const struct net_object *want, const struct net_object *have)
{
    bool any_dev = want->route.via.family && !want->dev[0];

    return net_route_same(&want->route, &have->route) &&
           (any_dev || strcmp(want->dev, have->dev) == 0);
}

static const char *route_format(const struct net_object *object, char *buf)
{
    return net_route_format(&object->route, object->dev[0] ? object->dev : NULL, buf);
}

static uint32_t *route_ifindex(struct net_object *object)
{
    return &object->route.ifindex;
}

static void route_normalize(struct net_object *object)
{
    object->route.dst = ip_prefix_network(object->route.dst);
}

/* ---- rules ------------------------------------------------------------------------------------
 */

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
    return net_rule_format(&object->rule, buf);
}

static void rule_normalize(struct net_object *object)
{
    object->rule.from = ip_prefix_network(object->rule.from);
    object->rule.to = ip_prefix_network(object->rule.to);
}

/* ---- the table --------------------------------------------------------------------------------
 */

static const struct net_noun nouns[NET_KINDS] = {
    [NET_KIND_LINK] = {.name = "link",
                       .cmp_id = link_cmp,
                       .same = link_same,
                       .in_place = link_in_place,
                       .format = link_format,
                       .ifindex = link_ifindex,
                       .normalize = link_normalize},
    [NET_KIND_SETTING] = {.name = "setting",
                          .cmp_id = setting_cmp,
                          .same = setting_same,
                          .format = setting_format},
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

uint32_t net_object_ifindex(const struct net_object *object)
{
    struct net_object copy = *object;

    return nouns[object->kind].ifindex ? *nouns[object->kind].ifindex(&copy) : 0;
}

const char *net_object_format(const struct net_object *object, char *buf)
{
    const struct net_noun *noun = &nouns[object->kind];
    char text[NET_FORMAT_SIZE];

    snprintf(buf, NET_FORMAT_SIZE, "%s %.*s", noun->name, NET_FORMAT_SIZE - 16,
             noun->format(object, text));
    return buf;
}

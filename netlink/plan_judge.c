/* Planning, step 1: devices are found; what has to wait, and what clashes with others' objects. */
#include "netlink/planner.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "netlink/noun.h"

const struct net_object *planner_link(const struct net_set *set, const char *name)
{
    struct net_object id = {.kind = NET_KIND_LINK};

    memcpy(id.link.name, name, sizeof(id.link.name));
    return net_set_find(set, &id);
}

bool planner_lets_be(const struct net_object *have)
{
    const struct net_noun *noun = net_noun_of(have->kind);

    if (have->kind == NET_KIND_LINK)
        return strcmp(have->link.kind, "tun") == 0 && have->link.carrier;
    return noun->lingers && noun->lingers(have);
}

static struct device find_device(const struct planner *p, const char *name)
{
    const struct net_object *asked = planner_link(p->asked, name);
    const struct net_object *there = planner_link(p->snapshot->links, name);
    struct device device = {0};

    if (asked) {
        size_t place = net_set_place(p->asked, asked);

        /* Links come first in the order, so theirs is decided already. */
        device.foreign = p->verdicts[place].clash != NULL;
        if (p->verdicts[place].waits || p->verdicts[place].clash)
            return device;
        device.ifindex = there ? there->link.ifindex : NET_IFINDEX_PENDING + (uint32_t)place;
        device.up = asked->link.up;
    } else if (there && !(planner_link(p->snapshot->have, name) && !planner_lets_be(there))) {
        device.ifindex = there->link.ifindex;
        device.up = there->link.up;
    }
    return device;
}

/* The same again: most objects are on the same device as the one before. */
static const struct device *device_of(struct planner *p, const char *name)
{
    if (strcmp(p->device.name, name) != 0) {
        p->device = find_device(p, name);
        memcpy(p->device.name, name, sizeof(p->device.name));
    }
    return &p->device;
}

static struct verdict without(const char *device, bool foreign)
{
    struct verdict verdict = {.waits = true,
                              .reason = foreign ? NET_WAIT_FOREIGN : NET_WAIT_DEVICE};

    memcpy(verdict.device, device, sizeof(verdict.device));
    return verdict;
}

static struct verdict judge_link(const struct planner *p, const struct net_object *want)
{
    const struct net_object *there = planner_link(p->snapshot->links, want->link.name);
    bool ours = there && planner_link(p->snapshot->have, want->link.name);

    if (there && !ours)
        return (struct verdict){.clash = there};
    /* A TUN is made by whoever holds its other end. */
    if (strcmp(want->link.kind, "tun") == 0 && (!there || strcmp(there->link.kind, "tun") != 0))
        return without(want->link.name, false);
    return (struct verdict){0};
}

int planner_cmp_rule(const struct net_object *object, const struct net_rule *rule)
{
    if (object->kind != NET_KIND_RULE)
        return object->kind < NET_KIND_RULE ? -1 : 1;
    if (object->rule.family != rule->family)
        return object->rule.family < rule->family ? -1 : 1;
    return (object->rule.priority > rule->priority) - (object->rule.priority < rule->priority);
}

/* Somebody else's rule with this priority: which of the two came first would decide. */
static const struct net_object *foreign_rule(const struct planner *p, const struct net_rule *rule)
{
    size_t low = 0, high = net_set_count(p->snapshot->foreign);

    while (low < high) {
        size_t mid = low + (high - low) / 2;
        const struct net_object *object = net_set_at(p->snapshot->foreign, mid);
        int order = planner_cmp_rule(object, rule);

        if (order == 0)
            return object;
        if (order < 0)
            low = mid + 1;
        else
            high = mid;
    }
    return NULL;
}

/* Unless ours stands already: then it is no harm, and ours shall not go for it. */
static const struct net_object *foreign_in_place(const struct planner *p,
                                                 const struct net_object *want)
{
    const struct net_object *have;

    if (want->kind != NET_KIND_RULE && want->kind != NET_KIND_ROUTE &&
        want->kind != NET_KIND_FIREWALL)
        return NULL;
    if (want->kind == NET_KIND_RULE && want->rule.beside)
        return NULL;
    have = net_set_find(p->snapshot->have, want);
    if (have && (want->kind != NET_KIND_ROUTE || net_object_same(want, have)))
        return NULL;
    return want->kind == NET_KIND_RULE ? foreign_rule(p, &want->rule)
                                       : net_set_find(p->snapshot->foreign, want);
}

static struct verdict judge(struct planner *p, const struct net_object *want)
{
    const struct net_noun *noun = net_noun_of(want->kind);
    struct net_object copy = *want;
    struct device target = {0};
    uint32_t *other;
    const char *name = noun->other_dev ? noun->other_dev(&copy, &other) : NULL;

    if (want->kind == NET_KIND_LINK)
        return judge_link(p, want);
    if (want->dev[0] && device_of(p, want->dev)->ifindex == 0)
        return without(want->dev, device_of(p, want->dev)->foreign);
    if (name)
        target = find_device(p, name);
    if (name && target.ifindex == 0)
        return without(name, target.foreign);
    if (foreign_in_place(p, want))
        return (struct verdict){.clash = foreign_in_place(p, want)};
    if (want->kind == NET_KIND_ROUTE && want->dev[0] && !device_of(p, want->dev)->up)
        return (struct verdict){.waits = true, .reason = NET_WAIT_DOWN};
    return (struct verdict){0};
}

static void fill_devices(struct planner *p, struct net_object *object)
{
    const struct net_noun *noun = net_noun_of(object->kind);
    uint32_t *other = NULL;
    const char *name = noun->other_dev ? noun->other_dev(object, &other) : NULL;

    if (noun->ifindex && object->dev[0])
        *noun->ifindex(object) = device_of(p, object->dev)->ifindex;
    if (name)
        *other = find_device(p, name).ifindex;
}

int planner_judge(struct planner *p)
{
    size_t n = net_set_count(p->asked);
    struct net_plan *plan = p->plan;

    p->verdicts = calloc(n + 1, sizeof(*p->verdicts));
    if (!p->verdicts)
        return -ENOMEM;
    for (size_t i = 0; i < n; i++) {
        const struct net_object *asked = net_set_at(p->asked, i);
        struct verdict *verdict = &p->verdicts[i];
        bool left;

        *verdict = judge(p, asked);
        left = verdict->waits || verdict->clash;
        if (net_set_add(left ? plan->left : plan->want, asked) < 0)
            return -ENOMEM;
        if (!left)
            fill_devices(p, net_set_edit(plan->want, net_set_count(plan->want) - 1));
    }
    plan->waiting = calloc(n + 1, sizeof(*plan->waiting));
    plan->clashes = calloc(n + 1, sizeof(*plan->clashes));
    if (!plan->waiting || !plan->clashes)
        return -ENOMEM;
    for (size_t i = 0, left = 0; i < n; i++) {
        const struct verdict *v = &p->verdicts[i];

        if (v->waits) {
            struct net_waiting *waiting = &plan->waiting[plan->n_waiting++];

            *waiting =
                (struct net_waiting){.reason = v->reason, .want = net_set_at(plan->left, left++)};
            memcpy(waiting->device, v->device, sizeof(waiting->device));
        } else if (v->clash)
            plan->clashes[plan->n_clashes++] =
                (struct net_clash){.want = net_set_at(plan->left, left++), .foreign = v->clash};
    }
    return 0;
}

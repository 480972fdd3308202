/*
 * Planning, step 3: consequences.
 *
 * With a device goes all that is on it, with a qdisc its classes and filters; a class keeps its
 * qdisc from being anything but made again; a rule may stand in the way of the removal of another.
 * What goes in this way and is wanted is made again.
 */
#include "netlink/planner.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "netlink/noun.h"

/* @j goes, when @fate says; what is wanted of it is made again. */
static void goes(struct planner *p, size_t j, enum fate fate, bool implied)
{
    struct have_state *h = &p->h[j];

    h->fate = fate;
    h->implied = implied;
    if (fate == FATE_EARLY && h->want != PLANNER_NONE) {
        p->w[h->want].create = true;
        p->w[h->want].change = false;
    }
}

/* A device takes along its addresses, routes, qdiscs. */
static void devices_take_along(struct planner *p)
{
    const char *dev = "";
    enum fate fate = FATE_STAYS;

    for (size_t j = 0; j < net_set_count(p->have); j++) {
        const struct net_object *have = net_set_at(p->have, j);

        if (have->kind == NET_KIND_LINK || !have->dev[0])
            continue;
        if (strcmp(dev, have->dev) != 0) {
            const struct net_object *link = planner_link(p->have, have->dev);

            fate = link ? p->h[net_set_place(p->have, link)].fate : FATE_STAYS;
            dev = have->dev;
        }
        if (fate != FATE_STAYS)
            goes(p, j, fate, true);
    }
}

struct leveled {
    size_t place;
    int level;
};

static int cmp_leveled(const void *left, const void *right)
{
    const struct leveled *a = left, *b = right;

    if (a->level != b->level)
        return a->level < b->level ? -1 : 1;
    return (a->place > b->place) - (a->place < b->place);
}

/* A class that is removed before its time: filters that point to it keep it (EBUSY). */
static bool points_to_early_class(const struct planner *p, const struct net_object *filter)
{
    struct net_object id = {.kind = NET_KIND_CLASS};
    const struct net_object *cls;

    if (filter->kind != NET_KIND_FILTER || filter->filter.kind != NET_FILTER_CLASS)
        return false;
    memcpy(id.dev, filter->dev, sizeof(id.dev));
    id.cls.ifindex = filter->filter.ifindex;
    id.cls.handle = filter->filter.classid;
    cls = net_set_find(p->have, &id);
    return cls && p->h[net_set_place(p->have, cls)].fate == FATE_EARLY;
}

/* With a qdisc go its classes and filters, with a class its qdisc; a class's classes go first. */
static void tree_falls(struct planner *p, size_t j)
{
    const struct net_object *have = net_set_at(p->have, j);
    const struct net_object *parent = net_tree_parent(&p->have_tree, have);
    const struct have_state *above;

    if (parent) {
        above = &p->h[net_set_place(p->have, parent)];
        if (above->fate != FATE_STAYS) {
            bool by_itself =
                parent->kind == NET_KIND_QDISC || have->kind == NET_KIND_QDISC || above->implied;

            goes(p, j, above->fate, by_itself);
            return;
        }
    }
    if (p->h[j].fate == FATE_STAYS && points_to_early_class(p, have))
        goes(p, j, FATE_EARLY, false);
}

static int trees_fall(struct planner *p)
{
    _cleanup_(free_p) struct leveled *order = NULL;
    size_t n_have = net_set_count(p->have), n = 0;
    bool any = false;

    for (size_t j = 0; j < n_have; j++)
        any = any || (net_in_tree(net_set_at(p->have, j)) && p->h[j].fate != FATE_STAYS);
    if (!any)
        return 0;
    order = calloc(n_have, sizeof(*order));
    if (!order)
        return -ENOMEM;
    for (size_t j = 0; j < n_have; j++) {
        const struct net_object *have = net_set_at(p->have, j);

        if (net_in_tree(have))
            order[n++] = (struct leveled){.place = j,
                                          .level = have->kind == NET_KIND_FILTER
                                                       ? INT32_MAX
                                                       : net_tree_level(&p->have_tree, have)};
    }
    qsort(order, n, sizeof(*order), cmp_leveled);
    for (size_t k = 0; k < n; k++)
        tree_falls(p, order[k].place);
    return 0;
}

/* A handle or a place that the kernel gives only once, taken by something that goes late. */
static void clear_the_way(struct planner *p)
{
    for (size_t i = 0; i < net_set_count(p->want); i++) {
        const struct net_object *want = net_set_at(p->want, i);
        const struct net_object *in_the_way = NULL;

        if (!p->w[i].create)
            continue;
        if (want->kind == NET_KIND_QDISC) {
            in_the_way = net_tree_qdisc(&p->have_tree, want->dev, want->qdisc.handle);
        } else if (want->kind == NET_KIND_RULE) {
            struct net_object opposite = *want;

            /* The kernel takes a rule and its opposite for the same. */
            opposite.rule.invert = !opposite.rule.invert;
            in_the_way = net_set_find(p->have, &opposite);
        }
        if (in_the_way && p->h[net_set_place(p->have, in_the_way)].fate == FATE_LATE)
            p->h[net_set_place(p->have, in_the_way)].fate = FATE_EARLY;
    }
}

/*
 * The kernel removes the first rule that agrees with the request.  If that would be one that stays,
 * it has to step aside, and so the other goes early as well.
 */
static bool rules_step_aside(struct planner *p, size_t j)
{
    const struct net_rule *gone = &net_set_at(p->have, j)->rule;
    bool moved = false;

    for (int step = -1; step <= 1; step += 2) {
        for (size_t k = j + (size_t)step; k < net_set_count(p->have); k += (size_t)step) {
            const struct net_object *other = net_set_at(p->have, k);

            if (planner_cmp_rule(other, gone) != 0)
                break;
            if (p->h[k].fate != FATE_STAYS || other->rule.position > gone->position ||
                !net_rule_hits(gone, &other->rule))
                continue;
            goes(p, k, FATE_EARLY, false);
            p->h[j].fate = FATE_EARLY;
            moved = true;
        }
    }
    return moved;
}

static void step_rules(struct planner *p)
{
    bool moved = true;

    while (moved) {
        moved = false;
        for (size_t j = 0; j < net_set_count(p->have); j++)
            if (net_set_at(p->have, j)->kind == NET_KIND_RULE && p->h[j].fate != FATE_STAYS)
                moved = rules_step_aside(p, j) || moved;
    }
}

int planner_fall(struct planner *p)
{
    int rc = net_tree_init(&p->want_tree, p->want);

    if (rc == 0)
        rc = net_tree_init(&p->have_tree, p->have);
    if (rc < 0)
        return rc;
    devices_take_along(p);
    clear_the_way(p);
    rc = trees_fall(p);
    step_rules(p);
    return rc;
}

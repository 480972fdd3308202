/* Planning, step 4: early removals, makings and changes, late removals, each in its order. */
#include "netlink/planner.h"

#include <errno.h>
#include <stdlib.h>

#include "netlink/noun.h"

struct placed {
    int phase, stage, level, rank;
    size_t place;
    struct net_op op;
};

static int cmp_placed(const void *left, const void *right)
{
    const struct placed *a = left, *b = right;

    if (a->phase != b->phase)
        return a->phase < b->phase ? -1 : 1;
    if (a->stage != b->stage)
        return a->stage < b->stage ? -1 : 1;
    if (a->level != b->level)
        return a->level < b->level ? -1 : 1;
    if (a->rank != b->rank)
        return a->rank < b->rank ? -1 : 1;
    return (a->place > b->place) - (a->place < b->place);
}

static int stage_of(const struct net_object *object)
{
    return object->kind == NET_KIND_CLASS ? NET_KIND_QDISC : (int)object->kind;
}

static int rank_of(const struct net_object *object)
{
    const struct net_noun *noun = net_noun_of(object->kind);

    return noun->rank ? noun->rank(object) : 0;
}

static struct placed place_making(const struct planner *p, size_t i)
{
    const struct net_object *want = net_set_at(p->want, i);
    bool create = p->w[i].create;

    return (struct placed){
        .phase = 1,
        .stage = stage_of(want),
        .level = net_in_tree(want) && want->kind != NET_KIND_FILTER
                     ? net_tree_level(&p->want_tree, want)
                     : 0,
        .rank = rank_of(want),
        .place = i,
        .op = {.verb = create ? NET_CREATE : NET_CHANGE,
               .want = want,
               .have = create ? NULL : net_set_at(p->have, p->w[i].have)},
    };
}

/* The reverse, but for rules: those go in the order in which the kernel looks for them. */
static struct placed place_removal(const struct planner *p, size_t j)
{
    const struct net_object *have = net_set_at(p->have, j);
    int level = 0;

    if (have->kind == NET_KIND_RULE)
        level = (int)(have->rule.position & INT32_MAX);
    else if (net_in_tree(have) && have->kind != NET_KIND_FILTER)
        level = -net_tree_level(&p->have_tree, have);
    return (struct placed){
        .phase = p->h[j].fate == FATE_EARLY ? 0 : 2,
        .stage = -stage_of(have),
        .level = level,
        .rank = -rank_of(have),
        .place = net_set_count(p->have) - j,
        .op = {.verb = NET_DELETE, .implied = p->h[j].implied, .have = have},
    };
}

/* Everything that is to be done, in no order.  Return: how much. */
static size_t place_all(const struct planner *p, struct placed *placed)
{
    size_t n = 0;

    for (size_t i = 0; i < net_set_count(p->want); i++)
        if (p->w[i].create || p->w[i].change)
            placed[n++] = place_making(p, i);
    for (size_t j = 0; j < net_set_count(p->have); j++)
        if (p->h[j].fate != FATE_STAYS)
            placed[n++] = place_removal(p, j);
    return n;
}

static size_t count_all(const struct planner *p)
{
    size_t n = 0;

    for (size_t i = 0; i < net_set_count(p->want); i++)
        n += p->w[i].create || p->w[i].change;
    for (size_t j = 0; j < net_set_count(p->have); j++)
        n += p->h[j].fate != FATE_STAYS;
    return n;
}

int planner_order(struct planner *p)
{
    size_t n = count_all(p);
    struct placed *placed = calloc(n + 1, sizeof(*placed));

    p->plan->ops = calloc(n + 1, sizeof(*p->plan->ops));
    if (placed && p->plan->ops) {
        p->plan->n_ops = place_all(p, placed);
        qsort(placed, n, sizeof(*placed), cmp_placed);
        for (size_t i = 0; i < n; i++)
            p->plan->ops[i] = placed[i].op;
    }
    free(placed);
    return placed && p->plan->ops ? 0 : -ENOMEM;
}

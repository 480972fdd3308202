/*
 * The plan; see plan.h.
 *
 * Theory of operation: four steps.
 *
 *  1. Each wanted object is judged: its device is found, or it waits, or it clashes.
 *  2. Both sides are merged: what is wanted gets a verb, what is there gets a fate.
 *  3. Consequences: with a device goes all that is on it, with a qdisc its classes and filters; a
 *     class keeps its qdisc from being anything but made again; a rule may stand in the way of the
 *     removal of another.  What goes in this way and is wanted is made again.
 *  4. The operations are put in order: early removals, makings and changes, late removals.
 */
#include "netlink/plan.h"

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "netlink/noun.h"
#include "netlink/plan_tree.h"
#include "netlink/snapshot.h"

#define NONE SIZE_MAX

/* What becomes of an object that is there. */
enum fate {
    FATE_STAYS,
    FATE_EARLY, /* removed before anything is made */
    FATE_LATE,  /* removed when everything is made */
};

struct have_state {
    enum fate fate;
    bool implied; /* it goes by itself */
    size_t want;  /* the wanted object of that identity, or NONE */
};

struct want_state {
    bool create, change;
    size_t have;
};

/* Step 1's answer about one wanted object. */
struct verdict {
    bool waits;
    enum net_wait reason;
    const struct net_object *clash;
};

/* A device by its name, as it will be when the plan is done. */
struct device {
    char name[IFNAMSIZ];
    uint32_t ifindex; /* 0: it is not there */
    bool up;
};

struct planner {
    const struct net_set *asked;
    const struct net_snapshot *snapshot;
    struct net_plan *plan;
    const struct net_set *want, *have; /* plan->want, snapshot->have */
    struct verdict *verdicts;
    struct want_state *w;
    struct have_state *h;
    struct net_tree want_tree, have_tree;
    struct device device; /* the one that was looked up last */
};

static void planner_clear(struct planner *p)
{
    net_tree_clear(&p->want_tree);
    net_tree_clear(&p->have_tree);
    free(p->verdicts);
    free(p->w);
    free(p->h);
}

/* ---- 1: devices, waiting, clashes --------------------------------------------------------------
 */

static const struct net_object *find_link(const struct net_set *set, const char *name)
{
    struct net_object id = {.kind = NET_KIND_LINK};

    memcpy(id.link.name, name, sizeof(id.link.name));
    return net_set_find(set, &id);
}

/* Unwanted and yet let be: what lingers, and a TUN that some process holds. */
static bool let_be(const struct net_object *have)
{
    const struct net_noun *noun = net_noun_of(have->kind);

    if (have->kind == NET_KIND_LINK)
        return strcmp(have->link.kind, "tun") == 0 && have->link.carrier;
    return noun->lingers && noun->lingers(have);
}

static struct device find_device(const struct planner *p, const char *name)
{
    const struct net_object *asked = find_link(p->asked, name);
    const struct net_object *there = find_link(p->snapshot->links, name);
    struct device device = {0};

    if (asked) {
        size_t place = net_set_place(p->asked, asked);

        /* Links come first in the order, so theirs is decided already. */
        if (p->verdicts[place].waits || p->verdicts[place].clash)
            return device;
        device.ifindex = there ? there->link.ifindex : NET_IFINDEX_PENDING + (uint32_t)place;
        device.up = asked->link.up;
    } else if (there && !(find_link(p->snapshot->have, name) && !let_be(there))) {
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

static struct verdict judge_link(const struct planner *p, const struct net_object *want)
{
    const struct net_object *there = find_link(p->snapshot->links, want->link.name);
    bool ours = there && find_link(p->snapshot->have, want->link.name);

    if (there && !ours)
        return (struct verdict){.clash = there};
    /* A TUN is made by whoever holds its other end. */
    if (strcmp(want->link.kind, "tun") == 0 && (!there || strcmp(there->link.kind, "tun") != 0))
        return (struct verdict){.waits = true, .reason = NET_WAIT_DEVICE};
    return (struct verdict){0};
}

static int cmp_rule_place(const struct net_object *object, const struct net_rule *rule)
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
        int order = cmp_rule_place(object, rule);

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
    uint32_t *other;
    const char *name = noun->other_dev ? noun->other_dev(&copy, &other) : NULL;

    if (want->kind == NET_KIND_LINK)
        return judge_link(p, want);
    if ((want->dev[0] && device_of(p, want->dev)->ifindex == 0) ||
        (name && find_device(p, name).ifindex == 0))
        return (struct verdict){.waits = true, .reason = NET_WAIT_DEVICE};
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

static int step_judge(struct planner *p)
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

        if (v->waits)
            plan->waiting[plan->n_waiting++] =
                (struct net_waiting){.reason = v->reason, .want = net_set_at(plan->left, left++)};
        else if (v->clash)
            plan->clashes[plan->n_clashes++] =
                (struct net_clash){.want = net_set_at(plan->left, left++), .foreign = v->clash};
    }
    return 0;
}

/* ---- 2: merge ----------------------------------------------------------------------------------
 */

/* The objects there from @j on that have one identity; the kernel may hold several. */
static size_t same_id(const struct planner *p, size_t j)
{
    size_t end = j + 1;

    while (end < net_set_count(p->have) &&
           net_object_cmp_id(net_set_at(p->have, end), net_set_at(p->have, j)) == 0)
        end++;
    return end;
}

static void pair(struct planner *p, size_t i, size_t j)
{
    const struct net_object *want = net_set_at(p->want, i);
    const struct net_object *have = net_set_at(p->have, j);
    const struct net_noun *noun = net_noun_of(want->kind);

    p->w[i].have = j;
    p->h[j].want = i;
    if (net_object_same(want, have))
        return;
    if (!noun->in_place || noun->in_place(want, have)) {
        p->w[i].change = true;
    } else {
        p->w[i].create = true;
        p->h[j].fate = FATE_EARLY;
    }
}

/* One wanted object and all that are there in its place: the best stays, the others go. */
static void pair_group(struct planner *p, size_t i, size_t j, size_t end)
{
    size_t best = j;

    for (size_t k = j; k < end; k++)
        if (net_object_same(net_set_at(p->want, i), net_set_at(p->have, k))) {
            best = k;
            break;
        }
    /* No two are wholly equal: what looks so was shown twice, because much changed meanwhile. */
    for (size_t k = j; k < end; k++)
        if (k != best && !net_object_same(net_set_at(p->have, best), net_set_at(p->have, k)))
            p->h[k].fate = FATE_EARLY;
    pair(p, i, best);
}

static int step_merge(struct planner *p)
{
    size_t n_want = net_set_count(p->want), n_have = net_set_count(p->have);
    size_t i = 0, j = 0;

    p->w = calloc(n_want + 1, sizeof(*p->w));
    p->h = calloc(n_have + 1, sizeof(*p->h));
    if (!p->w || !p->h)
        return -ENOMEM;
    for (size_t k = 0; k < n_want; k++)
        p->w[k].have = NONE;
    for (size_t k = 0; k < n_have; k++)
        p->h[k].want = NONE;
    while (i < n_want || j < n_have) {
        const struct net_object *want = net_set_at(p->want, i);
        const struct net_object *have = net_set_at(p->have, j);
        int order = !want ? 1 : !have ? -1 : net_object_cmp_id(want, have);

        if (order < 0) {
            p->w[i++].create = true;
        } else if (order > 0) {
            p->h[j].fate = let_be(have) ? FATE_STAYS : FATE_LATE;
            j++;
        } else {
            size_t end = same_id(p, j);

            pair_group(p, i++, j, end);
            j = end;
        }
    }
    /* What waits and is there nevertheless, as it should be, stays. */
    for (size_t k = 0; k < p->plan->n_waiting; k++) {
        const struct net_object *want = p->plan->waiting[k].want;
        const struct net_object *have = net_set_find(p->have, want);

        if (have && net_object_same(want, have))
            p->h[net_set_place(p->have, have)].fate = FATE_STAYS;
    }
    return 0;
}

/* ---- 3: consequences ---------------------------------------------------------------------------
 */

/* @j goes, when @fate says; what is wanted of it is made again. */
static void goes(struct planner *p, size_t j, enum fate fate, bool implied)
{
    struct have_state *h = &p->h[j];

    h->fate = fate;
    h->implied = implied;
    if (fate == FATE_EARLY && h->want != NONE) {
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
            const struct net_object *link = find_link(p->have, have->dev);

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

            if (cmp_rule_place(other, gone) != 0)
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

static int step_consequences(struct planner *p)
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

/* ---- 4: order ----------------------------------------------------------------------------------
 */

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

static int step_order(struct planner *p)
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

/* ---- all of it ---------------------------------------------------------------------------------
 */

static int plan_steps(struct planner *p)
{
    int rc = p->plan->want && p->plan->left ? step_judge(p) : -ENOMEM;

    if (rc == 0)
        rc = step_merge(p);
    if (rc == 0)
        rc = step_consequences(p);
    if (rc == 0)
        rc = step_order(p);
    return rc;
}

int net_plan_build(const struct net_set *want, struct net_snapshot *snapshot, struct net_plan **out,
                   struct err *err)
{
    struct net_plan *plan = calloc(1, sizeof(*plan));
    struct planner p = {.asked = want, .snapshot = snapshot, .have = snapshot->have, .plan = plan};
    int rc;

    if (!plan) {
        net_snapshot_free(snapshot);
        return err_set(err, -ENOMEM, "planning: out of memory");
    }
    plan->snapshot = snapshot;
    plan->want = net_set_new();
    plan->left = net_set_new();
    p.want = plan->want;
    rc = plan_steps(&p);
    planner_clear(&p);
    if (rc < 0) {
        net_plan_free(plan);
        return err_set(err, rc, "planning: out of memory");
    }
    *out = plan;
    return 0;
}

void net_plan_free(struct net_plan *plan)
{
    if (!plan)
        return;
    free(plan->ops);
    free(plan->waiting);
    free(plan->clashes);
    net_set_free(plan->want);
    net_set_free(plan->left);
    net_snapshot_free(plan->snapshot);
    free(plan);
}

void net_plan_freep(struct net_plan **plan)
{
    net_plan_free(*plan);
}

bool net_plan_empty(const struct net_plan *plan)
{
    for (size_t i = 0; i < plan->n_ops; i++)
        if (!plan->ops[i].implied)
            return false;
    return true;
}

const struct net_object *net_op_object(const struct net_op *op)
{
    return op->want ? op->want : op->have;
}

void net_plan_skip(struct net_plan *plan, const struct net_set *skip)
{
    size_t kept = 0;

    for (size_t i = 0; skip && i < plan->n_ops; i++)
        if (!net_set_find(skip, net_op_object(&plan->ops[i])))
            plan->ops[kept++] = plan->ops[i];
    plan->n_ops = skip ? kept : plan->n_ops;
}

int net_plan_defer(struct net_plan *plan, size_t i, enum net_wait reason)
{
    struct net_waiting *waiting =
        reallocarray(plan->waiting, plan->n_waiting + 1, sizeof(*plan->waiting));

    if (!waiting)
        return -ENOMEM;
    plan->waiting = waiting;
    plan->waiting[plan->n_waiting++] =
        (struct net_waiting){.reason = reason, .want = plan->ops[i].want};
    memmove(&plan->ops[i], &plan->ops[i + 1], (plan->n_ops - i - 1) * sizeof(*plan->ops));
    plan->n_ops--;
    return 0;
}

/* ---- text --------------------------------------------------------------------------------------
 */

const char *net_op_format(const struct net_op *op, char *buf)
{
    char want[NET_FORMAT_SIZE], have[NET_FORMAT_SIZE];

    switch (op->verb) {
    case NET_CREATE:
        snprintf(buf, NET_OP_FORMAT_SIZE, "+ %s", net_object_format(op->want, want));
        break;
    case NET_CHANGE:
        snprintf(buf, NET_OP_FORMAT_SIZE, "~ %s, was %s", net_object_format(op->want, want),
                 net_object_format(op->have, have));
        break;
    case NET_DELETE:
        snprintf(buf, NET_OP_FORMAT_SIZE, "- %s", net_object_format(op->have, have));
        break;
    }
    return buf;
}

const char *net_waiting_format(const struct net_waiting *waiting, char *buf)
{
    char text[NET_FORMAT_SIZE];
    const struct net_object *want = waiting->want;

    net_object_format(want, text);
    switch (waiting->reason) {
    case NET_WAIT_DEVICE:
        snprintf(buf, NET_OP_FORMAT_SIZE, "? %s: device %s is not there", text, want->dev);
        break;
    case NET_WAIT_DOWN:
        snprintf(buf, NET_OP_FORMAT_SIZE, "? %s: device %s is down", text, want->dev);
        break;
    case NET_WAIT_NEXTHOP:
        snprintf(buf, NET_OP_FORMAT_SIZE, "? %s: its next hop cannot be reached", text);
        break;
    }
    return buf;
}

const char *net_clash_format(const struct net_clash *clash, char *buf)
{
    char want[NET_FORMAT_SIZE], foreign[NET_FORMAT_SIZE];

    snprintf(buf, NET_OP_FORMAT_SIZE, "! %s: in its place stands %s",
             net_object_format(clash->want, want), net_object_format(clash->foreign, foreign));
    return buf;
}

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

#include "netlink/noun.h"
#include "netlink/planner.h"

static void planner_clear(struct planner *p)
{
    net_tree_clear(&p->want_tree);
    net_tree_clear(&p->have_tree);
    free(p->verdicts);
    free(p->w);
    free(p->h);
}

/* ---- 2: merge -------------------------------------------------------------------------------- */

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

int planner_merge(struct planner *p)
{
    size_t n_want = net_set_count(p->want), n_have = net_set_count(p->have);
    size_t i = 0, j = 0;

    p->w = calloc(n_want + 1, sizeof(*p->w));
    p->h = calloc(n_have + 1, sizeof(*p->h));
    if (!p->w || !p->h)
        return -ENOMEM;
    for (size_t k = 0; k < n_want; k++)
        p->w[k].have = PLANNER_NONE;
    for (size_t k = 0; k < n_have; k++)
        p->h[k].want = PLANNER_NONE;
    while (i < n_want || j < n_have) {
        const struct net_object *want = net_set_at(p->want, i);
        const struct net_object *have = net_set_at(p->have, j);
        int order = !want ? 1 : !have ? -1 : net_object_cmp_id(want, have);

        if (order < 0) {
            p->w[i++].create = true;
        } else if (order > 0) {
            p->h[j].fate = planner_lets_be(have) ? FATE_STAYS : FATE_LATE;
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

/* ---- all of it ------------------------------------------------------------------------------- */

static int plan_steps(struct planner *p)
{
    int rc = p->plan->want && p->plan->left ? planner_judge(p) : -ENOMEM;

    if (rc == 0)
        rc = planner_merge(p);
    if (rc == 0)
        rc = planner_fall(p);
    if (rc == 0)
        rc = planner_order(p);
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

/* ---- text ------------------------------------------------------------------------------------ */

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
        snprintf(buf, NET_OP_FORMAT_SIZE, "? %s: device %s is not there", text, waiting->device);
        break;
    case NET_WAIT_FOREIGN:
        snprintf(buf, NET_OP_FORMAT_SIZE, "? %s: device %s is somebody else's", text,
                 waiting->device);
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

/* Of a table or a device the name alone is in the way. */
static void append_remedy(const struct net_object *foreign, char *buf, size_t size)
{
    static const char text[] = ", which is somebody else's (rename it, or remove it with: %s %s)";

    if (foreign->kind == NET_KIND_FIREWALL)
        snprintf(buf, size, text, "nft delete table inet", foreign->firewall->table);
    else if (foreign->kind == NET_KIND_LINK)
        snprintf(buf, size, text, "ip link del", foreign->link.name);
}

const char *net_clash_format(const struct net_clash *clash, char *buf)
{
    char want[NET_FORMAT_SIZE], foreign[NET_FORMAT_SIZE];
    int n;

    n = snprintf(buf, NET_OP_FORMAT_SIZE, "! %s: in its place stands %s",
                 net_object_format(clash->want, want), net_object_format(clash->foreign, foreign));
    if (n > 0 && n < NET_OP_FORMAT_SIZE)
        append_remedy(clash->foreign, buf + n, (size_t)(NET_OP_FORMAT_SIZE - n));
    return buf;
}

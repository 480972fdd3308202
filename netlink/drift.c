/*
 * Drift: what others have changed of what stood when the last run ended.
 *
 * Theory of operation: an operation in a plan is drift if it would have been no need after the last
 * run.  What goes along with a link or a root qdisc is no drift of its own: one thing happened, one
 * is told, counted, and repaired or let be with all that hangs on it.
 */
#include <stdio.h>
#include <string.h>

#include "common/cleanup.h"
#include "netlink/engine.h"
#include "netlink/noun.h"
#include "netlink/plan_tree.h"
#include "netlink/snapshot.h"

const struct net_object *engine_settled(const struct net_reconciler *r, const struct net_object *id)
{
    if (!r->last || !r->open || net_set_find(r->open, id))
        return NULL;
    return net_set_find(r->last->want, id);
}

/* Did the run before leave the object so that this operation would have been no need? */
static bool is_drift(const struct net_reconciler *r, const struct net_plan *plan,
                     const struct net_op *op)
{
    const struct net_object *stood, *have;

    if (!r->last || !r->open || op->implied)
        return false;
    stood = engine_settled(r, net_op_object(op));
    /* What waits may stand nevertheless, as a route of IPv6 on a link that is down. */
    if (op->verb == NET_DELETE)
        return !stood && !net_set_find(r->want, op->have) && !net_set_find(r->last->left, op->have);
    if (!stood || !net_object_same(op->want, stood))
        return false;
    /* As it should be, and yet made again: the plan's own doing, for what it hangs on. */
    have = net_set_find(plan->snapshot->have, op->want);
    return !have || !net_object_same(op->want, have);
}

static const char *drift_verb(const struct net_op *op)
{
    switch (op->verb) {
    case NET_CREATE:
        return "was removed";
    case NET_CHANGE:
        return "was changed";
    case NET_DELETE:
        break;
    }
    return "was added";
}

static const char *mended(const struct net_op *op)
{
    return op->verb == NET_DELETE ? "removed again" : "put back";
}

/* A link or a root qdisc that drifted: what went with it is no drift of its own. */
static const struct cause *find_cause(const struct run *run, const struct net_object *object)
{
    for (size_t i = 0; i < run->n_causes; i++)
        if (object->dev[0] && strcmp(run->causes[i].dev, object->dev) == 0 &&
            (!run->causes[i].tree_only || net_in_tree(object)))
            return &run->causes[i];
    return NULL;
}

static void note_cause(struct run *run, const struct net_object *object, bool held)
{
    bool root = object->kind == NET_KIND_QDISC &&
                (object->qdisc.parent == NET_TC_ROOT || object->qdisc.parent == NET_TC_INGRESS);
    struct cause *cause = &run->causes[run->n_causes];

    if ((object->kind != NET_KIND_LINK && !root) || run->n_causes == ARRAY_SIZE(run->causes))
        return;
    *cause = (struct cause){.tree_only = root, .held = held};
    memcpy(cause->dev, object->dev, sizeof(cause->dev));
    run->n_causes++;
}

static void tell_repair(struct run *run, const struct net_op *op, const char *object,
                        enum net_fight_advice advice, uint64_t until_ms)
{
    char text[NET_FORMAT_SIZE + 160], by[NET_WHO_SIZE + 16] = "";

    if (run->r->who[0])
        snprintf(by, sizeof(by), " by %s", run->r->who);
    if (advice == NET_FIGHT_ANSWER)
        snprintf(text, sizeof(text), "%s %s%s again and again: %s, the next time not before %u s",
                 object, drift_verb(op), by, mended(op),
                 (unsigned int)((until_ms - run->now_ms) / 1000));
    else
        snprintf(text, sizeof(text), "%s %s%s: %s", object, drift_verb(op), by, mended(op));
    engine_tell_some(run, advice == NET_FIGHT_ANSWER ? NET_NEWS_FIGHT : NET_NEWS_DRIFT, text);
}

/* Is the drifted object to be let be in this round? */
static bool let_be(struct run *run, const struct net_op *op)
{
    struct net_reconciler *r = run->r;
    char object[NET_FORMAT_SIZE], text[NET_FORMAT_SIZE + 64];
    enum net_fight_advice advice;
    uint64_t until_ms = NEVER;

    net_object_format(net_op_object(op), object);
    if (r->config.drift == NET_DRIFT_REPORT) {
        snprintf(text, sizeof(text), "%s %s: left so", object, drift_verb(op));
        if (!engine_was_told(&r->told, net_text_key(text))) {
            r->status.drifts++;
            r->status.last_drift_ms = run->now_ms;
        }
        engine_tell_once(run, NET_NEWS_DRIFT, text);
        return true;
    }
    advice = net_fight_drifted(&r->fights, net_text_key(object), run->now_ms, &until_ms);
    if (advice == NET_FIGHT_HOLD) {
        run->next_ms = until_ms < run->next_ms ? until_ms : run->next_ms;
        return true;
    }
    tell_repair(run, op, object, advice, until_ms);
    r->status.drifts++;
    r->status.last_drift_ms = run->now_ms;
    return false;
}

/* Links come first in a plan, then roots before what hangs on them: so causes are seen first. */
int engine_find_drift(struct run *run, const struct net_plan *plan)
{
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < plan->n_ops; i++) {
        const struct net_op *op = &plan->ops[i];
        const struct net_object *object = net_op_object(op);
        const struct cause *cause;
        bool held;

        if (!is_drift(run->r, plan, op))
            continue;
        cause = find_cause(run, object);
        held = cause ? cause->held : let_be(run, op);
        note_cause(run, object, held);
        if (held)
            rc = net_set_add(run->hold, object);
    }
    return rc < 0 || net_set_count(run->hold) == 0 ? rc : net_set_sort_all(run->hold);
}

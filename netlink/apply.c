/* Carrying out a plan, and making sure of it; see apply.h. */
#include "netlink/apply.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "netlink/noun.h"
#include "netlink/snapshot.h"

/* Side effects of side effects end soon; what goes on for longer is somebody who undoes it all. */
#define APPLY_ROUNDS 5

/* What the kernel did not do in one round. */
struct refusal {
    const struct net_op *op; /* in that round's plan */
    int rc;
    char *why;
};

struct round {
    struct net_plan *plan; /* what was to be done */
    struct refusal *refusals;
    size_t n, size;
    bool lost; /* some could not be noted */
};

static void round_clear(struct round *round)
{
    for (size_t i = 0; i < round->n; i++)
        free(round->refusals[i].why);
    free(round->refusals);
    net_plan_free(round->plan);
    *round = (struct round){0};
}

static void note_refusal(void *ctx, size_t i, int rc, const char *why)
{
    struct round *round = ctx;

    if (round->n == round->size) {
        size_t size = round->size ? 2 * round->size : 16;
        struct refusal *refusals = reallocarray(round->refusals, size, sizeof(*refusals));

        if (!refusals) {
            round->lost = true;
            return;
        }
        round->refusals = refusals;
        round->size = size;
    }
    round->refusals[round->n++] =
        (struct refusal){.op = &round->plan->ops[i], .rc = rc, .why = strdup(why)};
}

static int cmp_refusals(const void *left, const void *right)
{
    const struct refusal *a = left, *b = right;
    bool del_a = a->op->verb == NET_DELETE, del_b = b->op->verb == NET_DELETE;

    if (del_a != del_b)
        return del_a ? 1 : -1;
    return net_object_cmp_id(net_op_object(a->op), net_op_object(b->op));
}

/* Was this, which is still to be done, refused in the round before?  Else NULL. */
static const struct refusal *find_refusal(const struct round *round, const struct net_op *op)
{
    const struct refusal id = {.op = op};

    if (round->n == 0)
        return NULL;
    return bsearch(&id, round->refusals, round->n, sizeof(id), cmp_refusals);
}

static size_t count_sent(const struct net_plan *plan)
{
    size_t n = 0;

    for (size_t i = 0; i < plan->n_ops; i++)
        n += !plan->ops[i].implied;
    return n;
}

/* The way is not there yet: no fault of the wish. */
static bool is_early(const struct net_op *op, int rc)
{
    if (op->verb == NET_DELETE || op->want->kind != NET_KIND_ROUTE)
        return false;
    return rc == -ENETUNREACH || rc == -EHOSTUNREACH || rc == -ENETDOWN || rc == -ENODEV;
}

static int defer_early(struct net_plan *plan, const struct round *round)
{
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < plan->n_ops;) {
        const struct refusal *refusal = find_refusal(round, &plan->ops[i]);

        if (refusal && is_early(&plan->ops[i], refusal->rc))
            rc = net_plan_defer(plan, i, NET_WAIT_NEXTHOP);
        else
            i++;
    }
    return rc;
}

static bool all_early(const struct net_plan *plan, const struct round *round)
{
    for (size_t i = 0; i < plan->n_ops; i++) {
        const struct refusal *refusal = find_refusal(round, &plan->ops[i]);

        if (!plan->ops[i].implied && !(refusal && is_early(&plan->ops[i], refusal->rc)))
            return false;
    }
    return true;
}

static bool all_refused(const struct net_plan *plan, const struct round *round)
{
    for (size_t i = 0; i < plan->n_ops; i++)
        if (!plan->ops[i].implied && !find_refusal(round, &plan->ops[i]))
            return false;
    return true;
}

static int plan_once(const struct net_kernel *kernel, const struct net_owner *owner,
                     const struct net_set *want, bool look, struct net_plan **out, struct err *err)
{
    struct net_snapshot *snapshot = NULL;
    int rc = net_snapshot_take(kernel, owner, want, &snapshot, err);

    if (rc == 0 && look)
        rc = net_snapshot_look(kernel, owner, want, snapshot, err);
    if (rc < 0) {
        net_snapshot_free(snapshot);
        return rc;
    }
    return net_plan_build(want, snapshot, out, err);
}

static bool changes_route(const struct net_plan *plan)
{
    for (size_t i = 0; i < plan->n_ops; i++)
        if (plan->ops[i].verb == NET_CHANGE && plan->ops[i].want->kind == NET_KIND_ROUTE)
            return true;
    return false;
}

int net_apply_plan(const struct net_kernel *kernel, const struct net_owner *owner,
                   const struct net_set *want, bool look, struct net_plan **out, struct err *err)
{
    struct net_plan *plan = NULL;
    int rc = plan_once(kernel, owner, want, look, &plan, err);

    /* A change takes the place of the first route there, which might be one that others put there.
     */
    if (rc == 0 && !look && changes_route(plan)) {
        net_plan_free(plan);
        rc = plan_once(kernel, owner, want, true, &plan, err);
    }
    if (rc == 0)
        *out = plan;
    return rc;
}

/* One wish on its way. */
struct task {
    const struct net_kernel *kernel;
    const struct net_owner *owner;
    const struct net_set *want;
    const struct net_set *skip;
    struct round round;    /* the last that was carried out, and its refusals */
    struct net_plan *left; /* what is left to do after it */
    uint64_t sent;
};

static void task_clear(struct task *task)
{
    round_clear(&task->round);
    net_plan_free(task->left);
    task->left = NULL;
}

static int task_plan(const struct task *task, bool look, struct net_plan **out, struct err *err)
{
    int rc = net_apply_plan(task->kernel, task->owner, task->want, look, out, err);

    if (rc == 0)
        net_plan_skip(*out, task->skip);
    return rc;
}

/* Carry out the round's plan.  Return: 0; -errno when it is not known what was done. */
static int task_round(struct task *task, struct err *err)
{
    struct round *round = &task->round;
    int rc;

    task->sent += count_sent(round->plan);
    rc = task->kernel->apply(task->kernel->ctx, round->plan->ops, round->plan->n_ops, note_refusal,
                             round, err);
    if (rc == 0 && round->lost)
        rc = err_set(err, -ENOMEM, "applying: out of memory");
    if (round->n > 1)
        qsort(round->refusals, round->n, sizeof(*round->refusals), cmp_refusals);
    return rc;
}

/* Carry out plans until nothing is left to do, or only what was refused. */
static int task_settle(struct task *task, struct err *err)
{
    for (int i = 1;; i++) {
        struct net_plan *next = NULL;
        struct err unknown = {{0}};
        int known = task_round(task, &unknown);
        int rc = task_plan(task, false, &next, err);

        /* When it is not known what was done, the look that was just taken tells. */
        if (rc == 0 && known < 0 && i == APPLY_ROUNDS && !net_plan_empty(next)) {
            net_plan_free(next);
            return err_set(err, known, "%s", unknown.msg);
        }
        if (rc != 0)
            return rc;
        if (net_plan_empty(next) || i == APPLY_ROUNDS ||
            (all_refused(next, &task->round) && (i > 1 || all_early(next, &task->round)))) {
            task->left = next;
            return 0;
        }
        round_clear(&task->round);
        task->round.plan = next;
    }
}

/* ---- going back ------------------------------------------------------------------------------ */

static void roll_back(const struct task *failed, const struct net_set *start,
                      struct net_outcome *outcome, struct err *err)
{
    _cleanup_(task_clear) struct task task = {.kernel = failed->kernel,
                                              .owner = failed->owner,
                                              .want = start};
    struct err why = {{0}};
    char text[NET_OP_FORMAT_SIZE];
    int rc = task_plan(&task, false, &task.round.plan, &why);

    if (rc == 0 && !net_plan_empty(task.round.plan)) {
        rc = task_settle(&task, &why);
        if (rc == 0 && !net_plan_empty(task.left))
            rc = err_set(&why, -EAGAIN, "%s", net_op_format(&task.left->ops[0], text));
    }
    outcome->rolled_back = rc == 0;
    if (rc < 0)
        err_prefix(err, 0, "(and going back did not work: %.200s) ", why.msg);
}

/* ---- what came of it ------------------------------------------------------------------------- */

/* Objects that are still not as wanted, and why.  A refusal says more than what came of it. */
static int report(const struct net_plan *left, const struct round *round,
                  const struct net_apply_options *options, struct net_outcome *outcome,
                  struct err *err)
{
    const struct net_op *open = NULL;
    char text[NET_OP_FORMAT_SIZE];
    int rc = 0;

    for (size_t i = 0; i < left->n_ops; i++) {
        const struct net_op *op = &left->ops[i];
        const struct refusal *refusal = op->implied ? NULL : find_refusal(round, op);
        const char *why;

        if (!op->implied && !open)
            open = op;
        if (!refusal)
            continue;
        why = refusal->why ? refusal->why : strerror(-refusal->rc);
        outcome->refused++;
        if (options->refused)
            options->refused(options->ctx, op, refusal->rc, why);
        if (rc == 0)
            rc = err_set(err, -EREMOTEIO, "%s", why);
    }
    if (rc == 0 && open)
        rc = err_set(err, -EAGAIN, "the kernel did not keep what was set: %s",
                     net_op_format(open, text));
    return rc;
}

static bool has_clash(const struct round *round)
{
    for (size_t i = 0; i < round->n; i++)
        if (round->refusals[i].rc == -EEXIST && round->refusals[i].op->want &&
            round->refusals[i].op->want->kind == NET_KIND_ROUTE)
            return true;
    return false;
}

/* A route is in the place of ours: plan again with the routes of others in sight. */
static int look_for_clash(struct task *task, struct err *err)
{
    struct net_plan *plan = NULL;
    int rc = task_plan(task, true, &plan, err);

    if (rc != 0)
        return rc;
    net_plan_free(task->left);
    task->left = plan;
    return 0;
}

static int clash_error(const struct net_plan *plan, struct err *err)
{
    char text[NET_OP_FORMAT_SIZE];

    return err_set(err, -EEXIST, "%s", net_clash_format(&plan->clashes[0], text) + 2);
}

static int carry_out(struct task *task, const struct net_apply_options *options,
                     struct net_outcome *outcome, struct err *err)
{
    int rc = task_settle(task, err);

    if (rc == 0 && has_clash(&task->round))
        rc = look_for_clash(task, err);
    if (rc == 0 && defer_early(task->left, &task->round) < 0)
        rc = err_set(err, -ENOMEM, "applying: out of memory");
    if (rc == 0)
        rc = report(task->left, &task->round, options, outcome, err);
    if (rc == 0 && options->mode == NET_ALL_OR_NOTHING && task->left->n_clashes > 0)
        rc = clash_error(task->left, err);
    outcome->sent = task->sent;
    return rc;
}

int net_apply(const struct net_kernel *kernel, const struct net_owner *owner,
              const struct net_set *want, struct net_plan *plan,
              const struct net_apply_options *options, struct net_outcome *outcome, struct err *err)
{
    _cleanup_(task_clear) struct task task = {
        .kernel = kernel, .owner = owner, .want = want, .skip = options->skip, .round.plan = plan};
    _cleanup_(net_set_freep) struct net_set *start = NULL;
    int rc;

    *outcome = (struct net_outcome){0};
    net_plan_skip(plan, options->skip);
    if (options->mode == NET_ALL_OR_NOTHING) {
        if (plan->n_clashes > 0)
            return clash_error(plan, err);
        start = net_set_copy(plan->snapshot->have);
        if (!start || net_set_sort(start, NULL) == -ENOMEM)
            return err_set(err, -ENOMEM, "applying: out of memory");
    }
    if (net_plan_empty(plan)) {
        outcome->last = TAKE(task.round.plan);
        return 0;
    }
    rc = carry_out(&task, options, outcome, err);
    if (rc < 0 && options->mode == NET_ALL_OR_NOTHING)
        roll_back(&task, start, outcome, err);
    outcome->last = TAKE(task.left);
    return rc;
}

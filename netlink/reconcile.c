/*
 * The engine: keeps the kernel equal to a set of wanted objects; see reconcile.h.
 *
 * Theory of operation: a run reads the kernel, plans, and carries out the plan.  What the plan says
 * about an object that stood as wanted at the end of the run before, is drift: somebody else has
 * changed it.  So each run ends by keeping its last plan, and what of that plan's wish did not
 * stand then (`open`); by these the next one tells drift from what is new in the wish, what waited
 * until now, and what was refused.
 */
#include "netlink/reconcile.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "netlink/engine.h"
#include "netlink/noun.h"

#define DEBOUNCE_MS     100 /* from the first news to the run: changes come in bursts */
#define DEBOUNCE_MAX_MS 800 /* when news turns out to be nothing again and again */
#define RETRY_MS        1000
#define RETRY_MAX_MS    60000

/* ---- the wish -------------------------------------------------------------------------------- */

/* What the owner left open. */
static void fill_in(struct net_object *object, const struct net_owner *owner)
{
    switch (object->kind) {
    case NET_KIND_LINK:
        if (!object->link.alias[0])
            snprintf(object->link.alias, sizeof(object->link.alias), "%s", owner->alias);
        object->link.group = owner->protocol;
        break;
    case NET_KIND_ADDR:
        object->addr.protocol = owner->protocol;
        break;
    case NET_KIND_ROUTE:
        object->route.protocol = owner->protocol;
        if (object->route.table == 0)
            object->route.table = NET_TABLE_MAIN;
        break;
    case NET_KIND_RULE:
        object->rule.protocol = owner->protocol;
        break;
    case NET_KIND_FIREWALL:
        snprintf(object->firewall->owner, sizeof(object->firewall->owner), "%s", owner->alias);
        snprintf(object->firewall->table, sizeof(object->firewall->table), "%s", owner->table);
        break;
    case NET_KIND_SETTING:
    case NET_KIND_QDISC:
    case NET_KIND_CLASS:
    case NET_KIND_FILTER:
    case NET_KINDS:
        break;
    }
}

/* Return: 0, -EEXIST (and @out is usable) or -ENOMEM. */
static int complete(const struct net_set *want, const struct net_owner *owner, struct net_set **out,
                    struct err *err)
{
    struct net_set *copy = net_set_copy(want);
    int rc;

    if (!copy)
        return err_set(err, -ENOMEM, "out of memory");
    for (size_t i = 0; i < net_set_count(copy); i++)
        fill_in(net_set_edit(copy, i), owner);
    rc = net_set_sort(copy, err);
    if (rc == -ENOMEM) {
        net_set_free(copy);
        return rc;
    }
    *out = copy;
    return rc;
}

/* ---- the end of a run ------------------------------------------------------------------------ */

/* A refusal that only says that memory was short is no answer: it is tried again soon. */
static bool is_passing(int rc)
{
    return rc == -ENOMEM || rc == -ENOBUFS;
}

/* And then less and less often: some kernels say so of what they will never take. */
static uint64_t retry_ms(uint32_t times)
{
    uint64_t ms = RETRY_MS;

    for (uint32_t i = 1; i < times && ms < RETRY_MAX_MS; i++)
        ms *= 2;
    return ms < RETRY_MAX_MS ? ms : RETRY_MAX_MS;
}

static void object_refused(void *ctx, const struct net_op *op, int rc, const char *why)
{
    struct run *run = ctx;

    (void)op;
    run->in_want = run->in_want || is_passing(rc);
    engine_tell_once(run, NET_NEWS_REFUSED, why);
}

static void tell_arrived(struct run *run, const struct net_plan *before)
{
    char text[NET_FORMAT_SIZE];

    for (size_t i = 0; before && i < before->n_waiting; i++)
        if (engine_settled(run->r, before->waiting[i].want))
            engine_tell_some(run, NET_NEWS_ARRIVED,
                             net_object_format(before->waiting[i].want, text));
}

static void tell_state(struct run *run, const struct net_plan *plan)
{
    char text[NET_OP_FORMAT_SIZE];

    /* Without the sign in front. */
    for (size_t i = 0; i < plan->n_waiting; i++)
        engine_tell_once(run, NET_NEWS_WAITING, net_waiting_format(&plan->waiting[i], text) + 2);
    for (size_t i = 0; i < plan->n_clashes; i++)
        engine_tell_once(run, NET_NEWS_CLASH, net_clash_format(&plan->clashes[i], text) + 2);
}

/*
 * Of a plan's wish, what does not stand: what is still to be done or waits.  What is let be is not
 * among those: it stood before, and its drift shall be known again.
 */
static struct net_set *open_of(const struct net_plan *plan)
{
    struct net_set *open = net_set_new();
    int rc = open ? 0 : -ENOMEM;

    for (size_t i = 0; rc == 0 && i < plan->n_ops; i++)
        if (plan->ops[i].want)
            rc = net_set_add(open, plan->ops[i].want);
    for (size_t i = 0; rc == 0 && i < plan->n_waiting; i++)
        rc = net_set_add(open, plan->waiting[i].want);
    if (rc == 0)
        rc = net_set_sort_all(open);
    if (rc == 0)
        return open;
    net_set_free(open);
    return NULL;
}

/* Out of memory nothing is kept, and the next run knows no drift. */
static void keep(struct net_reconciler *r, struct net_plan *last)
{
    net_plan_free(r->last);
    net_set_free(r->open);
    r->last = last;
    r->open = open_of(last);
}

static void count(struct net_reconciler *r, const struct run *run, uint64_t refused)
{
    struct net_reconciler_status *s = &r->status;

    s->wanted = (uint32_t)net_set_count(r->want);
    s->waiting = (uint32_t)r->last->n_waiting;
    s->clashes = (uint32_t)r->last->n_clashes;
    s->refused = (uint32_t)refused;
    s->drifted = (uint32_t)net_set_count(run->hold);
    s->in_sync = s->clashes == 0 && s->refused == 0 && s->drifted == 0 && s->error[0] == '\0';
}

/* ---- a run ----------------------------------------------------------------------------------- */

static void soon(struct net_reconciler *r, uint64_t at_ms)
{
    if (at_ms < r->due_ms)
        r->due_ms = at_ms;
}

static void failed(struct run *run, int rc, struct err *err)
{
    struct net_reconciler *r = run->r;

    if (!err->msg[0])
        err_set(err, rc, "the kernel's state cannot be read or set: %s", strerror(-rc));
    if (strcmp(r->status.error, err->msg) != 0)
        engine_tell(r, NET_NEWS_FAILED, err->msg);
    snprintf(r->status.error, sizeof(r->status.error), "%.255s", err->msg);
    r->status.in_sync = false;
    soon(r, run->now_ms + RETRY_MS);
}

static void all_is_well(struct net_reconciler *r)
{
    if (r->status.error[0])
        engine_tell(r, NET_NEWS_AGAIN, "the kernel's state can be read and set again");
    r->status.error[0] = '\0';
}

/* Carry out a plan.  Return: 0 when the kernel is known to be as planned, or -errno. */
static int carry_out(struct run *run, struct net_plan *plan, struct err *err)
{
    struct net_reconciler *r = run->r;
    const struct net_apply_options options = {
        .mode = NET_AS_FAR_AS_CAN, .skip = run->hold, .refused = object_refused, .ctx = run};
    struct net_plan *before = r->last;
    struct net_outcome outcome;
    int rc = net_apply(&r->kernel, &r->config.owner, r->want, plan, &options, &outcome, err);

    r->status.operations += outcome.sent;
    if (!outcome.last)
        return rc;
    r->last = NULL;
    keep(r, outcome.last);
    tell_state(run, r->last);
    tell_arrived(run, before);
    net_plan_free(before);
    if (rc == 0 || rc == -EREMOTEIO)
        all_is_well(r);
    count(r, run, outcome.refused);
    return rc == -EREMOTEIO ? 0 : rc;
}

static void run_clear(struct run *run)
{
    net_set_free(run->hold);
    free(run->told.keys);
}

/* Where a route clashed, it is not tried again and again, but looked whether it still would. */
static bool knows_clash(const struct net_reconciler *r)
{
    for (size_t i = 0; r->last && i < r->last->n_clashes; i++)
        if (r->last->clashes[i].want->kind == NET_KIND_ROUTE)
            return true;
    return false;
}

/* Read, plan, tell drift, carry out.  Return: 0 or -errno. */
static int run_steps(struct run *run, bool *nothing, struct err *err)
{
    struct net_reconciler *r = run->r;
    struct net_plan *plan = NULL;
    int rc;

    run->hold = net_set_new();
    if (!run->hold)
        return err_set(err, -ENOMEM, "out of memory");
    rc = net_apply_plan(&r->kernel, &r->config.owner, r->want, knows_clash(r), &plan, err);
    if (rc < 0 || !plan)
        return rc;
    *nothing = plan->n_ops == 0;
    rc = engine_find_drift(run, plan);
    if (rc < 0) {
        net_plan_free(plan);
        return err_set(err, rc, "out of memory");
    }
    return carry_out(run, plan, err);
}

static void reconcile(struct net_reconciler *r, uint64_t now_ms)
{
    _cleanup_(run_clear) struct run run = {.r = r, .now_ms = now_ms, .next_ms = NEVER};
    bool nothing = false;
    struct err err = {{0}};
    int rc;

    r->due_ms = r->config.interval_ms ? now_ms + r->config.interval_ms : NEVER;
    r->status.runs++;
    r->status.last_run_ms = now_ms;
    rc = run_steps(&run, &nothing, &err);
    if (rc < 0)
        failed(&run, rc, &err);
    engine_tell_rest(&run);
    if (rc == 0) {
        struct told former = r->told;

        r->told = run.told;
        run.told = former;
    }
    soon(r, run.next_ms);
    r->in_want = run.in_want ? r->in_want + 1 : 0;
    if (run.in_want)
        soon(r, now_ms + retry_ms(r->in_want));
    r->in_vain = r->for_news && nothing ? r->in_vain + 1 : 0;
    r->for_news = false;
    r->who[0] = '\0';
}

/* ---- news ------------------------------------------------------------------------------------ */

static uint64_t debounce_ms(const struct net_reconciler *r)
{
    uint64_t ms = DEBOUNCE_MS;

    for (uint32_t i = 1; i < r->in_vain && ms < DEBOUNCE_MAX_MS; i++)
        ms *= 2;
    return ms;
}

static void take_news(struct net_reconciler *r, uint64_t now_ms)
{
    struct net_monitor_news news;
    int rc = net_monitor_read(r->monitor, &news);

    if (rc < 0 || news.lost)
        r->status.resyncs++;
    if (rc == 0 && !news.changed && !news.lost)
        return;
    if (rc == 0 && news.who[0])
        memcpy(r->who, news.who, sizeof(r->who));
    if (now_ms + debounce_ms(r) < r->due_ms)
        r->for_news = true;
    soon(r, now_ms + debounce_ms(r));
}

void net_reconciler_service(struct net_reconciler *r, uint64_t now_ms)
{
    if (r->monitor)
        take_news(r, now_ms);
    if (!r->want)
        r->due_ms = NEVER;
    else if (now_ms >= r->due_ms)
        reconcile(r, now_ms);
}

/* ---- for the owner --------------------------------------------------------------------------- */

int net_reconciler_new(const struct net_kernel *kernel, const struct net_reconciler_config *config,
                       struct net_reconciler **out, struct err *err)
{
    struct net_reconciler *r = calloc(1, sizeof(*r));
    int rc = 0;

    if (!r)
        return err_set(err, -ENOMEM, "out of memory");
    r->kernel = *kernel;
    r->config = *config;
    r->due_ms = NEVER;
    if (kernel->listen)
        rc = kernel->listen(kernel->ctx, &config->owner, &r->monitor, err);
    if (rc < 0) {
        free(r);
        return rc;
    }
    *out = r;
    return 0;
}

void net_reconciler_free(struct net_reconciler *r)
{
    if (!r)
        return;
    net_monitor_close(r->monitor);
    net_plan_free(r->last);
    net_set_free(r->open);
    net_set_free(r->want);
    free(r->told.keys);
    free(r);
}

void net_reconciler_configure(struct net_reconciler *r, enum net_drift drift, uint32_t interval_ms)
{
    r->config.drift = drift;
    r->config.interval_ms = interval_ms;
    /* What was let be until now is to be put right. */
    r->due_ms = 0;
}

int net_reconciler_fd(const struct net_reconciler *r)
{
    return r->monitor ? net_monitor_fd(r->monitor) : -1;
}

uint64_t net_reconciler_deadline(const struct net_reconciler *r)
{
    return r->want ? r->due_ms : NEVER;
}

int net_reconciler_want(struct net_reconciler *r, const struct net_set *want, uint64_t now_ms,
                        struct err *err)
{
    struct net_set *wish = NULL;
    int rc = complete(want, &r->config.owner, &wish, err);

    if (rc == -ENOMEM)
        return rc;
    net_set_free(r->want);
    r->want = wish;
    soon(r, now_ms);
    return rc;
}

/* What the last run found to be too early, as only trying it tells. */
static bool is_too_early(const struct net_reconciler *r, const struct net_op *op)
{
    for (size_t i = 0; r->last && op->verb == NET_CREATE && i < r->last->n_waiting; i++) {
        const struct net_waiting *waiting = &r->last->waiting[i];

        if (waiting->reason == NET_WAIT_NEXTHOP && net_object_cmp_id(waiting->want, op->want) == 0)
            return net_object_same(op->want, waiting->want);
    }
    return false;
}

static int defer_too_early(const struct net_reconciler *r, struct net_plan *plan)
{
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < plan->n_ops;) {
        if (is_too_early(r, &plan->ops[i]))
            rc = net_plan_defer(plan, i, NET_WAIT_NEXTHOP);
        else
            i++;
    }
    return rc;
}

int net_reconciler_plan(struct net_reconciler *r, const struct net_set *want, struct net_plan **out,
                        struct err *err)
{
    _cleanup_(net_set_freep) struct net_set *wish = NULL;
    struct net_plan *plan = NULL;
    int rc = complete(want, &r->config.owner, &wish, err);

    if (rc == 0)
        rc = net_apply_plan(&r->kernel, &r->config.owner, wish, true, &plan, err);
    if (rc < 0 || !plan)
        return rc;
    if (defer_too_early(r, plan) < 0) {
        net_plan_free(plan);
        return err_set(err, -ENOMEM, "out of memory");
    }
    *out = plan;
    return 0;
}

/* The wish was carried out: from here on it is the one to keep. */
static void adopt(struct run *run, struct net_set *wish, struct net_plan *last)
{
    struct net_reconciler *r = run->r;
    struct told former = r->told;

    net_set_free(r->want);
    r->want = wish;
    keep(r, last);
    all_is_well(r);
    count(r, run, 0);
    tell_state(run, last);
    engine_tell_rest(run);
    r->told = run->told;
    run->told = former;
}

int net_reconciler_apply(struct net_reconciler *r, const struct net_set *want, uint64_t now_ms,
                         struct net_outcome *outcome, struct err *err)
{
    const struct net_apply_options options = {.mode = NET_ALL_OR_NOTHING};
    _cleanup_(run_clear) struct run run = {.r = r, .now_ms = now_ms, .hold = net_set_new()};
    _cleanup_(net_set_freep) struct net_set *wish = NULL;
    struct net_plan *plan = NULL;
    struct net_outcome result = {0};
    int rc = run.hold ? complete(want, &r->config.owner, &wish, err)
                      : err_set(err, -ENOMEM, "out of memory");

    if (rc == 0)
        rc = net_apply_plan(&r->kernel, &r->config.owner, wish, true, &plan, err);
    if (rc == 0)
        rc = net_apply(&r->kernel, &r->config.owner, wish, plan, &options, &result, err);
    r->status.operations += result.sent;
    if (rc == 0) {
        adopt(&run, TAKE(wish), result.last);
        r->due_ms = r->config.interval_ms ? now_ms + r->config.interval_ms : NEVER;
    } else {
        net_plan_free(result.last);
        soon(r, now_ms);
    }
    result.last = NULL;
    if (outcome)
        *outcome = result;
    return rc;
}

void net_reconciler_status(const struct net_reconciler *r, struct net_reconciler_status *out)
{
    *out = r->status;
}

const struct net_plan *net_reconciler_last(const struct net_reconciler *r)
{
    return r->last;
}

/* The kernel, kept as the configuration and the sessions want it; see keeper.h. */
#include "daemon/keeper.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/log.h"
#include "daemon/datapath/report.h"
#include "daemon/desired.h"
#include "daemon/events.h"
#include "daemon/forwarding.h"
#include "daemon/netfilter.h"
#include "daemon/server.h"
#include "daemon/shaper.h"
#include "netlink/firewall.h"
#include "netlink/noun.h"
#include "netlink/reconcile.h"
#include "netlink/status_json.h"

#define SHARE 4 /* of the thread's time, the engine gets at most 1 / SHARE */

struct keeper {
    struct net_kernel kernel;
    struct net_reconciler *engine;
    struct net_set *set; /* what is wanted, as handed over last */
    bool changed;        /* since then */
    bool behind;         /* what is wanted is more than was handed over */
    uint64_t not_before_ms;
};

/* ---- news ---------------------------------------------------------------------------------- */

static void on_news(void *ctx, enum net_news kind, const char *text)
{
    static const struct {
        enum log_level level;
        const char *event;
    } kinds[] = {
        [NET_NEWS_DRIFT] = {LOG_LEVEL_WARNING, "drift"},
        [NET_NEWS_FIGHT] = {LOG_LEVEL_WARNING, "fight"},
        [NET_NEWS_REFUSED] = {LOG_LEVEL_ERROR, "refused"},
        [NET_NEWS_CLASH] = {LOG_LEVEL_ERROR, "clash"},
        [NET_NEWS_WAITING] = {LOG_LEVEL_INFO, "waiting"},
        [NET_NEWS_ARRIVED] = {LOG_LEVEL_INFO, "arrived"},
        [NET_NEWS_FAILED] = {LOG_LEVEL_ERROR, "failed"},
        [NET_NEWS_AGAIN] = {LOG_LEVEL_INFO, "again"},
    };
    struct server *s = ctx;

    log_line(kinds[kind].level, "%s", text);
    events_say(s, kinds[kind].event, NULL, "%s", text);
}

/* ---- what is wanted ------------------------------------------------------------------------ */

/* By index of the configuration's users: a user with another key is another user. */
static void find_connected(struct server *s, const struct config *config, bool *connected)
{
    for (size_t i = 0; i < config->n_users; i++) {
        const struct config_user *conf = &config->users[i];
        const struct user *user;
        uint32_t id;

        /* Only they have anything in the kernel that depends on it. */
        if (conf->n_networks == 0 || users_find(s->users, conf->name, &id) < 0)
            continue;
        user = users_get(s->users, id);
        connected[i] = user && user->carrier && memcmp(user->key, conf->key, WIRE_KEY_LEN) == 0;
    }
}

static struct desired_support find_support(struct server *s, const struct config *config)
{
    struct desired_support support = netfilter_support(s);
    struct err err;

    support.forward4 = config->forwarding && s->former;
    /* Found out when it was last looked at, so that no set differs from what is kept. */
    if (config == s->config)
        support.forward6 = support.forward4 && s->forwards6;
    else
        support.forward6 =
            support.forward4 && forwarding_ip6_safe(net_kernel_conn(&s->keeper->kernel), &err) == 0;
    return support;
}

int keeper_set(struct server *s, const struct config *config, bool only_sessions,
               struct net_set **out, struct err *err)
{
    _cleanup_(free_p) bool *connected = calloc(config->n_users + 1, sizeof(*connected));
    _cleanup_(net_set_freep) struct net_set *set = net_set_new();
    const struct desired_support support = find_support(s, config);
    int rc = 0;

    /* The analyzer does not know that _cleanup_ frees. */
    if (!connected || !set)
        // NOLINTNEXTLINE(clang-analyzer-unix.Malloc): as said
        return err_set(err, -ENOMEM, "out of memory");
    find_connected(s, config, connected);
    if (!only_sessions)
        rc = desired_config(config, &support, set, err);
    if (rc == 0)
        rc = desired_sessions(config, connected, set, err);
    if (rc == 0)
        rc = shaper_add(s, config, set, err);
    if (rc == 0)
        rc = net_set_sort(set, err);
    if (rc < 0)
        return rc;
    *out = TAKE(set);
    return 0;
}

/* It was the last that was made: what it leaves out comes in the next. */
static void take_set(struct server *s, struct net_set *set)
{
    struct keeper *k = s->keeper;

    net_set_free(k->set);
    k->set = set;
    k->changed = k->behind = shaper_laid(s);
}

/* Hand over what is wanted now.  The engine carries it out in its next service. */
static int want(struct server *s, struct err *err)
{
    struct keeper *k = s->keeper;
    struct net_set *set = NULL;
    int rc = keeper_set(s, s->config, false, &set, err);

    if (rc < 0)
        return rc;
    rc = net_reconciler_want(k->engine, set, s->now.mono_ms, err);
    /* The engine keeps the former wish; this one is handed over again soon. */
    if (rc == -ENOMEM) {
        net_set_free(set);
        return rc;
    }
    take_set(s, set);
    return rc;
}

/* ---- turning ------------------------------------------------------------------------------- */

void keeper_changed(struct server *s)
{
    if (s->keeper)
        s->keeper->changed = true;
}

int keeper_fd(const struct keeper *k)
{
    return net_reconciler_fd(k->engine);
}

uint64_t keeper_deadline(const struct keeper *k)
{
    uint64_t engine = net_reconciler_deadline(k->engine);

    return k->changed && k->not_before_ms < engine ? k->not_before_ms : engine;
}

void keeper_service(struct server *s)
{
    static struct log_limit limit = LOG_LIMIT_INIT(10000, 1);
    struct keeper *k = s->keeper;
    struct clock after;
    struct err err;
    uint64_t took;

    /* What was lost is laid out anew, a part at a time, rather than repaired in one go. */
    if (s->now.mono_ms >= net_reconciler_deadline(k->engine) && shaper_lost(s)) {
        k->changed = true;
        k->not_before_ms = s->now.mono_ms;
    }
    if (k->changed && s->now.mono_ms >= k->not_before_ms && want(s, &err) < 0)
        log_limited(&limit, s->now.mono_ms, LOG_LEVEL_ERROR, "what is wanted of the kernel: %s",
                    err.msg);
    net_reconciler_service(k->engine, s->now.mono_ms);
    clock_read(&after);
    took = (k->behind ? 1 : SHARE) * (after.mono_ms - s->now.mono_ms);
    k->not_before_ms = after.mono_ms + (took > KEEPER_GATHER_MS ? took : KEEPER_GATHER_MS);
}

int keeper_plan(struct server *s, const struct net_set *set, struct net_plan **out, struct err *err)
{
    return net_reconciler_plan(s->keeper->engine, set, out, err);
}

bool keeper_old_clash(struct server *s, const struct net_object *want)
{
    const struct net_object *wanted = s->keeper->set ? net_set_find(s->keeper->set, want) : NULL;

    return wanted && net_object_same(want, wanted);
}

const struct net_waiting *keeper_waits(struct server *s, const struct net_object *want)
{
    const struct net_plan *last = net_reconciler_last(s->keeper->engine);

    for (size_t i = 0; last && i < last->n_waiting; i++)
        if (net_object_cmp_id(last->waiting[i].want, want) == 0 &&
            net_object_same(want, last->waiting[i].want))
            return &last->waiting[i];
    return NULL;
}

const char *keeper_clash(struct server *s, enum net_kind kind, char *buf)
{
    const struct net_plan *last = net_reconciler_last(s->keeper->engine);

    for (size_t i = 0; last && i < last->n_clashes; i++)
        if (last->clashes[i].want->kind == kind)
            return net_clash_format(&last->clashes[i], buf) + 2; /* without the sign in front */
    return NULL;
}

const struct net_plan *keeper_last(const struct server *s)
{
    return net_reconciler_last(s->keeper->engine);
}

static bool clashes(const struct net_plan *plan, const struct net_object *want)
{
    for (size_t i = 0; i < plan->n_clashes; i++)
        if (net_object_cmp_id(plan->clashes[i].want, want) == 0)
            return true;
    return false;
}

/* Without what clashes already: the rest can still be wholly or not at all. */
static int without_clashes(const struct net_set *set, const struct net_plan *plan,
                           struct net_set **out, struct err *err)
{
    _cleanup_(net_set_freep) struct net_set *rest = net_set_new();

    for (size_t i = 0; rest && i < net_set_count(set); i++)
        if (!clashes(plan, net_set_at(set, i)) && net_set_add(rest, net_set_at(set, i)) < 0)
            return err_set(err, -ENOMEM, "out of memory");
    if (!rest || net_set_sort(rest, err) < 0)
        return err_set(err, -ENOMEM, "out of memory");
    *out = TAKE(rest);
    return 0;
}

int keeper_apply(struct server *s, struct net_set *set, const struct net_plan *plan,
                 struct err *err)
{
    _cleanup_(net_set_freep) struct net_set *rest = NULL;
    struct net_reconciler *engine = s->keeper->engine;
    struct net_outcome outcome = {0};
    bool old = plan->n_clashes > 0;
    int rc = 0;

    for (size_t i = 0; i < plan->n_clashes; i++)
        old = old && keeper_old_clash(s, plan->clashes[i].want);
    if (old)
        rc = without_clashes(set, plan, &rest, err);
    if (rc == 0)
        rc = net_reconciler_apply(engine, rest ? rest : set, s->now.mono_ms, &outcome, err);
    net_plan_free(outcome.last);
    /* What clashed is wanted as before: it comes when its place is free. */
    if (rc == 0 && rest)
        rc = net_reconciler_want(engine, set, s->now.mono_ms, err);
    if (rc == 0)
        take_set(s, set);
    else
        keeper_changed(s); /* the former wish is looked at anew, with all that is in its way */
    return rc;
}

/* ---- start and end ------------------------------------------------------------------------- */

int keeper_open(struct server *s, struct err *err)
{
    const struct net_reconciler_config config = {
        .owner = {.protocol = NET_PROTO_SERVER,
                  .alias = DESIRED_ALIAS,
                  .table = NET_FW_TABLE_SERVER},
        .drift = s->config->drift == CONFIG_DRIFT_REPORT ? NET_DRIFT_REPORT : NET_DRIFT_REPAIR,
        .interval_ms = s->config->reconcile_interval_s * 1000,
        .news = on_news,
        .news_ctx = s,
    };
    struct keeper *k = calloc(1, sizeof(*k));
    int rc;

    if (!k)
        return err_set(err, -ENOMEM, "out of memory");
    rc = net_kernel_open(&k->kernel, err);
    if (rc == 0)
        rc = net_reconciler_new(&k->kernel, &config, &k->engine, err);
    if (rc < 0) {
        net_kernel_close(&k->kernel);
        free(k);
        return rc;
    }
    s->keeper = k;
    return 0;
}

int keeper_start(struct server *s, struct err *err)
{
    int rc = want(s, err);

    if (rc == 0)
        net_reconciler_service(s->keeper->engine, s->now.mono_ms);
    return rc;
}

void keeper_close(struct server *s)
{
    _cleanup_(net_set_freep) struct net_set *nothing = net_set_new();
    struct keeper *k = s->keeper;
    struct err err;

    if (!k)
        return;
    clock_read(&s->now);
    net_reconciler_configure(k->engine, NET_DRIFT_REPAIR, 0);
    /* Only what was made is to be taken off: a start that failed early made nothing. */
    if (k->set && (!nothing || net_reconciler_want(k->engine, nothing, s->now.mono_ms, &err) < 0))
        log_warning("out of memory: what was set in the kernel stays there");
    else if (k->set)
        net_reconciler_service(k->engine, s->now.mono_ms);
    net_reconciler_free(k->engine);
    net_kernel_close(&k->kernel);
    net_set_free(k->set);
    free(k);
    s->keeper = NULL;
}

void keeper_configure(struct server *s)
{
    net_reconciler_configure(s->keeper->engine,
                             s->config->drift == CONFIG_DRIFT_REPORT ? NET_DRIFT_REPORT
                                                                     : NET_DRIFT_REPAIR,
                             s->config->reconcile_interval_s * 1000);
}

struct net_conn *keeper_conn(const struct keeper *k)
{
    return net_kernel_conn(&k->kernel);
}

/* ---- what is shown ------------------------------------------------------------------------- */

json_t *keeper_report(struct server *s)
{
    struct net_reconciler_status status;
    json_t *out;

    net_reconciler_status(s->keeper->engine, &status);
    out = net_status_json(&status);
    if (out && status.last_drift_ms)
        json_object_set_new(
            out, "last_drift",
            report_time((time_t)((s->now.real_us / 1000 - (s->now.mono_ms - status.last_drift_ms)) /
                                 1000)));
    return out;
}

static json_t *row(const struct net_object *object, const char *state, const char *why)
{
    char text[NET_FORMAT_SIZE];

    return json_pack("{s:s, s:s, s:s, s:s*}", "kind", net_noun_of(object->kind)->name, "object",
                     net_object_format(object, text), "state", state, "why", why);
}

/* How it stands at this moment. */
static json_t *row_now(const struct net_plan *now, const struct net_object *object)
{
    char text[NET_OP_FORMAT_SIZE];

    for (size_t i = 0; i < now->n_waiting; i++)
        if (net_object_cmp_id(now->waiting[i].want, object) == 0)
            return row(object, "waiting", net_waiting_format(&now->waiting[i], text));
    for (size_t i = 0; i < now->n_clashes; i++)
        if (net_object_cmp_id(now->clashes[i].want, object) == 0)
            return row(object, "clash", net_clash_format(&now->clashes[i], text));
    for (size_t i = 0; i < now->n_ops; i++)
        if (now->ops[i].want && net_object_cmp_id(now->ops[i].want, object) == 0)
            return row(object, "missing", net_op_format(&now->ops[i], text));
    return row(object, "in place", NULL);
}

json_t *keeper_rows(struct server *s)
{
    const struct net_set *set = s->keeper->set;
    struct net_plan *now = NULL;
    json_t *rows = json_array();
    struct err err = {{0}};

    /* Looked at now, not as the last run left it. */
    if (set && keeper_plan(s, set, &now, &err) < 0)
        log_warning("%s", err.msg);
    for (size_t i = 0; set && i < net_set_count(set); i++)
        json_array_append_new(rows, now ? row_now(now, net_set_at(set, i))
                                        : row(net_set_at(set, i), "unknown", err.msg));
    net_plan_free(now);
    return rows;
}

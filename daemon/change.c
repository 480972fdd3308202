/* Another configuration comes into force; see change.h. */
#include "daemon/change.h"

#include <errno.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/log.h"
#include "daemon/config_diff.h"
#include "daemon/config_keep.h"
#include "daemon/events.h"
#include "daemon/follow.h"
#include "daemon/forwarding.h"
#include "daemon/history.h"
#include "daemon/keeper.h"
#include "daemon/listen.h"
#include "daemon/qos.h"
#include "daemon/server.h"
#include "daemon/shaper.h"
#include "netlink/plan.h"

#define HISTORY_LINES 60 /* of what changed are kept */

struct change {
    struct bundle bundle;
    struct problems problems;
    struct config *now; /* NULL once it is in force */
    char kept[CONFIG_KEEP_SIZE];
    struct follow follow;
    json_t *lines;
    struct net_set *set;
    struct net_plan *plan;
    uint8_t hash[BUNDLE_HASH_LEN];      /* of the texts */
    uint8_t plan_hash[BUNDLE_HASH_LEN]; /* of what it would do */
    size_t n_ops;                       /* of the plan, what waits already not counted */
    bool listens, renames;              /* sockets, the device are exchanged */
};

/* ---- working it out ------------------------------------------------------------------------ */

static void hash_text(crypto_generichash_state *state, const char *text)
{
    crypto_generichash_update(state, (const uint8_t *)text, strlen(text) + 1);
}

/* What comes and goes with sessions: a busy server would refuse every plan. */
static bool of_sessions(const struct net_object *object, const struct net_set *one,
                        const struct net_set *two)
{
    return object && (object->kind >= NET_KIND_QDISC || net_set_find(one, object) ||
                      net_set_find(two, object));
}

/* The packet filter's table is one object; what differs in it are its rules. */
static void each_firewall_rule(const struct net_op *op, net_fw_each *each, void *ctx)
{
    const struct net_object *want = op->want, *have = op->have;

    if ((want ? want : have)->kind == NET_KIND_FIREWALL)
        net_firewall_diff(want ? want->firewall : NULL, have ? have->firewall : NULL, each, ctx);
}

static void hash_rule(void *ctx, char sign, const struct net_fw_rule *rule)
{
    char text[NET_FW_FORMAT_SIZE];

    hash_text(ctx, sign == '+' ? "+" : "-");
    hash_text(ctx, net_fw_rule_format(rule, text));
}

/* It was tried before, and is tried again when something changes: no news. */
static const struct net_waiting *waits(struct server *s, const struct net_op *op)
{
    return op->verb == NET_CREATE ? keeper_waits(s, op->want) : NULL;
}

static int hash_plan(struct server *s, struct change *c, struct err *err)
{
    _cleanup_(net_set_freep) struct net_set *then = NULL, *now = NULL;
    const struct history_record *current = s->history ? history_current(s->history) : NULL;
    crypto_generichash_state state;
    char text[NET_OP_FORMAT_SIZE];
    int rc = keeper_set(s, s->config, true, &then, err);

    if (rc == 0)
        rc = keeper_set(s, c->now, true, &now, err);
    if (rc < 0)
        return rc;
    crypto_generichash_init(&state, NULL, 0, BUNDLE_HASH_LEN);
    crypto_generichash_update(&state, c->hash, BUNDLE_HASH_LEN);
    if (current)
        crypto_generichash_update(&state, current->hash, BUNDLE_HASH_LEN);
    for (size_t i = 0; i < c->plan->n_ops; i++) {
        const struct net_op *op = &c->plan->ops[i];

        if (!of_sessions(op->want, then, now) && !of_sessions(op->have, then, now) && !waits(s, op))
            hash_text(&state, net_op_format(op, text));
        each_firewall_rule(op, hash_rule, &state);
    }
    crypto_generichash_final(&state, c->plan_hash, BUNDLE_HASH_LEN);
    return 0;
}

static int work_out(struct server *s, struct change *c, struct err *err)
{
    int rc = config_keep(c->now, s->config, c->kept);

    if (rc == 0)
        rc = users_diff(s->config, c->now, &c->follow.items, &c->follow.n);
    if (rc == 0) {
        c->lines = config_diff(s->config, c->now, c->follow.items, c->follow.n, c->kept);
        rc = c->lines ? 0 : -ENOMEM;
    }
    if (rc < 0)
        return err_set(err, rc, "out of memory");
    c->listens = listen_differs(s->config, c->now);
    c->renames = strcmp(s->config->device, c->now->device) != 0;
    rc = keeper_set(s, c->now, false, &c->set, err);
    if (rc == 0)
        rc = keeper_plan(s, c->set, &c->plan, err);
    if (rc < 0)
        return rc;
    for (size_t i = 0; i < c->plan->n_ops; i++)
        c->n_ops += !waits(s, &c->plan->ops[i]);
    shaper_notes(s, c->now, &c->problems);
    return hash_plan(s, c, err);
}

int change_plan(struct server *s, struct bundle *bundle, struct change **out, struct err *err)
{
    struct change *c = calloc(1, sizeof(*c));
    int rc;

    *out = c;
    if (!c)
        return err_set(err, -ENOMEM, "out of memory");
    bundle_move(&c->bundle, bundle);
    bundle_hash(&c->bundle, c->hash);
    rc = config_read(&c->bundle, &c->now, &c->problems);
    if (rc < 0)
        return err_set(err, rc, "%s", c->problems.n ? c->problems.items[0].text : "not readable");
    return work_out(s, c, err);
}

void change_free(struct change *c)
{
    if (!c)
        return;
    bundle_clear(&c->bundle);
    problems_clear(&c->problems);
    config_free(c->now);
    free(c->follow.items);
    json_decref(c->lines);
    net_set_free(c->set);
    net_plan_free(c->plan);
    free(c);
}

/* ---- showing it ---------------------------------------------------------------------------- */

const struct problems *change_problems(const struct change *c)
{
    return &c->problems;
}

const uint8_t *change_hash(const struct change *c)
{
    return c->plan_hash;
}

const uint8_t *change_texts_hash(const struct change *c)
{
    return c->hash;
}

bool change_empty(const struct change *c)
{
    return json_array_size(c->lines) == 0 && c->n_ops == 0;
}

/* "+ chain postrouting: oifname ..." */
static void line_of_rule(void *ctx, char sign, const struct net_fw_rule *rule)
{
    char text[NET_FW_FORMAT_SIZE];

    json_array_append_new(ctx,
                          json_sprintf("%c   chain %s: %s", sign, net_fw_chain_name(rule->chain),
                                       net_fw_rule_format(rule, text)));
}

static json_t *kernel_lines(struct server *s, const struct change *c, size_t max)
{
    char text[NET_OP_FORMAT_SIZE];
    json_t *lines = json_array();

    for (size_t i = 0; i < c->plan->n_ops && i < max; i++) {
        if (waits(s, &c->plan->ops[i]))
            continue;
        json_array_append_new(lines, json_string(net_op_format(&c->plan->ops[i], text)));
        each_firewall_rule(&c->plan->ops[i], line_of_rule, lines);
    }
    return lines;
}

json_t *change_json(struct server *s, const struct change *c)
{
    json_t *waiting = json_array(), *clashes = json_array(), *blocked = json_array();
    char text[NET_OP_FORMAT_SIZE], hash[HISTORY_HASH_STRLEN];

    for (size_t i = 0; i < c->plan->n_waiting; i++)
        json_array_append_new(waiting, json_string(net_waiting_format(&c->plan->waiting[i], text)));
    for (size_t i = 0; i < c->plan->n_ops; i++) {
        const struct net_waiting *waiter = waits(s, &c->plan->ops[i]);

        if (waiter)
            json_array_append_new(waiting, json_string(net_waiting_format(waiter, text)));
    }
    for (size_t i = 0; i < c->plan->n_clashes; i++)
        json_array_append_new(keeper_old_clash(s, c->plan->clashes[i].want) ? blocked : clashes,
                              json_string(net_clash_format(&c->plan->clashes[i], text)));
    return json_pack("{s:O, s:o, s:o, s:o, s:o, s:s}", "changes", c->lines, "blocked", blocked,
                     "kernel", kernel_lines(s, c, SIZE_MAX), "waiting", waiting, "clashes", clashes,
                     "plan", history_hash_format(c->plan_hash, hash));
}

/* ---- putting it into force ----------------------------------------------------------------- */

static json_t *history_lines(struct server *s, const struct change *c)
{
    json_t *lines = json_array(), *kernel = kernel_lines(s, c, HISTORY_LINES);
    const size_t all = json_array_size(c->lines) + c->n_ops;
    size_t i;

    for (i = 0; i < json_array_size(c->lines) && json_array_size(lines) < HISTORY_LINES; i++)
        json_array_append(lines, json_array_get(c->lines, i));
    for (i = 0; i < json_array_size(kernel) && json_array_size(lines) < HISTORY_LINES; i++)
        json_array_append(lines, json_array_get(kernel, i));
    json_decref(kernel);
    if (all > HISTORY_LINES)
        json_array_append_new(lines, json_sprintf("  and %zu more", all - HISTORY_LINES));
    return lines;
}

static int stage(struct server *s, const struct change *c, const struct change_wish *wish,
                 struct err *err)
{
    json_t *lines;
    int rc;

    if (!s->history)
        return err_set(err, -EIO,
                       "the state folder %s cannot be used, so no configuration can be kept (see "
                       "the log, and restart vpn-server)",
                       s->config->state);
    lines = history_lines(s, c);
    rc = history_stage(
        s->history, &c->bundle,
        &(struct history_note){
            .by = wish->by,
            .how = wish->how,
            .time_s = (int64_t)(s->now.real_us / 1000000),
            .changes = lines,
            .until_ms = wish->confirm_s ? choose_boot_ms() + (uint64_t)wish->confirm_s * 1000 : 0,
            .reject = wish->reject,
        },
        err);
    json_decref(lines);
    return rc;
}

/* What a pause of the lanes is needed for. */
static int exchange(struct server *s, const struct change *c, struct device *device,
                    struct err *err)
{
    int rc = c->listens ? listen_change(s, s->config, c->now, err) : 0;

    if (rc < 0 || !c->renames)
        return rc;
    rc = device_exchange(s, device, err);
    if (rc < 0 && c->listens) {
        struct err ignored;

        (void)listen_change(s, c->now, s->config, &ignored);
    }
    return rc;
}

/* The device comes back even where the sockets do not: what is not in use is about to go. */
static void exchange_back(struct server *s, const struct change *c, struct device *device)
{
    struct err err;

    if (c->renames && device_exchange(s, device, &err) < 0)
        log_error("%s: %s", s->config->device, err.msg);
    if (c->listens)
        (void)listen_change(s, c->now, s->config, &err);
}

/* The kernel's part, with sockets and device around it; the lanes pause if they are concerned. */
static int carry_out(struct server *s, struct change *c, struct err *err)
{
    struct device device = {.name = ""};
    int rc = c->renames ? device_make(s, c->now->device, &device, err) : 0;

    if (rc < 0)
        return rc;
    rc = exchange(s, c, &device, err);
    if (rc == 0) {
        forwarding_before(s, c->now);
        rc = keeper_apply(s, c->set, c->plan, err);
        if (rc < 0) {
            forwarding_follow(s, s->config);
            exchange_back(s, c, &device);
        } else {
            c->set = NULL;
            forwarding_follow(s, c->now);
        }
    }
    /* The new one or the former one, whichever is not in use now. */
    device_unmake(s, &device);
    return rc;
}

static int pause_and_carry_out(struct server *s, struct change *c, struct err *err)
{
    const bool pause = c->listens || c->renames;
    const int paused = pause ? datapath_pause(&s->dp) : 0;
    struct err resume;
    int rc = carry_out(s, c, err);

    /* A lane that did not come to rest: its enclave is replaced, and the lanes start with that. */
    if (paused < 0)
        (void)spawner_kill(&s->spawner);
    else if (pause && datapath_resume(&s->dp, &resume) < 0)
        log_error("%s", resume.msg);
    if (rc == 0 && c->listens)
        sessions_measure_all(s);
    return rc;
}

static void say(struct server *s, const struct change *c, const struct change_wish *wish)
{
    json_t *lines = history_lines(s, c);

    log_info("configuration %s by %s: %zu changes, %zu of them in the kernel", wish->how, wish->by,
             json_array_size(c->lines) + c->n_ops, c->n_ops);
    for (size_t i = 0; i < json_array_size(lines); i++)
        log_debug("%s", json_string_value(json_array_get(lines, i)));
    if (c->kept[0])
        log_warning("not changed before a restart: %s", c->kept);
    if (wish->confirm_s)
        log_warning("the former configuration comes back in %u s unless this one is confirmed",
                    wish->confirm_s);
    events_say(s, "apply",
               json_pack("{s:s, s:s, s:o}", "by", wish->by, "how", wish->how, "changes", lines),
               "configuration %s by %s", wish->how, wish->by);
}

int change_apply(struct server *s, struct change *c, const struct change_wish *wish,
                 struct err *err)
{
    struct config *then = s->config;
    struct err late;
    int rc;

    /* What was chosen at start is not in the history yet, and would come in as the latest. */
    if (!s->ready_once)
        return err_set(err, -EAGAIN, "vpn-server is still starting; try again");
    rc = stage(s, c, wish, err);
    if (rc < 0)
        return rc;
    rc = follow_reserve(s, c->now, &c->follow);
    if (rc < 0)
        err_set(err, rc, "%s",
                rc == -ENOSPC ? "more users than this process has room for: restart vpn-server"
                              : "out of memory");
    else
        rc = pause_and_carry_out(s, c, err);
    if (rc < 0) {
        /* Without memory for the way back the leases go on looking at it. */
        if (follow_back(s) < 0)
            c->now = NULL;
        history_abort(s->history);
        return rc;
    }
    follow_through(s, c->now, &c->follow);
    if (qos_offload(then) != qos_offload(s->config))
        device_offload(s);
    shaper_announce(s);
    keeper_configure(s);
    keeper_changed(s);
    say(s, c, wish);
    c->now = NULL;
    config_free(then);
    if (history_commit(s->history, &late) < 0)
        log_error("%s: a restart will know the former configuration only", late.msg);
    return 0;
}

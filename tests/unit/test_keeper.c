/*
 * The server's end of the engine: what is wanted reaches the kernel in the end, also when memory
 * was short when it was to be handed over; and what cannot be looked at is not said to be in place.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "daemon/datapath/report.h"
#include "daemon/desired.h"
#include "daemon/events.h"
#include "daemon/forwarding.h"
#include "daemon/keeper.h"
#include "daemon/netfilter.h"
#include "daemon/server.h"
#include "daemon/shaper.h"
#include "tests/unit/fake_kernel.h"
#include "tests/unit/short_memory.h"

#define LATER_MS 1200 /* the keeper gathers, and the engine tries again by then */

static struct config config = {.drift = CONFIG_DRIFT_REPAIR, .reconcile_interval_s = 60};
static struct server server;
static struct fake fake;
static uint32_t priority; /* of the rule that is wanted */
static unsigned int n_errors, n_sets, parts_left;
static bool tree_lost;

/* ---- who is around it ------------------------------------------------------------------------ */

int net_kernel_open(struct net_kernel *out, struct err *err)
{
    (void)err;
    *out = memory_kernel(fake_kernel(&fake));
    return 0;
}

void net_kernel_close(struct net_kernel *kernel)
{
    (void)kernel;
}

struct net_conn *net_kernel_conn(const struct net_kernel *kernel)
{
    (void)kernel;
    return NULL;
}

int desired_config(const struct config *c, const struct desired_support *support,
                   struct net_set *set, struct err *err)
{
    const struct net_rule rule = {.family = 4, .priority = priority, .table = 101};
    int rc = net_set_add_rule(set, &rule);

    (void)c, (void)support;
    return rc < 0 ? err_set(err, rc, "out of memory") : 0;
}

int desired_sessions(const struct config *c, const bool *connected, struct net_set *set,
                     struct err *err)
{
    (void)c, (void)connected, (void)set, (void)err;
    return 0;
}

int shaper_add(struct server *s, const struct config *c, struct net_set *set, struct err *err)
{
    (void)s, (void)c, (void)set, (void)err;
    n_sets++;
    return 0;
}

bool shaper_laid(struct server *s)
{
    (void)s;
    if (parts_left)
        parts_left--;
    return parts_left > 0;
}

bool shaper_lost(struct server *s)
{
    bool was_lost = tree_lost;

    (void)s;
    tree_lost = false;
    return was_lost;
}

struct desired_support netfilter_support(const struct server *s)
{
    (void)s;
    return (struct desired_support){.firewall = false};
}

int forwarding_ip6_safe(struct net_conn *conn, struct err *err)
{
    (void)conn, (void)err;
    return 0;
}

int users_find(const struct users *u, const char *name, uint32_t *id)
{
    (void)u, (void)name, (void)id;
    return -ENOENT;
}

struct user *users_get(struct users *u, uint32_t id)
{
    (void)u, (void)id;
    return NULL;
}

void events_say(struct server *s, const char *kind, json_t *more, const char *fmt, ...)
{
    (void)s, (void)kind, (void)more, (void)fmt;
}

json_t *report_time(time_t seconds)
{
    return json_integer((json_int_t)seconds);
}

void clock_read(struct clock *now)
{
    now->mono_ms = server.now.mono_ms;
}

void log_line(enum log_level level, const char *fmt, ...)
{
    (void)fmt;
    n_errors += level == LOG_LEVEL_ERROR;
}

void log_limited(struct log_limit *limit, uint64_t now_ms, enum log_level level, const char *fmt,
                 ...)
{
    (void)limit, (void)now_ms, (void)fmt;
    n_errors += level == LOG_LEVEL_ERROR;
}

/* ---- cases ----------------------------------------------------------------------------------- */

static int setup(void **state)
{
    struct err err;

    (void)state;
    memset(&server, 0, sizeof(server));
    server.config = &config;
    server.now.mono_ms = 1000;
    priority = 100;
    fake_init(&fake);
    return keeper_open(&server, &err) == 0 ? keeper_start(&server, &err) : -1;
}

static int teardown(void **state)
{
    (void)state;
    keeper_close(&server);
    fake_clear(&fake);
    return 0;
}

/* Those of this priority; 0: all. */
static unsigned int count_rules(uint32_t wanted)
{
    unsigned int n = 0;

    for (size_t i = 0; i < net_set_count(fake.objects); i++) {
        const struct net_object *object = net_set_at(fake.objects, i);

        n += object->kind == NET_KIND_RULE && (!wanted || object->rule.priority == wanted);
    }
    return n;
}

static bool has_rule(uint32_t wanted)
{
    return count_rules(0) == 1 && count_rules(wanted) == 1;
}

/* As the loop does it. */
static void pass(uint64_t ms)
{
    server.now.mono_ms += ms;
    if (server.now.mono_ms >= keeper_deadline(server.keeper))
        keeper_service(&server);
}

static bool change_once(size_t fail_at, size_t *n_late)
{
    bool was_short, late;

    assert_int_equal(setup(NULL), 0);
    assert_true(has_rule(100));
    n_errors = 0;
    priority = 200;
    keeper_changed(&server);
    memory_shorten(fail_at, false);
    pass(KEEPER_GATHER_MS);
    was_short = memory_relieve();
    late = count_rules(200) == 0;
    pass(LATER_MS);
    pass(LATER_MS);
    assert_true(has_rule(200));
    /* What comes late was told, once. */
    assert_true(n_errors <= 1 && (n_errors == 1 || !late));
    *n_late += late;
    teardown(NULL);
    return was_short;
}

/* A set in parts is handed over to its end, whoever began: a session, a reload, or a loss. */
static void in_parts(void **state)
{
    struct net_plan *plan;
    struct net_set *set;
    struct err err;

    (void)state;
    parts_left = 4;
    keeper_changed(&server);
    for (int i = 0; i < 10; i++)
        pass(LATER_MS);
    assert_int_equal(parts_left, 0);

    parts_left = 4;
    assert_int_equal(keeper_set(&server, &config, false, &set, &err), 0);
    assert_int_equal(keeper_plan(&server, set, &plan, &err), 0);
    assert_int_equal(keeper_apply(&server, set, plan, &err), 0);
    net_plan_free(plan);
    for (int i = 0; i < 10; i++)
        pass(LATER_MS);
    assert_int_equal(parts_left, 0);

    n_sets = 0;
    tree_lost = true;
    for (int i = 0; i < 60 && tree_lost; i++)
        pass(LATER_MS);
    assert_int_equal(n_sets, 1);
    pass(LATER_MS);
    assert_int_equal(n_sets, 1);
}

static void short_when_it_changes(void **state)
{
    size_t n = 1, n_late = 0;

    (void)state;
    while (change_once(n, &n_late))
        n++;
    assert_true(n > 10 && n_late > 5);
}

static const char *state_of_rule(void)
{
    static char text[64];
    json_t *rows = keeper_rows(&server);

    assert_int_equal(json_array_size(rows), 1);
    snprintf(text, sizeof(text), "%s",
             json_string_value(json_object_get(json_array_get(rows, 0), "state")));
    json_decref(rows);
    return text;
}

static void not_looked_at(void **state)
{
    (void)state;
    assert_string_equal(state_of_rule(), "in place");
    fake.dump_rc = -ENOBUFS;
    fake.dump_times = 1;
    assert_string_equal(state_of_rule(), "unknown");
    assert_string_equal(state_of_rule(), "in place");
}

static void reported(void **state)
{
    json_t *report = keeper_report(&server);

    (void)state;
    assert_true(json_is_true(json_object_get(report, "in_sync")));
    assert_int_equal(json_integer_value(json_object_get(report, "wanted")), 1);
    assert_int_equal(json_integer_value(json_object_get(report, "operations")), 1);
    assert_null(json_object_get(report, "error"));
    assert_null(json_object_get(report, "last_drift"));
    json_decref(report);

    fake_remove(&fake, net_set_at(fake.objects, net_set_count(fake.objects) - 1));
    pass(60000);
    fake.dump_rc = -EPERM;
    fake.dump_times = 1;
    pass(60000);
    report = keeper_report(&server);
    assert_false(json_is_true(json_object_get(report, "in_sync")));
    assert_int_equal(json_integer_value(json_object_get(report, "drifts")), 1);
    assert_string_equal(json_string_value(json_object_get(report, "error")), strerror(EPERM));
    assert_true(json_is_integer(json_object_get(report, "last_drift")));
    json_decref(report);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(in_parts, setup, teardown),
        cmocka_unit_test(short_when_it_changes),
        cmocka_unit_test_setup_teardown(not_looked_at, setup, teardown),
        cmocka_unit_test_setup_teardown(reported, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

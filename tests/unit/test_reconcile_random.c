/*
 * The engine against a kernel of our own making: random wishes, every fault, no real kernel.
 *
 * What must hold, whatever happens: what can be set is set in the end, with no more operations than
 * there are differences; the same wish again sends nothing; others' objects never change; and what
 * fails as a whole leaves everything as it was.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "common/cleanup.h"
#include "netlink/reconcile.h"
#include "tests/unit/fake_kernel.h"
#include "tests/unit/reconcile_rig.h"

#define ROUNDS 2000

/* ---- random, but the same each time ---------------------------------------------------------- */

static uint32_t seed;

static uint32_t any(uint32_t n)
{
    seed = seed * 1664525 + 1013904223;
    return (seed >> 8) % n;
}

static struct ip_prefix any_prefix(void)
{
    static const char *const texts[] = {"0.0.0.0/0", "10.1.0.0/16", "10.1.2.0/24", "192.0.2.7/32",
                                        "::/0",      "fd01::/48",   "fd01::/64",   "2001:db8::/32"};

    return prefix(texts[any(ARRAY_SIZE(texts))]);
}

static const char *any_dev(void)
{
    static const char *const devs[] = {"tun0", "tun0", "ifb0", "ifb1", "eth0", "tun9"};

    return devs[any(ARRAY_SIZE(devs))];
}

static struct net_object any_route(void)
{
    struct net_object route = {.kind = NET_KIND_ROUTE};

    route.route.dst = any_prefix();
    route.route.table = 101 + any(3);
    route.route.metric = 50 * any(2);
    if (any(4) == 0)
        route.route.type = NET_ROUTE_UNREACHABLE;
    else if (any(5) == 0 && route.route.dst.addr.family == 4)
        assert_int_equal(ip_addr_parse("192.0.2.1", &route.route.via), 0);
    else
        snprintf(route.dev, sizeof(route.dev), "%s", any_dev());
    return route;
}

static uint32_t wishes;

/*
 * Few priorities, so that they meet; one of them others have.  A rule and its opposite exclude each
 * other, so only in different wishes there are both.
 */
static struct net_object any_rule(void)
{
    struct net_object rule = {.kind = NET_KIND_RULE};

    rule.rule.family = any(2) ? 4 : 6;
    rule.rule.priority = 10001 + any(6);
    rule.rule.table = 101 + any(2);
    rule.rule.invert = (rule.rule.priority + wishes) % 4 == 0;
    if (any(2)) {
        rule.rule.has_uids = true;
        rule.rule.uid_first = rule.rule.uid_last = 1000 + any(3);
    }
    if (any(4) == 0)
        rule.rule.mark = rule.rule.mask = 1;
    return rule;
}

static void add_tree(struct net_set *set, const char *dev)
{
    struct net_object object = {.kind = NET_KIND_QDISC};
    uint32_t leaves = any(5);

    object.qdisc.parent = NET_TC_ROOT;
    object.qdisc.handle = NET_TC_HANDLE(1, 0);
    object.qdisc.htb_default = any(8) == 0;
    add(set, &object, dev);
    for (uint32_t i = 0; i <= leaves; i++) {
        object = (struct net_object){.kind = NET_KIND_CLASS};
        object.cls.handle = NET_TC_HANDLE(1, 1 + i);
        object.cls.parent = NET_TC_HANDLE(1, i > 0);
        object.cls.inner = i == 0;
        object.cls.rate_bytes_s = 1000 + any(3);
        add(set, &object, dev);
        if (i == 0)
            continue;
        object = (struct net_object){.kind = NET_KIND_QDISC};
        object.qdisc.kind = NET_QDISC_BFIFO;
        object.qdisc.parent = NET_TC_HANDLE(1, 1 + i);
        object.qdisc.handle = NET_TC_HANDLE(16 + any(4) * 16 + i, 0);
        add(set, &object, dev);
        object = (struct net_object){.kind = NET_KIND_FILTER};
        object.filter.kind = NET_FILTER_CLASS;
        object.filter.parent = NET_TC_HANDLE(1, 0);
        object.filter.pref = 10;
        object.filter.handle = NET_U32_HANDLE(0, 0, i);
        object.filter.classid = NET_TC_HANDLE(1, 1 + any(leaves) + 1);
        add(set, &object, dev);
    }
}

static void add_link(struct net_set *set, const char *name, const char *kind)
{
    struct net_object link = {.kind = NET_KIND_LINK};

    link.link.mtu = 1400 + any(2);
    link.link.up = any(8) != 0;
    snprintf(link.link.name, sizeof(link.link.name), "%s", name);
    snprintf(link.link.kind, sizeof(link.link.kind), "%s", kind);
    add(set, &link, NULL);
}

static struct net_set *any_wish(void)
{
    struct net_set *set = net_set_new();

    assert_non_null(set);
    wishes++;
    add_link(set, "tun0", "tun");
    if (any(3))
        add_link(set, "ifb0", "ifb");
    if (any(2))
        add_link(set, "ifb1", "ifb");
    for (uint32_t i = any(6); i > 0; i--) {
        struct net_object addr = {.kind = NET_KIND_ADDR};

        addr.addr.prefix = any_prefix();
        addr.addr.prefix.len = (uint8_t)(24 + any(2));
        addr.addr.no_prefix_route = any(4) != 0;
        add(set, &addr, any(2) ? "tun0" : "ifb0");
    }
    for (uint32_t i = any(12); i > 0; i--) {
        const struct net_object route = any_route();

        add(set, &route, NULL);
    }
    for (uint32_t i = any(10); i > 0; i--) {
        const struct net_object rule = any_rule();

        add(set, &rule, NULL);
    }
    if (any(2))
        assert_int_equal(net_set_add_setting(set, "ipv4/ip_forward", any(2) ? "1" : "0"), 0);
    if (any(2))
        add_tree(set, "tun0");
    if (any(2))
        add_tree(set, "ifb0");
    return set;
}

/* Sets cannot hold two of one identity; the first counts. */
static struct net_set *any_sorted_wish(void)
{
    struct net_set *set = any_wish();
    struct err err;

    assert_int_not_equal(net_set_sort(set, &err), -ENOMEM);
    return set;
}

static int random_setup(void **state)
{
    seed = 1;
    return setup(state);
}

/* ---- tests ----------------------------------------------------------------------------------- */

/* How many objects are not as the plan's wish has them, on either side. */
static size_t differences(const struct net_plan *plan)
{
    size_t n = 0;

    for (size_t i = 0; i < plan->n_ops; i++)
        n += !plan->ops[i].implied;
    return n;
}

static void check_settled(void)
{
    const struct net_plan *last = net_reconciler_last(engine);
    size_t asked = fake.asked;

    assert_non_null(last);
    assert_true(net_plan_empty(last));
    assert_string_equal(status().error, "");
    pass(60000);
    if (fake.asked != asked && fake.asked - asked > net_reconciler_last(engine)->n_waiting)
        fail_msg("%zu operations for nothing: %s", fake.asked - asked, news);
    if (status().drifts != 0)
        fail_msg("%s", news);
}

static void test_random(void **state)
{
    _cleanup_(free_p) char *foreign = lines(true);

    (void)state;
    for (unsigned int i = 0; i < ROUNDS; i++) {
        _cleanup_(net_set_freep) struct net_set *set = any_sorted_wish();
        _cleanup_(net_plan_freep) struct net_plan *plan = NULL;
        _cleanup_(free_p) char *after = NULL;
        size_t asked = fake.asked;

        OK(net_reconciler_plan(engine, set, &plan, &err));
        news[0] = '\0';
        want(set);
        /* Side effects (a link that goes down) and what is not there yet may cost a second try. */
        if (fake.asked - asked > 2 * differences(plan) + 12)
            fail_msg("round %u: %zu operations for %zu differences", i, fake.asked - asked,
                     differences(plan));
        if (!net_plan_empty(net_reconciler_last(engine)))
            fail_msg("round %u: %s", i, news);
        check_settled();
        after = lines(true);
        assert_string_equal(after, foreign);
    }
}

/* Everything that can go wrong once: it is set in the end nevertheless. */
static void test_faults(void **state)
{
    static const int errors[] = {-ENOBUFS,  -EINTR,     -EAGAIN, -EBUSY,    -EEXIST,
                                 -ENETDOWN, -ENODEV,    -ENOMEM, -EPERM,    -EBADMSG,
                                 -ENOENT,   -ETIMEDOUT, -EINVAL, -EMSGSIZE, -EPROTO};
    _cleanup_(free_p) char *foreign = lines(true);

    (void)state;
    for (unsigned int i = 0; i < ROUNDS; i++) {
        _cleanup_(net_set_freep) struct net_set *set = any_sorted_wish();
        _cleanup_(free_p) char *after = NULL;

        switch (any(3)) {
        case 0:
            fake.refuse_rc = errors[any(ARRAY_SIZE(errors))];
            fake.refuse_at = any(10);
            fake.refuse_n = 1 + any(3);
            break;
        case 1:
            fake.apply_rc = errors[any(ARRAY_SIZE(errors))];
            fake.apply_after = any(10);
            fake.apply_times = 1 + any(2);
            break;
        default:
            fake.dump_rc = errors[any(ARRAY_SIZE(errors))];
            fake.dump_times = 1 + any(3);
            break;
        }
        want(set);
        for (unsigned int tries = 0; tries < 6 && !status().in_sync; tries++)
            pass(1000);
        fake.refuse_n = fake.apply_times = fake.dump_times = 0;
        pass(60000);
        pass(60000);
        if (!net_plan_empty(net_reconciler_last(engine)))
            fail_msg("round %u: %s", i, news);
        news[0] = '\0';
        after = lines(true);
        assert_string_equal(after, foreign);
    }
}

/* One object of many is refused for good: everything is as before. */
static void test_rollback(void **state)
{
    unsigned int rolled_back = 0;

    (void)state;
    for (unsigned int i = 0; i < ROUNDS; i++) {
        _cleanup_(net_set_freep) struct net_set *set = any_sorted_wish();
        _cleanup_(net_plan_freep) struct net_plan *plan = NULL;
        _cleanup_(free_p) char *before = NULL;
        _cleanup_(free_p) char *after = NULL;
        struct net_outcome outcome = {0};
        struct net_object cursed;
        struct err why = {{0}};
        size_t at = 0;
        int rc;

        OK(net_reconciler_plan(engine, set, &plan, &err));
        for (uint32_t pick = any(20); at < plan->n_ops; at++)
            if (plan->ops[at].verb == NET_CREATE && !fake_find(&fake, plan->ops[at].want) &&
                pick-- == 0)
                break;
        if (at == plan->n_ops || plan->n_clashes > 0) {
            net_reconciler_want(engine, set, now_ms, NULL);
            net_reconciler_service(engine, now_ms);
            continue;
        }
        cursed = *plan->ops[at].want;
        before = lines(false);
        fake.cursed = &cursed;
        fake.cursed_rc = -EPERM;
        rc = net_reconciler_apply(engine, set, now_ms, &outcome, &why);
        fake.cursed = NULL;
        after = lines(false);
        assert_int_equal(rc, -EREMOTEIO);
        if (!outcome.rolled_back)
            fail_msg("round %u: %s", i, why.msg);
        assert_string_equal(before, after);
        rolled_back++;
    }
    assert_true(rolled_back > ROUNDS / 4);
}

/* Somebody takes away, adds and changes at random; each time all comes back. */
static void test_drift_random(void **state)
{
    _cleanup_(net_set_freep) struct net_set *set = any_sorted_wish();
    _cleanup_(free_p) char *good = NULL;

    (void)state;
    want(set);
    good = lines(false);
    for (unsigned int i = 0; i < ROUNDS; i++) {
        _cleanup_(free_p) char *after = NULL;
        const struct net_object *victim =
            net_set_at(fake.objects, any((uint32_t)net_set_count(fake.objects)));
        uint64_t drifts = status().drifts;
        struct net_object id = *victim;

        if (is_foreign(victim) || (victim->kind == NET_KIND_LINK && !strcmp(victim->dev, "tun0")) ||
            victim->kind == NET_KIND_SETTING)
            continue;
        if (id.kind == NET_KIND_LINK && any(2))
            fake_set_up(&fake, id.dev, !id.link.up);
        else
            fake_remove(&fake, &id);
        pass(121000);
        assert_true(status().drifts > drifts);
        after = lines(false);
        assert_string_equal(after, good);
    }
    assert_true(status().in_sync);
}

/* While we are at work, somebody takes away what is ours, links as well. */
static void meddle(struct fake *k)
{
    size_t n = net_set_count(k->objects);
    struct net_object victim = *net_set_at(k->objects, any((uint32_t)n));

    if (any(3) || is_foreign(&victim) || victim.kind == NET_KIND_SETTING ||
        (victim.kind == NET_KIND_LINK && strcmp(victim.dev, "tun0") == 0))
        return;
    if (victim.kind == NET_KIND_LINK && any(2))
        fake_set_up(k, victim.dev, !victim.link.up);
    else
        fake_remove(k, &victim);
}

static void test_meddling(void **state)
{
    _cleanup_(free_p) char *foreign = lines(true);

    (void)state;
    for (unsigned int i = 0; i < ROUNDS; i++) {
        _cleanup_(net_set_freep) struct net_set *set = any_sorted_wish();
        _cleanup_(free_p) char *after = NULL;

        fake.before_op = meddle;
        want(set);
        fake.before_op = NULL;
        /* Past the longest pause of a fight. */
        pass(121000);
        pass(121000);
        if (!net_plan_empty(net_reconciler_last(engine)) || status().error[0])
            fail_msg("round %u: %s", i, news);
        news[0] = '\0';
        after = lines(true);
        assert_string_equal(after, foreign);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_random, random_setup, teardown),
        cmocka_unit_test_setup_teardown(test_faults, random_setup, teardown),
        cmocka_unit_test_setup_teardown(test_rollback, random_setup, teardown),
        cmocka_unit_test_setup_teardown(test_drift_random, random_setup, teardown),
        cmocka_unit_test_setup_teardown(test_meddling, random_setup, teardown),
    };

    return cmocka_run_group_tests_name("reconcile random", tests, NULL, NULL);
}

/*
 * What stands in the way of a wish: devices that are not there yet, next hops, objects of others in
 * the same place, rules that the kernel takes for one another.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "common/cleanup.h"
#include "netlink/reconcile.h"
#include "tests/unit/fake_kernel.h"
#include "tests/unit/reconcile_rig.h"

/* What a device receives shall leave by @target. */
static struct net_object redirect(const char *target)
{
    struct net_object object = {.kind = NET_KIND_FILTER};

    object.filter = (struct net_filter){.parent = NET_TC_INGRESS_HANDLE,
                                        .pref = 1,
                                        .handle = NET_U32_HANDLE(0, 0, 1),
                                        .kind = NET_FILTER_REDIRECT};
    snprintf(object.filter.redirect, sizeof(object.filter.redirect), "%s", target);
    return object;
}

static void test_waiting(void **state)
{
    _cleanup_(net_set_freep) struct net_set *set = small_wish();
    struct net_object route = {.kind = NET_KIND_ROUTE};
    struct net_object tun1 = {.kind = NET_KIND_LINK};
    struct net_object filter = redirect("ifb9");

    (void)state;
    add(set, &filter, "tun0");
    route.route = (struct net_route){.dst = prefix("10.67.0.0/16"), .table = 102};
    add(set, &route, "tun101");
    route.route.dst = prefix("10.68.0.0/16");
    add(set, &route, "eth0");
    fake_set_up(&fake, "eth0", false);
    want(set);
    assert_int_equal(status().waiting, 3);
    assert_true(status().in_sync);
    assert_non_null(strstr(news, "redirect dev ifb9: device ifb9 is not there"));
    assert_non_null(strstr(news, "route 10.67.0.0/16 dev tun101 table 102 proto 86: device tun101 "
                                 "is not there"));
    assert_non_null(strstr(news, "route 10.68.0.0/16 dev eth0 table 102 proto 86: device eth0 is "
                                 "down"));
    news[0] = '\0';
    pass(60000);
    assert_string_equal(news, "");

    snprintf(tun1.link.name, sizeof(tun1.link.name), "tun101");
    tun1.link.up = true;
    fake_add(&fake, &tun1);
    fake_set_up(&fake, "eth0", true);
    pass(60000);
    assert_int_equal(status().waiting, 1);
    assert_int_equal(status().drifts, 0);
    assert_non_null(strstr(news, "5: route 10.67.0.0/16 dev tun101"));
    assert_non_null(strstr(news, "5: route 10.68.0.0/16 dev eth0"));
}

static void test_next_hop(void **state)
{
    _cleanup_(net_set_freep) struct net_set *set = small_wish();
    _cleanup_(net_plan_freep) struct net_plan *plan = NULL;
    struct net_object route = {.kind = NET_KIND_ROUTE};
    struct net_outcome outcome;

    (void)state;
    route.route = (struct net_route){.dst = prefix("10.67.0.0/16"), .table = 102};
    assert_int_equal(ip_addr_parse("192.0.2.1", &route.route.via), 0);
    add(set, &route, NULL);
    fake_remove(&fake, &(struct net_object){.kind = NET_KIND_LINK, .link.name = "eth0"});
    OK(net_reconciler_apply(engine, set, now_ms, &outcome, &err));
    assert_int_equal(status().waiting, 1);
    assert_int_equal(status().refused, 0);
    OK(net_reconciler_plan(engine, set, &plan, &err));
    assert_true(net_plan_empty(plan));
    assert_int_equal(plan->n_waiting, 1);
    fake_link(&fake, "eth0", "", "", true);
    pass(60000);
    assert_int_equal(status().waiting, 0);
    assert_non_null(strstr(news, "5: route 10.67.0.0/16 via 192.0.2.1"));
}

static void test_clashes(void **state)
{
    _cleanup_(net_set_freep) struct net_set *set = small_wish();
    _cleanup_(free_p) char *before = lines(true);
    _cleanup_(free_p) char *ours = lines(false);
    _cleanup_(free_p) char *after = NULL;
    _cleanup_(free_p) char *ours_after = NULL;
    struct net_object object = {.kind = NET_KIND_ROUTE}, filter;
    struct net_outcome outcome;
    struct err why = {{0}};

    (void)state;
    object.route = (struct net_route){.dst = prefix("10.1.0.0/16"), .table = 103};
    add(set, &object, "tun0");
    assert_int_equal(net_reconciler_apply(engine, set, now_ms, &outcome, &why), -EEXIST);
    assert_string_equal(why.msg, "route 10.1.0.0/16 dev tun0 table 103 proto 86: in its place "
                                 "stands route 10.1.0.0/16 dev eth0 table 103 proto 3");
    ours_after = lines(false);
    assert_string_equal(ours, ours_after);

    /* By itself the engine sets the rest. */
    object = (struct net_object){.kind = NET_KIND_RULE};
    object.rule = (struct net_rule){.family = 4, .priority = 10006, .table = 101};
    add(set, &object, NULL);
    add(set, &(struct net_object){.kind = NET_KIND_LINK, .link = {.name = "eth0"}}, NULL);
    filter = redirect("eth0");
    add(set, &filter, "tun0");
    want(set);
    assert_int_equal(status().clashes, 3);
    assert_non_null(strstr(news, "redirect dev eth0: device eth0 is somebody else's"));
    assert_non_null(strstr(news, "(rename it, or remove it with: ip link del eth0)"));
    assert_true(has_rule());
    assert_non_null(strstr(news, "in its place stands rule 10006: from all lookup main proto 2"));
    assert_non_null(strstr(news, "in its place stands link eth0"));
    after = lines(true);
    assert_string_equal(before, after);

    /* A rule that must not be left out stands beside the other. */
    object = (struct net_object){.kind = NET_KIND_RULE};
    object.rule = (struct net_rule){.family = 4, .priority = 10006, .table = 102, .beside = true};
    add(set, &object, NULL);
    want(set);
    assert_int_equal(status().clashes, 3);
    free(after);
    after = lines(false);
    assert_non_null(strstr(after, "10006: from all lookup 102 proto 86"));
}

/* Others put a rule of theirs on our priority after ours stood: ours does not go for it. */
static void test_late_clash(void **state)
{
    _cleanup_(net_set_freep) struct net_set *set = small_wish();
    struct net_object rule = {.kind = NET_KIND_RULE};

    (void)state;
    want(set);
    rule.rule = (struct net_rule){.family = 4, .priority = 10001, .table = 5, .protocol = 3};
    fake_add(&fake, &rule);
    pass(60000);
    assert_true(has_rule());
    assert_int_equal(status().operations, 3);
}

/* Others put a route beside ours, before it: a change would take the place of theirs. */
static void test_change_beside_foreign(void **state)
{
    _cleanup_(net_set_freep) struct net_set *set = small_wish();
    _cleanup_(free_p) char *before = NULL;
    _cleanup_(free_p) char *after = NULL;
    struct net_object route = {.kind = NET_KIND_ROUTE, .dev = "eth0"};

    (void)state;
    route.route = (struct net_route){.dst = prefix("10.66.0.0/16"), .table = 101, .protocol = 4};
    fake_add(&fake, &route);
    route.route.protocol = owner.protocol;
    fake_add(&fake, &route);
    before = lines(true);
    want(set);
    after = lines(true);
    assert_string_equal(before, after);
    assert_int_equal(status().clashes, 1);
}

/* The kernel removes the first rule that agrees: the more special one has to step aside. */
static void test_rule_neighbours(void **state)
{
    _cleanup_(net_set_freep) struct net_set *first = net_set_new();
    _cleanup_(net_set_freep) struct net_set *second = net_set_new();
    struct net_object broad = {.kind = NET_KIND_RULE}, special;
    struct net_outcome outcome;
    unsigned int left = 0;

    (void)state;
    broad.rule = (struct net_rule){.family = 4, .priority = 10001, .table = 101};
    special = broad;
    special.rule.has_uids = true;
    special.rule.uid_first = special.rule.uid_last = 5;
    add(first, &special, NULL);
    OK(net_reconciler_apply(engine, first, now_ms, NULL, &err));
    add(first, &broad, NULL);
    OK(net_reconciler_apply(engine, first, now_ms, NULL, &err));
    add(second, &special, NULL);
    OK(net_reconciler_apply(engine, second, now_ms, &outcome, &err));
    assert_int_equal(outcome.sent, 3); /* both go, one comes back */
    for (size_t i = 0; i < net_set_count(fake.objects); i++) {
        const struct net_object *object = net_set_at(fake.objects, i);

        if (object->kind != NET_KIND_RULE || object->rule.protocol != owner.protocol)
            continue;
        left++;
        assert_true(object->rule.has_uids);
    }
    assert_int_equal(left, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_waiting, setup, teardown),
        cmocka_unit_test_setup_teardown(test_next_hop, setup, teardown),
        cmocka_unit_test_setup_teardown(test_clashes, setup, teardown),
        cmocka_unit_test_setup_teardown(test_late_clash, setup, teardown),
        cmocka_unit_test_setup_teardown(test_change_beside_foreign, setup, teardown),
        cmocka_unit_test_setup_teardown(test_rule_neighbours, setup, teardown),
    };

    return cmocka_run_group_tests_name("reconcile obstacles", tests, NULL, NULL);
}

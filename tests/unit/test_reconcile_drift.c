/*
 * When the engine looks at what is there, and what it makes and says of what others did to it: put
 * back, at once or later and later; told once; or only reported.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "common/cleanup.h"
#include "netlink/reconcile.h"
#include "tests/unit/fake_kernel.h"
#include "tests/unit/reconcile_rig.h"

static void test_told_once(void **state)
{
    _cleanup_(net_set_freep) struct net_set *set = small_wish();

    (void)state;
    want(set);
    assert_string_equal(news, "");
    assert_int_equal(status().drifts, 0);
    assert_true(status().in_sync);
    remove_rule();
    pass(60000);
    assert_string_equal(news,
                        "0: rule 10001: from all lookup 101 proto 86 was removed: put back\n");
    assert_int_equal(status().drifts, 1);
    assert_true(has_rule());
    pass(60000);
    pass(60000);
    assert_int_equal(status().drifts, 1);
}

/* A link that went down took its route along: one thing happened, one is told. */
static void test_consequences_are_not_told(void **state)
{
    _cleanup_(net_set_freep) struct net_set *set = small_wish();

    (void)state;
    want(set);
    fake_set_up(&fake, "tun0", false);
    pass(60000);
    assert_int_equal(status().drifts, 1);
    assert_non_null(strstr(news, "link tun0"));
    assert_null(strstr(news, "route"));
    assert_true(status().in_sync);
}

static void test_report_only(void **state)
{
    _cleanup_(net_set_freep) struct net_set *set = small_wish();
    _cleanup_(net_set_freep) struct net_set *more = small_wish();
    struct net_object rule = {.kind = NET_KIND_RULE};

    (void)state;
    net_reconciler_configure(engine, NET_DRIFT_REPORT, 60000);
    want(set);
    remove_rule();
    for (int i = 0; i < 5; i++)
        pass(60000);
    assert_string_equal(news, "0: rule 10001: from all lookup 101 proto 86 was removed: left so\n");
    assert_false(has_rule());
    assert_int_equal(status().drifted, 1);
    assert_int_equal(status().drifts, 1);
    assert_false(status().in_sync);

    /* A new wish is carried out, and still the drift is left. */
    rule.rule = (struct net_rule){.family = 6, .priority = 10002, .table = 102};
    add(more, &rule, NULL);
    want(more);
    assert_int_equal(status().drifted, 1);
    assert_true(has_rule());

    net_reconciler_configure(engine, NET_DRIFT_REPAIR, 60000);
    pass(1);
    assert_int_equal(status().drifted, 0);
    assert_true(status().in_sync);
}

/* Removed whenever it is there: the pauses double up to a minute, and it is told. */
static void test_fight(void **state)
{
    _cleanup_(net_set_freep) struct net_set *set = small_wish();
    uint64_t repaired[64], n = 0;

    (void)state;
    want(set);
    while (n < 14) {
        uint64_t due;

        remove_rule();
        fake.news.changed = true;
        pass(50);
        while (!has_rule()) {
            due = net_reconciler_deadline(engine);
            assert_true(due > now_ms && due <= now_ms + 60000);
            pass(due - now_ms);
        }
        repaired[n++] = now_ms;
    }
    assert_int_equal(repaired[2] - repaired[0], 300);
    for (unsigned int i = 3; i < 9; i++)
        assert_int_equal(repaired[i] - repaired[i - 1], 1000U << (i - 3));
    for (unsigned int i = 9; i < 14; i++)
        assert_int_equal(repaired[i] - repaired[i - 1], 60000);
    assert_non_null(strstr(news, "1: rule 10001: from all lookup 101 proto 86 was removed again "
                                 "and again: put back, the next time not before 16 s"));
    /* Peace for a while: the next time it is put back at once. */
    pass(60000);
    pass(60000);
    pass(60000);
    remove_rule();
    pass(100);
    pass(60000);
    assert_true(has_rule());
}

/* Nothing is touched before somebody asks for something. */
static void test_no_wish(void **state)
{
    (void)state;
    for (int i = 0; i < 5; i++)
        pass(60000);
    assert_int_equal(fake.dumps, 0);
    assert_int_equal(net_reconciler_deadline(engine), UINT64_MAX);
}

static void test_dump_fails(void **state)
{
    _cleanup_(net_set_freep) struct net_set *set = small_wish();

    (void)state;
    fake.dump_rc = -EAGAIN;
    fake.dump_times = 3;
    want(set);
    for (int i = 0; i < 3; i++)
        pass(1000);
    assert_string_equal(news, "6: Resource temporarily unavailable\n"
                              "7: the kernel's state can be read and set again\n");
    assert_true(status().in_sync);
}

/* News is waited for a moment, lost news is no less news, and whose it was is told. */
static void test_news(void **state)
{
    _cleanup_(net_set_freep) struct net_set *set = small_wish();

    (void)state;
    want(set);
    remove_rule();
    fake.news = (struct net_monitor_news){.changed = true, .who = "process 812 (ip)"};
    pass(10);
    assert_int_equal(net_reconciler_deadline(engine), now_ms + 100);
    pass(50);
    assert_false(has_rule());
    fake.news.changed = true;
    pass(49);
    assert_false(has_rule());
    pass(1);
    assert_true(has_rule());
    assert_string_equal(news, "0: rule 10001: from all lookup 101 proto 86 was removed by process "
                              "812 (ip): put back\n");

    remove_rule();
    fake.news.lost = true;
    pass(10);
    pass(100);
    assert_true(has_rule());
    assert_int_equal(status().resyncs, 1);
    remove_rule();
    fake.news_rc = -EBADF;
    pass(10);
    pass(100);
    assert_true(has_rule());
    assert_int_equal(status().resyncs, 2);
}

/* Noise that never means anything is looked at less often, but always within a second. */
static void test_noise(void **state)
{
    _cleanup_(net_set_freep) struct net_set *set = small_wish();
    uint64_t runs, start_ms;

    (void)state;
    want(set);
    runs = status().runs;
    start_ms = now_ms;
    while (now_ms < start_ms + 60000) {
        fake.news.changed = true;
        pass(10);
    }
    assert_in_range(status().runs - runs, 60, 85);
    remove_rule();
    fake.news.changed = true;
    pass(10);
    for (start_ms = now_ms; !has_rule();)
        pass(10);
    assert_in_range(now_ms - start_ms, 0, 900);
    /* That was something: the next time it is quick again. */
    remove_rule();
    fake.news.changed = true;
    pass(10);
    pass(100);
    assert_true(has_rule());
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_told_once, setup, teardown),
        cmocka_unit_test_setup_teardown(test_consequences_are_not_told, setup, teardown),
        cmocka_unit_test_setup_teardown(test_report_only, setup, teardown),
        cmocka_unit_test_setup_teardown(test_fight, setup, teardown),
        cmocka_unit_test_setup_teardown(test_no_wish, setup, teardown),
        cmocka_unit_test_setup_teardown(test_dump_fails, setup, teardown),
        cmocka_unit_test_setup_teardown(test_news, setup, teardown),
        cmocka_unit_test_setup_teardown(test_noise, setup, teardown),
    };

    return cmocka_run_group_tests_name("reconcile drift", tests, NULL, NULL);
}

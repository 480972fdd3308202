/*
 * The engine when memory is short: each allocation fails in its turn, alone or with all that follow
 * it, until there is memory again.
 *
 * What must hold: nothing breaks; whoever asked is told in words; the kernel is in the end as it
 * was asked for, or as it was before where all or nothing was asked; and what we did ourselves is
 * never told as somebody else's doing.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include <errno.h>

#include "common/cleanup.h"
#include "netlink/noun.h"
#include "netlink/reconcile.h"
#include "tests/unit/expect.h"
#include "tests/unit/fake_kernel.h"
#include "tests/unit/short_memory.h"

#define ALIAS     "vpn-server"
#define AFTER_MS  1000 /* the engine tries again by then */
#define TEXT_SIZE 8192

static struct fake fake;
static struct net_reconciler *r;
static uint64_t now_ms;
static bool drift_told;

/* ---- what is wanted ----------------------------------------------------------------------------
 */

static void add_firewall(struct net_set *set, unsigned int n)
{
    struct net_firewall fw = {.n = 0};

    for (unsigned int i = 0; i < n; i++) {
        const struct net_fw_rule rule = {.chain = NET_FW_PREROUTING,
                                         .iif = "eth0",
                                         .proto = 17,
                                         .dport = (uint16_t)(i + 1),
                                         .action = NET_FW_DROP};

        assert_int_equal(net_firewall_add(&fw, &rule), 0);
    }
    assert_int_equal(net_set_add_firewall(set, &fw), 0);
    net_firewall_clear(&fw);
}

static void add_queues(struct net_set *set, const char *dev)
{
    const struct net_qdisc root = {.parent = NET_TC_ROOT, .handle = NET_TC_HANDLE(1, 0)};
    const struct net_class cls = {.handle = NET_TC_HANDLE(1, 1),
                                  .parent = NET_TC_HANDLE(1, 0),
                                  .rate_bytes_s = 1000};

    assert_int_equal(net_set_add_qdisc(set, dev, &root), 0);
    assert_int_equal(net_set_add_class(set, dev, &cls), 0);
}

/* Two wishes with something of every sort that comes, goes, changes, stays and waits. */
static struct net_set *wish(bool second)
{
    const char *dev = second ? "ifb1" : "ifb0";
    struct net_set *set = net_set_new();
    struct net_link link = {.kind = "tun", .name = "tun0", .mtu = second ? 1400 : 1300, .up = true};
    struct net_addr addr = {.prefix = prefix("10.8.0.1/24"), .no_prefix_route = true};
    struct net_route route = {.dst = prefix("10.9.0.0/16"), .table = 101};
    struct net_rule rule = {.family = 4, .priority = second ? 102 : 101, .table = 101};

    assert_non_null(set);
    assert_int_equal(net_set_add_link(set, &link), 0);
    link = (struct net_link){.kind = "ifb", .mtu = 1500, .up = true};
    memcpy(link.name, dev, 5);
    assert_int_equal(net_set_add_link(set, &link), 0);
    add_queues(set, dev);
    add_firewall(set, second ? 3 : 2);
    assert_int_equal(net_set_add_setting(set, "ipv4/ip_forward", second ? "0" : "1"), 0);
    assert_int_equal(net_set_add_addr(set, "tun0", &addr), 0);
    assert_int_equal(net_set_add_route(set, second ? dev : "tun0", &route), 0);
    route.dst = prefix(second ? "fd01::/64" : "fd02::/64");
    assert_int_equal(net_set_add_route(set, "tun0", &route), 0);
    route.dst = prefix("10.10.0.0/16");
    assert_int_equal(net_set_add_route(set, "tun9", &route), 0);
    assert_int_equal(net_set_add_rule(set, &rule), 0);
    rule.priority = 300;
    assert_int_equal(net_set_add_rule(set, &rule), 0);
    return set;
}

/* All that the kernel holds, in one order. */
static void describe(char text[TEXT_SIZE])
{
    _cleanup_(net_set_freep) struct net_set *set = net_set_copy(fake.objects);
    char line[NET_FORMAT_SIZE];
    size_t used = 0;

    assert_non_null(set);
    assert_int_equal(net_set_sort_all(set), 0);
    for (size_t i = 0; i < net_set_count(set); i++)
        used += (size_t)snprintf(text + used, TEXT_SIZE - used, "%s\n",
                                 net_object_format(net_set_at(set, i), line));
    assert_true(used < TEXT_SIZE);
}

/* ---- the engine --------------------------------------------------------------------------------
 */

static void note_news(void *ctx, enum net_news kind, const char *text)
{
    (void)ctx;
    assert_true(text[0] != '\0');
    drift_told = drift_told || kind == NET_NEWS_DRIFT || kind == NET_NEWS_FIGHT;
}

static struct net_reconciler_status status(void)
{
    struct net_reconciler_status out;

    net_reconciler_status(r, &out);
    return out;
}

static void want(const struct net_set *set)
{
    struct err err;

    assert_int_equal(net_reconciler_want(r, set, now_ms, &err), 0);
    net_reconciler_service(r, now_ms);
}

/* An engine that has carried out the first wish. */
static void start(void)
{
    static const struct net_reconciler_config config = {
        .owner = {.protocol = NET_PROTO_SERVER, .alias = ALIAS, .table = "vpn"},
        .interval_ms = 60000,
        .news = note_news};
    _cleanup_(net_set_freep) struct net_set *first = wish(false);
    struct net_kernel kernel;
    struct err err;

    fake_init(&fake);
    fake_link(&fake, "tun0", "tun", ALIAS, true);
    fake_add(&fake,
             &(struct net_object){.kind = NET_KIND_SETTING, .setting = {"ipv4/ip_forward", "0"}});
    kernel = memory_kernel(fake_kernel(&fake));
    now_ms = 1000;
    drift_told = false;
    assert_int_equal(net_reconciler_new(&kernel, &config, &r, &err), 0);
    want(first);
    assert_true(net_plan_empty(net_reconciler_last(r)));
}

static void end(void)
{
    net_reconciler_free(r);
    r = NULL;
    fake_clear(&fake);
}

/* It comes right by itself when there is memory again. */
static void assert_comes_right(const char *expected)
{
    char text[TEXT_SIZE];

    if (now_ms >= net_reconciler_deadline(r))
        net_reconciler_service(r, now_ms);
    now_ms += AFTER_MS;
    if (now_ms >= net_reconciler_deadline(r))
        net_reconciler_service(r, now_ms);
    describe(text);
    assert_string_equal(text, expected);
    assert_string_equal(status().error, "");
    assert_int_equal(status().refused, 0);
    assert_int_equal(status().waiting, 1);
    assert_true(net_plan_empty(net_reconciler_last(r)));
}

static char first_text[TEXT_SIZE], second_text[TEXT_SIZE];

static int setup(void **state)
{
    struct net_set *second = wish(true);

    (void)state;
    start();
    describe(first_text);
    want(second);
    describe(second_text);
    assert_string_not_equal(first_text, second_text);
    end();
    net_set_free(second);
    return 0;
}

/* ---- cases -------------------------------------------------------------------------------------
 */

static bool want_once(size_t fail_at, bool for_good)
{
    _cleanup_(net_set_freep) struct net_set *second = wish(true);
    struct err err = {{0}};
    bool was_short;
    int rc;

    start();
    memory_shorten(fail_at, for_good);
    rc = net_reconciler_want(r, second, now_ms, &err);
    net_reconciler_service(r, now_ms);
    was_short = memory_relieve();
    if (rc < 0) {
        assert_int_equal(rc, -ENOMEM);
        assert_true(err.msg[0] != '\0');
        assert_comes_right(first_text);
        want(second); /* its owner asks again */
    }
    assert_comes_right(second_text);
    assert_false(drift_told);
    end();
    return was_short;
}

static void wishes(void **state)
{
    size_t n = 1;

    (void)state;
    while (want_once(n, false))
        n++;
    assert_true(n > 50);
    while (--n > 0)
        assert_true(want_once(n, true));
}

static bool apply_once(size_t fail_at, bool for_good)
{
    _cleanup_(net_set_freep) struct net_set *second = wish(true);
    struct net_outcome outcome = {0};
    struct err err = {{0}};
    bool was_short;
    int rc;

    start();
    memory_shorten(fail_at, for_good);
    rc = net_reconciler_apply(r, second, now_ms, &outcome, &err);
    was_short = memory_relieve();
    assert_null(outcome.last);
    if (rc < 0)
        assert_true(err.msg[0] != '\0');
    assert_comes_right(rc < 0 ? first_text : second_text);
    /* When going back was impossible as well, we put right what we cannot know to be ours. */
    assert_true(for_good || !drift_told);
    end();
    return was_short;
}

static void all_or_nothing(void **state)
{
    size_t n = 1;

    (void)state;
    while (apply_once(n, false))
        n++;
    assert_true(n > 50);
    while (--n > 0)
        assert_true(apply_once(n, true));
}

/* Somebody removes a rule, and there is no memory to see it. */
static bool repair_once(size_t fail_at, bool for_good)
{
    struct net_object id = {.kind = NET_KIND_RULE};
    bool was_short;

    start();
    for (size_t i = 0; i < net_set_count(fake.objects); i++)
        if (net_set_at(fake.objects, i)->kind == NET_KIND_RULE)
            id = *net_set_at(fake.objects, i);
    fake_remove(&fake, &id);
    now_ms += 60000;
    memory_shorten(fail_at, for_good);
    net_reconciler_service(r, now_ms);
    was_short = memory_relieve();
    assert_comes_right(first_text);
    end();
    return was_short;
}

static void repairs(void **state)
{
    size_t n = 1;

    (void)state;
    while (repair_once(n, false))
        n++;
    assert_true(n > 20);
    while (--n > 0)
        assert_true(repair_once(n, true));
}

/* The kernel itself has no memory for one object: not only the interval brings it. */
static void refused_for_now(void **state)
{
    _cleanup_(net_set_freep) struct net_set *second = wish(true);

    (void)state;
    start();
    fake.refuse_rc = -ENOBUFS;
    fake.refuse_at = 2;
    fake.refuse_n = 1000;
    want(second);
    assert_true(status().refused > 0);
    fake.refuse_n = 0;
    assert_comes_right(second_text);
    end();
}

/* Less and less often, down to once a minute; the next time it begins anew. */
static void refused_for_long(void **state)
{
    _cleanup_(net_set_freep) struct net_set *second = wish(true);
    const struct net_rule rule = {.family = 4, .priority = 102, .table = 101};
    struct net_object cursed = {.kind = NET_KIND_RULE, .rule = rule};
    uint64_t runs;

    (void)state;
    start();
    cursed.rule.protocol = NET_PROTO_SERVER;
    fake.cursed = &cursed;
    fake.cursed_rc = -ENOMEM;
    net_reconciler_configure(r, NET_DRIFT_REPAIR, 0);
    want(second);
    assert_int_equal(status().refused, 1);
    runs = status().runs;
    for (unsigned int s = 0; s < 300; s++) {
        now_ms += 1000;
        if (now_ms >= net_reconciler_deadline(r))
            net_reconciler_service(r, now_ms);
    }
    /* After 1, 3, 7, 15, 31 and 63 s more, then each minute. */
    assert_int_equal(status().runs - runs, 6 + 3);
    fake.cursed = NULL;
    now_ms += 60000;
    net_reconciler_service(r, now_ms);
    assert_int_equal(status().refused, 0);
    fake.cursed = &cursed;
    fake_remove(&fake, &cursed);
    net_reconciler_configure(r, NET_DRIFT_REPAIR, 0);
    net_reconciler_service(r, now_ms);
    assert_int_equal(status().refused, 1);
    assert_int_equal(net_reconciler_deadline(r) - now_ms, 1000);
    end();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(wishes),           cmocka_unit_test(all_or_nothing),
        cmocka_unit_test(repairs),          cmocka_unit_test(refused_for_now),
        cmocka_unit_test(refused_for_long),
    };

    return cmocka_run_group_tests(tests, setup, NULL);
}

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
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "common/cleanup.h"
#include "netlink/noun.h"
#include "netlink/reconcile.h"
#include "tests/unit/fake_kernel.h"

#define ALIAS  "vpn-server"
#define ROUNDS 2000

static const struct net_owner owner = {.protocol = NET_PROTO_SERVER,
                                       .alias = ALIAS,
                                       .table = "vpn"};

static struct fake fake;
static struct net_reconciler *r;
static uint64_t now_ms;
static char news[16384];

#define OK(call)                                                                                   \
    do {                                                                                           \
        struct err err = {{0}};                                                                    \
        int rc_ = (call);                                                                          \
        if (rc_ != 0)                                                                              \
            fail_msg("%s: %d, %s", #call, rc_, err.msg);                                           \
    } while (0)

/* ---- random, but the same each time ---------------------------------------------------------- */

static uint32_t seed;

static uint32_t any(uint32_t n)
{
    seed = seed * 1664525 + 1013904223;
    return (seed >> 8) % n;
}

static struct ip_prefix prefix(const char *text)
{
    struct ip_prefix out;

    assert_int_equal(ip_prefix_parse(text, &out), 0);
    return out;
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

static void add(struct net_set *set, const struct net_object *object, const char *dev)
{
    struct net_object copy = *object;

    if (dev)
        snprintf(copy.dev, sizeof(copy.dev), "%s", dev);
    assert_int_equal(net_set_add(set, &copy), 0);
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

/* ---- what others have ------------------------------------------------------------------------ */

static void add_foreign(void)
{
    struct net_object object = {.kind = NET_KIND_ROUTE, .dev = "eth0"};

    fake_link(&fake, "eth0", "", "", true);
    fake_link(&fake, "tun0", "tun", ALIAS, false);
    fake_add(&fake,
             &(struct net_object){.kind = NET_KIND_SETTING, .setting = {"ipv4/ip_forward", "0"}});
    /* In a group whose number is ours by chance. */
    fake_add(&fake, &(struct net_object){.kind = NET_KIND_LINK,
                                         .link = {.name = "br86",
                                                  .kind = "bridge",
                                                  .group = NET_PROTO_SERVER,
                                                  .mtu = 1500}});
    object.route =
        (struct net_route){.dst = prefix("0.0.0.0/0"), .table = NET_TABLE_MAIN, .protocol = 3};
    fake_add(&fake, &object);
    object.route.dst = prefix("10.1.0.0/16");
    object.route.table = 103;
    fake_add(&fake, &object);
    object = (struct net_object){.kind = NET_KIND_ADDR, .dev = "eth0"};
    object.addr.prefix = prefix("192.0.2.7/24");
    fake_add(&fake, &object);
    object = (struct net_object){.kind = NET_KIND_RULE};
    object.rule =
        (struct net_rule){.family = 4, .priority = 10006, .table = NET_TABLE_MAIN, .protocol = 2};
    fake_add(&fake, &object);
    object = (struct net_object){.kind = NET_KIND_QDISC, .dev = "eth0"};
    object.qdisc = (struct net_qdisc){.parent = NET_TC_ROOT, .handle = NET_TC_HANDLE(1, 0)};
    fake_add(&fake, &object);
}

static bool is_foreign(const struct net_object *object)
{
    switch (object->kind) {
    case NET_KIND_LINK:
        return strcmp(object->link.alias, ALIAS) != 0;
    case NET_KIND_ROUTE:
        return object->route.protocol != owner.protocol;
    case NET_KIND_RULE:
        return object->rule.protocol != owner.protocol;
    case NET_KIND_SETTING:
        return false;
    default:
        return strcmp(object->dev, "eth0") == 0;
    }
}

/* The kernel's objects, ours or others', as lines in one order. */
static char *lines(bool foreign)
{
    _cleanup_(net_set_freep) struct net_set *set = net_set_new();
    char *text = calloc(1, 65536), line[NET_FORMAT_SIZE];
    size_t used = 0;

    assert_non_null(set);
    assert_non_null(text);
    for (size_t i = 0; i < net_set_count(fake.objects); i++)
        if (is_foreign(net_set_at(fake.objects, i)) == foreign)
            assert_int_equal(net_set_add(set, net_set_at(fake.objects, i)), 0);
    assert_int_equal(net_set_sort_all(set), 0);
    for (size_t i = 0; i < net_set_count(set); i++)
        used += (size_t)snprintf(text + used, 65536 - used, "%s\n",
                                 net_object_format(net_set_at(set, i), line));
    return text;
}

/* ---- the engine ------------------------------------------------------------------------------ */

static void note_news(void *ctx, enum net_news kind, const char *text)
{
    size_t used = strlen(news);

    (void)ctx;
    snprintf(news + used, sizeof(news) - used, "%d: %s\n", (int)kind, text);
}

static void start(enum net_drift drift)
{
    const struct net_kernel kernel = fake_kernel(&fake);
    const struct net_reconciler_config config = {
        .owner = owner, .drift = drift, .interval_ms = 60000, .news = note_news};

    OK(net_reconciler_new(&kernel, &config, &r, &err));
    news[0] = '\0';
}

static int setup(void **state)
{
    (void)state;
    fake_init(&fake);
    add_foreign();
    seed = 1;
    now_ms = 1000;
    start(NET_DRIFT_REPAIR);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    net_reconciler_free(r);
    r = NULL;
    fake_clear(&fake);
    return 0;
}

static struct net_reconciler_status status(void)
{
    struct net_reconciler_status out;

    net_reconciler_status(r, &out);
    return out;
}

/* The interval passes. */
static void pass(uint64_t ms)
{
    now_ms += ms;
    net_reconciler_service(r, now_ms);
}

static void want(const struct net_set *set)
{
    struct err err;

    assert_int_not_equal(net_reconciler_want(r, set, now_ms, &err), -ENOMEM);
    net_reconciler_service(r, now_ms);
}

/* How many objects are not as the plan's wish has them, on either side. */
static size_t differences(const struct net_plan *plan)
{
    size_t n = 0;

    for (size_t i = 0; i < plan->n_ops; i++)
        n += !plan->ops[i].implied;
    return n;
}

/* Sets cannot hold two of one identity; the first counts. */
static struct net_set *any_sorted_wish(void)
{
    struct net_set *set = any_wish();
    struct err err;

    assert_int_not_equal(net_set_sort(set, &err), -ENOMEM);
    return set;
}

/* ---- tests ----------------------------------------------------------------------------------- */

static void check_settled(void)
{
    const struct net_plan *last = net_reconciler_last(r);
    size_t asked = fake.asked;

    assert_non_null(last);
    assert_true(net_plan_empty(last));
    assert_string_equal(status().error, "");
    pass(60000);
    if (fake.asked != asked && fake.asked - asked > net_reconciler_last(r)->n_waiting)
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

        OK(net_reconciler_plan(r, set, &plan, &err));
        news[0] = '\0';
        want(set);
        /* Side effects (a link that goes down) and what is not there yet may cost a second try. */
        if (fake.asked - asked > 2 * differences(plan) + 12)
            fail_msg("round %u: %zu operations for %zu differences", i, fake.asked - asked,
                     differences(plan));
        if (!net_plan_empty(net_reconciler_last(r)))
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
        if (!net_plan_empty(net_reconciler_last(r)))
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

        OK(net_reconciler_plan(r, set, &plan, &err));
        for (uint32_t pick = any(20); at < plan->n_ops; at++)
            if (plan->ops[at].verb == NET_CREATE && !fake_find(&fake, plan->ops[at].want) &&
                pick-- == 0)
                break;
        if (at == plan->n_ops || plan->n_clashes > 0) {
            net_reconciler_want(r, set, now_ms, NULL);
            net_reconciler_service(r, now_ms);
            continue;
        }
        cursed = *plan->ops[at].want;
        before = lines(false);
        fake.cursed = &cursed;
        fake.cursed_rc = -EPERM;
        rc = net_reconciler_apply(r, set, now_ms, &outcome, &why);
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
        if (!net_plan_empty(net_reconciler_last(r)) || status().error[0])
            fail_msg("round %u: %s", i, news);
        news[0] = '\0';
        after = lines(true);
        assert_string_equal(after, foreign);
    }
}

static struct net_set *small_wish(void)
{
    struct net_set *set = net_set_new();
    struct net_object route = {.kind = NET_KIND_ROUTE};
    struct net_object rule = {.kind = NET_KIND_RULE};

    rule.rule = (struct net_rule){.family = 4, .priority = 10001, .table = 101};
    route.route = (struct net_route){.dst = prefix("10.66.0.0/16"), .table = 101};
    assert_int_equal(net_set_add_link(set,
                                      &(struct net_link){
                                          .name = "tun0", .kind = "tun", .mtu = 1400, .up = true}),
                     0);
    add(set, &route, "tun0");
    add(set, &rule, NULL);
    return set;
}

/* The one rule of small_wish(). */
static void remove_rule(void)
{
    for (size_t i = 0; i < net_set_count(fake.objects); i++) {
        const struct net_object object = *net_set_at(fake.objects, i);

        if (object.kind == NET_KIND_RULE && object.rule.protocol == owner.protocol) {
            fake_remove(&fake, &object);
            return;
        }
    }
    fail_msg("the rule is not there");
}

static bool has_rule(void)
{
    for (size_t i = 0; i < net_set_count(fake.objects); i++)
        if (net_set_at(fake.objects, i)->kind == NET_KIND_RULE &&
            net_set_at(fake.objects, i)->rule.protocol == owner.protocol)
            return true;
    return false;
}

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
    net_reconciler_configure(r, NET_DRIFT_REPORT, 60000);
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

    net_reconciler_configure(r, NET_DRIFT_REPAIR, 60000);
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
            due = net_reconciler_deadline(r);
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

static void test_waiting(void **state)
{
    _cleanup_(net_set_freep) struct net_set *set = small_wish();
    struct net_object route = {.kind = NET_KIND_ROUTE};
    struct net_object tun1 = {.kind = NET_KIND_LINK};

    (void)state;
    route.route = (struct net_route){.dst = prefix("10.67.0.0/16"), .table = 102};
    add(set, &route, "tun101");
    route.route.dst = prefix("10.68.0.0/16");
    add(set, &route, "eth0");
    fake_set_up(&fake, "eth0", false);
    want(set);
    assert_int_equal(status().waiting, 2);
    assert_true(status().in_sync);
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
    assert_int_equal(status().waiting, 0);
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
    OK(net_reconciler_apply(r, set, now_ms, &outcome, &err));
    assert_int_equal(status().waiting, 1);
    assert_int_equal(status().refused, 0);
    OK(net_reconciler_plan(r, set, &plan, &err));
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
    struct net_object object = {.kind = NET_KIND_ROUTE};
    struct net_outcome outcome;
    struct err why = {{0}};

    (void)state;
    object.route = (struct net_route){.dst = prefix("10.1.0.0/16"), .table = 103};
    add(set, &object, "tun0");
    assert_int_equal(net_reconciler_apply(r, set, now_ms, &outcome, &why), -EEXIST);
    assert_string_equal(why.msg, "route 10.1.0.0/16 dev tun0 table 103 proto 86: in its place "
                                 "stands route 10.1.0.0/16 dev eth0 table 103 proto 3");
    ours_after = lines(false);
    assert_string_equal(ours, ours_after);

    /* By itself the engine sets the rest. */
    object = (struct net_object){.kind = NET_KIND_RULE};
    object.rule = (struct net_rule){.family = 4, .priority = 10006, .table = 101};
    add(set, &object, NULL);
    add(set, &(struct net_object){.kind = NET_KIND_LINK, .link = {.name = "eth0"}}, NULL);
    want(set);
    assert_int_equal(status().clashes, 3);
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
    OK(net_reconciler_apply(r, first, now_ms, NULL, &err));
    add(first, &broad, NULL);
    OK(net_reconciler_apply(r, first, now_ms, NULL, &err));
    add(second, &special, NULL);
    OK(net_reconciler_apply(r, second, now_ms, &outcome, &err));
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

/* Nothing is touched before somebody asks for something. */
static void test_no_wish(void **state)
{
    (void)state;
    for (int i = 0; i < 5; i++)
        pass(60000);
    assert_int_equal(fake.dumps, 0);
    assert_int_equal(net_reconciler_deadline(r), UINT64_MAX);
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
    assert_int_equal(net_reconciler_deadline(r), now_ms + 100);
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
        cmocka_unit_test_setup_teardown(test_random, setup, teardown),
        cmocka_unit_test_setup_teardown(test_faults, setup, teardown),
        cmocka_unit_test_setup_teardown(test_rollback, setup, teardown),
        cmocka_unit_test_setup_teardown(test_drift_random, setup, teardown),
        cmocka_unit_test_setup_teardown(test_meddling, setup, teardown),
        cmocka_unit_test_setup_teardown(test_told_once, setup, teardown),
        cmocka_unit_test_setup_teardown(test_consequences_are_not_told, setup, teardown),
        cmocka_unit_test_setup_teardown(test_report_only, setup, teardown),
        cmocka_unit_test_setup_teardown(test_fight, setup, teardown),
        cmocka_unit_test_setup_teardown(test_waiting, setup, teardown),
        cmocka_unit_test_setup_teardown(test_next_hop, setup, teardown),
        cmocka_unit_test_setup_teardown(test_clashes, setup, teardown),
        cmocka_unit_test_setup_teardown(test_late_clash, setup, teardown),
        cmocka_unit_test_setup_teardown(test_change_beside_foreign, setup, teardown),
        cmocka_unit_test_setup_teardown(test_rule_neighbours, setup, teardown),
        cmocka_unit_test_setup_teardown(test_no_wish, setup, teardown),
        cmocka_unit_test_setup_teardown(test_dump_fails, setup, teardown),
        cmocka_unit_test_setup_teardown(test_news, setup, teardown),
        cmocka_unit_test_setup_teardown(test_noise, setup, teardown),
    };

    return cmocka_run_group_tests_name("reconcile", tests, NULL, NULL);
}

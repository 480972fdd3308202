/*
 * netlink/plan: what is done in which order, as lines a person reads.
 *
 * Made before broken, the inner before the outer when it goes, and only what the kernel cannot hold
 * twice goes first.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "common/cleanup.h"
#include "netlink/apply.h"
#include "netlink/noun.h"
#include "tests/unit/expect.h"
#include "tests/unit/fake_kernel.h"

static const struct net_owner owner = {.protocol = 86, .alias = "vpn-server", .table = "vpn"};

static struct fake fake;
static struct net_set *wish;

static int setup(void **state)
{
    (void)state;
    fake_init(&fake);
    fake_link(&fake, "tun0", "tun", "vpn-server", false);
    wish = net_set_new();
    return wish ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    net_set_free(wish);
    fake_clear(&fake);
    return 0;
}

static void want_link(const char *name, const char *kind)
{
    struct net_link link = {.alias = "vpn-server", .group = 86, .mtu = 1400, .up = true};

    snprintf(link.name, sizeof(link.name), "%s", name);
    snprintf(link.kind, sizeof(link.kind), "%s", kind);
    assert_int_equal(net_set_add_link(wish, &link), 0);
}

static void want_addr(const char *text, bool no_prefix_route)
{
    const struct net_addr addr = {.prefix = prefix(text),
                                  .protocol = 86,
                                  .no_prefix_route = no_prefix_route};

    assert_int_equal(net_set_add_addr(wish, "tun0", &addr), 0);
}

static void want_route(const char *text, uint32_t table, enum net_route_type type)
{
    const struct net_route route = {
        .dst = prefix(text), .table = table, .type = type, .protocol = 86};

    assert_int_equal(net_set_add_route(wish, type == NET_ROUTE_UNICAST ? "tun0" : NULL, &route), 0);
}

static void want_rule(uint32_t priority, uint32_t table, bool invert)
{
    const struct net_rule rule = {
        .family = 4, .priority = priority, .table = table, .invert = invert, .protocol = 86};

    assert_int_equal(net_set_add_rule(wish, &rule), 0);
}

/* A root, the class of all, one class in it with its queue, a filter that leads there. */
static void want_tree(uint32_t htb_default, uint64_t rate)
{
    const struct net_qdisc root = {.parent = NET_TC_ROOT,
                                   .handle = NET_TC_HANDLE(1, 0),
                                   .htb_default = htb_default};
    const struct net_qdisc leaf = {.parent = NET_TC_HANDLE(1, 10),
                                   .handle = NET_TC_HANDLE(16, 0),
                                   .kind = NET_QDISC_BFIFO,
                                   .bfifo_limit_bytes = 1000};
    struct net_class cls = {.handle = NET_TC_HANDLE(1, 0xfff),
                            .parent = NET_TC_HANDLE(1, 0),
                            .rate_bytes_s = 1000,
                            .inner = true};
    const struct net_filter filter = {.parent = NET_TC_HANDLE(1, 0),
                                      .pref = 10,
                                      .family = 4,
                                      .handle = NET_U32_HANDLE(0, 0, 1),
                                      .kind = NET_FILTER_CLASS,
                                      .classid = NET_TC_HANDLE(1, 10)};

    assert_int_equal(net_set_add_filter(wish, "tun0", &filter), 0);
    assert_int_equal(net_set_add_qdisc(wish, "tun0", &leaf), 0);
    assert_int_equal(net_set_add_qdisc(wish, "tun0", &root), 0);
    assert_int_equal(net_set_add_class(wish, "tun0", &cls), 0);
    cls = (struct net_class){.handle = NET_TC_HANDLE(1, 10),
                             .parent = NET_TC_HANDLE(1, 0xfff),
                             .rate_bytes_s = rate};
    assert_int_equal(net_set_add_class(wish, "tun0", &cls), 0);
}

/* The first words of each operation; what goes by itself is in brackets. */
static void check_plan(const char *const *lines, size_t n)
{
    const struct net_kernel kernel = fake_kernel(&fake);
    _cleanup_(net_plan_freep) struct net_plan *plan = NULL;
    char text[NET_OP_FORMAT_SIZE];
    struct err err = {{0}};

    assert_int_equal(net_set_sort(wish, &err), 0);
    assert_int_equal(net_apply_plan(&kernel, &owner, wish, false, &plan, &err), 0);
    for (size_t i = 0; i < plan->n_ops && i < n; i++) {
        const char *line = lines[i];

        net_op_format(&plan->ops[i], text);
        assert_int_equal(plan->ops[i].implied, line[0] == '[');
        line += line[0] == '[';
        if (strncmp(text, line, strlen(line)) != 0)
            fail_msg("operation %zu is \"%s\" instead of \"%s\"", i, text, line);
    }
    assert_int_equal(plan->n_ops, n);
}

/* Carry the wish out, and begin another. */
static void settle(void)
{
    const struct net_kernel kernel = fake_kernel(&fake);
    const struct net_apply_options options = {.mode = NET_ALL_OR_NOTHING};
    struct net_plan *plan = NULL;
    struct net_outcome outcome;
    struct err err = {{0}};

    assert_int_equal(net_set_sort(wish, &err), 0);
    assert_int_equal(net_apply_plan(&kernel, &owner, wish, false, &plan, &err), 0);
    assert_int_equal(net_apply(&kernel, &owner, wish, plan, &options, &outcome, &err), 0);
    net_plan_free(outcome.last);
    net_set_free(wish);
    wish = net_set_new();
    assert_non_null(wish);
}

static void want_everything(void)
{
    want_rule(100, 101, false);
    want_tree(2, 500);
    want_route("10.1.0.0/16", 101, NET_ROUTE_UNICAST);
    want_addr("10.8.0.1/24", true);
    want_link("ifb0", "ifb");
    want_link("tun0", "tun");
}

static void test_up(void **state)
{
    static const char *const lines[] = {
        "+ link ifb0 type ifb mtu 1400 up",
        "~ link tun0 type tun mtu 1400 up",
        "+ address 10.8.0.1/24 dev tun0",
        "+ route 10.1.0.0/16 dev tun0 table 101",
        "+ rule 100: from all lookup 101",
        "+ qdisc htb 1: dev tun0 root",
        "+ class htb 1:fff dev tun0",
        "+ class htb 1:a dev tun0 parent 1:fff",
        "+ qdisc bfifo 10: dev tun0 parent 1:a",
        "+ filter dev tun0 parent 1:",
    };

    (void)state;
    want_everything();
    check_plan(lines, ARRAY_SIZE(lines));
    settle();
    want_everything();
    check_plan(NULL, 0);
}

static void test_down(void **state)
{
    static const char *const lines[] = {
        "[- filter dev tun0",  "[- qdisc bfifo 10:",    "[- class htb 1:a",
        "[- class htb 1:fff",  "- qdisc htb 1:",        "- rule 100:",
        "- route 10.1.0.0/16", "- address 10.8.0.1/24", "- link ifb0",
    };

    (void)state;
    want_everything();
    settle();
    want_link("tun0", "tun");
    check_plan(lines, ARRAY_SIZE(lines));
}

/* The new before the old goes; what can be changed is. */
static void test_make_before_break(void **state)
{
    static const char *const lines[] = {
        "+ address 10.8.0.2/24",
        "~ route 10.1.0.0/16 dev tun0 table 101 proto 86, was route unreachable 10.1.0.0/16",
        "+ route 10.2.0.0/16",
        "+ rule 101:",
        "~ class htb 1:a dev tun0 parent 1:fff prio 0 rate 4800bit",
        "- rule 100:",
        "- route 10.3.0.0/16",
        "- address 10.8.0.1/24",
    };

    (void)state;
    want_link("tun0", "tun");
    want_addr("10.8.0.1/24", true);
    want_route("10.1.0.0/16", 101, NET_ROUTE_UNREACHABLE);
    want_route("10.3.0.0/16", 101, NET_ROUTE_UNICAST);
    want_rule(100, 101, false);
    want_tree(2, 500);
    settle();
    want_link("tun0", "tun");
    want_addr("10.8.0.2/24", true);
    want_route("10.1.0.0/16", 101, NET_ROUTE_UNICAST);
    want_route("10.2.0.0/16", 101, NET_ROUTE_UNICAST);
    want_rule(101, 101, false);
    want_tree(2, 600);
    check_plan(lines, ARRAY_SIZE(lines));
}

/* What the kernel neither changes nor holds twice, and what hangs on it. */
static void test_break_before_make(void **state)
{
    static const char *const lines[] = {
        "[- filter dev tun0",
        "[- qdisc bfifo 10:",
        "[- class htb 1:a",
        "[- class htb 1:fff",
        "- qdisc htb 1: dev tun0 root default 0x2",
        "- rule 100: from all lookup 101",
        "- address 10.8.0.1/24",
        "+ address 10.8.0.1/24",
        "+ rule 100: not from all lookup 101",
        "+ qdisc htb 1: dev tun0 root default 0x3",
        "+ class htb 1:fff",
        "+ class htb 1:a",
        "+ qdisc bfifo 10:",
        "+ filter dev tun0",
    };

    (void)state;
    want_link("tun0", "tun");
    want_addr("10.8.0.1/24", true);
    want_rule(100, 101, false);
    want_tree(2, 500);
    settle();
    want_link("tun0", "tun");
    want_addr("10.8.0.1/24", false);
    want_rule(100, 101, true);
    want_tree(3, 500);
    check_plan(lines, ARRAY_SIZE(lines));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_up, setup, teardown),
        cmocka_unit_test_setup_teardown(test_down, setup, teardown),
        cmocka_unit_test_setup_teardown(test_make_before_break, setup, teardown),
        cmocka_unit_test_setup_teardown(test_break_before_make, setup, teardown),
    };

    return cmocka_run_group_tests_name("plan", tests, NULL, NULL);
}

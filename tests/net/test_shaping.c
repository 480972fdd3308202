/*
 * The users' trees in a real kernel, by way of the engine: laid out, changed, found unchanged,
 * repaired, removed.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>
#include <cmocka.h>

#include "common/cleanup.h"
#include "daemon/qos.h"
#include "netlink/conn.h"
#include "netlink/kernel.h"
#include "netlink/link.h"
#include "netlink/reconcile.h"
#include "netlink/set.h"
#include "netlink/tun.h"
#include "tests/net/netns.h"
#include "tests/net/witness.h"
#include "tests/unit/expect.h"
#include "tests/unit/qos_world.h"

#define ALIAS  "vpn-test"
#define ROUNDS 12

static struct net_conn *conn;
static struct net_kernel kernel;
static struct net_reconciler *engine;
static int tun_fd = -1;

/* This kernel's leaf is bfifo, or fq_codel where tests/vm/run has one. */
static struct qos_support support = {.htb = true, .u32 = true, .ifb = true, .tbf = true};

static struct net_set *wish(void)
{
    struct net_link link = {.name = "tun0", .kind = "tun", .alias = ALIAS, .mtu = 1400, .up = true};
    struct net_set *set = net_set_new();

    assert_non_null(set);
    OK(net_set_add_link(set, &link));
    OK(qos_lower(&w.config, &support, w.sessions, w.n_sessions, SIZE_MAX, ALIAS, set, NULL, &err));
    OK(net_set_sort(set, &err));
    return set;
}

static size_t planned(const struct net_set *set, char first[NET_OP_FORMAT_SIZE])
{
    struct net_plan *plan;
    size_t n;

    OK(net_reconciler_plan(engine, set, &plan, &err));
    n = plan->n_ops + plan->n_waiting + plan->n_clashes;
    first[0] = '\0';
    if (plan->n_ops)
        net_op_format(&plan->ops[0], first);
    net_plan_free(plan);
    return n;
}

/* Carry it out, and find nothing more to do. */
static void settle(const struct net_set *set)
{
    char first[NET_OP_FORMAT_SIZE];

    OK(net_reconciler_apply(engine, set, 0, NULL, &err));
    if (planned(set, first) != 0)
        fail_msg("still to do: %s", first);
}

static void test_worlds(void **state)
{
    (void)state;
    for (int i = 0; i < ROUNDS; i++) {
        _cleanup_(net_set_freep) struct net_set *first = NULL;
        _cleanup_(net_set_freep) struct net_set *second = NULL;

        random_world(1 + rnd(40));
        random_sessions(0);
        first = wish();
        settle(first);
        random_sessions(0);
        second = wish();
        settle(second);
        settle(first);
    }
}

/* From below the limit of one qdisc to beyond it and back. */
static void test_nested(void **state)
{
    static const struct {
        size_t users;
        uint32_t one_of;
    } sizes[] = {{40, 0}, {QOS_FLAT_MAX + 100, 50}, {QOS_FLAT_MAX + 600, 25}, {20, 0}};

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
        _cleanup_(net_set_freep) struct net_set *set = NULL;

        random_world(sizes[i].users);
        random_sessions(sizes[i].one_of);
        set = wish();
        settle(set);
    }
}

/* Fast enough for whole super-packets, and slow again: the tree moves below what splits them. */
static void test_split(void **state)
{
    (void)state;
    for (int i = 0; i < 4; i++) {
        _cleanup_(net_set_freep) struct net_set *set = NULL;
        size_t splitters = 0;

        random_world(30);
        for (size_t k = 0; i % 2 && k < CLASSES; k++) {
            w.classes[k].download = (struct config_rates){50000000, 120000000};
            w.classes[k].upload = w.classes[k].download;
        }
        w.config.qos.download = w.config.qos.upload = i % 2 ? 1000000000 : 20000000;
        w.config.mtu = (uint16_t)(i == 2 ? 1300 : 1400);
        random_sessions(0);
        assert_int_equal(qos_offload(&w.config), i % 2);
        set = wish();
        for (size_t k = 0; k < net_set_count(set); k++)
            splitters += net_set_at(set, k)->kind == NET_KIND_QDISC &&
                         net_set_at(set, k)->qdisc.kind == NET_QDISC_TBF;
        assert_int_equal(splitters, i % 2 ? 0 : QOS_DIRECTIONS);
        settle(set);
    }
}

/* Another class, another rate: classes and leaves are changed, none is made or removed. */
static void test_in_place(void **state)
{
    _cleanup_(net_set_freep) struct net_set *before = NULL;
    _cleanup_(net_set_freep) struct net_set *after = NULL;
    struct net_plan *plan;

    (void)state;
    random_world(20);
    for (uint32_t i = 0; i < 20; i++) {
        w.users[i].cls = &w.classes[3 + i % 5];
        w.sessions[w.n_sessions++] = session_of(i);
    }
    before = wish();
    settle(before);
    w.users[5].cls = &w.classes[3 + 1];
    w.classes[3].download.rate *= 2;
    w.classes[3].download.ceil = 4 * w.classes[3].download.rate;
    w.config.qos.upload *= 2;
    after = wish();
    OK(net_reconciler_plan(engine, after, &plan, &err));
    assert_true(plan->n_ops > 0);
    for (size_t i = 0; i < plan->n_ops; i++) {
        char text[NET_OP_FORMAT_SIZE];

        if (plan->ops[i].verb != NET_CHANGE)
            fail_msg("%s", net_op_format(&plan->ops[i], text));
    }
    net_plan_free(plan);
    settle(after);
}

/* Whatever somebody else breaks is put right. */
static void test_drift(void **state)
{
    static const char *const damages[] = {
        "tc qdisc del dev tun0 root",
        "tc filter del dev tun0 parent 1:",
        "tc filter del dev tun0 parent 1: pref 1",
        "tc qdisc del dev tun0 ingress",
        "tc qdisc del dev tun0 parent fffe:1",
        "tc qdisc del dev ifb-tun0 root",
        "ip link set ifb-tun0 down",
        "ip link del ifb-tun0",
        "tc class change dev tun0 parent 1:1 classid 1:2 htb rate 1gbit quantum 1500",
        "tc qdisc replace dev tun0 root handle 7: pfifo limit 5",
        "tc qdisc replace dev tun0 parent 1:2 handle 99: pfifo limit 7",
        "tc class add dev tun0 parent 1:1 classid 1:ffee htb rate 1mbit",
        "tc filter add dev tun0 parent 1: pref 9 protocol ip u32 match ip sport 5 255 flowid 1:2",
    };
    _cleanup_(net_set_freep) struct net_set *set = NULL;
    char first[NET_OP_FORMAT_SIZE];

    (void)state;
    random_world(12);
    for (uint32_t i = 0; i < 12; i++)
        w.sessions[w.n_sessions++] = session_of(i);
    set = wish();
    settle(set);
    for (size_t i = 0; i < ARRAY_SIZE(damages); i++) {
        must(damages[i]);
        if (planned(set, first) == 0)
            fail_msg("not noticed: %s", damages[i]);
        settle(set);
    }
}

/* Without rates the trees are gone, and with them the second device. */
static void test_off(void **state)
{
    _cleanup_(net_set_freep) struct net_set *set = NULL;
    struct net_link link;
    struct err err;

    (void)state;
    random_world(3);
    random_sessions(0);
    w.config.qos.download = w.config.qos.upload = 0;
    set = wish();
    settle(set);
    assert_int_equal(net_link_get(conn, "ifb-tun0", &link, &err), -ENODEV);
    must("! tc qdisc show dev tun0 | grep -E 'htb|ingress'");
}

static int group_setup(void **state)
{
    const struct net_reconciler_config config = {
        .owner = {.protocol = NET_PROTO_SERVER, .alias = ALIAS, .table = "vpn-test"}};
    const struct tun_options options = {.persist = false};

    (void)state;
    OK(net_conn_open(&conn, &err));
    OK(tun_attach(tun_fd, "tun0", &options, &err));
    must("ip link set tun0 alias " ALIAS " up");
    OK(net_kernel_open(&kernel, &err));
    OK(net_reconciler_new(&kernel, &config, &engine, &err));
    support.fq_codel = system("tc qdisc add dev lo root fq_codel 2>/dev/null") == 0;
    return 0;
}

static int group_teardown(void **state)
{
    (void)state;
    net_reconciler_free(engine);
    net_kernel_close(&kernel);
    net_conn_close(conn);
    close(tun_fd);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_worlds),   cmocka_unit_test(test_nested),
        cmocka_unit_test(test_in_place), cmocka_unit_test(test_drift),
        cmocka_unit_test(test_off),      cmocka_unit_test(test_split),
    };
    int rc;

    rc = netns_enter_as_root();
    if (rc == 0)
        rc = netns_open_tuns(&tun_fd, 1);
    return rc ? rc : cmocka_run_group_tests_name("shaping", tests, group_setup, group_teardown);
}

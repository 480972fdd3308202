/*
 * Quality of service: the figures.  Rates that fit or are scaled, queues and bursts, what a kernel
 * cannot do and what is said of it, and when offloads are left alone.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "common/cleanup.h"
#include "daemon/qos.h"
#include "netlink/set.h"
#include "tests/unit/qos_world.h"

static void set_class(size_t i, uint64_t rate, uint64_t ceil, bool shared, bool guaranteed)
{
    w.classes[i].download = w.classes[i].upload = (struct config_rates){rate, ceil};
    w.classes[i].shared = shared;
    w.classes[i].guaranteed = guaranteed;
}

/* The figures of qos.h: what is fixed stays, the rest is scaled by one factor, ceilings stay. */
static void test_scaling(void **state)
{
    _cleanup_(qos_tree_freep) struct qos_tree *tree = NULL;
    _cleanup_(net_set_freep) struct net_set *set = NULL;

    (void)state;
    random_world(5);
    w.config.qos.download = w.config.qos.upload = 10000000;
    set_class(3, 3000000, 6000000, false, true);
    set_class(4, 4000000, 8000000, false, false);
    set_class(5, 8000000, 9000000, false, false);
    w.users[0].cls = &w.classes[3];
    w.users[1].cls = &w.classes[4];
    w.users[2].cls = &w.classes[5];
    for (uint32_t i = 0; i < 3; i++)
        w.sessions[w.n_sessions++] = session_of(i);
    set = lay_out(&tree);
    assert_true(net_set_count(set) > 0);
    assert_true(tree->scaled[0]);
    assert_true(tree->promised[0] == 15000000 / 8);
    assert_true(tree->leaves[0].rate[0] == 100000 / 8); /* the default leaf: one per cent */
    assert_true(tree->leaves[1].rate[0] == 3000000 / 8);
    /* 6.9 Mbit are left for 4 and 8. */
    assert_true(tree->leaves[2].rate[0] == 2300000 / 8 && tree->leaves[2].ceil[0] == 1000000);
    assert_true(tree->leaves[3].rate[0] == 4600000 / 8);
    w.n_sessions = 2;
    qos_tree_free(TAKE(tree));
    assert_int_equal(qos_tree_build(&w.config, &all, w.sessions, w.n_sessions, &tree), 0);
    assert_false(tree->scaled[0]);
    assert_true(tree->leaves[2].rate[0] == 4000000 / 8);
    assert_true(tree->leaves[0].rate[0] == 100000 / 8);
}

/* So many that each has next to nothing: together they still have no more than there is. */
static void test_crowded(void **state)
{
    _cleanup_(qos_tree_freep) struct qos_tree *tree = NULL;
    uint64_t sum = 0;

    (void)state;
    random_world(300);
    w.config.qos.download = 1000000;
    set_class(3, 500000, 1000000, false, false);
    for (uint32_t i = 0; i < 300; i++) {
        w.users[i].cls = &w.classes[3];
        w.sessions[w.n_sessions++] = session_of(i);
    }
    assert_int_equal(qos_tree_build(&w.config, &all, w.sessions, w.n_sessions, &tree), 0);
    assert_int_equal(tree->n_leaves, 301);
    for (size_t i = 0; i < tree->n_leaves; i++) {
        assert_true(tree->leaves[i].rate[0] > 0);
        sum += tree->leaves[i].rate[0];
    }
    assert_true(sum <= tree->total[0] && sum > tree->total[0] * 99 / 100);
}

/* To the last bit: what is sold is kept, and nothing is left for those without a class. */
static void test_sold_out(void **state)
{
    _cleanup_(qos_tree_freep) struct qos_tree *tree = NULL;

    (void)state;
    random_world(2);
    w.config.qos.download = w.config.qos.upload = 10000000;
    set_class(3, 3000000, 6000000, false, true);
    set_class(4, 7000000, 8000000, false, false);
    w.users[0].cls = &w.classes[3];
    w.users[1].cls = &w.classes[4];
    for (uint32_t i = 0; i < 2; i++)
        w.sessions[w.n_sessions++] = session_of(i);
    assert_int_equal(qos_tree_build(&w.config, &all, w.sessions, w.n_sessions, &tree), 0);
    assert_true(tree->promised[0] == tree->total[0]);
    assert_false(tree->scaled[0]);
    assert_true(tree->leaves[2].rate[0] == 7000000 / 8);
    assert_true(tree->leaves[0].rate[0] == 1000);
    /* A little less, and the rest is theirs. */
    w.classes[4].download.rate -= 40000;
    qos_tree_free(TAKE(tree));
    assert_int_equal(qos_tree_build(&w.config, &all, w.sessions, w.n_sessions, &tree), 0);
    assert_false(tree->scaled[0]);
    assert_true(tree->leaves[0].rate[0] == 40000 / 8);
}

/* All is sold to those whose rates are fixed: a packet of the others does not take a minute. */
static void test_scaled_to_nothing(void **state)
{
    (void)state;
    for (uint32_t n = 1; n <= 200; n += 199) {
        _cleanup_(qos_tree_freep) struct qos_tree *tree = NULL;
        uint64_t sum = 0;

        random_world(n + 1);
        w.config.qos.download = w.config.qos.upload = 10000000;
        set_class(3, 10000000, 10000000, false, true);
        set_class(4, 1000000, 8000000, false, false);
        for (uint32_t i = 0; i <= n; i++) {
            w.users[i].cls = &w.classes[i ? 4 : 3];
            w.sessions[w.n_sessions++] = session_of(i);
        }
        assert_int_equal(qos_tree_build(&w.config, &all, w.sessions, w.n_sessions, &tree), 0);
        assert_true(tree->scaled[0]);
        assert_true(tree->leaves[1].rate[0] == 10000000 / 8);
        for (size_t i = 2; i < tree->n_leaves; i++) {
            assert_int_equal(tree->leaves[i].rate[0], n == 1 ? 1000 : 62);
            sum += tree->leaves[i].rate[0];
        }
        assert_true(sum <= tree->total[0] / 100);
    }
}

/* A kernel that cannot: said in words, nothing half. */
static void test_support(void **state)
{
    char said[QOS_COMPLAINTS_MAX][QOS_COMPLAINT_SIZE];
    struct qos_support support = all;
    struct err err;
    struct net_set *set;

    (void)state;
    random_world(4);
    random_sessions(0);
    assert_int_equal(qos_complaints(&w.config, &support, NULL, said), 0);
    support.fq_codel = false;
    assert_int_equal(qos_complaints(&w.config, &support, NULL, said), 1);
    assert_non_null(strstr(said[0], "sch_fq_codel"));
    w.config.qos.leaf = CONFIG_LEAF_BFIFO; /* as asked for: nothing to complain about */
    assert_int_equal(qos_complaints(&w.config, &support, NULL, said), 0);
    support.tbf = false;
    assert_int_equal(qos_complaints(&w.config, &support, NULL, said),
                     qos_offload(&w.config) ? 0 : 1);
    support.tbf = true;
    support.ifb = false;
    assert_int_equal(qos_complaints(&w.config, &support, NULL, said), 1);
    assert_non_null(strstr(said[0], "qos.upload is not in force"));
    set = net_set_new();
    assert_int_equal(qos_lower(&w.config, &support, w.sessions, w.n_sessions, SIZE_MAX, "a", set,
                               NULL, &err),
                     0);
    assert_true(count(set, "tun0", NET_KIND_CLASS) > 0);
    assert_int_equal(count(set, "ifb-tun0", NET_KIND_CLASS), 0);
    assert_int_equal(count(set, NULL, NET_KIND_LINK), 0);
    net_set_free(set);
    support.u32 = false;
    assert_int_equal(qos_complaints(&w.config, &support, NULL, said), 1);
    assert_non_null(strstr(said[0], "cls_u32"));
    set = net_set_new();
    assert_int_equal(qos_lower(&w.config, &support, w.sessions, w.n_sessions, SIZE_MAX, "a", set,
                               NULL, &err),
                     0);
    assert_int_equal(net_set_count(set), 0);
    net_set_free(set);
}

/* Everything at once has room, and each is said alone. */
static void test_complaints(void **state)
{
    char said[QOS_COMPLAINTS_MAX][QOS_COMPLAINT_SIZE];
    struct qos_support support = {.htb = true, .u32 = true, .ifb = true};
    struct qos_tree tree = {.shaped = {true, true}, .n_networks = QOS_PREFIX_MANY};

    (void)state;
    random_world(1);
    w.config.qos.download = 10000000; /* too slow for super-packets */
    assert_int_equal(qos_complaints(&w.config, &all, &tree, said), 0);
    tree.n_networks = 65;
    assert_int_equal(qos_complaints(&w.config, &all, &tree, said), 1);
    assert_non_null(strstr(said[0], "65 networks"));
    assert_null(strstr(said[0], "told apart"));
    tree.n_networks = 0;
    tree.n_beyond = 3;
    assert_int_equal(qos_complaints(&w.config, &all, &tree, said), 1);
    assert_non_null(strstr(said[0], "3 users or networks are more than can be told apart"));
    tree.n_networks = 65;
    tree.scaled[QOS_DOWNLOAD] = tree.scaled[QOS_UPLOAD] = true;
    assert_int_equal(qos_complaints(&w.config, &support, &tree, said), QOS_COMPLAINTS_MAX);
    tree.shaped[QOS_UPLOAD] = support.ifb = false;
    assert_int_equal(qos_complaints(&w.config, &support, &tree, said), QOS_COMPLAINTS_MAX);
}

/* Queue lengths and the like at both ends of the scale. */
static void test_params(void **state)
{
    struct qos_tree tree = {.mtu = 1400,
                            .split = true,
                            .leaf_kind = NET_QDISC_FQ_CODEL,
                            .total = {125000000},
                            .smallest = {125000},
                            .largest = {125000000}};
    struct net_qdisc qdisc = {0};
    struct net_class cls = {.rate_bytes_s = 125000, .ceil_bytes_s = 250000};

    (void)state;
    qos_leaf_params(&tree, 12500000, 12500000, &qdisc);
    assert_int_equal(qdisc.fq.target_us, 5000);
    assert_int_equal(qdisc.fq.interval_us, 100000);
    /* 640 kbit: a packet takes 17.5 ms, and the target is more. */
    qos_leaf_params(&tree, 80000, 80000, &qdisc);
    assert_int_equal(qdisc.fq.target_us, 26250);
    assert_true(qdisc.fq.limit >= 64 && qdisc.fq.memory_limit >= 65536);
    tree.leaf_kind = NET_QDISC_BFIFO;
    qos_leaf_params(&tree, 625000, 1250000, &qdisc);
    assert_int_equal(qdisc.bfifo_limit_bytes, 75000); /* 60 ms at 10 Mbit */
    qos_class_params(&tree, QOS_DOWNLOAD, &cls);
    assert_int_equal(cls.quantum, 1400);
    assert_int_equal(cls.burst_us, 16200); /* a packet, and 5 ms */
    tree.largest[0] = cls.rate_bytes_s = 375000;
    qos_class_params(&tree, QOS_DOWNLOAD, &cls);
    assert_int_equal(cls.quantum, 4200);
    tree.largest[0] = cls.rate_bytes_s = 125000000;
    qos_class_params(&tree, QOS_DOWNLOAD, &cls);
    assert_int_equal(cls.quantum, 200000);
    assert_int_equal(cls.burst_us, 5011);
}

/* One slow class does not make the turns of the others long, nor unequal to their rates. */
static void test_quantum(void **state)
{
    static const struct {
        uint64_t rate;
        uint32_t quantum;
    } classes[] = {{1000, 1400}, {125000, 1400}, {500000, 5000}, {625000, 6250}};
    struct qos_tree tree = {.mtu = 1400,
                            .split = true,
                            .total = {1250000, 250000},
                            .smallest = {1000, 1000},
                            .largest = {625000, 625000}};
    struct net_class cls = {.ceil_bytes_s = 1250000};

    (void)state;
    /* 10 Mbit carry 6,250 bytes in 5 ms. */
    for (size_t i = 0; i < ARRAY_SIZE(classes); i++) {
        cls.rate_bytes_s = classes[i].rate;
        qos_class_params(&tree, QOS_DOWNLOAD, &cls);
        assert_int_equal(cls.quantum, classes[i].quantum);
    }
    qos_class_params(&tree, QOS_UPLOAD, &cls);
    assert_int_equal(cls.quantum, 4 * 1400);
    tree.smallest[0] = 250000; /* the usual case: no class is much faster than another */
    cls.rate_bytes_s = 375000;
    qos_class_params(&tree, QOS_DOWNLOAD, &cls);
    assert_int_equal(cls.quantum, 2100);
}

static void test_offload(void **state)
{
    (void)state;
    random_world(1);
    w.config.qos.n_classes = 1;
    w.config.qos.download = w.config.qos.upload = 1000000000;
    set_class(0, 10000000, 100000000, false, false);
    assert_true(qos_offload(&w.config));
    w.config.qos.upload = 50000000;
    assert_false(qos_offload(&w.config));
    w.config.qos.upload = 1000000000;
    set_class(0, 5000000, 99000000, false, false);
    assert_false(qos_offload(&w.config));
    w.config.qos.download = w.config.qos.upload = 0;
    assert_true(qos_offload(&w.config));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_scaling),
        cmocka_unit_test(test_support),
        cmocka_unit_test(test_params),
        cmocka_unit_test(test_quantum),
        cmocka_unit_test(test_sold_out),
        cmocka_unit_test(test_crowded),
        cmocka_unit_test(test_offload),
        cmocka_unit_test(test_complaints),
        cmocka_unit_test(test_scaled_to_nothing),
    };

    return cmocka_run_group_tests_name("qos rates", tests, NULL, NULL);
}

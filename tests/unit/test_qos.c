/*
 * Quality of service: who gets what, and the tree that comes of it.
 *
 * Random users, classes and sessions are laid out, and what a kernel would make of the objects is
 * worked out by a small kernel of our own: a packet to each address is looked up in the filters.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "common/cleanup.h"
#include "common/ip.h"
#include "daemon/qos.h"
#include "netlink/set.h"
#include "tests/unit/qos_world.h"

#define ROUNDS 60
#define FLOOR  1000

/* ---- a kernel ------------------------------------------------------------------------------ */

static const struct net_object *find(const struct net_set *set, const char *dev, enum net_kind kind,
                                     uint32_t handle)
{
    for (size_t i = 0; i < net_set_count(set); i++) {
        const struct net_object *o = net_set_at(set, i);

        if (o->kind == kind && strcmp(o->dev, dev) == 0 &&
            (kind == NET_KIND_CLASS ? o->cls.handle : o->qdisc.handle) == handle)
            return o;
    }
    return NULL;
}

static bool matches(const struct net_filter *f, const struct ip_addr *addr,
                    enum net_filter_side side)
{
    if (f->side == NET_FILTER_VERSION)
        return f->prefix.addr.family == addr->family;
    assert_int_equal(f->side, side);
    return ip_prefix_contains(&f->prefix, addr);
}

/* How many filters say something about @addr from this table's bucket on; the first one's class. */
static size_t classify(const struct net_set *set, const char *dev, uint32_t qdisc,
                       enum net_filter_side side, uint32_t table, uint32_t bucket,
                       const struct ip_addr *addr, uint32_t *classid)
{
    size_t hits = 0;

    for (size_t i = 0; i < net_set_count(set); i++) {
        const struct net_object *o = net_set_at(set, i);
        const struct net_filter *f = &o->filter;

        if (o->kind != NET_KIND_FILTER || strcmp(o->dev, dev) != 0 || f->parent != qdisc ||
            f->kind == NET_FILTER_TABLE || NET_U32_TABLE(f->handle) != table ||
            NET_U32_BUCKET(f->handle) != bucket || !matches(f, addr, side))
            continue;
        if (f->kind == NET_FILTER_LINK) {
            uint32_t buckets = 0;

            assert_int_equal(f->hash_side, side);
            for (size_t k = 0; k < net_set_count(set); k++) {
                const struct net_object *t = net_set_at(set, k);

                if (t->kind == NET_KIND_FILTER && t->filter.kind == NET_FILTER_TABLE &&
                    t->filter.parent == qdisc && strcmp(t->dev, dev) == 0 &&
                    NET_U32_TABLE(t->filter.handle) == f->table)
                    buckets = t->filter.buckets;
            }
            assert_true(buckets > 0);
            hits += classify(set, dev, qdisc, side, f->table,
                             addr->bytes[f->hash_byte] & (buckets - 1), addr, classid);
        } else {
            assert_int_equal(f->kind, NET_FILTER_CLASS);
            if (hits++ == 0)
                *classid = f->classid;
        }
    }
    return hits;
}

/* The leaf a packet ends in, by every filter on its way; each level must have exactly one. */
static uint32_t leaf_for(const struct net_set *set, const struct qos_tree *tree, int d,
                         const struct ip_addr *addr, size_t expect)
{
    enum net_filter_side side = d == QOS_DOWNLOAD ? NET_FILTER_DST : NET_FILTER_SRC;
    const char *dev = tree->device[d];
    uint32_t qdisc = NET_TC_HANDLE(1, 0), classid = NET_TC_HANDLE(1, 2);

    assert_int_equal(classify(set, dev, qdisc, side, 0, 0, addr, &classid), expect);
    for (size_t i = 0; i < net_set_count(set); i++) {
        const struct net_object *o = net_set_at(set, i);

        if (o->kind == NET_KIND_QDISC && strcmp(o->dev, dev) == 0 && o->qdisc.parent == classid &&
            o->qdisc.kind == NET_QDISC_HTB) {
            qdisc = o->qdisc.handle;
            assert_int_equal(classify(set, dev, qdisc, side, 0, 0, addr, &classid), expect);
            break;
        }
    }
    return classid;
}

static void check_parents(const struct net_set *set)
{
    for (size_t i = 0; i < net_set_count(set); i++) {
        const struct net_object *o = net_set_at(set, i);

        if (o->kind == NET_KIND_QDISC) {
            uint32_t parent = o->qdisc.parent;

            assert_true(parent == NET_TC_ROOT || parent == NET_TC_INGRESS ||
                        parent == NET_TC_HANDLE(0xfffe, 1) ||
                        find(set, o->dev, NET_KIND_CLASS, parent));
            /* One handle, one qdisc: find() gives the first. */
            assert_ptr_equal(find(set, o->dev, NET_KIND_QDISC, o->qdisc.handle), o);
            if (o->qdisc.kind == NET_QDISC_HTB)
                assert_non_null(
                    find(set, o->dev, NET_KIND_CLASS, o->qdisc.handle | o->qdisc.htb_default));
        } else if (o->kind == NET_KIND_CLASS) {
            uint32_t parent = o->cls.parent;

            assert_int_equal(NET_TC_MAJOR(parent), NET_TC_MAJOR(o->cls.handle));
            assert_non_null(NET_TC_MINOR(parent) ? find(set, o->dev, NET_KIND_CLASS, parent)
                                                 : find(set, o->dev, NET_KIND_QDISC, parent));
            assert_true(o->cls.rate_bytes_s > 0 && o->cls.quantum > 0);
            assert_true(o->cls.ceil_bytes_s >= o->cls.rate_bytes_s);
        } else if (o->kind == NET_KIND_FILTER && o->filter.kind == NET_FILTER_CLASS) {
            assert_non_null(find(set, o->dev, NET_KIND_CLASS, o->filter.classid));
            /* HTB looks a filter's class up among its own only. */
            assert_int_equal(NET_TC_MAJOR(o->filter.classid), NET_TC_MAJOR(o->filter.parent));
        }
    }
}

/* The rates of a class's children are within its own. */
static void check_sums(const struct net_set *set)
{
    for (size_t i = 0; i < net_set_count(set); i++) {
        const struct net_object *parent = net_set_at(set, i);
        uint64_t sum = 0, n = 0;

        if (parent->kind != NET_KIND_CLASS)
            continue;
        for (size_t k = 0; k < net_set_count(set); k++) {
            const struct net_object *child = net_set_at(set, k);

            if (child->kind == NET_KIND_CLASS && strcmp(child->dev, parent->dev) == 0 &&
                child->cls.parent == parent->cls.handle) {
                assert_true(child->cls.ceil_bytes_s <= parent->cls.ceil_bytes_s);
                sum += child->cls.rate_bytes_s;
                n++;
            }
        }
        assert_true(sum <= parent->cls.rate_bytes_s + n * FLOOR);
    }
}

/* ---- tests --------------------------------------------------------------------------------- */

static const struct qos_leaf *expected(const struct qos_tree *tree, const struct config_user *user)
{
    const char *name = !user->cls ? "(others)" : user->cls->shared ? user->cls->name : user->name;

    for (size_t i = 0; i < tree->n_leaves; i++) {
        if (strcmp(tree->leaves[i].name, name) == 0)
            return &tree->leaves[i];
    }
    fail_msg("no leaf for %s", user->name);
    return NULL;
}

static void check_addresses(const struct net_set *set, const struct qos_tree *tree, size_t step)
{
    struct ip_addr stranger;

    for (size_t i = 0; i < w.n_sessions; i += 1 + rnd((uint32_t)step)) {
        const struct qos_session *s = &w.sessions[i];
        const struct config_user *user = &w.users[s->number];
        uint32_t handle = expected(tree, user)->handle;
        size_t hits = user->cls ? 1 : 0;

        for (int d = 0; d < QOS_DIRECTIONS; d++) {
            assert_int_equal(leaf_for(set, tree, d, &s->ip4, hits), handle);
            if (s->ip6.family)
                assert_int_equal(leaf_for(set, tree, d, &s->ip6, hits), handle);
            if (user->n_networks) {
                struct ip_addr inside = ip_addr_add(user->networks[0].addr, 77);

                assert_int_equal(leaf_for(set, tree, d, &inside, hits), handle);
            }
        }
    }
    assert_int_equal(ip_addr_parse("10.99.0.10", &stranger), 0);
    assert_int_equal(leaf_for(set, tree, 0, &stranger, 0), NET_TC_HANDLE(1, 2));
    assert_int_equal(ip_addr_parse("fd99::10", &stranger), 0);
    assert_int_equal(leaf_for(set, tree, 1, &stranger, 0), NET_TC_HANDLE(1, 2));
}

static void one_world(size_t n_users, uint32_t of, size_t step)
{
    _cleanup_(qos_tree_freep) struct qos_tree *tree = NULL;
    _cleanup_(net_set_freep) struct net_set *set = NULL;

    random_world(n_users);
    random_sessions(of);
    set = lay_out(&tree);
    assert_int_equal(tree->nested, n_users + CLASSES > QOS_FLAT_MAX);
    check_parents(set);
    check_sums(set);
    check_addresses(set, tree, step);
}

static void test_flat(void **state)
{
    (void)state;
    for (int i = 0; i < ROUNDS; i++)
        one_world(1 + rnd(30), 0, 1);
    one_world(200, 0, 20);
}

static void test_nested(void **state)
{
    (void)state;
    one_world(QOS_FLAT_MAX + 300, 40, 40);
    one_world(USERS_MAX, 25, 100);
}

/* Everything of somebody who stays is as it was, or is changed in place, as others come and go. */
static void check_stays(const struct net_set *before, const struct net_set *after)
{
    for (size_t i = 0; i < net_set_count(before); i++) {
        const struct net_object *o = net_set_at(before, i);
        const struct net_object *now = net_set_find(after, o);

        if (!now)
            continue;
        if (o->kind == NET_KIND_CLASS)
            assert_int_not_equal(net_class_diff(&now->cls, &o->cls), NET_TC_RECREATE);
        else if (o->kind == NET_KIND_QDISC)
            assert_int_equal(net_qdisc_diff(&now->qdisc, &o->qdisc), NET_TC_SAME);
    }
}

static void test_come_and_go(void **state)
{
    (void)state;
    for (int i = 0; i < ROUNDS; i++) {
        _cleanup_(qos_tree_freep) struct qos_tree *t1 = NULL;
        _cleanup_(qos_tree_freep) struct qos_tree *t2 = NULL;
        _cleanup_(net_set_freep) struct net_set *before = NULL;
        _cleanup_(net_set_freep) struct net_set *after = NULL;

        random_world(10 + rnd(60));
        random_sessions(0);
        before = lay_out(&t1);
        random_sessions(0);
        after = lay_out(&t2);
        check_stays(before, after);
        for (size_t k = 0; k < t1->n_leaves; k++) {
            for (size_t m = 0; m < t2->n_leaves; m++) {
                if (strcmp(t1->leaves[k].name, t2->leaves[m].name) == 0) {
                    assert_int_equal(t1->leaves[k].handle, t2->leaves[m].handle);
                    assert_int_equal(t1->leaves[k].qdisc, t2->leaves[m].qdisc);
                }
            }
        }
    }
}

/* Another class: the same handles, other rates; nothing else moves. */
static void test_change_class(void **state)
{
    _cleanup_(qos_tree_freep) struct qos_tree *t1 = NULL;
    _cleanup_(qos_tree_freep) struct qos_tree *t2 = NULL;
    _cleanup_(net_set_freep) struct net_set *before = NULL;
    _cleanup_(net_set_freep) struct net_set *after = NULL;
    size_t changed = 0;

    (void)state;
    random_world(20);
    for (size_t i = 0; i < 20; i++)
        w.users[i].cls = &w.classes[3];
    w.config.qos.download = w.config.qos.upload = 100000000000;
    for (uint32_t i = 0; i < 20; i++)
        w.sessions[w.n_sessions++] = session_of(i);
    before = lay_out(&t1);
    w.users[5].cls = &w.classes[4];
    after = lay_out(&t2);
    assert_int_equal(net_set_count(before), net_set_count(after));
    for (size_t i = 0; i < net_set_count(before); i++) {
        const struct net_object *o = net_set_at(before, i);
        const struct net_object *now = net_set_find(after, o);

        assert_non_null(now);
        if (o->kind == NET_KIND_CLASS && net_class_diff(&now->cls, &o->cls) != NET_TC_SAME) {
            assert_int_equal(NET_TC_MINOR(o->cls.handle), 0x10 + 5);
            assert_int_equal(net_class_diff(&now->cls, &o->cls), NET_TC_CHANGE);
            changed++;
        }
        if (o->kind == NET_KIND_FILTER)
            assert_int_equal(net_filter_diff(&now->filter, &o->filter), NET_TC_SAME);
    }
    assert_int_equal(changed, 2);
}

/* Two devices of one user are one leaf. */
static void test_devices(void **state)
{
    _cleanup_(qos_tree_freep) struct qos_tree *tree = NULL;
    _cleanup_(net_set_freep) struct net_set *set = NULL;

    (void)state;
    random_world(3);
    w.users[1].cls = &w.classes[5];
    w.users[1].n_networks = 0;
    w.sessions[0] = session_of(1);
    w.sessions[1] = session_of(2);
    w.sessions[1].number = 1;
    w.sessions[1].user = w.users[1].name;
    w.n_sessions = 2;
    set = lay_out(&tree);
    assert_int_equal(tree->n_leaves, 2);
    assert_int_equal(leaf_for(set, tree, 0, &w.sessions[0].ip4, 1), tree->leaves[1].handle);
    assert_int_equal(leaf_for(set, tree, 0, &w.sessions[1].ip4, 1), tree->leaves[1].handle);
}

/* A part at a time: whole leaves with all that is theirs, and what is there stays. */
static void test_parts(void **state)
{
    _cleanup_(net_set_freep) struct net_set *before = net_set_new();
    size_t left = 1, n_all;
    struct err err;

    (void)state;
    random_world(200);
    random_sessions(0);
    assert_int_equal(
        qos_lower(&w.config, &all, w.sessions, w.n_sessions, 0, "a", before, &n_all, &err), 0);
    for (size_t most = 1; left > 0; most += 7) {
        struct net_set *set = net_set_new();

        assert_int_equal(
            qos_lower(&w.config, &all, w.sessions, w.n_sessions, most, "a", set, &left, &err), 0);
        assert_int_equal(left, most < n_all ? n_all - most : 0);
        /* The total's class, and one for each leaf. */
        assert_int_equal(count(set, "tun0", NET_KIND_CLASS), 1 + n_all - left);
        assert_int_equal(net_set_sort(set, &err), 0);
        check_parents(set);
        for (size_t i = 0; i < net_set_count(before); i++)
            assert_non_null(net_set_find(set, net_set_at(before, i)));
        net_set_free(before);
        before = set;
    }
    assert_true(n_all > 50);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_flat),         cmocka_unit_test(test_parts),
        cmocka_unit_test(test_nested),       cmocka_unit_test(test_come_and_go),
        cmocka_unit_test(test_change_class), cmocka_unit_test(test_devices),
    };

    return cmocka_run_group_tests_name("qos", tests, NULL, NULL);
}

/*
 * netlink/rule against the real kernel: policy rules, those that stand close to them, and dumps of
 * them while others come and go.
 */
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "common/ip.h"
#include "netlink/conn.h"
#include "netlink/object.h"
#include "netlink/rule.h"
#include "tests/net/netlink_rig.h"

#define MANY_RULES    1500
#define MANY_PRIORITY 20000

static int count_rule(const struct net_rule *rule, void *ctx)
{
    struct count *count = ctx;
    const struct net_rule *want = count->want;

    count->all++;
    count->same += want && net_rule_cmp_id(rule, want) == 0;
    return 0;
}

static struct count rules(const struct net_rule *want, uint8_t protocol)
{
    struct count count = {.want = want};

    OK(net_rule_dump(conn, want->family, protocol, count_rule, &count, &err));
    return count;
}

static void check_rule(struct net_rule want)
{
    struct net_rule other = want;
    unsigned int before = rules(&want, 0).all;

    OK(net_rule_put(conn, &want, &err));
    OK(net_rule_put(conn, &want, &err));
    assert_int_equal(rules(&want, 0).same, 1);
    assert_int_equal(rules(&want, 0).all, before + 1);
    assert_int_equal(rules(&want, NET_PROTO_CLIENT).all, 1);
    assert_int_equal(rules(&want, NET_PROTO_SERVER).all, 0);

    OK(net_rule_del(conn, &want, &err));
    OK(net_rule_del(conn, &want, &err));
    assert_int_equal(rules(&want, 0).all, before);

    /* Somebody else's with the same selectors is neither taken over nor removed. */
    other.protocol = FOREIGN_PROTO;
    OK(net_rule_put(conn, &other, &err));
    OK(net_rule_del(conn, &want, &err));
    OK(net_rule_put(conn, &want, &err));
    assert_int_equal(rules(&want, 0).same, 1);
    assert_int_equal(rules(&other, 0).same, 1);
    OK(net_rule_del(conn, &want, &err));
    OK(net_rule_del(conn, &want, &err));
    assert_int_equal(rules(&want, 0).same, 0);
    assert_int_equal(rules(&other, 0).same, 1);
    OK(net_rule_del(conn, &other, &err));
    assert_int_equal(rules(&want, 0).all, before);
}

static void test_rule(void **state)
{
    struct net_rule base = {
        .family = 4, .priority = 10101, .table = 101, .protocol = NET_PROTO_CLIENT};
    struct net_rule rule;

    (void)state;
    for (base.family = 4; base.family <= 6; base.family += 2) {
        if (base.family == 6 && dev.ip6ll == NET_IP6LL_ABSENT)
            continue;
        check_rule(base);
        rule = base;
        rule.has_uids = true;
        rule.uid_first = rule.uid_last = ORDINARY_UID;
        check_rule(rule);
        rule.ip_proto = 17;
        rule.sport = 40000;
        rule.dport = 53;
        check_rule(rule);
        rule.uid_first = 0; /* root is a uid as well, unless our namespace has none */
        if (full_root)
            check_rule(rule);
        rule = base;
        rule.mark = 0x51820;
        rule.mask = UINT32_MAX;
        check_rule(rule);
        rule.invert = true;
        check_rule(rule);
        rule.mask = 0xfffff;
        check_rule(rule);
        rule = base;
        rule.table = NET_TABLE_MAIN;
        rule.has_suppress = true;
        check_rule(rule);
        rule.suppress_prefixlen = 8;
        check_rule(rule);
        rule = base;
        rule.table = 100101;
        strcpy(rule.iif, dev.name);
        strcpy(rule.oif, "late0"); /* a device that does not exist yet is fine */
        rule.from = prefix(base.family == 6 ? "fd08::/64" : "10.8.0.0/24");
        rule.to = prefix(base.family == 6 ? "fd09::/64" : "10.9.0.0/16");
        check_rule(rule);
        /* Host bits are no error: the network is what is meant. */
        rule.from = prefix(base.family == 6 ? "fd08::7/64" : "10.8.0.7/24");
        OK(net_rule_put(conn, &rule, &err));
        OK(net_rule_put(conn, &rule, &err));
        OK(net_rule_del(conn, &rule, &err));
        assert_int_equal(rules(&rule, NET_PROTO_CLIENT).all, 0);
    }
}

static void test_rule_neighbours(void **state)
{
    struct net_rule ours = {
        .family = 4, .priority = 10101, .table = 101, .protocol = NET_PROTO_CLIENT};
    struct net_rule narrow = ours, inverse;

    (void)state;
    /* A delete of "from all" would take the uid's rule that stands before it. */
    narrow.has_uids = true;
    narrow.uid_first = narrow.uid_last = ORDINARY_UID;
    OK(net_rule_put(conn, &narrow, &err));
    OK(net_rule_del(conn, &ours, &err));
    assert_int_equal(rules(&narrow, 0).same, 1);
    OK(net_rule_put(conn, &ours, &err));
    FAILS(-EEXIST,
          "the kernel would remove another rule first: 10101: from all uidrange 64123-64123",
          net_rule_del(conn, &ours, &err));
    OK(net_rule_del(conn, &narrow, &err));
    assert_int_equal(rules(&ours, 0).same, 1);
    OK(net_rule_del(conn, &ours, &err));

    /* To the kernel a rule and its inverse are one. */
    ours.mark = 1;
    ours.mask = 0xff;
    inverse = ours;
    inverse.invert = true;
    OK(net_rule_put(conn, &inverse, &err));
    FAILS(-EEXIST, "another rule is in its place: 10101: not from all fwmark 0x1/0xff",
          net_rule_put(conn, &ours, &err));
    OK(net_rule_del(conn, &ours, &err));
    assert_int_equal(rules(&inverse, 0).same, 1);
    OK(net_rule_del(conn, &inverse, &err));

    ours.priority = 0;
    FAILS(-EINVAL, "needs a family", net_rule_put(conn, &ours, &err));
    ours.priority = 10101;
    ours.has_uids = true;
    ours.uid_first = 9;
    ours.uid_last = 8;
    FAILS(-EINVAL, "cannot set rule 10101: ", net_rule_put(conn, &ours, &err));
    assert_int_equal(rules(&ours, NET_PROTO_CLIENT).all, 0);
}

/* Adds and removes rules in front of all others until its parent ends it. */
static void churn(void)
{
    struct net_rule rule = {
        .family = 4, .priority = 100, .table = 101, .protocol = NET_PROTO_CLIENT};
    struct net_conn *own;

    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (net_conn_open(&own, NULL) < 0)
        _exit(1);
    for (;;) {
        if (net_rule_put(own, &rule, NULL) < 0 || net_rule_del(own, &rule, NULL) < 0)
            _exit(1);
    }
}

static int mark_rule(const struct net_rule *rule, void *ctx)
{
    unsigned int *seen = ctx;
    unsigned int i = rule->priority - MANY_PRIORITY;

    assert_true(i < MANY_RULES);
    seen[i]++;
    return 0;
}

/*
 * The kernel goes on with a dump by counting: a rule that comes or goes in front of the place
 * shifts the rest, so that one is missing or there twice.  Such dumps must never be shown.
 */
static void test_dump_under_churn(void **state)
{
    struct net_rule rule = {.family = 4, .table = 102, .protocol = NET_PROTO_SERVER};
    unsigned int whole = 0;
    pid_t pid;

    (void)state;
    for (unsigned int i = 0; i < MANY_RULES; i++) {
        rule.priority = MANY_PRIORITY + i;
        OK(net_rule_put(conn, &rule, &err));
    }
    pid = fork();
    if (pid == 0)
        churn();
    for (int round = 0; round < 100; round++) {
        unsigned int seen[MANY_RULES] = {0};
        int rc = net_rule_dump(conn, 4, NET_PROTO_SERVER, mark_rule, seen, NULL);

        assert_true(rc == 0 || rc == -EAGAIN);
        for (unsigned int i = 0; i < MANY_RULES; i++)
            assert_int_equal(seen[i], rc == 0);
        whole += rc == 0;
    }
    /* It was at work to the end. */
    assert_int_equal(waitpid(pid, NULL, WNOHANG), 0);
    assert_int_equal(kill(pid, SIGKILL), 0);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
    assert_true(whole > 0);
    for (unsigned int i = 0; i < MANY_RULES; i++) {
        rule.priority = MANY_PRIORITY + i;
        OK(net_rule_del(conn, &rule, &err));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rule),
        cmocka_unit_test(test_rule_neighbours),
        cmocka_unit_test(test_dump_under_churn),
    };
    const int rc = rig_enter();

    return rc ? rc : cmocka_run_group_tests_name("rule", tests, rig_setup_up, rig_teardown);
}

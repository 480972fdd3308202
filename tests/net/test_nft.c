/*
 * netlink/nft against the real kernel: our table as it is put, changed, checked, watched and
 * refused; nft(8) is the witness.
 */
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cap-ng.h>
#include <cmocka.h>

#include "netlink/nft_monitor.h"
#include "tests/net/nft_rig.h"

static void test_absent(void **state)
{
    struct net_firewall have = current();
    const struct net_firewall nothing = {.table = NET_FW_TABLE_SERVER,
                                         .owner = NET_FW_OWNER_SERVER};
    uint32_t gen = generation();

    (void)state;
    assert_int_equal(have.n, 0);
    assert_false(have.has_more);
    OK(net_nft_put(conn, &nothing, &err));
    assert_int_equal(generation(), gen);
    assert_string_equal(listing("ruleset"), "");
}

static void test_round_trip(void **state)
{
    struct net_firewall want = example();
    uint32_t gen;

    (void)state;
    OK(net_nft_put(conn, &want, &err));
    expect_same(&want);
    expect_listing(&want);

    /* Once more: no message, so no new generation. */
    gen = generation();
    OK(net_nft_put(conn, &want, &err));
    assert_int_equal(generation(), gen);

    /* Another table: one transaction. */
    want.n--;
    OK(net_nft_put(conn, &want, &err));
    assert_int_equal(generation(), gen + 1);
    expect_same(&want);
    expect_listing(&want);

    want.n = 0;
    OK(net_nft_put(conn, &want, &err));
    assert_int_equal(generation(), gen + 2);
    assert_string_equal(listing("ruleset"), "");
    net_firewall_clear(&want);
}

/* What nft(8) lists of our table it can also read: an administrator may save and load it. */
static void test_reload(void **state)
{
    struct net_firewall want = example();

    (void)state;
    OK(net_nft_put(conn, &want, &err));
    assert_true(run("f=$(nft list ruleset) && nft flush ruleset && echo \"$f\" | nft -f -"));
    expect_same(&want);
    net_firewall_clear(&want);
}

static void test_check(void **state)
{
    struct net_firewall want = example();
    const uint32_t gen = generation();

    (void)state;
    OK(net_nft_check(conn, &want, &err));
    for (size_t i = 0; i < want.n; i++)
        OK(net_nft_able(&want.rules[i], &err));
    assert_int_equal(generation(), gen);
    assert_string_equal(listing("ruleset"), "");

    /* Whatever stands in the place of ours. */
    nft("add table inet vpn; add chain inet vpn prerouting");
    OK(net_nft_check(conn, &want, &err));
    nft("flush ruleset");
    net_firewall_clear(&want);
}

static void test_many(void **state)
{
    struct net_firewall want = {.table = NET_FW_TABLE_SERVER, .owner = NET_FW_OWNER_SERVER};

    (void)state;
    for (uint16_t i = 0; i < NET_FW_RULES_MAX; i++)
        add(&want,
            RULE(.not_iif = "a-name-of-15.xx", .proto = IPPROTO_UDP, .sport = 1,
                 .dport = (uint16_t)(i + 1)),
            "fd08::/61", "fd08::/61");
    OK(net_nft_put(conn, &want, &err));
    expect_same(&want);
    want.n = 0;
    OK(net_nft_put(conn, &want, &err));
    net_firewall_clear(&want);
}

static bool has_news(struct net_nft_monitor *m, struct net_nft_news *news)
{
    struct pollfd pfd = {.fd = net_nft_monitor_fd(m), .events = POLLIN};
    const bool ready = poll(&pfd, 1, 0) == 1;

    OK(net_nft_monitor_read(m, news));
    return ready;
}

/* The kernel tells within the change, so there is nothing to wait for. */
static void test_monitor(void **state)
{
    struct net_firewall want = example();
    struct net_nft_monitor *m = NULL;
    struct net_nft_news news;

    (void)state;
    OK(net_nft_monitor_open(&m, NET_FW_TABLE_SERVER, net_conn_port(conn), &err));
    assert_false(has_news(m, &news));
    OK(net_nft_put(conn, &want, &err));
    has_news(m, &news);
    assert_false(news.changed);

    nft("add table ip other; add table inet vpn2; add chain inet vpn2 prerouting");
    assert_true(has_news(m, &news));
    assert_false(news.changed);

    nft("add rule inet vpn prerouting tcp dport 22 drop");
    assert_true(has_news(m, &news));
    assert_true(news.changed);
    assert_string_equal(news.last.who, "nft");
    assert_true(news.last.pid > 0);

    nft("flush ruleset");
    has_news(m, &news);
    assert_true(news.changed);
    assert_false(has_news(m, &news));
    assert_false(news.changed);
    net_nft_monitor_close(m);
    net_firewall_clear(&want);
}

/* The kernel's refusal comes with the rule it is about. */
static void test_refused(void **state)
{
    struct net_firewall want = example();

    (void)state;
    /* Not through net_firewall_add(), which would not have it. */
    want.rules[0].chain = NET_FW_POSTROUTING;
    want.rules[0].routed_to[0] = '\0';
    want.rules[0].action = NET_FW_NOTRACK;
    want.rules[0].wrong_way = true;
    want.n = 1;
    FAILS(-EOPNOTSUPP, "iif oif missing", net_nft_put(conn, &want, &err));
    assert_string_equal(listing("ruleset"), "");
    net_firewall_clear(&want);
}

static void test_no_rights(void **state)
{
    pid_t child = fork();
    int status;

    (void)state;
    assert_true(child >= 0);
    if (child == 0) {
        struct net_conn *own = NULL;
        struct net_firewall want = example();
        struct err err = {{0}};
        bool good;

        capng_clear(CAPNG_SELECT_BOTH);
        good = capng_apply(CAPNG_SELECT_BOTH) == 0 && net_conn_open_netfilter(&own, &err) == 0 &&
               net_nft_put(own, &want, &err) == -EPERM && strstr(err.msg, "CAP_NET_ADMIN");
        if (!good)
            fprintf(stderr, "without rights: \"%s\"\n", err.msg);
        net_conn_close(own);
        net_firewall_clear(&want);
        _exit(good ? 0 : 1);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(test_absent, clean),
        cmocka_unit_test_teardown(test_round_trip, clean),
        cmocka_unit_test_teardown(test_reload, clean),
        cmocka_unit_test_teardown(test_check, clean),
        cmocka_unit_test_teardown(test_many, clean),
        cmocka_unit_test_teardown(test_monitor, clean),
        cmocka_unit_test_teardown(test_refused, clean),
        cmocka_unit_test_teardown(test_no_rights, clean),
    };
    const int rc = rig_enter();

    return rc ? rc : cmocka_run_group_tests_name("nft", tests, rig_setup, rig_teardown);
}

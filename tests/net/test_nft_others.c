/*
 * netlink/nft beside others, on the real kernel: what they do to our table is seen and put right,
 * what is theirs stays, be it of our name, and they may change the ruleset all the time.
 */
#include <errno.h>
#include <signal.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "common/cleanup.h"
#include "tests/net/nft_rig.h"

/* Whatever somebody else does to our table is seen, and put right in one transaction. */
static void test_drift(void **state)
{
    static const char *const edits[] = {
        "add rule inet vpn prerouting tcp dport 22 drop",
        "insert rule inet vpn prerouting accept",
        "add rule inet vpn prerouting iifname \"eth0\" ip daddr 10.0.0.0/8 counter accept",
        "add rule inet vpn prerouting iifname \"eth0\" ip daddr 10.0.0.0/8 counter drop",
        "add rule inet vpn prerouting iifname \"eth0\" ip daddr != 10.0.0.0/8 counter drop",
        "add rule inet vpn prerouting ip daddr { 10.8.0.1, 10.8.0.2 } drop",
        "add rule inet vpn prerouting meta mark set 5",
        "add rule inet vpn prerouting ip ttl set 5",
        "add rule inet vpn prerouting iif lo accept",
        "add rule inet vpn prerouting fib saddr oif missing counter drop",
        "add rule inet vpn prerouting limit rate 5/second drop",
        "add rule inet vpn output log",
        "add rule inet vpn output notrack",
        "add rule inet vpn output accept",
        "add rule inet vpn postrouting masquerade random",
        "add rule inet vpn postrouting snat ip to 192.0.2.9",
        "flush chain inet vpn prerouting",
        "flush table inet vpn",
        "flush ruleset",
        "delete table inet vpn",
        "add chain inet vpn more",
        "add chain inet vpn forward { type filter hook forward priority 0; }",
        "add chain inet vpn prerouting { policy drop; }",
        "add chain inet vpn more; add rule inet vpn prerouting jump more",
        "add table inet vpn { flags dormant; }",
        "delete table inet vpn; add table inet vpn { comment \"vpn-server\"; }",
        "delete chain inet vpn output",
        "add rule arp vpn input drop",
        "insert rule arp vpn input meta mark set 5",
        "add rule arp vpn input meta priority set 0:1",
        "flush table arp vpn",
        "delete table arp vpn",
        "delete table inet vpn",
        "add chain arp vpn output { type filter hook output priority 0; }",
        "add table arp vpn { flags dormant; }",
    };
    struct net_firewall want = example();

    (void)state;
    OK(net_nft_put(conn, &want, &err));
    for (size_t i = 0; i < ARRAY_SIZE(edits); i++) {
        struct net_firewall have;
        uint32_t gen;

        if (strstr(edits[i], "delete chain"))
            nft("flush chain inet vpn output");
        nft(edits[i]);
        have = current();
        if (net_firewall_same(&want, &have))
            fail_msg("not seen: %s", edits[i]);
        net_firewall_clear(&have);
        gen = generation();
        OK(net_nft_put(conn, &want, &err));
        assert_int_equal(generation(), gen + 1);
        expect_same(&want);
    }
    expect_listing(&want);

    /* A single rule that went is seen as well. */
    assert_true(run("h=$(nft -a list chain inet vpn prerouting | sed -n \"s/.*handle //p\" | "
                    "tail -n 3 | head -n 1); nft delete rule inet vpn prerouting handle $h"));
    {
        struct net_firewall have = current();

        assert_int_equal(have.n, want.n - 1);
        assert_false(net_firewall_same(&want, &have));
        net_firewall_clear(&have);
    }
    OK(net_nft_put(conn, &want, &err));
    expect_same(&want);
    net_firewall_clear(&want);
}

#define FOREIGN                                                                                    \
    "add table ip vpn; add chain ip vpn prerouting { type filter hook prerouting priority raw; "   \
    "}; add rule ip vpn prerouting ip daddr 10.8.0.1 counter drop; "                               \
    "add table inet vpn2 { comment \"vpn-server\"; }; add chain inet vpn2 output; "                \
    "add rule inet vpn2 output tcp dport { 22, 80 } accept; "                                      \
    "add table inet filter; add chain inet filter input { type filter hook input priority 0; "     \
    "policy accept; }; add rule inet filter input udp dport 51820 accept"

static void test_foreign(void **state)
{
    struct net_firewall want = example(), have;
    char *before;

    (void)state;
    nft("flush ruleset");
    nft(FOREIGN);
    before = strdup(listing("ruleset"));
    assert_non_null(strstr(before, "vpn2"));
    OK(net_nft_put(conn, &want, &err));
    expect_same(&want);
    want.n--;
    OK(net_nft_put(conn, &want, &err));
    want.n = 0;
    OK(net_nft_put(conn, &want, &err));
    assert_string_equal(listing("ruleset"), before);
    free(before);
    net_firewall_clear(&want);

    /* A table of our name that somebody else made stays as it is. */
    want = example();
    nft("add table inet vpn { comment \"mine\"; }; add chain inet vpn prerouting; "
        "add rule inet vpn prerouting tcp dport 22 accept");
    before = strdup(listing("ruleset"));
    FAILS(-EEXIST, "not ours", net_nft_put(conn, &want, &err));
    want.n = 0;
    FAILS(-EEXIST, "not ours", net_nft_put(conn, &want, &err));
    assert_string_equal(listing("ruleset"), before);
    free(before);
    have = current();
    assert_string_equal(have.owner, "mine");
    assert_true(have.has_more);
    net_firewall_clear(&have);
    net_firewall_clear(&want);
    nft("flush ruleset");
}

/* Whatever it holds, be it nothing: without our comment it is somebody else's. */
static void test_foreign_empty(void **state)
{
    static const char *const tables[] = {
        "add table inet vpn",
        "add table inet vpn { comment \"mine\"; }",
        "add table inet vpn { flags dormant; }",
        "add table inet vpn; add set inet vpn s { type ipv4_addr; elements = { 192.0.2.1 }; }",
        "add table inet vpn; add map inet vpn m { type ipv4_addr : verdict; }",
        "add table inet vpn; add counter inet vpn c",
        "add table inet vpn { comment \"mine\"; }; add quota inet vpn q { over 5 mbytes; }",
        "add table inet vpn; add chain inet vpn prerouting",
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(tables); i++) {
        struct net_firewall want = example();
        char *before;

        nft(tables[i]);
        before = strdup(listing("ruleset"));
        assert_non_null(strstr(before, "table inet vpn"));
        FAILS(-EEXIST, "not ours", net_nft_put(conn, &want, &err));
        want.n = 0;
        FAILS(-EEXIST, "not ours", net_nft_put(conn, &want, &err));
        assert_string_equal(listing("ruleset"), before);
        free(before);
        net_firewall_clear(&want);
        nft("flush ruleset");
    }
}

/*
 * Of ARP's tables as well: one of our name that is not ours is none of our business.  It keeps us
 * from nothing but rules for ARP.
 */
static void beside_foreign_arp(const char *foreign)
{
    struct net_firewall want = example(), have;
    const size_t n = want.n;
    char *before;

    nft(foreign);
    before = strdup(listing("table arp vpn"));
    have = current();
    assert_string_equal(have.owner, "");
    assert_true(have.arp_taken);
    FAILS(-EEXIST, "nft delete table arp vpn",
          net_nft_vacant(want.table, NET_FW_OWNER_SERVER, &err));
    for (int i = 0; i < 2; i++) {
        uint32_t gen = generation();

        OK(net_nft_put(conn, &want, &err));
        assert_int_equal(generation(), gen + (i == 0));
        have = current();
        assert_string_equal(have.owner, want.owner);
        assert_int_equal(have.n, n - 1);
        assert_true(net_firewall_same(&want, &have));
        net_firewall_clear(&have);
    }
    want.n--;
    OK(net_nft_put(conn, &want, &err));
    expect_same(&want);
    expect_family(&want, "inet", 0, want.n);
    want.n = 0;
    OK(net_nft_put(conn, &want, &err));
    assert_string_equal(listing("ruleset"), before);
    net_firewall_clear(&want);

    /* Rules for ARP alone have no place. */
    add(&want, RULE(.chain = NET_FW_ARP, .action = NET_FW_MARK, .mark = 1), NULL, NULL);
    FAILS(-EEXIST, "table arp vpn exists", net_nft_put(conn, &want, &err));
    assert_string_equal(listing("ruleset"), before);
    net_firewall_clear(&want);

    /* It went, and it is told apart: what was left out comes. */
    nft("flush ruleset");
    OK(net_nft_vacant(want.table, NET_FW_OWNER_SERVER, &err));
    want = example();
    OK(net_nft_put(conn, &want, &err));
    OK(net_nft_vacant(want.table, NET_FW_OWNER_SERVER, &err));
    expect_same(&want);
    nft("flush ruleset");
    free(before);
    net_firewall_clear(&want);
}

static void test_foreign_arp(void **state)
{
    struct net_firewall want = {.table = NET_FW_TABLE_SERVER, .owner = NET_FW_OWNER_SERVER};

    (void)state;
    beside_foreign_arp("add table arp vpn; add chain arp vpn input; add rule arp vpn input drop");
    beside_foreign_arp("add table arp vpn { comment \"mine\"; }; add chain arp vpn input");
    beside_foreign_arp("add table arp vpn { comment \"mine\"; }");

    /* Alone, as a client has it that blocks and has no address yet. */
    add(&want, RULE(.chain = NET_FW_ARP, .action = NET_FW_MARK, .mark = 1), NULL, NULL);
    OK(net_nft_put(conn, &want, &err));
    expect_same(&want);

    /* Ours is no part of an inet one that is not. */
    nft("add table inet vpn { comment \"mine\"; }");
    FAILS(-EEXIST, "nft delete table inet vpn", net_nft_put(conn, &want, &err));
    FAILS(-EEXIST, "nft delete table inet vpn",
          net_nft_vacant(want.table, NET_FW_OWNER_SERVER, &err));
    nft("delete table inet vpn");

    want.n = 0;
    OK(net_nft_put(conn, &want, &err));
    assert_string_equal(listing("ruleset"), "");
    net_firewall_clear(&want);
}

/* Somebody changes the ruleset all the time: each of our transactions builds on what is there. */
static void test_race(void **state)
{
    struct net_firewall want = example();
    const size_t n = want.n;
    pid_t child = fork();

    (void)state;
    assert_true(child >= 0);
    if (child == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        for (;;)
            run("nft 'add table ip churn; add chain ip churn x; delete table ip churn'");
    }
    for (size_t i = 0; i < 300; i++) {
        want.n = n - i % 5;
        OK(net_nft_put(conn, &want, &err));
        OK(net_nft_check(conn, &want, &err));
        expect_same(&want);
    }
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
    want.n = 0;
    OK(net_nft_put(conn, &want, &err));
    net_firewall_clear(&want);
    /* Its last command may still run. */
    run("nft 'add table ip churn; delete table ip churn'");
    nft("flush ruleset");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(test_drift, clean),
        cmocka_unit_test_teardown(test_foreign, clean),
        cmocka_unit_test_teardown(test_foreign_empty, clean),
        cmocka_unit_test_teardown(test_foreign_arp, clean),
        cmocka_unit_test_teardown(test_race, clean),
    };
    const int rc = rig_enter();

    return rc ? rc : cmocka_run_group_tests_name("nft others", tests, rig_setup, rig_teardown);
}

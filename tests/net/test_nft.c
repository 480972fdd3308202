/*
 * netlink/nft against the real kernel, in a network namespace of its own; nft(8) is the witness.
 *
 * The program makes the namespace and then becomes what the daemon is: an ordinary uid with
 * CAP_NET_ADMIN and nothing else.
 */
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cap-ng.h>
#include <cmocka.h>

#include "common/cleanup.h"
#include "netlink/conn.h"
#include "netlink/firewall.h"
#include "netlink/nft.h"
#include "netlink/nft_monitor.h"
#include "tests/net/netns.h"
#include "tests/unit/expect.h"

#define ORDINARY_UID 64123
#define TEXT_SIZE    (256 << 10)

static struct net_conn *conn;
static bool root; /* nft(8) runs as it; false: as what we are in a user namespace */

/* The rights that the children need are kept as ambient ones; see drop_rights(). */
static bool run(const char *command)
{
    return system(command) == 0; /* NOLINT(cert-env33-c): the commands are below */
}

static void nft(const char *command)
{
    char line[1024];

    snprintf(line, sizeof(line), "nft '%s'", command);
    if (!run(line))
        fail_msg("%s", line);
}

/* What nft(8) says to "list ...", with what has been counted taken out. */
static const char *listing(const char *what)
{
    static char text[TEXT_SIZE];
    char line[256];
    FILE *f;
    size_t n;

    snprintf(line, sizeof(line),
             "nft list %s 2>&1 | sed 's/ counter packets [0-9]* bytes [0-9]*//'", what);
    f = popen(line, "r"); /* NOLINT(cert-env33-c) */
    assert_non_null(f);
    n = fread(text, 1, sizeof(text) - 1, f);
    text[n] = '\0';
    pclose(f);
    return text;
}

static uint32_t generation(void)
{
    struct net_firewall fw = {.table = "none"};
    struct net_nft_gen gen;

    OK(net_nft_get(conn, &fw, &gen, &err));
    assert_int_equal(fw.n, 0);
    return gen.id;
}

static void add(struct net_firewall *fw, struct net_fw_rule rule, const char *from, const char *to)
{
    if (from)
        rule.from = prefix(from);
    if (to)
        rule.to = prefix(to);
    assert_int_equal(net_firewall_add(fw, &rule), 0);
}

#define RULE(...) ((struct net_fw_rule){__VA_ARGS__})

/* One rule of each shape that the product writes, and the widths of prefixes. */
static struct net_firewall example(void)
{
    struct net_firewall fw = {.table = NET_FW_TABLE_SERVER, .owner = NET_FW_OWNER_SERVER};

    add(&fw, RULE(.not_iif = "tun0"), NULL, "10.8.0.1/32");
    add(&fw, RULE(.not_iif = "tun0"), NULL, "fd08::1/128");
    add(&fw, RULE(.not_iif = "tun0"), "10.8.0.0/24", NULL);
    add(&fw, RULE(.not_iif = "tun0"), "10.8.0.0/20", NULL);
    add(&fw, RULE(.not_iif = "a-name-of-15.xx"), "10.8.0.0/31", "10.9.0.0/9");
    add(&fw, RULE(.iif = "eth0"), NULL, "fd08::/64");
    add(&fw, RULE(.iif = "eth0"), NULL, "fd08::/61");
    add(&fw, RULE(.iif = "eth0"), NULL, "::/0");
    add(&fw, RULE(.not_iif = "tun0", .routed_to = "tun0", .wrong_way = true), NULL, NULL);
    add(&fw, RULE(.to_local = true, .proto = IPPROTO_UDP, .dport = 51820, .action = NET_FW_NOTRACK),
        NULL, "0.0.0.0/0");
    add(&fw, RULE(.proto = IPPROTO_UDP, .dport = 53, .action = NET_FW_NOTRACK), NULL,
        "192.0.2.1/32");
    add(&fw,
        RULE(.chain = NET_FW_OUTPUT, .proto = IPPROTO_UDP, .sport = 51820,
             .action = NET_FW_NOTRACK),
        NULL, NULL);
    add(&fw,
        RULE(.chain = NET_FW_POSTROUTING, .oif = "eth0", .proto = IPPROTO_TCP,
             .action = NET_FW_MASQUERADE, .port_first = 32768, .port_last = 51819),
        "10.8.0.0/24", NULL);
    add(&fw,
        RULE(.chain = NET_FW_POSTROUTING, .oif = "eth0", .proto = IPPROTO_UDP,
             .action = NET_FW_MASQUERADE, .port_first = 32768, .port_last = 32768),
        "10.8.0.0/24", NULL);
    add(&fw, RULE(.chain = NET_FW_POSTROUTING, .oif = "eth0", .action = NET_FW_MASQUERADE),
        "fd08::/64", NULL);
    add(&fw, RULE(.chain = NET_FW_ARP, .action = NET_FW_MARK, .mark = 0x56504e), NULL, NULL);
    return fw;
}

static struct net_firewall current(void)
{
    struct net_firewall fw = {.table = NET_FW_TABLE_SERVER, .owner = NET_FW_OWNER_SERVER};

    OK(net_nft_get(conn, &fw, NULL, &err));
    return fw;
}

static void expect_same(const struct net_firewall *want)
{
    struct net_firewall have = current();
    char a[NET_FW_FORMAT_SIZE], b[NET_FW_FORMAT_SIZE];

    for (size_t i = 0; i < want->n && i < have.n; i++)
        assert_string_equal(net_fw_rule_format(&have.rules[i], a),
                            net_fw_rule_format(&want->rules[i], b));
    assert_int_equal(have.n, want->n);
    assert_false(have.has_more);
    assert_true(net_firewall_same(want, &have));
    net_firewall_clear(&have);
}

/* nft(8) must show the very lines that we would print; "inet" has all chains but that of ARP. */
static void expect_family(const struct net_firewall *fw, const char *family, size_t first,
                          size_t end)
{
    static const char *const hooks[] = {
        [NET_FW_PREROUTING] = "type filter hook prerouting priority raw; policy accept;",
        [NET_FW_OUTPUT] = "type filter hook output priority raw; policy accept;",
        [NET_FW_POSTROUTING] = "type nat hook postrouting priority srcnat; policy accept;",
        [NET_FW_ARP] = "type filter hook input priority filter; policy accept;",
    };
    static char text[TEXT_SIZE];
    char rule[NET_FW_FORMAT_SIZE], what[64];
    size_t len = (size_t)snprintf(text, sizeof(text), "table %s %s {\n\tcomment \"%s\"\n", family,
                                  fw->table, fw->owner);

    for (size_t i = first; i < end; i++) {
        if (i == first || fw->rules[i - 1].chain != fw->rules[i].chain)
            len +=
                (size_t)snprintf(text + len, sizeof(text) - len, "%s\tchain %s {\n\t\t%s\n",
                                 i > first ? "\t}\n\n" : "", net_fw_chain_name(fw->rules[i].chain),
                                 hooks[fw->rules[i].chain]);
        len += (size_t)snprintf(text + len, sizeof(text) - len, "\t\t%s\n",
                                net_fw_rule_format(&fw->rules[i], rule));
    }
    snprintf(text + len, sizeof(text) - len, "\t}\n}\n");
    snprintf(what, sizeof(what), "table %s vpn", family);
    assert_string_equal(listing(what), text);
}

static void expect_listing(const struct net_firewall *fw)
{
    size_t inet = 0;

    while (inet < fw->n && fw->rules[inet].chain != NET_FW_ARP)
        inet++;
    expect_family(fw, "inet", 0, inet);
    if (inet < fw->n)
        expect_family(fw, "arp", inet, fw->n);
    else
        assert_non_null(strstr(listing("table arp vpn"), "No such file"));
}

/* ---- tests ----------------------------------------------------------------------------------- */

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

static int group_setup(void **state)
{
    (void)state;
    OK(net_conn_open_netfilter(&conn, &err));
    return 0;
}

static int group_teardown(void **state)
{
    (void)state;
    net_conn_close(conn);
    return 0;
}

/* CAP_NET_ADMIN and nothing else; nft(8) gets it as well, as an ambient capability. */
static int drop_rights(void)
{
    capng_clear(CAPNG_SELECT_BOTH);
    capng_update(CAPNG_ADD, CAPNG_EFFECTIVE | CAPNG_PERMITTED | CAPNG_INHERITABLE, CAP_NET_ADMIN);
    if (root ? capng_change_id(ORDINARY_UID, ORDINARY_UID, CAPNG_DROP_SUPP_GRP)
             : capng_apply(CAPNG_SELECT_CAPS))
        return -1;
    return prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_NET_ADMIN, 0, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_absent),      cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_reload),      cmocka_unit_test(test_drift),
        cmocka_unit_test(test_foreign),     cmocka_unit_test(test_foreign_empty),
        cmocka_unit_test(test_foreign_arp), cmocka_unit_test(test_race),
        cmocka_unit_test(test_check),       cmocka_unit_test(test_many),
        cmocka_unit_test(test_monitor),     cmocka_unit_test(test_refused),
        cmocka_unit_test(test_no_rights),
    };
    int rc;

    root = geteuid() == 0;
    rc = netns_enter();
    if (rc)
        return rc;
    setenv("PATH", "/usr/sbin:/usr/bin:/sbin:/bin", 1);
    if (drop_rights() < 0)
        return netns_skip("rights cannot be dropped");
    if (!run("nft list ruleset >/dev/null 2>&1"))
        return netns_skip("no nft(8), or a kernel without nf_tables");
    return cmocka_run_group_tests(tests, group_setup, group_teardown);
}

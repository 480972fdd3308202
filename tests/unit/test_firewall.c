/* netlink/firewall: rules of a packet filter table, without a kernel. */
#include <errno.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "common/cleanup.h"
#include "netlink/firewall.h"
#include "tests/unit/expect.h"

static struct net_firewall table(void)
{
    return (struct net_firewall){.table = NET_FW_TABLE_SERVER, .owner = NET_FW_OWNER_SERVER};
}

static void add(struct net_firewall *fw, const struct net_fw_rule *rule)
{
    assert_int_equal(net_firewall_add(fw, rule), 0);
}

static void test_format(void **state)
{
    static const struct {
        struct net_fw_rule rule;
        const char *from, *to, *text;
    } cases[] = {
        {{.not_iif = "tun0"},
         NULL,
         "10.8.0.1/32",
         "ip daddr 10.8.0.1 iifname != \"tun0\" iifname != \"lo\" drop"},
        {{.iif = "eth0"}, NULL, "fd08::/64", "ip6 daddr fd08::/64 iifname \"eth0\" drop"},
        {{.not_iif = "tun0", .routed_to = "tun0", .wrong_way = true},
         NULL,
         NULL,
         "iifname != \"tun0\" iifname != \"lo\" fib daddr oifname \"tun0\" "
         "fib saddr . iif oif missing drop"},
        {{.to_local = true, .proto = IPPROTO_UDP, .dport = 51820, .action = NET_FW_NOTRACK},
         NULL,
         "0.0.0.0/0",
         "meta nfproto ipv4 udp dport 51820 fib daddr type local notrack accept"},
        {{.chain = NET_FW_OUTPUT, .proto = IPPROTO_UDP, .sport = 53, .action = NET_FW_NOTRACK},
         "2001:db8::1/128",
         NULL,
         "ip6 saddr 2001:db8::1 udp sport 53 notrack accept"},
        {{.chain = NET_FW_POSTROUTING,
          .oif = "eth0",
          .proto = IPPROTO_TCP,
          .action = NET_FW_MASQUERADE,
          .port_first = 32768,
          .port_last = 51819},
         "10.8.0.0/24",
         NULL,
         "ip saddr 10.8.0.0/24 oifname \"eth0\" meta l4proto tcp masquerade to :32768-51819"},
        {{.chain = NET_FW_POSTROUTING, .oif = "eth0", .action = NET_FW_MASQUERADE},
         "10.8.0.0/24",
         "192.0.2.0/24",
         "ip saddr 10.8.0.0/24 ip daddr 192.0.2.0/24 oifname \"eth0\" masquerade"},
        {{.chain = NET_FW_ARP, .action = NET_FW_MARK, .mark = 0x56504e},
         NULL,
         NULL,
         "meta mark set 0x0056504e"},
    };
    char buf[NET_FW_FORMAT_SIZE];

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct net_fw_rule rule = cases[i].rule;

        if (cases[i].from)
            rule.from = prefix(cases[i].from);
        if (cases[i].to)
            rule.to = prefix(cases[i].to);
        assert_true(net_fw_rule_valid(&rule));
        assert_string_equal(net_fw_rule_format(&rule, buf), cases[i].text);
    }
}

/* What nf_tables would refuse, or what could not be told apart when read back. */
static void test_invalid(void **state)
{
    struct net_fw_rule bad[] = {
        {.chain = NET_FW_CHAIN_NUM},
        {.iif = "a/b"},
        {.oif = "eth0"},
        {.chain = NET_FW_OUTPUT, .iif = "eth0", .action = NET_FW_NOTRACK},
        {.chain = NET_FW_OUTPUT, .wrong_way = true},
        {.action = NET_FW_MASQUERADE},
        {.chain = NET_FW_POSTROUTING, .action = NET_FW_DROP},
        {.proto = 47},
        {.dport = 53},
        {.proto = IPPROTO_UDP, .port_first = 1, .port_last = 2},
        {.chain = NET_FW_POSTROUTING,
         .action = NET_FW_MASQUERADE,
         .proto = IPPROTO_UDP,
         .port_first = 2,
         .port_last = 1},
        {.chain = NET_FW_POSTROUTING, .action = NET_FW_MASQUERADE, .port_first = 1, .port_last = 2},
        {.chain = NET_FW_ARP, .action = NET_FW_DROP},
        {.chain = NET_FW_ARP, .action = NET_FW_MARK},
        {.chain = NET_FW_ARP, .action = NET_FW_MARK, .mark = 1, .iif = "eth0"},
        {.chain = NET_FW_ARP, .action = NET_FW_MARK, .mark = 1, .to = {{.family = 4}, 8}},
        {.action = NET_FW_MARK, .mark = 1},
        {.action = NET_FW_DROP, .mark = 1},
        {.from = {{.family = 4}, 33}},
        {.from = {{.family = 5}, 1}},
        {.from = {{.family = 4}, 8}, .to = {{.family = 6}, 8}},
    };
    struct net_firewall fw = table();

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
        assert_int_equal(net_firewall_add(&fw, &bad[i]), -EINVAL);
    assert_int_equal(fw.n, 0);
    net_firewall_clear(&fw);
}

static void test_canonical(void **state)
{
    const struct net_fw_rule bits = {.iif = "eth0", .to = prefix("10.8.0.1/24")};
    const struct net_fw_rule bare = {.iif = "eth0", .from = prefix("0.0.0.0/0")};
    const struct net_fw_rule both = {.iif = "eth0",
                                     .from = prefix("0.0.0.0/0"),
                                     .to = prefix("10.8.0.0/24")};
    struct net_firewall fw = table();
    char buf[NET_FW_FORMAT_SIZE];

    (void)state;
    add(&fw, &bits);
    add(&fw, &bare);
    add(&fw, &both);
    assert_string_equal(net_fw_rule_format(&fw.rules[0], buf),
                        "ip daddr 10.8.0.0/24 iifname \"eth0\" drop");
    assert_string_equal(net_fw_rule_format(&fw.rules[1], buf),
                        "meta nfproto ipv4 iifname \"eth0\" drop");
    assert_true(net_fw_rule_same(&fw.rules[0], &fw.rules[2]));
    net_firewall_clear(&fw);
}

/* By chain, and within one as they were added. */
static void test_order(void **state)
{
    struct net_firewall fw = table();

    (void)state;
    for (uint16_t i = 1; i <= 40; i++) {
        struct net_fw_rule rule = {.chain = i % 2 ? NET_FW_OUTPUT : NET_FW_PREROUTING,
                                   .proto = IPPROTO_UDP,
                                   .dport = i,
                                   .action = NET_FW_NOTRACK};

        add(&fw, &rule);
    }
    assert_int_equal(fw.n, 40);
    for (size_t i = 0; i < 20; i++) {
        assert_int_equal(fw.rules[i].dport, 2 * i + 2);
        assert_int_equal(fw.rules[20 + i].dport, 2 * i + 1);
    }
    net_firewall_clear(&fw);
}

static void test_limit(void **state)
{
    const struct net_fw_rule rule = {.iif = "eth0"};
    struct net_firewall fw = table();

    (void)state;
    for (size_t i = 0; i < NET_FW_RULES_MAX; i++)
        add(&fw, &rule);
    assert_int_equal(net_firewall_add(&fw, &rule), -ENOSPC);
    net_firewall_clear(&fw);
}

/* Every field counts. */
static void test_same(void **state)
{
    const struct net_fw_rule base = {.chain = NET_FW_PREROUTING, .iif = "eth0"};
    struct net_fw_rule other[14];
    struct net_firewall a = table(), b = table();

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(other); i++)
        other[i] = base;
    other[0].chain = NET_FW_OUTPUT;
    strcpy(other[1].iif, "eth1");
    strcpy(other[2].not_iif, "eth1");
    strcpy(other[3].oif, "eth1");
    other[4].from = prefix("10.0.0.0/8");
    other[5].to = prefix("10.0.0.0/8");
    strcpy(other[6].routed_to, "tun0");
    other[7].wrong_way = true;
    other[8].to_local = true;
    other[9].proto = IPPROTO_UDP;
    other[10].sport = 1;
    other[11].dport = 1;
    other[12].action = NET_FW_NOTRACK;
    other[13].port_last = 1;
    for (size_t i = 0; i < ARRAY_SIZE(other); i++)
        assert_false(net_fw_rule_same(&base, &other[i]));
    assert_true(net_fw_rule_same(&base, &base));

    add(&a, &base);
    add(&a, &other[5]);
    assert_int_equal(net_firewall_copy(&b, &a), 0);
    assert_true(net_firewall_same(&a, &b));
    b.has_more = true;
    assert_false(net_firewall_same(&a, &b));
    b.has_more = false;
    b.n--;
    assert_false(net_firewall_same(&a, &b));
    b.n++;
    b.rules[1].to = prefix("10.0.0.0/9");
    assert_false(net_firewall_same(&a, &b));
    b.rules[1] = a.rules[1];
    strcpy(b.owner, "someone");
    assert_false(net_firewall_same(&a, &b));
    assert_int_equal(net_firewall_cmp_id(&a, &b), 0);
    strcpy(b.table, "vpn-client");
    assert_true(net_firewall_cmp_id(&a, &b) < 0);
    net_firewall_clear(&a);
    net_firewall_clear(&b);
    assert_int_equal(net_firewall_copy(&b, &a), 0);
    assert_true(net_firewall_same(&a, &b));
}

static void test_table_format(void **state)
{
    const struct net_fw_rule rule = {.iif = "eth0"};
    struct net_firewall fw = table();
    char buf[NET_FW_FORMAT_SIZE];

    (void)state;
    add(&fw, &rule);
    assert_string_equal(net_firewall_format(&fw, buf), "table inet vpn (1 rule)");
    add(&fw, &rule);
    fw.has_more = true;
    assert_string_equal(net_firewall_format(&fw, buf), "table inet vpn (2 rules and more)");
    net_firewall_clear(&fw);
}

static void note_line(void *ctx, char sign, const struct net_fw_rule *rule)
{
    char *text = ctx, line[NET_FW_FORMAT_SIZE];

    sprintf(text + strlen(text), "%c%s;", sign, net_fw_rule_format(rule, line));
}

static void test_diff(void **state)
{
    const struct net_fw_rule a = {.iif = "a"}, b = {.iif = "b"}, c = {.iif = "c"};
    struct net_firewall want = table(), have = table();
    char text[2048] = "";

    (void)state;
    add(&have, &a);
    add(&have, &b);
    add(&want, &b);
    add(&want, &a);
    net_firewall_diff(&want, &have, note_line, text);
    assert_string_equal(text, ""); /* only their places */
    add(&want, &c);
    add(&want, &b);
    add(&have, &a);
    net_firewall_diff(&want, &have, note_line, text);
    assert_string_equal(text, "-iifname \"a\" drop;+iifname \"c\" drop;+iifname \"b\" drop;");
    text[0] = '\0';
    net_firewall_diff(NULL, &have, note_line, text);
    assert_string_equal(text, "-iifname \"a\" drop;-iifname \"b\" drop;-iifname \"a\" drop;");
    text[0] = '\0';
    net_firewall_diff(&have, NULL, note_line, text);
    assert_string_equal(text, "+iifname \"a\" drop;+iifname \"b\" drop;+iifname \"a\" drop;");
    net_firewall_clear(&want);
    net_firewall_clear(&have);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_format),       cmocka_unit_test(test_invalid),
        cmocka_unit_test(test_canonical),    cmocka_unit_test(test_order),
        cmocka_unit_test(test_limit),        cmocka_unit_test(test_same),
        cmocka_unit_test(test_table_format), cmocka_unit_test(test_diff),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* daemon/firewall: from a configuration to the table of the packet filter. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "common/cleanup.h"
#include "daemon/firewall.h"

#define HEAD                                                                                       \
    "users:\n"                                                                                     \
    "  alice: {key: \"mB3k1x9nBVyzg0Mg2cGDlcVtj4rLkV0ZQ2vYHn5t7jI=\"}\n"                           \
    "server:\n"                                                                                    \
    "  realm: home-3f9c81d2a47be650\n"

static struct config *config_of(const char *more)
{
    struct problems problems = {0};
    struct config *config = NULL;
    char text[4096];

    snprintf(text, sizeof(text), "%s%s", HEAD, more);
    if (config_parse("vpn.yaml", text, strlen(text), &config, &problems) != 0)
        fail_msg("%s", problems.n ? problems.items[0].text : "refused");
    problems_clear(&problems);
    return config;
}

static void expect(const char *more, bool fib, const char *const *lines, size_t n)
{
    struct config *config = config_of(more);
    struct net_firewall fw = {.n = 0};
    char text[NET_FW_FORMAT_SIZE];

    assert_int_equal(firewall_lower(config, fib, &fw), 0);
    assert_string_equal(fw.table, "vpn");
    assert_string_equal(fw.owner, "vpn-server");
    for (size_t i = 0; i < fw.n && i < n; i++)
        assert_string_equal(net_fw_rule_format(&fw.rules[i], text), lines[i]);
    assert_int_equal(fw.n, n);
    net_firewall_clear(&fw);
    config_free(config);
}

#define ELSEWHERE "iifname != \"tun0\" iifname != \"lo\" "

/* The smallest file: both families' wildcard listen addresses, one tunnel network. */
static void test_default(void **state)
{
    static const char *const lines[] = {
        "ip daddr 10.8.0.1 " ELSEWHERE "drop",
        "ip saddr 10.8.0.0/24 " ELSEWHERE "drop",
        "meta nfproto ipv4 udp dport 51820 fib daddr type local notrack accept",
        "meta nfproto ipv6 udp dport 51820 fib daddr type local notrack accept",
        ELSEWHERE "fib daddr oifname \"tun0\" fib saddr . iif oif missing drop",
        "meta nfproto ipv4 udp sport 51820 notrack accept",
        "meta nfproto ipv6 udp sport 51820 notrack accept",
    };

    (void)state;
    expect("", true, lines, ARRAY_SIZE(lines));
    /* A kernel that cannot ask its routing tables. */
    expect("", false, lines, 2);
}

static void test_listen(void **state)
{
    static const char *const lines[] = {
        "ip daddr 10.8.0.1 " ELSEWHERE "drop",
        "ip saddr 10.8.0.0/24 " ELSEWHERE "drop",
        "ip daddr 192.0.2.1 udp dport 53 notrack accept",
        "ip6 daddr 2001:db8::1 udp dport 443 notrack accept",
        "ip saddr 192.0.2.1 udp sport 53 notrack accept",
        "ip6 saddr 2001:db8::1 udp sport 443 notrack accept",
    };

    (void)state;
    expect("  listen: [\"192.0.2.1:53\", \"[2001:db8::1]:443\"]\n", false, lines,
           ARRAY_SIZE(lines));
}

static void test_masquerade(void **state)
{
    static const char *const lines[] = {
        "ip daddr 10.8.0.1 iifname != \"vpn9\" iifname != \"lo\" drop",
        "ip saddr 10.8.0.0/24 iifname != \"vpn9\" iifname != \"lo\" drop",
        "ip6 daddr fd08::1 iifname != \"vpn9\" iifname != \"lo\" drop",
        "ip6 saddr fd08::/64 iifname != \"vpn9\" iifname != \"lo\" drop",
        "ip daddr 10.8.0.0/25 iifname \"eth0\" drop",
        "ip6 daddr fd08::/64 iifname \"eth1\" drop",
        "ip daddr 192.0.2.1 udp dport 60000 notrack accept",
        "ip saddr 192.0.2.1 udp sport 60000 notrack accept",
        "ip saddr 10.8.0.0/25 oifname \"eth0\" meta l4proto tcp masquerade to :32768-59999",
        "ip saddr 10.8.0.0/25 oifname \"eth0\" meta l4proto udp masquerade to :32768-59999",
        "ip saddr 10.8.0.0/25 oifname \"eth0\" masquerade",
        "meta nfproto ipv6 oifname \"eth1\" meta l4proto tcp masquerade to :32768-59999",
        "meta nfproto ipv6 oifname \"eth1\" meta l4proto udp masquerade to :32768-59999",
        "meta nfproto ipv6 oifname \"eth1\" masquerade",
        "ip saddr 192.168.100.0/24 oifname \"eth0\" meta l4proto tcp masquerade to :32768-59999",
        "ip saddr 192.168.100.0/24 oifname \"eth0\" meta l4proto udp masquerade to :32768-59999",
        "ip saddr 192.168.100.0/24 oifname \"eth0\" masquerade",
    };

    (void)state;
    /* The second must not close eth1 for all of IPv6, nor the third eth0 for the inner network. */
    expect("  listen: [\"192.0.2.1:60000\"]\n"
           "tunnel: {device: vpn9, addresses: [10.8.0.1/24, \"fd08::1/64\"]}\n"
           "masquerade:\n"
           "  - {from: 10.8.0.0/25, device: eth0}\n"
           "  - {from: \"::/0\", device: eth1}\n"
           "  - {from: 192.168.100.0/24, device: eth0}\n",
           false, lines, ARRAY_SIZE(lines));
}

static void test_ports(void **state)
{
    static const struct {
        const char *listen;
        uint16_t first, last;
    } cases[] = {
        {"1194", 32768, 65535},
        {"51820", 32768, 51819},
        {"32768", 32769, 65535},
        {"65535", 32768, 65534},
        {"40000", 40001, 65535},
        {"[\"0.0.0.0:40000\", \"0.0.0.0:50000\", \"0.0.0.0:33000\"]", 50001, 65535},
        {"[\"0.0.0.0:50000\", \"[::]:50000\"]", 32768, 49999},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        char more[128];
        struct config *config;
        uint16_t first = 0, last = 0;

        snprintf(more, sizeof(more), "  listen: %s\n", cases[i].listen);
        config = config_of(more);
        firewall_ports(config, &first, &last);
        assert_int_equal(first, cases[i].first);
        assert_int_equal(last, cases[i].last);
        config_free(config);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_default),
        cmocka_unit_test(test_listen),
        cmocka_unit_test(test_masquerade),
        cmocka_unit_test(test_ports),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

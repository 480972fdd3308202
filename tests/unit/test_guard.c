/* client/firewall: from tunnels to the table of the packet filter. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "client/firewall.h"
#include "common/cleanup.h"
#include "netlink/set.h"
#include "tests/unit/expect.h"

/* Each address by itself, whatever its length, and nothing for a tunnel that has none yet. */
static void test_addresses(void **state)
{
    const struct netstate office = {.device = "tun0",
                                    .addrs = {prefix("10.8.0.10/24"), prefix("fd08::10/64")},
                                    .n_addrs = 2};
    const struct netstate worker = {.device = "tun101",
                                    .addrs = {prefix("10.9.0.5/32")},
                                    .n_addrs = 1};
    const struct netstate waiting = {.device = "tun102"};
    const struct netstate *const tunnels[] = {&office, &waiting, &worker};
    static const char *const lines[] = {
        "ip daddr 10.8.0.10 iifname != \"tun0\" iifname != \"lo\" drop",
        "ip6 daddr fd08::10 iifname != \"tun0\" iifname != \"lo\" drop",
        "ip daddr 10.9.0.5 iifname != \"tun101\" iifname != \"lo\" drop",
    };
    _cleanup_(net_set_freep) struct net_set *set = net_set_new();
    const struct net_firewall *fw;
    char text[NET_FW_FORMAT_SIZE];

    (void)state;
    assert_int_equal(firewall_guard(tunnels, ARRAY_SIZE(tunnels), 0, set), 0);
    assert_int_equal(net_set_count(set), 1);
    assert_int_equal(net_set_at(set, 0)->kind, NET_KIND_FIREWALL);
    fw = net_set_at(set, 0)->firewall;
    assert_string_equal(fw->table, "vpn-client");
    assert_string_equal(fw->owner, "vpn-client");
    assert_int_equal(fw->n, ARRAY_SIZE(lines));
    for (size_t i = 0; i < fw->n; i++)
        assert_string_equal(net_fw_rule_format(&fw->rules[i], text), lines[i]);
}

static void test_nothing(void **state)
{
    const struct netstate waiting = {.device = "tun0"};
    const struct netstate *const tunnels[] = {&waiting};
    _cleanup_(net_set_freep) struct net_set *set = net_set_new();

    (void)state;
    assert_int_equal(firewall_guard(tunnels, 1, 0, set), 0);
    assert_int_equal(net_set_count(set), 0);
}

/* A tunnel that blocks before it has an address needs its neighbours as well. */
static void test_arp(void **state)
{
    _cleanup_(net_set_freep) struct net_set *set = net_set_new();
    char text[NET_FW_FORMAT_SIZE];
    const struct net_firewall *fw;

    (void)state;
    assert_int_equal(firewall_guard(NULL, 0, 0x56504e, set), 0);
    assert_int_equal(net_set_count(set), 1);
    fw = net_set_at(set, 0)->firewall;
    assert_int_equal(fw->n, 1);
    assert_int_equal(fw->rules[0].chain, NET_FW_ARP);
    assert_string_equal(net_fw_rule_format(&fw->rules[0], text), "meta mark set 0x0056504e");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_addresses),
        cmocka_unit_test(test_nothing),
        cmocka_unit_test(test_arp),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

/*
 * client/routing: the full tunnel.  Whatever the main table has, what is not excepted goes through
 * it or nowhere, and the tunnel's own datagrams find out and back.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "client/routing.h"
#include "tests/unit/routing_rig.h"

static const char *const anywhere[] = {"198.51.100.1", "192.0.2.9", "192.168.1.7",
                                       "203.0.113.5",  "8.8.8.8",   "2001:db8:1::9",
                                       "2001:db8:2::", "2600::1",   "fd00::1"};

static void test_full(void **state)
{
    const struct ip_prefix routes[] = {prefix("0.0.0.0/0"), prefix("::/0"), prefix("10.9.0.0/16")};
    struct routing r = routing(routes, 3);
    struct net_set *set = host();

    (void)state;
    /* DHCP option 121, router advertisements, and a local network of public addresses. */
    main_route(set, "0.0.0.0/1", EVIL);
    main_route(set, "128.0.0.0/1", EVIL);
    main_route(set, "10.9.1.0/24", EVIL);
    main_route(set, "8.8.8.0/24", EVIL);
    main_route(set, "203.0.113.5/32", EVIL);
    main_route(set, "2000::/3", EVIL);
    lower(&r, set);
    for (size_t i = 0; i < sizeof(anywhere) / sizeof(anywhere[0]); i++)
        expect(set, plain, anywhere[i], "tun3");
    expect(set, plain, "10.9.1.1", "tun3");
    /* The server's address is no way out, only our sockets are; main decides where they go. */
    expect(set, plain, "203.0.113.5", "tun3");
    expect(set, marked, "203.0.113.5", EVIL);
    net_set_free(set);

    /* Without an address of a family that was asked for, that family leads nowhere. */
    r.ip6 = false;
    set = host();
    lower(&r, set);
    expect(set, plain, "2600::1", UNREACHABLE);
    expect(set, plain, "8.8.8.8", "tun3");
    net_set_free(set);

    /* Down and not asked to block: as if it were not there. */
    r.up = false;
    set = host();
    lower(&r, set);
    expect(set, plain, "8.8.8.8", OUTSIDE);
    assert_int_equal(count(set, NET_KIND_RULE, NET_PROTO_CLIENT), 0);
    net_set_free(set);
}

/* Two halves are as good as a whole. */
static void test_halves(void **state)
{
    const struct ip_prefix routes[] = {prefix("0.0.0.0/1"), prefix("128.0.0.0/1")};
    const struct ip_prefix half[] = {prefix("0.0.0.0/1"), prefix("0.0.0.0/1")};
    struct routing r = routing(routes, 2);
    struct net_set *set = host();

    (void)state;
    assert_true(routing_is_full(&r, 4));
    assert_false(routing_is_full(&r, 6));
    r.allow_lan = true;
    main_route(set, "8.8.8.0/24", EVIL);
    lower(&r, set);
    expect(set, plain, "8.8.8.8", "tun3");
    expect(set, plain, "200.8.8.8", "tun3");
    expect(set, plain, "192.168.1.7", OUTSIDE);
    expect(set, plain, "2600::1", OUTSIDE);
    net_set_free(set);
    r.routes = half;
    assert_false(routing_is_full(&r, 4));
}

static void test_block(void **state)
{
    const struct ip_prefix routes[] = {prefix("0.0.0.0/0"), prefix("::/0")};
    const struct ip_prefix some[] = {prefix("10.0.0.0/8"), prefix("203.0.113.0/24")};
    struct routing r = routing(routes, 2);
    struct net_set *set = host();

    (void)state;
    r.block = true;
    r.up = false;
    r.server = (struct ip_endpoint){0}; /* its name is yet to be looked up */
    lower(&r, set);
    for (size_t i = 0; i < sizeof(anywhere) / sizeof(anywhere[0]); i++)
        expect(set, plain, anywhere[i], UNREACHABLE);
    expect(set, marked, "203.0.113.5", OUTSIDE);
    net_set_free(set);

    /* A tunnel to some networks blocks those, whatever main knows about them. */
    r.routes = some;
    set = host();
    main_route(set, "10.1.0.0/16", EVIL);
    lower(&r, set);
    expect(set, plain, "10.1.2.3", UNREACHABLE);
    expect(set, plain, "203.0.113.5", UNREACHABLE);
    expect(set, marked, "203.0.113.5", OUTSIDE);
    expect(set, plain, "8.8.8.8", OUTSIDE);
    expect(set, plain, "2600::1", OUTSIDE);
    net_set_free(set);
    r.up = true;
    set = host();
    main_route(set, "10.1.0.0/16", EVIL);
    lower(&r, set);
    expect(set, plain, "10.1.2.3", "tun3");
    expect(set, plain, "8.8.8.8", OUTSIDE);
    net_set_free(set);
}

static void test_exceptions(void **state)
{
    const struct ip_prefix routes[] = {prefix("0.0.0.0/0"), prefix("::/0"),
                                       prefix("192.168.100.0/24")};
    const struct ip_prefix exclude[] = {prefix("198.51.100.0/24"), prefix("2001:db8:5::/48")};
    const struct ip_prefix behind[] = {prefix("192.168.50.0/24")};
    struct routing r = routing(routes, 3);
    struct net_set *set = host();

    (void)state;
    r.allow_lan = true;
    r.exclude = exclude;
    r.n_exclude = 2;
    /* An attacker calls his network by public addresses, and by those behind the server. */
    main_route(set, "8.8.8.0/24", EVIL);
    main_route(set, "192.168.100.0/24", EVIL);
    main_route(set, "192.168.100.0/25", EVIL);
    lower(&r, set);
    expect(set, plain, "8.8.8.8", "tun3");
    expect(set, plain, "192.168.100.1", "tun3");
    expect(set, plain, "192.168.1.7", OUTSIDE);
    /* Private, but not here: the tunnel's. */
    expect(set, plain, "192.168.2.7", "tun3");
    expect(set, plain, "10.0.0.1", "tun3");
    expect(set, plain, "198.51.100.1", OUTSIDE);
    expect(set, plain, "2001:db8:5::1", OUTSIDE);
    expect(set, plain, "2001:db8:1::1", "tun3");
    net_set_free(set);

    /* What lies behind this host: the answers that come out of the tunnel are forwarded there. */
    r.networks = behind;
    r.n_networks = 1;
    r.allow_lan = false;
    set = host();
    main_route(set, "192.168.50.0/24", "eth1");
    lower(&r, set);
    expect(set, (struct packet){.ip_proto = UDP}, "192.168.50.7", "eth1");
    net_set_free(set);

    r.allow_lan = true;
    r.up = false;
    r.block = true;
    set = host();
    lower(&r, set);
    expect(set, plain, "192.168.1.7", OUTSIDE);
    expect(set, plain, "198.51.100.1", OUTSIDE);
    expect(set, plain, "192.168.100.1", UNREACHABLE);
    expect(set, plain, "8.8.8.8", UNREACHABLE);
    net_set_free(set);
}

/* Else rules with ports match nothing that arrives, and so no look back either. */
static bool looks_for_ports(const struct net_set *set)
{
    for (size_t i = 0; i < net_set_count(set); i++) {
        const struct net_object *o = net_set_at(set, i);

        if (o->kind == NET_KIND_RULE && o->rule.ip_proto && strcmp(o->rule.iif, "lo") != 0)
            return true;
    }
    return false;
}

/* What rp_filter looks up: from us to whoever sent the packet, as uid 0 and without a mark. */
static void test_way_back(void **state)
{
    const struct ip_prefix routes[] = {prefix("0.0.0.0/0")};
    struct routing r = routing(routes, 1);
    struct packet back = {.ip_proto = UDP, .sport = 40000, .dport = 51820};
    struct net_set *set = host();

    (void)state;
    lower(&r, set);
    assert_true(looks_for_ports(set));
    expect(set, back, "203.0.113.5", OUTSIDE);
    expect(set, back, "203.0.113.6", "tun3");
    back.dport = 443;
    expect(set, back, "203.0.113.5", "tun3");
    back.dport = 51820;
    back.uid = 1000;
    expect(set, back, "203.0.113.5", "tun3");
    back = (struct packet){.ip_proto = UDP, .sport = 20053, .dport = 53};
    expect(set, back, "9.9.9.9", OUTSIDE);
    back.sport = 20054;
    expect(set, back, "9.9.9.9", "tun3");
    back = (struct packet){.ip_proto = UDP, .sport = 68, .dport = 67};
    expect(set, back, "192.0.2.1", OUTSIDE);

    /* Nothing but DHCP for what is forwarded, which is of uid 0 as well. */
    back = (struct packet){.ip_proto = UDP, .sport = 40000, .dport = 51820, .iif = "eth1"};
    expect(set, back, "203.0.113.5", "tun3");
    back = (struct packet){.ip_proto = UDP, .sport = 20053, .dport = 53, .iif = "eth1"};
    expect(set, back, "9.9.9.9", "tun3");

    /* An ARP request has no protocol and no port, and no more has much of what root sends. */
    expect(set, (struct packet){0}, "192.0.2.1", "tun3");
    expect(set, (struct packet){.mark = ROUTING_MARK}, "192.0.2.1", OUTSIDE);
    net_set_free(set);

    /* It follows the server. */
    r.server = endpoint("198.51.100.9", 4000);
    set = host();
    lower(&r, set);
    back = (struct packet){.ip_proto = UDP, .sport = 40000, .dport = 4000};
    expect(set, back, "198.51.100.9", OUTSIDE);
    expect(set, back, "203.0.113.5", "tun3");
    net_set_free(set);
}

/* Whatever an attacker writes into main, and whatever the tunnel's state: nothing gets out. */
static void test_random(void **state)
{
    const struct ip_prefix routes[] = {prefix("0.0.0.0/0"), prefix("::/0"), prefix("10.0.0.0/8"),
                                       prefix("fd00::/8")};

    (void)state;
    srand(5);
    for (unsigned int round = 0; round < 2000; round++) {
        struct routing r = routing(routes, 2 + (size_t)(rand() % 3));
        struct net_set *set = host();

        r.block = true;
        r.up = rand() % 2;
        r.ip4 = rand() % 2;
        r.ip6 = rand() % 2;
        for (unsigned int i = 0; i < 8; i++) {
            char text[64];

            if (rand() % 2)
                snprintf(text, sizeof(text), "%d.%d.%d.0/%d", rand() % 224, rand() % 256,
                         rand() % 256, 1 + rand() % 32);
            else
                snprintf(text, sizeof(text), "%x:%x::/%d", 0x2000 + rand() % 0x1fff,
                         rand() % 0x10000, 1 + rand() % 128);
            main_route(set, text, EVIL);
        }
        lower(&r, set);
        for (unsigned int i = 0; i < 20; i++) {
            static const uint8_t protocols[] = {0, 1, 4, 6, 17, 47, 50, 255};
            struct packet p = {.uid = (uint32_t)rand() % 3 * 1000,
                               .iif = rand() % 2 ? "eth1" : NULL,
                               .ip_proto = protocols[rand() % 8],
                               .sport = (uint16_t)rand(),
                               .dport = (uint16_t)rand(),
                               .to.family = 4};
            const char *got;

            if (rand() % 2)
                p.to.family = 6;
            for (size_t b = 0; b < (p.to.family == 4 ? 4 : 16); b++)
                p.to.bytes[b] = (uint8_t)rand();
            got = fate(set, &p);
            assert_non_null(got);
            assert_string_not_equal(got, EVIL);
            assert_string_not_equal(got, OUTSIDE);
        }
        net_set_free(set);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_full),     cmocka_unit_test(test_halves),
        cmocka_unit_test(test_block),    cmocka_unit_test(test_exceptions),
        cmocka_unit_test(test_way_back), cmocka_unit_test(test_random),
    };

    return cmocka_run_group_tests_name("routing full", tests, NULL, NULL);
}

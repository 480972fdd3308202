/* client/trust: what a server pushes takes nothing from the tunnels that the file describes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "client/trust.h"
#include "common/cleanup.h"
#include "tests/unit/expect.h"

/* What a server pushes takes nothing from a tunnel that the file gives everything. */
static void test_trust(void **state)
{
    struct ip_prefix all[] = {prefix("0.0.0.0/0")};
    struct ip_prefix some[] = {prefix("10.0.0.0/8")};
    struct profile_tunnel tunnels[] = {
        {.own_network = true},
        {.routes = some, .n_routes = 1},
        {.has_uids = true, .own_network = true},
        {.table = 7, .own_network = true},
    };
    const struct profile profile = {.tunnels = tunnels, .n_tunnels = 4};
    const struct ip_prefix ours = prefix("192.168.100.0/24"), ours6 = prefix("fd08::/64"),
                           theirs = prefix("8.8.8.0/24"), half = prefix("128.0.0.0/1"),
                           quarter = prefix("64.0.0.0/2"), theirs6 = prefix("2600::/16"),
                           wide = prefix("10.0.0.0/7");

    (void)state;
    /* The only one that the servers could give everything. */
    assert_int_equal(trust_of(&profile, 0), TRUST_ALL);
    assert_true(trust_takes(TRUST_ALL, &all[0]));
    /* Two of them. */
    tunnels[1].own_network = true;
    tunnels[1].n_routes = 0;
    assert_int_equal(trust_of(&profile, 0), TRUST_NO_DEFAULT);
    assert_int_equal(trust_of(&profile, 1), TRUST_NO_DEFAULT);
    assert_false(trust_takes(TRUST_NO_DEFAULT, &all[0]) || trust_takes(TRUST_NO_DEFAULT, &half));
    assert_true(trust_takes(TRUST_NO_DEFAULT, &theirs));
    /* The file gives another everything, by a whole or by halves. */
    for (unsigned int i = 0; i < 2; i++) {
        struct ip_prefix halves[] = {prefix("0.0.0.0/1"), prefix("128.0.0.0/1")};

        tunnels[1].own_network = false;
        tunnels[1].routes = i ? halves : all;
        tunnels[1].n_routes = 1 + i;
        assert_int_equal(trust_of(&profile, 0), TRUST_PRIVATE);
        assert_int_equal(trust_of(&profile, 1), TRUST_NO_DEFAULT);
    }
    assert_true(trust_takes(TRUST_PRIVATE, &ours) && trust_takes(TRUST_PRIVATE, &ours6));
    assert_false(trust_takes(TRUST_PRIVATE, &all[0]) || trust_takes(TRUST_PRIVATE, &half) ||
                 trust_takes(TRUST_PRIVATE, &quarter) || trust_takes(TRUST_PRIVATE, &theirs) ||
                 trust_takes(TRUST_PRIVATE, &theirs6) || trust_takes(TRUST_PRIVATE, &wide));
    /* They take nothing from others, and nobody takes anything from them. */
    assert_int_equal(trust_of(&profile, 2), TRUST_ALL);
    assert_int_equal(trust_of(&profile, 3), TRUST_ALL);
    tunnels[1].has_uids = true;
    assert_int_equal(trust_of(&profile, 0), TRUST_ALL);
}

/* A full tunnel keeps its own networks, its gateway, its name servers, and those that the file
 * names for it. */
static void test_kept(void **state)
{
    struct ip_prefix routes[] = {prefix("0.0.0.0/0"), prefix("::/1"), prefix("8000::/1"),
                                 prefix("172.20.0.0/16")};
    struct profile_tunnel full = {.routes = routes, .n_routes = 4};
    static const char *const taken[] = {"10.8.0.0/24",   "10.8.0.1/32",  "10.0.0.0/8",
                                        "10.8.0.128/25", "10.9.0.1/32",  "10.9.0.0/16",
                                        "10.10.0.53/32", "10.10.0.0/24", "fd08::/64",
                                        "fd00::/8",      "fd09::53/128"},
                             *const written[] = {"172.20.0.0/16", "172.16.0.0/12", "172.20.1.0/24"},
                             *const others[] = {"10.8.1.0/24", "10.10.0.54/32", "192.168.0.0/16",
                                                "fd08:0:0:1::/64", "172.21.0.0/16"};
    const struct ipc_lease lease = {
        .ip4 = {10, 8, 0, 7},
        .prefix4 = 24,
        .gateway4 = {10, 9, 0, 1},
        .dns4 = {10, 10, 0, 53},
        .ip6 = {0xfd, 8, [15] = 7},
        .prefix6 = 64,
        .dns6 = {0xfd, 9, [15] = 0x53},
    };
    struct trust_kept kept = {0};

    (void)state;
    assert_true(trust_is_full(&full));
    full.has_uids = true;
    assert_false(trust_is_full(&full));
    /* Before the first lease, what the file names. */
    assert_true(trust_keep(&full, NULL, &kept));
    for (size_t i = 0; i < ARRAY_SIZE(written); i++) {
        const struct ip_prefix p = prefix(written[i]);

        assert_true(trust_is_kept(&kept, &p));
    }
    for (unsigned int known = 0; known < 2; known++) {
        for (size_t i = 0; i < ARRAY_SIZE(taken); i++) {
            const struct ip_prefix p = prefix(taken[i]);

            assert_int_equal(trust_is_kept(&kept, &p), known);
        }
        for (size_t i = 0; i < ARRAY_SIZE(others); i++) {
            const struct ip_prefix p = prefix(others[i]);

            assert_false(trust_is_kept(&kept, &p));
        }
        /* A change is one once. */
        assert_int_equal(trust_keep(&full, &lease, &kept), known == 0);
    }
    /* A lease whose prefixes are no lengths keeps nothing of them. */
    assert_true(trust_keep(&full, &(struct ipc_lease){.ip4 = {10, 8, 0, 7}, .prefix4 = 33}, &kept));
    assert_int_equal(kept.n_lease, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_trust),
        cmocka_unit_test(test_kept),
    };

    return cmocka_run_group_tests_name("trust", tests, NULL, NULL);
}

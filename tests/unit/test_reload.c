/* A reload's pure half: what a running server keeps, and leases under another configuration. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/config_keep.h"
#include "daemon/lease.h"

#define KEY_A "hSDwCYkwp1R0i33ctD73Wg2/Og0mOBr066SpjqqbTmo="
#define KEY_B "3p7bfXt9wbTTW2HC7OQ1Nz+DQ8hbeGdNrfx+FG+IK08="

static struct config *config_of(const char *server, const char *tunnel, const char *ann,
                                const char *bob)
{
    struct problems problems = {0};
    struct config *config = NULL;
    char text[1024];

    snprintf(text, sizeof(text),
             "server: {realm: home-3f9c81d2a47be650%s}\ntunnel: {%s}\nusers:\n"
             "  ann: {key: \"" KEY_A "\"%s}\n  bob: {key: \"" KEY_B "\"%s}\n",
             server, tunnel, ann, bob);
    if (config_parse("vpn.yaml", text, strlen(text), &config, &problems) != 0)
        fail_msg("%s: %s", text, problems.n ? problems.items[0].text : "refused");
    problems_clear(&problems);
    return config;
}

/* What is kept of @now against @then. */
static void assert_kept(const char *server_then, const char *server, const char *tunnel,
                        const char *want)
{
    struct config *then = config_of(server_then, "", "", "");
    struct config *now = config_of(server, tunnel, "", "");
    char kept[CONFIG_KEEP_SIZE];

    assert_int_equal(config_keep(now, then, kept), 0);
    assert_string_equal(kept, want);
    assert_int_equal(now->max_clients, then->max_clients);
    assert_int_equal(now->workers, then->workers);
    config_free(then);
    /* Copies: nothing points into what was freed. */
    assert_string_equal(now->identity, "/etc/vpn/identity.key");
    assert_true(now->n_listen > 0 && now->listen[0].port > 0);
    config_free(now);
}

static void kept(void **state)
{
    (void)state;
    assert_kept("", "", "", "");
    assert_kept("", ", session-timeout: 5m", "client-to-client: true, dns: [10.8.0.1]", "");
    /* All that can be exchanged live. */
    assert_kept("", ", listen: 4000", "mtu: 1300, device: tun9, addresses: [10.8.1.1/24]", "");
    assert_kept("", ", workers: 3, max-clients: 7, identity: /tmp/k", "",
                "server.max-clients, server.workers, server.identity");
    /* The right to them is given away at start, unless it was needed. */
    assert_kept("", ", listen: 443", "", "server.listen (ports below 1024)");
    assert_kept(", listen: 53", ", listen: 443", "", "");
}

static const uint8_t device[WIRE_DEVICE_ID_LEN] = {9};
static const struct clock then = {.mono_ms = 2000, .real_us = 1800000000000000};

static struct lease *reserve(struct leases *l, const struct config *c, uint32_t user)
{
    struct ip_addr none = {0};
    struct lease *lease = NULL;

    assert_int_equal(leases_reserve(l, user, &c->users[user], device, &none, 1000, &lease),
                     WIRE_STATUS_OK);
    return lease;
}

static void assert_ip4(const struct lease *lease, uint8_t last)
{
    const uint8_t want[4] = {10, 8, 0, last};

    assert_memory_equal(lease->ip4.bytes, want, 4);
}

static void bind_release(struct leases *l, struct lease *lease)
{
    leases_bind(l, lease, &then);
    leases_release(l, lease, &then);
}

/* ann, from the pool, gets a fixed address; bob, from the pool, loses his to her. */
static void fixed_addresses_move(void **state)
{
    struct config *one = config_of("", "", "", "");
    struct config *two = config_of("", "", ", address: [10.8.0.11]", "");
    struct leases *l = leases_new(one, 2);
    struct lease *ann = reserve(l, one, 0), *bob = reserve(l, one, 1);

    (void)state;
    assert_ip4(ann, 10);
    assert_ip4(bob, 11);
    leases_bind(l, ann, &then);
    leases_bind(l, bob, &then);
    assert_int_equal(leases_reload(l, two), 0);
    assert_false(leases_fit(l, ann, &two->users[0], true));
    assert_true(leases_fit(l, ann, &two->users[0], false));
    assert_false(leases_fit(l, bob, &two->users[1], false));
    /* A rekey of a session that still runs keeps its address. */
    assert_ptr_equal(reserve(l, two, 0), ann);
    assert_ip4(ann, 10);
    leases_unclaim(ann);
    leases_release(l, ann, &then);
    leases_release(l, bob, &then);
    assert_ptr_equal(reserve(l, two, 0), ann);
    assert_ip4(ann, 11);
    bob = reserve(l, two, 1);
    assert_ip4(bob, 12);
    assert_int_equal(leases_active(l), 2);
    leases_free(l);
    config_free(one);
    config_free(two);
}

/* The pool moves away: who is there stays, who comes again gets another one. */
static void pool_moves(void **state)
{
    struct config *one = config_of("", "", "", "");
    struct config *two = config_of("", "pool: [10.8.0.100-10.8.0.101]", "", "");
    struct leases *l = leases_new(one, 2);
    struct lease *ann = reserve(l, one, 0);

    (void)state;
    leases_bind(l, ann, &then);
    assert_int_equal(leases_reload(l, two), 0);
    assert_true(leases_fit(l, ann, &two->users[0], false));
    assert_false(leases_fit(l, ann, &two->users[0], true));
    leases_release(l, ann, &then);
    ann = reserve(l, two, 0);
    assert_ip4(ann, 100);
    bind_release(l, ann);
    assert_ip4(reserve(l, two, 0), 100);
    assert_ip4(reserve(l, two, 1), 101);
    leases_free(l);
    config_free(one);
    config_free(two);
}

/* With one address, one idle lease and a newcomer: the idle one goes, not the one that is refitted.
 */
static void last_address(void **state)
{
    struct config *one = config_of("", "pool: [10.8.0.50-10.8.0.51]", "", "");
    struct config *two = config_of("", "pool: [10.8.0.51-10.8.0.51]", "", "");
    struct leases *l = leases_new(one, 2);
    struct lease *ann = reserve(l, one, 0), *bob = reserve(l, one, 1);

    (void)state;
    assert_ip4(ann, 50);
    assert_ip4(bob, 51);
    bind_release(l, ann);
    bind_release(l, bob);
    assert_int_equal(leases_reload(l, two), 0);
    ann = reserve(l, two, 0);
    assert_ip4(ann, 51);
    assert_int_equal(leases_active(l), 1);
    leases_free(l);
    config_free(one);
    config_free(two);
}

/* A number that is somebody else's later brings no address along. */
static void forgotten(void **state)
{
    struct config *one = config_of("", "", "", "");
    struct leases *l = leases_new(one, 2);
    struct lease *ann = reserve(l, one, 0);

    (void)state;
    bind_release(l, ann);
    reserve(l, one, 1);
    leases_forget_user(l, 0);
    assert_int_equal(ann->state, LEASE_FREE);
    assert_int_equal(leases_active(l), 1);
    leases_free(l);
    config_free(one);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(kept),       cmocka_unit_test(fixed_addresses_move),
        cmocka_unit_test(pool_moves), cmocka_unit_test(last_address),
        cmocka_unit_test(forgotten),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

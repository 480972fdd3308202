/*
 * What leases promise, one promise at a time: what passes, what is given out again and to whom,
 * what a restart brings back; and that a login costs the same beside ten thousand others.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>
#include <time.h>

#include "daemon/lease.h"
#include "tests/unit/lease_rig.h"

static struct lease *reserve(unsigned int u, uint64_t device, enum wire_status want)
{
    uint8_t id[WIRE_DEVICE_ID_LEN] = {0};
    struct ip_addr none = {0};
    struct lease *lease = NULL;

    memcpy(id, &device, sizeof(device));
    assert_int_equal(leases_reserve(leases, u, &conf->users[u], id, &none, now.mono_ms, &lease),
                     want);
    return lease;
}

static void begin_pool(const char *pool, uint32_t max_clients, const char *more)
{
    const char *const all[USERS] = {more, more, more, more, more, more};

    begin(config_of(pool, max_clients, all));
}

static void end(void)
{
    leases_free(leases);
    config_free(conf);
}

/* Logins that are never confirmed, as many as one likes: ten seconds later nothing is left. */
static void reservations_pass(void **state)
{
    (void)state;
    begin_pool("10.8.0.10-10.8.0.14", 100, "");
    for (uint64_t round = 0; round < 100; round++) {
        reserve(0, 1000 + 2 * round, WIRE_STATUS_OK);
        reserve(0, 1001 + 2 * round, WIRE_STATUS_OK);
        reserve(0, 5000 + round, WIRE_STATUS_DEVICE_LIMIT);
        now.mono_ms += LEASE_RESERVED_MS - 1;
        leases_expire(leases, &now);
        assert_int_equal(leases_active(leases), 2);
        now.mono_ms += 1;
        leases_expire(leases, &now);
        assert_int_equal(leases_active(leases), 0);
        assert_null(leases_of_user(leases, 0, NULL));
    }
    assert_null(leases_unsaved(leases));
    end();
}

/* A user with ever new devices forgets his own old ones and nobody else's. */
static void own_devices_only(void **state)
{
    struct lease *ann;

    (void)state;
    begin_pool("10.8.0.10-10.8.0.40", 200, "");
    ann = reserve(0, 1, WIRE_STATUS_OK);
    leases_bind(leases, ann, &now);
    leases_release(leases, ann, &now);
    for (uint64_t d = 0; d < 5000; d++) {
        struct lease *lease = reserve(1, d, WIRE_STATUS_OK);

        leases_bind(leases, lease, &now);
        leases_release(leases, lease, &now);
    }
    assert_int_equal(ann->state, LEASE_IDLE);
    assert_ptr_equal(reserve(0, 1, WIRE_STATUS_OK), ann);
    assert_int_equal(ann->ip4.bytes[3], 10);
    end();
}

/* Every address of a pool that ran dry is given out again, the one that rested longest first. */
static void recycled(void **state)
{
    (void)state;
    begin_pool("10.8.0.10-10.8.0.14", 5, ", max-devices: 5");
    for (unsigned int round = 0; round < 50; round++) {
        struct lease *lease[5];

        for (unsigned int i = 0; i < 5; i++) {
            lease[i] = reserve(i, 100 * round + i, WIRE_STATUS_OK);
            assert_int_equal(lease[i]->ip4.bytes[3], 10 + i);
            leases_bind(leases, lease[i], &now);
        }
        reserve(5, 7, WIRE_STATUS_POOL_FULL);
        for (unsigned int i = 0; i < 5; i++)
            leases_release(leases, lease[i], &now);
    }
    end();
}

/* A session ends while its device is logging in again: nobody else gets what it was promised. */
static void claimed(void **state)
{
    struct lease *ann, *bob;

    (void)state;
    begin_pool("10.8.0.10-10.8.0.10", 5, "");
    ann = reserve(0, 1, WIRE_STATUS_OK);
    leases_bind(leases, ann, &now);
    assert_ptr_equal(reserve(0, 1, WIRE_STATUS_OK), ann);
    leases_release(leases, ann, &now);
    assert_int_equal(ann->state, LEASE_RESERVED);
    reserve(1, 2, WIRE_STATUS_POOL_FULL);
    leases_bind(leases, ann, &now);
    leases_release(leases, ann, &now);
    assert_int_equal(ann->state, LEASE_IDLE);
    bob = reserve(1, 2, WIRE_STATUS_OK);
    assert_int_equal(bob->ip4.bytes[3], 10);
    assert_null(leases_of_user(leases, 0, NULL));
    end();
}

/* What was one user's is another number's; nothing is lost or left behind. */
static void moved(void **state)
{
    struct lease *lease;

    (void)state;
    begin_pool("10.8.0.10-10.8.0.20", 5, "");
    lease = reserve(0, 1, WIRE_STATUS_OK);
    leases_bind(leases, lease, &now);
    reserve(0, 2, WIRE_STATUS_OK);
    leases_move_user(leases, 0, 3);
    assert_null(leases_of_user(leases, 0, NULL));
    assert_int_equal(leases_active(leases), 2);
    reserve(0, 1, WIRE_STATUS_OK);
    reserve(0, 2, WIRE_STATUS_OK);
    assert_ptr_equal(reserve(3, 1, WIRE_STATUS_OK), lease);
    reserve(3, 5, WIRE_STATUS_DEVICE_LIMIT);
    leases_forget_user(leases, 3);
    assert_null(leases_of_user(leases, 3, NULL));
    assert_int_equal(leases_active(leases), 2);
    end();
}

/* Addresses that a restart finds taken, foreign or outside of the pool are left out. */
static void restored(void **state)
{
    struct lease was = {.user = 0, .last_seen_s = 77}, *lease;

    (void)state;
    begin_pool("10.8.0.10-10.8.0.20, \"fd08::10-fd08::20\"", 5, "");
    ip_addr_parse("10.8.0.15", &was.ip4);
    ip_addr_parse("fd08::15", &was.ip6);
    assert_true(leases_restore(leases, &conf->users[0], &was));
    assert_false(leases_restore(leases, &conf->users[0], &was));
    was.user = 1;
    assert_false(leases_restore(leases, &conf->users[1], &was));
    ip_addr_parse("fd08::16", &was.ip6);
    assert_true(leases_restore(leases, &conf->users[1], &was));
    lease = leases_of_user(leases, 1, NULL);
    assert_int_equal(lease->ip4.family, 0);
    assert_int_equal(lease->ip6.bytes[15], 0x16);
    assert_int_equal(lease->last_seen_s, 77);
    was.user = 2;
    ip_addr_parse("10.8.0.21", &was.ip4);
    ip_addr_parse("10.8.0.18", &was.ip6); /* of the wrong family */
    assert_false(leases_restore(leases, &conf->users[2], &was));
    /* It logs in and gets what is missing. */
    assert_ptr_equal(reserve(1, 0, WIRE_STATUS_OK), lease);
    assert_int_equal(lease->ip4.family, 4);
    assert_int_equal(lease->ip6.bytes[15], 0x16);
    end();
}

/* ---- cost -------------------------------------------------------------------------------------
 */

static double us_now(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (double)ts.tv_sec * 1e6 + (double)ts.tv_nsec / 1e3;
}

/* A device after another comes and goes, on a pool that is used up by idle leases: us for each. */
static double cost_of_login(uint32_t clients, const char *pool, uint64_t idle)
{
    double best = 1e9;

    begin_pool(pool, clients, ", max-devices: 1000");
    for (uint64_t d = 0; d < idle; d++) {
        struct lease *lease = reserve((unsigned int)(d % USERS), d, WIRE_STATUS_OK);

        leases_bind(leases, lease, &now);
        leases_release(leases, lease, &now);
    }
    for (unsigned int round = 0; round < 20; round++) {
        double began = us_now(), took;

        for (uint64_t d = 0; d < 100; d++) {
            struct lease *lease =
                reserve((unsigned int)(d % USERS), 100000 + 100 * round + d, WIRE_STATUS_OK);

            leases_bind(leases, lease, &now);
            leases_release(leases, lease, &now);
        }
        took = (us_now() - began) / 100;
        best = took < best ? took : best;
    }
    end();
    return best;
}

/*
 * With ten thousand clients a login costs about what it costs with ten; one walk over all records
 * would cost twenty times as much.  Compared, not measured: some builds are slow.
 */
static void cost_does_not_grow(void **state)
{
    double few = cost_of_login(10, "10.8.0.10-10.8.0.19", 30);
    double many = cost_of_login(10000, "10.8.0.10-10.8.39.40", 30000);

    (void)state;
    print_message("a login on an exhausted pool: %.2f us with 10 addresses, %.2f us with 10,000\n",
                  few, many);
    assert_true(many < 8 * few);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reservations_pass),
        cmocka_unit_test(own_devices_only),
        cmocka_unit_test(recycled),
        cmocka_unit_test(claimed),
        cmocka_unit_test(moved),
        cmocka_unit_test(restored),
        cmocka_unit_test(cost_does_not_grow),
    };

    return cmocka_run_group_tests_name("lease", tests, NULL, NULL);
}

/*
 * Leases against what they promise, over many thousand random steps: no address twice, none lost,
 * limits kept, nobody refused without need, devices back at their addresses, also after a restart.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "daemon/lease.h"
#include "tests/unit/lease_rig.h"

#define DEVICES     5
#define MAX_CLIENTS 9
#define STEPS       100000

/* ---- the world around the leases --------------------------------------------------------------
 */

static struct config *configs[3];

/* What of a device the test itself knows; sessions and logins under way point to leases. */
static struct device {
    struct lease *lease; /* while reserved or bound */
    uint64_t until_ms;   /* reserved until; 0: no login under way */
    bool bound;
} devices[USERS][DEVICES];

/* What has reached the disk, with the rule that an address is the last writer's. */
static struct row {
    bool there;
    struct ip_addr ip4, ip6;
} disk[USERS][DEVICES];

static const uint8_t *device_id(unsigned int d)
{
    static uint8_t id[WIRE_DEVICE_ID_LEN];

    memset(id, 0, sizeof(id));
    id[3] = (uint8_t)(d + 1);
    return id;
}

static unsigned int device_of(const struct lease *lease)
{
    return lease->device[3] - 1U;
}

static struct lease *known(unsigned int u, unsigned int d)
{
    struct lease *lease = NULL;

    while ((lease = leases_of_user(leases, u, lease)) != NULL)
        if (device_of(lease) == d)
            return lease;
    return NULL;
}

static bool is_fixed_of(unsigned int u, const struct ip_addr *addr)
{
    for (size_t i = 0; i < conf->users[u].n_fixed; i++)
        if (ip_addr_equal(&conf->users[u].fixed[i], addr))
            return true;
    return false;
}

static bool is_fixed(const struct ip_addr *addr)
{
    for (unsigned int u = 0; u < USERS; u++)
        if (is_fixed_of(u, addr))
            return true;
    return false;
}

static bool shares(const struct lease *a, const struct lease *b)
{
    return (a->ip4.family && ip_addr_equal(&a->ip4, &b->ip4)) ||
           (a->ip6.family && ip_addr_equal(&a->ip6, &b->ip6));
}

/* How many addresses of the pool nobody uses at this moment and nobody has fixed. */
static unsigned int left(uint8_t family)
{
    unsigned int n = 0;

    for (size_t r = 0; r < conf->n_pool; r++) {
        struct ip_addr at = conf->pool[r].first;

        for (; at.family == family; at = ip_addr_add(at, 1)) {
            bool used = is_fixed(&at);

            for (unsigned int i = 0; i < USERS * DEVICES; i++) {
                const struct lease *lease = devices[i / DEVICES][i % DEVICES].lease;

                used |=
                    lease && (ip_addr_equal(&lease->ip4, &at) || ip_addr_equal(&lease->ip6, &at));
            }
            n += !used;
            if (ip_addr_equal(&at, &conf->pool[r].last))
                break;
        }
    }
    return n;
}

static void check_pair(unsigned int i, unsigned int j)
{
    const struct device *a = &devices[i / DEVICES][i % DEVICES];
    const struct device *b = &devices[j / DEVICES][j % DEVICES];

    if (!a->lease || !b->lease || !shares(a->lease, b->lease))
        return;
    /* Only while a sister device is about to take over, and only what is the user's own. */
    assert_int_equal(i / DEVICES, j / DEVICES);
    assert_false(a->bound && b->bound);
}

static void check(void)
{
    uint32_t active = 0;

    for (unsigned int u = 0; u < USERS; u++) {
        uint32_t mine = 0;

        for (unsigned int d = 0; d < DEVICES; d++) {
            const struct device *dev = &devices[u][d];

            if (!dev->lease)
                continue;
            mine++;
            assert_ptr_equal(dev->lease, known(u, d));
            assert_int_equal(dev->lease->state, dev->bound ? LEASE_BOUND : LEASE_RESERVED);
            assert_true(dev->lease->ip4.family == 4 || dev->lease->ip6.family == 6);
            if (dev->bound) {
                assert_true(!dev->lease->ip4.family ||
                            leases_holds(leases, dev->lease, &dev->lease->ip4));
                assert_true(!dev->lease->ip6.family ||
                            leases_holds(leases, dev->lease, &dev->lease->ip6));
            }
        }
        active += mine;
    }
    assert_int_equal(leases_active(leases), active);
    assert_true(active <= MAX_CLIENTS);
    for (unsigned int i = 0; i < USERS * DEVICES; i++)
        for (unsigned int j = i + 1; j < USERS * DEVICES; j++)
            check_pair(i, j);
}

/* ---- steps ------------------------------------------------------------------------------------
 */

static unsigned int counts[8]; /* that each kind of answer was seen */

static void drop(struct device *dev)
{
    leases_release(leases, dev->lease, &now);
    dev->bound = false;
    if (now.mono_ms >= dev->until_ms) {
        dev->lease = NULL;
        dev->until_ms = 0;
    }
}

static unsigned int active_of(unsigned int u)
{
    unsigned int n = 0;

    for (unsigned int d = 0; d < DEVICES; d++)
        n += devices[u][d].lease != NULL;
    return n;
}

static void refused(enum wire_status status, unsigned int u, unsigned int n, unsigned int active)
{
    const struct config_user *user = &conf->users[u];
    bool fixed4 = false, fixed6 = false;

    for (size_t i = 0; i < user->n_fixed; i++) {
        fixed4 |= user->fixed[i].family == 4;
        fixed6 |= user->fixed[i].family == 6;
    }
    if (status == WIRE_STATUS_DEVICE_LIMIT) {
        assert_true(n >= user->max_devices);
        counts[0]++;
        return;
    }
    assert_int_equal(status, WIRE_STATUS_POOL_FULL);
    counts[1]++;
    if (active < MAX_CLIENTS) {
        assert_true((!fixed4 && left(4) == 0) || (!fixed6 && left(6) == 0));
        counts[2]++;
    }
}

static void step_reserve(unsigned int u, unsigned int d)
{
    struct device *dev = &devices[u][d];
    struct lease *lease = NULL, *before = known(u, d), copy = {0};
    struct ip_addr want = {0};
    unsigned int n = active_of(u), active = leases_active(leases);
    enum wire_status status;
    bool fits = before && leases_fit(leases, before, &conf->users[u], true);

    if (before)
        copy = *before;
    if (rand() % 3 == 0)
        ip_addr_parse("10.8.0.13", &want);
    status = leases_reserve(leases, u, &conf->users[u], device_id(d), &want, now.mono_ms, &lease);
    if (status != WIRE_STATUS_OK) {
        assert_null(dev->lease); /* one that is there already is never refused */
        refused(status, u, n, active);
        return;
    }
    assert_true(dev->lease || n <= conf->users[u].max_devices);
    assert_true(!dev->lease || dev->lease == lease);
    if (fits || dev->lease) {
        assert_true(ip_addr_equal(&copy.ip4, &lease->ip4));
        assert_true(ip_addr_equal(&copy.ip6, &lease->ip6));
        counts[3]++;
    }
    if (!dev->lease) {
        assert_true(leases_fit(leases, lease, &conf->users[u], true));
        assert_true(config_pool_holds(conf, &lease->ip4)
                        ? !is_fixed(&lease->ip4) || is_fixed_of(u, &lease->ip4)
                        : is_fixed_of(u, &lease->ip4));
    }
    dev->lease = lease;
    dev->until_ms = now.mono_ms + LEASE_RESERVED_MS;
}

/* As session.c does: who had an address of it is replaced. */
static void step_bind(unsigned int u, unsigned int d)
{
    struct device *dev = &devices[u][d];

    if (!dev->lease || !dev->until_ms)
        return;
    if (!leases_fit(leases, dev->lease, &conf->users[u], false)) {
        drop(dev);
        return;
    }
    for (unsigned int i = 0; i < USERS * DEVICES; i++) {
        struct device *other = &devices[i / DEVICES][i % DEVICES];

        if (other != dev && other->bound && shares(other->lease, dev->lease)) {
            assert_int_equal(i / DEVICES, u);
            drop(other);
            counts[4]++;
        }
    }
    leases_bind(leases, dev->lease, &now);
    dev->bound = true;
    dev->until_ms = 0;
}

static void step_time(void)
{
    now.mono_ms += (unsigned int)rand() % 4000;
    now.real_us += 1000000;
    leases_expire(leases, &now);
    for (unsigned int i = 0; i < USERS * DEVICES; i++) {
        struct device *dev = &devices[i / DEVICES][i % DEVICES];

        if (dev->until_ms && now.mono_ms >= dev->until_ms) {
            dev->until_ms = 0;
            if (!dev->bound)
                dev->lease = NULL;
        }
    }
}

/* As reload.c does: whose addresses do not fit any more is told to come again. */
static void step_reload(void)
{
    conf = configs[rand() % 3];
    assert_int_equal(leases_reload(leases, conf), 0);
    for (unsigned int i = 0; i < USERS * DEVICES; i++) {
        struct device *dev = &devices[i / DEVICES][i % DEVICES];

        if (!dev->lease || leases_fit(leases, dev->lease, &conf->users[i / DEVICES], true))
            continue;
        leases_unclaim(dev->lease);
        dev->until_ms = 0;
        drop(dev);
    }
    counts[5]++;
}

static void strip(const struct ip_addr *addr)
{
    for (unsigned int i = 0; addr->family && i < USERS * DEVICES; i++) {
        struct row *row = &disk[i / DEVICES][i % DEVICES];

        if (ip_addr_equal(&row->ip4, addr))
            row->ip4 = (struct ip_addr){0};
        if (ip_addr_equal(&row->ip6, addr))
            row->ip6 = (struct ip_addr){0};
    }
}

static void step_save(void)
{
    struct lease *lease;

    while ((lease = leases_unsaved(leases)) != NULL) {
        struct row row = {.there = true};

        if (leases_holds(leases, lease, &lease->ip4))
            row.ip4 = lease->ip4;
        if (leases_holds(leases, lease, &lease->ip6))
            row.ip6 = lease->ip6;
        leases_take_unsaved(leases, lease);
        /* It failed, and everything is to be written when it works again. */
        if (rand() % 8 == 0) {
            leases_save_all(leases);
            return;
        }
        strip(&row.ip4);
        strip(&row.ip6);
        disk[lease->user][device_of(lease)] = row;
    }
}

/* The daemon dies and comes again: what was bound and written is where it was. */
static void step_restart(void)
{
    struct ip_addr was4[USERS][DEVICES] = {0};

    for (unsigned int i = 0; i < USERS * DEVICES; i++) {
        const struct device *dev = &devices[i / DEVICES][i % DEVICES];

        if (dev->bound && !dev->lease->unsaved)
            was4[i / DEVICES][i % DEVICES] = dev->lease->ip4;
    }
    memset(devices, 0, sizeof(devices));
    leases_free(leases);
    leases = leases_new(conf, USERS);
    for (unsigned int i = 0; i < USERS * DEVICES; i++) {
        unsigned int u = i / DEVICES, d = i % DEVICES;
        struct lease was = {.user = u, .ip4 = disk[u][d].ip4, .ip6 = disk[u][d].ip6};
        const struct lease *lease;

        memcpy(was.device, device_id(d), sizeof(was.device));
        if (disk[u][d].there)
            (void)leases_restore(leases, &conf->users[u], &was);
        assert_false(leases_restore(leases, &conf->users[u], &was) && known(u, d)->unsaved);
        lease = known(u, d);
        if (was4[u][d].family && (config_pool_holds(conf, &was4[u][d]) || conf->users[u].n_fixed)) {
            assert_non_null(lease);
            assert_true(ip_addr_equal(&lease->ip4, &was4[u][d]));
            counts[6]++;
        }
    }
    assert_null(leases_unsaved(leases));
    assert_int_equal(leases_active(leases), 0);
}

static void world_begin(void)
{
    static const char *const one[USERS] = {
        ", address: [10.8.0.5]", ", max-devices: 3, address: [10.8.0.6, 10.8.0.12]",
        ", max-devices: 4",      ", max-devices: 1",
        ", max-devices: 5",      ", max-devices: 2"};
    static const char *const two[USERS] = {", address: [10.8.0.11, \"fd08::12\"]",
                                           NULL,
                                           ", max-devices: 4, address: [10.8.0.14]",
                                           ", max-devices: 1",
                                           ", max-devices: 5",
                                           NULL};

    configs[0] = config_of("10.8.0.10-10.8.0.16, \"fd08::10-fd08::17\"", MAX_CLIENTS, one);
    configs[1] = config_of("10.8.0.10-10.8.0.12, 10.8.0.13-10.8.0.17, \"fd08::10-fd08::1f\"",
                           MAX_CLIENTS, two);
    configs[2] = config_of("10.8.0.12-10.8.0.20, \"fd08::10-fd08::13\"", MAX_CLIENTS, one);
    begin(configs[0]);
    memset(devices, 0, sizeof(devices));
    memset(disk, 0, sizeof(disk));
    memset(counts, 0, sizeof(counts));
}

static void random_walk(void **state)
{
    (void)state;
    for (unsigned int seed = 1; seed <= 4; seed++) {
        world_begin();
        srand(seed);
        for (unsigned int i = 0; i < STEPS / 4; i++) {
            unsigned int u = (unsigned int)rand() % USERS, d = (unsigned int)rand() % DEVICES;
            int what = rand() % 1000;

            if (what < 400)
                step_reserve(u, d);
            else if (what < 650)
                step_bind(u, d);
            else if (what < 800 && devices[u][d].bound)
                drop(&devices[u][d]);
            else if (what < 940)
                step_time();
            else if (what < 990)
                step_save();
            else if (what < 995)
                step_reload();
            else
                step_restart();
            check();
        }
        /* The walk went where it should. */
        for (unsigned int i = 0; i < 7; i++)
            assert_true(counts[i] > 5);
        leases_free(leases);
        for (unsigned int i = 0; i < 3; i++)
            config_free(configs[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_walk),
    };

    return cmocka_run_group_tests_name("lease random", tests, NULL, NULL);
}

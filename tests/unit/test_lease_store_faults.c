/*
 * Leases on a disk that fails: killed, cut off from power, refused at every single write.  What was
 * acknowledged is there, and no address twice.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "daemon/lease.h"
#include "daemon/lease_store.h"
#include "tests/unit/lease_store_rig.h"
#include "tests/unit/sqlite_shim.h"

#define USERS   4
#define DEVICES 4
#define FLUSHES 10

/* ---- a server's life, flush by flush ----------------------------------------------------------
 */

struct table {
    struct lease_row rows[USERS * DEVICES];
    size_t n;
};

static struct config *config;
static struct leases *leases;
static struct clock now;
static struct lease *active[USERS][DEVICES];

static void life_begin(void)
{
    static const char text[] =
        "server: {realm: home-3f9c81d2a47be650, max-clients: 8}\n"
        "tunnel: {addresses: [10.8.0.1/24, \"fd08::1/64\"], "
        "pool: [10.8.0.10-10.8.0.15, \"fd08::10-fd08::1f\"]}\nusers:\n"
        "  u0: {key: \"hSDwCYkwp1R0i33ctD73Wg2/Og0mOBr066SpjqqbTmo=\", address: [10.8.0.10]}\n"
        "  u1: {key: \"3p7bfXt9wbTTW2HC7OQ1Nz+DQ8hbeGdNrfx+FG+IK08=\", max-devices: 4}\n"
        "  u2: {key: \"CQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\", max-devices: 4}\n"
        "  u3: {key: \"CgAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\", max-devices: 4}\n";
    struct problems problems = {0};

    assert_int_equal(config_parse("vpn.yaml", text, sizeof(text) - 1, &config, &problems), 0);
    problems_clear(&problems);
    leases = leases_new(config, USERS);
    now = (struct clock){.mono_ms = 5000, .real_us = 1800000000000000};
    memset(active, 0, sizeof(active));
    srand(11);
}

static void life_end(void)
{
    leases_free(leases);
    config_free(config);
}

static void connect_device(unsigned int u, unsigned int d)
{
    const uint8_t id[WIRE_DEVICE_ID_LEN] = {(uint8_t)(d + 1)};
    struct ip_addr none = {0};

    if (leases_reserve(leases, u, &config->users[u], id, &none, now.mono_ms, &active[u][d]) !=
        WIRE_STATUS_OK)
        return;
    /* The fixed address passes from device to device. */
    for (unsigned int i = 0; i < DEVICES; i++) {
        if (i == d || !active[u][i] || !ip_addr_equal(&active[u][i]->ip4, &active[u][d]->ip4))
            continue;
        leases_release(leases, active[u][i], &now);
        active[u][i] = NULL;
    }
    leases_bind(leases, active[u][d], &now);
}

/* Some devices come and go. */
static void life_step(void)
{
    for (unsigned int i = 0; i < 4; i++) {
        unsigned int u = (unsigned int)rand() % USERS, d = (unsigned int)rand() % DEVICES;

        now.mono_ms += 100;
        now.real_us += 1000000;
        if (!active[u][d]) {
            connect_device(u, d);
        } else {
            leases_release(leases, active[u][d], &now);
            active[u][d] = NULL;
        }
    }
}

/* What lease_writer.c does with them. */
static size_t life_unsaved(struct lease_row *rows)
{
    struct lease *lease;
    size_t n = 0;

    while ((lease = leases_unsaved(leases)) != NULL) {
        struct lease_row row = {.last_seen_s = lease->last_seen_s};

        leases_take_unsaved(leases, lease);
        snprintf(row.user, sizeof(row.user), "u%u", lease->user);
        memcpy(row.device, lease->device, sizeof(row.device));
        if (leases_holds(leases, lease, &lease->ip4))
            row.ip4 = lease->ip4;
        if (leases_holds(leases, lease, &lease->ip6))
            row.ip6 = lease->ip6;
        rows[n++] = row;
    }
    return n;
}

static void table_put(struct table *t, const struct lease_row *row)
{
    size_t kept = 0;

    for (size_t i = 0; i < t->n; i++) {
        struct lease_row *r = &t->rows[i];

        if (strcmp(r->user, row->user) == 0 && memcmp(r->device, row->device, 16) == 0)
            continue;
        if (row->ip4.family && ip_addr_equal(&r->ip4, &row->ip4))
            r->ip4 = (struct ip_addr){0};
        if (row->ip6.family && ip_addr_equal(&r->ip6, &row->ip6))
            r->ip6 = (struct ip_addr){0};
        t->rows[kept++] = *r;
    }
    t->rows[kept++] = *row;
    t->n = kept;
}

static void table_drop_empty(struct table *t)
{
    size_t kept = 0;

    for (size_t i = 0; i < t->n; i++)
        if (t->rows[i].ip4.family || t->rows[i].ip6.family)
            t->rows[kept++] = t->rows[i];
    t->n = kept;
}

static bool table_is(const struct table *t, const struct lease_row *rows, size_t n)
{
    for (size_t i = 0; t->n == n && i < n; i++)
        if (!row_equal(&t->rows[i], &rows[i]))
            return false;
    return t->n == n;
}

/* The tables after each flush of the life, the first one empty. */
static struct table history[FLUSHES + 1];

static void foresee(void)
{
    struct lease_row rows[USERS * DEVICES];

    memset(history, 0, sizeof(history));
    life_begin();
    for (unsigned int i = 1; i <= FLUSHES; i++) {
        size_t n;

        life_step();
        n = life_unsaved(rows);
        history[i] = history[i - 1];
        for (size_t r = 0; r < n; r++)
            table_put(&history[i], &rows[r]);
        table_drop_empty(&history[i]);
    }
    life_end();
}

/* The same life with a disk.  Return: how many flushes were acknowledged; @said as they are. */
static unsigned int live(int said, bool *died)
{
    struct lease_row rows[USERS * DEVICES];
    struct lease_store *store = NULL;
    struct err aside, err;
    unsigned int i;

    life_begin();
    *died = lease_store_open(folder, 100, &store, &aside, &err) != 0;
    for (i = 0; !*died && i < FLUSHES; i++) {
        size_t n;

        life_step();
        n = life_unsaved(rows);
        if (lease_store_write(store, rows, n, &err) != 0)
            break;
        (void)!write(said, "!", 1);
    }
    lease_store_close(store);
    *died |= i < FLUSHES;
    life_end();
    return i;
}

/* Addresses come back to whom they belonged, each to one. */
static void check_restored(const struct lease_row *rows, size_t n)
{
    life_begin();
    for (size_t i = 0; i < n; i++) {
        struct lease was = {.user = (uint32_t)(rows[i].user[1] - '0'),
                            .ip4 = rows[i].ip4,
                            .ip6 = rows[i].ip6};

        memcpy(was.device, rows[i].device, sizeof(was.device));
        assert_true(leases_restore(leases, &config->users[was.user], &was));
    }
    life_end();
}

/* @lost: acknowledged flushes may be missing (a power cut), but only from the end. */
static void check_disk(unsigned int acked, bool lost)
{
    struct lease_store *store = open_store(100);
    struct lease_row *rows = NULL;
    unsigned int from = lost ? 0 : acked, i;
    struct err err;
    size_t n = 0;

    assert_int_equal(lease_store_load(store, &rows, &n, &err), 0);
    for (i = from; i <= acked + 1 && i <= FLUSHES; i++)
        if (table_is(&history[i], rows, n))
            break;
    assert_true(i <= acked + 1 && i <= FLUSHES);
    check_restored(rows, n);
    free(rows);
    lease_store_close(store);
}

/* In a process of its own, which the disk may take along.  Return: false when it lived to the end.
 */
static bool child_lives(enum shim_fate fate, unsigned int at, unsigned int *acked)
{
    char said[FLUSHES + 1];
    bool died = false;
    int fds[2], status;
    ssize_t n;
    pid_t pid;

    assert_int_equal(pipe(fds), 0);
    pid = fork();
    if (pid == 0) {
        close(fds[0]);
        shim.fate = fate;
        shim.at = at;
        live(fds[1], &died);
        _exit(died);
    }
    close(fds[1]);
    for (*acked = 0; (n = read(fds[0], said, sizeof(said))) > 0;)
        *acked += (unsigned int)n;
    close(fds[0]);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return !(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

static void strike_everywhere(enum shim_fate fate)
{
    /* Sanitizers make processes slow to begin; the plain build strikes at every change. */
    const char *sanitize = getenv("VPN_SANITIZE");
    const unsigned int step = sanitize && *sanitize ? 4 : 1;
    unsigned int at, acked;
    bool struck = true;

    foresee();
    for (at = 1; struck; at += step) {
        assert_true(at < 5000);
        empty_folder();
        struck = child_lives(fate, at, &acked);
        if (fate == SHIM_KILL || fate == SHIM_FULL || fate == SHIM_ERROR)
            assert_true(struck || acked == FLUSHES);
        check_disk(acked, fate == SHIM_POWER);
    }
    assert_int_equal(acked, FLUSHES);
    /* Making the file alone takes some ten changes, each flush at least one. */
    assert_true(at > FLUSHES + 10);
    print_message("struck at %u changes\n", (at - 1) / step - 1);
}

static void killed_at_every_write(void **state)
{
    (void)state;
    strike_everywhere(SHIM_KILL);
}

static void power_cut_at_every_write(void **state)
{
    (void)state;
    strike_everywhere(SHIM_POWER);
}

static void disk_full_at_every_write(void **state)
{
    (void)state;
    strike_everywhere(SHIM_FULL);
}

static void disk_broken_at_every_write(void **state)
{
    (void)state;
    strike_everywhere(SHIM_ERROR);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(killed_at_every_write),
        cmocka_unit_test(power_cut_at_every_write),
        cmocka_unit_test(disk_full_at_every_write),
        cmocka_unit_test(disk_broken_at_every_write),
    };

    return cmocka_run_group_tests_name("lease store faults", tests, setup, teardown);
}

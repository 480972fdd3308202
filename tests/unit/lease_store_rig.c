/* A folder for a store of leases. */
#include "tests/unit/lease_store_rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/unit/sqlite_shim.h"

char folder[32] = "/tmp/vpn-leases.XXXXXX", file[64];

int setup(void **state)
{
    (void)state;
    if (!mkdtemp(folder))
        return -1;
    snprintf(file, sizeof(file), "%s/" LEASE_STORE_FILE, folder);
    shim_install();
    return 0;
}

void empty_folder(void)
{
    char pattern[80];
    glob_t found;

    snprintf(pattern, sizeof(pattern), "%s/*", folder);
    if (glob(pattern, 0, NULL, &found) != 0)
        return;
    for (size_t i = 0; i < found.gl_pathc; i++)
        (void)!remove(found.gl_pathv[i]);
    globfree(&found);
}

int teardown(void **state)
{
    (void)state;
    empty_folder();
    return rmdir(folder);
}

struct lease_store *open_store(uint32_t max_rows)
{
    struct lease_store *store = NULL;
    struct err aside, err = {0};

    if (lease_store_open(folder, max_rows, &store, &aside, &err) != 0)
        fail_msg("%s", err.msg);
    if (aside.msg[0])
        fail_msg("%s", aside.msg);
    return store;
}

struct lease_row row_of(const char *user, uint8_t device, const char *ip4, const char *ip6)
{
    struct lease_row row = {.device = {device}, .last_seen_s = 1800000000U + device};

    strcpy(row.user, user);
    if (ip4)
        assert_int_equal(ip_addr_parse(ip4, &row.ip4), 0);
    if (ip6)
        assert_int_equal(ip_addr_parse(ip6, &row.ip6), 0);
    return row;
}

bool row_equal(const struct lease_row *a, const struct lease_row *b)
{
    return strcmp(a->user, b->user) == 0 && memcmp(a->device, b->device, sizeof(a->device)) == 0 &&
           ip_addr_equal(&a->ip4, &b->ip4) && ip_addr_equal(&a->ip6, &b->ip6) &&
           a->last_seen_s == b->last_seen_s;
}

void write_rows(struct lease_store *store, const struct lease_row *rows, size_t n)
{
    struct err err = {0};

    if (lease_store_write(store, rows, n, &err) != 0)
        fail_msg("%s", err.msg);
}

void assert_rows(struct lease_store *store, const struct lease_row *want, size_t n_want)
{
    struct lease_row *rows = NULL;
    struct err err;
    size_t n = 0;

    assert_int_equal(lease_store_load(store, &rows, &n, &err), 0);
    assert_int_equal(n, n_want);
    for (size_t i = 0; i < n; i++)
        assert_true(row_equal(&rows[i], &want[i]));
    free(rows);
}

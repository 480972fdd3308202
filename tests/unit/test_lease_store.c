/*
 * Leases on disk: killed, cut off from power, refused by the disk at every single write; files that
 * are damaged or foreign.  What was acknowledged is there, and no address twice.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "daemon/lease.h"
#include "daemon/lease_store.h"

#include "sqlite_shim.h"

#define USERS   4
#define DEVICES 4
#define FLUSHES 10

static char folder[] = "/tmp/vpn-leases.XXXXXX", file[64];

static int setup(void **state)
{
    (void)state;
    if (!mkdtemp(folder))
        return -1;
    snprintf(file, sizeof(file), "%s/" LEASE_STORE_FILE, folder);
    shim_install();
    return 0;
}

static void empty_folder(void)
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

static int teardown(void **state)
{
    (void)state;
    empty_folder();
    return rmdir(folder);
}

static struct lease_store *open_store(uint32_t max_rows)
{
    struct lease_store *store = NULL;
    struct err aside, err = {0};

    if (lease_store_open(folder, max_rows, &store, &aside, &err) != 0)
        fail_msg("%s", err.msg);
    if (aside.msg[0])
        fail_msg("%s", aside.msg);
    return store;
}

static struct lease_row row_of(const char *user, uint8_t device, const char *ip4, const char *ip6)
{
    struct lease_row row = {.device = {device}, .last_seen_s = 1800000000U + device};

    strcpy(row.user, user);
    if (ip4)
        assert_int_equal(ip_addr_parse(ip4, &row.ip4), 0);
    if (ip6)
        assert_int_equal(ip_addr_parse(ip6, &row.ip6), 0);
    return row;
}

static bool row_equal(const struct lease_row *a, const struct lease_row *b)
{
    return strcmp(a->user, b->user) == 0 && memcmp(a->device, b->device, sizeof(a->device)) == 0 &&
           ip_addr_equal(&a->ip4, &b->ip4) && ip_addr_equal(&a->ip6, &b->ip6) &&
           a->last_seen_s == b->last_seen_s;
}

static void write_rows(struct lease_store *store, const struct lease_row *rows, size_t n)
{
    struct err err = {0};

    if (lease_store_write(store, rows, n, &err) != 0)
        fail_msg("%s", err.msg);
}

static void assert_rows(struct lease_store *store, const struct lease_row *want, size_t n_want)
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

/* ---- what is written is there -----------------------------------------------------------------
 */

static void written(void **state)
{
    struct lease_store *store;
    struct lease_row rows[4] = {
        row_of("alice", 1, "10.8.0.10", "fd08::10"),
        row_of("alice", 2, "10.8.0.11", NULL),
        row_of("bob", 1, NULL, "fd08::12"),
        row_of("a.b_c@d-e", 255, "10.8.0.13", "fd08::13"),
    };
    struct lease_row moved;

    (void)state;
    empty_folder();
    store = open_store(10);
    assert_rows(store, NULL, 0);
    write_rows(store, rows, 4);
    assert_rows(store, rows, 4);
    lease_store_close(store);
    store = open_store(10);
    assert_rows(store, rows, 4);
    /* Written again: it comes last. */
    rows[0].last_seen_s++;
    moved = rows[0];
    write_rows(store, rows, 1);
    assert_rows(store, (struct lease_row[]){rows[1], rows[2], rows[3], moved}, 4);
    /* An address goes to the one who was written last; who has none left is gone. */
    moved = row_of("carl", 9, "10.8.0.11", "fd08::13");
    write_rows(store, &moved, 1);
    rows[3].ip6 = (struct ip_addr){0};
    assert_rows(store, (struct lease_row[]){rows[2], rows[3], rows[0], moved}, 4);
    lease_store_close(store);
    /* Less is kept: the newest ones. */
    store = open_store(2);
    assert_rows(store, (struct lease_row[]){rows[0], moved}, 2);
    lease_store_close(store);
    store = open_store(10);
    assert_rows(store, (struct lease_row[]){rows[0], moved}, 2);
    lease_store_close(store);
}

static void does_not_grow(void **state)
{
    struct lease_store *store;
    struct stat st;

    (void)state;
    empty_folder();
    store = open_store(100);
    for (uint32_t i = 0; i < 3000; i++) {
        char user[16], ip4[32];
        struct lease_row row;

        snprintf(user, sizeof(user), "u%u", i % 1000);
        snprintf(ip4, sizeof(ip4), "10.8.%u.%u", i % 1000 / 250, i % 250 + 1);
        row = row_of(user, (uint8_t)(i / 1000), ip4, NULL);
        write_rows(store, &row, 1);
    }
    assert_int_equal(stat(file, &st), 0);
    assert_true(st.st_size < 256 * 1024);
    assert_int_equal(st.st_mode & 07777, 0640);
    lease_store_close(store);
}

static void one_at_a_time(void **state)
{
    struct lease_store *store, *second = NULL;
    struct err aside, err = {0};
    struct lease_row row = row_of("alice", 1, "10.8.0.10", NULL);
    int status;
    pid_t pid;

    (void)state;
    empty_folder();
    store = open_store(10);
    write_rows(store, &row, 1);
    /* In another process: locks of one process do not exclude each other. */
    pid = fork();
    if (pid == 0)
        _exit(lease_store_open(folder, 10, &second, &aside, &err) == -EBUSY &&
                      strstr(err.msg, "in use by another process")
                  ? 0
                  : 1);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    /* Removed behind our back: that is noticed, and the next one begins anew. */
    assert_int_equal(unlink(file), 0);
    assert_int_equal(lease_store_write(store, &row, 1, &err), -ESTALE);
    lease_store_close(store);
    store = open_store(10);
    assert_rows(store, NULL, 0);
    lease_store_close(store);
}

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

/* ---- files that cannot be used ----------------------------------------------------------------
 */

static size_t read_file(const char *path, uint8_t *buf, size_t size)
{
    FILE *in = fopen(path, "r");
    size_t n = in ? fread(buf, 1, size, in) : 0;

    if (in)
        fclose(in);
    return n;
}

static void write_file(const char *path, const uint8_t *buf, size_t n)
{
    FILE *out = fopen(path, "w");

    assert_non_null(out);
    assert_int_equal(fwrite(buf, 1, n, out), n);
    fclose(out);
}

/* It is moved aside as it was, a new one works, and the sentence says both. */
static void assert_aside(const char *why)
{
    static uint8_t before[1 << 20], after[1 << 20];
    struct lease_row row = row_of("alice", 1, "10.8.0.10", NULL);
    struct lease_store *store = NULL;
    struct err aside, err = {0};
    size_t n = read_file(file, before, sizeof(before));
    char pattern[96];
    glob_t found;

    if (lease_store_open(folder, 10, &store, &aside, &err) != 0)
        fail_msg("%s", err.msg);
    if (!strstr(aside.msg, why))
        fail_msg("\"%s\" does not say %s", aside.msg, why);
    snprintf(pattern, sizeof(pattern), "%s.unusable-*-[0-9]", file);
    assert_int_equal(glob(pattern, 0, NULL, &found), 0);
    assert_int_equal(found.gl_pathc, 1);
    assert_non_null(strstr(aside.msg, found.gl_pathv[0]));
    assert_int_equal(read_file(found.gl_pathv[0], after, sizeof(after)), n);
    assert_memory_equal(before, after, n);
    globfree(&found);
    assert_rows(store, NULL, 0);
    write_rows(store, &row, 1);
    lease_store_close(store);
    store = open_store(10);
    assert_rows(store, &row, 1);
    lease_store_close(store);
    empty_folder();
}

static void sql(const char *text)
{
    char *why = NULL;
    sqlite3 *db;

    /* On the ordinary disk: the shim has no shared memory, without which others cannot use WAL. */
    assert_int_equal(sqlite3_open_v2(file, &db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE,
                                     shim_real->zName),
                     SQLITE_OK);
    if (sqlite3_exec(db, text, NULL, NULL, &why) != SQLITE_OK)
        fail_msg("%s: %s", text, why);
    sqlite3_close(db);
}

static void make_good(void)
{
    struct lease_row row = row_of("alice", 1, "10.8.0.10", "fd08::10");
    struct lease_store *store;

    empty_folder();
    store = open_store(10);
    write_rows(store, &row, 1);
    lease_store_close(store);
}

static void foreign_files(void **state)
{
    (void)state;
    empty_folder();
    write_file(file, (const uint8_t *)"These are my notes, not a database.\n", 36);
    assert_aside("the file is damaged");
    sql("CREATE TABLE lease (a)");
    assert_aside("not a file of vpn-server's");
    make_good();
    sql("PRAGMA user_version = 2");
    assert_aside("written by a newer release");
    make_good();
    sql("PRAGMA user_version = 0");
    assert_aside("its tables are not those");
    make_good();
    sql("CREATE TRIGGER t AFTER INSERT ON lease BEGIN DELETE FROM lease; END");
    assert_aside("its tables are not those");
    make_good();
    sql("DROP TABLE lease; CREATE VIEW lease AS SELECT 1 AS turn, 'u' AS user");
    assert_aside("its tables are not those");
    /* An empty file is what is left of a full disk: nothing is in it that could be lost. */
    write_file(file, (const uint8_t *)"", 0);
    lease_store_close(open_store(10));
    empty_folder();
}

static void unusable_places(void **state)
{
    struct lease_store *store = NULL;
    struct err aside, err = {0};

    (void)state;
    empty_folder();
    assert_int_equal(mkdir(file, 0700), 0);
    assert_int_equal(lease_store_open(folder, 10, &store, &aside, &err), -EISDIR);
    assert_int_equal(rmdir(file), 0);
    assert_int_equal(mkfifo(file, 0600), 0);
    assert_int_equal(lease_store_open(folder, 10, &store, &aside, &err), -EINVAL);
    assert_non_null(strstr(err.msg, "not a regular file"));
    assert_int_equal(unlink(file), 0);
    assert_int_equal(symlink("/etc/passwd", file), 0);
    assert_int_equal(lease_store_open(folder, 10, &store, &aside, &err), -ELOOP);
    assert_int_equal(unlink(file), 0);
    assert_int_equal(lease_store_open("/nonexistent/folder", 10, &store, &aside, &err), -ENOENT);
    assert_null(store);
}

/* /var is a link on many a small router. */
static void folder_behind_a_link(void **state)
{
    char link[sizeof(folder) + 8];
    struct lease_store *store = NULL;
    struct err aside, err = {0};

    (void)state;
    empty_folder();
    snprintf(link, sizeof(link), "%s/link", folder);
    assert_int_equal(symlink(folder, link), 0);
    assert_int_equal(lease_store_open(link, 10, &store, &aside, &err), 0);
    lease_store_close(store);
    assert_int_equal(access(file, F_OK), 0);
    empty_folder();
}

/* Rows that nobody could have written are left out, the others are there. */
static void hostile_rows(void **state)
{
    struct lease_row good = row_of("alice", 1, "10.8.0.10", "fd08::10");
    struct lease_store *store;

    (void)state;
    make_good();
    sql("INSERT INTO lease VALUES (NULL, 'bob', 'xx', '10.8.0.11', NULL, 1);"
        "INSERT INTO lease VALUES (NULL, 'bob', '00112233445566778899aabbccddeeff', "
        "'10.8.0.11/24', NULL, 1);"
        "INSERT INTO lease VALUES (NULL, 'carl', '00112233445566778899aabbccddeeff', 'fd08::1', "
        "NULL, 1);"
        "INSERT INTO lease VALUES (NULL, 'dora', '00112233445566778899aabbccddeeff', NULL, NULL, "
        "-5);"
        "INSERT INTO lease VALUES (NULL, printf('%.80c', 'x'), '00112233445566778899aabbccddeeff', "
        "NULL, 'fd08::9', 1);"
        "INSERT INTO lease VALUES (NULL, x'00ff00', x'00', x'00', x'01', 'many')");
    store = open_store(10);
    assert_rows(store, &good, 1);
    lease_store_close(store);
}

/* Each byte of a good file in turn is another one: whatever comes of it, nothing is lost. */
static void damaged_anywhere(void **state)
{
    static uint8_t good[1 << 16], bad[1 << 16];
    struct lease_row *rows;
    struct lease_row row = row_of("bob", 2, "10.8.0.11", NULL);
    unsigned int aside_n = 0, kept_n = 0;
    size_t size, n;
    int rc;

    (void)state;
    make_good();
    size = read_file(file, good, sizeof(good));
    assert_true(size > 4096 && size < sizeof(good));
    srand(3);
    for (size_t at = 0; at < size; at += at < 512 ? 1 : 37) {
        struct lease_store *store = NULL;
        struct err aside, err = {0};

        empty_folder();
        memcpy(bad, good, size);
        bad[at] ^= (uint8_t)(1 + rand() % 255);
        write_file(file, bad, size);
        if (lease_store_open(folder, 10, &store, &aside, &err) != 0)
            fail_msg("byte %zu: %s", at, err.msg);
        aside_n += aside.msg[0] != '\0';
        kept_n += aside.msg[0] == '\0';
        if (lease_store_load(store, &rows, &n, &err) == 0) {
            assert_true(n <= 1);
            free(rows);
        }
        rc = lease_store_write(store, &row, 1, &err);
        if (rc != 0 && rc != -EBADMSG)
            fail_msg("byte %zu: %s", at, err.msg);
        lease_store_close(store);
    }
    assert_true(aside_n > 20 && kept_n > 20);
    for (size_t at = 1; at < size; at += 500) {
        struct lease_store *store = NULL;
        struct err aside, err = {0};

        empty_folder();
        write_file(file, good, at);
        if (lease_store_open(folder, 10, &store, &aside, &err) != 0)
            fail_msg("cut to %zu: %s", at, err.msg);
        assert_true(aside.msg[0] != '\0');
        lease_store_close(store);
    }
    empty_folder();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(written),
        cmocka_unit_test(does_not_grow),
        cmocka_unit_test(one_at_a_time),
        cmocka_unit_test(killed_at_every_write),
        cmocka_unit_test(power_cut_at_every_write),
        cmocka_unit_test(disk_full_at_every_write),
        cmocka_unit_test(disk_broken_at_every_write),
        cmocka_unit_test(foreign_files),
        cmocka_unit_test(unusable_places),
        cmocka_unit_test(folder_behind_a_link),
        cmocka_unit_test(hostile_rows),
        cmocka_unit_test(damaged_anywhere),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}

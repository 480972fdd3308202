/* Leases on disk: what was written is there; files and places that cannot be used. */
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

#include "daemon/lease_store.h"
#include "tests/unit/lease_store_rig.h"
#include "tests/unit/sqlite_shim.h"

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
        cmocka_unit_test(written),         cmocka_unit_test(does_not_grow),
        cmocka_unit_test(one_at_a_time),   cmocka_unit_test(foreign_files),
        cmocka_unit_test(unusable_places), cmocka_unit_test(folder_behind_a_link),
        cmocka_unit_test(hostile_rows),    cmocka_unit_test(damaged_anywhere),
    };

    return cmocka_run_group_tests_name("lease store", tests, setup, teardown);
}

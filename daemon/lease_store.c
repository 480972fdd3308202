/* Leases in SQLite; see lease_store.h. */
#include "daemon/lease_store.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "common/cleanup.h"

#define APPLICATION_ID 0x5356504c /* "SVPL" */
#define VERSION        1
#define HEADER_SIZE    100
#define PRUNE_EVERY    256 /* writes */
#define DEVICE_TEXT    (2 * WIRE_DEVICE_ID_LEN)

#define STRING(x) #x
#define EXPAND(x) STRING(x)

/* What was written later has the higher turn. */
#define SCHEMA                                                                                     \
    "CREATE TABLE lease (turn INTEGER PRIMARY KEY, user TEXT NOT NULL, device TEXT NOT NULL, "     \
    "ip4 TEXT UNIQUE, ip6 TEXT UNIQUE, last_seen INTEGER NOT NULL, UNIQUE (user, device))"

enum statement {
    STATEMENT_TAKE_IP4,
    STATEMENT_TAKE_IP6,
    STATEMENT_PUT,
    STATEMENT_DROP_EMPTY,
    STATEMENT_PRUNE,
    STATEMENT_NUM,
};

static const char *const statements[] = {
    [STATEMENT_TAKE_IP4] = "UPDATE lease SET ip4 = NULL WHERE ip4 = ?1",
    [STATEMENT_TAKE_IP6] = "UPDATE lease SET ip6 = NULL WHERE ip6 = ?1",
    [STATEMENT_PUT] = "INSERT OR REPLACE INTO lease (user, device, ip4, ip6, last_seen) "
                      "VALUES (?1, ?2, ?3, ?4, ?5)",
    [STATEMENT_DROP_EMPTY] = "DELETE FROM lease WHERE ip4 IS NULL AND ip6 IS NULL",
    [STATEMENT_PRUNE] = "DELETE FROM lease WHERE turn <= "
                        "(SELECT turn FROM lease ORDER BY turn DESC LIMIT 1 OFFSET ?1)",
};

struct lease_store {
    char path[PATH_MAX];
    sqlite3 *db;
    sqlite3_stmt *stmt[STATEMENT_NUM];
    uint32_t max_rows, writes;
};

/* ---- errors -----------------------------------------------------------------------------------
 */

static int to_errno(int rc)
{
    switch (rc & 0xff) {
    case SQLITE_FULL:
        return -ENOSPC;
    case SQLITE_READONLY:
        return -EROFS;
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        return -EBUSY;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
        return -EBADMSG;
    case SQLITE_NOMEM:
        return -ENOMEM;
    default:
        return -EIO;
    }
}

static int fail(const struct lease_store *store, int rc, struct err *err)
{
    int code = to_errno(rc);

    if (code == -EBUSY)
        return err_set(err, code,
                       "%s: in use by another process (a second vpn-server with the "
                       "same state folder?)",
                       store->path);
    return err_set(err, code, "%s: %s%s%s", store->path, sqlite3_errstr(rc),
                   sqlite3_system_errno(store->db) ? ": " : "",
                   sqlite3_system_errno(store->db) ? strerror(sqlite3_system_errno(store->db))
                                                   : "");
}

/* ---- moving aside -----------------------------------------------------------------------------
 */

/* Under a name that is not taken, with what SQLite keeps beside it, so that it can be looked at. */
static int move_aside(const char *path, const char *why, struct err *aside, struct err *err)
{
    static const char *const beside[] = {"-wal", "-journal"};
    char to[PATH_MAX + 64], from_side[PATH_MAX + 16], to_side[PATH_MAX + 80], stamp[32];
    time_t now = time(NULL);
    struct tm tm;
    unsigned int try = 0;

    strftime(stamp, sizeof(stamp), "%Y%m%dT%H%M%SZ", gmtime_r(&now, &tm));
    /* The folder is ours: nobody else makes names there meanwhile. */
    do {
        snprintf(to, sizeof(to), "%s.unusable-%s-%u", path, stamp, try++);
    } while (access(to, F_OK) == 0);
    if (rename(path, to) < 0)
        return err_set(err, -errno, "%s: %s, and it cannot be moved aside: %s", path, why,
                       strerror(errno));
    for (size_t i = 0; i < ARRAY_SIZE(beside); i++) {
        snprintf(from_side, sizeof(from_side), "%s%s", path, beside[i]);
        snprintf(to_side, sizeof(to_side), "%s%s", to, beside[i]);
        (void)rename(from_side, to_side);
    }
    (void)err_set(aside, 0, "%s: %s; moved to %s, leases begin anew", path, why, to);
    return 0;
}

/* ---- looking at what is there -----------------------------------------------------------------
 */

/* Made here, not by SQLite: for its mode, and because errno says more than "unable to open". */
static int touch(const char *path, off_t *size, struct err *err)
{
    _cleanup_(close_fdp) int fd =
        open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0640);
    struct stat st;

    if (fd < 0)
        return err_set(err, -errno, "%s: %s", path, strerror(errno));
    if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
        return err_set(err, -EINVAL, "%s: not a regular file", path);
    *size = st.st_size;
    return 0;
}

static int query_int(sqlite3 *db, const char *sql, int64_t *out)
{
    sqlite3_stmt *stmt = NULL;
    int rc = sqlite3_prepare_v2(db, sql, -1, &stmt, NULL);

    if (rc == SQLITE_OK)
        rc = sqlite3_step(stmt);
    if (rc == SQLITE_ROW)
        *out = sqlite3_column_int64(stmt, 0);
    sqlite3_finalize(stmt);
    return rc == SQLITE_ROW ? SQLITE_OK : rc == SQLITE_DONE ? SQLITE_CORRUPT : rc;
}

/* Return: SQLITE_OK with 1 in @same when the first column of the first row is @want. */
static int query_is(sqlite3 *db, const char *sql, const char *want, bool *same)
{
    sqlite3_stmt *stmt = NULL;
    int rc = sqlite3_prepare_v2(db, sql, -1, &stmt, NULL);

    *same = false;
    if (rc == SQLITE_OK)
        rc = sqlite3_step(stmt);
    if (rc == SQLITE_ROW) {
        const char *text = (const char *)sqlite3_column_text(stmt, 0);

        *same = text && strcmp(text, want) == 0;
    }
    sqlite3_finalize(stmt);
    return rc == SQLITE_ROW || rc == SQLITE_DONE ? SQLITE_OK : rc;
}

/*
 * What kind of file is it?  Nothing is written.
 *
 * Return: SQLITE_OK with @why NULL (ours, or @empty) or the reason to move it aside; else an error,
 * which may be that reason as well.
 */
static int examine(sqlite3 *db, bool *empty, const char **why)
{
    int64_t id = 0, version = 0, objects = 0;
    bool same = false, sound = false;
    int rc = query_is(db, "PRAGMA quick_check(1)", "ok", &sound);

    if (rc == SQLITE_OK)
        rc = query_int(db, "PRAGMA application_id", &id);
    if (rc == SQLITE_OK)
        rc = query_int(db, "PRAGMA user_version", &version);
    if (rc == SQLITE_OK)
        rc = query_int(db, "SELECT count(*) FROM sqlite_master WHERE sql IS NOT NULL", &objects);
    if (rc == SQLITE_OK)
        rc = query_is(db, "SELECT sql FROM sqlite_master WHERE sql IS NOT NULL", SCHEMA, &same);
    *empty = id == 0 && version == 0 && objects == 0;
    *why = NULL;
    if (rc != SQLITE_OK || *empty)
        return rc;
    if (!sound)
        *why = "the file is damaged";
    else if (sqlite3_db_readonly(db, "main") == 1) /* its header says so; touch() could write it */
        *why = "the file is of a format that this SQLite cannot write";
    else if (id != APPLICATION_ID)
        *why = "not a file of vpn-server's";
    else if (version > VERSION)
        *why = "written by a newer release of vpn-server";
    else if (version != VERSION || objects != 1 || !same)
        *why = "its tables are not those of vpn-server";
    return SQLITE_OK;
}

/* ---- opening ----------------------------------------------------------------------------------
 */

static int connect_db(struct lease_store *store)
{
    /* Without SQLITE_OPEN_NOFOLLOW, which refuses links in folders as well; touch() looked. */
    int rc =
        sqlite3_open_v2(store->path, &store->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL);

    if (rc != SQLITE_OK)
        return rc;
    sqlite3_extended_result_codes(store->db, 1);
    sqlite3_busy_timeout(store->db, 500);
    /* Whatever the file holds, it is data: its schema must not do anything. */
    sqlite3_db_config(store->db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
    sqlite3_db_config(store->db, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL);
    sqlite3_db_config(store->db, SQLITE_DBCONFIG_ENABLE_TRIGGER, 0, NULL);
    sqlite3_db_config(store->db, SQLITE_DBCONFIG_ENABLE_VIEW, 0, NULL);
    /* One server at a time, and no shared memory file.  The cache is 128 KiB. */
    return sqlite3_exec(store->db,
                        "PRAGMA cell_size_check = ON; PRAGMA mmap_size = 0; "
                        "PRAGMA locking_mode = EXCLUSIVE; PRAGMA cache_size = -128; "
                        "PRAGMA temp_store = MEMORY",
                        NULL, NULL, NULL);
}

static void disconnect_db(struct lease_store *store)
{
    for (int i = 0; i < STATEMENT_NUM; i++) {
        sqlite3_finalize(store->stmt[i]);
        store->stmt[i] = NULL;
    }
    sqlite3_close(store->db);
    store->db = NULL;
}

static int prepare(struct lease_store *store, bool empty)
{
    bool wal = false;
    int rc = query_is(store->db, "PRAGMA journal_mode = WAL", "wal", &wal);

    if (rc == SQLITE_OK && !wal)
        rc = SQLITE_CANTOPEN;
    /* A log of 800 KiB at most in the long run, written back every 100 pages. */
    if (rc == SQLITE_OK)
        rc = sqlite3_exec(store->db,
                          "PRAGMA synchronous = NORMAL; PRAGMA wal_autocheckpoint = 100; "
                          "PRAGMA journal_size_limit = 819200",
                          NULL, NULL, NULL);
    if (rc == SQLITE_OK && empty)
        rc = sqlite3_exec(store->db,
                          "BEGIN IMMEDIATE; " SCHEMA "; PRAGMA application_id = " EXPAND(
                              APPLICATION_ID) "; PRAGMA user_version = " EXPAND(VERSION) "; COMMIT",
                          NULL, NULL, NULL);
    for (int i = 0; rc == SQLITE_OK && i < STATEMENT_NUM; i++)
        rc = sqlite3_prepare_v3(store->db, statements[i], -1, SQLITE_PREPARE_PERSISTENT,
                                &store->stmt[i], NULL);
    return rc;
}

static int open_once(struct lease_store *store, const char **why, struct err *err)
{
    bool empty = false;
    off_t size = 0;
    int rc = touch(store->path, &size, err);

    if (rc < 0)
        return rc;
    rc = connect_db(store);
    if (rc == SQLITE_OK)
        rc = examine(store->db, &empty, why);
    /* SQLite takes less than a header for nothing, and would write over it. */
    if (rc == SQLITE_OK && empty && size > 0 && size < HEADER_SIZE)
        *why = "the file is damaged";
    if (rc == SQLITE_OK && !*why)
        rc = prepare(store, empty);
    /* SQLITE_ERROR: a format it does not know.  Everything else may pass by itself. */
    if (to_errno(rc) == -EBADMSG || rc == SQLITE_ERROR) {
        *why = "the file is damaged";
        rc = SQLITE_OK;
    }
    rc = rc == SQLITE_OK ? 0 : fail(store, rc, err);
    if (rc < 0 || *why)
        disconnect_db(store);
    return rc;
}

int lease_store_open(const char *folder, uint32_t max_rows, struct lease_store **out,
                     struct err *aside, struct err *err)
{
    struct lease_store *store = calloc(1, sizeof(*store));
    const char *why = NULL;
    int rc, len;

    aside->msg[0] = '\0';
    if (!store)
        return err_set(err, -ENOMEM, "out of memory");
    store->max_rows = max_rows;
    len = snprintf(store->path, sizeof(store->path), "%s/" LEASE_STORE_FILE, folder);
    rc = len < (int)sizeof(store->path) - 128
             ? open_once(store, &why, err)
             : err_set(err, -ENAMETOOLONG, "%s: the name is too long", folder);
    if (rc == 0 && why) {
        rc = move_aside(store->path, why, aside, err);
        why = NULL;
        if (rc == 0)
            rc = open_once(store, &why, err);
        if (rc == 0 && why)
            rc = err_set(err, -EIO, "%s: %s, though it was just made", store->path, why);
    }
    if (rc < 0) {
        lease_store_close(store);
        return rc;
    }
    *out = store;
    return 0;
}

void lease_store_close(struct lease_store *store)
{
    if (!store)
        return;
    disconnect_db(store);
    free(store);
}

/* ---- rows -------------------------------------------------------------------------------------
 */

static void device_format(const uint8_t *device, char text[DEVICE_TEXT + 1])
{
    for (size_t i = 0; i < WIRE_DEVICE_ID_LEN; i++)
        snprintf(text + 2 * i, 3, "%02x", device[i]);
}

static bool device_parse(const char *text, uint8_t *device)
{
    static const char digits[] = "0123456789abcdef";

    if (!text || strlen(text) != DEVICE_TEXT)
        return false;
    for (size_t i = 0; i < DEVICE_TEXT; i++) {
        const char *digit = strchr(digits, text[i]);

        if (!digit)
            return false;
        device[i / 2] = (uint8_t)(device[i / 2] << 4 | (digit - digits));
    }
    return true;
}

static bool addr_parse(const char *text, uint8_t family, struct ip_addr *out)
{
    return !text || (ip_addr_parse(text, out) == 0 && out->family == family);
}

/* Return: false for a row that cannot be ours. */
static bool row_read(sqlite3_stmt *stmt, struct lease_row *row)
{
    const char *user = (const char *)sqlite3_column_text(stmt, 0);

    *row = (struct lease_row){0};
    if (!user || strlen(user) > WIRE_USER_MAX || sqlite3_column_int64(stmt, 4) < 0)
        return false;
    strcpy(row->user, user);
    row->last_seen_s = (uint64_t)sqlite3_column_int64(stmt, 4);
    return device_parse((const char *)sqlite3_column_text(stmt, 1), row->device) &&
           addr_parse((const char *)sqlite3_column_text(stmt, 2), 4, &row->ip4) &&
           addr_parse((const char *)sqlite3_column_text(stmt, 3), 6, &row->ip6);
}

static int prune(struct lease_store *store)
{
    sqlite3_stmt *stmt = store->stmt[STATEMENT_PRUNE];
    int rc = sqlite3_bind_int64(stmt, 1, store->max_rows);

    if (rc == SQLITE_OK)
        rc = sqlite3_step(stmt);
    (void)sqlite3_reset(stmt);
    return rc == SQLITE_DONE ? SQLITE_OK : rc;
}

int lease_store_load(struct lease_store *store, struct lease_row **rows, size_t *n, struct err *err)
{
    struct lease_row *all = calloc((size_t)store->max_rows + 1, sizeof(*all));
    sqlite3_stmt *stmt = NULL;
    size_t used = 0;
    int rc;

    if (!all)
        return err_set(err, -ENOMEM, "out of memory");
    rc = prune(store);
    if (rc == SQLITE_OK)
        rc = sqlite3_prepare_v2(store->db,
                                "SELECT user, device, ip4, ip6, last_seen FROM lease ORDER BY turn",
                                -1, &stmt, NULL);
    if (rc == SQLITE_OK)
        rc = sqlite3_step(stmt);
    for (; rc == SQLITE_ROW && used < store->max_rows; rc = sqlite3_step(stmt))
        used += row_read(stmt, &all[used]);
    sqlite3_finalize(stmt);
    if (rc != SQLITE_DONE && rc != SQLITE_ROW) {
        free(all);
        return fail(store, rc, err);
    }
    *rows = all;
    *n = used;
    return 0;
}

static int run(struct lease_store *store, enum statement which)
{
    int rc = sqlite3_step(store->stmt[which]);

    (void)sqlite3_reset(store->stmt[which]);
    return rc == SQLITE_DONE ? SQLITE_OK : rc;
}

/* NULL for none. */
static int bind_addr(sqlite3_stmt *stmt, int column, const struct ip_addr *addr)
{
    char text[IP_ADDR_STRLEN];

    if (!addr->family)
        return sqlite3_bind_null(stmt, column);
    return sqlite3_bind_text(stmt, column, ip_addr_format(addr, text), -1, SQLITE_TRANSIENT);
}

static int take_addr(struct lease_store *store, enum statement which, const struct ip_addr *addr)
{
    int rc;

    if (!addr->family)
        return SQLITE_OK;
    rc = bind_addr(store->stmt[which], 1, addr);
    return rc == SQLITE_OK ? run(store, which) : rc;
}

static int put(struct lease_store *store, const struct lease_row *row)
{
    sqlite3_stmt *stmt = store->stmt[STATEMENT_PUT];
    char device[DEVICE_TEXT + 1];
    int rc = take_addr(store, STATEMENT_TAKE_IP4, &row->ip4);

    device_format(row->device, device);
    if (rc == SQLITE_OK)
        rc = take_addr(store, STATEMENT_TAKE_IP6, &row->ip6);
    if (rc == SQLITE_OK)
        rc = sqlite3_bind_text(stmt, 1, row->user, -1, SQLITE_TRANSIENT);
    if (rc == SQLITE_OK)
        rc = sqlite3_bind_text(stmt, 2, device, -1, SQLITE_TRANSIENT);
    if (rc == SQLITE_OK)
        rc = bind_addr(stmt, 3, &row->ip4);
    if (rc == SQLITE_OK)
        rc = bind_addr(stmt, 4, &row->ip6);
    if (rc == SQLITE_OK)
        rc = sqlite3_bind_int64(stmt, 5, (sqlite3_int64)row->last_seen_s);
    return rc == SQLITE_OK ? run(store, STATEMENT_PUT) : rc;
}

int lease_store_write(struct lease_store *store, const struct lease_row *rows, size_t n,
                      struct err *err)
{
    int rc, moved = 0;

    /* Removed or replaced behind our back: what is written to it now would be lost. */
    (void)sqlite3_file_control(store->db, "main", SQLITE_FCNTL_HAS_MOVED, &moved);
    if (moved)
        return err_set(err, -ESTALE, "%s: the file was removed", store->path);
    rc = sqlite3_exec(store->db, "BEGIN IMMEDIATE", NULL, NULL, NULL);
    for (size_t i = 0; rc == SQLITE_OK && i < n; i++)
        rc = put(store, &rows[i]);
    if (rc == SQLITE_OK)
        rc = run(store, STATEMENT_DROP_EMPTY);
    if (rc == SQLITE_OK && ++store->writes % PRUNE_EVERY == 0)
        rc = prune(store);
    if (rc == SQLITE_OK)
        rc = sqlite3_exec(store->db, "COMMIT", NULL, NULL, NULL);
    if (rc == SQLITE_OK)
        return 0;
    rc = fail(store, rc, err);
    (void)sqlite3_exec(store->db, "ROLLBACK", NULL, NULL, NULL);
    return rc;
}

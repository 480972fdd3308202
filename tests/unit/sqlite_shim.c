/* A disk that fails, below SQLite. */
#include "tests/unit/sqlite_shim.h"

#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct shim shim;
sqlite3_vfs *shim_real;

struct shim_file {
    sqlite3_file base;
    struct shim_undo *undo; /* not synced, newest first */
    sqlite3_int64 size;     /* when it was synced last */
    sqlite3_file *real;
};

struct shim_undo {
    struct shim_undo *next;
    sqlite3_int64 offset;
    int amount;
    uint8_t old[];
};

static struct shim_file *shim_open[8];
static sqlite3_vfs shim_vfs;

static sqlite3_file *shim_file_real(sqlite3_file *file)
{
    return ((struct shim_file *)file)->real;
}

static void shim_forget(struct shim_file *f)
{
    while (f->undo) {
        struct shim_undo *next = f->undo->next;

        free(f->undo);
        f->undo = next;
    }
}

static void shim_remember(struct shim_file *f, int amount, sqlite3_int64 offset)
{
    struct shim_undo *undo = calloc(1, sizeof(*undo) + (size_t)amount);

    *undo = (struct shim_undo){.next = f->undo, .offset = offset, .amount = amount};
    (void)f->real->pMethods->xRead(f->real, undo->old, amount, offset);
    f->undo = undo;
}

/* Each write that was not synced may be lost by itself, whatever came later. */
static void shim_power_cut(void)
{
    for (size_t i = 0; i < 8; i++) {
        struct shim_file *f = shim_open[i];

        for (const struct shim_undo *u = f ? f->undo : NULL; u; u = u->next)
            if (rand() % 2)
                (void)f->real->pMethods->xWrite(f->real, u->old, u->amount, u->offset);
        if (f && f->undo && rand() % 2)
            (void)f->real->pMethods->xTruncate(f->real, f->size);
    }
}

/* Return: SQLITE_OK to go on. */
static int shim_change(sqlite3_file *file, const void *data, int amount, sqlite3_int64 offset)
{
    if (shim.fate == SHIM_NONE || ++shim.count < shim.at)
        return SQLITE_OK;
    if (shim.fate == SHIM_FULL)
        return data ? SQLITE_FULL : SQLITE_OK;
    if (shim.fate == SHIM_ERROR)
        return SQLITE_IOERR;
    if (data)
        (void)shim_file_real(file)->pMethods->xWrite(shim_file_real(file), data, amount / 2,
                                                     offset);
    if (shim.fate == SHIM_POWER)
        shim_power_cut();
    kill(getpid(), SIGKILL);
    for (;;)
        pause();
}

static int shim_close(sqlite3_file *file)
{
    for (size_t i = 0; i < 8; i++)
        if (shim_open[i] == (struct shim_file *)file)
            shim_open[i] = NULL;
    shim_forget((struct shim_file *)file);
    return shim_file_real(file)->pMethods->xClose(shim_file_real(file));
}

static int shim_read(sqlite3_file *file, void *buf, int amount, sqlite3_int64 offset)
{
    return shim_file_real(file)->pMethods->xRead(shim_file_real(file), buf, amount, offset);
}

static int shim_write(sqlite3_file *file, const void *buf, int amount, sqlite3_int64 offset)
{
    int rc;

    if (shim.fate == SHIM_POWER)
        shim_remember((struct shim_file *)file, amount, offset);
    rc = shim_change(file, buf, amount, offset);
    return rc == SQLITE_OK
               ? shim_file_real(file)->pMethods->xWrite(shim_file_real(file), buf, amount, offset)
               : rc;
}

static int shim_truncate(sqlite3_file *file, sqlite3_int64 size)
{
    int rc = shim_change(file, NULL, 0, 0);

    return rc == SQLITE_OK ? shim_file_real(file)->pMethods->xTruncate(shim_file_real(file), size)
                           : rc;
}

static int shim_sync(sqlite3_file *file, int flags)
{
    struct shim_file *f = (struct shim_file *)file;
    int rc = shim_change(file, NULL, 0, 0);

    (void)flags;
    shim_forget(f);
    (void)f->real->pMethods->xFileSize(f->real, &f->size);
    return rc;
}

static int shim_size(sqlite3_file *file, sqlite3_int64 *size)
{
    return shim_file_real(file)->pMethods->xFileSize(shim_file_real(file), size);
}

static int shim_lock(sqlite3_file *file, int level)
{
    return shim_file_real(file)->pMethods->xLock(shim_file_real(file), level);
}

static int shim_unlock(sqlite3_file *file, int level)
{
    return shim_file_real(file)->pMethods->xUnlock(shim_file_real(file), level);
}

static int shim_check_lock(sqlite3_file *file, int *out)
{
    return shim_file_real(file)->pMethods->xCheckReservedLock(shim_file_real(file), out);
}

static int shim_control(sqlite3_file *file, int op, void *arg)
{
    return shim_file_real(file)->pMethods->xFileControl(shim_file_real(file), op, arg);
}

static int shim_sector(sqlite3_file *file)
{
    return shim_file_real(file)->pMethods->xSectorSize(shim_file_real(file));
}

static int shim_characteristics(sqlite3_file *file)
{
    return shim_file_real(file)->pMethods->xDeviceCharacteristics(shim_file_real(file));
}

static const sqlite3_io_methods shim_methods = {
    .iVersion = 1,
    .xClose = shim_close,
    .xRead = shim_read,
    .xWrite = shim_write,
    .xTruncate = shim_truncate,
    .xSync = shim_sync,
    .xFileSize = shim_size,
    .xLock = shim_lock,
    .xUnlock = shim_unlock,
    .xCheckReservedLock = shim_check_lock,
    .xFileControl = shim_control,
    .xSectorSize = shim_sector,
    .xDeviceCharacteristics = shim_characteristics,
};

static int shim_open_file(sqlite3_vfs *vfs, const char *name, sqlite3_file *file, int flags,
                          int *out_flags)
{
    struct shim_file *f = (struct shim_file *)file;
    int rc;

    (void)vfs;
    *f = (struct shim_file){.real = (sqlite3_file *)(f + 1)};
    rc = shim_real->xOpen(shim_real, name, f->real, flags, out_flags);
    if (!f->real->pMethods)
        return rc;
    f->base.pMethods = &shim_methods;
    (void)f->real->pMethods->xFileSize(f->real, &f->size);
    for (size_t i = 0; i < 8; i++) {
        if (shim_open[i])
            continue;
        shim_open[i] = f;
        break;
    }
    return rc;
}

static int shim_delete(sqlite3_vfs *vfs, const char *name, int sync_folder)
{
    int rc = shim_change(NULL, NULL, 0, 0);

    (void)vfs;
    (void)sync_folder;
    return rc == SQLITE_OK ? shim_real->xDelete(shim_real, name, 0) : rc;
}

void shim_install(void)
{
    shim_real = sqlite3_vfs_find(NULL);
    shim_vfs = *shim_real;
    shim_vfs.zName = "shim";
    shim_vfs.szOsFile = shim_real->szOsFile + (int)sizeof(struct shim_file);
    shim_vfs.xOpen = shim_open_file;
    shim_vfs.xDelete = shim_delete;
    sqlite3_vfs_register(&shim_vfs, 1);
}

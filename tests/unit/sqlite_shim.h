/*
 * A disk that fails: every change SQLite makes to a file passes through here, is counted, and at
 * the chosen one the process dies, the power goes or the disk refuses.
 *
 * Nothing is really synced to disk (tests shall be quick); what was written since the last sync of
 * a file is remembered, so that a power cut can take any part of it back.
 */
#ifndef TESTS_UNIT_SQLITE_SHIM_H
#define TESTS_UNIT_SQLITE_SHIM_H

#include <sqlite3.h>

enum shim_fate {
    SHIM_NONE,
    SHIM_KILL,  /* SIGKILL, half of a write done */
    SHIM_POWER, /* likewise, and what was not synced is there or not, as it happens */
    SHIM_FULL,  /* from there on */
    SHIM_ERROR, /* likewise */
};

struct shim {
    enum shim_fate fate;
    unsigned int at; /* the change at which it strikes, from 1 */
    unsigned int count;
};

extern struct shim shim;
extern sqlite3_vfs *shim_real; /* the ordinary disk */

/** shim_install() - from now on SQLite's files are on this disk */
void shim_install(void);

#endif

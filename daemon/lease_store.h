/*
 * Leases on disk: one SQLite file below the configuration's `state:` folder.
 *
 * Theory of operation
 * -------------------
 * The file is what memory was a moment ago: each write is one transaction, so whenever the process
 * is killed, the file is as it was after one of them.  Users are names here; numbers are this
 * run's alone.  An address belongs to the row that was written last: a write takes it from whoever
 * had it, and the table's UNIQUE columns make sure that no address is there twice.  So nothing has
 * to be deleted when a lease is given up, and rows of users who are gone lie there until their
 * address goes to somebody else or newer rows need the room.
 *
 * WAL with synchronous=NORMAL: a killed process loses nothing, a power cut perhaps the last
 * seconds, neither the file.  A file that cannot be used (damaged, of another program, of a newer
 * release) is never overwritten: it is moved aside, and a new one begun.
 *
 * Every function may block; one thread at a time.
 */
#ifndef DAEMON_LEASE_STORE_H
#define DAEMON_LEASE_STORE_H

#include <stddef.h>
#include <stdint.h>

#include "common/err.h"
#include "common/ip.h"
#include "common/wire.h"

#define LEASE_STORE_FILE "leases.db"

struct lease_row {
    char user[WIRE_USER_MAX + 1];
    uint8_t device[WIRE_DEVICE_ID_LEN];
    struct ip_addr ip4, ip6; /* family 0: none */
    uint64_t last_seen_s;    /* CLOCK_REALTIME */
};

struct lease_store;

/**
 * lease_store_open() - the file, made if there is none
 * @folder: the user we run as must be able to write there
 * @max_rows: what is kept, newest first
 * @aside: says what was moved where, "" when nothing was
 *
 * Return: 0; -EBUSY when another process has it open, or another -errno, with the sentence.
 */
int lease_store_open(const char *folder, uint32_t max_rows, struct lease_store **out,
                     struct err *aside, struct err *err);
/** lease_store_close() - NULL is fine. */
void lease_store_close(struct lease_store *store);

/**
 * lease_store_load() - every row, what was written last comes last
 * @rows: to be freed
 */
int lease_store_load(struct lease_store *store, struct lease_row **rows, size_t *n,
                     struct err *err);
/**
 * lease_store_write() - all of @rows or none
 *
 * Return: 0, or -errno with the sentence: then close it; what to open next time is looked at anew.
 */
int lease_store_write(struct lease_store *store, const struct lease_row *rows, size_t n,
                      struct err *err);

#endif

/* A folder for a store of leases on a disk that can fail, and rows to put there. */
#ifndef TESTS_UNIT_LEASE_STORE_RIG_H
#define TESTS_UNIT_LEASE_STORE_RIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/lease_store.h"

extern char folder[32], file[64]; /* the store's folder, and its file there */

/** setup() - a group's set-up: the folder, and SQLite on the disk of sqlite_shim.h */
int setup(void **state);
int teardown(void **state);
/** empty_folder() - begin anew */
void empty_folder(void);

/** open_store() - open it, with nothing to be moved aside */
struct lease_store *open_store(uint32_t max_rows);
/** row_of() - a row; @ip4, @ip6: NULL for none */
struct lease_row row_of(const char *user, uint8_t device, const char *ip4, const char *ip6);
bool row_equal(const struct lease_row *a, const struct lease_row *b);
void write_rows(struct lease_store *store, const struct lease_row *rows, size_t n);
/** assert_rows() - exactly these are there, in this order */
void assert_rows(struct lease_store *store, const struct lease_row *want, size_t n_want);

#endif

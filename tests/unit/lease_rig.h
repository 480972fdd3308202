/* A configuration of a few users, their leases, and a clock of the test's own. */
#ifndef TESTS_UNIT_LEASE_RIG_H
#define TESTS_UNIT_LEASE_RIG_H

#include <stdint.h>

#include "daemon/lease.h"

#define USERS 6

extern struct config *conf; /* the one in force */
extern struct leases *leases;
extern struct clock now;

/**
 * config_of() - a configuration with the users u0 to u5
 * @pool: the items of the pool
 * @more: what is added to each user's map, or NULL; an item of it may be NULL
 *
 * Return: the configuration; the caller frees it.
 */
struct config *config_of(const char *pool, uint32_t max_clients, const char *const *more);
/** begin() - no leases yet under @config, and the time is a quiet one */
void begin(struct config *config);

#endif

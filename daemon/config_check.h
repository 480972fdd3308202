/* What no schema can say: the rules between a server file's values. */
#ifndef DAEMON_CONFIG_CHECK_H
#define DAEMON_CONFIG_CHECK_H

#include "common/doc.h"
#include "daemon/config.h"

/**
 * config_check() - check the values against each other and fill in what follows from them
 * @config: as schema_read() left it; gets the default pool, the pool sorted, dns4 and dns6, and
 *          where each user is described
 * @root: the tree that it came from, for places
 *
 * Addresses: at most one network per family, at least one in all.  Pool and fixed addresses lie in
 * one of them and are neither its network or broadcast address nor the server's own.  Ranges do
 * not overlap; no two users share a key or a fixed address.  A fixed address inside the pool is
 * fine: it is reserved for its user.
 *
 * Return: 0, also with errors in @problems; -ENOMEM.
 */
int config_check(struct config *config, const struct doc_node *root, struct problems *problems);

#endif

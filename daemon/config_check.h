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
 * not overlap; no two users share a key or a fixed address.  Networks behind users overlap neither
 * with the tunnel's nor with another user's.  A fixed address inside the pool is
 * fine: it is reserved for its user.
 *
 * Return: 0, also with errors in @problems; -ENOMEM.
 */
int config_check(struct config *config, const struct doc_node *root, struct problems *problems);

/* ---- between config_check.c and config_networks.c ---- */

#define CHECK_PATH_SIZE 160

struct check {
    struct config *config;
    const struct doc_node *root;
    struct problems *problems;
};

/** check_item_pos() - place and path of item @i of a list of @n, as near as the tree knows it. */
struct doc_pos check_item_pos(const struct check *c, const struct doc_node *list, const char *key,
                              size_t i, size_t n, char path[CHECK_PATH_SIZE]);
/**
 * check_user_pos() - place and path of a user's value, or of item @index of @n of its list
 *
 * The user's own place where the tree knows nothing nearer.
 */
struct doc_pos check_user_pos(const struct check *c, const struct config_user *user,
                              const char *key, size_t index, size_t n, char path[CHECK_PATH_SIZE]);
/** check_user_named() - false when its name was in error: that is said first, and has the place. */
bool check_user_named(const struct config_user *user);

/**
 * check_networks() - the networks behind users, and the routes that are pushed
 * @addresses_good: the tunnel's own networks are known
 *
 * Return: 0, also with errors; -ENOMEM.
 */
int check_networks(struct check *c, bool addresses_good);

#endif

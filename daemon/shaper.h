/*
 * Quality of service in the running server: what the kernel can do, who is connected, and what has
 * come of it.  What a user gets is worked out by daemon/qos.
 */
#ifndef DAEMON_SHAPER_H
#define DAEMON_SHAPER_H

#include <jansson.h>
#include <stdbool.h>

#include "common/err.h"

struct config;
struct net_conn;
struct net_set;
struct problems;
struct qos_support;
struct qos_tree;
struct server;
struct shaper;

/** shaper_open() - before anything is wanted.  Return: 0 or -errno. */
int shaper_open(struct server *s, struct err *err);
/** shaper_close() - NULL in the server is fine. */
void shaper_close(struct server *s);

/**
 * shaper_add() - the trees that @config and the present sessions want
 *
 * The first time that rates are asked for, the kernel is tried out.  What it cannot do is left out:
 * see shaper_announce().  Where many users are new at once, the first of them come first.
 *
 * Return: 0 or -errno.
 */
int shaper_add(struct server *s, const struct config *config, struct net_set *set, struct err *err);

/** shaper_laid() - the engine has the set that was made last.  Return: is there more to add? */
bool shaper_laid(struct server *s);

/**
 * shaper_lost() - is a large tree gone that was there, with its device or by somebody's hand?
 *
 * Then the next set begins with its first part again.
 */
bool shaper_lost(struct server *s);

/** shaper_announce() - log that users have rates now. */
void shaper_announce(struct server *s);
/** shaper_warn() - log what of the wish cannot be: at start; for a change, see shaper_notes(). */
void shaper_warn(struct server *s);

/**
 * shaper_notes() - what of @config's wish cannot be, in this kernel and with those connected now
 *
 * Also how many leaves shaper_add(), to be called before, has left for later.  For `vpnctl plan`
 * and `apply`: before it is in force.
 */
void shaper_notes(struct server *s, const struct config *config, struct problems *problems);

/** shaper_status() - for `vpnctl status`: {"state": "active", "reasons": [...]}; NULL without qos.
 */
json_t *shaper_status(struct server *s);

/** shaper_report() - the whole table, for `vpnctl qos`.  A reply, or NULL without memory. */
json_t *shaper_report(struct server *s);

/* ---- between shaper.c and shaper_report.c ---- */

/** shaper_tree() - what @config makes of those who are connected now.  Return: 0 or -ENOMEM. */
int shaper_tree(struct server *s, const struct config *config, struct qos_tree **tree);
/** shaper_conn() - its own, by which counters are read. */
struct net_conn *shaper_conn(const struct server *s);
/** shaper_support() - what this kernel can do, once shaper_tree() was called. */
const struct qos_support *shaper_support(const struct server *s);

#endif

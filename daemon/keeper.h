/*
 * The kernel, kept as the configuration and the sessions want it: the server's end of the engine
 * (netlink/reconcile.h).
 *
 * Theory of operation
 * -------------------
 * What is wanted is worked out whole each time, from the configuration and from who is connected
 * (daemon/desired): there is no second way in which a change of one session is carried out, and so
 * none that could differ.  Logins come in storms; what they change is gathered and handed over at
 * most every KEEPER_GATHER_MS, and less often where it takes long, so that the engine never has
 * more than a quarter of this thread.
 */
#ifndef DAEMON_KEEPER_H
#define DAEMON_KEEPER_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/err.h"
#include "daemon/config.h"
#include "netlink/set.h"

struct keeper;
struct net_conn;
struct net_plan;
struct net_waiting;
struct server;

#define KEEPER_GATHER_MS 100

/** keeper_open() - connect to the kernel; nothing is wanted yet.  Return: 0 or -errno. */
int keeper_open(struct server *s, struct err *err);
/** keeper_start() - want what the configuration in force says, and carry it out as far as can be.
 */
int keeper_start(struct server *s, struct err *err);
/** keeper_close() - take off everything that is ours; NULL is fine. */
void keeper_close(struct server *s);

/** keeper_fd() - readable when there is news; keeper_deadline(): when to call service at last. */
int keeper_fd(const struct keeper *k);
uint64_t keeper_deadline(const struct keeper *k);
void keeper_service(struct server *s);

/** keeper_changed() - who is connected has changed, or a device came: look soon. */
void keeper_changed(struct server *s);

/**
 * keeper_set() - what a configuration and the present sessions want
 * @only_sessions: leave out what the configuration asks for whoever is connected
 *
 * Return: 0 with a sorted set, to be freed; or -errno.
 */
int keeper_set(struct server *s, const struct config *config, bool only_sessions,
               struct net_set **out, struct err *err);
/** keeper_plan() - what carrying it out would do.  Return: 0 or -errno. */
int keeper_plan(struct server *s, const struct net_set *set, struct net_plan **out,
                struct err *err);
/**
 * keeper_old_clash() - does somebody else's object stand where one of ours is wanted already?
 *
 * That is known, and told: it need not keep anything else from being changed.
 */
bool keeper_old_clash(struct server *s, const struct net_object *want);
/**
 * keeper_waits() - is this wanted already, and does it wait?  A gateway that cannot be reached is
 * found out only by trying, so a plan alone does not know.  Return: why, or NULL.
 */
const struct net_waiting *keeper_waits(struct server *s, const struct net_object *want);
/**
 * keeper_clash() - what the last run found in the place of an object of this kind
 * @buf: at least NET_OP_FORMAT_SIZE bytes
 *
 * Return: the sentence, in @buf, or NULL.
 */
const char *keeper_clash(struct server *s, enum net_kind kind, char *buf);
/** keeper_last() - what the last run left: waiting, clashing, not as wanted.  NULL: none yet. */
const struct net_plan *keeper_last(const struct server *s);
/**
 * keeper_apply() - carry out @set, wholly or not at all but for old clashes
 * @set: taken over on success
 * @plan: from keeper_plan(), for this set
 */
int keeper_apply(struct server *s, struct net_set *set, const struct net_plan *plan,
                 struct err *err);
/** keeper_configure() - what the configuration in force says about drift. */
void keeper_configure(struct server *s);

/** keeper_conn() - for what the engine does not do: making a TUN device. */
struct net_conn *keeper_conn(const struct keeper *k);

/** keeper_report() - the engine's state, for `vpnctl status`.  A new reference or NULL. */
json_t *keeper_report(struct server *s);
/** keeper_rows() - every wanted object and how it stands, for `vpnctl routes`. */
json_t *keeper_rows(struct server *s);

#endif

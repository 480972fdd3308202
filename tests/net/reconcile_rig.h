/*
 * The engine on the real kernel, in a network namespace of its own, beside what others have:
 *
 *     tun0 (a TUN that this program holds)   ifb-tun0 (made by the engine)
 *     v0 ── v1 (a foreign veth pair, 192.0.2.1/24 on v0; rules, routes, queueing of others)
 */
#ifndef TESTS_NET_RECONCILE_RIG_H
#define TESTS_NET_RECONCILE_RIG_H

#include <stdint.h>

#include "netlink/reconcile.h"
#include "netlink/set.h"
#include "tests/net/witness.h"
#include "tests/unit/expect.h"

extern const struct net_owner owner; /* what tells ours from others' */

extern struct net_reconciler *engine; /* from engine_start() to engine_stop() */
extern int tun_fd;                    /* holds tun0 */
extern char news[8192];               /* what the engine had to say since it was last cleared */

/** rig_enter() - into the namespace, for main().  Return: 0, or EXIT_SKIP of tests/net/netns.h. */
int rig_enter(void);
/** rig_setup() - a group's set-up: tun0, and what others have */
int rig_setup(void **state);
/** rig_teardown() - a group's end */
int rig_teardown(void **state);
/** claim_tun() - a tun0 that was just made becomes ours by its alias */
void claim_tun(void);

/* ---- the wish -------------------------------------------------------------------------------- */

/** wish() - a server as its file might have it.  The caller frees it. */
struct net_set *wish(void);

void add_link(struct net_set *set, const char *name, const char *kind);
void add_addr(struct net_set *set, const char *dev, const char *text);
void add_route(struct net_set *set, const char *dev, const char *text, uint32_t table);
/** add_uid_rule() - what the user @uid sends looks in @table, at priority 10000 + @table */
void add_uid_rule(struct net_set *set, uint8_t family, uint32_t uid, uint32_t table);
/** add_shaper() - HTB on @dev with so many classes below that of all, their queues and filters */
void add_shaper(struct net_set *set, const char *dev, uint16_t classes);

/* ---- the engine and its loop ----------------------------------------------------------------- */

void engine_start(enum net_drift drift);
void engine_stop(void);
/** start_with() - an engine starts, carries that out, to the last object, and stops */
void start_with(const struct net_set *set);

/** now_ms() - the clock that the engine is given */
uint64_t now_ms(void);
/** want() - want that from now on, and have a first go at it */
void want(const struct net_set *set);
/** settle() - turn the main loop until the engine has had nothing to do for a while */
void settle(void);
/**
 * until_says() - turn the main loop until a witness sees something
 *
 * Return: how long it took until the witness was asked, in ms: the engine does nothing meanwhile.
 * It has as much time between the questions as they take, which in an emulated machine is long.
 */
uint64_t until_says(const char *command, const char *words);

/* ---- what is there --------------------------------------------------------------------------- */

/** dump_all() - everything there is, without what counts or ages.  The caller frees it. */
char *dump_all(void);
/** check_dump() - everything is as it was when dump_all() returned @before */
void check_dump(const char *before);
/** check_all_there() - the witnesses see what is in wish() */
void check_all_there(void);
/** check_foreign() - what others have is as it was before the first test */
void check_foreign(void);

#endif

/*
 * The engine on a kernel of our own making, on a clock of the test's own, beside what others have.
 */
#ifndef TESTS_UNIT_RECONCILE_RIG_H
#define TESTS_UNIT_RECONCILE_RIG_H

#include <stdbool.h>
#include <stdint.h>

#include "netlink/reconcile.h"
#include "tests/unit/expect.h"
#include "tests/unit/fake_kernel.h"

extern const struct net_owner owner; /* what tells ours from others' */

extern struct fake fake;
extern struct net_reconciler *engine;
extern uint64_t now_ms;
extern char news[16384]; /* what the engine had to say: lines of "KIND: TEXT" */

/**
 * setup() - a kernel with tun0 (ours), eth0 and more of others; the engine repairs, and nothing is
 * wanted yet
 */
int setup(void **state);
int teardown(void **state);

/* ---- the engine ------------------------------------------------------------------------------ */

/** want() - want that from now on, and have a first go at it */
void want(const struct net_set *set);
/** pass() - time passes, and the engine sees to what is due */
void pass(uint64_t ms);
/** status() - as net_reconciler_status() has it */
struct net_reconciler_status status(void);

/* ---- what is there --------------------------------------------------------------------------- */

/** is_foreign() - is that object of the kernel's somebody else's? */
bool is_foreign(const struct net_object *object);
/**
 * lines() - the kernel's objects as text
 * @foreign: others', or else ours
 *
 * Return: a line each, in one order; the caller frees them.
 */
char *lines(bool foreign);

/* ---- what is wanted -------------------------------------------------------------------------- */

/** add() - add an object to a wish; @dev: on that device, unless NULL */
void add(struct net_set *set, const struct net_object *object, const char *dev);
/** small_wish() - tun0, a route on it and one rule.  The caller frees it. */
struct net_set *small_wish(void);
/** has_rule() - does the kernel have the rule of small_wish()? */
bool has_rule(void);
/** remove_rule() - somebody removes it */
void remove_rule(void);

#endif

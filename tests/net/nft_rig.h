/*
 * What the tests of netlink/nft start from: a ruleset of their own, a table with one rule of each
 * shape that the product writes, and nft(8) as the witness and as somebody else.
 *
 * The program makes a network namespace and then becomes what the daemon is: an ordinary uid with
 * CAP_NET_ADMIN and nothing else.
 */
#ifndef TESTS_NET_NFT_RIG_H
#define TESTS_NET_NFT_RIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "netlink/conn.h"
#include "netlink/firewall.h"
#include "netlink/nft.h"
#include "tests/unit/expect.h"

extern struct net_conn *conn;

/**
 * rig_enter() - become the daemon in a namespace of its own, for main()
 *
 * Return: 0, or EXIT_SKIP of tests/net/netns.h.
 */
int rig_enter(void);
/** rig_setup() - a group's set-up: the connection */
int rig_setup(void **state);
int rig_teardown(void **state);
/** clean() - a test's end: no ruleset is left, also by a test that failed */
int clean(void **state);

/* ---- nft(8) ---------------------------------------------------------------------------------- */

/** run() - a line for the shell.  Return: whether it succeeded. */
bool run(const char *command);
/** nft() - what nft(8) must be able to do */
void nft(const char *command);
/** listing() - what it says to "list @what", without what was counted; good until the next call */
const char *listing(const char *what);
/** generation() - the ruleset's number, which each transaction raises */
uint32_t generation(void);

/* ---- what is wanted -------------------------------------------------------------------------- */

#define RULE(...) ((struct net_fw_rule){__VA_ARGS__})

/** add() - add a rule to a wish; @from, @to: prefixes or NULL */
void add(struct net_firewall *fw, struct net_fw_rule rule, const char *from, const char *to);
/** example() - one rule of each shape, and the widths of prefixes.  The caller clears it. */
struct net_firewall example(void);

/* ---- what is there --------------------------------------------------------------------------- */

/** current() - what the kernel has of the server's table.  The caller clears it. */
struct net_firewall current(void);
/** expect_same() - it must be exactly that */
void expect_same(const struct net_firewall *want);
/**
 * expect_family() - nft(8) must show the very lines that we would print
 * @family: "inet" has all chains but that of ARP, "arp" the other
 * @first, @end: the rules that are in that family's table
 */
void expect_family(const struct net_firewall *fw, const char *family, size_t first, size_t end);
/** expect_listing() - the same of both families */
void expect_listing(const struct net_firewall *fw);

#endif

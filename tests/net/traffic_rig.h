/*
 * What the tests of netlink/'s traffic control start from: two devices in a network namespace, our
 * messages to the kernel, and what its dumps show of them.
 *
 *   host ── tq0 (TUN; the program is the wire)      tq1 (ifb)
 */
#ifndef TESTS_NET_TRAFFIC_RIG_H
#define TESTS_NET_TRAFFIC_RIG_H

#include <stddef.h>
#include <stdint.h>

#include "netlink/class.h"
#include "netlink/conn.h"
#include "netlink/filter.h"
#include "netlink/qdisc.h"
#include "tests/unit/expect.h"

#define SEEN_MAX 64

extern struct net_conn *conn;
extern int tun_fd; /* holds tq0 */
extern uint32_t tun, ifb;

/**
 * rig_enter() - as root, into a namespace of its own; for main()
 *
 * Return: 0, or EXIT_SKIP of tests/net/netns.h.
 */
int rig_enter(void);
/** rig_setup() - a group's set-up: the connection and both devices */
int rig_setup(void **state);
int rig_teardown(void **state);
/** clean() - a test's end: nothing is left on the devices, also by a test that failed */
int clean(void **state);

/* ---- what we say ----------------------------------------------------------------------------- */

int qdisc_do(enum net_tc_verb verb, const struct net_qdisc *qdisc, struct err *err);
int class_do(enum net_tc_verb verb, const struct net_class *cls, struct err *err);
int filter_do(enum net_tc_verb verb, const struct net_filter *filter, struct err *err);

/** htb_on() - the root 1: of a device, whose default class is 1:2 */
struct net_qdisc htb_on(uint32_t ifindex);
/** class_on() - a class of 1: with that rate and twice the ceiling */
struct net_class class_on(uint32_t ifindex, uint32_t minor, uint32_t parent_minor, uint64_t kbit);
/** small_tree() - add 1: with a total, 1:2, 1:10 and 1:11 (hexadecimal) */
void small_tree(uint32_t ifindex);

/* ---- what is there --------------------------------------------------------------------------- */

/* What the last dump showed; stats are of qdiscs and classes. */
struct seen {
    struct net_qdisc qdisc[SEEN_MAX];
    struct net_class cls[SEEN_MAX];
    struct net_filter filter[SEEN_MAX];
    struct net_tc_stats stats[SEEN_MAX];
    size_t n;
};

extern struct seen seen;

/** qdiscs(), classes(), filters() - dump them into seen; classes are those of 1:.  Return: seen.n.
 */
size_t qdiscs(uint32_t ifindex);
size_t classes(uint32_t ifindex);
size_t filters(uint32_t ifindex, uint32_t parent);

/** class_packets() - how many packets have passed class 1:@minor? */
uint64_t class_packets(uint32_t ifindex, uint32_t minor);
/** ping_out() - send four bytes to port 9 of @to by UDP, through tq0 */
void ping_out(const char *to);

#endif

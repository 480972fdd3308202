/*
 * What the tests of netlink/ start from: the daemon's rights in a network namespace with one
 * device.
 *
 * The program makes the namespace, opens the TUN descriptors while it may, as the spawner does,
 * and then becomes what the daemon is: an ordinary uid with CAP_NET_ADMIN and nothing else.
 */
#ifndef TESTS_NET_NETLINK_RIG_H
#define TESTS_NET_NETLINK_RIG_H

#include <stdbool.h>
#include <stdint.h>

#include "netlink/addr.h"
#include "netlink/conn.h"
#include "netlink/link.h"
#include "netlink/route.h"
#include "tests/unit/expect.h"

#define ORDINARY_UID  64123
#define FOREIGN_PROTO 4 /* RTPROT_STATIC: an administrator's */

extern struct net_conn *conn;
extern bool full_root; /* false: root only in a user namespace of its own */

/* The device that most tests work on: the TUN tst0 as it was made, and what holds it. */
extern struct net_link dev;
extern int dev_fd;

/**
 * rig_enter() - become the daemon in a namespace of its own, for main()
 *
 * Return: 0, or EXIT_SKIP of tests/net/netns.h.
 */
int rig_enter(void);

/** rig_setup() - a group's set-up: the connection, and the device, which is down */
int rig_setup(void **state);
/** rig_setup_up() - the same, and the device is up, without an address of the kernel's own */
int rig_setup_up(void **state);
/** rig_teardown() - a group's end: the device goes with its descriptor */
int rig_teardown(void **state);

/** rig_take_tun() - another descriptor of /dev/net/tun, without a device; the caller closes it */
int rig_take_tun(void);

/* What a dump showed: how many objects equal one in question, and how many in all. */
struct count {
    const void *want;
    unsigned int same; /* also in what may change in place */
    unsigned int id;   /* by what identifies them */
    unsigned int all;
};

/** addrs() - dump the addresses of @want's device */
struct count addrs(const struct net_addr *want);
/** routes() - dump the routes of @want's family and table; @protocol: of that alone, 0 for all */
struct count routes(const struct net_route *want, uint8_t protocol);

#endif

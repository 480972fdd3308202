/*
 * A network namespace of the test program's own, and the descriptors for the TUN devices in it.
 *
 * These functions are for main(): what cannot be had on this machine skips the program.
 */
#ifndef TESTS_NET_NETNS_H
#define TESTS_NET_NETNS_H

#include <stddef.h>

#define EXIT_SKIP 77 /* to tests/run: skipped, and the last line says why */

/** netns_skip() - say why these tests cannot run, with what errno says.  Return: EXIT_SKIP. */
int netns_skip(const char *why);

/**
 * netns_enter() - go into a new network namespace; who is not root, into a user namespace as well
 *
 * Return: 0 or EXIT_SKIP.
 */
int netns_enter(void);

/** netns_enter_as_root() - the same where only root will do.  Return: 0 or EXIT_SKIP. */
int netns_enter_as_root(void);

/**
 * netns_open_tuns() - open /dev/net/tun
 * @fds: where @n descriptors of no device yet are put, for tun_attach()
 *
 * Return: 0 or EXIT_SKIP.
 */
int netns_open_tuns(int *fds, size_t n);

#endif

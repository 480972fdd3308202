/*
 * What the client's tunnels mean for the packet filter.
 *
 * Theory of operation: Linux takes a packet for any of its addresses on any of its interfaces.  So
 * whoever shares a network with the client can send packets to its *tunnel* address, with a guessed
 * inner source, and learns from the encrypted answers which connections exist inside the tunnel, or
 * injects into them (CVE-2019-14899).  A tunnel's addresses are therefore reached through the
 * tunnel alone, and by this host itself.  What a tunnel may bring in is checked elsewhere: the
 * enclave accepts only inner sources that are routed into it.
 *
 * And ARP is marked when neighbours.h asks for it.
 *
 * Pure: no system call.
 */
#ifndef CLIENT_FIREWALL_H
#define CLIENT_FIREWALL_H

#include <stddef.h>

#include "client/netstate.h"

struct net_set;

/**
 * firewall_guard() - add the table that @n tunnels need to a set; nothing while none has an address
 * @arp_mark: what ARP is marked with; 0: with nothing
 *
 * Return: 0, -ENOMEM, or -ENOSPC when there are too many.
 */
int firewall_guard(const struct netstate *const *tunnels, size_t n, uint32_t arp_mark,
                   struct net_set *set);

#endif

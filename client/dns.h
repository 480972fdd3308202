/*
 * Asking name servers past the tunnels.
 *
 * Theory of operation
 * -------------------
 * A server's name has to be looked up just when its tunnel does not work: before the first login
 * of a tunnel that blocks what it does not carry, or when a server has moved and no longer answers.
 * The C library's resolver would ask through that very tunnel.  So these questions leave from
 * sockets of our own that carry the client's mark (routing.h), as the tunnels' datagrams do.
 *
 * They also leave from one UDP port, taken at the start: a host that checks whether a packet came
 * in where its answer would go out (rp_filter) looks without a mark, and the rule that lets the
 * name servers' answers pass that check names the port.  It lies below those that the kernel gives
 * to programs that ask for any, so that none of them is let out by accident when the rule outlives
 * us.
 */
#ifndef CLIENT_DNS_H
#define CLIENT_DNS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/err.h"
#include "common/ip.h"

#define DNS_PORT_FIRST 20000
#define DNS_PORT_LAST  31999

struct dns {
    uint32_t mark;
    bool opened;
    uint16_t port; /* of IPv4 questions; 0 on a host without IPv4 */
    int fd;        /* holds the port; nothing is read from it; -1: none */
};

/** dns_open() - take a port.  Return: 0; or -errno, and there is nothing to close. */
int dns_open(struct dns *dns, uint32_t mark, struct err *err);
/** dns_close() - give it back; no lookup may be under way; a zeroed or closed one is fine. */
void dns_close(struct dns *dns);

/**
 * dns_lookup() - the addresses of a name, by /etc/hosts and the name servers of /etc/resolv.conf
 * @addrs: room for @max
 * @n:     how many were found, at least one
 *
 * Where only a local resolver is named, as systemd-resolved does, and it has no answer, its own
 * name servers are asked.  Waits for the answer, some seconds at most: for the helper thread.
 *
 * Return: 0; -ENOENT when there is no such name; -EIO with the reason.
 */
int dns_lookup(const struct dns *dns, const char *host, struct ip_addr *addrs, size_t max,
               size_t *n, struct err *err);

#endif

/*
 * A server's name to addresses, on the helper thread.
 *
 * First past all tunnels (dns.h); then as everybody on this host does, which knows more than name
 * servers (nsswitch.conf), but may ask through a tunnel.
 */
#ifndef CLIENT_RESOLVE_H
#define CLIENT_RESOLVE_H

#include <stddef.h>

#include "client/dns.h"
#include "common/helper.h"
#include "common/ip.h"

#define RESOLVE_MAX 8

/* What came of it. */
struct resolve_result {
    struct ip_addr addrs[RESOLVE_MAX];
    size_t n;
    char why[128]; /* when n is 0: a part of a sentence */
};

/** resolve_done - the answer, on the loop's thread; not called for a lookup that a closing helper
 * cancelled. */
typedef void resolve_done(void *ctx, const struct resolve_result *result);

/**
 * resolve_start() - look a name up
 * @dns: must live until the helper is closed
 * @host: a name; a literal address is better parsed
 * @ctx: must live until @callback was called or the helper was closed
 *
 * Return: 0 or -ENOMEM.
 */
int resolve_start(struct helper *helper, const struct dns *dns, const char *host,
                  resolve_done *callback, void *ctx);

/**
 * resolve_alternate() - order addresses so that the families take turns
 *
 * The first stays first: the resolver has put the best there (RFC 6724).  So a client behind a
 * network whose IPv6 is broken waits for one answer in vain, and not for all of them.  Pure.
 */
void resolve_alternate(struct ip_addr *addrs, size_t n);

#endif

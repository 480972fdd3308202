/*
 * How far a tunnel's server is believed when it says which networks it leads to.
 *
 * Theory of operation: a tunnel without `routes:` takes what its server pushes, also everything.
 * That is the operator's word for one server, and no server's word against what he has written for
 * another.  So beside a tunnel that takes everything by the file, a server can push private
 * networks alone: whatever is on the internet goes where the file says.  And of several tunnels
 * without routes none takes a pushed default route, which two could not have together.  Tunnels
 * with uids or a table of their own are not concerned: they meet no other.
 *
 * Pure: no system call.
 */
#ifndef CLIENT_TRUST_H
#define CLIENT_TRUST_H

#include <stdbool.h>
#include <stddef.h>

#include "client/profile.h"

enum trust {
    TRUST_ALL,
    TRUST_NO_DEFAULT, /* nor its halves */
    TRUST_PRIVATE,
};

/** trust_of() - which one is due to tunnel @number of a file? */
enum trust trust_of(const struct profile *p, size_t number);

/** trust_takes() - may a network be routed into such a tunnel because its server says so? */
bool trust_takes(enum trust trust, const struct ip_prefix *network);

#endif

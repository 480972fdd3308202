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
 * Private networks are the other one's as well: its own, in which its gateway and its name servers
 * mostly are, and those that the file names for it.  A tunnel to some networks is asked before the
 * one that takes everything, so a route that overlaps them, longer or shorter, would lead there
 * what is meant for these: its server could answer as the name server.  Of these the lease's are
 * known with the first lease, which may come after the other tunnel's routes; then those go again.
 *
 * Pure: no system call.
 */
#ifndef CLIENT_TRUST_H
#define CLIENT_TRUST_H

#include <stdbool.h>
#include <stddef.h>

#include "client/profile.h"
#include "common/ipc.h"

enum trust {
    TRUST_ALL,
    TRUST_NO_DEFAULT, /* nor its halves */
    TRUST_PRIVATE,
};

/* What a tunnel that takes everything keeps, whatever another one's server says. */
struct trust_kept {
    struct ip_prefix lease[6];      /* of each family: network, gateway, name server */
    size_t n_lease;                 /* 0: none was had yet */
    const struct ip_prefix *routes; /* of the file; borrowed */
    size_t n_routes;
};

/** trust_of() - which one is due to tunnel @number of a file? */
enum trust trust_of(const struct profile *p, size_t number);

/** trust_takes() - may a network be routed into such a tunnel because its server says so? */
bool trust_takes(enum trust trust, const struct ip_prefix *network);

/** trust_is_full() - is this a tunnel that takes everything by the file, from all of this host? */
bool trust_is_full(const struct profile_tunnel *t);

/**
 * trust_keep() - note what such a tunnel keeps
 * @lease: NULL when there was none yet
 * @kept: holds what was noted before; @t must outlive it
 *
 * Return: is it something else than before?
 */
bool trust_keep(const struct profile_tunnel *t, const struct ipc_lease *lease,
                struct trust_kept *kept);

/** trust_is_kept() - does a network overlap any of it? */
bool trust_is_kept(const struct trust_kept *kept, const struct ip_prefix *network);

#endif

/*
 * Sessions as the server knows them: which peer of the enclave is which user's device, since when,
 * with which lease.  A login comes here when the enclave has found it authentic.
 */
#ifndef DAEMON_SESSION_H
#define DAEMON_SESSION_H

#include <stdint.h>

#include "common/ipc.h"
#include "daemon/datapath/datapath.h"
#include "daemon/datapath/pmtu.h"
#include "daemon/lease.h"

struct server;

enum server_session_state {
    SERVER_SESSION_NONE,
    SERVER_SESSION_RESERVED, /* answered; the client has not confirmed yet */
    SERVER_SESSION_BOUND,
    SERVER_SESSION_ENDING, /* told good-bye; its keys go in a moment */
};

/* By these the two ends know one session of a peer; 0: none. */
struct session_indexes {
    uint32_t client, server;
};

/* One per peer slot of the enclave. */
struct server_session {
    uint32_t peer; /* handle */
    enum server_session_state state;
    struct lease *lease;              /* NULL when ending */
    uint64_t since_us;                /* CLOCK_REALTIME of the confirmation */
    uint64_t changed_ms;              /* since when RESERVED or ENDING */
    struct session_indexes confirmed; /* what the client is known to have */
    struct session_indexes answered;  /* of a login that it has not confirmed, perhaps never will */
    uint32_t newer, older; /* networks.c: the user's devices by when they connected; 0: none */
    struct pmtu pmtu;
};

struct sessions;

struct sessions *sessions_new(void);
void sessions_free(struct sessions *s);

/** sessions_unknown() - a transport message nobody has a session for: STALE, within limits. */
void sessions_unknown(struct server *s, const struct dp_event *event);
/** sessions_auth() - the enclave authenticated a login and asks for a lease. */
void sessions_auth(struct server *s, const struct ipc_hs_auth *auth);
/** sessions_response() - the enclave's answer to a login: note the session, send it. */
void sessions_response(struct server *s, const struct ipc_hs_response *response);
/** sessions_promoted() - the client confirmed: bind its lease, route its addresses. */
void sessions_promoted(struct server *s, uint32_t peer);
/** sessions_disconnect() - the client says good-bye. */
void sessions_disconnect(struct server *s, uint32_t peer, uint8_t reason);
/** sessions_control() - a client's control record; the enclave has checked it. */
void sessions_control(struct server *s, uint32_t peer, const uint8_t *record, size_t len);
/** sessions_close_user() - the user is no longer ours: end all its sessions and tell why. */
void sessions_close_user(struct server *s, uint32_t id, const char *why);
/**
 * sessions_kick() - the operator ends a user's sessions; its devices wait for theirs
 * @device: the beginning of a device id in hexadecimal, "" for all devices
 *
 * Return: how many there were.
 */
uint32_t sessions_kick(struct server *s, uint32_t id, const char *device);
/**
 * sessions_readdress() - end the sessions whose addresses do not fit the configuration any more
 * @id: the user
 * @strict: as leases_fit(); its description has changed
 *
 * Their clients reconnect at once and get others.
 */
void sessions_readdress(struct server *s, uint32_t id, bool strict);
/** sessions_readdress_all() - the same for every user's. */
void sessions_readdress_all(struct server *s, bool strict);
/** sessions_push() - tell every client the first page of the routes: they have changed. */
void sessions_push(struct server *s);
/** sessions_tick() - time-outs. */
void sessions_tick(struct server *s);
/** sessions_clear() - forget all of them (the enclave that knew them is gone). */
void sessions_clear(struct server *s);
/** sessions_goodbye() - tell every client that we shut down. */
void sessions_goodbye(struct server *s);

/** sessions_roster() - note where the client is, for a start after this run. */
void sessions_roster(struct server *s, uint32_t peer);
/** sessions_measure() - how large may packets on this path be?  @fresh: the path is another one. */
void sessions_measure(struct server *s, uint32_t peer, bool fresh);
/** sessions_measure_all() - our sockets are others: let every client hear from them. */
void sessions_measure_all(struct server *s);
/** sessions_probed() - a probe of the path was answered. */
void sessions_probed(struct server *s, uint32_t peer, uint64_t id);
/** sessions_shrunk() - the kernel refused a packet for its size. */
void sessions_shrunk(struct server *s, uint32_t peer);
/** sessions_probe() - send the probes that are due; sets server.probe_ms. */
void sessions_probe(struct server *s);

/** session_get() - the session of a peer's handle, NULL when it is over. */
struct server_session *session_get(struct sessions *s, uint32_t peer);
/** sessions_each() - walk over all sessions that are not NONE.  NULL after the last. */
struct server_session *sessions_each(struct sessions *s, struct server_session *after);
/** sessions_bound() - number of confirmed sessions. */
uint32_t sessions_bound(const struct sessions *s);

/* ---- between session.c and session_change.c ---- */

/** session_name() - its user's; not for one that is ENDING. */
const char *session_name(const struct server *s, const struct server_session *session);
/** session_end() - forget it here and in the enclave. */
void session_end(struct server *s, struct server_session *session);
/** session_close() - end it and let the client know why; one that nobody confirmed just ends. */
void session_close(struct server *s, struct server_session *session, uint8_t reason);

#endif

/*
 * What the main thread asks a path: how large its packets may be (pmtu.h), and once more whether
 * the peer is there (peers.h).  Shared by both daemons; one struct pmtu per session.
 */
#ifndef DAEMON_DATAPATH_PROBE_H
#define DAEMON_DATAPATH_PROBE_H

#include "daemon/datapath/datapath.h"
#include "daemon/datapath/pmtu.h"

/**
 * probe_begin() - a session was confirmed, or its path has changed: measure it
 * @fresh: another path: what is known of the old one counts no more
 */
void probe_begin(struct datapath *dp, uint32_t peer, struct pmtu *p, bool fresh, uint64_t now_ms);

/** probe_answered() - DP_EVENT_PONG: a probe was answered. */
void probe_answered(struct datapath *dp, uint32_t peer, struct pmtu *p, uint64_t id);

/** probe_shrunk() - DP_EVENT_SHRUNK: the kernel refused a packet for its size. */
void probe_shrunk(struct datapath *dp, uint32_t peer, struct pmtu *p, uint64_t now_ms);

/** probe_tick() - send what is due.  Return: when to be called again, PMTU_NEVER for never. */
uint64_t probe_tick(struct datapath *dp, uint32_t peer, struct pmtu *p, uint64_t now_ms);

/** probe_path() - ask a path that is not proven yet again; about once a second. */
void probe_path(struct datapath *dp, uint32_t peer);

#endif

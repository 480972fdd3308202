/*
 * Who is connected, noted where the next start of a killed server finds it.
 *
 * Theory of operation
 * -------------------
 * A client that sends something to a server that has forgotten it is told so at once (STALE).  One
 * that is idle would not notice before its next keepalive, and is out of reach until then.  So the
 * server notes of each session its two indexes and where its client is, and after a restart, its
 * own or the enclave's, tells the clients unasked: a STALE that echoes both indexes, which only the
 * two ends and who sees their packets know, in place of a packet's counter.
 *
 * The notes are 64 bytes per session in a file beside the control socket, below /run: no disk waits
 * for them.  They say nothing after a boot, nor once the session's keys have ended.  Believing a
 * wrong note costs a client one PING.
 */
#ifndef DAEMON_ROSTER_H
#define DAEMON_ROSTER_H

#include <stdint.h>

#include "common/clock.h"
#include "common/err.h"
#include "daemon/datapath/datapath.h"

#define ROSTER_LIFE_MS 180000 /* keys of a session end by then */

struct roster;

/**
 * roster_file() - open the file; before privileges are dropped: its folder may be root's
 * @socket: the control socket's path
 *
 * One that others may have written (its owner, its mode, another name for it) is not believed: a
 * new one takes its place.
 *
 * Return: a descriptor, or -errno with the sentence.
 */
int roster_file(const char *socket, struct err *err);

/**
 * roster_new() - take over the file and what an earlier run has noted in it
 * @fd: closed by roster_free(); -1: nothing is noted for later runs
 *
 * Return: NULL without memory.
 */
struct roster *roster_new(int fd);
void roster_free(struct roster *r);

/**
 * roster_note() - a session is confirmed, has another key, or its client is elsewhere
 * @slot: of the peer in the enclave's handle
 */
void roster_note(struct roster *r, uint32_t slot, uint32_t server_index, uint32_t client_index,
                 const struct path *path, uint64_t now_ms);
/** roster_strike() - the session is over. */
void roster_strike(struct roster *r, uint32_t slot);

/** roster_recall() - all sessions are lost: their clients are to be told. */
void roster_recall(struct roster *r);
/**
 * roster_tell() - tell some of those who are to be told
 *
 * Each is told three times, a second apart: datagrams get lost, and who is back already ignores it.
 * Call it when packets can be sent, and then about once a second.
 */
void roster_tell(struct roster *r, struct datapath *dp, const struct clock *now);

#endif

/*
 * From leases in memory to leases on disk, without ever waiting for it.
 *
 * Theory of operation
 * -------------------
 * What lease.c marks as unsaved is copied into a job for the helper thread, some hundred at most,
 * one job at a time and not more than ten a second; meanwhile more may gather.  When something
 * fails (disk full, read-only, file removed), that is said once, the service goes on, and after a
 * pause the file is opened anew and everything written again.
 *
 * The file is read once, at the start, before the first client can log in; or, if that failed, as
 * soon as it can be read: then who has not come back yet finds his addresses if they are free.
 */
#ifndef DAEMON_LEASE_WRITER_H
#define DAEMON_LEASE_WRITER_H

#include <stdbool.h>
#include <stdint.h>

#include "common/err.h"

struct server;
struct lease_writer;

/**
 * lease_writer_new() - open the file and restore the leases; the loop does not turn yet
 *
 * A file that cannot be used is no reason not to start.  server.users, leases and helper are there.
 *
 * Return: NULL without memory.
 */
struct lease_writer *lease_writer_new(struct server *s);
/**
 * lease_writer_free() - write what is left and close the file
 * @wait_ms: for a disk that is slow; what does not get there in time is lost
 *
 * The helper's jobs are done or cancelled after that, unless it is stuck: then the writer is left
 * as it is.  NULL is fine.
 */
void lease_writer_free(struct lease_writer *w, uint32_t wait_ms);

/** lease_writer_run() - once per turn of the loop: hand over what is to be written. */
void lease_writer_run(struct lease_writer *w);
/** lease_writer_due_ms() - when lease_writer_run() should be called at the latest. */
uint64_t lease_writer_due_ms(const struct lease_writer *w);
/** lease_writer_tick() - about once a second: who is connected is seen. */
void lease_writer_tick(struct lease_writer *w);

/** lease_writer_error() - why leases are not kept at this moment, or NULL. */
const char *lease_writer_error(const struct lease_writer *w);

#endif

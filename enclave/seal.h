/*
 * The ladder: each step gives up something for good.  enclave/main.c climbs it in order.
 */
#ifndef ENCLAVE_SEAL_H
#define ENCLAVE_SEAL_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "common/ipc.h"

/* What was reached; IPC_READY carries it to the log and to `vpnctl status`. */
struct seal {
    uint8_t step[IPC_NUM_STEPS]; /* enum ipc_step_state */
    bool root;                   /* started with the rights to climb all of it */
};

/** seal_mark() - note how a step went.  Return: @ok. */
bool seal_mark(struct seal *s, enum ipc_step step, bool ok);

/** seal_memlock() - raise RLIMIT_MEMLOCK; before the libraries take locked memory. */
void seal_memlock(struct seal *s);

/** seal_memory() - lock all memory as it is touched (MCL_ONFAULT). */
void seal_memory(struct seal *s);

/**
 * seal_isolate() - own network, mount, IPC and UTS namespaces; an empty root; no capabilities;
 * another uid; no new privileges; no file system by Landlock; not dumpable; dies with its parent
 * @uid, @gid: who to become
 * @parent: pid that must still be our parent at the end
 *
 * Without root the steps that need it are marked as not available and the rest is done.
 *
 * Return: 0, or -errno when a step failed that must not fail.
 */
int seal_isolate(struct seal *s, uid_t uid, gid_t gid, pid_t parent);

/** seal_descriptors() - close every descriptor that is not in @keep (sorted ascending). */
int seal_descriptors(struct seal *s, const int *keep, size_t n_keep);

/** seal_limits() - no new processes, no new descriptors, no files, no core. */
int seal_limits(struct seal *s, unsigned int descriptors);

/**
 * seal_seccomp() - the list of system calls that remain, for all threads; anything else kills
 *
 * Return: 0 or -errno.
 */
int seal_seccomp(struct seal *s);

#endif

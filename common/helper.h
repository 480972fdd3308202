/*
 * The one helper thread, for what has no non-blocking form: getaddrinfo() and SQLite.
 *
 * Theory of operation: the loop's thread queues a job; the helper runs the jobs one after another
 * in the order in which they came; helper_fd() becomes readable, and helper_service() calls each
 * job's done() back on the loop's thread.  So a job is at every moment in one hand: its owner's
 * until helper_submit(), the helper's until done() is called, and its owner's again from there.
 * No other state is shared, and owners need no lock.
 */
#ifndef COMMON_HELPER_H
#define COMMON_HELPER_H

#include <stdbool.h>
#include <stdint.h>

struct helper;
struct helper_job;

/* Runs on the helper thread: may block, must not touch anything but the job. */
typedef void helper_work(struct helper_job *job);
/*
 * Runs on the loop's thread.  @cancelled: the helper is being closed and the work was not done.
 * The job may be freed, or submitted again unless it was cancelled.
 */
typedef void helper_done(struct helper_job *job, bool cancelled);

/* Embedded in what the job works on; the owner fills in the two functions. */
struct helper_job {
    helper_work *work;
    helper_done *done;
    struct helper_job *next; /* the helper's */
};

/**
 * helper_new() - start the thread; call it after signals are blocked and privileges are dropped
 *
 * Return: 0 or -errno.
 */
int helper_new(struct helper **out);

/**
 * helper_close() - end the thread
 * @wait_ms: how long to wait for the job that is running
 *
 * Jobs that have not begun are cancelled.  One that does not end in time (a name server that does
 * not answer) cannot be stopped: then the thread, the helper and that job are left as they are:
 * call it again later, or end the process.  NULL is fine.
 *
 * Return: 0, or -ETIMEDOUT in that case.
 */
int helper_close(struct helper *helper, uint32_t wait_ms);

/** helper_submit() - hand over a job; it is not in the queue already. */
void helper_submit(struct helper *helper, struct helper_job *job);

/** helper_fd() - readable when helper_service() has something to do. */
int helper_fd(const struct helper *helper);
/** helper_service() - call done() of the jobs that have ended. */
void helper_service(struct helper *helper);

#endif

/*
 * The main thread's loop: one epoll set, signals as a descriptor, and the caller's own switch.
 *
 * There are no callbacks: loop_wait() says which sources are ready, by the number the caller gave
 * them, so that a program's main loop reads as one switch on a page.
 */
#ifndef COMMON_LOOP_H
#define COMMON_LOOP_H

#include <signal.h>
#include <stddef.h>
#include <stdint.h>

#define LOOP_EVENTS 16

struct loop {
    int epoll;
    int signals; /* signalfd, -1 before loop_signals() */
};

int loop_init(struct loop *loop);
void loop_clear(struct loop *loop);

/** loop_add() - watch @fd for reading; @source is what loop_wait() will report.  0 or -errno. */
int loop_add(struct loop *loop, int fd, uint32_t source);

/**
 * loop_signals_hold() - from here on these signals wait for loop_signals()
 *
 * For those that must neither end a program that is starting nor be lost.  Return: 0 or -errno.
 */
int loop_signals_hold(const int *signals, size_t n);
/**
 * loop_signals() - block these signals and report them as @source
 *
 * Call before threads are started, so that they inherit the mask.
 */
int loop_signals(struct loop *loop, const int *signals, size_t n, uint32_t source);
/** loop_signal() - the next pending signal's number, 0 when there is none. */
int loop_signal(struct loop *loop);

/**
 * loop_wait() - wait for sources
 * @timeout_ms: -1 for ever
 * @sources: LOOP_EVENTS numbers
 *
 * Return: how many are ready; 0 on time-out or interruption.
 */
int loop_wait(struct loop *loop, int timeout_ms, uint32_t sources[LOOP_EVENTS]);

#endif

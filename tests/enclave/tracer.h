/*
 * Making another process's thread perform system calls of our choice, and reading memory that
 * only it can read (memfd_secret) by letting it write that memory into a pipe.  x86-64.
 */
#ifndef TESTS_ENCLAVE_TRACER_H
#define TESTS_ENCLAVE_TRACER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/user.h>

struct span {
    uint64_t start;
    size_t len;
    bool hidden; /* memfd_secret: the kernel itself cannot read it */
};

/** secret_region() - where the enclave @pid keeps its keys */
struct span secret_region(pid_t pid);

#if defined(__x86_64__)
#define TRACER_AVAILABLE

struct tracer {
    pid_t pid, tid;
    struct user_regs_struct saved; /* as they were when it stopped */
};

enum tracer_result {
    TRACER_RETURNED, /* the call came back; value: what it returned */
    TRACER_EXITED,   /* the thread ended by itself; value: its status */
    TRACER_KILLED,   /* a signal ended it; value: the signal */
};

/** tracer_stop() - stop thread @tid of process @pid in the system call it waits in */
void tracer_stop(struct tracer *t, pid_t pid, pid_t tid);
/**
 * tracer_call() - let it execute `syscall` with this number and these six arguments
 *
 * A thread that ends is gone when this returns; its process can be waited for.
 */
enum tracer_result tracer_call(struct tracer *t, long number, const unsigned long args[6],
                               long *value);
/** tracer_call_i386() - the same through `int $0x80`, where numbers mean other calls */
enum tracer_result tracer_call_i386(struct tracer *t, long number, long *value);
/** tracer_resume() - detach; for the thread its wait was interrupted */
void tracer_resume(struct tracer *t);

/** tracer_follow() - attach to a thread and let it run on, to be caught by tracer_catch_exit() */
void tracer_follow(struct tracer *t, pid_t pid, pid_t tid);
/**
 * tracer_catch_exit() - wait until one of @n followed threads is about to call exit_group(2)
 *
 * Return: that thread, stopped.
 */
struct tracer *tracer_catch_exit(struct tracer *threads, size_t n);
/** tracer_kill() - end a process whose threads may be traced, and wait for it */
void tracer_kill(pid_t pid);

/**
 * tracer_read() - copy @span of a stopped thread's memory to @out
 * @its_fd: a pipe in that process whose other end is @our_fd
 */
void tracer_read(struct tracer *t, struct span span, int its_fd, int our_fd, uint8_t *out);

#endif
#endif

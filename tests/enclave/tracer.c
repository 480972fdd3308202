/*
 * System calls by proxy; see tracer.h.
 *
 * Theory of operation
 * -------------------
 * A thread that waits in recvfrom(2) or futex(2) stands behind a `syscall` instruction.  Stopped
 * there, it is set back by the two bytes of that instruction with another number in rax, and let
 * go: the kernel sees a system call like any other, seccomp included (the filter runs after the
 * tracer's entry stop).
 */
#include "tests/enclave/tracer.h"

#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#define SYSCALL_INSN 0x050f
#define INT80_INSN   0x80cd
#define CHUNK        32768
#define SYSCALL_STOP (SIGTRAP | 0x80)

struct span secret_region(pid_t pid)
{
    struct span span = {0}, candidate = {0};
    uint64_t guard_end = 0;
    char path[64], line[512];
    FILE *maps;

    snprintf(path, sizeof(path), "/proc/%d/maps", (int)pid);
    maps = fopen(path, "r");
    assert_non_null(maps);
    /* The region lies between guard pages; memfd_secret gives it a name as well. */
    while (fgets(line, sizeof(line), maps)) {
        uint64_t start, end;
        char mode[8];

        if (sscanf(line, "%lx-%lx %7s", &start, &end, mode) != 3)
            continue;
        if (strstr(line, "/secretmem"))
            span = (struct span){start, end - start, true};
        if (candidate.len && strncmp(mode, "---", 3) == 0 &&
            start == candidate.start + candidate.len && !span.len)
            span = candidate;
        candidate = (struct span){0};
        if (strncmp(mode, "rw-p", 4) == 0 && start == guard_end && !strchr(line, '/'))
            candidate = (struct span){start, end - start, false};
        guard_end = strncmp(mode, "---", 3) == 0 ? end : 0;
    }
    fclose(maps);
    assert_true(span.len > 0);
    return span;
}

#if defined(TRACER_AVAILABLE)

static void *word(unsigned long value)
{
    return (void *)value; /* ptrace passes numbers as pointers */
}

static int wait_stop(struct tracer *t)
{
    int status;

    while (waitpid(t->tid, &status, __WALL) < 0)
        assert_int_equal(errno, EINTR);
    return status;
}

static void seize(struct tracer *t, pid_t pid, pid_t tid)
{
    t->pid = pid;
    t->tid = tid;
    if (ptrace(PTRACE_SEIZE, tid, NULL, word(PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACEEXIT)) < 0)
        fail_msg("ptrace: %s", strerror(errno));
}

static bool behind_syscall(struct tracer *t)
{
    long insn;

    assert_int_equal(ptrace(PTRACE_GETREGS, t->tid, NULL, &t->saved), 0);
    errno = 0;
    insn = ptrace(PTRACE_PEEKTEXT, t->tid, word(t->saved.rip - 2), NULL);
    return errno == 0 && (insn & 0xffff) == SYSCALL_INSN;
}

void tracer_stop(struct tracer *t, pid_t pid, pid_t tid)
{
    seize(t, pid, tid);
    for (;;) {
        assert_int_equal(ptrace(PTRACE_INTERRUPT, tid, NULL, NULL), 0);
        assert_true(WIFSTOPPED(wait_stop(t)));
        if (behind_syscall(t))
            return;
        /* It was computing: let it come to its wait. */
        assert_int_equal(ptrace(PTRACE_SYSCALL, tid, NULL, NULL), 0);
        assert_true(WIFSTOPPED(wait_stop(t)));
        if (behind_syscall(t) && t->saved.rax == (unsigned long)-ENOSYS) {
            /* At its entry: go on until it waits inside, or came out of it. */
            assert_int_equal(ptrace(PTRACE_SYSCALL, tid, NULL, NULL), 0);
            assert_int_equal(ptrace(PTRACE_INTERRUPT, tid, NULL, NULL), 0);
            assert_true(WIFSTOPPED(wait_stop(t)));
            if (behind_syscall(t))
                return;
        }
        assert_int_equal(ptrace(PTRACE_CONT, tid, NULL, NULL), 0);
    }
}

/* The thread is about to end: how, and let it. */
static enum tracer_result ending(struct tracer *t, long *value)
{
    unsigned long code = 0;

    assert_int_equal(ptrace(PTRACE_GETEVENTMSG, t->tid, NULL, &code), 0);
    assert_int_equal(ptrace(PTRACE_CONT, t->tid, NULL, NULL), 0);
    /* The leader is waited for with its process. */
    if (t->tid != t->pid)
        (void)wait_stop(t);
    *value = code & 0x7f ? (long)(code & 0x7f) : (long)(code >> 8 & 0xff);
    return code & 0x7f ? TRACER_KILLED : TRACER_EXITED;
}

/*
 * From a stop, with the registers set, until the call is over.
 *
 * A thread that seccomp kills shows an exit stop before it dies: only one that takes a step in user
 * space after it has come back.
 */
static enum tracer_result run_call(struct tracer *t, struct user_regs_struct *regs, long *value)
{
    enum { ENTER, RETURN, STEP } expected = ENTER;
    unsigned long sig = 0;

    regs->orig_rax = (unsigned long)-1; /* the interrupted call is not restarted */
    assert_int_equal(ptrace(PTRACE_SETREGS, t->tid, NULL, regs), 0);
    for (;;) {
        int status;

        assert_int_equal(ptrace(expected == STEP ? PTRACE_SINGLESTEP : PTRACE_SYSCALL, t->tid, NULL,
                                word(sig)),
                         0);
        status = wait_stop(t);
        sig = 0;
        assert_true(WIFSTOPPED(status));
        if (status >> 16 == PTRACE_EVENT_EXIT)
            return ending(t, value);
        if (status >> 16)
            continue;
        if (WSTOPSIG(status) == SYSCALL_STOP && expected == RETURN) {
            assert_int_equal(ptrace(PTRACE_GETREGS, t->tid, NULL, regs), 0);
            *value = (long)regs->rax;
        }
        if (WSTOPSIG(status) == SYSCALL_STOP && expected != STEP)
            expected = expected == ENTER ? RETURN : STEP;
        else if (WSTOPSIG(status) == SIGTRAP && expected == STEP)
            return TRACER_RETURNED;
        else
            sig = (unsigned long)WSTOPSIG(status);
    }
}

enum tracer_result tracer_call(struct tracer *t, long number, const unsigned long args[6],
                               long *value)
{
    struct user_regs_struct regs = t->saved;

    regs.rip -= 2;
    regs.rax = (unsigned long)number;
    regs.rdi = args[0];
    regs.rsi = args[1];
    regs.rdx = args[2];
    regs.r10 = args[3];
    regs.r8 = args[4];
    regs.r9 = args[5];
    return run_call(t, &regs, value);
}

enum tracer_result tracer_call_i386(struct tracer *t, long number, long *value)
{
    struct user_regs_struct regs = t->saved;
    unsigned long at = t->saved.rip - 2;
    unsigned long insn;

    errno = 0;
    insn = (unsigned long)ptrace(PTRACE_PEEKTEXT, t->tid, word(at), NULL);
    assert_int_equal(errno, 0);
    insn = (insn & ~0xffffUL) | INT80_INSN;
    assert_int_equal(ptrace(PTRACE_POKETEXT, t->tid, word(at), word(insn)), 0);
    regs.rip = at;
    regs.rax = (unsigned long)number;
    return run_call(t, &regs, value);
}

void tracer_resume(struct tracer *t)
{
    struct user_regs_struct regs = t->saved;

    /* -ERESTARTSYS and its kin (512 to 516) are the kernel's own and not for user space. */
    if ((long)regs.rax <= -512 && (long)regs.rax >= -516)
        regs.rax = (unsigned long)-EINTR;
    regs.orig_rax = (unsigned long)-1;
    assert_int_equal(ptrace(PTRACE_SETREGS, t->tid, NULL, &regs), 0);
    assert_int_equal(ptrace(PTRACE_DETACH, t->tid, NULL, NULL), 0);
}

void tracer_follow(struct tracer *t, pid_t pid, pid_t tid)
{
    seize(t, pid, tid);
    assert_int_equal(ptrace(PTRACE_INTERRUPT, t->tid, NULL, NULL), 0);
    assert_true(WIFSTOPPED(wait_stop(t)));
    assert_int_equal(ptrace(PTRACE_SYSCALL, t->tid, NULL, NULL), 0);
}

/* Turn an exit into a write of nothing, so that the thread stops behind its `syscall` again. */
static void undo_exit(struct tracer *t)
{
    t->saved.orig_rax = SYS_write;
    t->saved.rdx = 0;
    assert_int_equal(ptrace(PTRACE_SETREGS, t->tid, NULL, &t->saved), 0);
    assert_int_equal(ptrace(PTRACE_SYSCALL, t->tid, NULL, NULL), 0);
    assert_true(WIFSTOPPED(wait_stop(t)));
    assert_true(behind_syscall(t));
}

struct tracer *tracer_catch_exit(struct tracer *threads, size_t n)
{
    for (;;) {
        struct tracer *t = NULL;
        unsigned long sig = 0;
        int status;
        pid_t tid = waitpid(-1, &status, __WALL);
        size_t i;

        for (i = 0; i < n; i++)
            if (threads[i].tid == tid)
                t = &threads[i];
        if (!t || !WIFSTOPPED(status) || status >> 16 == PTRACE_EVENT_EXIT)
            fail_msg("a thread ended without exit_group()");
        assert_int_equal(ptrace(PTRACE_GETREGS, tid, NULL, &t->saved), 0);
        if (WSTOPSIG(status) == SYSCALL_STOP && t->saved.orig_rax == SYS_exit_group) {
            undo_exit(t);
            return t;
        }
        if (status >> 16 == 0 && WSTOPSIG(status) != SYSCALL_STOP)
            sig = (unsigned long)WSTOPSIG(status);
        assert_int_equal(ptrace(PTRACE_SYSCALL, tid, NULL, word(sig)), 0);
    }
}

void tracer_kill(pid_t pid)
{
    pid_t tid;
    int status;

    kill(pid, SIGKILL);
    while ((tid = waitpid(-1, &status, __WALL)) > 0) {
        if (WIFSTOPPED(status))
            (void)ptrace(PTRACE_CONT, tid, NULL, NULL);
        else if (tid == pid)
            break;
    }
}

/* ---- memory --------------------------------------------------------------------------------- */

void tracer_read(struct tracer *t, struct span span, int its_fd, int our_fd, uint8_t *out)
{
    size_t done = 0;

    while (done < span.len) {
        size_t want = span.len - done < CHUNK ? span.len - done : CHUNK;
        unsigned long args[6] = {(unsigned long)its_fd, span.start + done, want};
        long wrote;

        assert_int_equal(tracer_call(t, SYS_write, args, &wrote), TRACER_RETURNED);
        if (wrote <= 0)
            fail_msg("the process cannot read its own memory: %s", strerror((int)-wrote));
        while (wrote > 0) {
            ssize_t n = read(our_fd, out + done, (size_t)wrote);

            assert_true(n > 0);
            done += (size_t)n;
            wrote -= n;
        }
    }
}

#endif

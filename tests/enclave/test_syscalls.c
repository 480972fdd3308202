/*
 * The seccomp list of a sealed enclave: one fresh enclave for each system call number.
 *
 * Outside the list, a call ends the whole process by SIGSYS; on it, it does not.  The numbers are
 * those of x86-64 up to past the newest, the same with the x32 bit, and the i386 gate.
 */
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "common/cleanup.h"
#include "tests/enclave/rig.h"
#include "tests/enclave/tracer.h"

#if defined(TRACER_AVAILABLE)

#define NUMBERS 512 /* past the newest number, with room for some years of new ones */
#define X32_BIT 0x40000000L

/* The specified list (architecture page, enclave), not the program's own copy of it. */
static const long allowed[] = {
    SYS_read,          SYS_write,           SYS_sendto,   SYS_recvfrom,   SYS_futex,   SYS_mmap,
    SYS_clock_gettime, SYS_getrandom,       SYS_mprotect, SYS_munmap,     SYS_madvise, SYS_brk,
    SYS_rt_sigreturn,  SYS_restart_syscall, SYS_exit,     SYS_exit_group,
};

/* No descriptor, no address, no length, no protection: what is allowed does no harm with these. */
static const unsigned long nothing[6] = {(unsigned long)-1, 0, 0, 0, 0, 0};

/*
 * uretprobe and uprobe: newer kernels let these two past every seccomp filter (seccomp.c,
 * seccomp_uprobe_exception()), because a probe set from outside must not kill the probed.  Without
 * a probe they do nothing: SIGILL or -ENXIO.
 */
static bool is_probe(long number)
{
    return number == 335 || number == 336;
}

static bool is_allowed(long number)
{
    size_t i;

    for (i = 0; i < ARRAY_SIZE(allowed); i++)
        if (allowed[i] == number)
            return true;
    return false;
}

enum thread { THREAD_MAIN, THREAD_WORKER };
enum gate { GATE_SYSCALL, GATE_INT80 };

/*
 * One call in a fresh enclave.  Return: the signal that ended the whole process, 0 when none did.
 */
static int death_by(enum thread thread, enum gate gate, long number, const unsigned long args[6])
{
    enum tracer_result result;
    struct tracer t;
    struct rig r;
    long value = 0;
    int status = 0;

    rig_start(&r, RIG_RESPONDER, 1);
    tracer_stop(&t, r.pid, thread == THREAD_MAIN ? r.pid : rig_worker(&r));
    result = gate == GATE_SYSCALL ? tracer_call(&t, number, args, &value)
                                  : tracer_call_i386(&t, number, &value);
    if (result == TRACER_RETURNED)
        tracer_resume(&t);
    else if (result == TRACER_KILLED)
        status = rig_wait(&r);
    rig_stop(&r);
    return WIFSIGNALED(status) ? WTERMSIG(status) : 0;
}

static void sweep(enum thread thread, long step)
{
    long number, wrong = 0;

    for (number = 0; number < NUMBERS; number += step) {
        int sig = death_by(thread, GATE_SYSCALL, number, nothing);

        if (is_probe(number) && (sig == SIGILL || sig == 0))
            continue;
        if ((sig == SIGSYS) != !is_allowed(number)) {
            print_error("system call %ld: %s, ended by signal %d\n", number,
                        is_allowed(number) ? "allowed" : "not allowed", sig);
            wrong++;
        }
    }
    assert_int_equal(wrong, 0);
}

static void test_every_number(void **state)
{
    (void)state;
    sweep(THREAD_MAIN, 1);
}

static void test_worker(void **state)
{
    static const long dangerous[] = {SYS_open,    SYS_openat,           SYS_execve, SYS_fork,
                                     SYS_clone,   SYS_socket,           SYS_ptrace, SYS_sendmsg,
                                     SYS_recvmsg, SYS_process_vm_readv, SYS_kill,   SYS_prctl};
    size_t i;

    (void)state;
    for (i = 0; i < ARRAY_SIZE(dangerous); i++)
        assert_int_equal(death_by(THREAD_WORKER, GATE_SYSCALL, dangerous[i], nothing), SIGSYS);
    for (i = 0; i < ARRAY_SIZE(allowed); i++)
        assert_int_not_equal(death_by(THREAD_WORKER, GATE_SYSCALL, allowed[i], nothing), SIGSYS);
    sweep(THREAD_WORKER, 31);
}

/* The same numbers through the x32 table are other calls to some kernels: none of them passes. */
static void test_x32(void **state)
{
    size_t i;

    (void)state;
    for (i = 0; i < ARRAY_SIZE(allowed); i++)
        assert_int_equal(death_by(THREAD_MAIN, GATE_SYSCALL, X32_BIT | allowed[i], nothing),
                         SIGSYS);
    for (i = 512; i < 548; i++) /* numbers that only that table has */
        assert_int_equal(death_by(THREAD_MAIN, GATE_SYSCALL, X32_BIT | (long)i, nothing), SIGSYS);
}

/* Does this kernel answer the i386 gate at all?  Without, it is SIGSEGV for everybody. */
static bool has_int80(void)
{
    pid_t pid = fork();
    int status = 0;

    if (pid == 0) {
        long value;

        __asm__ volatile("int $0x80" : "=a"(value) : "a"(20) : "memory", "r8", "r9", "r10", "r11");
        _exit(value > 0 ? 0 : 1);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return WIFEXITED(status);
}

static void test_i386(void **state)
{
    static const long numbers[] = {1 /* exit */, 3 /* read */, 4 /* write */, 11 /* execve */};
    size_t i;

    (void)state;
    for (i = 0; i < ARRAY_SIZE(numbers); i++)
        assert_int_equal(death_by(THREAD_MAIN, GATE_INT80, numbers[i], nothing),
                         has_int80() ? SIGSYS : SIGSEGV);
}

static void test_no_code(void **state)
{
    static const unsigned long prots[] = {PROT_EXEC, PROT_READ | PROT_EXEC,
                                          PROT_READ | PROT_WRITE | PROT_EXEC};
    unsigned long args[6] = {0, 4096, 0, MAP_PRIVATE | MAP_ANONYMOUS, (unsigned long)-1, 0};
    size_t i;

    (void)state;
    for (i = 0; i < ARRAY_SIZE(prots); i++) {
        args[2] = prots[i];
        assert_int_equal(death_by(THREAD_MAIN, GATE_SYSCALL, SYS_mmap, args), SIGSYS);
        assert_int_equal(death_by(THREAD_MAIN, GATE_SYSCALL, SYS_mprotect, args), SIGSYS);
        assert_int_equal(death_by(THREAD_MAIN, GATE_SYSCALL, SYS_pkey_mprotect, args), SIGSYS);
    }
    args[2] = PROT_READ | PROT_WRITE;
    assert_int_equal(death_by(THREAD_MAIN, GATE_SYSCALL, SYS_mmap, args), 0);
    assert_int_equal(death_by(THREAD_MAIN, GATE_SYSCALL, SYS_mprotect, args), 0);
}

/* The tracing itself must not be what kills: a traced enclave goes on serving. */
static void test_survives_tracing(void **state)
{
    struct tracer t;
    struct rig r;
    long value;

    (void)state;
    rig_start(&r, RIG_RESPONDER, 1);
    tracer_stop(&t, r.pid, r.pid);
    assert_int_equal(tracer_call(&t, SYS_read, nothing, &value), TRACER_RETURNED);
    assert_int_equal(value, -EBADF);
    tracer_resume(&t);
    rig_assert_alive(&r);
    rig_stop(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_survives_tracing),
        cmocka_unit_test(test_every_number),
        cmocka_unit_test(test_worker),
        cmocka_unit_test(test_x32),
        cmocka_unit_test(test_i386),
        cmocka_unit_test(test_no_code),
    };
    const char *sanitize = getenv("VPN_SANITIZE");
    const int rc = rig_home_make(
        sanitize && *sanitize ? "the sanitizers' runtime needs more system calls" : NULL);

    if (rc)
        return rc;
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("system calls", tests, NULL, rig_home_remove) ? 1 : 0;
}

#else

int main(void)
{
    puts("1..0 # SKIP system calls by proxy are written for x86-64 alone");
    return 77;
}

#endif

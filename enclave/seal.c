/*
 * Giving up privilege, step by step.
 *
 * Theory of operation
 * -------------------
 * Order matters.  Namespaces and the empty root need root; the bounding set must be emptied before
 * the uid changes; a uid change resets the dumpable flag and the parent-death signal, so both come
 * after it.  Landlock misses threads that exist already, so it comes before the workers; the limit
 * of no new processes comes after them, or pthread_create() would fail.  seccomp comes last and
 * reaches all threads by TSYNC.
 */
#include "enclave/seal.h"

#include <errno.h>
#include <grp.h>
#include <sched.h>
#include <seccomp.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "common/cleanup.h"

bool seal_mark(struct seal *s, enum ipc_step step, bool ok)
{
    s->step[step] = ok ? IPC_STEP_DONE : IPC_STEP_NOT_AVAILABLE;
    return ok;
}

void seal_memlock(struct seal *s)
{
    struct rlimit unlimited = {RLIM_INFINITY, RLIM_INFINITY};

    seal_mark(s, IPC_STEP_MEMLOCK, setrlimit(RLIMIT_MEMLOCK, &unlimited) == 0);
}

void seal_memory(struct seal *s)
{
    int flags = MCL_CURRENT | MCL_ONFAULT;

    /*
     * With the limit raised, memory mapped later is locked as well.  Without (CAP_SYS_RESOURCE is
     * missing in some containers) MCL_FUTURE would make later mappings fail once the uid is
     * ordinary, so only what exists now is locked: keys and buffers all exist now.
     */
    if (s->step[IPC_STEP_MEMLOCK] == IPC_STEP_DONE)
        flags |= MCL_FUTURE;
    seal_mark(s, IPC_STEP_MLOCKALL, mlockall(flags) == 0);
}

/* pivot_root(".", ".") stacks the old root on the new one; detaching it leaves the empty tmpfs. */
static bool empty_root(void)
{
    return mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
           mount("none", "/proc", "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC,
                 "size=0,nr_inodes=2,mode=0555") == 0 &&
           chdir("/proc") == 0 && syscall(SYS_pivot_root, ".", ".") == 0 &&
           umount2(".", MNT_DETACH) == 0 && chdir("/") == 0 &&
           mount("none", "/", NULL,
                 MS_REMOUNT | MS_BIND | MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL) == 0;
}

static bool drop_bounding_set(void)
{
    int cap;

    for (cap = 0; prctl(PR_CAPBSET_READ, cap) >= 0; cap++)
        if (prctl(PR_CAPBSET_DROP, cap) < 0)
            return false;
    return true;
}

/* From linux/landlock.h, which systems older than kernel 5.13 lack; ABI 1 has 13 rights. */
struct landlock_attr {
    uint64_t handled_access_fs;
};
#define LANDLOCK_ALL_FS ((1ULL << 13) - 1)
#ifndef SYS_landlock_create_ruleset
#define SYS_landlock_create_ruleset 444
#define SYS_landlock_restrict_self  446
#endif

/* A ruleset that handles every file-system right and grants none. */
static bool landlock_all(void)
{
    struct landlock_attr attr = {.handled_access_fs = LANDLOCK_ALL_FS};
    _cleanup_(close_fdp) int fd = (int)syscall(SYS_landlock_create_ruleset, &attr, sizeof(attr), 0);

    return fd >= 0 && syscall(SYS_landlock_restrict_self, fd, 0) == 0;
}

int seal_isolate(struct seal *s, uid_t uid, gid_t gid, pid_t parent)
{
    if (s->root) {
        if (seal_mark(s, IPC_STEP_NAMESPACES,
                      unshare(CLONE_NEWNET | CLONE_NEWNS | CLONE_NEWIPC | CLONE_NEWUTS) == 0))
            seal_mark(s, IPC_STEP_EMPTY_ROOT, empty_root());
        else
            seal_mark(s, IPC_STEP_EMPTY_ROOT, false);
        seal_mark(s, IPC_STEP_BOUNDING_SET, drop_bounding_set());
        /* An enclave that keeps root's uid would be a lie: this one must work. */
        if (setgroups(0, NULL) < 0 || setresgid(gid, gid, gid) < 0 || setresuid(uid, uid, uid) < 0)
            return -errno;
        seal_mark(s, IPC_STEP_UID, true);
    } else {
        seal_mark(s, IPC_STEP_NAMESPACES, false);
        seal_mark(s, IPC_STEP_EMPTY_ROOT, false);
        seal_mark(s, IPC_STEP_BOUNDING_SET, false);
        seal_mark(s, IPC_STEP_UID, false);
    }
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
        return -errno;
    seal_mark(s, IPC_STEP_NO_NEW_PRIVS, true);
    seal_mark(s, IPC_STEP_LANDLOCK, landlock_all());

    if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0)
        return -errno;
    seal_mark(s, IPC_STEP_NOT_DUMPABLE, true);
    if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) < 0)
        return -errno;
    /* The parent may have died before the line above. */
    if (getppid() != parent)
        return -ESRCH;
    seal_mark(s, IPC_STEP_PARENT_DEATH, true);
    return 0;
}

static int close_span(int first, int last)
{
    /* glibc has a wrapper since 2.34 only. */
    return first > last ? 0 : (int)syscall(SYS_close_range, first, last, 0);
}

int seal_descriptors(struct seal *s, const int *keep, size_t n_keep)
{
    int next = 0;
    size_t i;

    for (i = 0; i < n_keep; i++) {
        if (close_span(next, keep[i] - 1) < 0)
            return -errno;
        next = keep[i] + 1;
    }
    if (syscall(SYS_close_range, next, ~0U, 0) < 0)
        return -errno;
    seal_mark(s, IPC_STEP_DESCRIPTORS, true);
    return 0;
}

int seal_limits(struct seal *s, unsigned int descriptors)
{
    const struct rlimit none = {0, 0};
    const struct rlimit held = {descriptors, descriptors};

    if (setrlimit(RLIMIT_NPROC, &none) < 0 || setrlimit(RLIMIT_NOFILE, &held) < 0 ||
        setrlimit(RLIMIT_FSIZE, &none) < 0 || setrlimit(RLIMIT_CORE, &none) < 0)
        return -errno;
    seal_mark(s, IPC_STEP_LIMITS, true);
    return 0;
}

/* Each with its reason. */
static const int allowed_calls[] = {
    SCMP_SYS(read),            /* waiting for the bell */
    SCMP_SYS(write),           /* the lane's bell, and the one line that says why it ended */
    SCMP_SYS(sendto),          /* answers */
    SCMP_SYS(recvfrom),        /* requests */
    SCMP_SYS(futex),           /* the keystore's mutex */
    SCMP_SYS(clock_gettime),   /* where the vDSO cannot answer */
    SCMP_SYS(getrandom),       /* ephemeral keys and indexes */
    SCMP_SYS(munmap),          /* malloc */
    SCMP_SYS(madvise),         /* malloc */
    SCMP_SYS(brk),             /* malloc */
    SCMP_SYS(rt_sigreturn),    /* return from a signal that was caught before the seal */
    SCMP_SYS(restart_syscall), /* a sleep interrupted by stop and continue */
    SCMP_SYS(exit),
    SCMP_SYS(exit_group),
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    /* What the sanitizers' runtimes call when they report and when they map shadow memory. */
    SCMP_SYS(mmap),
    SCMP_SYS(mprotect),
    SCMP_SYS(sigaltstack),
    SCMP_SYS(rt_sigprocmask),
    SCMP_SYS(rt_sigaction),
    SCMP_SYS(getpid),
    SCMP_SYS(gettid),
    SCMP_SYS(sched_yield),
    SCMP_SYS(openat),
    SCMP_SYS(close),
    SCMP_SYS(readlink),
    SCMP_SYS(prctl),
    SCMP_SYS(ioctl),
    SCMP_SYS(mremap),
    SCMP_SYS(getrusage),
    SCMP_SYS(prlimit64),
    SCMP_SYS(newfstatat),
    SCMP_SYS(fstat),
    SCMP_SYS(lseek),
    SCMP_SYS(nanosleep),
    SCMP_SYS(clock_nanosleep),
    SCMP_SYS(tgkill),
    SCMP_SYS(pipe),
    SCMP_SYS(pipe2),
    SCMP_SYS(clone),
    SCMP_SYS(wait4),
    SCMP_SYS(process_vm_readv),
    SCMP_SYS(set_robust_list),
    SCMP_SYS(rseq),
    SCMP_SYS(mlock),
#endif
};

int seal_seccomp(struct seal *s)
{
    scmp_filter_ctx ctx = seccomp_init(SCMP_ACT_KILL_PROCESS);
    size_t i;
    int rc;

    if (!ctx)
        return -ENOMEM;
    /* Another architecture's numbers mean other calls: they kill as well. */
    rc = seccomp_attr_set(ctx, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS);
    if (rc == 0)
        rc = seccomp_attr_set(ctx, SCMP_FLTATR_CTL_TSYNC, 1);
    if (rc == 0)
        rc = seccomp_attr_set(ctx, SCMP_FLTATR_CTL_OPTIMIZE, 2);
    for (i = 0; rc == 0 && i < ARRAY_SIZE(allowed_calls); i++)
        rc = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, allowed_calls[i], 0);
        /* Memory may come and go, but never as code. */
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
    if (rc == 0)
        rc = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(mmap), 1,
                              SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
    if (rc == 0)
        rc = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(mprotect), 1,
                              SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
#endif
    if (rc == 0) {
        seal_mark(s, IPC_STEP_SECCOMP, true);
        rc = seccomp_load(ctx);
    }
    /* Freeing needs nothing but malloc, which stays allowed. */
    seccomp_release(ctx);
    return rc;
}

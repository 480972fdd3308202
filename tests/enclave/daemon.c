/* A real daemon under observation; see daemon.h. */
#include "tests/enclave/daemon.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <cmocka.h>
#include <sodium.h>

#include "common/cleanup.h"
#include "common/clock.h"
#include "common/process.h"
#include "tests/enclave/tracer.h"

#define WAIT_MS 20000

static void pause_ms(long ms)
{
    const struct timespec t = {ms / 1000, ms % 1000 * 1000000};

    nanosleep(&t, NULL);
}

const char *daemon_program(const char *name)
{
    static char resolved[PATH_MAX];
    const char *bin = getenv("VPN_BIN");
    char relative[256];

    snprintf(relative, sizeof(relative), "%s/%s", bin ? bin : "bin", name);
    return realpath(relative, resolved) ? resolved : NULL;
}

const char *daemon_unavailable(const char *program)
{
    struct ifreq req = {.ifr_name = "lo", .ifr_flags = IFF_UP};
    const char *sanitize = getenv("VPN_SANITIZE");
    _cleanup_(close_fdp) int fd = -1;

    if (sanitize && *sanitize)
        return "the sanitizers' runtime keeps copies of its own";
    if (geteuid() != 0)
        return "needs root";
    if (!daemon_program(program) || !daemon_program("vpn-enclave"))
        return "the programs are not built (make, or set VPN_BIN)";
    if (access("/dev/net/tun", F_OK) < 0)
        return "no /dev/net/tun";
    if (sodium_init() < 0)
        abort();
    if (unshare(CLONE_NEWNET) < 0)
        return "network namespaces are refused";
    fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || ioctl(fd, SIOCSIFFLAGS, &req) < 0)
        return "no loopback device";
    return NULL;
}

/* ---- start and end -------------------------------------------------------------------------- */

void daemon_dir(struct daemon *d)
{
    memset(d, 0, sizeof(*d));
    d->err_fd = -1;
    snprintf(d->dir, sizeof(d->dir), "/tmp/vpn-secrets.XXXXXX");
    assert_non_null(mkdtemp(d->dir));
    assert_int_equal(chmod(d->dir, 0755), 0);
    snprintf(d->log, sizeof(d->log), "%.31s/log/daemon.log", d->dir);
}

void daemon_write(const struct daemon *d, const char *name, int mode, const char *text)
{
    char path[128];
    size_t len = strlen(text);
    int fd;

    snprintf(path, sizeof(path), "%s/%s", d->dir, name);
    fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, (mode_t)mode);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, len), len);
    close(fd);
}

void daemon_start(struct daemon *d, const char *const argv[])
{
    int err_pipe[2];

    assert_int_equal(pipe2(err_pipe, O_CLOEXEC), 0);
    d->pid = fork();
    assert_true(d->pid >= 0);
    if (d->pid == 0) {
        int null = open("/dev/null", O_RDWR);
        struct rlimit core;

        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getrlimit(RLIMIT_CORE, &core) == 0) {
            core.rlim_cur = core.rlim_max;
            setrlimit(RLIMIT_CORE, &core);
        }
        dup2(null, STDIN_FILENO);
        dup2(null, STDOUT_FILENO);
        dup2(err_pipe[1], STDERR_FILENO);
        if (chdir(d->dir) == 0)
            execv(argv[0], (char *const *)(uintptr_t)argv);
        _exit(127);
    }
    close(err_pipe[1]);
    d->err_fd = err_pipe[0];
}

/* Everything it said on standard error so far; the pipe must not fill. */
static void drain_stderr(const struct daemon *d, bool show)
{
    struct pollfd p = {.fd = d->err_fd, .events = POLLIN};
    char text[1024];

    while (poll(&p, 1, 0) == 1) {
        ssize_t n = read(d->err_fd, text, sizeof(text) - 1);

        if (n <= 0)
            return;
        text[n] = '\0';
        if (show)
            print_error("# %s", text);
    }
}

static char *read_text(const char *path)
{
    FILE *f = fopen(path, "re");
    char *text = calloc(1, 1 << 20);
    size_t n = 0;

    assert_non_null(text);
    if (f) {
        n = fread(text, 1, (1 << 20) - 1, f);
        fclose(f);
    }
    text[n] = '\0';
    return text;
}

static unsigned int count_text(const char *text, const char *word)
{
    unsigned int n = 0;

    for (; (text = strstr(text, word)) != NULL; text++)
        n++;
    return n;
}

void daemon_wait_log(const struct daemon *d, const char *text, unsigned int times)
{
    uint64_t until = clock_mono_ms() + WAIT_MS;
    char *log;

    for (;;) {
        unsigned int n;

        log = read_text(d->log);
        n = count_text(log, text);
        if (n >= times || clock_mono_ms() >= until)
            break;
        free(log);
        pause_ms(10);
    }
    if (count_text(log, text) < times) {
        print_error("# the log:\n%s\n# standard error:\n", log);
        drain_stderr(d, true);
        fail_msg("\"%s\" was not logged %u times", text, times);
    }
    free(log);
}

static pid_t only_child(pid_t pid)
{
    char path[64];
    char *text;
    pid_t child;

    snprintf(path, sizeof(path), "/proc/%d/task/%d/children", (int)pid, (int)pid);
    text = read_text(path);
    child = (pid_t)strtol(text, NULL, 10);
    free(text);
    return child;
}

void daemon_find(struct daemon *d)
{
    uint64_t until = clock_mono_ms() + WAIT_MS;
    pid_t before = d->enclave;

    do {
        d->spawner = only_child(d->pid);
        d->enclave = d->spawner > 0 ? only_child(d->spawner) : 0;
        if (d->enclave > 0 && d->enclave != before)
            return;
        pause_ms(10);
    } while (clock_mono_ms() < until);
    fail_msg("no enclave to be seen");
}

static void remove_dir(const char *dir)
{
    pid_t pid = fork();

    if (pid == 0) {
        execlp("rm", "rm", "-rf", "--", dir, (char *)NULL);
        _exit(127);
    }
    waitpid(pid, NULL, 0);
}

void daemon_stop(struct daemon *d)
{
    if (d->pid > 0) {
        kill(d->pid, SIGKILL);
        waitpid(d->pid, NULL, 0);
    }
    close_fdp(&d->err_fd);
    if (d->dir[0])
        remove_dir(d->dir);
    memset(d, 0, sizeof(*d));
    d->err_fd = -1;
}

/* ---- scans ---------------------------------------------------------------------------------- */

void daemon_scan(struct daemon *d, struct scan *s, const char *phase)
{
    size_t bytes;

    drain_stderr(d, false);
    scan_clear(s);
    bytes = scan_process(s, d->pid);
    assert_true(bytes > 1 << 20);
    bytes += scan_process(s, d->spawner);
    assert_true(scan_file(s, d->log) > 0);
    print_message("# %s: %zu MiB searched\n", phase, bytes >> 20);
    assert_int_equal(scan_report(s, phase), 0);
}

static bool make_core(const struct daemon *d, pid_t pid, char *path, size_t size)
{
    char prefix[64], number[16];
    int status = 0;
    pid_t child;

    snprintf(prefix, sizeof(prefix), "%s/gcore", d->dir);
    snprintf(number, sizeof(number), "%d", (int)pid);
    snprintf(path, size, "%s.%s", prefix, number);
    child = fork();
    if (child == 0) {
        int null = open("/dev/null", O_RDWR);

        dup2(null, STDOUT_FILENO);
        dup2(null, STDERR_FILENO);
        execlp("gcore", "gcore", "-a", "-o", prefix, number, (char *)NULL);
        _exit(127);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

void daemon_scan_core(struct daemon *d, struct scan *s)
{
    const pid_t pids[] = {d->pid, d->spawner};
    char path[96];
    size_t i;

    scan_clear(s);
    for (i = 0; i < ARRAY_SIZE(pids); i++) {
        if (!make_core(d, pids[i], path, sizeof(path))) {
            print_message("# no core: gcore (of gdb) is missing or refused\n");
            return;
        }
        assert_true(scan_file(s, path) > 1 << 16);
        unlink(path);
    }
    assert_int_equal(scan_report(s, "core"), 0);
}

void daemon_abort(struct daemon *d, struct scan *s)
{
    char path[96];
    size_t bytes;

    /* The kernel writes it into the working folder where core_pattern says no more than "core". */
    assert_int_equal(chmod(d->dir, 0777), 0);
    kill(d->pid, SIGABRT);
    assert_int_equal(waitpid(d->pid, NULL, 0), d->pid);
    scan_clear(s);
    snprintf(path, sizeof(path), "%s/core", d->dir);
    bytes = scan_file(s, path);
    if (bytes == 0) {
        snprintf(path, sizeof(path), "%s/core.%d", d->dir, (int)d->pid);
        bytes = scan_file(s, path);
    }
    print_message("# after SIGABRT the kernel wrote a core of %zu bytes\n", bytes);
    d->pid = 0;
    assert_int_equal(scan_report(s, "core of the kernel"), 0);
}

bool daemon_scan_enclave(struct daemon *d, struct scan *s)
{
#if defined(TRACER_AVAILABLE)
    struct span span = secret_region(d->enclave);
    uint8_t *region = malloc(span.len);
    struct tracer t;

    assert_non_null(region);
    drain_stderr(d, false);
    tracer_stop(&t, d->enclave, d->enclave);
    tracer_read(&t, span, STDERR_FILENO, d->err_fd, region);
    tracer_resume(&t);
    scan_clear(s);
    scan_buffer(s, "the enclave's region", region, span.len);
    sodium_memzero(region, span.len);
    free(region);
    return true;
#else
    (void)d;
    (void)s;
    print_message("# the enclave's own memory is looked at on x86-64 alone\n");
    return false;
#endif
}

/* In a child that becomes what the daemon is. */
static int try_as_daemon(pid_t enclave)
{
    char path[64];

    if (setresgid(PROCESS_UID_DAEMON, PROCESS_UID_DAEMON, PROCESS_UID_DAEMON) < 0 ||
        setresuid(PROCESS_UID_DAEMON, PROCESS_UID_DAEMON, PROCESS_UID_DAEMON) < 0)
        return 2;
    snprintf(path, sizeof(path), "/proc/%d/mem", (int)enclave);
    if (open(path, O_RDONLY) >= 0 || (errno != EACCES && errno != EPERM))
        return 3;
    if (ptrace(PTRACE_SEIZE, enclave, NULL, NULL) == 0 || errno != EPERM)
        return 4;
    snprintf(path, sizeof(path), "/proc/%d/maps", (int)enclave);
    if (open(path, O_RDONLY) >= 0)
        return 5;
    return kill(enclave, 0) == 0 ? 6 : 0;
}

void daemon_assert_sealed_off(const struct daemon *d)
{
    struct span span = secret_region(d->enclave);
    uint8_t byte;
    char path[64];
    int status, fd;
    pid_t child = fork();

    if (child == 0)
        _exit(try_as_daemon(d->enclave));
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);

    snprintf(path, sizeof(path), "/proc/%d/mem", (int)d->enclave);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    if (span.hidden) {
        assert_int_equal(pread(fd, &byte, 1, (off_t)span.start), -1);
        assert_int_equal(pread(fd, &byte, 1, (off_t)(span.start + span.len / 2)), -1);
    } else {
        print_message("# no memfd_secret in this kernel: root can read the enclave's keys\n");
        assert_int_equal(pread(fd, &byte, 1, (off_t)span.start), 1);
    }
    close(fd);
}

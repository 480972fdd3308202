/* Accounts, privileges and the background; see process.h. */
#include "common/process.h"

#include <cap-ng.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <libgen.h>
#include <pwd.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/log.h"

static int ready_fd = -1; /* the pipe to the parent of `-d` */

struct account process_account(const char *name, uid_t fallback)
{
    const struct passwd *pw = getpwnam(name);

    if (pw)
        return (struct account){pw->pw_uid, pw->pw_gid};
    return (struct account){fallback, (gid_t)fallback};
}

gid_t process_group(const char *name)
{
    const struct group *gr = getgrnam(name);

    return gr ? gr->gr_gid : (gid_t)-1;
}

int process_drop(struct account account, bool low_port, struct err *err)
{
    int rc;

    if (geteuid() != 0)
        return 0;
    capng_clear(CAPNG_SELECT_BOTH);
    capng_update(CAPNG_ADD, CAPNG_EFFECTIVE | CAPNG_PERMITTED | CAPNG_BOUNDING_SET, CAP_NET_ADMIN);
    if (low_port)
        capng_update(CAPNG_ADD, CAPNG_EFFECTIVE | CAPNG_PERMITTED | CAPNG_BOUNDING_SET,
                     CAP_NET_BIND_SERVICE);
    rc = capng_change_id((int)account.uid, (int)account.gid,
                         CAPNG_DROP_SUPP_GRP | CAPNG_CLEAR_BOUNDING);
    if (rc < 0)
        return err_set(err, -EPERM, "privileges cannot be dropped to uid %u (libcap-ng: %d)",
                       (unsigned int)account.uid, rc);
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
        return err_set(err, -errno, "PR_SET_NO_NEW_PRIVS: %s", strerror(errno));
    return 0;
}

bool process_has_net_admin(void)
{
    capng_get_caps_process();
    return capng_have_capability(CAPNG_EFFECTIVE, CAP_NET_ADMIN);
}

/* The parent's end of `-d`: the child's readiness or its exit status. */
static void __attribute__((noreturn)) wait_for_child(pid_t child, int fd)
{
    int status = 0;
    char byte;

    if (read(fd, &byte, 1) == 1)
        _exit(0);
    while (waitpid(child, &status, 0) < 0 && errno == EINTR)
        ;
    _exit(WIFEXITED(status) ? WEXITSTATUS(status) : 1);
}

int process_background(struct err *err)
{
    int fds[2];
    pid_t pid;

    if (pipe2(fds, O_CLOEXEC) < 0)
        return err_set(err, -errno, "pipe: %s", strerror(errno));
    pid = fork();
    if (pid < 0)
        return err_set(err, -errno, "fork: %s", strerror(errno));
    if (pid > 0) {
        close(fds[1]);
        wait_for_child(pid, fds[0]);
    }
    close(fds[0]);
    ready_fd = fds[1];
    setsid();
    return 0;
}

void process_notify(const char *state)
{
    const char *path = getenv("NOTIFY_SOCKET");
    struct sockaddr_un sun = {.sun_family = AF_UNIX};
    _cleanup_(close_fdp) int fd = -1;
    size_t len = path ? strlen(path) : 0;

    if (len < 2 || len >= sizeof(sun.sun_path))
        return;
    memcpy(sun.sun_path, path, len);
    if (path[0] == '@')
        sun.sun_path[0] = '\0'; /* abstract */
    fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd >= 0)
        (void)sendto(fd, state, strlen(state), MSG_NOSIGNAL, (struct sockaddr *)&sun,
                     (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len));
}

void process_ready(void)
{
    int null;

    process_notify("READY=1");
    if (ready_fd < 0)
        return;
    null = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (null >= 0) {
        dup2(null, STDIN_FILENO);
        dup2(null, STDOUT_FILENO);
        dup2(null, STDERR_FILENO);
        if (null > STDERR_FILENO)
            close(null);
    }
    if (write(ready_fd, "", 1) < 0) {
        /* The parent was killed meanwhile: nobody waits. */
    }
    close_fdp(&ready_fd);
}

int process_pidfile(const char *path, struct err *err)
{
    _cleanup_(close_fdp) int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644);
    char text[32];
    int len;

    if (fd < 0)
        return err_set(err, -errno, "%s: the pid file cannot be written (%s)", path,
                       strerror(errno));
    if (flock(fd, LOCK_EX | LOCK_NB) < 0)
        return err_set(err, -EBUSY, "%s: another one is running (it holds the pid file)", path);
    len = snprintf(text, sizeof(text), "%d\n", (int)getpid());
    if (ftruncate(fd, 0) < 0 || write(fd, text, (size_t)len) != len)
        return err_set(err, -EIO, "%s: the pid file cannot be written", path);
    return TAKE_FD(fd);
}

static int make_parents(char *path, struct err *err)
{
    char *slash;

    for (slash = strchr(path + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        if (mkdir(path, 0755) < 0 && errno != EEXIST)
            return err_set(err, -errno, "%s: the folder cannot be made (%s)", path,
                           strerror(errno));
        *slash = '/';
    }
    return 0;
}

int process_folder(const char *path, struct account account, mode_t mode, struct err *err)
{
    char *copy = strdup(path);
    int rc = copy ? make_parents(copy, err) : -ENOMEM;

    free(copy);
    if (rc < 0)
        return rc;
    if (mkdir(path, mode) < 0) {
        if (errno == EEXIST)
            return 0;
        return err_set(err, -errno, "%s: the folder cannot be made (%s)", path, strerror(errno));
    }
    if (geteuid() == 0 && lchown(path, account.uid, account.gid) < 0)
        return err_set(err, -errno, "%s: its owner cannot be set (%s)", path, strerror(errno));
    return 0;
}

int process_folder_of(const char *file, struct account account, struct err *err)
{
    char *copy = strdup(file);
    int rc = copy ? process_folder(dirname(copy), account, 0755, err)
                  : err_set(err, -ENOMEM, "out of memory");

    free(copy);
    return rc;
}

int process_log_file(const char *path, struct account account, struct err *err)
{
    int rc = process_folder_of(path, account, err);

    if (rc == 0)
        rc = log_open_file(path, err);
    if (rc == 0 && geteuid() == 0 && lchown(path, account.uid, account.gid) < 0)
        rc = err_set(err, -errno, "%s: its owner cannot be set (%s)", path, strerror(errno));
    return rc;
}

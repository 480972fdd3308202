/* A network namespace of the test program's own. */
#include "tests/net/netns.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

int netns_skip(const char *why)
{
    fprintf(stderr, "skipped: %s: %s\n", why, strerror(errno));
    return EXIT_SKIP;
}

int netns_enter(void)
{
    if (unshare(geteuid() == 0 ? CLONE_NEWNET : CLONE_NEWUSER | CLONE_NEWNET) < 0)
        return netns_skip("no network namespace");
    return 0;
}

int netns_enter_as_root(void)
{
    if (geteuid() != 0) {
        errno = EPERM;
        return netns_skip("this needs root");
    }
    return netns_enter();
}

int netns_open_tuns(int *fds, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        fds[i] = open("/dev/net/tun", O_RDWR | O_CLOEXEC);
        if (fds[i] < 0)
            return netns_skip("/dev/net/tun");
    }
    return 0;
}

/* One epoll set; see loop.h. */
#include "common/loop.h"

#include <errno.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "common/cleanup.h"

int loop_init(struct loop *loop)
{
    loop->signals = -1;
    loop->epoll = epoll_create1(EPOLL_CLOEXEC);
    return loop->epoll < 0 ? -errno : 0;
}

void loop_clear(struct loop *loop)
{
    close_fdp(&loop->signals);
    close_fdp(&loop->epoll);
}

int loop_add(struct loop *loop, int fd, uint32_t source)
{
    struct epoll_event ev = {.events = EPOLLIN, .data.u32 = source};

    return epoll_ctl(loop->epoll, EPOLL_CTL_ADD, fd, &ev) < 0 ? -errno : 0;
}

static sigset_t set_of(const int *signals, size_t n)
{
    sigset_t set;

    sigemptyset(&set);
    for (size_t i = 0; i < n; i++)
        sigaddset(&set, signals[i]);
    return set;
}

int loop_signals_hold(const int *signals, size_t n)
{
    const sigset_t set = set_of(signals, n);

    return sigprocmask(SIG_BLOCK, &set, NULL) < 0 ? -errno : 0;
}

int loop_signals(struct loop *loop, const int *signals, size_t n, uint32_t source)
{
    const sigset_t set = set_of(signals, n);

    if (sigprocmask(SIG_BLOCK, &set, NULL) < 0)
        return -errno;
    loop->signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    return loop->signals < 0 ? -errno : loop_add(loop, loop->signals, source);
}

int loop_signal(struct loop *loop)
{
    struct signalfd_siginfo info;

    return read(loop->signals, &info, sizeof(info)) == sizeof(info) ? (int)info.ssi_signo : 0;
}

int loop_wait(struct loop *loop, int timeout_ms, uint32_t sources[LOOP_EVENTS])
{
    struct epoll_event events[LOOP_EVENTS];
    int n = epoll_wait(loop->epoll, events, LOOP_EVENTS, timeout_ms);
    int i;

    for (i = 0; i < n; i++)
        sources[i] = events[i].data.u32;
    return n < 0 ? 0 : n;
}

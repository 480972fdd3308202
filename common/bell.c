/* Waking another thread; see bell.h. */
#include "common/bell.h"

#include <errno.h>
#include <stdint.h>
#include <sys/eventfd.h>
#include <sys/uio.h>
#include <unistd.h>

int bell_create(void)
{
    int fd = eventfd(0, EFD_CLOEXEC);

    return fd < 0 ? -errno : fd;
}

void bell_ring(int bell)
{
    const uint64_t once = 1;

    (void)!write(bell, &once, sizeof(once));
}

void bell_empty(int bell)
{
    uint64_t times;
    struct iovec iov = {.iov_base = &times, .iov_len = sizeof(times)};

    /* Another reader may be quicker: this one does not wait. */
    (void)!preadv2(bell, &iov, 1, -1, RWF_NOWAIT);
}

int bell_wait(int bell)
{
    uint64_t times;
    ssize_t n = read(bell, &times, sizeof(times));

    if (n == (ssize_t)sizeof(times) || (n < 0 && (errno == EINTR || errno == EAGAIN)))
        return 0;
    return n < 0 ? -EBADF : -EPIPE;
}

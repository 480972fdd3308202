/* Memory for keys; see secret.h. */
#include "enclave/secret.h"

#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef SYS_memfd_secret
#define SYS_memfd_secret 447
#endif

#define GUARD ((size_t)4096)

/* Replace the middle of the reserved range; the guard pages around it stay inaccessible. */
static int map_secret(unsigned char *at, size_t size)
{
    int fd = (int)syscall(SYS_memfd_secret, O_CLOEXEC);
    int rc = 0;

    if (fd < 0)
        return -errno;
    if (ftruncate(fd, (off_t)size) < 0 ||
        mmap(at, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd, 0) == MAP_FAILED)
        rc = -errno;
    close(fd);
    if (rc == 0 && madvise(at, size, MADV_DONTFORK) < 0)
        rc = -errno;
    return rc;
}

static int map_locked(unsigned char *at, size_t size)
{
    if (mmap(at, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) ==
        MAP_FAILED)
        return -errno;
    if (madvise(at, size, MADV_DONTDUMP) < 0 || madvise(at, size, MADV_WIPEONFORK) < 0)
        return -errno;
    /* Without the right to lock this much the pages could be swapped: mlockall() may yet help. */
    if (mlock2(at, size, MLOCK_ONFAULT) < 0 && errno != ENOMEM && errno != EPERM)
        return -errno;
    return 0;
}

int secret_alloc(struct secret *s, size_t size)
{
    unsigned char *range;
    int rc;

    size = (size + GUARD - 1) & ~(size_t)(GUARD - 1);
    range = mmap(NULL, size + 2 * GUARD, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (range == MAP_FAILED)
        return -errno;
    s->base = range + GUARD;
    s->size = size;
    s->sealed_off = map_secret(s->base, size) == 0;
    if (s->sealed_off)
        return 0;
    rc = map_locked(s->base, size);
    if (rc < 0)
        munmap(range, size + 2 * GUARD);
    return rc;
}

void secret_wipe(struct secret *s)
{
    if (s->base)
        sodium_memzero(s->base, s->size);
}

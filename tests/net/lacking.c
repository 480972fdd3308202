/*
 * A kernel without one kind of traffic control or device, for the program that this is loaded into
 * (LD_PRELOAD): in what it sends over netlink the kind that VPN_LACKING names is misspelt, so that
 * the kernel answers as it does about every kind that it does not have.
 *
 * With VPN_LACKING_LATE only what is sent in batches is, not what is tried alone: a kernel that
 * seemed to have the kind.
 */
#include <dlfcn.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

typedef ssize_t sendmsg_fn(int fd, const struct msghdr *msg, int flags);
typedef ssize_t send_fn(int fd, const void *buf, size_t len, int flags);

static bool is_netlink(int fd)
{
    struct sockaddr_storage own = {0};
    socklen_t len = sizeof(own);

    return getsockname(fd, (struct sockaddr *)&own, &len) == 0 && own.ss_family == AF_NETLINK;
}

/* An attribute is its length, a type, and here a text with its NUL. */
static void misspell(char *bytes, size_t len, const char *kind)
{
    const size_t size = strlen(kind) + 1;
    char *at = bytes;

    while ((at = memmem(at, len - (size_t)(at - bytes), kind, size)) != NULL) {
        uint16_t attr = 0;

        if (at - bytes >= 4)
            memcpy(&attr, at - 4, sizeof(attr));
        if (attr == 4 + size)
            *at = '?';
        at += size;
    }
}

static const char *lacking(int fd)
{
    return is_netlink(fd) ? getenv("VPN_LACKING") : NULL;
}

ssize_t send(int fd, const void *buf, size_t n, int flags)
{
    const char *kind = lacking(fd);
    send_fn *next;
    void *symbol = dlsym(RTLD_NEXT, "send");

    if (kind && !getenv("VPN_LACKING_LATE"))
        misspell((char *)buf, n, kind);
    memcpy(&next, &symbol, sizeof(next));
    return next(fd, buf, n, flags);
}

ssize_t sendmsg(int fd, const struct msghdr *message, int flags)
{
    const char *kind = lacking(fd);
    sendmsg_fn *next;
    void *symbol = dlsym(RTLD_NEXT, "sendmsg");

    for (size_t i = 0; kind && i < message->msg_iovlen; i++)
        misspell(message->msg_iov[i].iov_base, message->msg_iov[i].iov_len, kind);
    memcpy(&next, &symbol, sizeof(next));
    return next(fd, message, flags);
}

/*
 * News from the kernel; see monitor.h.
 *
 * Theory of operation: the kernel tells every listener of every change, and on a router with a
 * million foreign routes in motion that is too much to be woken for.  So the socket has a filter:
 * our own changes, and routes with another protocol, never come as far as us, unless the news says
 * that a route replaced another, which may have been ours.  What the news says in detail is not
 * used: it only means "look".
 */
#include "netlink/monitor.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "netlink/nft_monitor.h"

#define MONITOR_RCVBUF_BYTES   (4 << 20)
#define MONITOR_DATAGRAM_BYTES (32 << 10)
#define MONITOR_READS_MAX      65536

struct net_monitor {
    int epoll; /* readable when one of the two is */
    int fd;
    struct net_nft_monitor *nft; /* NULL: this kernel has no nf_tables */
    _Alignas(struct nlmsghdr) uint8_t datagram[MONITOR_DATAGRAM_BYTES];
};

static int monitor_filter(int fd, uint8_t protocol, uint32_t port)
{
    /* The filter's loads turn network order into host order; netlink is in host order. */
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct nlmsghdr, nlmsg_pid)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, htonl(port), 8, 0),
        BPF_STMT(BPF_LD | BPF_H | BPF_ABS, offsetof(struct nlmsghdr, nlmsg_type)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, htons(RTM_NEWROUTE), 1, 0),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, htons(RTM_DELROUTE), 0, 4),
        BPF_STMT(BPF_LD | BPF_B | BPF_ABS, NLMSG_HDRLEN + offsetof(struct rtmsg, rtm_protocol)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, protocol, 2, 0),
        BPF_STMT(BPF_LD | BPF_H | BPF_ABS, offsetof(struct nlmsghdr, nlmsg_flags)),
        BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, htons(NLM_F_REPLACE), 0, 1),
        BPF_STMT(BPF_RET | BPF_K, UINT32_MAX),
        BPF_STMT(BPF_RET | BPF_K, 0),
    };
    const struct sock_fprog prog = {.len = ARRAY_SIZE(code), .filter = code};

    return setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &prog, sizeof(prog)) < 0 ? -errno : 0;
}

static int monitor_join(int fd)
{
    static const int groups[] = {
        RTNLGRP_LINK,
        RTNLGRP_IPV4_IFADDR,
        RTNLGRP_IPV6_IFADDR,
        RTNLGRP_IPV4_ROUTE,
        RTNLGRP_IPV6_ROUTE,
        RTNLGRP_IPV4_RULE,
        RTNLGRP_IPV6_RULE,
        RTNLGRP_TC,
        /* Settings, as far as there is news of them: forwarding and rp_filter. */
        RTNLGRP_IPV4_NETCONF,
        RTNLGRP_IPV6_NETCONF,
    };

    for (size_t i = 0; i < ARRAY_SIZE(groups); i++)
        if (setsockopt(fd, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &groups[i], sizeof(groups[i])) < 0)
            return -errno;
    return 0;
}

static int open_route(struct net_monitor *monitor, const struct net_monitor_scope *scope)
{
    const struct sockaddr_nl any = {.nl_family = AF_NETLINK};
    const int size = MONITOR_RCVBUF_BYTES;
    int rc;

    monitor->fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_ROUTE);
    if (monitor->fd < 0 || bind(monitor->fd, (const void *)&any, sizeof(any)) < 0)
        return -errno;
    if (setsockopt(monitor->fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size)) < 0)
        (void)setsockopt(monitor->fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size));
    rc = monitor_filter(monitor->fd, scope->protocol, scope->port);
    return rc < 0 ? rc : monitor_join(monitor->fd);
}

static int watch(const struct net_monitor *monitor, int fd)
{
    struct epoll_event event = {.events = EPOLLIN};

    return epoll_ctl(monitor->epoll, EPOLL_CTL_ADD, fd, &event) < 0 ? -errno : 0;
}

int net_monitor_open(struct net_monitor **out, const struct net_monitor_scope *scope,
                     struct err *err)
{
    struct net_monitor *monitor = calloc(1, sizeof(*monitor));
    int rc;

    if (!monitor)
        return err_set(err, -ENOMEM, "listening to the kernel: out of memory");
    monitor->fd = -1;
    monitor->epoll = epoll_create1(EPOLL_CLOEXEC);
    rc = monitor->epoll < 0 ? -errno : open_route(monitor, scope);
    if (rc == 0)
        rc = watch(monitor, monitor->fd);
    if (rc < 0)
        err_set(err, rc, "cannot listen to the kernel's news: %s", strerror(-rc));
    /* Without nf_tables there is nothing to hear, and the rest goes on. */
    if (rc == 0 && scope->table && scope->netfilter_port &&
        net_nft_monitor_open(&monitor->nft, scope->table, scope->netfilter_port, NULL) == 0)
        rc = watch(monitor, net_nft_monitor_fd(monitor->nft));
    if (rc < 0)
        net_monitor_close(monitor);
    else
        *out = monitor;
    return rc;
}

void net_monitor_close(struct net_monitor *monitor)
{
    if (!monitor)
        return;
    net_nft_monitor_close(monitor->nft);
    if (monitor->fd >= 0)
        close(monitor->fd);
    if (monitor->epoll >= 0)
        close(monitor->epoll);
    free(monitor);
}

int net_monitor_fd(const struct net_monitor *monitor)
{
    return monitor->epoll;
}

/* The name of the program, if that process is still there. */
static void name_sender(uint32_t port, char who[NET_WHO_SIZE])
{
    char path[32], name[24];
    _cleanup_(close_fdp) int fd = -1;
    ssize_t n = -1;

    /* Ports from 2^31 up are numbers that the kernel made up. */
    if (port == 0 || port > INT32_MAX)
        return;
    snprintf(path, sizeof(path), "/proc/%u/comm", port);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd >= 0)
        n = read(fd, name, sizeof(name));
    if (n > 0 && name[n - 1] == '\n')
        n--;
    if (n > 0)
        snprintf(who, NET_WHO_SIZE, "process %u (%.*s)", port, (int)n, name);
    else
        snprintf(who, NET_WHO_SIZE, "process %u", port);
    for (char *c = who; *c; c++)
        if ((unsigned char)*c < ' ' || *c == 0x7f)
            *c = '?';
}

/* Return: bytes, 0 when there is no more, or -errno. */
static ssize_t monitor_receive(struct net_monitor *monitor, bool *kernel)
{
    struct sockaddr_nl from = {0};
    struct iovec iov = {.iov_base = monitor->datagram, .iov_len = sizeof(monitor->datagram)};
    struct msghdr mh = {
        .msg_name = &from, .msg_namelen = sizeof(from), .msg_iov = &iov, .msg_iovlen = 1};
    ssize_t n;

    do
        n = recvmsg(monitor->fd, &mh, 0);
    while (n < 0 && errno == EINTR);
    if (n < 0)
        return errno == EAGAIN ? 0 : -errno;
    *kernel = mh.msg_namelen == sizeof(from) && from.nl_pid == 0;
    return n;
}

static int read_route(struct net_monitor *monitor, struct net_monitor_news *news)
{
    const struct nlmsghdr *nlh = (const void *)monitor->datagram;
    uint32_t port = 0;

    for (int i = 0; i < MONITOR_READS_MAX; i++) {
        bool kernel = false;
        ssize_t n = monitor_receive(monitor, &kernel);

        if (n == 0)
            break;
        if (n == -ENOBUFS) {
            news->lost = true;
            continue;
        }
        if (n < 0)
            return (int)n;
        if (!kernel || (size_t)n < sizeof(*nlh))
            continue;
        news->changed = true;
        if (nlh->nlmsg_pid)
            port = nlh->nlmsg_pid;
    }
    name_sender(port, news->who);
    return 0;
}

static int read_nft(struct net_monitor *monitor, struct net_monitor_news *news)
{
    struct net_nft_news nft = {.changed = false};
    int rc = net_nft_monitor_read(monitor->nft, &nft);

    news->changed = news->changed || nft.changed;
    news->lost = news->lost || nft.lost;
    if (rc == 0 && nft.changed && nft.last.who[0])
        snprintf(news->who, sizeof(news->who), "process %u (%.24s)", nft.last.pid, nft.last.who);
    return rc;
}

int net_monitor_read(struct net_monitor *monitor, struct net_monitor_news *news)
{
    int rc;

    *news = (struct net_monitor_news){0};
    rc = read_route(monitor, news);
    return rc == 0 && monitor->nft ? read_nft(monitor, news) : rc;
}

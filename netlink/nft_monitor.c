/* News of nf_tables; see nft_monitor.h. */
#include "netlink/nft_monitor.h"

#include <errno.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netlink.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "netlink/nft_msg.h"

#define MONITOR_RCVBUF_BYTES   (1 << 20)
#define MONITOR_DATAGRAM_BYTES (64 << 10)
#define MONITOR_BATCH          256 /* datagrams in one go; the next wake-up takes the rest */

struct net_nft_monitor {
    int fd;
    uint32_t port;
    char table[NET_FW_NAME_SIZE];
    bool pending; /* our table was changed in the transaction whose end is still to come */
    _Alignas(struct nlmsghdr) uint8_t datagram[MONITOR_DATAGRAM_BYTES];
};

int net_nft_monitor_open(struct net_nft_monitor **out, const char *table, uint32_t port,
                         struct err *err)
{
    struct net_nft_monitor *m = calloc(1, sizeof(*m));
    const struct sockaddr_nl any = {.nl_family = AF_NETLINK};
    const int group = NFNLGRP_NFTABLES, size = MONITOR_RCVBUF_BYTES;
    int rc;

    if (!m)
        return err_set(err, -ENOMEM, "out of memory");
    m->port = port;
    snprintf(m->table, sizeof(m->table), "%s", table);
    m->fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_NETFILTER);
    if (m->fd < 0)
        goto fail;
    if (setsockopt(m->fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size)) < 0)
        (void)setsockopt(m->fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size));
    /* A socket without a port of its own is told nothing. */
    if (bind(m->fd, (const struct sockaddr *)&any, sizeof(any)) < 0)
        goto fail;
    if (setsockopt(m->fd, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &group, sizeof(group)) < 0)
        goto fail;
    *out = m;
    return 0;

fail:
    rc = -errno;
    net_nft_monitor_close(m);
    return err_set(err, rc, "cannot watch the packet filter: %s", strerror(-rc));
}

void net_nft_monitor_close(struct net_nft_monitor *m)
{
    if (!m)
        return;
    if (m->fd >= 0)
        close(m->fd);
    free(m);
}

int net_nft_monitor_fd(const struct net_nft_monitor *m)
{
    return m->fd;
}

/* A transaction's changes come first, then who made them. */
static void take_message(struct net_nft_monitor *m, const struct nlmsghdr *nlh,
                         struct net_nft_news *news)
{
    struct net_nft_gen gen;

    if (nlh->nlmsg_pid == m->port)
        return;
    if (net_nft_read_event(nlh, m->table)) {
        news->changed = m->pending = true;
    } else if (m->pending && net_nft_read_gen(nlh, &gen) == 0) {
        news->last = gen;
        m->pending = false;
    }
}

static void take_datagram(struct net_nft_monitor *m, size_t len, struct net_nft_news *news)
{
    size_t at = 0;

    while (len - at >= sizeof(struct nlmsghdr)) {
        const struct nlmsghdr *nlh = (const void *)(m->datagram + at);
        size_t step;

        if (nlh->nlmsg_len < sizeof(*nlh) || nlh->nlmsg_len > len - at)
            return;
        step = NLMSG_ALIGN(nlh->nlmsg_len);
        at += step < len - at ? step : len - at;
        take_message(m, nlh, news);
    }
}

int net_nft_monitor_read(struct net_nft_monitor *m, struct net_nft_news *news)
{
    *news = (struct net_nft_news){.changed = false};
    for (int i = 0; i < MONITOR_BATCH; i++) {
        struct sockaddr_nl from = {0};
        socklen_t from_len = sizeof(from);
        ssize_t n = recvfrom(m->fd, m->datagram, sizeof(m->datagram), 0, (struct sockaddr *)&from,
                             &from_len);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno == ENOBUFS) {
            news->lost = true;
            continue;
        }
        if (n < 0)
            return errno == EAGAIN ? 0 : -errno;
        /* Only the kernel sends from port 0. */
        if (from_len == sizeof(from) && from.nl_pid == 0)
            take_datagram(m, (size_t)n, news);
    }
    return 0;
}

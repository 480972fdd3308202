/* News from the kernel: that something in our scopes has changed, and who changed it. */
#ifndef NETLINK_MONITOR_H
#define NETLINK_MONITOR_H

#include <stdbool.h>
#include <stdint.h>

#include "common/err.h"

#define NET_WHO_SIZE 48

struct net_monitor;

/* What came since the last look. */
struct net_monitor_news {
    bool changed; /* something that concerns us */
    bool lost;    /* there was more news than the socket holds */
    /*
     * "process 812 (ip)": who sent the last change, as far as can be told: most programs' first
     * netlink socket has their process id for a port.  Empty: the kernel by itself, or not known.
     */
    char who[NET_WHO_SIZE];
};

/* What concerns us. */
struct net_monitor_scope {
    uint8_t protocol;        /* routes with another number are passed over */
    uint32_t port;           /* our own connection's: its changes are no news (net_conn_port()) */
    const char *table;       /* of nf_tables; NULL: none */
    uint32_t netfilter_port; /* 0: this kernel has no netfilter */
};

/** net_monitor_open() - listen.  Return: 0 or -errno. */
int net_monitor_open(struct net_monitor **out, const struct net_monitor_scope *scope,
                     struct err *err);
/** net_monitor_close() - NULL is allowed. */
void net_monitor_close(struct net_monitor *monitor);

/** net_monitor_fd() - readable when there is news. */
int net_monitor_fd(const struct net_monitor *monitor);
/** net_monitor_read() - take all that is there, without waiting.  Return: 0 or -errno. */
int net_monitor_read(struct net_monitor *monitor, struct net_monitor_news *news);

#endif

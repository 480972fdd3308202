/* News of nf_tables: that somebody has changed our table, and who. */
#ifndef NETLINK_NFT_MONITOR_H
#define NETLINK_NFT_MONITOR_H

#include <stdbool.h>
#include <stdint.h>

#include "common/err.h"
#include "netlink/nft_read.h"

struct net_nft_monitor;

/* What came since the last look. */
struct net_nft_news {
    bool changed;            /* something in our table */
    bool lost;               /* there was more news than the socket holds */
    struct net_nft_gen last; /* who made the last change of our table; .who empty: not known */
};

/**
 * net_nft_monitor_open() - listen for changes of a table
 * @port: our own connection's: its changes are no news (net_conn_port())
 *
 * Return: 0 or -errno.
 */
int net_nft_monitor_open(struct net_nft_monitor **out, const char *table, uint32_t port,
                         struct err *err);
/** net_nft_monitor_close() - NULL is allowed. */
void net_nft_monitor_close(struct net_nft_monitor *monitor);
/** net_nft_monitor_fd() - readable when there is news. */
int net_nft_monitor_fd(const struct net_nft_monitor *monitor);
/** net_nft_monitor_read() - take all that is there, without waiting.  Return: 0 or -errno. */
int net_nft_monitor_read(struct net_nft_monitor *monitor, struct net_nft_news *news);

#endif

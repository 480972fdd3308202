/* Forwarding of packets; see forwarding.h. */
#include "daemon/forwarding.h"

#include <errno.h>
#include <limits.h>
#include <linux/rtnetlink.h>
#include <stdio.h>
#include <string.h>

#include "common/log.h"
#include "daemon/keeper.h"
#include "daemon/server.h"
#include "netlink/route.h"
#include "netlink/sysctl.h"
#include "netlink/sysctl_keep.h"

static const struct net_setting settings[] = {
    {"ipv4/ip_forward", "1"},
    {"ipv6/conf/all/forwarding", "1"},
};

/* Return: 1 when the default route @route came by an advertisement that would be heard no more. */
static int advertised(const struct net_route *route, void *ctx)
{
    char *dev = ctx, value[NET_SYSCTL_VALUE_SIZE];
    struct net_sysctl key = {{"ipv6", "conf", dev, "accept_ra"}};

    if (route->dst.addr.family != 6 || route->dst.len != 0 || route->ifindex == 0 ||
        !if_indextoname(route->ifindex, dev))
        return 0;
    /* 0: a program hears them, and decides by itself. */
    return net_sysctl_read(&key, value, NULL) == 0 && strcmp(value, "1") == 0;
}

int forwarding_ip6_safe(struct net_conn *conn, struct err *err)
{
    const struct net_sysctl key = {{"ipv6", "conf", "all", "forwarding"}};
    const struct net_route_filter filter = {.protocol = RTPROT_RA};
    char dev[IFNAMSIZ] = "", value[NET_SYSCTL_VALUE_SIZE];
    int rc;

    /* What it would lose it has lost already. */
    if (net_sysctl_read(&key, value, NULL) == 0 && strcmp(value, "1") == 0)
        return 0;
    rc = net_route_dump(conn, &filter, advertised, dev, err);
    if (rc <= 0)
        return rc;
    return err_set(err, -EBUSY,
                   "IPv6 is not forwarded: this host has its default route from router "
                   "advertisements on %s, and a host that forwards ignores them (set "
                   "net.ipv6.conf.%s.accept_ra=2, or give it a fixed default route, and reload)",
                   dev, dev);
}

/* How many of the settings are wanted; the second one only where it is safe. */
static size_t wanted(struct server *s, const struct config *config, struct err *err)
{
    if (!config->forwarding)
        return 0;
    return forwarding_ip6_safe(keeper_conn(s->keeper), err) < 0 ? 1 : 2;
}

void forwarding_before(struct server *s, const struct config *config)
{
    struct err err;

    if (s->former && net_sysctl_keep_note(s->former, settings, wanted(s, config, &err), &err) < 0)
        log_warning("forwarding: %s", err.msg);
}

void forwarding_follow(struct server *s, const struct config *config)
{
    struct err err;
    size_t n;

    if (!s->former)
        return;
    n = wanted(s, config, &err);
    if (n == 1)
        log_warning("%s", err.msg);
    s->forwards6 = n > 1;
    if (net_sysctl_keep_want(s->former, settings, n, &err) < 0)
        log_warning("forwarding: %s", err.msg);
    if (n > 0)
        log_info("packets are forwarded (%s)", n > 1 ? "IPv4 and IPv6" : "IPv4");
}

void forwarding_open(struct server *s)
{
    struct err note = {{0}}, err = {{0}};
    char path[PATH_MAX];

    snprintf(path, sizeof(path), "%s/sysctl", s->config->state);
    if (net_sysctl_keep_open(&s->former, path, &note, &err) < 0)
        log_warning("forwarding is left as it is: %s", err.msg);
    else if (note.msg[0])
        log_warning("%s", note.msg);
    forwarding_follow(s, s->config);
}

void forwarding_close(struct server *s)
{
    struct err err;

    if (s->former && net_sysctl_keep_restore(s->former, &err) < 0)
        log_warning("forwarding: not put back: %s", err.msg);
    net_sysctl_keep_free(s->former);
    s->former = NULL;
}

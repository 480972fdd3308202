/* The server's TUN device; see device.h. */
#include "daemon/device.h"

#include <errno.h>
#include <linux/if_tun.h>
#include <string.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/log.h"
#include "daemon/server.h"
#include "netlink/addr.h"
#include "netlink/link.h"
#include "netlink/tun.h"

#define DEVICE_ALIAS "vpn-server"

/* A device of that name may be a leftover of ours, or somebody else's. */
static int check_device(struct server *s, struct err *err)
{
    struct net_link link;
    int rc = net_link_get(s->net, s->config->device, &link, err);

    if (rc == -ENODEV)
        return 0;
    if (rc < 0)
        return rc;
    if (strcmp(link.kind, "tun") != 0 || strcmp(link.alias, DEVICE_ALIAS) != 0)
        return err_set(err, -EEXIST,
                       "%s: a device of this name exists and is not ours (choose another with "
                       "tunnel.device)",
                       s->config->device);
    if (link.carrier)
        return err_set(err, -EBUSY, "%s: another vpn-server is using it", s->config->device);
    return 0;
}

static int open_queues(struct server *s, struct err *err)
{
    const struct tun_options options = {.multi_queue = true, .persist = true};
    int port = datapath_add_port(&s->dp, true);
    uint32_t i;

    if (port < 0)
        return port;
    for (i = 0; i < s->lanes; i++) {
        int fd = spawner_open_tun(&s->spawner, err);
        int rc;

        if (fd < 0)
            return fd;
        rc = tun_attach(fd, s->config->device, &options, err);
        if (rc < 0) {
            close(fd);
            return rc;
        }
        s->device_made = true;
        s->dp.ports[port].queue[i] = fd;
    }
    return datapath_port_offload(&s->dp, (uint32_t)port, true, err);
}

struct stray {
    const struct config *config;
    struct net_addr addrs[64];
    size_t n;
};

/* On our own device every address that the file does not name is a leftover. */
static int note_stray(const struct net_addr *addr, void *ctx)
{
    struct stray *stray = ctx;
    const struct ip_prefix *own = config_prefix(stray->config, addr->prefix.addr.family);

    if (own && own->len == addr->prefix.len && ip_addr_equal(&own->addr, &addr->prefix.addr))
        return 0;
    if (stray->n < ARRAY_SIZE(stray->addrs))
        stray->addrs[stray->n++] = *addr;
    return 0;
}

static int set_addresses(struct server *s, struct err *err)
{
    struct stray stray = {.config = s->config};
    size_t i;
    int rc = net_addr_dump(s->net, 0, s->ifindex, note_stray, &stray, err);

    for (i = 0; rc == 0 && i < stray.n; i++)
        rc = net_addr_del(s->net, &stray.addrs[i], err);
    for (i = 0; rc == 0 && i < s->config->n_addresses; i++) {
        struct net_addr addr = {
            .ifindex = s->ifindex,
            .prefix = s->config->addresses[i],
            .protocol = NET_PROTO_SERVER,
        };
        char text[IP_PREFIX_STRLEN];

        rc = net_addr_put(s->net, &addr, err);
        if (rc == 0)
            log_info("TUN address configured: %s", ip_prefix_format(&addr.prefix, text));
    }
    return rc;
}

int device_open(struct server *s, struct err *err)
{
    struct net_link have = {0}, want = {.mtu = s->config->mtu, .up = true, .ip6ll = NET_IP6LL_NONE};
    int rc = check_device(s, err);

    if (rc == 0)
        rc = open_queues(s, err);
    if (rc == 0)
        rc = net_link_get(s->net, s->config->device, &have, err);
    if (rc < 0)
        return rc;
    s->ifindex = have.ifindex;
    strcpy(want.name, s->config->device);
    strcpy(want.alias, DEVICE_ALIAS);
    rc = net_link_set(s->net, s->ifindex, &want, net_link_diff(&want, &have), err);
    if (rc < 0)
        return rc;
    log_info("TUN interface %s created (MTU %u, %u queue%s)", s->config->device, s->config->mtu,
             s->lanes, s->lanes == 1 ? "" : "s");
    return set_addresses(s, err);
}

void device_close(struct server *s)
{
    struct err err;
    uint32_t i;

    /* The device goes with its last queue, also when it never came to be configured. */
    for (i = 0; s->device_made && i < s->lanes; i++)
        if (s->dp.ports[0].queue[i] >= 0)
            (void)tun_set_persist(s->dp.ports[0].queue[i], false, &err);
    if (s->device_made && s->ifindex && s->net && net_link_del(s->net, s->ifindex, &err) < 0)
        log_warning("%s: not removed: %s", s->config->device, err.msg);
    s->device_made = false;
}

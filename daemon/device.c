/* The server's TUN device; see device.h. */
#include "daemon/device.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/log.h"
#include "daemon/desired.h"
#include "daemon/keeper.h"
#include "daemon/qos.h"
#include "daemon/server.h"
#include "netlink/link.h"
#include "netlink/tun.h"

#define PORT 0 /* the server has one */

/* A device of that name may be a leftover of ours, or somebody else's. */
static int check_device(struct server *s, const char *name, struct err *err)
{
    struct net_link link;
    int rc = net_link_get(keeper_conn(s->keeper), name, &link, err);

    if (rc == -ENODEV)
        return 0;
    if (rc < 0)
        return rc;
    if (strcmp(link.kind, "tun") != 0 || strcmp(link.alias, DESIRED_ALIAS) != 0)
        return err_set(err, -EEXIST,
                       "%s: a device of this name exists and is not ours (choose another with "
                       "tunnel.device)",
                       name);
    if (link.carrier)
        return err_set(err, -EBUSY, "%s: another vpn-server is using it", name);
    return 0;
}

static int open_queues(struct server *s, struct device *d, struct err *err)
{
    const struct tun_options options = {.multi_queue = true, .persist = true};

    for (uint32_t i = 0; i < s->lanes; i++) {
        int rc, fd = spawner_open_tun(&s->spawner, err);

        if (fd < 0)
            return fd;
        rc = tun_attach(fd, d->name, &options, err);
        if (rc < 0) {
            close(fd);
            return rc;
        }
        d->queue[i] = fd;
    }
    return 0;
}

static int mark_device(struct server *s, const struct device *d, struct err *err)
{
    struct net_link have, want = {.alias = DESIRED_ALIAS};
    int rc = net_link_get(keeper_conn(s->keeper), d->name, &have, err);

    memcpy(want.name, d->name, sizeof(want.name));
    return rc < 0 ? rc
                  : net_link_set(keeper_conn(s->keeper), have.ifindex, &want, NET_LINK_ALIAS, err);
}

static void device_init(struct device *d, const char *name)
{
    *d = (struct device){0};
    memcpy(d->name, name, strlen(name) + 1);
    for (size_t i = 0; i < ARRAY_SIZE(d->queue); i++)
        d->queue[i] = -1;
}

int device_make(struct server *s, const char *name, struct device *out, struct err *err)
{
    struct device d;
    int rc = check_device(s, name, err);

    if (rc < 0)
        return rc;
    device_init(&d, name);
    rc = open_queues(s, &d, err);
    if (rc == 0)
        rc = mark_device(s, &d, err);
    if (rc < 0) {
        device_unmake(s, &d);
        return rc;
    }
    *out = d;
    return 0;
}

void device_unmake(struct server *s, struct device *d)
{
    struct err err;

    for (uint32_t i = 0; d->name[0] && i < s->lanes; i++) {
        /* The device goes with its last queue. */
        if (d->queue[i] >= 0)
            (void)tun_set_persist(d->queue[i], false, &err);
        close_fdp(&d->queue[i]);
    }
    d->name[0] = '\0';
}

static void give(struct server *s, struct device *device)
{
    struct dp_port *port = &s->dp.ports[PORT];
    struct device former = s->device;

    s->device = *device;
    *device = former;
    for (uint32_t i = 0; i < s->lanes; i++)
        port->queue[i] = s->device.name[0] ? s->device.queue[i] : -1;
}

int device_exchange(struct server *s, struct device *device, struct err *err)
{
    int rc = 0;

    give(s, device);
    if (s->device.name[0])
        rc = datapath_port_offload(&s->dp, PORT, qos_offload(s->config), err);
    if (rc < 0)
        give(s, device);
    return rc;
}

void device_offload(struct server *s)
{
    struct err err;

    if (s->device.name[0] && datapath_port_offload(&s->dp, PORT, qos_offload(s->config), &err) < 0)
        log_warning("%s: %s", s->device.name, err.msg);
}

int device_open(struct server *s, struct err *err)
{
    struct device d;
    int rc = datapath_add_port(&s->dp, true);

    if (rc >= 0)
        rc = device_make(s, s->config->device, &d, err);
    if (rc < 0)
        return rc;
    rc = device_exchange(s, &d, err);
    if (rc < 0) {
        device_unmake(s, &d);
        return rc;
    }
    log_info("TUN interface %s created (MTU %u, %u queue%s)", s->config->device, s->config->mtu,
             s->lanes, s->lanes == 1 ? "" : "s");
    return 0;
}

void device_close(struct server *s)
{
    struct device none;
    struct err err;

    if (!s->device.name[0])
        return;
    device_init(&none, "");
    (void)device_exchange(s, &none, &err);
    device_unmake(s, &none);
}

/* ---- deleted under us ---------------------------------------------------------------------- */

static bool device_lives(struct server *s)
{
    struct net_link link;
    struct err err;

    return net_link_get(keeper_conn(s->keeper), s->device.name, &link, &err) == 0 && link.carrier &&
           strcmp(link.alias, DESIRED_ALIAS) == 0;
}

static int make_again(struct server *s, struct err *err)
{
    struct device d;
    struct err why;
    int rc = device_make(s, s->config->device, &d, err), paused, resumed = 0;

    if (rc < 0)
        return rc;
    paused = datapath_pause(&s->dp);
    rc = device_exchange(s, &d, err);
    device_unmake(s, &d);
    /* Without a device as well: clients are still to be answered. */
    if (paused < 0)
        (void)spawner_kill(&s->spawner);
    else
        resumed = datapath_resume(&s->dp, &why);
    keeper_changed(s);
    return rc == 0 && resumed < 0 ? err_set(err, resumed, "%s", why.msg) : rc;
}

void device_lost(struct server *s)
{
    struct err err;
    int rc;

    /* Each lane says so; the first made it again, or it is tried each second. */
    if (s->device_lost || device_lives(s))
        return;
    rc = make_again(s, &err);
    s->device_lost = rc < 0;
    if (rc == 0)
        log_warning("%s: the device was deleted by somebody: made again", s->config->device);
    else
        log_error("%s: the device was deleted by somebody, and cannot be made again yet: %s",
                  s->config->device, err.msg);
}

void device_tick(struct server *s)
{
    struct err err;

    if (!s->device_lost || make_again(s, &err) < 0)
        return;
    s->device_lost = false;
    log_info("%s: the device is there again", s->config->device);
}

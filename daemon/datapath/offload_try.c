/* Which offloads this kernel has: tried when devices and sockets are opened; see offload.h. */
#include <errno.h>
#include <linux/if_tun.h>
#include <string.h>
#include <sys/ioctl.h>

#include "daemon/datapath/coalesce.h"
#include "daemon/datapath/datapath.h"
#include "daemon/datapath/udp.h"

/* Linux 6.2; older headers lack them. */
#ifndef TUN_F_USO4
#define TUN_F_USO4 0x20
#define TUN_F_USO6 0x40
#endif

static bool offload_wanted(const struct datapath *dp, enum offload offload)
{
    return dp->offloads.wanted & OFFLOAD_BIT(offload);
}

/* One of them was tried: with @rc it works, or this kernel lacks it. */
static int offload_tried(struct datapath *dp, enum offload offload, int rc, struct err *err)
{
    if (rc == 0)
        atomic_fetch_or(&dp->offloads_used, OFFLOAD_BIT(offload));
    else if (dp->offloads.exact)
        return err_set(err, rc, "this kernel has no %s, which " OFFLOAD_ENVIRONMENT " asks for",
                       offload_name(offload));
    return 0;
}

/* Any queue of the device: what it may hand over is the same for all. */
static int port_queue(const struct dp_port *port)
{
    int fd = -1;

    for (uint32_t i = 0; i < IPC_MAX_LANES && fd < 0; i++)
        fd = port->queue[i];
    return fd;
}

static int set_offload(int fd, unsigned int flags)
{
    return ioctl(fd, TUNSETOFFLOAD, (unsigned long)flags) < 0 ? -errno : 0;
}

int datapath_port_offload(struct datapath *dp, uint32_t number, bool allowed, struct err *err)
{
    struct dp_port *port = &dp->ports[number];
    const int fd = port_queue(port);
    const unsigned int tso = TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6, uso = TUN_F_USO4 | TUN_F_USO6;
    const bool want_tso = allowed && offload_wanted(dp, OFFLOAD_TUN_TSO);
    const bool want_uso = allowed && offload_wanted(dp, OFFLOAD_TUN_USO);
    const bool want_gro = allowed && offload_wanted(dp, OFFLOAD_TUN_GRO);
    unsigned int set = 0, merge = want_gro ? COALESCE_TCP : 0;
    int rc = 0, tried;

    atomic_fetch_and(&dp->offloads_used,
                     ~(OFFLOAD_BIT(OFFLOAD_TUN_TSO) | OFFLOAD_BIT(OFFLOAD_TUN_USO) |
                       OFFLOAD_BIT(OFFLOAD_TUN_GRO)));
    /* A kernel that can take UDP super-packets can also hand them over, and the other way round. */
    if (want_gro) {
        merge |= set_offload(fd, TUN_F_CSUM | uso) == 0 ? COALESCE_UDP : 0;
        rc = offload_tried(dp, OFFLOAD_TUN_GRO, 0, err);
    }
    if (want_tso) {
        tried = set_offload(fd, tso);
        rc = offload_tried(dp, OFFLOAD_TUN_TSO, tried, err);
        set |= tried == 0 ? tso : 0;
    }
    if (rc == 0 && want_uso) {
        tried = set_offload(fd, set | TUN_F_CSUM | uso);
        rc = offload_tried(dp, OFFLOAD_TUN_USO, tried, err);
        set |= tried == 0 ? TUN_F_CSUM | uso : 0;
    }
    if (rc < 0)
        return rc;
    rc = set_offload(fd, set);
    if (rc < 0)
        return err_set(err, rc, "TUN offloads 0x%x: %s", set, strerror(-rc));
    atomic_store(&port->merge, merge);
    return 0;
}

int datapath_socket_offload(struct datapath *dp, int fd, struct err *err)
{
    int rc = 0;

    if (offload_wanted(dp, OFFLOAD_UDP_GRO))
        rc = offload_tried(dp, OFFLOAD_UDP_GRO, udp_receive_bulk(fd), err);
    if (rc == 0 && offload_wanted(dp, OFFLOAD_UDP_SEGMENT))
        rc = offload_tried(dp, OFFLOAD_UDP_SEGMENT, udp_can_segment(fd) ? 0 : -ENOPROTOOPT, err);
    return rc;
}

/* The daemon's rights in a network namespace with one device. */
#include "tests/net/netlink_rig.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/types.h>
#include <unistd.h>
#include <cap-ng.h>

#include "common/cleanup.h"
#include "netlink/tun.h"
#include "tests/net/netns.h"

struct net_conn *conn;
struct net_link dev;
int dev_fd = -1;
bool full_root;

static int tun_fds[12];
static size_t tun_used;

int rig_take_tun(void)
{
    assert_true(tun_used < ARRAY_SIZE(tun_fds));
    return tun_fds[tun_used++];
}

static int count_addr(const struct net_addr *addr, void *ctx)
{
    struct count *count = ctx;
    const struct net_addr *want = count->want;
    bool id = want && net_addr_cmp_id(addr, want) == 0;

    count->all++;
    count->id += id;
    count->same += id && net_addr_same(addr, want);
    return 0;
}

static int count_route(const struct net_route *route, void *ctx)
{
    struct count *count = ctx;
    const struct net_route *want = count->want;
    bool id = want && net_route_cmp_id(route, want) == 0;

    count->all++;
    count->id += id;
    count->same += id && net_route_same(route, want);
    return 0;
}

struct count addrs(const struct net_addr *want)
{
    struct count count = {.want = want};

    OK(net_addr_dump(conn, 0, want->ifindex, count_addr, &count, &err));
    return count;
}

struct count routes(const struct net_route *want, uint8_t protocol)
{
    struct count count = {.want = want};
    struct net_route_filter filter = {.family = want->dst.addr.family,
                                      .table = want->table,
                                      .protocol = protocol};

    OK(net_route_dump(conn, &filter, count_route, &count, &err));
    return count;
}

int rig_setup(void **state)
{
    struct tun_options options = {.persist = false};

    (void)state;
    dev_fd = rig_take_tun();
    OK(net_conn_open(&conn, &err));
    OK(tun_attach(dev_fd, "tst0", &options, &err));
    OK(net_link_get(conn, "tst0", &dev, &err));
    return 0;
}

int rig_setup_up(void **state)
{
    struct net_link want;

    rig_setup(state);
    want = dev;
    want.up = true;
    want.ip6ll = NET_IP6LL_NONE;
    OK(net_link_set(conn, dev.ifindex, &want, net_link_diff(&want, &dev), &err));
    return 0;
}

int rig_teardown(void **state)
{
    (void)state;
    net_conn_close(conn);
    close(dev_fd);
    return 0;
}

/* A user namespace in which whoever we are is called ORDINARY_UID. */
static int map_uid(uid_t outside)
{
    _cleanup_(close_fdp) int fd = open("/proc/self/uid_map", O_WRONLY | O_CLOEXEC);

    return fd < 0 || dprintf(fd, "%d %u 1", ORDINARY_UID, outside) < 0 ? -1 : 0;
}

/* Become an ordinary uid with CAP_NET_ADMIN and nothing else. */
static int drop_rights(void)
{
    capng_clear(CAPNG_SELECT_BOTH);
    capng_update(CAPNG_ADD, CAPNG_EFFECTIVE | CAPNG_PERMITTED, CAP_NET_ADMIN);
    return full_root ? capng_change_id(ORDINARY_UID, ORDINARY_UID, CAPNG_DROP_SUPP_GRP)
                     : capng_apply(CAPNG_SELECT_CAPS);
}

int rig_enter(void)
{
    const uid_t uid = geteuid();
    int rc;

    full_root = uid == 0;
    rc = netns_enter();
    if (rc)
        return rc;
    if (!full_root && map_uid(uid) < 0)
        return netns_skip("no user namespace");
    rc = netns_open_tuns(tun_fds, ARRAY_SIZE(tun_fds));
    if (rc)
        return rc;
    return drop_rights() == 0 ? 0 : netns_skip("cannot give up rights");
}

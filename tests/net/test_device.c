/*
 * netlink/link, netlink/tun and netlink/sysctl against the real kernel: a device, the descriptors
 * that hold it, and its settings.
 */
#include <errno.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <cmocka.h>

#include "netlink/link.h"
#include "netlink/object.h"
#include "netlink/sysctl.h"
#include "netlink/tun.h"
#include "tests/net/netlink_rig.h"

static void test_link(void **state)
{
    struct net_link want = dev, have;

    (void)state;
    FAILS(-ENODEV, "device nosuch0: ", net_link_get(conn, "nosuch0", &have, &err));
    FAILS(-EINVAL, "cannot be the name", net_link_get(conn, "a/b", &have, &err));

    OK(net_link_get(conn, "lo", &have, &err));
    assert_int_equal(have.ifindex, 1);
    assert_string_equal(have.kind, "");

    assert_string_equal(dev.kind, "tun");
    assert_true(dev.carrier);
    assert_false(dev.up);
    want.mtu = 1380;
    want.up = true;
    strcpy(want.alias, "vpn-server: tunnel");
    want.ip6ll = NET_IP6LL_NONE;
    for (int i = 0; i < 2; i++) {
        OK(net_link_set(conn, dev.ifindex, &want, net_link_diff(&want, &dev), &err));
        OK(net_link_get(conn, dev.name, &have, &err));
        assert_int_equal(net_link_diff(&want, &have), 0);
    }
    /* Up came last: the kernel never made a link-local address. */
    if (have.ip6ll != NET_IP6LL_ABSENT)
        assert_int_equal(addrs(&(struct net_addr){.ifindex = dev.ifindex}).all, 0);

    want.alias[0] = '\0';
    OK(net_link_set(conn, dev.ifindex, &want, NET_LINK_ALIAS, &err));
    OK(net_link_get(conn, dev.name, &have, &err));
    assert_string_equal(have.alias, "");

    want.mtu = 1;
    FAILS(-EINVAL, "cannot set MTU: mtu less than device minimum",
          net_link_set(conn, dev.ifindex, &want, NET_LINK_MTU, &err));
    FAILS(-ENODEV, "cannot set up: ", net_link_set(conn, 99999, &want, NET_LINK_UP, &err));
    FAILS(-EINVAL, "without its index", net_link_del(conn, 0, &err));
    OK(net_link_del(conn, 99999, &err));
}

/* One device, its queues in several descriptors, closed and adopted again. */
static void check_tun(const char *name, unsigned int queues)
{
    struct tun_options options = {.multi_queue = queues > 1, .persist = true};
    struct tun_options other = {.multi_queue = queues == 1};
    struct net_link made, adopted;
    int fds[2];
    uint8_t packet[64];

    for (unsigned int i = 0; i < queues; i++) {
        fds[i] = rig_take_tun();
        OK(tun_attach(fds[i], name, &options, &err));
    }
    OK(net_link_get(conn, name, &made, &err));
    assert_true(made.carrier);
    /* Nothing to read, and reading does not wait for it. */
    assert_int_equal(read(fds[0], packet, sizeof(packet)), -1);
    assert_int_equal(errno, EAGAIN);
    FAILS(-EEXIST, "belongs to a device already", tun_attach(fds[0], name, &options, &err));

    for (unsigned int i = 0; i < queues; i++)
        close(fds[i]);
    OK(net_link_get(conn, name, &adopted, &err));
    assert_int_equal(adopted.ifindex, made.ifindex);
    assert_false(adopted.carrier);

    fds[0] = rig_take_tun();
    FAILS(-EINVAL, "remove it (ip link del ", tun_attach(fds[0], name, &other, &err));
    OK(tun_attach(fds[0], name, &options, &err));
    OK(net_link_get(conn, name, &adopted, &err));
    assert_int_equal(adopted.ifindex, made.ifindex);
    assert_true(adopted.carrier);

    OK(tun_set_persist(fds[0], false, &err));
    close(fds[0]);
    FAILS(-ENODEV, name, net_link_get(conn, name, &adopted, &err));
}

static void test_tun(void **state)
{
    struct tun_options options = {.persist = true};
    struct net_link link;
    int fd, second, pipe_fds[2];

    (void)state;
    check_tun("tun-one", 1);
    check_tun("tun-two", 2);

    fd = rig_take_tun();
    second = rig_take_tun();
    OK(tun_attach(fd, "tun-busy", &options, &err));
    FAILS(-EBUSY, "device tun-busy is in use by another process",
          tun_attach(second, "tun-busy", &options, &err));
    FAILS(-EINVAL, "cannot be the name", tun_attach(second, "tun%d", &options, &err));
    /* Another kind of device, and no device at all. */
    FAILS(-EINVAL, "device lo exists and is not a TUN", tun_attach(second, "lo", &options, &err));
    close(second);
    assert_int_equal(pipe(pipe_fds), 0);
    FAILS(-ENOTTY, "not /dev/net/tun", tun_attach(pipe_fds[0], "tun-pipe", &options, &err));
    close(pipe_fds[0]);
    close(pipe_fds[1]);

    /* A persistent device can be removed over rtnetlink, also while it is held. */
    OK(net_link_get(conn, "tun-busy", &link, &err));
    OK(net_link_del(conn, link.ifindex, &err));
    OK(net_link_del(conn, link.ifindex, &err));
    FAILS(-ENODEV, "tun-busy", net_link_get(conn, "tun-busy", &link, &err));
    close(fd);
}

/* A packet of the host comes out behind the plain 10-byte virtio header. */
static void test_tun_framing(void **state)
{
    struct net_addr addr = {.ifindex = dev.ifindex,
                            .prefix = prefix("10.8.0.1/24"),
                            .protocol = NET_PROTO_SERVER};
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(9)};
    uint8_t packet[256];
    ssize_t n = -1;
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

    (void)state;
    assert_true(fd >= 0);
    OK(net_addr_put(conn, &addr, &err));
    to.sin_addr.s_addr = htonl(0x0a080002);
    assert_int_equal(sendto(fd, "ping", 4, 0, (struct sockaddr *)&to, sizeof(to)), 4);
    close(fd);
    /* The device may hold packets of the kernel's own: look for ours. */
    for (int i = 0; i < 16; i++) {
        n = read(dev_fd, packet, sizeof(packet));
        if (n < 0 || packet[TUN_VNET_HDR_LEN] == 0x45)
            break;
    }
    assert_int_equal(n, TUN_VNET_HDR_LEN + 20 + 8 + 4);
    assert_memory_equal(packet + TUN_VNET_HDR_LEN + 28, "ping", 4);
    OK(net_addr_del(conn, &addr, &err));
}

static void test_sysctl(void **state)
{
    struct net_sysctl key = {{"ipv4", "conf", dev.name, "accept_local"}};
    struct net_sysctl bad = {{"ipv4", "..", "core"}};
    struct net_sysctl nosuch = {{"ipv4", "conf", dev.name, "no_such_thing"}};
    struct net_sysctl_saved saved = {0}, again = {0};
    char value[NET_SYSCTL_VALUE_SIZE];

    (void)state;
    OK(net_sysctl_read(&key, value, &err));
    assert_string_equal(value, "0");
    OK(net_sysctl_change(&key, "1", &saved, &err));
    assert_true(saved.changed);
    OK(net_sysctl_read(&key, value, &err));
    assert_string_equal(value, "1");
    /* Set already: nothing to put back. */
    OK(net_sysctl_change(&key, "1", &again, &err));
    assert_false(again.changed);
    OK(net_sysctl_restore(&again, &err));
    OK(net_sysctl_restore(&saved, &err));
    OK(net_sysctl_read(&key, value, &err));
    assert_string_equal(value, "0");
    OK(net_sysctl_restore(&saved, &err));

    /* What somebody else set since then stays. */
    OK(net_sysctl_change(&key, "1", &saved, &err));
    OK(net_sysctl_write(&key, "2", &err));
    OK(net_sysctl_restore(&saved, &err));
    OK(net_sysctl_read(&key, value, &err));
    assert_string_equal(value, "2");
    OK(net_sysctl_write(&key, "0", &err));

    FAILS(-EINVAL, "cannot be part of", net_sysctl_read(&bad, value, &err));
    FAILS(-ENOENT, "/proc/sys/net/ipv4/conf/tst0/no_such_thing",
          net_sysctl_write(&nosuch, "1", &err));
    FAILS(-EINVAL, "needs a name", net_sysctl_read(&(struct net_sysctl){{NULL}}, value, &err));
    FAILS(-EINVAL, "not one short line", net_sysctl_write(&key, "1\n1", &err));
    FAILS(-EINVAL, "accept_local to \"x\"", net_sysctl_write(&key, "x", &err));
}

static void test_sysctl6(void **state)
{
    struct net_sysctl key = {{"ipv6", "conf", dev.name, "addr_gen_mode"}};
    struct net_sysctl_saved saved = {0};
    struct net_link have;

    (void)state;
    if (dev.ip6ll == NET_IP6LL_ABSENT)
        skip();
    OK(net_sysctl_change(&key, "0", &saved, &err));
    OK(net_link_get(conn, dev.name, &have, &err));
    assert_int_equal(have.ip6ll, NET_IP6LL_AUTO);
    OK(net_sysctl_restore(&saved, &err));
    OK(net_link_get(conn, dev.name, &have, &err));
    assert_int_equal(have.ip6ll, NET_IP6LL_NONE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_link),        cmocka_unit_test(test_tun),
        cmocka_unit_test(test_tun_framing), cmocka_unit_test(test_sysctl),
        cmocka_unit_test(test_sysctl6),
    };
    const int rc = rig_enter();

    return rc ? rc : cmocka_run_group_tests_name("device", tests, rig_setup, rig_teardown);
}

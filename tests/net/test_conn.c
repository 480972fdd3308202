/* netlink/conn against the real kernel: whose rights it has, whose answers it believes. */
#include <errno.h>
#include <linux/netlink.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cap-ng.h>
#include <cmocka.h>

#include "common/cleanup.h"
#include "netlink/conn.h"
#include "netlink/link.h"
#include "netlink/object.h"
#include "netlink/route.h"
#include "netlink/tun.h"
#include "tests/net/netlink_rig.h"

static void test_rights(void **state)
{
    (void)state;
    assert_int_equal(geteuid(), ORDINARY_UID);
    for (int cap = 0; cap <= CAP_LAST_CAP; cap++)
        assert_int_equal(!!capng_have_capability(CAPNG_EFFECTIVE, (unsigned int)cap),
                         cap == CAP_NET_ADMIN);
}

/* The rtnetlink ports of this namespace, as /proc/net/netlink lists them. */
static size_t netlink_ports(uint32_t *ports, size_t max)
{
    _cleanup_(fclose_p) FILE *f = fopen("/proc/self/net/netlink", "re");
    char line[256];
    size_t n = 0;

    assert_non_null(f);
    while (n < max && fgets(line, sizeof(line), f)) {
        unsigned int family, port;

        if (sscanf(line, "%*s %u %u", &family, &port) == 2 && family == NETLINK_ROUTE && port)
            ports[n++] = port;
    }
    return n;
}

/* Any process with rights here can send to our socket: that must not pass for the kernel. */
static void test_forged_sender(void **state)
{
    struct {
        struct nlmsghdr nlh;
        struct nlmsgerr ack;
    } forged = {.nlh = {.nlmsg_len = sizeof(forged), .nlmsg_type = NLMSG_ERROR},
                .ack = {.error = -EIO}};
    uint32_t ports[64];
    struct net_conn *victim = NULL;
    struct net_link have;
    size_t n, sent = 0;
    int fd;

    (void)state;
    OK(net_conn_open(&victim, &err));
    fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
    assert_true(fd >= 0);
    n = netlink_ports(ports, ARRAY_SIZE(ports));
    for (size_t i = 0; i < n; i++) {
        struct sockaddr_nl to = {.nl_family = AF_NETLINK, .nl_pid = ports[i]};

        forged.nlh.nlmsg_pid = ports[i];
        forged.nlh.nlmsg_seq = 1; /* a connection's first request */
        sent += sendto(fd, &forged, sizeof(forged), 0, (struct sockaddr *)&to, sizeof(to)) ==
                sizeof(forged);
    }
    assert_true(sent >= 2); /* the victim's and the suite's own */
    OK(net_link_get(victim, "lo", &have, &err));
    assert_int_equal(have.ifindex, 1);
    net_conn_close(victim);
    close(fd);
}

/* Without the capability everything is refused with the reason, and nothing changes. */
static void test_without_rights(void **state)
{
    struct net_route route = {.dst = prefix("10.7.0.0/16"),
                              .table = 101,
                              .type = NET_ROUTE_BLACKHOLE,
                              .protocol = NET_PROTO_CLIENT};
    struct tun_options options = {.persist = false};
    int fd = rig_take_tun();
    int status = 0;
    pid_t pid = fork();

    (void)state;
    if (pid == 0) {
        struct err err = {{0}};
        bool good;

        capng_clear(CAPNG_SELECT_BOTH);
        good = capng_apply(CAPNG_SELECT_CAPS) == 0;
        good = good && net_route_put(conn, &route, &err) == -EPERM;
        good = good && strstr(err.msg, "CAP_NET_ADMIN");
        good = good && tun_attach(fd, "tun-perm", &options, &err) == -EPERM;
        good = good && strstr(err.msg, "CAP_NET_ADMIN");
        if (!good)
            fprintf(stderr, "without rights: \"%s\"\n", err.msg);
        _exit(good ? 0 : 1);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    close(fd);
    assert_int_equal(routes(&route, 0).all, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rights),
        cmocka_unit_test(test_forged_sender),
        cmocka_unit_test(test_without_rights),
    };
    const int rc = rig_enter();

    return rc ? rc : cmocka_run_group_tests_name("conn", tests, rig_setup, rig_teardown);
}

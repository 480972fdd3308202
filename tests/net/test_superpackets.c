/*
 * Super-packets and a real kernel: two network namespaces whose TUN devices are joined by a wire
 * that cuts and merges as the lanes do, and may do damage on the way.
 *
 *      TCP, UDP ── tun0 ═══ tun_wire.c ═══ tun0 ── TCP, UDP
 *      10.1.0.1, fd01::1                   10.1.0.2, fd01::2
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <linux/ipv6.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "tests/net/tun_wire.h"

#ifndef TUN_F_USO4
#define TUN_F_USO4 0x20
#define TUN_F_USO6 0x40
#endif

#define PORT      4040
#define BYTES     (6 << 20)
#define DATAGRAMS 40
#define ROOM      2048

static uint8_t *sent; /* BYTES of it, known to both sides */
static struct tun_wire wire;

static void die(const char *what)
{
    perror(what);
    _exit(2);
}

/* ---- namespaces and devices ------------------------------------------------------------------ */

static socklen_t address(struct sockaddr_storage *ss, int family, int number)
{
    memset(ss, 0, sizeof(*ss));
    if (family == AF_INET) {
        struct sockaddr_in sin = {.sin_family = AF_INET,
                                  .sin_port = htons(PORT),
                                  .sin_addr.s_addr = htonl(0x0a010000U + (uint32_t)number)};

        memcpy(ss, &sin, sizeof(sin));
        return sizeof(sin);
    } else {
        struct sockaddr_in6 sin6 = {.sin6_family = AF_INET6, .sin6_port = htons(PORT)};

        memcpy(&sin6.sin6_addr, (uint8_t[16]){0xfd, 1, [15] = (uint8_t)number}, 16);
        memcpy(ss, &sin6, sizeof(sin6));
        return sizeof(sin6);
    }
}

/* The kernel finishes an IPv6 address in the background. */
static void wait_usable(int number)
{
    struct sockaddr_storage ss;
    socklen_t len = address(&ss, AF_INET6, number);
    int fd = socket(AF_INET6, SOCK_DGRAM, 0), tries = 1000;

    while (bind(fd, (struct sockaddr *)&ss, len) < 0)
        if (errno != EADDRNOTAVAIL || tries-- == 0 || poll(NULL, 0, 10) < 0)
            die("the IPv6 address");
    close(fd);
}

static void set_device(const char *name, int number)
{
    struct ifreq ifr = {0};
    struct in6_ifreq ifr6 = {.ifr6_prefixlen = 64};
    struct sockaddr_in *sin = (struct sockaddr_in *)&ifr.ifr_addr;
    int fd = socket(AF_INET, SOCK_DGRAM, 0), fd6 = socket(AF_INET6, SOCK_DGRAM, 0);

    strcpy(ifr.ifr_name, name);
    sin->sin_family = AF_INET;
    sin->sin_addr.s_addr = htonl(0x0a010000U + (uint32_t)number);
    if (ioctl(fd, SIOCSIFADDR, &ifr) < 0)
        die("SIOCSIFADDR");
    sin->sin_addr.s_addr = htonl(0xffffff00U);
    if (ioctl(fd, SIOCSIFNETMASK, &ifr) < 0)
        die("SIOCSIFNETMASK");
    ifr.ifr_mtu = 1400;
    if (ioctl(fd, SIOCSIFMTU, &ifr) < 0)
        die("SIOCSIFMTU");
    ifr.ifr_flags = IFF_UP;
    if (ioctl(fd, SIOCSIFFLAGS, &ifr) < 0)
        die("SIOCSIFFLAGS");
    memcpy(&ifr6.ifr6_addr, (uint8_t[16]){0xfd, 1, [15] = (uint8_t)number}, 16);
    ifr6.ifr6_ifindex = (int)if_nametoindex(name);
    if (fd6 >= 0 && ioctl(fd6, SIOCSIFADDR, &ifr6) < 0)
        die("SIOCSIFADDR, IPv6");
    close(fd);
    close(fd6);
    wait_usable(number);
}

/* A fresh namespace with a TUN device in it; the caller moves there.  -1: not permitted here. */
static int enter_namespace(int number)
{
    struct ifreq ifr = {.ifr_flags = IFF_TUN | IFF_NO_PI | IFF_VNET_HDR, .ifr_name = "tun0"};
    unsigned int flags = TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6;
    int fd;

    if (unshare(CLONE_NEWNET) < 0)
        return -1;
    fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0 || ioctl(fd, TUNSETIFF, &ifr) < 0)
        return -1;
    wire.uso = ioctl(fd, TUNSETOFFLOAD, flags | TUN_F_USO4 | TUN_F_USO6) == 0;
    if (!wire.uso && ioctl(fd, TUNSETOFFLOAD, flags) < 0)
        die("TUNSETOFFLOAD");
    set_device("tun0", number);
    return fd;
}

static void fd_send(int to, int fd)
{
    union {
        struct cmsghdr align;
        char buf[CMSG_SPACE(sizeof(int))];
    } control = {0};
    struct iovec iov = {.iov_base = "f", .iov_len = 1};
    struct msghdr mh = {.msg_iov = &iov,
                        .msg_iovlen = 1,
                        .msg_control = control.buf,
                        .msg_controllen = sizeof(control.buf)};
    struct cmsghdr *cmsg = CMSG_FIRSTHDR(&mh);

    cmsg->cmsg_level = SOL_SOCKET;
    cmsg->cmsg_type = SCM_RIGHTS;
    cmsg->cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(cmsg), &fd, sizeof(fd));
    if (sendmsg(to, &mh, 0) < 0)
        die("sendmsg");
}

static int fd_receive(int from)
{
    char byte;
    union {
        struct cmsghdr align;
        char buf[CMSG_SPACE(sizeof(int))];
    } control = {0};
    struct iovec iov = {.iov_base = &byte, .iov_len = 1};
    struct msghdr mh = {.msg_iov = &iov,
                        .msg_iovlen = 1,
                        .msg_control = control.buf,
                        .msg_controllen = sizeof(control.buf)};
    int fd;

    if (recvmsg(from, &mh, 0) <= 0 || !CMSG_FIRSTHDR(&mh))
        return -1;
    memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&mh)), sizeof(fd));
    return fd;
}

/* ---- the far side: a process of its own -------------------------------------------------------
 */

static int open_socket(int family, int type)
{
    struct sockaddr_storage ss;
    socklen_t len = address(&ss, family, 2);
    int fd = socket(family, type, 0), one = 1;

    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) < 0 ||
        bind(fd, (struct sockaddr *)&ss, len) < 0 || (type == SOCK_STREAM && listen(fd, 4) < 0))
        die("bind");
    return fd;
}

/* All that comes is sent back, on one connection after the other. */
static void echo(int listener)
{
    static uint8_t buf[1 << 16];
    int fd = accept(listener, NULL, NULL);
    ssize_t n;

    while (fd >= 0 && (n = read(fd, buf, sizeof(buf))) > 0)
        for (ssize_t done = 0, w; done < n; done += w)
            if ((w = write(fd, buf + done, (size_t)(n - done))) <= 0)
                break;
    close(fd);
}

/* Datagrams are reported by their lengths and a sum of their bytes. */
struct seen {
    uint32_t len, sum;
};

static struct seen look(const uint8_t *p, size_t len)
{
    struct seen seen = {.len = (uint32_t)len};

    for (size_t i = 0; i < len; i++)
        seen.sum = seen.sum * 31 + p[i];
    return seen;
}

static void far_side(int control)
{
    int tun = enter_namespace(2), fds[4];
    struct pollfd p[5];
    unsigned int i;

    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (tun < 0)
        _exit(77);
    for (i = 0; i < 4; i++)
        fds[i] = open_socket(i & 1 ? AF_INET6 : AF_INET, i & 2 ? SOCK_DGRAM : SOCK_STREAM);
    fd_send(control, tun);
    for (;;) {
        for (i = 0; i < 4; i++)
            p[i] = (struct pollfd){.fd = fds[i], .events = POLLIN};
        p[4] = (struct pollfd){.fd = control, .events = POLLIN};
        if (poll(p, 5, -1) < 0 || p[4].revents)
            _exit(0);
        for (i = 0; i < 4; i++) {
            uint8_t buf[ROOM];
            struct seen seen;
            ssize_t n;

            if (!p[i].revents)
                continue;
            if (i < 2) {
                echo(fds[i]);
                continue;
            }
            n = recv(fds[i], buf, sizeof(buf), 0);
            seen = look(buf, n > 0 ? (size_t)n : 0);
            if (send(control, &seen, sizeof(seen), 0) < 0)
                _exit(1);
        }
    }
}

/* ---- tests ----------------------------------------------------------------------------------- */

static int control[2];
static pid_t far;

static void *write_all(void *arg)
{
    int fd = *(int *)arg;

    for (size_t done = 0; done < BYTES;) {
        ssize_t n = write(fd, sent + done, BYTES - done);

        if (n <= 0)
            break;
        done += (size_t)n;
    }
    shutdown(fd, SHUT_WR);
    return NULL;
}

static void transfer(int family)
{
    static uint8_t buf[1 << 16];
    struct timeval patience = {.tv_sec = 30};
    struct sockaddr_storage ss;
    socklen_t len = address(&ss, family, 2);
    int fd = socket(family, SOCK_STREAM, 0);
    pthread_t writer;
    size_t got = 0;
    ssize_t n;

    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
    assert_int_equal(connect(fd, (struct sockaddr *)&ss, len), 0);
    assert_int_equal(pthread_create(&writer, NULL, write_all, &fd), 0);
    while ((n = read(fd, buf, sizeof(buf))) > 0) {
        assert_true(got + (size_t)n <= BYTES);
        assert_memory_equal(buf, sent + got, (size_t)n);
        got += (size_t)n;
    }
    pthread_join(writer, NULL);
    close(fd);
    assert_int_equal(got, BYTES);
}

static void test_tcp(void **state)
{
    (void)state;
    tun_wire_start(&wire, false);
    transfer(AF_INET);
    transfer(AF_INET6);
    tun_wire_stop(&wire);
    assert_true(wire.supers > 100);
    assert_true(wire.frames * 3 < wire.pieces * 2); /* a slow machine has smaller ones */
}

/* TCP mends what the wire did, byte for byte: nothing damaged was passed off as whole. */
static void test_bad_wire(void **state)
{
    (void)state;
    tun_wire_start(&wire, true);
    transfer(AF_INET);
    transfer(AF_INET6);
    tun_wire_stop(&wire);
    assert_true(wire.faulty > 50);
}

static void check_datagrams(int family, bool segment)
{
    uint16_t size = 1000;
    struct sockaddr_storage ss;
    socklen_t len = address(&ss, family, 2);
    int fd = socket(family, SOCK_DGRAM, 0), i;

    assert_int_equal(connect(fd, (struct sockaddr *)&ss, len), 0);
    if (segment) {
        int value = size;

        assert_int_equal(setsockopt(fd, SOL_UDP, UDP_SEGMENT, &value, sizeof(value)), 0);
        assert_int_equal(send(fd, sent, (size_t)size * DATAGRAMS - 7, 0), size * DATAGRAMS - 7);
    } else {
        for (i = 0; i < DATAGRAMS; i++)
            assert_int_equal(send(fd, sent + i * size, size - (i == DATAGRAMS - 1 ? 7U : 0), 0),
                             size - (i == DATAGRAMS - 1 ? 7 : 0));
    }
    for (i = 0; i < DATAGRAMS; i++) {
        struct seen want = look(sent + i * size, size - (i == DATAGRAMS - 1 ? 7U : 0)), got;

        assert_int_equal(recv(control[0], &got, sizeof(got), 0), sizeof(got));
        assert_int_equal(got.len, want.len);
        assert_int_equal(got.sum, want.sum);
    }
    close(fd);
}

static void test_udp(void **state)
{
    (void)state;
    tun_wire_start(&wire, false);
    check_datagrams(AF_INET, false);
    check_datagrams(AF_INET6, false);
    check_datagrams(AF_INET, true);
    check_datagrams(AF_INET6, true);
    tun_wire_stop(&wire);
    if (wire.uso)
        assert_true(wire.supers >= 2);
}

static int set_up(void)
{
    if (socketpair(AF_UNIX, SOCK_SEQPACKET, 0, control) < 0)
        return -1;
    sent = malloc(BYTES);
    if (!sent)
        return -1;
    for (size_t i = 0; i < BYTES; i++)
        sent[i] = (uint8_t)(i * 2654435761U >> 13);
    far = fork();
    if (far == 0) {
        close(control[0]);
        far_side(control[1]);
    }
    close(control[1]);
    wire.tun[1] = far > 0 ? fd_receive(control[0]) : -1;
    wire.tun[0] = wire.tun[1] >= 0 ? enter_namespace(1) : -1;
    return wire.tun[0] < 0 ? -1 : 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_tcp), cmocka_unit_test(test_bad_wire),
                                       cmocka_unit_test(test_udp)};
    int failed;

    if (set_up() < 0) {
        printf("1..0 # SKIP needs root, namespaces and /dev/net/tun\n");
        return 77;
    }
    cmocka_set_message_output(CM_OUTPUT_TAP);
    failed = cmocka_run_group_tests(tests, NULL, NULL);
    close(control[0]);
    waitpid(far, NULL, 0);
    free(sent);
    return failed ? 1 : 0;
}

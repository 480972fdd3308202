/*
 * Greedy and modest users in one process, for the measurements of quality of service.
 *
 *   qosload serve PORT                     TCP: "D" is answered with bytes without end, "U" is read
 *                                          without end; UDP: every packet goes back, with the time
 *   qosload load SERVER PORT SECONDS MS    users on standard input, one a line:
 *                                            NAME ADDRESS KIND START STOP     (seconds)
 *                                          KIND: D greedy download, U greedy upload, P modest:
 *                                          a packet of 200 bytes every MS, there and back
 *
 * load prints, every half second and for each greedy user, "rate T NAME KIND KBIT", and at the end
 * for each modest one "modest NAME SENT LOST P50 P95 P99 MAX UP50" in microseconds; UP50 is the way
 * to the server alone, for both ends have one clock.  Rates are TCP payload that has come to the
 * other end, in order or not: what waits behind a lost packet reaches its reader all at once,
 * seconds later at the rates of a guest, and may then count for the wrong second.
 */
#include <errno.h>
#include <ifaddrs.h>
#include <linux/if_link.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/ip.h"

#define USERS_MAX   512
#define CONNS_MAX   1024
#define INTERVAL_MS 500
#define MODEST_LEN  172 /* with UDP and IP headers: 200 bytes */
#define SAMPLES_MAX 20000
#define HEADERS     52   /* IPv4, TCP with timestamps */
#define LINGER_MS   2000 /* for the last of the modest one's packets to come back */

static uint8_t bytes[65536];

static void die(const char *what)
{
    fprintf(stderr, "qosload: %s: %s\n", what, strerror(errno));
    exit(EXIT_FAILURE);
}

static uint64_t now_us(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
}

static void watch(int ep, int op, int fd, uint32_t events)
{
    struct epoll_event ev = {.events = events, .data.fd = fd};

    if (epoll_ctl(ep, op, fd, &ev) < 0)
        die("epoll_ctl");
}

/* Not what the host happens to use: one that paces (BBR) asks for less than its user may have. */
static void greedy(int fd)
{
    if (setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, "cubic", strlen("cubic")) < 0 &&
        setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, "reno", strlen("reno")) < 0)
        die("TCP_CONGESTION");
}

static int bound(int type, const struct ip_addr *addr, uint16_t port)
{
    struct ip_endpoint ep = {.addr = *addr, .port = port};
    struct sockaddr_storage ss;
    socklen_t len = ip_endpoint_to_sockaddr(&ep, &ss);
    int on = 1, fd = socket(ss.ss_family, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    if (fd < 0)
        die("socket");
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    if (type == SOCK_STREAM)
        greedy(fd); /* what a listener accepts inherits it */
    if (bind(fd, (struct sockaddr *)&ss, len) < 0)
        die("bind");
    return fd;
}

/* ---- serve ----------------------------------------------------------------------------------- */

enum conn_kind { CONN_NEW, CONN_SEND, CONN_TAKE };

static enum conn_kind kinds[CONNS_MAX];

static void serve_accept(int ep, int listener)
{
    for (;;) {
        int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

        if (fd < 0)
            return;
        if (fd >= CONNS_MAX) {
            close(fd);
            continue;
        }
        kinds[fd] = CONN_NEW;
        watch(ep, EPOLL_CTL_ADD, fd, EPOLLIN);
    }
}

static void serve_echo(int fd)
{
    struct sockaddr_storage from;
    socklen_t len = sizeof(from);
    ssize_t n;

    while ((n = recvfrom(fd, bytes, sizeof(bytes), 0, (struct sockaddr *)&from, &len)) > 0) {
        uint64_t us = now_us();

        memcpy(bytes + 8, &us, sizeof(us));
        (void)!sendto(fd, bytes, (size_t)n, 0, (struct sockaddr *)&from, len);
        len = sizeof(from);
    }
}

static void serve_conn(int ep, int fd, uint32_t events)
{
    char command;
    ssize_t n = 0;

    if (kinds[fd] == CONN_NEW && (events & EPOLLIN)) {
        n = recv(fd, &command, 1, 0);
        if (n == 1 && command == 'D') {
            kinds[fd] = CONN_SEND;
            watch(ep, EPOLL_CTL_MOD, fd, EPOLLOUT);
        } else if (n == 1) {
            kinds[fd] = CONN_TAKE;
        }
    } else if (kinds[fd] == CONN_SEND && (events & EPOLLOUT)) {
        n = send(fd, bytes, sizeof(bytes), MSG_NOSIGNAL);
    } else if (kinds[fd] == CONN_TAKE && (events & EPOLLIN)) {
        n = recv(fd, bytes, sizeof(bytes), 0);
    }
    if ((events & (EPOLLERR | EPOLLHUP)) || (n <= 0 && errno != EAGAIN))
        close(fd);
}

static _Noreturn void serve(uint16_t port)
{
    const struct ip_addr any = {.family = 4};
    int ep = epoll_create1(EPOLL_CLOEXEC);
    int listener = bound(SOCK_STREAM, &any, port), echo = bound(SOCK_DGRAM, &any, port);

    if (ep < 0 || listen(listener, CONNS_MAX) < 0)
        die("listen");
    watch(ep, EPOLL_CTL_ADD, listener, EPOLLIN);
    watch(ep, EPOLL_CTL_ADD, echo, EPOLLIN);
    for (;;) {
        struct epoll_event events[64];
        int n = epoll_wait(ep, events, 64, -1);

        for (int i = 0; i < n; i++) {
            if (events[i].data.fd == listener)
                serve_accept(ep, listener);
            else if (events[i].data.fd == echo)
                serve_echo(echo);
            else
                serve_conn(ep, events[i].data.fd, events[i].events);
        }
    }
}

/* ---- load ------------------------------------------------------------------------------------ */

struct user {
    char name[64];
    struct ip_addr addr;
    char kind;
    uint64_t start_us, stop_us;
    int fd; /* -1: not now */
    uint64_t before;
    bool asked;
    /* modest */
    uint64_t next_us;
    uint32_t sent, back;
    uint32_t *rtt, *up;
};

static struct user users[USERS_MAX];
static size_t n_users;
static struct sockaddr_storage server;
static socklen_t server_len;
static uint64_t modest_ms;

static void users_read(uint64_t start_us)
{
    char line[256], addr[64];
    double start, stop;

    while (fgets(line, sizeof(line), stdin)) {
        struct user *u = &users[n_users];

        if (n_users == USERS_MAX ||
            sscanf(line, "%63s %63s %c %lf %lf", u->name, addr, &u->kind, &start, &stop) != 5 ||
            ip_addr_parse(addr, &u->addr) < 0 || !strchr("DUP", u->kind)) {
            fprintf(stderr, "qosload: cannot be a user: %s", line);
            exit(EXIT_FAILURE);
        }
        u->fd = -1;
        u->start_us = start_us + (uint64_t)(start * 1e6);
        u->stop_us = start_us + (uint64_t)(stop * 1e6);
        if (u->kind == 'P' && (!(u->rtt = calloc(SAMPLES_MAX, sizeof(*u->rtt))) ||
                               !(u->up = calloc(SAMPLES_MAX, sizeof(*u->up)))))
            die("memory");
        n_users++;
    }
}

static struct ifaddrs *devices_read(void)
{
    struct ifaddrs *all;

    if (getifaddrs(&all) < 0)
        die("getifaddrs");
    return all;
}

/*
 * TCP payload that the tunnel of a user has received: each has a device of its own, that nobody
 * else uses.  A merged packet counts as one, and has one header.  Both numbers wrap at 4 G.
 */
static uint64_t device_received(const struct ifaddrs *all, const struct ip_addr *addr)
{
    const struct rtnl_link_stats *stats;
    const struct ifaddrs *own, *device;

    for (own = all; own; own = own->ifa_next)
        if (own->ifa_addr && own->ifa_addr->sa_family == AF_INET &&
            memcmp(&((const struct sockaddr_in *)own->ifa_addr)->sin_addr, addr->bytes, 4) == 0)
            break;
    /* Only links have data; that of a TUN device has no address. */
    for (device = all; own && device; device = device->ifa_next)
        if (device->ifa_data && strcmp(device->ifa_name, own->ifa_name) == 0)
            break;
    if (!own || !device)
        return 0;
    stats = device->ifa_data;
    return stats->rx_bytes - (uint64_t)HEADERS * stats->rx_packets;
}

static void user_start(struct user *u, int ep, uint64_t us)
{
    struct epoll_event ev = {.events = u->kind == 'D' ? EPOLLIN | EPOLLOUT : EPOLLOUT,
                             .data.ptr = u};

    u->fd = bound(u->kind == 'P' ? SOCK_DGRAM : SOCK_STREAM, &u->addr, 0);
    if (connect(u->fd, (struct sockaddr *)&server, server_len) < 0 && errno != EINPROGRESS)
        die("connect");
    if (u->kind == 'P')
        ev.events = EPOLLIN;
    if (epoll_ctl(ep, EPOLL_CTL_ADD, u->fd, &ev) < 0)
        die("epoll_ctl");
    u->next_us = us;
    u->asked = false;
    if (u->kind == 'D') {
        struct ifaddrs *devices = devices_read();

        u->before = device_received(devices, &u->addr);
        freeifaddrs(devices);
    }
}

/* At once: what a closed connection still has to send would pass for minutes, in what comes next.
 */
static void user_stop(struct user *u)
{
    const struct linger none = {.l_onoff = 1};

    setsockopt(u->fd, SOL_SOCKET, SO_LINGER, &none, sizeof(none));
    close(u->fd);
    u->fd = -1;
}

static void modest_send(struct user *u, uint64_t us)
{
    uint8_t packet[MODEST_LEN] = {0};

    while (u->next_us <= us && u->sent < SAMPLES_MAX) {
        memcpy(packet, &us, sizeof(us));
        (void)!send(u->fd, packet, sizeof(packet), 0);
        u->sent++;
        u->next_us += modest_ms * 1000;
    }
}

static void modest_take(struct user *u, uint64_t us)
{
    uint64_t then, there;

    while (recv(u->fd, bytes, sizeof(bytes), 0) == MODEST_LEN) {
        memcpy(&then, bytes, sizeof(then));
        memcpy(&there, bytes + 8, sizeof(there));
        if (u->back == SAMPLES_MAX)
            continue;
        u->up[u->back] = (uint32_t)(there - then);
        u->rtt[u->back++] = (uint32_t)(us - then);
    }
}

static void user_service(struct user *u, int ep, uint32_t events)
{
    ssize_t n = 1;

    if (u->kind == 'P') {
        modest_take(u, now_us());
        return;
    }
    if (!u->asked && (events & EPOLLOUT)) {
        struct epoll_event ev = {.events = u->kind == 'D' ? EPOLLIN : EPOLLOUT, .data.ptr = u};

        u->asked = send(u->fd, &u->kind, 1, MSG_NOSIGNAL) == 1;
        if (u->asked)
            epoll_ctl(ep, EPOLL_CTL_MOD, u->fd, &ev);
    } else if (u->kind == 'D' && (events & EPOLLIN)) {
        n = recv(u->fd, bytes, sizeof(bytes), 0);
    } else if (u->kind == 'U' && (events & EPOLLOUT)) {
        n = send(u->fd, bytes, sizeof(bytes), MSG_NOSIGNAL);
    }
    if (n == 0 || (n < 0 && errno != EAGAIN) || (events & EPOLLERR)) {
        fprintf(stderr, "qosload: %s: connection lost: %s\n", u->name, strerror(errno));
        user_stop(u);
    }
}

/* What has come to the other end since the user began. */
static uint64_t carried(const struct user *u, const struct ifaddrs *devices)
{
    struct tcp_info info = {0};
    socklen_t len = sizeof(info);

    if (u->kind == 'D')
        return device_received(devices, &u->addr);
    if (u->fd < 0 || getsockopt(u->fd, IPPROTO_TCP, TCP_INFO, &info, &len) < 0)
        return u->before;
    return (uint64_t)info.tcpi_delivered * info.tcpi_snd_mss;
}

static void rates_print(uint64_t start_us, uint64_t us, uint64_t former_us)
{
    struct ifaddrs *devices = devices_read();

    for (size_t i = 0; i < n_users; i++) {
        struct user *u = &users[i];
        uint64_t total;

        if (u->kind == 'P' || us < u->start_us || former_us >= u->stop_us)
            continue;
        total = carried(u, devices);
        printf("rate %.2f %s %c %.1f\n", (double)(us - start_us) / 1e6, u->name, u->kind,
               total < u->before ? 0.0
                                 : (double)(total - u->before) * 8000 / (double)(us - former_us));
        u->before = total;
    }
    freeifaddrs(devices);
    fflush(stdout);
}

static int rtt_cmp(const void *a, const void *b)
{
    uint32_t ra = *(const uint32_t *)a, rb = *(const uint32_t *)b;

    return (ra > rb) - (ra < rb);
}

static void modest_print(struct user *u)
{
    uint32_t n = u->back;

    qsort(u->rtt, n, sizeof(*u->rtt), rtt_cmp);
    qsort(u->up, n, sizeof(*u->up), rtt_cmp);
    printf("modest %s %u %u %u %u %u %u %u\n", u->name, u->sent, u->sent - u->back,
           n ? u->rtt[n / 2] : 0, n ? u->rtt[n * 95 / 100] : 0, n ? u->rtt[n * 99 / 100] : 0,
           n ? u->rtt[n - 1] : 0, n ? u->up[n / 2] : 0);
}

/* Those whose time has come, or is over; the modest ones' packets. */
static void users_tick(int ep, uint64_t us, uint64_t end_us)
{
    for (size_t i = 0; i < n_users; i++) {
        struct user *u = &users[i];
        bool on = us >= u->start_us && us < u->stop_us;

        if (on && u->fd < 0 && u->next_us == 0)
            user_start(u, ep, us);
        if (u->fd >= 0 && u->kind == 'P' && on)
            modest_send(u, us);
        if (u->fd >= 0 && (us >= end_us || (!on && u->kind != 'P')))
            user_stop(u);
    }
}

static int load(double seconds)
{
    uint64_t start = now_us(), us = start, former = start;
    uint64_t end = start + (uint64_t)(seconds * 1e6) + (uint64_t)LINGER_MS * 1000;
    int ep = epoll_create1(EPOLL_CLOEXEC);

    if (ep < 0)
        die("epoll");
    users_read(start);
    for (; us < end; us = now_us()) {
        struct epoll_event events[64];
        int n;

        if (us - former >= (uint64_t)INTERVAL_MS * 1000) {
            rates_print(start, us, former);
            former = us;
        }
        users_tick(ep, us, end);
        n = epoll_wait(ep, events, 64, 5);
        for (int i = 0; i < n; i++) {
            struct user *u = events[i].data.ptr;

            if (u->fd >= 0)
                user_service(u, ep, events[i].events);
        }
    }
    for (size_t i = 0; i < n_users; i++) {
        if (users[i].kind == 'P')
            modest_print(&users[i]);
    }
    return EXIT_SUCCESS;
}

int main(int argc, char **argv)
{
    struct ip_endpoint ep = {0};

    signal(SIGPIPE, SIG_IGN);
    if (argc == 3 && strcmp(argv[1], "serve") == 0)
        serve((uint16_t)strtoul(argv[2], NULL, 10));
    if (argc == 6 && strcmp(argv[1], "load") == 0 && ip_addr_parse(argv[2], &ep.addr) == 0 &&
        (modest_ms = strtoul(argv[5], NULL, 10)) > 0) {
        ep.port = (uint16_t)strtoul(argv[3], NULL, 10);
        server_len = ip_endpoint_to_sockaddr(&ep, &server);
        return load(strtod(argv[4], NULL));
    }
    fputs("usage: qosload serve PORT | qosload load SERVER PORT SECONDS MS <USERS\n", stderr);
    return 64;
}

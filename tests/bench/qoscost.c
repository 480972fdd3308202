/*
 * What a packet costs in the users' tree, by the number of users: laid out as the server does, then
 * sent to random users, one packet at a time, at rates that nobody reaches.
 *
 *   qoscost [USERS]...     (default 10 200 1000 10000)
 *
 * Prints "users N bare NS few NS all NS setup_ms MS same_ms MS change_ms MS", in time of this
 * thread.  A packet, sockets and routing included, costs "bare" without a tree; "few" when ten of
 * the N are active, other ten in each round: what the tree's depth and tables cost; "all" when any
 * of the N may be next: which adds what it takes to fetch a user's class, queue and filter into the
 * processor's caches, and the machine's own tables (bare has those as well).  All are the faster
 * quarter of their rounds.  Then laying out, finding all as it was, and another class for one user.
 * In a network namespace of its own; root.
 */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "daemon/qos.h"
#include "netlink/addr.h"
#include "netlink/conn.h"
#include "netlink/kernel.h"
#include "netlink/link.h"
#include "netlink/reconcile.h"
#include "netlink/set.h"
#include "netlink/tun.h"

#define USERS_MAX 20000
#define PACKETS   20000 /* in a round */
#define ROUNDS    15
#define FEW       10 /* users that are active in a round */
#define ALIAS     "vpn-bench"
#define FAST      UINT64_C(100000000000)

static struct config_class classes[] = {
    {.name = "all",
     .download = {FAST / 100000, FAST},
     .upload = {FAST / 100000, FAST},
     .priority = 4},
    {.name = "more",
     .download = {FAST / 50000, FAST},
     .upload = {FAST / 50000, FAST},
     .priority = 4},
};
static struct config_user users[USERS_MAX];
static struct qos_session sessions[USERS_MAX];
static struct net_kernel kernel;
static struct net_reconciler *engine;
static int tun_fd, udp_fd;

static void check(int rc, const struct err *err)
{
    if (rc >= 0)
        return;
    fprintf(stderr, "qoscost: %s\n", err->msg);
    exit(EXIT_FAILURE);
}

static uint64_t now_ns(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
    return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

/* @first: the class of the first user. */
static void lay_out(size_t n, const struct config_class *first)
{
    const struct qos_support support = {.htb = true, .u32 = true, .ifb = true};
    struct config config = {.mtu = 1400,
                            .max_clients = 65535,
                            .users = users,
                            .n_users = n,
                            .qos = {.download = n ? FAST : 0,
                                    .upload = n ? FAST : 0,
                                    .classes = classes,
                                    .n_classes = ARRAY_SIZE(classes)}};
    struct net_link link = {.name = "tun0", .kind = "tun", .alias = ALIAS, .mtu = 1400, .up = true};
    struct net_addr addr = {.protocol = NET_PROTO_SERVER};
    _cleanup_(net_set_freep) struct net_set *set = net_set_new();
    struct err err = {"out of memory"};

    strcpy(config.device, "tun0");
    for (size_t i = 0; i < n; i++) {
        users[i].cls = i == 0 ? first : &classes[0];
        snprintf(users[i].name, sizeof(users[i].name), "u%05zu", i);
        sessions[i] = (struct qos_session){.number = (uint32_t)i, .user = users[i].name};
        sessions[i].ip4 = (struct ip_addr){4, {10, 8, (uint8_t)(i / 250), (uint8_t)(i % 250 + 2)}};
    }
    ip_prefix_parse("10.8.0.1/16", &addr.prefix);
    check(set ? net_set_add_link(set, &link) : -ENOMEM, &err);
    check(net_set_add_addr(set, "tun0", &addr), &err);
    check(qos_lower(&config, &support, sessions, n, SIZE_MAX, ALIAS, set, NULL, &err), &err);
    check(net_set_sort(set, &err), &err);
    check(net_reconciler_apply(engine, set, 0, NULL, &err), &err);
}

static uint32_t random_below(size_t n)
{
    static uint32_t seed = 1;

    seed = seed * 1664525 + 1013904223;
    return (seed >> 8) % (uint32_t)n;
}

/* To one of @n of the users after the other, in an order that no cache likes; what the device holds
 * is read away. */
static uint64_t round_ns(size_t there, size_t n)
{
    static uint8_t packet[1400];
    static uint32_t active[USERS_MAX];
    uint64_t total = 0;

    for (size_t i = 0; i < n; i++)
        active[i] = n == there ? (uint32_t)i : random_below(there);
    for (size_t sent = 0; sent < PACKETS;) {
        uint64_t start = now_ns();

        for (int i = 0; i < 200; i++, sent++) {
            struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(9)};
            uint32_t user = active[random_below(n)];

            to.sin_addr.s_addr = htonl(0x0a080000 + (user / 250) * 256 + user % 250 + 2);
            (void)!sendto(udp_fd, packet, 64, 0, (struct sockaddr *)&to, sizeof(to));
        }
        total += now_ns() - start;
        while (read(tun_fd, packet, sizeof(packet)) > 0)
            ;
    }
    return total / PACKETS;
}

static int u64_cmp(const void *a, const void *b)
{
    uint64_t ua = *(const uint64_t *)a, ub = *(const uint64_t *)b;

    return (ua > ub) - (ua < ub);
}

/* The faster quarter: what else the machine does only ever adds. */
static unsigned long usual_of(uint64_t rounds[ROUNDS])
{
    qsort(rounds, ROUNDS, sizeof(*rounds), u64_cmp);
    return (unsigned long)rounds[ROUNDS / 4];
}

static void measure(size_t n)
{
    uint64_t bare[ROUNDS], few[ROUNDS], all[ROUNDS], took[3];

    lay_out(0, NULL);
    for (size_t i = 0; i < ROUNDS; i++)
        bare[i] = round_ns(n, n);
    for (size_t i = 0; i < ARRAY_SIZE(took); i++) {
        uint64_t start = now_ns();

        lay_out(n, &classes[i == 2]);
        took[i] = (now_ns() - start) / 1000000;
    }
    for (size_t i = 0; i < ROUNDS; i++) {
        few[i] = round_ns(n, n < FEW ? n : FEW);
        all[i] = round_ns(n, n);
    }
    printf("users %zu bare %lu few %lu all %lu setup_ms %lu same_ms %lu change_ms %lu\n", n,
           usual_of(bare), usual_of(few), usual_of(all), (unsigned long)took[0],
           (unsigned long)took[1], (unsigned long)took[2]);
    fflush(stdout);
}

int main(int argc, char **argv)
{
    static const size_t usual[] = {10, 200, 1000, 10000};
    struct net_reconciler_config config = {
        .owner = {.protocol = NET_PROTO_SERVER, .alias = ALIAS, .table = "vpn-bench"}};
    const struct net_link mark = {.name = "tun0", .alias = ALIAS, .ip6ll = NET_IP6LL_NONE};
    struct tun_options options = {.persist = false};
    const int discover = IP_PMTUDISC_DO;
    struct net_link link;
    struct err err = {"needs root, namespaces and /dev/net/tun"};

    check(unshare(CLONE_NEWNET), &err);
    tun_fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC);
    check(tun_fd, &err);
    check(tun_attach(tun_fd, "tun0", &options, &err), &err);
    check(net_kernel_open(&kernel, &err), &err);
    check(net_link_get(net_kernel_conn(&kernel), "tun0", &link, &err), &err);
    check(net_link_set(net_kernel_conn(&kernel), link.ifindex, &mark,
                       NET_LINK_ALIAS | NET_LINK_IP6LL, &err),
          &err);
    check(net_reconciler_new(&kernel, &config, &engine, &err), &err);
    udp_fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    check(udp_fd, &err);
    /* Without a number of its own, which the kernel looks up for each destination. */
    check(setsockopt(udp_fd, IPPROTO_IP, IP_MTU_DISCOVER, &discover, sizeof(discover)), &err);
    for (size_t i = 0; i < ARRAY_SIZE(usual) && argc == 1; i++)
        measure(usual[i]);
    for (int i = 1; i < argc; i++) {
        size_t n = strtoul(argv[i], NULL, 10);

        measure(n < 1 ? 1 : n < USERS_MAX ? n : USERS_MAX);
    }
    net_reconciler_free(engine);
    net_kernel_close(&kernel);
    return EXIT_SUCCESS;
}

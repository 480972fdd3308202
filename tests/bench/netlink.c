/*
 * How long the engine takes, on a real kernel in a namespace of its own (root).
 *
 *     make bench-netlink
 *
 * Each figure is the best of some runs, as elapsed time and as processor time of this process and
 * of the kernel for it; on a busy machine the second tells more.
 */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "netlink/conn.h"
#include "netlink/kernel.h"
#include "netlink/link.h"
#include "netlink/reconcile.h"
#include "netlink/tun.h"

#define ALIAS "vpn-server"
#define RUNS  5

static struct net_kernel kernel;
static struct net_reconciler *r;

static void must(int rc, const struct err *err)
{
    if (rc == 0)
        return;
    fprintf(stderr, "%s\n", err->msg);
    exit(1);
}

static double clock_ms(clockid_t id)
{
    struct timespec ts;

    clock_gettime(id, &ts);
    return (double)ts.tv_sec * 1e3 + (double)ts.tv_nsec / 1e6;
}

/* One measured thing, with what it is held against. */
struct measure {
    const char *what;
    double limit_ms;
    double wall, cpu; /* the best so far; 0: none yet */
    double wall_start, cpu_start;
};

static void begin(struct measure *m)
{
    m->wall_start = clock_ms(CLOCK_MONOTONIC);
    m->cpu_start = clock_ms(CLOCK_PROCESS_CPUTIME_ID);
}

static void end(struct measure *m)
{
    double cpu = clock_ms(CLOCK_PROCESS_CPUTIME_ID) - m->cpu_start;
    double wall = clock_ms(CLOCK_MONOTONIC) - m->wall_start;

    m->cpu = m->cpu == 0 || cpu < m->cpu ? cpu : m->cpu;
    m->wall = m->wall == 0 || wall < m->wall ? wall : m->wall;
}

static void show(const struct measure *m)
{
    printf("%-58s %8.1f ms  cpu %8.1f ms  goal %5.0f ms%s\n", m->what, m->wall, m->cpu, m->limit_ms,
           m->wall > m->limit_ms ? "  MISSED" : "");
}

/* ---- wishes ---------------------------------------------------------------------------------- */

static struct ip_prefix host(uint32_t n)
{
    struct ip_prefix out = {.addr = {.family = 4, .bytes = {10, 8}}, .len = 32};

    out.addr.bytes[1] = (uint8_t)(8 + (n >> 16));
    out.addr.bytes[2] = (uint8_t)(n >> 8);
    out.addr.bytes[3] = (uint8_t)n;
    return out;
}

static void add_tun(struct net_set *set)
{
    const struct net_link link = {
        .name = "tun0", .kind = "tun", .mtu = 1400, .ip6ll = NET_IP6LL_NONE, .up = true};

    net_set_add_link(set, &link);
}

static void add_routes(struct net_set *set, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++)
        net_set_add_route(set, "tun0", &(struct net_route){.dst = host(i), .table = 101 + i % 100});
}

static void add_rules(struct net_set *set, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++)
        net_set_add_rule(set, &(struct net_rule){.family = 4,
                                                 .priority = 10000 + i,
                                                 .has_uids = true,
                                                 .uid_first = 1000 + i,
                                                 .uid_last = 1000 + i,
                                                 .table = 101 + i % 100});
}

/* Users in HTB qdiscs of 250, nested, as a server has them: a class, a leaf, a filter each. */
static void add_users(struct net_set *set, uint32_t n, uint64_t rate_of_last)
{
    struct net_class cls = {.parent = NET_TC_HANDLE(1, 0),
                            .handle = NET_TC_HANDLE(1, 1),
                            .rate_bytes_s = 125000000,
                            .ceil_bytes_s = 125000000,
                            .burst_us = 10000,
                            .cburst_us = 10000,
                            .quantum = 1500};
    struct net_qdisc qdisc = {.parent = NET_TC_ROOT, .handle = NET_TC_HANDLE(1, 0)};
    struct net_filter filter = {
        .pref = 10, .family = 4, .kind = NET_FILTER_CLASS, .side = NET_FILTER_DST};

    net_set_add_qdisc(set, "tun0", &qdisc);
    for (uint32_t i = 0; i < n; i++) {
        uint16_t major = (uint16_t)(2 + i / 250), minor = (uint16_t)(1 + i % 250);

        if (i % 250 == 0) {
            cls.parent = NET_TC_HANDLE(1, 0);
            cls.handle = NET_TC_HANDLE(1, major);
            net_set_add_class(set, "tun0", &cls);
            qdisc = (struct net_qdisc){.parent = cls.handle, .handle = NET_TC_HANDLE(major, 0)};
            net_set_add_qdisc(set, "tun0", &qdisc);
        }
        cls.parent = NET_TC_HANDLE(major, 0);
        cls.handle = NET_TC_HANDLE(major, minor);
        cls.rate_bytes_s = i == n - 1 ? rate_of_last : 125000;
        net_set_add_class(set, "tun0", &cls);
        filter.parent = NET_TC_HANDLE(major, 0);
        filter.handle = NET_U32_HANDLE(0, 0, minor);
        filter.prefix = host(i);
        filter.classid = cls.handle;
        net_set_add_filter(set, "tun0", &filter);
    }
}

/* ---- the measurements ------------------------------------------------------------------------ */

static uint64_t operations(void)
{
    struct net_reconciler_status status;

    net_reconciler_status(r, &status);
    return status.operations;
}

static void apply(const struct net_set *set)
{
    struct err err = {{0}};

    must(net_reconciler_apply(r, set, 0, NULL, &err), &err);
}

/* A run like those of the timer: read, compare, send nothing. */
static void idle(struct measure *m)
{
    uint64_t before = operations();

    for (int i = 0; i < RUNS; i++) {
        begin(m);
        net_reconciler_configure(r, NET_DRIFT_REPAIR, 60000);
        net_reconciler_service(r, 1000);
        end(m);
    }
    show(m);
    if (operations() != before)
        printf("  but it sent %d operations\n", (int)(operations() - before));
}

static void bench_first(void)
{
    struct measure first = {.what = "first apply of 1,000 routes and 1,000 rules", .limit_ms = 150};
    _cleanup_(net_set_freep) struct net_set *nothing = net_set_new();
    _cleanup_(net_set_freep) struct net_set *set = net_set_new();

    add_tun(nothing);
    add_tun(set);
    add_routes(set, 1000);
    add_rules(set, 1000);
    for (int i = 0; i < RUNS; i++) {
        apply(nothing);
        begin(&first);
        apply(set);
        end(&first);
    }
    show(&first);
    apply(nothing);
}

static void bench_routes(void)
{
    struct measure none = {.what = "10,000 routes: a run that finds nothing", .limit_ms = 50};
    struct measure one = {.what = "10,000 routes: one more, by a new wish", .limit_ms = 100};
    _cleanup_(net_set_freep) struct net_set *set = net_set_new();
    _cleanup_(net_set_freep) struct net_set *more = net_set_new();
    struct err err = {{0}};

    add_tun(set);
    add_routes(set, 10000);
    add_tun(more);
    add_routes(more, 10001);
    apply(set);
    idle(&none);
    for (int i = 0; i < RUNS; i++) {
        must(net_reconciler_want(r, set, 0, &err), &err);
        net_reconciler_service(r, 1000);
        begin(&one);
        must(net_reconciler_want(r, more, 0, &err), &err);
        net_reconciler_service(r, 1000);
        end(&one);
    }
    show(&one);
}

static void bench_users(void)
{
    struct measure make = {.what = "10,000 users' classes and filters: first apply",
                           .limit_ms = 2000};
    struct measure none = {.what = "10,000 users: a run that finds nothing", .limit_ms = 50};
    struct measure one = {.what = "10,000 users: another rate for one", .limit_ms = 100};
    _cleanup_(net_set_freep) struct net_set *set = net_set_new();
    _cleanup_(net_set_freep) struct net_set *changed = net_set_new();
    struct err err = {{0}};

    add_tun(set);
    add_users(set, 10000, 125000);
    add_tun(changed);
    add_users(changed, 10000, 250000);
    begin(&make);
    apply(set);
    end(&make);
    show(&make);
    idle(&none);
    for (int i = 0; i < RUNS; i++) {
        begin(&one);
        must(net_reconciler_want(r, i % 2 ? set : changed, 0, &err), &err);
        net_reconciler_service(r, 1000);
        end(&one);
    }
    show(&one);
}

static void setup(void)
{
    const struct tun_options options = {.persist = true};
    const struct net_reconciler_config config = {
        .owner = {.protocol = NET_PROTO_SERVER, .alias = ALIAS, .table = "vpn"},
        .interval_ms = 60000};
    struct net_link link, claim = {.alias = ALIAS};
    struct err err = {{0}};
    int fd;

    if (unshare(CLONE_NEWNET) < 0 || (fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC)) < 0) {
        fprintf(stderr, "this needs root, and /dev/net/tun: %s\n", strerror(errno));
        exit(1);
    }
    must(tun_attach(fd, "tun0", &options, &err), &err);
    must(net_kernel_open(&kernel, &err), &err);
    must(net_link_get(net_kernel_conn(&kernel), "tun0", &link, &err), &err);
    must(net_link_set(net_kernel_conn(&kernel), link.ifindex, &claim, NET_LINK_ALIAS, &err), &err);
    must(net_reconciler_new(&kernel, &config, &r, &err), &err);
}

int main(void)
{
    setup();
    bench_first();
    bench_routes();
    bench_users();
    net_reconciler_free(r);
    net_kernel_close(&kernel);
    return 0;
}

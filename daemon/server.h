/* vpn-server's state in one place: who owns what, and the loop that turns. */
#ifndef DAEMON_SERVER_H
#define DAEMON_SERVER_H

#include <stdbool.h>

#include "common/clock.h"
#include "common/ctl.h"
#include "common/loop.h"
#include "daemon/choose.h"
#include "daemon/config.h"
#include "daemon/datapath/datapath.h"
#include "daemon/device.h"
#include "daemon/lease.h"
#include "daemon/login.h"
#include "daemon/session.h"
#include "daemon/users.h"
#include "enclave/link.h"
#include "enclave/spawner.h"

struct history;
struct keeper;
struct shaper;
struct helper;
struct lease_writer;
struct net_sysctl_keep;
struct roster;
struct netfilter;

struct server {
    struct config *config;   /* in force; replaced by reload() */
    const char *config_path; /* where it came from */
    bool verbose;            /* -v: whatever the configuration says */
    struct history *history; /* NULL: the state folder cannot be used */
    struct chosen chosen;    /* at start, until it is in force */
    struct clock now;
    uint64_t started_us; /* CLOCK_REALTIME */
    struct loop loop;
    struct spawner spawner;
    struct link *link;
    struct datapath dp;
    struct ctl_server *ctl;
    struct shaper *shaper;          /* rates of users; NULL before it is opened */
    struct keeper *keeper;          /* the kernel; NULL before it is opened */
    struct device device;           /* that the lanes have */
    bool device_lost;               /* and is still to be made again */
    struct net_sysctl_keep *former; /* settings as they were; NULL when they cannot be kept */
    bool forwards6;                 /* IPv6 was safe to forward */
    struct netfilter *netfilter;    /* NULL before it is set, and when out of memory */
    uint32_t lanes;
    uint32_t max_users; /* what the enclave has room for */
    struct users *users;
    struct leases *leases;
    struct helper *helper; /* the one helper thread */
    struct lease_writer *lease_writer;
    struct roster *roster; /* for those who come back after a crash */
    int roster_fd;         /* given to it */
    struct sessions *sessions;
    uint64_t back_ms;  /* going back to a confirmed configuration failed: not again before */
    uint64_t probe_ms; /* when the next path-MTU probe is due */
    struct logins *logins;
    uint64_t hs_counts[HS_COUNT_NUM];
    int exit_status; /* what to end with; -1: go on */
    bool ready_once;
    bool reload_due; /* SIGHUP came before that */
};

/**
 * server_start() - everything up to the loop
 * @config: the server's from here on: a reload replaces it, the caller frees s->config at the end
 * @control_fd: listening control socket, -1 for none; given away
 *
 * The spawner runs already, privileges are dropped already (daemon/main.c).
 *
 * Return: 0, or -errno with the sentence.
 */
int server_start(struct server *s, struct config *config, int control_fd, gid_t control_gid,
                 struct err *err);

/** server_run() - the loop.  Return: the process's exit status. */
int server_run(struct server *s);

/** server_stop() - tell clients, end the lanes and the enclave, leave the kernel as found. */
void server_stop(struct server *s);

/** server_ctl() - the control socket's handler (ctl_handler). */
json_t *server_ctl(void *ctx, const char *cmd, const json_t *request, const struct ctl_peer *peer);

#endif

/* vpn-client from start to end: all tunnels of one file, one enclave, one loop. */
#ifndef CLIENT_CLIENT_H
#define CLIENT_CLIENT_H

#include <sys/types.h>

#include "client/ability.h"
#include "client/neighbours.h"
#include "client/tunnel.h"
#include "common/ctl.h"
#include "common/loop.h"
#include "enclave/spawner.h"

/* What was refused on the main thread, beside the lanes' counts. */
enum client_drop {
    CLIENT_DROP_COOKIE, /* a COOKIE that answers no request of ours */
    CLIENT_DROP_ANSWER, /* a CONNECT_RESP that no login waits for */
    CLIENT_DROP_FORGED, /* one that did not verify */
    CLIENT_DROP_STALE,  /* a STALE that is not to be believed */
    CLIENT_DROP_NUM,
};

struct client {
    const struct profile *profile;
    struct spawner spawner; /* started by the caller while it was root */
    uint32_t lanes;
    struct loop loop;
    struct link *link;
    struct datapath dp;
    struct keeper *keeper;
    struct helper *helper;
    struct dns dns;
    struct ctl_server *ctl;
    struct tunnel_env env;
    struct tunnel *tunnels;           /* all of the profile's */
    const struct netstate **netstate; /* likewise: of each */
    size_t n_tunnels;                 /* opened */
    struct neighbours neighbours;
    struct ability guard; /* to drop what comes to tunnel addresses by other ways */
    uint64_t drops[CLIENT_DROP_NUM];
    int64_t started_s; /* wall clock */
    bool ready_once;
    int exit_status; /* -1: go on */
};

/**
 * client_start() - open everything; privileges have been dropped
 * @control_fd: from ctl_listen(); the client's from here on
 *
 * Return: 0 or -errno; client_stop() is due in either case.
 */
int client_start(struct client *c, const struct profile *profile, int control_fd, gid_t control_gid,
                 struct err *err);
/** client_run() - until a signal.  Return: the exit status. */
int client_run(struct client *c);
/**
 * client_stop() - take leave of the servers and put the kernel back; half-started is fine
 *
 * Unless it was asked to end, what tunnels block stays blocked.
 */
void client_stop(struct client *c);

/** client_ctl() - a ctl_handler: what vpnctl is answered. */
json_t *client_ctl(void *ctx, const char *cmd, const json_t *request, const struct ctl_peer *peer);
/** client_drop_name() - for JSON. */
const char *client_drop_name(unsigned int drop);

#endif

/*
 * vpn-client from start to end: what is opened, in which order, and the one switch that turns it.
 *
 * After READY no packet, server, kernel answer or enclave death ends the client.
 */
#include "client/client.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#include "client/settle.h"
#include "common/cleanup.h"
#include "common/clock.h"
#include "common/log.h"
#include "common/process.h"
#include "daemon/datapath/report.h"
#include "daemon/datapath/udp.h"

#define TICK_MAX_MS    60000
#define EVENTS_MAX     128 /* per wake-up: signals and the enclave get their turn under a flood */
#define HELPER_WAIT_MS 200 /* a name server that does not answer shall not hold up the end */

enum source {
    SOURCE_SIGNAL,
    SOURCE_ENCLAVE,
    SOURCE_DATAPATH,
    SOURCE_CONTROL,
    SOURCE_HELPER,
    SOURCE_KERNEL,
};

/* ---- the enclave ------------------------------------------------------------------------------
 */

static void on_ready(void *ctx, const struct ipc_ready *ready)
{
    struct client *c = ctx;
    struct err err;

    report_log_seal(c->link);
    log_info("enclave process started (PID %d), engine %s", (int)link_pid(c->link), ready->engine);
    if (datapath_start(&c->dp, c->link, &err) < 0) {
        log_error("%s", err.msg);
        c->exit_status = 1;
        return;
    }
    for (size_t i = 0; i < c->n_tunnels; i++)
        tunnel_enclave_ready(&c->tunnels[i]);
    if (!c->ready_once) {
        c->ready_once = true;
        process_ready();
    }
}

static void on_failed(void *ctx, const char *why)
{
    struct client *c = ctx;

    log_error("enclave: %s", why);
    /* At start this is the operator's to mend; later the next attempt may succeed. */
    if (!c->ready_once)
        c->exit_status = 1;
}

static void on_lost(void *ctx)
{
    struct client *c = ctx;

    log_error("the spawner was killed: no enclave can be started any more");
    c->exit_status = 1;
}

static void on_down(void *ctx)
{
    struct client *c = ctx;

    datapath_stop(&c->dp, false);
    log_error("the enclave ended (PID %d): starting a new one", (int)link_pid(c->link));
    for (size_t i = 0; i < c->n_tunnels; i++)
        tunnel_enclave_down(&c->tunnels[i]);
}

static void on_message(void *ctx, const union ipc_msg *msg)
{
    struct client *c = ctx;
    uint32_t tunnel;

    switch (msg->hdr.type) {
    case IPC_HS_CONNECT:
        tunnel = msg->hs_connect.tunnel;
        break;
    case IPC_HS_DONE:
        tunnel = msg->hs_done.tunnel;
        break;
    case IPC_HS_DROPPED:
        c->drops[CLIENT_DROP_FORGED]++;
        return;
    default:
        log_error("the enclave sent an unexpected message (%s)", ipc_type_name(msg->hdr.type));
        return;
    }
    if (tunnel < c->n_tunnels)
        tunnel_message(&c->tunnels[tunnel], msg);
}

static const struct link_ops link_ops = {.ready = on_ready,
                                         .failed = on_failed,
                                         .lost = on_lost,
                                         .down = on_down,
                                         .message = on_message};

/* ---- opening ----------------------------------------------------------------------------------
 */

/* Tunnels share their lane's sockets: one per family, from any port, marked (see routing.h). */
static int open_sockets(struct client *c, struct err *err)
{
    static const uint8_t families[TUNNEL_SOCKETS] = {
        [TUNNEL_SOCKET_IP4] = 4,
        [TUNNEL_SOCKET_IP6] = 6,
    };
    struct err why[TUNNEL_SOCKETS];
    bool any = false;
    int rc;

    for (uint32_t i = 0; i < TUNNEL_SOCKETS; i++) {
        const struct ip_endpoint local = {.addr.family = families[i]};

        for (uint32_t lane = 0; lane < c->lanes; lane++) {
            c->dp.sockets[lane][i] = udp_open(&local, false, ROUTING_MARK, &why[i]);
            if (c->dp.sockets[lane][i] < 0)
                continue;
            any = true;
            rc = datapath_socket_offload(&c->dp, c->dp.sockets[lane][i], err);
            if (rc < 0)
                return rc;
        }
        if (c->dp.sockets[0][i] < 0)
            log_debug("no IPv%u here: %s", families[i], why[i].msg);
    }
    c->dp.n_sockets = TUNNEL_SOCKETS;
    return any ? 0 : err_set(err, -EAFNOSUPPORT, "%s", why[TUNNEL_SOCKET_IP4].msg);
}

static int init_tunnels(struct client *c, struct err *err)
{
    const struct profile *p = c->profile;

    c->tunnels = calloc(p->n_tunnels, sizeof(*c->tunnels));
    c->netstate = calloc(p->n_tunnels, sizeof(*c->netstate));
    if (!c->tunnels || !c->netstate)
        return err_set(err, -ENOMEM, "out of memory");
    c->env = (struct tunnel_env){.link = c->link,
                                 .dp = &c->dp,
                                 .keeper = c->keeper,
                                 .helper = c->helper,
                                 .dns = &c->dns,
                                 .now_ms = clock_mono_ms(),
                                 .pushed_max = PUSHED_ALL_MAX / p->n_tunnels,
                                 .many = p->n_tunnels > 1};
    for (size_t i = 0; i < p->n_tunnels; i++) {
        tunnel_init(&c->tunnels[i], &c->env, p, (uint32_t)i);
        c->netstate[i] = &c->tunnels[i].netstate;
    }
    return 0;
}

static int open_tunnels(struct client *c, struct err *err)
{
    const struct profile *p = c->profile;

    for (size_t i = 0; i < p->n_tunnels; i++) {
        struct tunnel *t = &c->tunnels[i];
        const uint32_t lane = ((uint32_t)i + 1) % c->lanes;
        int fd = spawner_open_tun(&c->spawner, err);
        int rc;

        if (fd < 0)
            return fd;
        if (c->dp.sockets[lane][TUNNEL_SOCKET_IP4] >= 0)
            t->netstate.routing.port = udp_bound_port(c->dp.sockets[lane][TUNNEL_SOCKET_IP4]);
        /* Counted even when it fails: a device may have been made. */
        c->n_tunnels++;
        rc = tunnel_open(t, fd, p->state, err);
        if (rc < 0)
            return p->n_tunnels > 1 ? err_prefix(err, rc, "%s: ", p->tunnels[i].name) : rc;
    }
    return 0;
}

static int open_loop(struct client *c, int control_fd, gid_t control_gid, struct err *err)
{
    static const int signals[] = {SIGTERM, SIGINT, SIGHUP, SIGUSR1};
    int rc = loop_init(&c->loop);

    signal(SIGPIPE, SIG_IGN);
    if (rc == 0)
        rc = loop_signals(&c->loop, signals, ARRAY_SIZE(signals), SOURCE_SIGNAL);
    if (rc < 0)
        rc = err_set(err, rc, "epoll: %s", strerror(-rc));
    else
        rc = ctl_server_open(&c->ctl, control_fd, control_gid, client_ctl, c, err);
    if (rc < 0) {
        close(control_fd);
        return rc;
    }
    return loop_add(&c->loop, ctl_server_fd(c->ctl), SOURCE_CONTROL);
}

static int open_parts(struct client *c, struct err *err)
{
    int rc = datapath_init(&c->dp, DP_CLIENT, c->lanes, 1, 1, err);

    if (rc < 0)
        return rc;
    rc = helper_new(&c->helper);
    if (rc == 0)
        rc = loop_add(&c->loop, helper_fd(c->helper), SOURCE_HELPER);
    if (rc == 0)
        rc = loop_add(&c->loop, datapath_event_fd(&c->dp), SOURCE_DATAPATH);
    if (rc == 0)
        rc = link_new(&c->link, &c->spawner, c->lanes, &link_ops, c);
    if (rc == 0)
        rc = loop_add(&c->loop, link_fd(c->link), SOURCE_ENCLAVE);
    return rc < 0 ? err_set(err, rc, "the client's threads cannot be set up: %s", strerror(-rc))
                  : 0;
}

int client_start(struct client *c, const struct profile *profile, int control_fd, gid_t control_gid,
                 struct err *err)
{
    uint64_t random_bits;
    int rc;

    c->profile = profile;
    c->exit_status = -1;
    c->started_s = time(NULL);
    if (getrandom(&random_bits, sizeof(random_bits), 0) != sizeof(random_bits)) {
        close(control_fd);
        return err_set(err, -EIO, "the kernel gives no random numbers");
    }
    clock_init(random_bits);
    rc = open_loop(c, control_fd, control_gid, err);
    if (rc == 0)
        rc = open_parts(c, err);
    if (rc == 0)
        rc = keeper_new(&c->keeper, err);
    if (rc == 0)
        rc = dns_open(&c->dns, ROUTING_MARK, err);
    if (rc == 0 && loop_add(&c->loop, keeper_fd(c->keeper), SOURCE_KERNEL) < 0)
        rc = err_set(err, -ENOMEM, "epoll: out of memory");
    if (rc == 0)
        rc = init_tunnels(c, err);
    if (rc < 0)
        return rc;
    settle_begin(c);
    rc = open_sockets(c, err);
    if (rc == 0)
        rc = open_tunnels(c, err);
    if (rc == 0)
        rc = link_start(c->link, err);
    return rc;
}

/* ---- the loop ---------------------------------------------------------------------------------
 */

static struct tunnel *tunnel_of_peer(struct client *c, uint32_t peer)
{
    const uint32_t slot = IPC_PEER_SLOT(peer);

    if (slot == 0 || slot > c->n_tunnels || c->tunnels[slot - 1].session.peer != peer)
        return NULL;
    return &c->tunnels[slot - 1];
}

/* A datagram without a session; the lanes have checked its type and length. */
static void on_handshake(struct client *c, const struct dp_event *event)
{
    const enum wire_kind kind = wire_classify(event->data, event->length);
    enum client_drop drop = CLIENT_DROP_ANSWER;
    bool taken = false;

    if (kind == WIRE_KIND_COOKIE)
        drop = CLIENT_DROP_COOKIE;
    else if (kind == WIRE_KIND_STALE)
        drop = CLIENT_DROP_STALE;
    for (size_t i = 0; i < c->n_tunnels && !taken; i++) {
        if (kind == WIRE_KIND_CONNECT_RESP)
            taken = tunnel_answer(&c->tunnels[i], event->data, &event->from);
        else if (kind == WIRE_KIND_COOKIE)
            taken = login_cookie(&c->tunnels[i], event->data);
        else if (kind == WIRE_KIND_STALE)
            taken = tunnel_stale(&c->tunnels[i], event->data, &event->from);
    }
    if (!taken)
        c->drops[drop]++;
}

static void on_datapath(struct client *c)
{
    static struct log_limit device_lines = LOG_LIMIT_INIT(60000, 1);
    struct dp_event event;

    for (unsigned int i = 0; i < EVENTS_MAX && datapath_event(&c->dp, &event) == 0; i++) {
        struct tunnel *t = tunnel_of_peer(c, event.peer);

        switch ((enum dp_event_kind)event.kind) {
        case DP_EVENT_HANDSHAKE:
            on_handshake(c, &event);
            break;
        case DP_EVENT_MOVED:
            if (t)
                tunnel_moved(t);
            break;
        case DP_EVENT_PROVEN:
            if (t)
                tunnel_proven(t);
            break;
        case DP_EVENT_PONG:
            if (t)
                tunnel_probed(t, be64_get(event.data));
            break;
        case DP_EVENT_SHRUNK:
            if (t)
                tunnel_shrunk(t);
            break;
        case DP_EVENT_DISCONNECT:
            if (t)
                tunnel_disconnected(t, event.data[0]);
            break;
        case DP_EVENT_CONTROL:
            if (t)
                tunnel_control(t, event.data, event.length);
            break;
        case DP_EVENT_RING:
            /* Its death is noticed like any other. */
            (void)spawner_kill(&c->spawner);
            break;
        case DP_EVENT_DEVICE:
            log_limited(&device_lines, c->env.now_ms, LOG_LEVEL_ERROR,
                        "a TUN device was taken away: restart vpn-client to have it back");
            break;
        case DP_EVENT_UNKNOWN:
        case DP_EVENT_PROMOTED:
            break;
        }
    }
}

static void on_signal(struct client *c)
{
    struct err err;
    int sig;

    while ((sig = loop_signal(&c->loop)) != 0) {
        switch (sig) {
        case SIGHUP:
            for (size_t i = 0; i < c->n_tunnels; i++)
                tunnel_retry(&c->tunnels[i]);
            break;
        case SIGUSR1:
            if (log_reopen(&err) < 0)
                log_warning("%s", err.msg);
            break;
        case SIGTERM:
        case SIGINT:
            log_info("ending (signal %d)", sig);
            c->exit_status = 0;
            break;
        }
    }
}

static void serve(struct client *c, enum source source)
{
    switch (source) {
    case SOURCE_SIGNAL:
        on_signal(c);
        break;
    case SOURCE_ENCLAVE:
        link_service(c->link);
        break;
    case SOURCE_DATAPATH:
        on_datapath(c);
        break;
    case SOURCE_CONTROL:
        ctl_server_service(c->ctl, c->env.now_ms);
        break;
    case SOURCE_HELPER:
        helper_service(c->helper);
        break;
    case SOURCE_KERNEL:
        keeper_service(c->keeper, c->env.now_ms);
        break;
    }
}

int client_run(struct client *c)
{
    uint32_t sources[LOOP_EVENTS];
    uint64_t next = 0;

    while (c->exit_status < 0) {
        const uint64_t left = next > c->env.now_ms ? next - c->env.now_ms : 0;
        int n = loop_wait(&c->loop, left < TICK_MAX_MS ? (int)left : TICK_MAX_MS, sources);

        c->env.now_ms = clock_mono_ms();
        for (int i = 0; i < n; i++)
            serve(c, (enum source)sources[i]);
        next = settle_again(c);
        for (size_t i = 0; i < c->n_tunnels; i++) {
            const uint64_t due = tunnel_tick(&c->tunnels[i]);

            next = due < next ? due : next;
        }
        settle_changes(c);
        if (c->env.now_ms >= keeper_deadline(c->keeper))
            keeper_service(c->keeper, c->env.now_ms);
        if (keeper_deadline(c->keeper) < next)
            next = keeper_deadline(c->keeper);
    }
    return c->exit_status;
}

void client_stop(struct client *c)
{
    struct err err;

    process_notify("STOPPING=1");
    for (size_t i = 0; i < c->n_tunnels; i++)
        tunnel_leave(&c->tunnels[i]);
    if (c->dp.n_lanes)
        datapath_stop(&c->dp, true);
    settle_end(c);
    for (size_t i = 0; i < c->n_tunnels; i++) {
        if (tunnel_close(&c->tunnels[i], &err) < 0)
            log_warning("not removed: %s", err.msg);
        tunnel_clear(&c->tunnels[i]);
    }
    link_free(c->link);
    /* Then the thread goes on asking, with what belongs to it, until the process ends. */
    if (helper_close(c->helper, HELPER_WAIT_MS) < 0)
        log_debug("the name server still has not answered");
    else
        dns_close(&c->dns);
    if (c->dp.n_lanes)
        datapath_clear(&c->dp);
    spawner_stop(&c->spawner);
    ctl_server_close(c->ctl);
    keeper_free(c->keeper);
    neighbours_close(&c->neighbours);
    loop_clear(&c->loop);
    free(c->tunnels);
    free(c->netstate);
}

/*
 * vpn-server from start to end: what is opened, in which order, and the one switch that turns it.
 *
 * After "running" no packet, peer, kernel answer or enclave death ends the daemon.
 */
#include "daemon/server.h"
#include "daemon/shaper.h"

#include <errno.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/cred.h"
#include "common/helper.h"
#include "common/log.h"
#include "common/process.h"
#include "daemon/datapath/report.h"
#include "daemon/confirm.h"
#include "daemon/device.h"
#include "daemon/enrol.h"
#include "daemon/lease_writer.h"
#include "daemon/forwarding.h"
#include "daemon/netfilter.h"
#include "daemon/keeper.h"
#include "daemon/listen.h"
#include "daemon/reload.h"
#include "daemon/roster.h"
#include "enclave/spawner.h"

#define TICK_MS      1000
#define DISK_WAIT_MS 2000

enum source {
    SOURCE_SIGNAL,
    SOURCE_ENCLAVE,
    SOURCE_DATAPATH,
    SOURCE_CONTROL,
    SOURCE_HELPER,
    SOURCE_KERNEL,
};

/* ---- the enclave
 * ------------------------------------------------------------------------------------- */

static void on_ready(void *ctx, const struct ipc_ready *ready)
{
    struct server *s = ctx;
    char key[CRED_KEY_TEXT_LEN + 1];
    struct err err;

    report_log_seal(s->link);
    cred_key_encode(ready->public_key, key);
    log_info("enclave process started (PID %d), engine %s, identity %s", (int)link_pid(s->link),
             ready->engine, key);
    mac_keys_init(&s->dp.mac, ready->public_key);
    enrol_all(s);
    if (datapath_start(&s->dp, s->link, &err) < 0) {
        log_error("%s", err.msg);
        if (!s->ready_once)
            s->exit_status = 1;
        (void)spawner_kill(&s->spawner);
        return;
    }
    roster_tell(s->roster, &s->dp, &s->now);
    if (!s->ready_once) {
        s->ready_once = true;
        log_info("running");
        confirm_settle(s);
        process_ready();
        if (s->reload_due)
            (void)reload(s, "SIGHUP", &err);
    }
}

static void on_failed(void *ctx, const char *why)
{
    struct server *s = ctx;

    log_error("enclave: %s", why);
    /* At start this is the operator's to mend; later the next attempt may succeed. */
    if (!s->ready_once)
        s->exit_status = 1;
}

static void on_lost(void *ctx)
{
    struct server *s = ctx;

    log_error("the spawner was killed: no enclave can be started any more");
    s->exit_status = 1;
}

static void on_down(void *ctx)
{
    struct server *s = ctx;

    datapath_stop(&s->dp, false);
    log_error("the enclave ended (PID %d): %u sessions dropped, starting a new one",
              (int)link_pid(s->link), sessions_bound(s->sessions));
    roster_recall(s->roster);
    sessions_clear(s);
}

static void on_message(void *ctx, const union ipc_msg *msg)
{
    struct server *s = ctx;

    switch (msg->hdr.type) {
    case IPC_HS_AUTH:
        sessions_auth(s, &msg->hs_auth);
        break;
    case IPC_HS_RESPONSE:
        sessions_response(s, &msg->hs_response);
        break;
    case IPC_HS_DROPPED:
        logins_dropped(s, msg->hs_dropped.ref, msg->hs_dropped.reason);
        break;
    default:
        log_error("the enclave sent an unexpected message (%s)", ipc_type_name(msg->hdr.type));
    }
}

static const struct link_ops link_ops = {.ready = on_ready,
                                         .failed = on_failed,
                                         .lost = on_lost,
                                         .down = on_down,
                                         .message = on_message};

/* ---- the loop
 * ------------------------------------------------------------------------------------------ */

static void on_datapath(struct server *s)
{
    struct dp_event event;
    unsigned int i;

    /* Bounded: signals and the enclave get their turn under a flood of logins. */
    for (i = 0; i < 128 && datapath_event(&s->dp, &event) == 0; i++) {
        switch ((enum dp_event_kind)event.kind) {
        case DP_EVENT_HANDSHAKE:
            logins_request(s, &event);
            break;
        case DP_EVENT_UNKNOWN:
            sessions_unknown(s, &event);
            break;
        case DP_EVENT_PROMOTED:
            sessions_promoted(s, event.peer);
            break;
        case DP_EVENT_DISCONNECT:
            sessions_disconnect(s, event.peer, event.data[0]);
            break;
        case DP_EVENT_CONTROL:
            sessions_control(s, event.peer, event.data, event.length);
            break;
        case DP_EVENT_DEVICE:
            device_lost(s);
            break;
        case DP_EVENT_RING:
            (void)spawner_kill(&s->spawner);
            break;
        case DP_EVENT_PROVEN:
            sessions_roster(s, event.peer);
            sessions_measure(s, event.peer, true);
            break;
        case DP_EVENT_PONG:
            sessions_probed(s, event.peer, be64_get(event.data));
            break;
        case DP_EVENT_SHRUNK:
            sessions_shrunk(s, event.peer);
            break;
        case DP_EVENT_MOVED:
            break;
        }
    }
}

static void on_signal(struct server *s)
{
    struct err err;
    int sig;

    while ((sig = loop_signal(&s->loop)) != 0) {
        switch (sig) {
        case SIGHUP:
            if (s->ready_once)
                (void)reload(s, "SIGHUP", &err);
            s->reload_due = !s->ready_once;
            break;
        case SIGUSR1:
            if (log_reopen(&err) < 0)
                log_warning("%s", err.msg);
            break;
        case SIGTERM:
        case SIGINT:
            log_info("ending (signal %d)", sig);
            s->exit_status = 0;
            break;
        }
    }
}

static int wait_ms(const struct server *s)
{
    uint64_t writer_ms = lease_writer_due_ms(s->lease_writer);
    uint64_t kernel_ms = keeper_deadline(s->keeper);
    uint64_t due_ms = writer_ms < s->probe_ms ? writer_ms : s->probe_ms;
    uint64_t next_ms = kernel_ms < due_ms ? kernel_ms : due_ms;
    uint64_t left = next_ms > s->now.mono_ms ? next_ms - s->now.mono_ms : 0;

    return left < TICK_MS ? (int)left : TICK_MS;
}

int server_run(struct server *s)
{
    uint32_t sources[LOOP_EVENTS];
    uint64_t tick_ms = 0;

    while (s->exit_status < 0) {
        int i, n = loop_wait(&s->loop, wait_ms(s), sources);
        bool kernel = false;

        clock_read(&s->now);
        for (i = 0; i < n; i++) {
            switch ((enum source)sources[i]) {
            case SOURCE_SIGNAL:
                on_signal(s);
                break;
            case SOURCE_ENCLAVE:
                link_service(s->link);
                break;
            case SOURCE_DATAPATH:
                on_datapath(s);
                break;
            case SOURCE_CONTROL:
                ctl_server_service(s->ctl, s->now.mono_ms);
                break;
            case SOURCE_HELPER:
                helper_service(s->helper);
                break;
            case SOURCE_KERNEL:
                kernel = true;
                break;
            }
        }
        if (kernel || s->now.mono_ms >= keeper_deadline(s->keeper))
            keeper_service(s);
        if (s->now.mono_ms >= s->probe_ms)
            sessions_probe(s);
        if (s->now.mono_ms >= tick_ms) {
            tick_ms = s->now.mono_ms + TICK_MS;
            sessions_tick(s);
            logins_tick(s);
            enrol_tick(s);
            lease_writer_tick(s->lease_writer);
            if (link_state(s->link) == LINK_READY)
                roster_tell(s->roster, &s->dp, &s->now);
            device_tick(s);
            netfilter_tick(s);
            confirm_tick(s);
        }
        lease_writer_run(s->lease_writer);
    }
    return s->exit_status;
}

/* ---- start and end
 * ------------------------------------------------------------------------------------- */

static int open_loop(struct server *s, int control_fd, gid_t control_gid, struct err *err)
{
    static const int signals[] = {SIGTERM, SIGINT, SIGHUP, SIGUSR1};
    int rc = loop_init(&s->loop);

    if (rc == 0)
        rc = loop_signals(&s->loop, signals, ARRAY_SIZE(signals), SOURCE_SIGNAL);
    if (rc < 0)
        return err_set(err, rc, "epoll: %s", strerror(-rc));
    if (control_fd < 0)
        return 0;
    rc = ctl_server_open(&s->ctl, control_fd, control_gid, server_ctl, s, err);
    if (rc < 0) {
        close(control_fd);
        return rc;
    }
    return loop_add(&s->loop, ctl_server_fd(s->ctl), SOURCE_CONTROL);
}

/* The kernel as the configuration has it, as far as it can be: the rest follows by itself. */
static int open_kernel(struct server *s, struct err *err)
{
    char text[IP_PREFIX_STRLEN];
    int rc = keeper_open(s, err);

    if (rc == 0)
        rc = shaper_open(s, err);
    if (rc == 0)
        rc = loop_add(&s->loop, keeper_fd(s->keeper), SOURCE_KERNEL);
    if (rc == 0)
        rc = device_open(s, err);
    if (rc < 0)
        return rc;
    netfilter_open(s);
    rc = keeper_start(s, err);
    /* Nothing is forwarded before the packet filter stands; from here on the engine keeps both. */
    if (rc == 0) {
        forwarding_open(s);
        keeper_changed(s);
    }
    shaper_announce(s);
    shaper_warn(s);
    for (size_t i = 0; rc == 0 && i < s->config->n_addresses; i++)
        log_info("TUN address configured: %s", ip_prefix_format(&s->config->addresses[i], text));
    return rc;
}

static int open_enclave(struct server *s, struct err *err)
{
    int rc = link_new(&s->link, &s->spawner, s->lanes, &link_ops, s);

    if (rc == 0)
        rc = loop_add(&s->loop, link_fd(s->link), SOURCE_ENCLAVE);
    if (rc < 0)
        return err_set(err, rc, "the enclave's door: %s", strerror(-rc));
    return link_start(s->link, err);
}

/* The helper thread, and what an earlier run has left to it. */
static int open_leases(struct server *s, struct err *err)
{
    int rc = helper_new(&s->helper);

    if (rc == 0)
        rc = loop_add(&s->loop, helper_fd(s->helper), SOURCE_HELPER);
    if (rc < 0)
        return err_set(err, rc, "the helper thread: %s", strerror(-rc));
    s->lease_writer = lease_writer_new(s);
    return s->lease_writer ? 0 : err_set(err, -ENOMEM, "out of memory");
}

int server_start(struct server *s, struct config *config, int control_fd, gid_t control_gid,
                 struct err *err)
{
    uint64_t random_bits;
    int rc;

    s->config = config;
    s->exit_status = -1;
    if (getrandom(&random_bits, sizeof(random_bits), 0) != sizeof(random_bits))
        return err_set(err, -EIO, "no random numbers: %s", strerror(errno));
    clock_init(random_bits);
    clock_read(&s->now);
    s->started_us = s->now.real_us;
    s->probe_ms = PMTU_NEVER;
    rc = open_loop(s, control_fd, control_gid, err);
    if (rc < 0)
        return rc;
    s->users = users_new(config, s->max_users);
    s->leases = leases_new(config, s->max_users);
    s->sessions = sessions_new();
    s->logins = logins_new(s->now.mono_ms);
    s->roster = roster_new(s->roster_fd);
    if (!s->users || !s->leases || !s->sessions || !s->logins || !s->roster)
        return err_set(err, -ENOMEM, "out of memory");
    rc = open_leases(s, err);
    if (rc < 0)
        return rc;
    /* Both families of every client, and room for takeovers. */
    rc = datapath_init(&s->dp, DP_SERVER, s->lanes, 4 * config->max_clients + 64,
                       CONFIG_NETWORKS_MAX, err);
    if (rc < 0)
        return rc;
    atomic_store_explicit(&s->dp.client_to_client, config->client_to_client, memory_order_relaxed);
    rc = loop_add(&s->loop, datapath_event_fd(&s->dp), SOURCE_DATAPATH);
    if (rc < 0)
        return err_set(err, rc, "epoll: %s", strerror(-rc));
    rc = open_kernel(s, err);
    if (rc == 0)
        rc = listen_open(s, err);
    if (rc == 0)
        rc = open_enclave(s, err);
    return rc;
}

void server_stop(struct server *s)
{
    process_notify("STOPPING=1");
    if (s->dp.running && s->sessions)
        sessions_goodbye(s);
    datapath_stop(&s->dp, true);
    keeper_close(s);
    shaper_close(s);
    device_close(s);
    forwarding_close(s);
    netfilter_close(s);
    link_free(s->link);
    if (s->dp.lanes)
        datapath_clear(&s->dp);
    spawner_stop(&s->spawner);
    ctl_server_close(s->ctl);
    lease_writer_free(s->lease_writer, DISK_WAIT_MS);
    (void)helper_close(s->helper, 100);
    roster_free(s->roster);
    logins_free(s->logins);
    sessions_free(s->sessions);
    leases_free(s->leases);
    users_free(s->users);
    loop_clear(&s->loop);
}

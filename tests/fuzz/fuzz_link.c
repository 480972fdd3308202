/*
 * What an enclave that has gone mad can do to vpn-server: the input speaks as the enclave, through
 * the door and into the server's sessions, while clients come and go.  The door must keep its word
 * (link.h) about who may use the rings when, and the server must stay within its memory.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>
#include <sodium.h>

#include "common/bell.h"
#include "common/log.h"
#include "daemon/roster.h"
#include "daemon/server.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char config_text[] =
    "server:\n  realm: fuzz-0123456789abcdef\n  listen: [\"127.0.0.1:51820\"]\n  max-clients: 4\n"
    "tunnel:\n  addresses: [10.8.0.1/29]\n  pool: [10.8.0.2-10.8.0.5]\n"
    "users:\n"
    "  a: {key: \"CQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\", max-devices: 2}\n"
    "  b: {key: \"BwAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\", address: [10.8.0.6]}\n";

/* ---- a spawner without a process ------------------------------------------------------------ */

static int enclave = -1, death = -1; /* the other ends of what the door was given */

int spawner_spawn(struct spawner *s, int *control, int *pidfd, pid_t *pid, struct err *err)
{
    int pair[2];

    (void)s;
    (void)err;
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) < 0)
        abort();
    death = eventfd(0, EFD_CLOEXEC);
    *control = pair[0];
    enclave = pair[1];
    *pidfd = dup(death);
    *pid = 1;
    return 0;
}

int spawner_kill(struct spawner *s)
{
    (void)s;
    close(enclave);
    close(death);
    enclave = death = -1;
    return 0;
}

/* Never called here, but by what is linked. */
int spawner_open_tun(struct spawner *s, struct err *err)
{
    (void)s;
    (void)err;
    abort();
}

void spawner_stop(struct spawner *s)
{
    (void)s;
    abort();
}

/* ---- the server's side ---------------------------------------------------------------------- */

static struct server server;
static bool rings_used;

/* A lane would do this from ready() until down() has returned. */
static void use_rings(void)
{
    struct ring_area *area = link_ring(server.link, 0);

    if (!rings_used)
        return;
    atomic_fetch_add(&area->submit.tail, 1);
    memset(area->slots[RING_SLOTS - 1].data, 1, 64);
    bell_ring(link_worker_bell(server.link, 0));
}

static void on_ready(void *ctx, const struct ipc_ready *ready)
{
    (void)ctx;
    if (rings_used || memchr(ready->engine, '\0', sizeof(ready->engine)) == NULL)
        abort();
    rings_used = true;
}

static void on_failed(void *ctx, const char *why)
{
    (void)ctx;
    if (rings_used || strlen(why) > sizeof(((struct ipc_failed *)NULL)->why))
        abort();
}

static void on_lost(void *ctx)
{
    (void)ctx;
    abort();
}

static void on_down(void *ctx)
{
    if (!rings_used)
        abort();
    use_rings();
    rings_used = false;
    sessions_clear(ctx);
}

static void on_message(void *ctx, const union ipc_msg *msg)
{
    if (!rings_used)
        abort();
    if (msg->hdr.type == IPC_HS_AUTH)
        sessions_auth(ctx, &msg->hs_auth);
    else if (msg->hdr.type == IPC_HS_RESPONSE)
        sessions_response(ctx, &msg->hs_response);
    else if (msg->hdr.type == IPC_HS_DROPPED)
        logins_dropped(ctx, msg->hs_dropped.ref, msg->hs_dropped.reason);
}

static const struct link_ops ops = {.ready = on_ready,
                                    .failed = on_failed,
                                    .lost = on_lost,
                                    .down = on_down,
                                    .message = on_message};

static void start(void)
{
    static struct config *config;
    struct problems problems = {0};
    struct err err;

    if (!config) {
        if (sodium_init() < 0 ||
            config_parse("fuzz", config_text, sizeof(config_text) - 1, &config, &problems) < 0) {
            problems_print(&problems, stderr);
            abort();
        }
        log_set_level(LOG_LEVEL_ERROR);
    }
    memset(&server, 0, sizeof(server));
    server.config = config;
    server.max_users = 4;
    server.lanes = 1;
    server.now = (struct clock){.mono_ms = 1000000, .stamp_ms = 5000000, .real_us = 1ULL << 50};
    server.users = users_new(config, server.max_users);
    server.leases = leases_new(config, server.max_users);
    server.sessions = sessions_new();
    server.logins = logins_new(server.now.mono_ms);
    server.roster = roster_new(-1);
    rings_used = false;
    if (datapath_init(&server.dp, DP_SERVER, 1, 80, 4, &err) < 0 ||
        link_new(&server.link, &server.spawner, 1, &ops, &server) < 0 ||
        link_start(server.link, &err) < 0)
        abort();
}

static void stop(void)
{
    if (rings_used)
        on_down(&server);
    link_free(server.link);
    if (enclave >= 0)
        spawner_kill(&server.spawner);
    datapath_clear(&server.dp);
    roster_free(server.roster);
    logins_free(server.logins);
    sessions_free(server.sessions);
    leases_free(server.leases);
    users_free(server.users);
}

/* ---- what happens --------------------------------------------------------------------------- */

static void empty(int fd)
{
    char buf[sizeof(union ipc_msg)];

    while (recv(fd, buf, sizeof(buf), MSG_DONTWAIT) > 0)
        ;
}

static void speak(const void *msg, size_t len, bool descriptor)
{
    union {
        char buf[CMSG_SPACE(sizeof(int))];
        struct cmsghdr align;
    } control = {0};
    struct iovec iov = {.iov_base = (void *)(uintptr_t)msg, .iov_len = len};
    struct msghdr hdr = {.msg_iov = &iov, .msg_iovlen = 1};

    if (descriptor) {
        hdr.msg_control = control.buf;
        hdr.msg_controllen = sizeof(control.buf);
        *CMSG_FIRSTHDR(&hdr) = (struct cmsghdr){.cmsg_level = SOL_SOCKET,
                                                .cmsg_type = SCM_RIGHTS,
                                                .cmsg_len = CMSG_LEN(sizeof(int))};
        memcpy(CMSG_DATA(CMSG_FIRSTHDR(&hdr)), &enclave, sizeof(int));
    }
    (void)sendmsg(enclave, &hdr, MSG_DONTWAIT | MSG_NOSIGNAL);
}

/* A message whose header is right; the body is the input's, with small numbers that may be true. */
static void speak_well(uint8_t what, const uint8_t *data, size_t len)
{
    static const enum ipc_type types[] = {IPC_READY,      IPC_HS_AUTH, IPC_HS_RESPONSE,
                                          IPC_HS_DROPPED, IPC_HS_AUTH, IPC_HS_RESPONSE,
                                          IPC_HS_CONNECT, IPC_FAILED};
    union ipc_msg msg;

    memset(&msg, 0, sizeof(msg));
    ipc_fill(&msg, types[what % 8]);
    if (len > msg.hdr.length - sizeof(msg.hdr))
        len = msg.hdr.length - sizeof(msg.hdr);
    memcpy((uint8_t *)&msg + sizeof(msg.hdr), data, len);
    speak(&msg, msg.hdr.length, false);
}

static void client(uint8_t what, const uint8_t *data, size_t len)
{
    struct dp_event event = {.kind = DP_EVENT_HANDSHAKE, .length = WIRE_CONNECT_REQ_LEN};
    const uint32_t peer = len >= 4 ? 1U << 16 | data[0] % 8 : 0;

    switch (what % 4) {
    case 0:
        event.from.remote = (struct ip_endpoint){.addr = {.family = 4}, .port = 1};
        memcpy(event.data, data, len < sizeof(event.data) ? len : sizeof(event.data));
        logins_request(&server, &event);
        break;
    case 1:
        sessions_promoted(&server, peer);
        break;
    case 2:
        sessions_disconnect(&server, peer, what);
        break;
    case 3:
        server.now.mono_ms += what * 64U;
        server.now.real_us += what * 64000U;
        sessions_tick(&server);
        logins_tick(&server);
        break;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct err err;
    int steps;

    start();
    for (steps = 0; steps < 64 && size >= 3; steps++) {
        const uint8_t kind = data[0], what = data[1];
        size_t len = data[2] < size - 3 ? data[2] : size - 3;

        if (link_state(server.link) == LINK_DOWN && link_start(server.link, &err) < 0)
            abort();
        empty(enclave);
        if (kind % 8 < 4)
            speak_well(what, data + 3, len);
        else if (kind % 8 < 6)
            client(what, data + 3, len);
        else if (kind % 8 == 6)
            speak(data + 3, len, what & 1);
        else if (what < 32)
            (void)eventfd_write(death, 1);
        else if (what < 64)
            (void)shutdown(enclave, SHUT_RDWR);
        link_service(server.link);
        use_rings();
        data += 3 + len;
        size -= 3 + len;
    }
    stop();
    return 0;
}

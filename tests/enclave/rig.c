/* A real enclave on the bench; see rig.h. */
#include "common/bell.h"
#include "tests/enclave/rig.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>
#include <sodium.h>

#include "common/cleanup.h"
#include "common/clock.h"
#include "common/cred.h"
#include "common/process.h"

struct rig_home rig_home;

/* ---- the folder ----------------------------------------------------------------------------- */

static void write_key(const char *path, const uint8_t key[WIRE_KEY_LEN])
{
    char text[CRED_KEY_TEXT_LEN + 2];
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0400);

    cred_key_encode(key, text);
    text[CRED_KEY_TEXT_LEN] = '\n';
    if (fd < 0 || write(fd, text, CRED_KEY_TEXT_LEN + 1) != CRED_KEY_TEXT_LEN + 1)
        abort();
    close(fd);
}

/* Return: NULL, or why these tests cannot run on this machine. */
static const char *home_make(void)
{
    const char *bin = getenv("VPN_BIN");
    struct rig_home *h = &rig_home;

    if (geteuid() != 0)
        return "needs root";
    snprintf(h->enclave, sizeof(h->enclave), "%s/vpn-enclave", bin ? bin : "bin");
    if (access(h->enclave, X_OK) < 0)
        return "no vpn-enclave (make, or set VPN_BIN)";
    if (sodium_init() < 0)
        abort();
    snprintf(h->dir, sizeof(h->dir), "/tmp/vpn-enclave-test.XXXXXX");
    if (!mkdtemp(h->dir))
        return "no temporary folder";
    snprintf(h->identity, sizeof(h->identity), "%.31s/identity.key", h->dir);
    snprintf(h->key_file, sizeof(h->key_file), "%.31s/user.key", h->dir);
    cred_key_random(h->server_private);
    cred_public(h->server_private, h->server_public);
    cred_key_random(h->user_private);
    cred_public(h->user_private, h->user_public);
    write_key(h->identity, h->server_private);
    write_key(h->key_file, h->user_private);
    return NULL;
}

int rig_home_make(const char *unfit)
{
    const char *why = unfit ? unfit : home_make();

    if (!why)
        return 0;
    printf("1..0 # SKIP %s\n", why);
    return 77;
}

int rig_home_remove(void **state)
{
    (void)state;
    unlink(rig_home.identity);
    unlink(rig_home.key_file);
    rmdir(rig_home.dir);
    return 0;
}

/* ---- start and end -------------------------------------------------------------------------- */

static void __attribute__((noreturn))
child(enum rig_role role, uint32_t lanes, int control, int err_fd)
{
    char lanes_text[16], uid_text[16], server_key[CRED_KEY_TEXT_LEN + 1];
    char *responder[] = {"vpn-enclave", "--lanes",    lanes_text,        "--peers", "8",
                         "--users",     "64",         "--uid",           uid_text,  "--gid",
                         uid_text,      "--identity", rig_home.identity, NULL};
    char *initiator[] = {
        "vpn-enclave", "--lanes", lanes_text,        "--uid", uid_text,
        "--gid",       uid_text,  "--tunnel",        "alice", "test-0123456789abcdef",
        server_key,    "key",     rig_home.key_file, NULL};
    char *no_environment[] = {NULL};

    snprintf(lanes_text, sizeof(lanes_text), "%u", lanes);
    snprintf(uid_text, sizeof(uid_text), "%d", PROCESS_UID_ENCLAVE);
    cred_key_encode(rig_home.server_public, server_key);
    /* Both may stand where the other has to go. */
    control = fcntl(control, F_DUPFD, 10);
    err_fd = fcntl(err_fd, F_DUPFD, 10);
    dup2(err_fd, STDERR_FILENO);
    dup2(control, 3);
    syscall(SYS_close_range, 4, ~0U, 0);
    execve(rig_home.enclave, role == RIG_RESPONDER ? responder : initiator, no_environment);
    _exit(127);
}

void rig_exec(struct rig *r, enum rig_role role, uint32_t lanes)
{
    int pair[2], err_pipe[2];
    uint32_t i;

    memset(r, 0, sizeof(*r));
    r->lanes = lanes;
    for (i = 0; i < IPC_MAX_LANES; i++)
        memset(r->fds[i], -1, sizeof(r->fds[i]));
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
    assert_int_equal(pipe2(err_pipe, O_CLOEXEC), 0);
    r->pid = fork();
    assert_true(r->pid >= 0);
    if (r->pid == 0)
        child(role, lanes, pair[1], err_pipe[1]);
    close(pair[1]);
    close(err_pipe[1]);
    r->control = pair[0];
    r->err_fd = err_pipe[0];
}

void rig_rings(struct rig *r)
{
    union ipc_msg msg;
    uint32_t i;

    for (i = 0; i < r->lanes; i++) {
        int *fds = r->fds[i];

        fds[IPC_LANE_MEMORY] = ring_area_create();
        fds[IPC_LANE_WORKER_BELL] = bell_create();
        fds[IPC_LANE_BELL] = bell_create();
        assert_true(fds[0] >= 0 && fds[1] >= 0 && fds[2] >= 0);
        assert_int_equal(ring_area_map(fds[IPC_LANE_MEMORY], &r->area[i]), 0);
        ring_end_init(&r->submit[i], &r->area[i]->submit);
        ring_end_init(&r->complete[i], &r->area[i]->complete);
    }
    ipc_fill(&msg, IPC_SETUP);
    msg.setup.lanes = r->lanes;
    assert_int_equal(ipc_send(r->control, &msg, r->fds[0], (size_t)IPC_LANE_FDS * r->lanes), 0);
}

void rig_start(struct rig *r, enum rig_role role, uint32_t lanes)
{
    union ipc_msg msg;

    rig_exec(r, role, lanes);
    rig_rings(r);
    rig_recv(r, IPC_READY, &msg);
    r->ready = msg.ready;
}

pid_t rig_worker(const struct rig *r)
{
    char path[64];
    struct dirent *d;
    pid_t tid = 0;
    DIR *dir;

    snprintf(path, sizeof(path), "/proc/%d/task", (int)r->pid);
    dir = opendir(path);
    assert_non_null(dir);
    while ((d = readdir(dir)) != NULL) {
        long number = strtol(d->d_name, NULL, 10);

        if (number > 0 && number != r->pid)
            tid = (pid_t)number;
    }
    closedir(dir);
    assert_true(tid > 0);
    return tid;
}

void rig_stop(struct rig *r)
{
    uint32_t i, fd;

    if (r->pid > 0) {
        kill(r->pid, SIGKILL);
        waitpid(r->pid, NULL, __WALL);
        r->pid = 0;
    }
    close_fdp(&r->control);
    close_fdp(&r->err_fd);
    for (i = 0; i < r->lanes; i++) {
        ring_area_unmap(r->area[i]);
        r->area[i] = NULL;
        for (fd = 0; fd < IPC_LANE_FDS; fd++)
            close_fdp(&r->fds[i][fd]);
    }
}

int rig_wait(struct rig *r)
{
    uint64_t until = clock_mono_ms() + RIG_WAIT_MS;
    struct pollfd p = {.events = POLLIN};
    int status = 0;

    /* Its end closes its side of the control socket; the pidfd says when it can be waited for. */
    p.fd = (int)syscall(SYS_pidfd_open, r->pid, 0);
    assert_true(p.fd >= 0);
    while (clock_mono_ms() < until && poll(&p, 1, 1000) == 0)
        ;
    close(p.fd);
    if (waitpid(r->pid, &status, WNOHANG) != r->pid)
        fail_msg("the enclave did not end within %d s", RIG_WAIT_MS / 1000);
    r->pid = 0;
    return status;
}

void rig_assert_ended(struct rig *r, const char *why)
{
    char said[512] = "";
    int status = rig_wait(r);
    ssize_t n = read(r->err_fd, said, sizeof(said) - 1);

    said[n > 0 ? n : 0] = '\0';
    if (WIFSIGNALED(status))
        fail_msg("it died of signal %d (%s)", WTERMSIG(status), said);
    assert_int_equal(WEXITSTATUS(status), 1);
    if (!strstr(said, why))
        fail_msg("it said \"%s\", not \"%s\"", said, why);
}

/* ---- messages ------------------------------------------------------------------------------- */

void rig_send(struct rig *r, const void *bytes, size_t len)
{
    /* A process that has ended already is what some tests are about. */
    if (send(r->control, bytes, len, MSG_NOSIGNAL) < 0)
        assert_true(errno == EPIPE || errno == ECONNRESET);
}

void rig_recv(struct rig *r, enum ipc_type type, union ipc_msg *msg)
{
    struct pollfd p = {.fd = r->control, .events = POLLIN};
    int rc;

    assert_int_equal(poll(&p, 1, RIG_WAIT_MS), 1);
    rc = ipc_recv(r->control, msg, 0, NULL, 0);
    if (rc < 0)
        fail_msg("waiting for %s: %s", ipc_type_name(type), strerror(-rc));
    if (msg->hdr.type != type)
        fail_msg("waiting for %s, got %s: %.200s", ipc_type_name(type),
                 ipc_type_name(msg->hdr.type), msg->hdr.type == IPC_FAILED ? msg->failed.why : "");
}

void rig_assert_fatal(const union ipc_msg *msg, bool user_known)
{
    struct rig r;

    rig_start(&r, RIG_RESPONDER, 1);
    if (user_known)
        rig_user_add(&r, RIG_USER_ID);
    rig_send(&r, msg, msg->hdr.length);
    rig_assert_ended(&r, RIG_BROKE_CONTRACT);
    rig_stop(&r);
}

void rig_assert_alive(struct rig *r)
{
    union ipc_msg msg;

    ipc_fill(&msg, IPC_HS_REQUEST);
    msg.hs_request.ref = 4711;
    rig_send(r, &msg, msg.hdr.length);
    rig_recv(r, IPC_HS_DROPPED, &msg);
    assert_int_equal(msg.hs_dropped.ref, 4711);
    assert_int_equal(msg.hs_dropped.reason, HS_DROP_MALFORMED);
}

/* ---- logins --------------------------------------------------------------------------------- */

void rig_user_add(struct rig *r, uint32_t id)
{
    union ipc_msg msg;

    ipc_fill(&msg, IPC_USER_ADD);
    msg.user_add.user_id = id;
    memcpy(msg.user_add.user, "alice", 5);
    memcpy(msg.user_add.key, rig_home.user_public, WIRE_KEY_LEN);
    rig_send(r, &msg, msg.hdr.length);
}

static void send_request(struct rig *r, struct peer *p)
{
    union ipc_msg msg;

    ipc_fill(&msg, IPC_HS_REQUEST);
    msg.hs_request.ref = 1;
    /* Another source each time: the limits per source have their own tests. */
    randombytes_buf(msg.hs_request.source, sizeof(msg.hs_request.source));
    peer_request(p, msg.hs_request.msg);
    rig_send(r, &msg, msg.hdr.length);
}

uint32_t rig_hs_auth(struct rig *r, struct peer *p)
{
    static const uint8_t none[WIRE_CHALLENGE_LEN];
    union ipc_msg msg;

    send_request(r, p);
    if (memcmp(p->challenge, none, sizeof(none)) == 0) {
        /* A server that does not know this device asks it to prove that it is there now. */
        rig_recv(r, IPC_HS_RESPONSE, &msg);
        assert_int_equal(peer_answer(p, msg.hs_response.msg), WIRE_STATUS_CHALLENGE);
        send_request(r, p);
    }
    rig_recv(r, IPC_HS_AUTH, &msg);
    assert_memory_equal(msg.hs_auth.device_id, p->device_id, sizeof(p->device_id));
    return msg.hs_auth.handle;
}

void rig_grant(union ipc_msg *msg, uint32_t handle, uint32_t status)
{
    static const uint8_t ip4[4] = {10, 8, 0, 10}, gateway4[4] = {10, 8, 0, 1};

    ipc_fill(msg, IPC_HS_GRANT);
    msg->hs_grant.handle = handle;
    msg->hs_grant.status = status;
    memcpy(msg->hs_grant.lease.ip4, ip4, sizeof(ip4));
    memcpy(msg->hs_grant.lease.gateway4, gateway4, sizeof(gateway4));
    msg->hs_grant.lease.prefix4 = 24;
    msg->hs_grant.lease.mtu = 1400;
    msg->hs_grant.lease.keepalive_s = 25;
    msg->hs_grant.lease.lease_s = 3600;
}

uint32_t rig_login(struct rig *r, struct peer *p)
{
    static const uint8_t ping[16] = {1};
    uint8_t datagram[WIRE_DATAGRAM_MAX];
    struct ring_packet packet;
    union ipc_msg msg;
    uint32_t handle;
    size_t len;

    rig_grant(&msg, rig_hs_auth(r, p), WIRE_STATUS_OK);
    rig_send(r, &msg, msg.hdr.length);
    rig_recv(r, IPC_HS_RESPONSE, &msg);
    assert_int_equal(msg.hs_response.status, WIRE_STATUS_OK);
    assert_int_equal(peer_answer(p, msg.hs_response.msg), WIRE_STATUS_OK);
    handle = msg.hs_response.peer;
    len = peer_seal(p, WIRE_PING, ping, sizeof(ping), datagram);
    packet = rig_open(r, p->remote_index % r->lanes, datagram, len);
    assert_int_equal(packet.status, RING_STATUS_OK);
    assert_int_equal(packet.flags, RING_FLAG_NEWEST | RING_FLAG_PROMOTED);
    assert_int_equal(packet.peer, handle);
    return handle;
}

/* ---- batches -------------------------------------------------------------------------------- */

void rig_submit(struct rig *r, uint32_t lane, struct ring_entry entry)
{
    assert_int_equal(ring_push(&r->submit[lane], entry), 0);
    if (ring_wants_bell(&r->submit[lane]))
        bell_ring(r->fds[lane][IPC_LANE_WORKER_BELL]);
}

unsigned int rig_complete(struct rig *r, uint32_t lane)
{
    uint64_t until = clock_mono_ms() + RIG_WAIT_MS;
    struct pollfd p = {.fd = r->fds[lane][IPC_LANE_BELL], .events = POLLIN};
    struct ring_entry entry;
    int rc;

    while ((rc = ring_pop(&r->complete[lane], &entry)) == 0 && clock_mono_ms() < until) {
        if (ring_sleep(&r->complete[lane]) && poll(&p, 1, 1000) > 0)
            assert_int_equal(bell_wait(p.fd), 0);
        ring_awake(&r->complete[lane]);
    }
    assert_int_equal(rc, 1);
    return entry.slot;
}

uint8_t *rig_data(struct rig *r, uint32_t lane)
{
    return (uint8_t *)&r->area[lane]->slots[0] + RING_TABLE_SIZE;
}

static struct ring_packet one_packet(struct rig *r, uint32_t lane, enum ring_op op,
                                     struct ring_packet packet)
{
    struct ring_entry entry = {.slot = 0, .op = (uint8_t)op, .count = 1};

    r->area[lane]->slots[0].packets[0] = packet;
    rig_submit(r, lane, entry);
    assert_int_equal(rig_complete(r, lane), 0);
    return r->area[lane]->slots[0].packets[0];
}

struct ring_packet rig_open(struct rig *r, uint32_t lane, const uint8_t *datagram, size_t len)
{
    struct ring_packet packet = {.offset = RING_TABLE_SIZE, .length = (uint16_t)len};

    memcpy(rig_data(r, lane), datagram, len);
    return one_packet(r, lane, RING_OPEN, packet);
}

struct ring_packet rig_seal(struct rig *r, uint32_t lane, uint32_t peer, uint8_t type,
                            const void *plain, size_t len)
{
    struct ring_packet packet = {
        .offset = RING_TABLE_SIZE, .length = (uint16_t)len, .type = type, .peer = peer};

    memcpy(rig_data(r, lane) + WIRE_OVERHEAD, plain, len);
    return one_packet(r, lane, RING_SEAL, packet);
}

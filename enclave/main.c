/*
 * vpn-enclave: the sealed process.  Started by the spawner alone, with the control socket as
 * descriptor 3 and an empty environment.
 *
 * main() is the ladder of the protocol page: take what is needed, drop the rest by name, say
 * READY, loop.  Until READY everything may fail with one sentence (IPC_FAILED); after it the
 * process serves or wipes and exits.
 */
#include <errno.h>
#include <getopt.h>
#include <pthread.h>
#include <signal.h>
#include <sodium.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/cred.h"
#include "common/ipc.h"
#include "enclave/aead.h"
#include "enclave/credential.h"
#include "enclave/dispatch.h"
#include "enclave/end.h"
#include "enclave/seal.h"
#include "enclave/secret.h"
#include "enclave/selftest.h"
#include "enclave/worker.h"

#define CONTROL_FD  3
#define STACK_SIZE  ((size_t)256 * 1024)
#define MAX_TUNNELS 1024

struct tunnel_args {
    const char *user, *realm, *server_key, *kind, *path;
};

struct args {
    bool initiator;
    uint32_t lanes, peers, users;
    uid_t uid;
    gid_t gid;
    const char *identity, *engine;
    struct tunnel_args *tunnels;
    uint32_t n_tunnels;
};

/* Everything the process works on; the secret region holds all that must not be seen. */
struct enclave {
    struct args args;
    struct seal seal;
    struct secret secret;
    struct dispatch dispatch;
    struct worker *workers;
    struct ring_area *areas[IPC_MAX_LANES];
    int bells[IPC_MAX_LANES], lane_bells[IPC_MAX_LANES];
};

static struct enclave enclave = {.dispatch.control = CONTROL_FD};

/* Before READY: tell the caller which step failed and why, and leave. */
static void __attribute__((noreturn, format(printf, 4, 5)))
fail(enum ipc_step step, int rc, uint32_t index, const char *fmt, ...)
{
    union ipc_msg msg;
    va_list ap;

    ipc_fill(&msg, IPC_FAILED);
    msg.failed.step = step;
    msg.failed.error = -rc;
    msg.failed.index = index;
    va_start(ap, fmt);
    vsnprintf(msg.failed.why, sizeof(msg.failed.why), fmt, ap);
    va_end(ap);
    (void)ipc_send(CONTROL_FD, &msg, NULL, 0);
    enclave_end("could not start");
}

/* ---- arguments ------------------------------------------------------------------------------ */

static uint32_t number(const char *name, const char *text, uint32_t min, uint32_t max)
{
    char *end;
    unsigned long value;

    errno = 0;
    value = strtoul(text, &end, 10);
    if (errno || end == text || *end || value < min || value > max)
        fail(IPC_STEP_ARGUMENTS, -EINVAL, 0, "--%s takes a number from %u to %u", name, min, max);
    return (uint32_t)value;
}

static void tunnel_arg(struct args *a, int argc, char **argv)
{
    struct tunnel_args *t = &a->tunnels[a->n_tunnels];

    /* USER REALM SERVER-KEY token|key PATH: optarg is the first of the five. */
    if (a->n_tunnels == MAX_TUNNELS || optind + 4 > argc)
        fail(IPC_STEP_ARGUMENTS, -EINVAL, a->n_tunnels, "a tunnel takes five arguments");
    t->user = optarg;
    t->realm = argv[optind];
    t->server_key = argv[optind + 1];
    t->kind = argv[optind + 2];
    t->path = argv[optind + 3];
    optind += 4;
    a->n_tunnels++;
}

static void parse_args(struct args *a, int argc, char **argv)
{
    static const struct option options[] = {
        {"lanes", required_argument, NULL, 'l'},
        {"peers", required_argument, NULL, 'p'},
        {"users", required_argument, NULL, 'u'},
        {"uid", required_argument, NULL, 'U'},
        {"gid", required_argument, NULL, 'G'},
        {"identity", required_argument, NULL, 'i'},
        {"tunnel", required_argument, NULL, 't'},
        {"engine", required_argument, NULL, 'e'},
        {NULL, 0, NULL, 0},
    };
    int c;

    *a = (struct args){.lanes = 1, .peers = 1, .users = 1, .uid = getuid(), .gid = getgid()};
    a->tunnels = calloc(MAX_TUNNELS, sizeof(*a->tunnels));
    if (!a->tunnels)
        fail(IPC_STEP_ARGUMENTS, -ENOMEM, 0, "out of memory");
    while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
        switch (c) {
        case 'l':
            a->lanes = number("lanes", optarg, 1, IPC_MAX_LANES);
            break;
        case 'p':
            a->peers = number("peers", optarg, 1, IPC_MAX_PEERS);
            break;
        case 'u':
            a->users = number("users", optarg, 1, 1 << 20);
            break;
        case 'U':
            a->uid = number("uid", optarg, 0, UINT32_MAX - 1);
            break;
        case 'G':
            a->gid = number("gid", optarg, 0, UINT32_MAX - 1);
            break;
        case 'i':
            a->identity = optarg;
            break;
        case 'e':
            a->engine = optarg;
            break;
        case 't':
            tunnel_arg(a, argc, argv);
            break;
        default:
            fail(IPC_STEP_ARGUMENTS, -EINVAL, 0, "unknown argument");
        }
    }
    a->initiator = a->n_tunnels > 0;
    if (a->initiator == (a->identity != NULL) || optind != argc)
        fail(IPC_STEP_ARGUMENTS, -EINVAL, 0, "either --identity or --tunnel is needed");
    if (a->initiator)
        a->peers = a->users = a->n_tunnels;
}

/* ---- secrets -------------------------------------------------------------------------------- */

static size_t align64(size_t n)
{
    return (n + 63) & ~(size_t)63;
}

static void load_identity(struct enclave *e, void *mem)
{
    uint8_t key[WIRE_KEY_LEN];
    struct err err;
    int rc = credential_identity(e->args.identity, key, &err);

    if (rc == 0)
        e->dispatch.responder = hs_responder_new(mem, key, e->args.users);
    sodium_memzero(key, sizeof(key));
    if (rc < 0)
        fail(IPC_STEP_CREDENTIAL, rc, 0, "%.250s", err.msg);
    if (!e->dispatch.responder)
        fail(IPC_STEP_CREDENTIAL, -EINVAL, 0, "%.200s: not a usable key", e->args.identity);
}

static void load_tunnel(struct enclave *e, uint32_t i, void *mem)
{
    const struct tunnel_args *t = &e->args.tunnels[i];
    uint8_t key[WIRE_KEY_LEN], server[WIRE_KEY_LEN];
    struct err err;
    int rc;

    if (strcmp(t->kind, "token") == 0)
        rc = credential_token(t->path, t->realm, t->user, key, &err);
    else
        rc = credential_identity(t->path, key, &err);
    if (rc == 0 && cred_key_decode(t->server_key, server) == 0)
        e->dispatch.tunnels[i].initiator = hs_initiator_new(mem, key, t->user, server);
    sodium_memzero(key, sizeof(key));
    if (rc < 0)
        fail(IPC_STEP_CREDENTIAL, rc, i, "%.250s", err.msg);
    if (!e->dispatch.tunnels[i].initiator)
        fail(IPC_STEP_CREDENTIAL, -EINVAL, i, "server-key of user %.64s is not a usable key",
             t->user);
}

/* One block for all that is secret: keys, handshakes, and the workers' copies of packets. */
static void take_secrets(struct enclave *e)
{
    const struct args *a = &e->args;
    size_t keystore = align64(keystore_size(a->peers, a->users));
    size_t workers = align64(a->lanes * sizeof(struct worker));
    size_t handshake = a->initiator ? a->n_tunnels * align64(hs_initiator_size())
                                    : align64(hs_responder_size(a->users));
    uint8_t *at;
    uint32_t i;
    int rc = secret_alloc(&e->secret, keystore + workers + handshake);

    if (rc < 0)
        fail(IPC_STEP_SECRET_MEMORY, rc, 0, "no memory for keys: %s", strerror(-rc));
    seal_mark(&e->seal, IPC_STEP_SECRET_MEMORY, e->secret.sealed_off);
    enclave_end_wipes(&e->secret);
    at = e->secret.base;
    e->dispatch.ks = keystore_new(at, a->lanes, a->peers, a->users);
    at += keystore;
    e->workers = (struct worker *)at;
    at += workers;
    if (!a->initiator) {
        load_identity(e, at);
    } else {
        e->dispatch.n_tunnels = a->n_tunnels;
        e->dispatch.tunnels = calloc(a->n_tunnels, sizeof(*e->dispatch.tunnels));
        if (!e->dispatch.tunnels)
            fail(IPC_STEP_CREDENTIAL, -ENOMEM, 0, "out of memory");
        for (i = 0; i < a->n_tunnels; i++) {
            static const uint8_t device_id[WIRE_DEVICE_ID_LEN];

            /* All peers now, in order: slot, and so lane, follow from the tunnel's number alone. */
            if (keystore_peer_add(e->dispatch.ks, i, device_id) != i + 1)
                fail(IPC_STEP_CREDENTIAL, -EINVAL, i, "no room for tunnel %u", i);
            load_tunnel(e, i, at + i * align64(hs_initiator_size()));
        }
    }
    seal_mark(&e->seal, IPC_STEP_CREDENTIAL, true);
}

/* ---- rings and workers ----------------------------------------------------------------------- */

static void set_timeout(int option, time_t seconds)
{
    const struct timeval limit = {.tv_sec = seconds};

    if (setsockopt(CONTROL_FD, SOL_SOCKET, option, &limit, sizeof(limit)) < 0)
        fail(IPC_STEP_RINGS, -errno, 0, "socket time-outs: %s", strerror(errno));
}

static void take_rings(struct enclave *e)
{
    int fds[IPC_MAX_FDS];
    union ipc_msg msg;
    uint32_t i;
    int rc = ipc_recv(CONTROL_FD, &msg, 0, fds, (size_t)IPC_LANE_FDS * e->args.lanes);

    if (rc == -EPIPE)
        enclave_end(NULL);
    if (rc < 0 || msg.hdr.type != IPC_SETUP || msg.setup.lanes != e->args.lanes)
        fail(IPC_STEP_RINGS, rc < 0 ? rc : -EPROTO, 0, "the first message is not the rings");
    for (i = 0; i < e->args.lanes; i++) {
        const int *lane = &fds[(size_t)IPC_LANE_FDS * i];

        rc = ring_area_map(lane[IPC_LANE_MEMORY], &e->areas[i]);
        if (rc < 0)
            fail(IPC_STEP_RINGS, rc, i, "ring %u is not what was agreed: %s", i, strerror(-rc));
        e->bells[i] = lane[IPC_LANE_WORKER_BELL];
        e->lane_bells[i] = lane[IPC_LANE_BELL];
    }
    /*
     * Wipes and epochs happen under a silent caller as well, and under one that does not listen:
     * whoever leaves its answers unread for this long loses its enclave.
     */
    set_timeout(SO_RCVTIMEO, 1);
    set_timeout(SO_SNDTIMEO, 5);
    seal_mark(&e->seal, IPC_STEP_RINGS, true);
}

static int cmp_int(const void *a, const void *b)
{
    return *(const int *)a - *(const int *)b;
}

static void drop_descriptors(struct enclave *e)
{
    int keep[2 * IPC_MAX_LANES + 2];
    size_t n = 0;
    uint32_t i;

    keep[n++] = STDERR_FILENO;
    keep[n++] = CONTROL_FD;
    for (i = 0; i < e->args.lanes; i++) {
        keep[n++] = e->bells[i];
        keep[n++] = e->lane_bells[i];
    }
    qsort(keep, n, sizeof(keep[0]), cmp_int);
    if (seal_descriptors(&e->seal, keep, n) < 0)
        fail(IPC_STEP_DESCRIPTORS, -errno, 0, "close_range: %s", strerror(errno));
}

/*
 * The workers first: two threads at one cipher are undefined, and what is sealed with half a key
 * must not be handed out.  Then the expanded keys, which the cipher library keeps outside our
 * region.
 */
static void forget_workers(void)
{
    struct aead *contexts[IPC_MAX_LANES] = {NULL};
    uint32_t i;

    workers_halt(enclave.workers, enclave.args.lanes);
    for (i = 0; i < enclave.args.lanes; i++)
        contexts[i] = enclave.workers[i].transport.aead;
    sodium_memzero(enclave.workers, enclave.args.lanes * sizeof(*enclave.workers));
    for (i = 0; i < enclave.args.lanes; i++)
        if (contexts[i])
            aead_forget(contexts[i]);
}

/* Stacks are mapped before mlockall(), with a guard page below. */
static void *stack_alloc(void)
{
    uint8_t *mem = mmap(NULL, STACK_SIZE + 4096, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK | MAP_NORESERVE, -1, 0);

    if (mem == MAP_FAILED || mprotect(mem, 4096, PROT_NONE) < 0)
        fail(IPC_STEP_WORKERS, -errno, 0, "no memory for a worker's stack");
    return mem + 4096;
}

static void start_workers(struct enclave *e, void **stacks)
{
    enum transport_role role = e->args.initiator ? TRANSPORT_INITIATOR : TRANSPORT_RESPONDER;
    static pthread_barrier_t started;
    pthread_attr_t attr;
    pthread_t thread;
    uint32_t i;

    pthread_barrier_init(&started, NULL, e->args.lanes + 1);
    pthread_attr_init(&attr);
    pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
    for (i = 0; i < e->args.lanes; i++) {
        struct worker *w = &e->workers[i];
        int rc =
            worker_init(w, e->dispatch.ks, role, i, e->areas[i], e->bells[i], e->lane_bells[i]);

        w->started = &started;
        if (rc == 0)
            rc = -pthread_attr_setstack(&attr, stacks[i], STACK_SIZE);
        if (rc == 0)
            rc = -pthread_create(&thread, &attr, worker_main, w);
        if (rc < 0)
            fail(IPC_STEP_WORKERS, rc, i, "worker %u: %s", i, strerror(-rc));
    }
    pthread_attr_destroy(&attr);
    pthread_barrier_wait(&started);
    enclave_end_first(forget_workers);
    seal_mark(&e->seal, IPC_STEP_WORKERS, true);
}

static void check_primitives(struct enclave *e)
{
    const char *which = "ChaCha20-Poly1305";
    int rc = selftest_primitives(&which);

    if (rc == 0)
        rc = aead_choose(e->args.engine);
    if (rc < 0)
        fail(IPC_STEP_KNOWN_ANSWERS, rc, 0, "%s computes wrong results on this machine", which);
    seal_mark(&e->seal, IPC_STEP_KNOWN_ANSWERS, true);
}

static void send_ready(struct enclave *e)
{
    union ipc_msg msg;

    ipc_fill(&msg, IPC_READY);
    memcpy(msg.ready.step, e->seal.step, sizeof(msg.ready.step));
    snprintf(msg.ready.engine, sizeof(msg.ready.engine), "%s", aead_name());
    if (e->dispatch.responder)
        memcpy(msg.ready.public_key, hs_responder_public(e->dispatch.responder), WIRE_KEY_LEN);
    if (ipc_send(CONTROL_FD, &msg, NULL, 0) < 0)
        enclave_end(NULL);
}

static void serve(struct enclave *e)
{
    uint64_t next_tick_ms = 0;
    union ipc_msg msg;

    for (;;) {
        ssize_t n = recv(CONTROL_FD, &msg, sizeof(msg), MSG_TRUNC);

        if (n == 0)
            enclave_end(NULL);
        if (n < 0 && errno != EAGAIN && errno != EINTR)
            enclave_end("the control socket failed");
        if (n > 0 &&
            ((size_t)n > sizeof(msg) || dispatch_message(&e->dispatch, &msg, (size_t)n) < 0))
            enclave_end("a request broke the contract");
        /* A busy caller must not put off the wipes that an idle one gets by time-out. */
        if (clock_mono_ms() >= next_tick_ms) {
            dispatch_tick(&e->dispatch);
            next_tick_ms = clock_mono_ms() + 500;
        }
    }
}

int main(int argc, char **argv)
{
    struct enclave *e = &enclave;
    pid_t parent = getppid();
    void *stacks[IPC_MAX_LANES] = {NULL};
    uint64_t random_bits;
    uint32_t i;
    int rc;

    /* The terminal's Ctrl-C is for the caller; our end is the end of the control socket. */
    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN); /* a bell that is a file */
    signal(SIGINT, SIG_IGN);
    signal(SIGHUP, SIG_IGN);
    signal(SIGTERM, SIG_IGN);
    enclave_end_on_faults();

    parse_args(&e->args, argc, argv);
    e->seal.root = geteuid() == 0;
    seal_mark(&e->seal, IPC_STEP_ARGUMENTS, true);
    seal_memlock(&e->seal);
    if (aead_init() < 0)
        fail(IPC_STEP_KNOWN_ANSWERS, -EIO, 0, "the cryptographic libraries do not initialise");
    randombytes_buf(&random_bits, sizeof(random_bits));
    clock_init(random_bits);
    check_primitives(e);
    take_secrets(e);
    for (i = 0; i < e->args.lanes; i++)
        stacks[i] = stack_alloc();
    seal_memory(&e->seal);
    rc = seal_isolate(&e->seal, e->args.uid, e->args.gid, parent);
    if (rc < 0)
        fail(IPC_STEP_UID, rc, 0, "privileges cannot be given up: %s", strerror(-rc));
    take_rings(e);
    drop_descriptors(e);
    start_workers(e, stacks);
    rc = seal_limits(&e->seal, (unsigned int)(CONTROL_FD + 1 + IPC_MAX_FDS));
    if (rc < 0)
        fail(IPC_STEP_LIMITS, rc, 0, "resource limits: %s", strerror(-rc));
    rc = seal_seccomp(&e->seal);
    if (rc < 0)
        fail(IPC_STEP_SECCOMP, rc, 0, "seccomp: %s (the kernel must have CONFIG_SECCOMP_FILTER)",
             strerror(-rc));
    send_ready(e);
    serve(e);
}

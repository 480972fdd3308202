/*
 * A hostile caller at the control socket: malformed messages, messages in the wrong state, grants
 * that were never asked for.  The enclave wipes and exits by itself; it never crashes and never
 * hangs.  Each case has a fresh enclave.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <cmocka.h>
#include <sodium.h>

#include "common/bell.h"
#include "common/cleanup.h"
#include "common/clock.h"
#include "tests/enclave/rig.h"

#define BROKE_CONTRACT "a request broke the contract"

/* ---- messages that are not well-formed ------------------------------------------------------ */

enum flaw { FLAW_SHORT, FLAW_LONG, FLAW_LENGTH, FLAW_ZERO, FLAW_HEADER_ONLY, FLAWS };

/* A request that would be taken, but for one flaw. */
static void send_flawed(struct rig *r, enum ipc_type type, enum flaw flaw)
{
    uint8_t bytes[sizeof(union ipc_msg) + 1] = {0};
    union ipc_msg msg;
    size_t len;

    ipc_fill(&msg, type);
    len = msg.hdr.length;
    switch (flaw) {
    case FLAW_SHORT:
        len--;
        break;
    case FLAW_LONG:
        len++;
        break;
    case FLAW_LENGTH:
        msg.hdr.length--;
        break;
    case FLAW_ZERO:
        msg.hdr.zero = 1;
        break;
    case FLAW_HEADER_ONLY:
        len = sizeof(msg.hdr);
        break;
    case FLAWS:
        break;
    }
    memcpy(bytes, &msg, sizeof(msg));
    rig_send(r, bytes, len);
}

static void test_malformed(void **state)
{
    static const enum ipc_type requests[] = {IPC_USER_ADD,    IPC_USER_DEL,   IPC_ALLOW,
                                             IPC_ALLOW_CLEAR, IPC_HS_REQUEST, IPC_HS_GRANT,
                                             IPC_PEER_DROP};
    size_t i;
    int flaw;

    (void)state;
    for (i = 0; i < ARRAY_SIZE(requests); i++) {
        for (flaw = 0; flaw < FLAWS; flaw++) {
            struct rig r;

            rig_start(&r, RIG_RESPONDER, 1);
            send_flawed(&r, requests[i], (enum flaw)flaw);
            rig_assert_ended(&r, BROKE_CONTRACT);
            rig_stop(&r);
        }
    }
}

static void test_fragments(void **state)
{
    static const uint8_t bytes[2 * sizeof(union ipc_msg)] = {IPC_USER_DEL};
    static const size_t lengths[] = {1, sizeof(struct ipc_hdr) - 1, sizeof(union ipc_msg) + 1,
                                     sizeof(bytes)};
    size_t i;

    (void)state;
    for (i = 0; i < ARRAY_SIZE(lengths); i++) {
        struct rig r;

        rig_start(&r, RIG_RESPONDER, 1);
        rig_send(&r, bytes, lengths[i]);
        rig_assert_ended(&r, BROKE_CONTRACT);
        rig_stop(&r);
    }
}

/* Each reserved field of a request, one at a time. */
static void test_reserved(void **state)
{
    union ipc_msg msg;
    int i;

    (void)state;
    for (i = 0; i < 3; i++) {
        struct rig r;

        rig_start(&r, i < 2 ? RIG_RESPONDER : RIG_INITIATOR, 1);
        ipc_fill(&msg, i == 0 ? IPC_ALLOW : i == 1 ? IPC_HS_GRANT : IPC_CONNECT);
        if (i == 0)
            msg.allow.zero = 1;
        else if (i == 1)
            msg.hs_grant.lease.zero = 1;
        else
            msg.connect.zero = 1;
        msg.allow.family = i == 0 ? 4 : msg.allow.family;
        rig_send(&r, &msg, msg.hdr.length);
        rig_assert_ended(&r, BROKE_CONTRACT);
        rig_stop(&r);
    }
}

/* Well-formed, but not for this role, not in this state, or not for this direction. */
static void test_wrong_state(void **state)
{
    unsigned int role, type;

    (void)state;
    for (role = 0; role < 2; role++) {
        enum ipc_state own = role == RIG_RESPONDER ? IPC_STATE_RESPONDER : IPC_STATE_INITIATOR;

        for (type = 0; type < IPC_NUM_TYPES + 2; type++) {
            union ipc_msg msg = {.hdr = {.type = (uint16_t)type, .length = sizeof(msg.hdr)}};
            struct rig r;

            if (ipc_type_state(type) == own || ipc_type_state(type) == IPC_STATE_SEALED)
                continue;
            if (type > IPC_NONE && type < IPC_NUM_TYPES)
                ipc_fill(&msg, (enum ipc_type)type);
            rig_start(&r, (enum rig_role)role, 1);
            rig_send(&r, &msg, msg.hdr.length);
            rig_assert_ended(&r, BROKE_CONTRACT);
            rig_stop(&r);
        }
    }
}

/* An empty datagram cannot be told from the end of the socket. */
static void test_empty_message(void **state)
{
    struct rig r;
    int status;

    (void)state;
    rig_start(&r, RIG_RESPONDER, 1);
    rig_send(&r, "", 0);
    status = rig_wait(&r);
    assert_true(WIFEXITED(status));
    rig_stop(&r);
}

/* Descriptors that nobody asked for do not stay. */
static void test_unasked_descriptors(void **state)
{
    union ipc_msg msg;
    int fds[2], watched[2];
    struct rig r;
    char byte;

    (void)state;
    rig_start(&r, RIG_RESPONDER, 1);
    assert_int_equal(pipe2(watched, O_CLOEXEC), 0);
    fds[0] = fds[1] = watched[1];
    ipc_fill(&msg, IPC_PEER_DROP);
    assert_int_equal(ipc_send(r.control, &msg, fds, 2), 0);
    close(watched[1]);
    rig_assert_alive(&r);
    /* Nobody holds the writing end any more: end of file. */
    assert_int_equal(read(watched[0], &byte, 1), 0);
    close(watched[0]);
    rig_stop(&r);
}

/* ---- what the requests say ------------------------------------------------------------------ */

static void expect_end(const union ipc_msg *msg, bool user_known)
{
    struct rig r;

    rig_start(&r, RIG_RESPONDER, 1);
    if (user_known)
        rig_user_add(&r, RIG_USER_ID);
    rig_send(&r, msg, msg->hdr.length);
    rig_assert_ended(&r, BROKE_CONTRACT);
    rig_stop(&r);
}

static void test_user_ids(void **state)
{
    static const uint32_t beyond[] = {RIG_USERS, RIG_USERS + 1, 1U << 20, UINT32_MAX};
    union ipc_msg msg;
    size_t i;

    (void)state;
    for (i = 0; i < ARRAY_SIZE(beyond); i++) {
        ipc_fill(&msg, IPC_USER_ADD);
        msg.user_add.user_id = beyond[i];
        memcpy(msg.user_add.user, "bob", 3);
        memcpy(msg.user_add.key, rig_home.server_public, WIRE_KEY_LEN);
        expect_end(&msg, false);
        ipc_fill(&msg, IPC_USER_DEL);
        msg.user_del.user_id = beyond[i];
        expect_end(&msg, true);
        ipc_fill(&msg, IPC_ALLOW);
        msg.allow.id = beyond[i];
        msg.allow.family = 4;
        expect_end(&msg, true);
        ipc_fill(&msg, IPC_ALLOW_CLEAR);
        msg.allow_clear.id = beyond[i];
        expect_end(&msg, true);
    }
    /* What lies behind a server is not the enclave's business. */
    ipc_fill(&msg, IPC_ALLOW);
    msg.allow.id = RIG_USER_ID;
    msg.allow.family = 4;
    msg.allow.end = IPC_ALLOW_DESTINATION;
    expect_end(&msg, true);
    /* Nobody by that number; the same number or key twice. */
    ipc_fill(&msg, IPC_USER_DEL);
    msg.user_del.user_id = RIG_USER_ID + 1;
    expect_end(&msg, true);
    ipc_fill(&msg, IPC_USER_ADD);
    msg.user_add.user_id = RIG_USER_ID;
    memcpy(msg.user_add.user, "bob", 3);
    memcpy(msg.user_add.key, rig_home.server_public, WIRE_KEY_LEN);
    expect_end(&msg, true);
    msg.user_add.user_id = RIG_USER_ID + 1;
    memcpy(msg.user_add.key, rig_home.user_public, WIRE_KEY_LEN);
    expect_end(&msg, true);
}

static void test_too_many_users(void **state)
{
    union ipc_msg msg;
    struct rig r;
    uint32_t i;

    (void)state;
    rig_start(&r, RIG_RESPONDER, 1);
    for (i = 0; i <= RIG_USERS; i++) {
        ipc_fill(&msg, IPC_USER_ADD);
        msg.user_add.user_id = i;
        memcpy(msg.user_add.user, "bob", 3);
        randombytes_buf(msg.user_add.key, WIRE_KEY_LEN);
        rig_send(&r, &msg, msg.hdr.length);
    }
    rig_assert_ended(&r, BROKE_CONTRACT);
    rig_stop(&r);
}

static void test_allow_values(void **state)
{
    static const struct {
        uint8_t family, len;
    } bad[] = {{0, 0}, {5, 8}, {255, 8}, {4, 33}, {4, 255}, {6, 129}};
    union ipc_msg msg;
    size_t i;

    (void)state;
    for (i = 0; i < ARRAY_SIZE(bad); i++) {
        ipc_fill(&msg, IPC_ALLOW);
        msg.allow.id = RIG_USER_ID;
        msg.allow.family = bad[i].family;
        msg.allow.prefix_len = bad[i].len;
        expect_end(&msg, true);
    }
}

static void test_allow_flood(void **state)
{
    union ipc_msg msg;
    struct rig r;
    int i;

    (void)state;
    rig_start(&r, RIG_RESPONDER, 1);
    ipc_fill(&msg, IPC_ALLOW);
    msg.allow.id = RIG_USER_ID;
    msg.allow.family = 4;
    msg.allow.prefix_len = 32;
    /* The table is bounded: at its end the caller has broken the contract. */
    for (i = 0; i < 40000; i++) {
        be32_put(msg.allow.addr, (uint32_t)i);
        rig_send(&r, &msg, msg.hdr.length);
    }
    rig_assert_ended(&r, BROKE_CONTRACT);
    rig_stop(&r);
}

/* Names and keys that no user can have are refused without harm to the others. */
static void test_unusable_users(void **state)
{
    static const char *const names[] = {"", "Bob", "bob smith", "\xc3\xb6"};
    struct peer p;
    union ipc_msg msg;
    struct rig r;
    size_t i;

    (void)state;
    rig_start(&r, RIG_RESPONDER, 1);
    for (i = 0; i <= ARRAY_SIZE(names); i++) {
        ipc_fill(&msg, IPC_USER_ADD);
        msg.user_add.user_id = (uint32_t)i;
        if (i < ARRAY_SIZE(names))
            memcpy(msg.user_add.user, names[i], strlen(names[i]));
        else
            memset(msg.user_add.user, '\xff', sizeof(msg.user_add.user));
        rig_send(&r, &msg, msg.hdr.length); /* the key is zeros: a low-order point */
        memcpy(msg.user_add.key, rig_home.server_public, WIRE_KEY_LEN);
        rig_send(&r, &msg, msg.hdr.length);
    }
    rig_user_add(&r, RIG_USER_ID);
    peer_init(&p, rig_home.user_private, "alice", rig_home.server_public);
    assert_int_not_equal(rig_login(&r, &p), 0);
    rig_stop(&r);
}

/* ---- grants --------------------------------------------------------------------------------- */

static void test_grant_unknown_handle(void **state)
{
    static const uint32_t handles[] = {0, 1, 63, 64, 65, 12345, UINT32_MAX};
    union ipc_msg msg;
    size_t i;

    (void)state;
    for (i = 0; i < ARRAY_SIZE(handles); i++) {
        rig_grant(&msg, handles[i], WIRE_STATUS_OK);
        expect_end(&msg, true);
    }
}

/* The first grant consumes the handle, whatever it says. */
static void test_two_grants(void **state)
{
    static const uint32_t firsts[] = {WIRE_STATUS_OK, WIRE_STATUS_POOL_FULL, WIRE_STATUS_DISABLED};
    size_t i;

    (void)state;
    for (i = 0; i < ARRAY_SIZE(firsts); i++) {
        union ipc_msg msg;
        uint32_t handle;
        struct peer p;
        struct rig r;

        rig_start(&r, RIG_RESPONDER, 1);
        rig_user_add(&r, RIG_USER_ID);
        peer_init(&p, rig_home.user_private, "alice", rig_home.server_public);
        handle = rig_hs_auth(&r, &p);
        rig_grant(&msg, handle, firsts[i]);
        rig_send(&r, &msg, msg.hdr.length);
        rig_recv(&r, IPC_HS_RESPONSE, &msg);
        assert_int_equal(peer_answer(&p, msg.hs_response.msg), firsts[i]);
        rig_grant(&msg, handle, WIRE_STATUS_OK);
        rig_send(&r, &msg, msg.hdr.length);
        rig_assert_ended(&r, BROKE_CONTRACT);
        rig_stop(&r);
    }
}

static void test_grant_status(void **state)
{
    static const uint32_t statuses[] = {WIRE_STATUS_CHALLENGE, WIRE_STATUS_BAD_REV, WIRE_STATUS_NUM,
                                        255, UINT32_MAX};
    size_t i;

    (void)state;
    for (i = 0; i < ARRAY_SIZE(statuses); i++) {
        union ipc_msg msg;
        struct peer p;
        struct rig r;

        rig_start(&r, RIG_RESPONDER, 1);
        rig_user_add(&r, RIG_USER_ID);
        peer_init(&p, rig_home.user_private, "alice", rig_home.server_public);
        rig_grant(&msg, rig_hs_auth(&r, &p), statuses[i]);
        rig_send(&r, &msg, msg.hdr.length);
        rig_assert_ended(&r, BROKE_CONTRACT);
        rig_stop(&r);
    }
}

static void sleep_ms(long ms)
{
    const struct timespec t = {ms / 1000, ms % 1000 * 1000000};

    nanosleep(&t, NULL);
}

/*
 * A caller that was slow is not hostile: a grant after the handle's second is dropped, also when
 * the handle's place has been given to another login meanwhile.
 */
static void test_late_grants(void **state)
{
    struct peer p[2 + 64];
    uint32_t handle[2];
    union ipc_msg msg;
    struct rig r;
    size_t i;

    (void)state;
    rig_start(&r, RIG_RESPONDER, 1);
    for (i = 0; i < 3; i++) {
        uint8_t key[WIRE_KEY_LEN] = {0};

        key[1] = (uint8_t)(i + 1);
        ipc_fill(&msg, IPC_USER_ADD);
        msg.user_add.user_id = (uint32_t)i;
        memcpy(msg.user_add.user, "bob", 3);
        crypto_scalarmult_base(msg.user_add.key, key);
        rig_send(&r, &msg, msg.hdr.length);
    }
    for (i = 0; i < 2; i++) {
        uint8_t key[WIRE_KEY_LEN] = {0, 1};

        peer_init(&p[i], key, "bob", rig_home.server_public);
        handle[i] = rig_hs_auth(&r, &p[i]);
    }
    sleep_ms(1100); /* the handles' life */
    rig_grant(&msg, handle[0], WIRE_STATUS_OK);
    rig_send(&r, &msg, msg.hdr.length);
    rig_recv(&r, IPC_HS_DROPPED, &msg);
    assert_int_equal(msg.hs_dropped.reason, HS_DROP_EXPIRED);
    /* All 64 places are given anew. */
    for (i = 2; i < ARRAY_SIZE(p); i++) {
        uint8_t key[WIRE_KEY_LEN] = {0};

        key[1] = (uint8_t)(1 + i % 3);
        peer_init(&p[i], key, "bob", rig_home.server_public);
        (void)rig_hs_auth(&r, &p[i]);
    }
    rig_grant(&msg, handle[1], WIRE_STATUS_OK);
    rig_send(&r, &msg, msg.hdr.length);
    rig_assert_alive(&r);
    rig_stop(&r);
}

/* ---- initiator ------------------------------------------------------------------------------ */

static void test_initiator_values(void **state)
{
    static const uint32_t tunnels[] = {1, 1024, UINT32_MAX};
    static const uint16_t mtus[] = {0, WIRE_MTU_MIN - 1, WIRE_MTU_MAX + 1, UINT16_MAX};
    union ipc_msg msg;
    size_t i;

    (void)state;
    for (i = 0; i < ARRAY_SIZE(tunnels) + ARRAY_SIZE(mtus); i++) {
        struct rig r;

        rig_start(&r, RIG_INITIATOR, 1);
        ipc_fill(&msg, IPC_CONNECT);
        msg.connect.mtu = 1400;
        if (i < ARRAY_SIZE(tunnels))
            msg.connect.tunnel = tunnels[i];
        else
            msg.connect.mtu = mtus[i - ARRAY_SIZE(tunnels)];
        rig_send(&r, &msg, msg.hdr.length);
        rig_assert_ended(&r, BROKE_CONTRACT);
        rig_stop(&r);
    }
    for (i = 0; i < ARRAY_SIZE(tunnels); i++) {
        struct rig r;

        rig_start(&r, RIG_INITIATOR, 1);
        ipc_fill(&msg, IPC_HS_ANSWER);
        msg.hs_answer.tunnel = tunnels[i];
        rig_send(&r, &msg, msg.hdr.length);
        rig_assert_ended(&r, BROKE_CONTRACT);
        rig_stop(&r);
    }
}

/* Answers to nothing, forged ones and repeated ones are dropped; the login they aim at succeeds. */
static void test_initiator_answers(void **state)
{
    static const struct hs_grant grant = {.ip4 = {10, 8, 0, 10}, .prefix4 = 24, .mtu = 1400};
    uint8_t resp[WIRE_CONNECT_RESP_LEN];
    union ipc_msg msg;
    struct peer p;
    struct rig r;
    size_t i;

    (void)state;
    rig_start(&r, RIG_INITIATOR, 1);
    ipc_fill(&msg, IPC_HS_ANSWER);
    rig_send(&r, &msg, msg.hdr.length);
    rig_recv(&r, IPC_HS_DROPPED, &msg);

    ipc_fill(&msg, IPC_CONNECT);
    msg.connect.sequence = 1;
    msg.connect.mtu = 1400;
    rig_send(&r, &msg, msg.hdr.length);
    rig_recv(&r, IPC_HS_CONNECT, &msg);
    peer_init(&p, rig_home.server_private, "alice", NULL);
    peer_respond(&p, msg.hs_connect.msg, &grant, resp);
    for (i = 0; i < sizeof(resp); i += 7) {
        ipc_fill(&msg, IPC_HS_ANSWER);
        memcpy(msg.hs_answer.msg, resp, sizeof(resp));
        msg.hs_answer.msg[i] ^= 0x10;
        rig_send(&r, &msg, msg.hdr.length);
        rig_recv(&r, IPC_HS_DROPPED, &msg);
    }
    for (i = 0; i < 2; i++) {
        ipc_fill(&msg, IPC_HS_ANSWER);
        memcpy(msg.hs_answer.msg, resp, sizeof(resp));
        rig_send(&r, &msg, msg.hdr.length);
        rig_recv(&r, i == 0 ? IPC_HS_DONE : IPC_HS_DROPPED, &msg);
        if (i == 0)
            assert_int_equal(msg.hs_done.index, p.index);
    }
    rig_stop(&r);
}

/* ---- start ---------------------------------------------------------------------------------- */

static void expect_failed(struct rig *r, enum ipc_step step)
{
    union ipc_msg msg;

    rig_recv(r, IPC_FAILED, &msg);
    assert_int_equal(msg.failed.step, step);
    assert_int_equal(msg.failed.why[sizeof(msg.failed.why) - 1], 0);
    rig_assert_ended(r, "could not start");
    rig_stop(r);
}

static int bad_ring(int kind)
{
    const off_t size = (off_t)sizeof(struct ring_area);
    int fd = memfd_create("ring", MFD_CLOEXEC | MFD_ALLOW_SEALING);

    assert_true(fd >= 0);
    switch (kind) {
    case 0: /* no seals: the caller could shrink it under the enclave */
        assert_int_equal(ftruncate(fd, size), 0);
        return fd;
    case 1: /* one seal of the three */
        assert_int_equal(ftruncate(fd, size), 0);
        assert_int_equal(fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK), 0);
        return fd;
    case 2: /* too small */
        assert_int_equal(ftruncate(fd, size - 4096), 0);
        break;
    case 3: /* too large */
        assert_int_equal(ftruncate(fd, size + 4096), 0);
        break;
    default: /* not a memfd */
        close(fd);
        return open("/dev/zero", O_RDWR | O_CLOEXEC);
    }
    assert_int_equal(fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL), 0);
    return fd;
}

static void test_bad_rings(void **state)
{
    int kind;

    (void)state;
    for (kind = 0; kind < 5; kind++) {
        union ipc_msg msg;
        int fds[IPC_LANE_FDS] = {bad_ring(kind), bell_create(), bell_create()};
        struct rig r;

        rig_exec(&r, RIG_RESPONDER, 1);
        ipc_fill(&msg, IPC_SETUP);
        msg.setup.lanes = 1;
        assert_int_equal(ipc_send(r.control, &msg, fds, IPC_LANE_FDS), 0);
        close(fds[0]);
        close(fds[1]);
        close(fds[2]);
        expect_failed(&r, IPC_STEP_RINGS);
    }
}

/* Whatever comes in a bell's place, the worker does not go on without one. */
static void test_bad_bell(void **state)
{
    static const char *const paths[] = {"/dev/null", "/"};
    size_t i;

    (void)state;
    for (i = 0; i < ARRAY_SIZE(paths); i++) {
        int memory = ring_area_create(), none = open(paths[i], O_RDONLY | O_CLOEXEC);
        int fds[IPC_LANE_FDS] = {memory, none, none};
        union ipc_msg msg;
        struct rig r;

        rig_exec(&r, RIG_RESPONDER, 1);
        ipc_fill(&msg, IPC_SETUP);
        msg.setup.lanes = 1;
        assert_int_equal(ipc_send(r.control, &msg, fds, IPC_LANE_FDS), 0);
        rig_assert_ended(&r, "the caller's bell is none");
        close(memory);
        close(none);
        rig_stop(&r);
    }
}

/* The first message: another type, another number of lanes or descriptors, rubbish. */
static void test_bad_setup(void **state)
{
    static const size_t counts[] = {0, 1, 2, 5, 7, IPC_MAX_FDS};
    size_t i;

    (void)state;
    for (i = 0; i < ARRAY_SIZE(counts) + 3; i++) {
        int fds[IPC_MAX_FDS], null = open("/dev/null", O_RDWR | O_CLOEXEC);
        union ipc_msg msg;
        struct rig r;
        size_t j, n = i < ARRAY_SIZE(counts) ? counts[i] : (size_t)2 * IPC_LANE_FDS;

        for (j = 0; j < ARRAY_SIZE(fds); j++)
            fds[j] = null;
        rig_exec(&r, RIG_RESPONDER, 2);
        ipc_fill(&msg, IPC_SETUP);
        msg.setup.lanes = 2;
        if (i == ARRAY_SIZE(counts))
            msg.setup.lanes = 3;
        if (i == ARRAY_SIZE(counts) + 1)
            msg.setup.zero = 1;
        if (i == ARRAY_SIZE(counts) + 2)
            ipc_fill(&msg, IPC_USER_DEL);
        assert_int_equal(ipc_send(r.control, &msg, fds, n), 0);
        close(null);
        expect_failed(&r, IPC_STEP_RINGS);
    }
}

/* ---- the caller goes, or stops to listen ---------------------------------------------------- */

static void test_caller_gone(void **state)
{
    struct rig r;
    int status;

    (void)state;
    rig_start(&r, RIG_RESPONDER, 2);
    close_fdp(&r.control);
    status = rig_wait(&r);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
    rig_stop(&r);

    rig_exec(&r, RIG_RESPONDER, 1);
    close_fdp(&r.control);
    status = rig_wait(&r);
    assert_true(WIFEXITED(status));
    rig_stop(&r);
}

/*
 * A caller that asks and never reads the answers must not hold up the main thread for ever: it is
 * the one that wipes keys in time.
 */
static void test_caller_does_not_listen(void **state)
{
    struct pollfd p = {.events = POLLOUT};
    union ipc_msg msg;
    struct rig r;
    int i;

    (void)state;
    rig_start(&r, RIG_RESPONDER, 1);
    p.fd = r.control;
    ipc_fill(&msg, IPC_HS_REQUEST);
    /* Until it has stopped to take requests, because nobody takes its answers. */
    for (i = 0; i < 100000 && poll(&p, 1, 500) == 1; i++)
        if (send(r.control, &msg, msg.hdr.length, MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
            assert_int_equal(errno, EAGAIN);
    assert_true(i < 100000);
    rig_assert_ended(&r, BROKE_CONTRACT);
    rig_stop(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_malformed),         cmocka_unit_test(test_fragments),
        cmocka_unit_test(test_reserved),          cmocka_unit_test(test_wrong_state),
        cmocka_unit_test(test_empty_message),     cmocka_unit_test(test_unasked_descriptors),
        cmocka_unit_test(test_user_ids),          cmocka_unit_test(test_too_many_users),
        cmocka_unit_test(test_allow_values),      cmocka_unit_test(test_allow_flood),
        cmocka_unit_test(test_unusable_users),    cmocka_unit_test(test_grant_unknown_handle),
        cmocka_unit_test(test_two_grants),        cmocka_unit_test(test_grant_status),
        cmocka_unit_test(test_late_grants),       cmocka_unit_test(test_initiator_values),
        cmocka_unit_test(test_initiator_answers), cmocka_unit_test(test_bad_rings),
        cmocka_unit_test(test_bad_bell),          cmocka_unit_test(test_bad_setup),
        cmocka_unit_test(test_caller_gone),       cmocka_unit_test(test_caller_does_not_listen),
    };
    const char *why = rig_home_make();
    int failed;

    if (why) {
        printf("1..0 # SKIP %s\n", why);
        return 77;
    }
    cmocka_set_message_output(CM_OUTPUT_TAP);
    failed = cmocka_run_group_tests(tests, NULL, NULL);
    rig_home_remove();
    return failed ? 1 : 0;
}

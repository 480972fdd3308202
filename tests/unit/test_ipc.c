/* Messages between caller and enclave: exact lengths, reserved fields, descriptors. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <cmocka.h>

#include "common/cleanup.h"
#include "common/ipc.h"

static int pair[2];

static int open_pair(void **state)
{
    (void)state;
    return socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair);
}

static int close_pair(void **state)
{
    (void)state;
    close_fdp(&pair[0]);
    close_fdp(&pair[1]);
    return 0;
}

static void test_exact_lengths(void **state)
{
    union ipc_msg msg;
    unsigned int type;

    (void)state;
    for (type = IPC_NONE + 1; type < IPC_NUM_TYPES; type++) {
        size_t exact, len;

        ipc_fill(&msg, (enum ipc_type)type);
        exact = msg.hdr.length;
        assert_in_range(exact, sizeof(struct ipc_hdr) + 1, sizeof(msg));
        for (len = 0; len <= sizeof(msg) + 8; len++)
            assert_int_equal(ipc_check(&msg, len), len == exact ? 0 : -EMSGSIZE);
        /* The length in the header must be the same. */
        msg.hdr.length++;
        assert_int_equal(ipc_check(&msg, exact), -EPROTO);
        msg.hdr.length = 0;
        assert_int_equal(ipc_check(&msg, exact), -EPROTO);
    }
}

static void test_unknown_types(void **state)
{
    union ipc_msg msg;
    unsigned int type;
    size_t len;

    (void)state;
    memset(&msg, 0, sizeof(msg));
    for (type = IPC_NUM_TYPES; type <= UINT16_MAX; type++) {
        msg.hdr.type = (uint16_t)type;
        msg.hdr.length = sizeof(msg.hdr);
        assert_int_equal(ipc_check(&msg, sizeof(msg.hdr)), -EPROTO);
    }
    msg.hdr.type = IPC_NONE;
    for (len = sizeof(msg.hdr); len <= sizeof(msg); len++) {
        msg.hdr.length = (uint32_t)len;
        assert_int_equal(ipc_check(&msg, len), -EPROTO);
    }
}

static void test_reserved(void **state)
{
    union ipc_msg msg;
    unsigned int type;

    (void)state;
    for (type = IPC_NONE + 1; type < IPC_NUM_TYPES; type++) {
        ipc_fill(&msg, (enum ipc_type)type);
        msg.hdr.zero = 1;
        assert_int_equal(ipc_check(&msg, msg.hdr.length), -EPROTO);
    }
#define RESERVED(kind, field)                                                                      \
    do {                                                                                           \
        ipc_fill(&msg, kind);                                                                      \
        msg.field = 1;                                                                             \
        assert_int_equal(ipc_check(&msg, msg.hdr.length), -EPROTO);                                \
    } while (0)
    RESERVED(IPC_SETUP, setup.zero);
    RESERVED(IPC_ALLOW, allow.zero);
    RESERVED(IPC_ALLOW_CLEAR, allow_clear.zero[0]);
    RESERVED(IPC_ALLOW_CLEAR, allow_clear.zero[2]);
    RESERVED(IPC_HS_GRANT, hs_grant.lease.zero);
    RESERVED(IPC_CONNECT, connect.zero);
    RESERVED(IPC_HS_AUTH, hs_auth.zero);
    RESERVED(IPC_HS_DONE, hs_done.lease.zero);
#undef RESERVED
}

/* Which side sends what, and when the enclave takes it. */
static void test_states(void **state)
{
    static const enum ipc_state want[IPC_NUM_TYPES + 1] = {
        [IPC_SETUP] = IPC_STATE_SETUP,          [IPC_USER_ADD] = IPC_STATE_RESPONDER,
        [IPC_USER_DEL] = IPC_STATE_RESPONDER,   [IPC_ALLOW] = IPC_STATE_SEALED,
        [IPC_HS_REQUEST] = IPC_STATE_RESPONDER, [IPC_HS_GRANT] = IPC_STATE_RESPONDER,
        [IPC_CONNECT] = IPC_STATE_INITIATOR,    [IPC_HS_ANSWER] = IPC_STATE_INITIATOR,
        [IPC_PEER_DROP] = IPC_STATE_SEALED,     [IPC_ALLOW_CLEAR] = IPC_STATE_SEALED,
    };
    unsigned int type;

    (void)state;
    for (type = 0; type <= IPC_NUM_TYPES; type++)
        assert_int_equal(ipc_type_state(type), want[type]);
    assert_int_equal(ipc_type_state(UINT32_MAX), IPC_STATE_NEVER);
}

static void test_names(void **state)
{
    unsigned int i;

    (void)state;
    for (i = 0; i < IPC_NUM_TYPES; i++)
        assert_string_not_equal(ipc_type_name(i), "unknown");
    for (i = 0; i < IPC_NUM_STEPS; i++)
        assert_string_not_equal(ipc_step_name(i), "unknown");
    assert_string_equal(ipc_type_name(IPC_NUM_TYPES), "unknown");
    assert_string_equal(ipc_step_name(IPC_NUM_STEPS), "unknown");
}

/* No byte of an earlier message, or of the stack, leaves with a new one. */
static void test_fill_clears(void **state)
{
    uint8_t zero[sizeof(union ipc_msg)] = {0};
    union ipc_msg msg;

    (void)state;
    memset(&msg, 0xa5, sizeof(msg));
    ipc_fill(&msg, IPC_READY);
    assert_memory_equal((uint8_t *)&msg + sizeof(msg.hdr), zero, sizeof(msg) - sizeof(msg.hdr));
}

/* ---- over a socket -------------------------------------------------------------------------- */

static void test_round_trip(void **state)
{
    union ipc_msg out, in;
    unsigned int type;

    (void)state;
    for (type = IPC_NONE + 1; type < IPC_NUM_TYPES; type++) {
        ipc_fill(&out, (enum ipc_type)type);
        assert_int_equal(ipc_send(pair[0], &out, NULL, 0), 0);
        memset(&in, 0xff, sizeof(in));
        assert_int_equal(ipc_recv(pair[1], &in, 0, NULL, 0), 0);
        assert_memory_equal(&in, &out, out.hdr.length);
    }
    assert_int_equal(ipc_recv(pair[1], &in, MSG_DONTWAIT, NULL, 0), -EAGAIN);
    close_fdp(&pair[0]);
    assert_int_equal(ipc_recv(pair[1], &in, 0, NULL, 0), -EPIPE);
    assert_int_equal(ipc_send(pair[1], &out, NULL, 0), -EPIPE);
}

/* A longer datagram is noticed although the buffer cuts it. */
static void test_trailing_bytes(void **state)
{
    uint8_t bytes[sizeof(union ipc_msg) + 100] = {0};
    union ipc_msg msg;

    (void)state;
    ipc_fill(&msg, IPC_PEER_DROP);
    memcpy(bytes, &msg, msg.hdr.length);
    assert_int_equal(send(pair[0], bytes, msg.hdr.length + 1, 0), msg.hdr.length + 1);
    assert_int_equal(ipc_recv(pair[1], &msg, 0, NULL, 0), -EMSGSIZE);
    assert_int_equal(send(pair[0], bytes, sizeof(bytes), 0), sizeof(bytes));
    assert_int_equal(ipc_recv(pair[1], &msg, 0, NULL, 0), -EMSGSIZE);
    assert_int_equal(send(pair[0], bytes, 3, 0), 3);
    assert_int_equal(ipc_recv(pair[1], &msg, 0, NULL, 0), -EMSGSIZE);
}

static int open_descriptors(void)
{
    int fd, n = 0;

    for (fd = 0; fd < 256; fd++)
        n += fcntl(fd, F_GETFD) >= 0;
    return n;
}

static void test_descriptors(void **state)
{
    int fds[4], got[4], before, i;
    union ipc_msg msg, in;

    (void)state;
    for (i = 0; i < 4; i++)
        fds[i] = open("/dev/null", O_RDONLY | O_CLOEXEC);
    before = open_descriptors();
    ipc_fill(&msg, IPC_SETUP);
    assert_int_equal(ipc_send(pair[0], &msg, fds, 4), 0);
    assert_int_equal(ipc_recv(pair[1], &in, 0, got, 4), 0);
    assert_int_equal(open_descriptors(), before + 4);
    for (i = 0; i < 4; i++) {
        assert_int_equal(fcntl(got[i], F_GETFD), FD_CLOEXEC);
        close(got[i]);
    }
    /* Any other number than asked for is refused, and none stays open. */
    for (i = 0; i <= 4; i++) {
        if (i == 3)
            continue;
        assert_int_equal(ipc_send(pair[0], &msg, fds, (size_t)i), 0);
        assert_int_equal(ipc_recv(pair[1], &in, 0, got, 3), -EPROTO);
        assert_int_equal(open_descriptors(), before);
    }
    /* Nobody asked: they are dropped. */
    assert_int_equal(ipc_send(pair[0], &msg, fds, 4), 0);
    assert_int_equal(ipc_recv(pair[1], &in, 0, NULL, 0), 0);
    assert_int_equal(open_descriptors(), before);
    /* The right number, but with a message that is none. */
    msg.setup.zero = 1;
    assert_int_equal(ipc_send(pair[0], &msg, fds, 2), 0);
    assert_int_equal(ipc_recv(pair[1], &in, 0, got, 2), -EPROTO);
    assert_int_equal(open_descriptors(), before);
    assert_int_equal(ipc_send(pair[0], &msg, fds, IPC_MAX_FDS + 1), -EINVAL);
    assert_int_equal(ipc_recv(pair[1], &in, MSG_DONTWAIT, got, IPC_MAX_FDS + 1), -EINVAL);
    for (i = 0; i < 4; i++)
        close(fds[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_exact_lengths),
        cmocka_unit_test(test_unknown_types),
        cmocka_unit_test(test_reserved),
        cmocka_unit_test(test_states),
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_fill_clears),
        cmocka_unit_test_setup_teardown(test_round_trip, open_pair, close_pair),
        cmocka_unit_test_setup_teardown(test_trailing_bytes, open_pair, close_pair),
        cmocka_unit_test_setup_teardown(test_descriptors, open_pair, close_pair),
    };

    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}

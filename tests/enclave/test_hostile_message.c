/*
 * A hostile caller at the control socket: messages that are malformed, in the wrong state, missing
 * or never read.  The enclave wipes and exits by itself; it never crashes and never hangs.  Each
 * case has a fresh enclave.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "common/cleanup.h"
#include "tests/enclave/rig.h"

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
            rig_assert_ended(&r, RIG_BROKE_CONTRACT);
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
        rig_assert_ended(&r, RIG_BROKE_CONTRACT);
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
        rig_assert_ended(&r, RIG_BROKE_CONTRACT);
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
            rig_assert_ended(&r, RIG_BROKE_CONTRACT);
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
    rig_assert_ended(&r, RIG_BROKE_CONTRACT);
    rig_stop(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_malformed),     cmocka_unit_test(test_fragments),
        cmocka_unit_test(test_reserved),      cmocka_unit_test(test_wrong_state),
        cmocka_unit_test(test_empty_message), cmocka_unit_test(test_unasked_descriptors),
        cmocka_unit_test(test_caller_gone),   cmocka_unit_test(test_caller_does_not_listen),
    };
    const int rc = rig_home_make(NULL);

    if (rc)
        return rc;
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("hostile messages", tests, NULL, rig_home_remove) ? 1 : 0;
}

/*
 * A hostile caller at the start: rings that could be pulled away, bells that are none, and a first
 * message that is another one.
 */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/mman.h>
#include <unistd.h>
#include <cmocka.h>

#include "common/bell.h"
#include "common/cleanup.h"
#include "tests/enclave/rig.h"

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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bad_rings),
        cmocka_unit_test(test_bad_bell),
        cmocka_unit_test(test_bad_setup),
    };
    const int rc = rig_home_make(NULL);

    if (rc)
        return rc;
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("hostile set-up", tests, NULL, rig_home_remove) ? 1 : 0;
}

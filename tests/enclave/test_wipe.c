/*
 * The wipe: when the enclave leaves, for whatever reason, nothing is left in its secret region.
 *
 * The process is caught at its exit_group(2) and made to write the region into a pipe: only it can
 * read memfd_secret pages.  The same reading while it serves finds the keys: that is the control.
 */
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>
#include <sodium.h>

#include "common/cleanup.h"
#include "tests/enclave/rig.h"
#include "tests/enclave/scan.h"
#include "tests/enclave/tracer.h"

#if defined(TRACER_AVAILABLE)

static bool holds(const uint8_t *region, size_t len, const uint8_t key[WIRE_KEY_LEN])
{
    return memmem(region, len, key, WIRE_KEY_LEN) != NULL;
}

/* A session under way, and where its keys lie. */
static void serve_session(struct rig *r, struct peer *p, struct span *span)
{
    struct tracer t;
    uint8_t *region;

    rig_start(r, RIG_RESPONDER, 1);
    rig_user_add(r, RIG_USER_ID);
    peer_init(p, rig_home.user_private, "alice", rig_home.server_public);
    (void)rig_login(r, p);
    *span = secret_region(r->pid);
    region = malloc(span->len);
    assert_non_null(region);
    tracer_stop(&t, r->pid, r->pid);
    tracer_read(&t, *span, STDERR_FILENO, r->err_fd, region);
    tracer_resume(&t);
    assert_true(holds(region, span->len, rig_home.server_private));
    assert_true(holds(region, span->len, p->send_key));
    assert_true(holds(region, span->len, p->recv_key));
    free(region);
}

/* Stacks, heaps, library state: what is not in the region must not hold a key either. */
static unsigned int search_elsewhere(const struct rig *r, const struct peer *p)
{
    struct scan *needles = scan_new();
    unsigned int found;
    size_t i;

    scan_add(needles, "the server's private key", rig_home.server_private);
    for (i = 0; i < p->n_secrets; i++)
        scan_add(needles, p->secrets[i].name, p->secrets[i].bytes);
    assert_true(scan_process(needles, r->pid) > 1 << 16);
    found = scan_report(needles, "at exit");
    scan_free(needles);
    return found;
}

static void expect_wiped(void (*violate)(struct rig *r), const char *says)
{
    struct tracer threads[2], *leaving;
    char said[128] = "";
    struct span span;
    struct peer p;
    struct rig r;
    struct pollfd said_something = {.events = POLLIN};
    uint8_t *region;

    serve_session(&r, &p, &span);
    said_something.fd = r.err_fd;
    tracer_follow(&threads[0], r.pid, r.pid);
    tracer_follow(&threads[1], r.pid, rig_worker(&r));
    violate(&r);
    leaving = tracer_catch_exit(threads, 2);
    if (poll(&said_something, 1, 0) == 1)
        assert_true(read(r.err_fd, said, sizeof(said) - 1) > 0);
    assert_non_null(strstr(said, says));
    region = malloc(span.len);
    assert_non_null(region);
    tracer_read(leaving, span, STDERR_FILENO, r.err_fd, region);
    assert_true(sodium_is_zero(region, span.len));
    free(region);
    assert_int_equal(search_elsewhere(&r, &p), 0);
    tracer_kill(r.pid);
    r.pid = 0;
    rig_stop(&r);
}

static void break_contract(struct rig *r)
{
    static const struct ipc_hdr rubbish = {.type = 9999, .length = sizeof(rubbish)};

    rig_send(r, &rubbish, sizeof(rubbish));
}

static void test_contract(void **state)
{
    (void)state;
    expect_wiped(break_contract, "a request broke the contract");
}

static void break_ring(struct rig *r)
{
    rig_submit(r, 0, (struct ring_entry){RING_SLOTS, RING_OPEN, 1});
}

static void test_ring(void **state)
{
    (void)state;
    expect_wiped(break_ring, "the ring was violated");
}

/* Two of its threads find a reason at once; the first to act must not be cut short by the next. */
static void leave(struct rig *r)
{
    break_ring(r);
    close_fdp(&r->control);
}

static void test_caller_gone(void **state)
{
    int i;

    (void)state;
    for (i = 0; i < 10; i++)
        expect_wiped(leave, "");
}

/* A crash is no way around the wipe. */
static void crash(struct rig *r)
{
    kill(r->pid, SIGSEGV);
}

static void test_fault(void **state)
{
    (void)state;
    expect_wiped(crash, "a fault of its own");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_contract),
        cmocka_unit_test(test_ring),
        cmocka_unit_test(test_caller_gone),
        cmocka_unit_test(test_fault),
    };
    const char *sanitize = getenv("VPN_SANITIZE");
    const int rc = rig_home_make(
        sanitize && *sanitize ? "the sanitizers' runtime catches faults itself" : NULL);

    if (rc)
        return rc;
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("wipe", tests, NULL, rig_home_remove) ? 1 : 0;
}

#else

int main(void)
{
    puts("1..0 # SKIP system calls by proxy are written for x86-64 alone");
    return 77;
}

#endif

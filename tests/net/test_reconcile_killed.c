/*
 * The engine against the real kernel: killed between any two operations, its successor makes of
 * what is left what was wanted.
 */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "common/cleanup.h"
#include "netlink/kernel.h"
#include "netlink/reconcile.h"
#include "tests/net/reconcile_rig.h"

/* A kernel that does one operation at a time, and after some of them the process is gone. */
struct killer {
    struct net_kernel inner;
    unsigned int left;
};

static int killer_dump(void *ctx, enum net_kind kind, const struct net_scope *scope,
                       struct net_set *out, struct err *err)
{
    const struct killer *killer = ctx;

    return killer->inner.dump(killer->inner.ctx, kind, scope, out, err);
}

static int killer_apply(void *ctx, const struct net_op *ops, size_t n, net_refused *refused,
                        void *refused_ctx, struct err *err)
{
    struct killer *killer = ctx;
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < n; i++) {
        if (ops[i].implied)
            continue;
        if (killer->left-- == 0)
            raise(SIGKILL);
        rc = killer->inner.apply(killer->inner.ctx, &ops[i], 1, refused, refused_ctx, err);
    }
    return rc;
}

/* Carry out a wish in a process that is killed after @n operations.  Return: was it? */
static bool killed_after(const struct net_set *set, unsigned int n)
{
    int status = 0;
    pid_t pid = fork();

    assert_true(pid >= 0);
    if (pid == 0) {
        struct killer killer = {.left = n};
        const struct net_kernel slow = {.ctx = &killer, .dump = killer_dump, .apply = killer_apply};
        const struct net_reconciler_config config = {.owner = owner};
        struct err err;

        if (net_kernel_open(&killer.inner, &err) < 0 ||
            net_reconciler_new(&slow, &config, &engine, &err) < 0 ||
            net_reconciler_apply(engine, set, 0, NULL, &err) < 0)
            _exit(1);
        _exit(0);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    if (!WIFSIGNALED(status))
        assert_int_equal(WEXITSTATUS(status), 0);
    return WIFSIGNALED(status);
}

static void kill_everywhere(const struct net_set *from, const struct net_set *to)
{
    _cleanup_(free_p) char *good = NULL;
    unsigned int n = 0;

    start_with(from);
    start_with(to);
    good = dump_all();
    for (;; n++) {
        bool killed;

        start_with(from);
        killed = killed_after(to, n);
        start_with(to);
        /* The engine itself says that all is right; the witnesses are slower. */
        if (n % 8 == 0 || !killed)
            check_dump(good);
        if (!killed)
            break;
    }
    assert_true(n > 10);
}

static void test_killed(void **state)
{
    _cleanup_(net_set_freep) struct net_set *nothing = net_set_new();
    _cleanup_(net_set_freep) struct net_set *set = wish();
    _cleanup_(net_set_freep) struct net_set *other = net_set_new();

    (void)state;
    add_link(nothing, "tun0", "tun");
    add_link(other, "tun0", "tun");
    add_link(other, "ifb-tun0", "ifb");
    add_addr(other, "tun0", "10.8.0.2/24");
    add_addr(other, "tun0", "fd08::1/48");
    add_route(other, "tun0", "192.168.51.0/24", 0);
    add_route(other, "tun0", "0.0.0.0/0", 102);
    add_uid_rule(other, 4, 1102, 102);
    add_uid_rule(other, 4, 1101, 101);
    add_shaper(other, "tun0", 2);
    kill_everywhere(nothing, set);
    kill_everywhere(set, other);
    kill_everywhere(other, set);
    kill_everywhere(set, nothing);
    start_with(set);
    check_foreign();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_killed),
    };
    const int rc = rig_enter();

    return rc ? rc
              : cmocka_run_group_tests_name("reconcile killed", tests, rig_setup, rig_teardown);
}

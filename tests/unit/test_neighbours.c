/* client/neighbours, client/ability: what follows from each answer of the kernel, and from none. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "client/neighbours.h"
#include "common/cleanup.h"
#include "common/log.h"
#include "netlink/nft.h"
#include "netlink/set.h"
#include "netlink/sysctl_keep.h"

static int able, vacant, kept; /* what is answered */
static bool ours;              /* did the setting have another value? */
static unsigned int n_asked, n_warned, n_told, n_wanted;
static int fake; /* its address stands for the file of former values */

/* ---- who is around it ------------------------------------------------------------------------ */

int net_nft_able(const struct net_fw_rule *rule, struct err *err)
{
    assert_int_equal(rule->chain, NET_FW_ARP);
    n_asked++;
    return able < 0 ? err_set(err, able, "not able") : 0;
}

int net_nft_vacant(const char *table, const char *owner, struct err *err)
{
    assert_string_equal(table, "vpn-client");
    assert_string_equal(owner, "vpn-client");
    return vacant < 0 ? err_set(err, vacant, "not ours") : 0;
}

int net_sysctl_keep_open(struct net_sysctl_keep **out, const char *path, struct err *note,
                         struct err *err)
{
    (void)note, (void)err;
    assert_string_equal(path, "/state/sysctl");
    *out = (struct net_sysctl_keep *)(void *)&fake;
    return 0;
}

void net_sysctl_keep_free(struct net_sysctl_keep *keep)
{
    (void)keep;
}

int net_sysctl_keep_want(struct net_sysctl_keep *keep, const struct net_setting *settings, size_t n,
                         struct err *err)
{
    (void)keep, (void)settings;
    n_wanted = (unsigned int)n;
    return kept < 0 ? err_set(err, kept, "disk full") : 0;
}

bool net_sysctl_keep_has(const struct net_sysctl_keep *keep, const char *path)
{
    (void)keep;
    assert_string_equal(path, "ipv4/conf/all/src_valid_mark");
    return ours;
}

int net_sysctl_keep_restore(struct net_sysctl_keep *keep, struct err *err)
{
    (void)keep, (void)err;
    return 0;
}

void log_line(enum log_level level, const char *fmt, ...)
{
    (void)fmt;
    n_warned += level == LOG_LEVEL_WARNING;
    n_told += level == LOG_LEVEL_INFO;
}

/* ---- cases ----------------------------------------------------------------------------------- */

static int setup(void **state)
{
    (void)state;
    able = vacant = kept = 0;
    ours = true;
    n_asked = n_warned = n_told = n_wanted = 0;
    return 0;
}

/* @settings: how many are put back when others change them. */
static void assert_marked(struct neighbours *n, bool caught, bool want, size_t settings)
{
    _cleanup_(net_set_freep) struct net_set *set = net_set_new();
    bool marked = !want;

    assert_int_equal(neighbours_lower(n, caught, set, &marked), 0);
    assert_int_equal(marked, want);
    assert_int_equal(n_wanted, want);
    assert_int_equal(net_set_count(set), settings);
}

static void test_able(void **state)
{
    struct neighbours n = {0};

    (void)state;
    neighbours_open(&n, "/state", 1000);
    assert_marked(&n, false, false, 0);
    assert_marked(&n, true, true, 1);
    assert_null(neighbours_unanswered(&n));
    assert_true(neighbours_due(&n) == UINT64_MAX);
    assert_false(neighbours_tick(&n, 1000000));
    assert_int_equal(n_asked, 1);
    assert_int_equal(n_warned + n_told, 0);
    neighbours_close(&n);
}

/* What a kernel lacks it lacks for good: said once, and never asked again. */
static void test_missing(void **state)
{
    static const int lasting[] = {EOPNOTSUPP, EPROTONOSUPPORT, EPERM, EINVAL};

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(lasting); i++) {
        struct neighbours n = {0};

        setup(NULL);
        able = -lasting[i];
        neighbours_open(&n, "/state", 1000);
        assert_marked(&n, false, false, 0);
        assert_int_equal(n_warned, 0);
        assert_marked(&n, true, false, 0);
        assert_marked(&n, true, false, 0);
        assert_int_equal(n_warned, 1);
        assert_string_equal(neighbours_unanswered(&n), "not able");
        assert_false(neighbours_tick(&n, 1000000));
        assert_int_equal(n_asked, 1);
        neighbours_close(&n);
    }
}

/* A question that failed, and somebody else's table, are not final; nor are they asked about all
 * the time. */
static void again(int *answer, int rc, const char *why)
{
    struct neighbours n = {0};
    uint64_t due;

    setup(NULL);
    *answer = rc;
    neighbours_open(&n, "/state", 1000);
    assert_marked(&n, true, false, 0);
    assert_string_equal(neighbours_unanswered(&n), why);
    due = neighbours_due(&n);
    assert_in_range(due, 2000, 61000);
    assert_false(neighbours_tick(&n, due - 1));
    assert_int_equal(n_asked, 1);
    assert_false(neighbours_tick(&n, due));
    assert_int_equal(n_asked, 2);
    assert_marked(&n, true, false, 0);
    assert_int_equal(n_warned, 1);

    *answer = 0;
    assert_true(neighbours_tick(&n, neighbours_due(&n)));
    assert_marked(&n, true, true, 1);
    assert_null(neighbours_unanswered(&n));
    assert_int_equal(n_told, 1);
    assert_true(neighbours_due(&n) == UINT64_MAX);
    neighbours_close(&n);
}

static void test_again(void **state)
{
    static const int passing[] = {EAGAIN, ENOBUFS, ENOMEM, EMFILE, ENFILE, EINTR, ETIMEDOUT};

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(passing); i++)
        again(&able, -passing[i], "not able");
    again(&vacant, -EAGAIN, "not ours");
    again(&vacant, -EEXIST, "not ours");
}

/* What was 1 before us is the host's: whoever makes it 0 is not overruled. */
static void test_not_ours(void **state)
{
    struct neighbours n = {0};

    (void)state;
    ours = false;
    neighbours_open(&n, "/state", 1000);
    assert_marked(&n, true, true, 0);
    ours = true;
    assert_marked(&n, true, true, 1);
    neighbours_close(&n);
}

/* A full disk is told once, each time that it became full. */
static void test_not_kept(void **state)
{
    struct neighbours n = {0};

    (void)state;
    neighbours_open(&n, "/state", 1000);
    kept = -ENOSPC;
    for (int i = 0; i < 3; i++)
        assert_marked(&n, true, true, 1);
    assert_int_equal(n_warned, 1);
    kept = 0;
    assert_marked(&n, true, true, 1);
    kept = -ENOSPC;
    assert_marked(&n, true, true, 1);
    assert_int_equal(n_warned, 2);
    neighbours_close(&n);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_able, setup),     cmocka_unit_test_setup(test_missing, setup),
        cmocka_unit_test_setup(test_again, setup),    cmocka_unit_test_setup(test_not_ours, setup),
        cmocka_unit_test_setup(test_not_kept, setup),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

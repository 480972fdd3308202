/* What the kernel can do of the packet filter: what follows from each answer, and from none. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "common/log.h"
#include "daemon/keeper.h"
#include "daemon/netfilter.h"
#include "daemon/server.h"
#include "netlink/conn.h"
#include "netlink/nft.h"

static struct config config = {.device = "tun0"};
static struct server server;
static int connects, takes_all, takes_rest; /* what the kernel answers */
static const char *clash;
static unsigned int n_asked, n_changed;

/* ---- who is around it ------------------------------------------------------------------------ */

int net_conn_open_netfilter(struct net_conn **out, struct err *err)
{
    (void)out;
    return connects < 0 ? err_set(err, connects, "no connection") : 0;
}

void net_conn_close(struct net_conn *conn)
{
    (void)conn;
}

int net_nft_check(struct net_conn *conn, const struct net_firewall *want, struct err *err)
{
    bool fib = false;
    int rc;

    (void)conn;
    n_asked++;
    for (size_t i = 0; i < want->n; i++)
        fib = fib || want->rules[i].wrong_way;
    rc = fib ? takes_all : takes_rest;
    return rc < 0 ? err_set(err, rc, "refused") : 0;
}

void keeper_changed(struct server *s)
{
    assert_ptr_equal(s, &server);
    n_changed++;
}

const char *keeper_clash(struct server *s, enum net_kind kind, char *buf)
{
    assert_ptr_equal(s, &server);
    assert_int_equal(kind, NET_KIND_FIREWALL);
    return clash ? strcpy(buf, clash) : NULL;
}

void log_line(enum log_level level, const char *fmt, ...)
{
    (void)level, (void)fmt;
}

/* ---- cases ----------------------------------------------------------------------------------- */

static int setup(void **state)
{
    (void)state;
    memset(&server, 0, sizeof(server));
    server.config = &config;
    server.now.mono_ms = 100000;
    connects = takes_all = takes_rest = 0;
    clash = NULL;
    n_asked = n_changed = 0;
    return 0;
}

static void assert_state(const char *state, bool firewall, bool fib, const char *reason)
{
    const struct desired_support support = netfilter_support(&server);
    json_t *status = netfilter_status(&server);
    const char *why = json_string_value(json_object_get(status, "reason"));

    assert_string_equal(json_string_value(json_object_get(status, "state")), state);
    assert_int_equal(support.firewall, firewall);
    assert_int_equal(support.fib, fib);
    if (reason)
        assert_string_equal(why, reason);
    else
        assert_null(why);
    json_decref(status);
}

static void answers(void **state)
{
    (void)state;
    netfilter_open(&server);
    assert_state("active", true, true, NULL);
    netfilter_close(&server);
    assert_state("missing", false, false, NULL);

    takes_all = -EOPNOTSUPP;
    netfilter_open(&server);
    assert_state("partial", true, false, "refused");
    netfilter_close(&server);

    takes_rest = -EOPNOTSUPP;
    netfilter_open(&server);
    assert_state("missing", false, false, "refused");
    netfilter_close(&server);

    connects = -EPROTONOSUPPORT;
    netfilter_open(&server);
    assert_state("missing", false, false, "no connection");
    n_asked = 0;
    server.now.mono_ms += 1000000;
    netfilter_tick(&server);
    assert_int_equal(n_asked, 0);
    netfilter_close(&server);
}

/* Who may not ask, or is told that it cannot be, is told so for good: all else goes on without. */
static void lasting(void **state)
{
    static const int refusals[] = {-EACCES, -EPERM, -EINVAL, -EAFNOSUPPORT, -EIO};

    (void)state;
    for (size_t i = 0; i < sizeof(refusals) / sizeof(*refusals); i++) {
        takes_all = takes_rest = refusals[i];
        netfilter_open(&server);
        assert_state("missing", false, false, "refused");
        netfilter_close(&server);
        takes_rest = 0;
        netfilter_open(&server);
        assert_state("partial", true, false, "refused");
        netfilter_close(&server);
        takes_all = 0;
        connects = refusals[i];
        netfilter_open(&server);
        assert_state("missing", false, false, "no connection");
        netfilter_close(&server);
        connects = 0;
    }
}

/* No answer is no reason to go without a packet filter, nor to ask all the time. */
static void asked_again(void **state)
{
    (void)state;
    takes_all = -ENOBUFS;
    netfilter_open(&server);
    assert_state("unknown", true, true, "refused");
    netfilter_tick(&server);
    assert_int_equal(n_asked, 1);
    server.now.mono_ms += 10000;
    netfilter_tick(&server);
    assert_int_equal(n_asked, 2);
    assert_int_equal(n_changed, 0);
    takes_all = -EOPNOTSUPP;
    takes_rest = -ENOMEM;
    server.now.mono_ms += 10000;
    netfilter_tick(&server);
    assert_state("unknown", true, true, "refused");
    takes_rest = 0;
    server.now.mono_ms += 10000;
    netfilter_tick(&server);
    assert_state("partial", true, false, "refused");
    assert_int_equal(n_changed, 1);
    netfilter_close(&server);

    connects = -EMFILE;
    netfilter_open(&server);
    assert_state("unknown", true, true, "no connection");
    connects = takes_all = 0;
    server.now.mono_ms += 10000;
    netfilter_tick(&server);
    assert_state("active", true, true, NULL);
    assert_int_equal(n_changed, 2);
    n_asked = 0;
    server.now.mono_ms += 1000000;
    netfilter_tick(&server);
    assert_int_equal(n_asked, 0);
    netfilter_close(&server);
}

static void foreign_table(void **state)
{
    (void)state;
    netfilter_open(&server);
    clash = "table inet vpn: in its place stands another one";
    assert_state("clash", true, true, clash);
    clash = NULL;
    assert_state("active", true, true, NULL);
    netfilter_close(&server);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(answers, setup),
        cmocka_unit_test_setup(lasting, setup),
        cmocka_unit_test_setup(asked_again, setup),
        cmocka_unit_test_setup(foreign_table, setup),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

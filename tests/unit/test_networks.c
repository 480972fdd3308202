/* Networks behind a user of many devices: they lie behind the one that connected last. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "daemon/keeper.h"
#include "daemon/networks.h"
#include "daemon/server.h"

#define PEERS 40
#define USERS 3

static struct ip_prefix nets[USERS] = {
    {.addr = {.family = 4, .bytes = {192, 168, 50}}, .len = 24},
    {.addr = {.family = 4, .bytes = {192, 168, 51}}, .len = 24},
};
static struct config_user confs[USERS];
static struct user users[USERS];
static struct server_session table[PEERS + 1];
static struct server server;
static uint32_t behind[USERS]; /* peer to which a user's network leads */
static unsigned int n_changed;

/* ---- who is around it ------------------------------------------------------------------------ */

struct server_session *session_get(struct sessions *s, uint32_t peer)
{
    (void)s;
    assert_true(peer <= PEERS);
    return peer && table[peer].state != SERVER_SESSION_NONE ? &table[peer] : NULL;
}

struct user *users_get(struct users *u, uint32_t id)
{
    (void)u;
    return users[id].conf ? &users[id] : NULL;
}

const char *users_name(const struct users *u, uint32_t id)
{
    (void)u, (void)id;
    return "somebody";
}

static size_t net_index(const struct ip_prefix *network)
{
    for (size_t i = 0; i < USERS; i++)
        if (ip_addr_equal(&nets[i].addr, &network->addr))
            return i;
    fail();
    return 0;
}

int lookup_net_set(struct lookup *l, const struct ip_prefix *network, uint32_t peer)
{
    (void)l;
    behind[net_index(network)] = peer;
    return 0;
}

int lookup_net_remove(struct lookup *l, const struct ip_prefix *network)
{
    (void)l;
    behind[net_index(network)] = 0;
    return 0;
}

uint32_t lookup_net_exact(const struct lookup *l, const struct ip_prefix *network)
{
    (void)l;
    return behind[net_index(network)];
}

void keeper_changed(struct server *s)
{
    (void)s;
    n_changed++;
}

void log_line(enum log_level level, const char *fmt, ...)
{
    (void)level, (void)fmt;
    fail();
}

/* ---- what happens ---------------------------------------------------------------------------- */

static int setup(void **state)
{
    (void)state;
    memset(users, 0, sizeof(users));
    memset(table, 0, sizeof(table));
    memset(behind, 0, sizeof(behind));
    n_changed = 0;
    for (size_t i = 0; i < USERS; i++) {
        /* The last one has none. */
        confs[i] = (struct config_user){.networks = &nets[i], .n_networks = i + 1 < USERS};
        users[i].conf = &confs[i];
    }
    return 0;
}

static void up(uint32_t user, uint32_t peer)
{
    table[peer] = (struct server_session){.peer = peer, .state = SERVER_SESSION_RESERVED};
    networks_up(&server, user, peer);
    table[peer].state = SERVER_SESSION_BOUND;
}

static void down(uint32_t user, uint32_t peer)
{
    networks_down(&server, user, peer);
    memset(&table[peer], 0, sizeof(table[peer]));
}

static void assert_behind(uint32_t user, uint32_t peer)
{
    assert_int_equal(users[user].carrier, peer);
    assert_int_equal(behind[user], confs[user].n_networks ? peer : 0);
}

static void the_last_one_carries(void **state)
{
    (void)state;
    up(0, 5);
    assert_behind(0, 5);
    assert_int_equal(n_changed, 1);
    up(0, 2);
    up(0, 9);
    assert_behind(0, 9);
    assert_int_equal(n_changed, 1);
    /* One in the middle goes, then the last, then the only one. */
    down(0, 2);
    assert_behind(0, 9);
    down(0, 9);
    assert_behind(0, 5);
    assert_int_equal(n_changed, 1);
    down(0, 5);
    assert_behind(0, 0);
    assert_int_equal(n_changed, 2);
}

static void a_user_who_left(void **state)
{
    (void)state;
    up(0, 1);
    up(0, 2);
    users[0].conf = NULL;
    down(0, 2);
    assert_int_equal(table[1].newer, 0);
    down(0, 1);
}

/* Against a plain list, for users of many devices that come and go. */
static void any_order(void **state)
{
    uint32_t order[PEERS], of[PEERS + 1];
    size_t n = 0;

    (void)state;
    srand(3);
    for (unsigned int step = 0; step < 20000; step++) {
        const uint32_t peer = 1 + (uint32_t)rand() % PEERS;
        uint32_t last[USERS] = {0};
        size_t at = 0;

        while (at < n && order[at] != peer)
            at++;
        if (at < n) {
            down(of[peer], peer);
            memmove(&order[at], &order[at + 1], (--n - at) * sizeof(*order));
        } else {
            of[peer] = (uint32_t)rand() % USERS;
            up(of[peer], peer);
            order[n++] = peer;
        }
        for (size_t i = 0; i < n; i++)
            last[of[order[i]]] = order[i];
        for (uint32_t user = 0; user < USERS; user++)
            assert_behind(user, last[user]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(the_last_one_carries, setup),
        cmocka_unit_test_setup(a_user_who_left, setup),
        cmocka_unit_test_setup(any_order, setup),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

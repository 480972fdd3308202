/*
 * Logins, sessions and leases together, in orders that only a client in a hurry or of ill will
 * makes: who a lease belongs to is never in doubt.  The enclave, the lanes and the kernel are here.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "common/log.h"
#include "daemon/datapath/probe.h"
#include "daemon/events.h"
#include "daemon/keeper.h"
#include "daemon/networks.h"
#include "daemon/roster.h"
#include "daemon/server.h"

#define KEY_ANN "hSDwCYkwp1R0i33ctD73Wg2/Og0mOBr066SpjqqbTmo="
#define KEY_BOB "3p7bfXt9wbTTW2HC7OQ1Nz+DQ8hbeGdNrfx+FG+IK08="

/* One address for two. */
static const char text[] = "server: {realm: home-3f9c81d2a47be650}\n"
                           "tunnel: {addresses: [10.8.0.1/24], pool: [10.8.0.10-10.8.0.10]}\n"
                           "users:\n  ann: {key: \"" KEY_ANN "\"}\n  bob: {key: \"" KEY_BOB "\"}\n";

enum { ANN, BOB };

static struct server server;
static uint32_t granted; /* status of the last HS_GRANT */
static uint32_t owner;   /* peer that the pool's address is routed to */
static uint32_t next_ref;
static struct session_indexes noted; /* in the roster, last */

/* ---- who is around a session -------------------------------------------------------------------
 */

enum link_state link_state(const struct link *link)
{
    (void)link;
    return LINK_READY;
}

int link_send(struct link *link, const union ipc_msg *msg)
{
    (void)link;
    if (msg->hdr.type == IPC_HS_GRANT)
        granted = msg->hs_grant.status;
    return 0;
}

int datapath_send(struct datapath *dp, const void *buf, size_t len, const struct path *to)
{
    (void)dp, (void)buf, (void)len, (void)to;
    return 0;
}

int datapath_seal(struct datapath *dp, uint32_t peer, uint8_t type, const void *data, size_t len)
{
    (void)dp, (void)peer, (void)type, (void)data, (void)len;
    return 0;
}

uint32_t lookup_own(const struct lookup *l, const struct ip_addr *addr)
{
    (void)l, (void)addr;
    return owner;
}

int lookup_add(struct lookup *l, const struct ip_addr *addr, uint32_t peer)
{
    (void)l, (void)addr;
    owner = peer;
    return 0;
}

int lookup_remove(struct lookup *l, const struct ip_addr *addr)
{
    (void)l, (void)addr;
    owner = 0;
    return 0;
}

void events_session(struct server *s, const char *kind, const struct server_session *session)
{
    (void)s, (void)kind, (void)session;
}

void keeper_changed(struct server *s)
{
    (void)s;
}

void networks_up(struct server *s, uint32_t id, uint32_t peer)
{
    (void)s, (void)id, (void)peer;
}

void networks_down(struct server *s, uint32_t id, uint32_t peer)
{
    (void)s, (void)id, (void)peer;
}

void roster_strike(struct roster *r, uint32_t slot)
{
    (void)r, (void)slot;
}

void roster_note(struct roster *r, uint32_t slot, uint32_t server_index, uint32_t client_index,
                 const struct path *path, uint64_t now_ms)
{
    (void)r, (void)slot, (void)path, (void)now_ms;
    noted = (struct session_indexes){.client = client_index, .server = server_index};
}

void probe_begin(struct datapath *dp, uint32_t peer, struct pmtu *p, bool fresh, uint64_t now_ms)
{
    (void)dp, (void)peer, (void)p, (void)fresh, (void)now_ms;
}

void probe_answered(struct datapath *dp, uint32_t peer, struct pmtu *p, uint64_t id)
{
    (void)dp, (void)peer, (void)p, (void)id;
}

void probe_shrunk(struct datapath *dp, uint32_t peer, struct pmtu *p, uint64_t now_ms)
{
    (void)dp, (void)peer, (void)p, (void)now_ms;
}

uint64_t probe_tick(struct datapath *dp, uint32_t peer, struct pmtu *p, uint64_t now_ms)
{
    (void)dp, (void)peer, (void)p, (void)now_ms;
    return PMTU_NEVER;
}

/* ---- what clients do ---------------------------------------------------------------------------
 */

/* A login up to its grant.  Return: its ref. */
static uint32_t ask(uint32_t user)
{
    struct dp_event event = {.kind = DP_EVENT_HANDSHAKE, .length = WIRE_CONNECT_REQ_LEN};
    struct ipc_hs_auth auth = {
        .ref = next_ref++, .handle = 1, .user_id = user, .device_id = {(uint8_t)(user + 1)}};

    event.from.remote.addr.family = 4;
    logins_request(&server, &event);
    granted = UINT32_MAX;
    sessions_auth(&server, &auth);
    return auth.ref;
}

static void answer_with(uint32_t ref, uint32_t peer, uint32_t client_index, uint32_t server_index)
{
    struct ipc_hs_response response = {.ref = ref, .peer = peer, .status = WIRE_STATUS_OK};

    be32_put(response.msg + WIRE_RESP_CLIENT_INDEX, client_index);
    be32_put(response.msg + WIRE_RESP_SERVER_INDEX, server_index);
    sessions_response(&server, &response);
}

static void answer(uint32_t ref, uint32_t peer)
{
    answer_with(ref, peer, 1, 1);
}

static int setup(void **state)
{
    struct problems problems = {0};

    (void)state;
    log_set_level(LOG_LEVEL_ERROR);
    memset(&server, 0, sizeof(server));
    server.now = (struct clock){.mono_ms = 100000, .real_us = 1800000000000000};
    if (config_parse("vpn.yaml", text, strlen(text), &server.config, &problems) != 0)
        fail_msg("%s", problems.n ? problems.items[0].text : "refused");
    problems_clear(&problems);
    owner = next_ref = 0;
    server.users = users_new(server.config, 4);
    server.leases = leases_new(server.config, 4);
    server.logins = logins_new(server.now.mono_ms);
    server.sessions = sessions_new();
    return server.users && server.leases && server.logins && server.sessions &&
                   peers_init(&server.dp.peers) == 0
               ? 0
               : -1;
}

static int teardown(void **state)
{
    (void)state;
    peers_clear(&server.dp.peers);
    sessions_free(server.sessions);
    logins_free(server.logins);
    leases_free(server.leases);
    users_free(server.users);
    config_free(server.config);
    return 0;
}

/* ---- cases -------------------------------------------------------------------------------------
 */

static void one_after_the_other(void **state)
{
    uint32_t ref = ask(ANN);

    (void)state;
    assert_int_equal(granted, WIRE_STATUS_OK);
    answer(ref, 1);
    sessions_promoted(&server, 1);
    assert_int_equal(owner, 1);
    (void)ask(BOB);
    assert_int_equal(granted, WIRE_STATUS_POOL_FULL);
    sessions_disconnect(&server, 1, WIRE_DISCONNECT_UNSPECIFIED);
    assert_int_equal(owner, 0);
    ref = ask(BOB);
    assert_int_equal(granted, WIRE_STATUS_OK);
    answer(ref, 2);
    sessions_promoted(&server, 2);
    assert_int_equal(owner, 2);
}

/* She confirms one login while the next is in the enclave, and leaves: that one has the lease. */
static void good_bye_between_grant_and_answer(void **state)
{
    uint32_t first = ask(ANN), second;

    (void)state;
    answer(first, 1);
    second = ask(ANN);
    assert_int_equal(granted, WIRE_STATUS_OK);
    sessions_promoted(&server, 1);
    sessions_disconnect(&server, 1, WIRE_DISCONNECT_UNSPECIFIED);
    (void)ask(BOB);
    assert_int_equal(granted, WIRE_STATUS_POOL_FULL);
    answer(second, 3);
    sessions_promoted(&server, 3);
    assert_int_equal(owner, 3);
    assert_int_equal(session_get(server.sessions, 3)->lease->user, ANN);
    assert_int_equal(leases_active(server.leases), 1);
}

static void assert_noted(uint32_t client_index, uint32_t server_index)
{
    assert_int_equal(noted.client, client_index);
    assert_int_equal(noted.server, server_index);
}

/* An answer that gets lost, or goes to a replay, takes nothing from who has the former session. */
static void roster_has_what_was_confirmed(void **state)
{
    (void)state;
    answer_with(ask(ANN), 1, 11, 12);
    sessions_promoted(&server, 1);
    assert_noted(11, 12);
    answer_with(ask(ANN), 1, 21, 22);
    sessions_roster(&server, 1); /* as when her path is proven */
    assert_noted(11, 12);
    answer_with(ask(ANN), 1, 31, 32);
    sessions_promoted(&server, 1);
    assert_noted(31, 32);
    sessions_promoted(&server, 1);
    assert_noted(31, 32);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(one_after_the_other, setup, teardown),
        cmocka_unit_test_setup_teardown(good_bye_between_grant_and_answer, setup, teardown),
        cmocka_unit_test_setup_teardown(roster_has_what_was_confirmed, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* Where a peer is, and what may go to a path that has not answered yet. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "daemon/datapath/peers.h"
#include "daemon/datapath/pmtu.h"

#define HANDLE 0x10007U

static struct peers peers;
static struct dp_peer *peer;
static const struct path home = {.remote = {.addr = {4, {192, 0, 2, 2}}, .port = 1000}};
static const struct path away = {.remote = {.addr = {4, {192, 0, 2, 3}}, .port = 1000}};
static const struct path port = {.remote = {.addr = {4, {192, 0, 2, 2}}, .port = 1001}};
static const struct path called = {.remote = {.addr = {4, {192, 0, 2, 2}}, .port = 1000},
                                   .local = {4, {192, 0, 2, 1}}};

static int setup(void **state)
{
    (void)state;
    assert_int_equal(peers_init(&peers), 0);
    peers_add(&peers, HANDLE, 0, 1400, &home, 1);
    peer = peers_get(&peers, HANDLE);
    assert_non_null(peer);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    peers_clear(&peers);
    return 0;
}

static bool is_at(const struct path *path)
{
    struct path here = peer_path(peer);

    return ip_endpoint_equal(&here.remote, &path->remote) &&
           ip_addr_equal(&here.local, &path->local);
}

static void a_login_proves_its_path(void **state)
{
    (void)state;
    assert_true(is_at(&home));
    for (int i = 0; i < 1000; i++)
        assert_true(peer_spend(peer, 1 << 20));
    assert_int_equal(peer_follow(peer, &home), PEER_FOLLOW_SAME);
}

static void a_new_path_gets_three_times_what_came(void **state)
{
    static const struct path *const others[] = {&away, &port, &called};

    (void)state;
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(peer_follow(peer, others[i]), PEER_FOLLOW_NEW);
        assert_true(is_at(others[i]));
        assert_false(peer_spend(peer, 1));
        peer_earn(peer, others[i], 100);
        peer_earn(peer, &home, 100000); /* from elsewhere: not this path's */
        assert_true(peer_spend(peer, 120));
        assert_false(peer_spend(peer, 181));
        assert_true(peer_spend(peer, 180));
        assert_false(peer_spend(peer, 1));
    }
}

static void the_right_pong_from_there_proves_it(void **state)
{
    (void)state;
    assert_int_equal(peer_follow(peer, &away), PEER_FOLLOW_NEW);
    assert_false(peer_prove(peer, 0, &away)); /* nothing was asked yet */
    peer_challenge(peer, 77);
    assert_false(peer_prove(peer, 78, &away));
    assert_false(peer_prove(peer, 77, &home));
    assert_false(peer_prove(peer, 0, &away));
    assert_false(peer_spend(peer, 1));
    assert_true(peer_prove(peer, 77, &away));
    assert_true(peer_spend(peer, 1 << 30));
    assert_false(peer_prove(peer, 77, &away)); /* once */
}

/* A copy that arrives faster over another path must not throttle the honest one for ever. */
static void back_to_the_proven_path(void **state)
{
    (void)state;
    assert_int_equal(peer_follow(peer, &away), PEER_FOLLOW_NEW);
    peer_challenge(peer, 77);
    assert_int_equal(peer_follow(peer, &home), PEER_FOLLOW_BACK);
    assert_true(is_at(&home));
    assert_true(peer_spend(peer, 1 << 30));
    assert_false(peer_prove(peer, 77, &away)); /* late, and about a path that is no more */
    assert_true(is_at(&home));
    assert_int_equal(peer_follow(peer, &away), PEER_FOLLOW_NEW);
    assert_false(peer_prove(peer, 77, &away)); /* an old answer */
    assert_false(peer_spend(peer, 1));
}

static void another_peer_starts_afresh(void **state)
{
    (void)state;
    assert_int_equal(peer_follow(peer, &away), PEER_FOLLOW_NEW);
    peer_challenge(peer, 77);
    peers_add(&peers, HANDLE + 0x10000, 0, 1300, &port, 2);
    assert_null(peers_get(&peers, HANDLE));
    peer = peers_get(&peers, HANDLE + 0x10000);
    assert_true(is_at(&port));
    assert_true(peer_spend(peer, 1 << 30));
    assert_int_equal(atomic_load(&peer->limit), 1300);
    assert_int_equal(atomic_load(&peer->whole), 0);
    assert_false(peer_prove(peer, 77, &away));
}

static _Atomic bool over;

static void *earn(void *arg)
{
    while (!atomic_load_explicit(&over, memory_order_relaxed)) {
        peer_earn(peer, &away, 100);
        peer_earn(peer, &port, 100);
    }
    return arg;
}

/* A login proves the path while the lane counts what came over it: nothing is added to that. */
static void a_login_beside_traffic(void **state)
{
    unsigned int limited = 0;
    pthread_t lane;

    (void)state;
    atomic_store(&over, false);
    assert_int_equal(pthread_create(&lane, NULL, earn, NULL), 0);
    for (unsigned int i = 0; i < 300000; i++) {
        const struct path *path = i % 2 ? &away : &port;

        (void)peer_follow(peer, path);
        peer_place(peer, path);
        for (int looks = 0; looks < 4; looks++)
            limited += !peer_spend(peer, 1 << 30);
    }
    atomic_store(&over, true);
    pthread_join(lane, NULL);
    assert_int_equal(limited, 0);
}

static void only_larger_answers_are_news(void **state)
{
    const uint64_t base = 0xabcdef012345;

    (void)state;
    assert_false(peer_answered(peer, 1280)); /* no search */
    atomic_store(&peer->probe_base, base);
    assert_true(peer_answered(peer, base << 16 | 1280));
    assert_false(peer_answered(peer, base << 16 | 1280));
    assert_true(peer_answered(peer, base << 16 | 1296));
    assert_false(peer_answered(peer, base << 16 | 1280));
    assert_false(peer_answered(peer, (base + 1) << 16 | 1408));
}

/* Our own socket is another one: the peer is where it was, and what it proved counts. */
static void another_socket_is_no_other_path(void **state)
{
    struct path here;

    (void)state;
    peer_place(peer, &called);
    assert_false(peer_rehome(peer, 1, 2, true));
    assert_true(peer_rehome(peer, 0, 2, true));
    here = peer_path(peer);
    assert_int_equal(here.socket, 2);
    assert_true(is_at(&called));
    assert_true(peer_rehome(peer, 2, 3, false));
    assert_true(is_at(&home));
    here = peer_path(peer);
    assert_int_equal(here.socket, 3);
    assert_true(peer_spend(peer, 1 << 20));
    assert_int_equal(peer_follow(peer, &here), PEER_FOLLOW_SAME);
}

int main(void)
{
#define PEER_TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        PEER_TEST(a_login_proves_its_path),
        PEER_TEST(a_new_path_gets_three_times_what_came),
        PEER_TEST(the_right_pong_from_there_proves_it),
        PEER_TEST(back_to_the_proven_path),
        PEER_TEST(another_peer_starts_afresh),
        PEER_TEST(a_login_beside_traffic),
        PEER_TEST(only_larger_answers_are_news),
        PEER_TEST(another_socket_is_no_other_path),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* The lanes' table of networks, against a list that is searched from end to end. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "daemon/datapath/lookup.h"
#include "daemon/datapath/trie.h"

#define ROUNDS 20000
#define MOST   200

static struct epoch epoch = {.readers = 2};

struct entry {
    struct ip_prefix prefix;
    uint32_t peer;
};

static struct entry list[MOST];
static size_t n_list;

static uint32_t oracle(const struct ip_addr *addr)
{
    int longest = -1;
    uint32_t peer = 0;

    for (size_t i = 0; i < n_list; i++) {
        if (list[i].prefix.len > longest && ip_prefix_contains(&list[i].prefix, addr)) {
            longest = list[i].prefix.len;
            peer = list[i].peer;
        }
    }
    return peer;
}

/* Few different bits, so that prefixes are nested and equal often enough. */
static struct ip_addr any_addr(void)
{
    struct ip_addr addr = {.family = rand() % 2 ? 4 : 6};
    size_t bytes = ip_addr_bytes(&addr);

    for (int i = 0; i < 4; i++)
        addr.bytes[(size_t)rand() % bytes] = (uint8_t)(rand() % 2 ? rand() : 0x80);
    return addr;
}

static struct ip_prefix any_prefix(void)
{
    struct ip_prefix prefix = {.addr = any_addr()};

    prefix.len = (uint8_t)(rand() % (ip_addr_bits(&prefix.addr) + 1));
    return ip_prefix_network(prefix);
}

static size_t list_find(const struct ip_prefix *prefix)
{
    size_t i;

    for (i = 0; i < n_list; i++)
        if (list[i].prefix.len == prefix->len && ip_addr_equal(&list[i].prefix.addr, &prefix->addr))
            break;
    return i;
}

static void random_steps(void **state)
{
    struct trie *t = trie_new(MOST, &epoch);

    (void)state;
    assert_non_null(t);
    srand(11);
    n_list = 0;
    for (int round = 0; round < ROUNDS; round++) {
        struct ip_prefix prefix = any_prefix();
        size_t at = list_find(&prefix);

        if (rand() % 2 && n_list < MOST) {
            uint32_t peer = (uint32_t)rand() % 1000 + 1;

            assert_int_equal(trie_set(t, &prefix, peer), 0);
            list[at] = (struct entry){prefix, peer};
            n_list += at == n_list;
        } else if (n_list && rand() % 3) {
            at = (size_t)rand() % n_list;
            assert_int_equal(trie_exact(t, &list[at].prefix), list[at].peer);
            assert_int_equal(trie_remove(t, &list[at].prefix), 0);
            list[at] = list[--n_list];
        } else {
            assert_int_equal(trie_remove(t, &prefix), at < n_list ? 0 : -2 /* ENOENT */);
            if (at < n_list)
                list[at] = list[--n_list];
        }
        for (int i = 0; i < 20; i++) {
            struct ip_addr addr = any_addr();

            assert_int_equal(trie_find(t, &addr), oracle(&addr));
            if (n_list) {
                addr = list[(size_t)rand() % n_list].prefix.addr;
                assert_int_equal(trie_find(t, &addr), oracle(&addr));
            }
        }
        /* A fork parts two: there are fewer of them than prefixes. */
        assert_true(trie_nodes(t) <= 2 * n_list);
    }
    while (n_list)
        assert_int_equal(trie_remove(t, &list[--n_list].prefix), 0);
    assert_int_equal(trie_nodes(t), 0);
    trie_free(t);
}

static struct ip_prefix prefix_of(const char *text)
{
    struct ip_prefix prefix;

    assert_int_equal(ip_prefix_parse(text, &prefix), 0);
    return prefix;
}

static struct ip_addr addr_of(const char *text)
{
    struct ip_addr addr;

    assert_int_equal(ip_addr_parse(text, &addr), 0);
    return addr;
}

static void bad_and_full(void **state)
{
    struct trie *t = trie_new(1, &epoch);
    struct ip_prefix bad = {.addr.family = 4, .len = 33}, none = {0};
    struct ip_prefix prefix = prefix_of("10.0.0.0/8");
    unsigned int taken = 0;

    (void)state;
    assert_int_equal(trie_set(t, &bad, 1), -22);
    assert_int_equal(trie_set(t, &none, 1), -22);
    assert_int_equal(trie_set(t, &prefix, 0), -22);
    assert_int_equal(trie_remove(t, &bad), -2);
    for (unsigned int i = 1; i < 20; i++) {
        prefix.addr.bytes[0] = (uint8_t)i;
        taken += trie_set(t, &prefix, i) == 0;
    }
    assert_in_range(taken, 1, 4);
    trie_free(t);
}

/* What a reader may still stand on is not used again before it has left. */
static void readers_hold_nodes(void **state)
{
    struct trie *t = trie_new(1, &epoch);
    struct ip_prefix prefix = prefix_of("10.0.0.0/8");
    struct ip_addr addr = addr_of("10.1.2.3");
    int rc = 0, rounds = 0;

    (void)state;
    epoch_enter(&epoch, 1);
    while (rc == 0 && rounds < 100) {
        rc = trie_set(t, &prefix, 7);
        if (rc == 0)
            assert_int_equal(trie_remove(t, &prefix), 0);
        rounds++;
    }
    assert_int_equal(rc, -28 /* ENOSPC */);
    epoch_leave(&epoch, 1);
    assert_int_equal(trie_set(t, &prefix, 8), 0);
    assert_int_equal(trie_find(t, &addr), 8);
    trie_free(t);
}

/* A peer's own address goes before a network that holds it. */
static void lookup_order(void **state)
{
    struct lookup *l = lookup_new(16, 16, 12345, &epoch);
    struct ip_prefix wide = prefix_of("10.0.0.0/8"), narrow = prefix_of("10.9.0.0/16");
    struct ip_addr own = addr_of("10.9.0.5"), near = addr_of("10.9.0.6"), far = addr_of("10.8.0.6");

    (void)state;
    assert_int_equal(lookup_net_set(l, &wide, 1), 0);
    assert_int_equal(lookup_net_set(l, &narrow, 2), 0);
    assert_int_equal(lookup_add(l, &own, 3), 0);
    assert_int_equal(lookup_find(l, &own), 3);
    assert_int_equal(lookup_find(l, &near), 2);
    assert_int_equal(lookup_find(l, &far), 1);
    assert_int_equal(lookup_own(l, &near), 0);
    assert_int_equal(lookup_net_exact(l, &narrow), 2);
    assert_int_equal(lookup_remove(l, &own), 0);
    assert_int_equal(lookup_find(l, &own), 2);
    assert_int_equal(lookup_net_remove(l, &narrow), 0);
    assert_int_equal(lookup_find(l, &own), 1);
    assert_int_equal(lookup_net_exact(l, &narrow), 0);
    lookup_free(l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_steps),
        cmocka_unit_test(bad_and_full),
        cmocka_unit_test(readers_hold_nodes),
        cmocka_unit_test(lookup_order),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

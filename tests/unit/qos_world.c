/* Random users, classes and sessions, and what is laid out for them. */
#include "tests/unit/qos_world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

const struct qos_support all = {
    .htb = true, .u32 = true, .ifb = true, .tbf = true, .fq_codel = true};

struct world w;

static uint32_t seed = 7;

uint32_t rnd(uint32_t n)
{
    seed ^= seed << 13;
    seed ^= seed >> 17;
    seed ^= seed << 5;
    return seed % n;
}

static struct config_rates random_rates(uint64_t total)
{
    struct config_rates rates = {.rate = 8000 * (1 + rnd((uint32_t)(total / 8000 / 20)))};

    rates.ceil = rates.rate * (1 + rnd(4));
    return rates;
}

void random_world(size_t n_users)
{
    struct config_qos *qos = &w.config.qos;

    memset(&w, 0, sizeof(w));
    strcpy(w.config.device, "tun0");
    w.config.mtu = 1400;
    w.config.max_clients = 65535;
    w.config.users = w.users;
    w.config.n_users = n_users;
    qos->download = 8000 * (uint64_t)(1000 + rnd(100000));
    qos->upload = 8000 * (uint64_t)(1000 + rnd(100000));
    qos->classes = w.classes;
    qos->n_classes = CLASSES;
    for (uint32_t i = 0; i < CLASSES; i++) {
        struct config_class *cls = &w.classes[i];

        snprintf(cls->name, sizeof(cls->name), "class%u", i);
        cls->download = random_rates(qos->download);
        cls->upload = random_rates(qos->upload);
        cls->priority = rnd(8);
        cls->shared = i < 3;
    }
    for (uint32_t i = 0; i < n_users; i++) {
        struct config_user *user = &w.users[i];

        snprintf(user->name, sizeof(user->name), "user%05u", i);
        user->enabled = true;
        user->cls = rnd(10) ? &w.classes[rnd(CLASSES)] : NULL;
        if (rnd(4) == 0) {
            char text[64];

            if (rnd(2))
                snprintf(text, sizeof(text), "172.%u.%u.0/24", 16 + i / 256, i % 256);
            else
                snprintf(text, sizeof(text), "2001:db8:%x::/48", i);
            assert_int_equal(ip_prefix_parse(text, &w.networks[i]), 0);
            user->networks = &w.networks[i];
            user->n_networks = 1;
        }
    }
}

struct qos_session session_of(uint32_t i)
{
    struct qos_session session = {.number = i, .user = w.users[i].name};
    char text[64];

    snprintf(text, sizeof(text), "10.%u.%u.%u", 8 + i % 3, (i / 3) / 200, 10 + (i / 3) % 200);
    assert_int_equal(ip_addr_parse(text, &session.ip4), 0);
    if (i % 4) {
        snprintf(text, sizeof(text), "fd08::%x:%x", i % 5, 0x10 + i / 5);
        assert_int_equal(ip_addr_parse(text, &session.ip6), 0);
    }
    return session;
}

void random_sessions(uint32_t of)
{
    w.n_sessions = 0;
    for (uint32_t i = 0; i < w.config.n_users; i++) {
        if (of ? rnd(of) == 0 : rnd(3))
            w.sessions[w.n_sessions++] = session_of(i);
    }
}

struct net_set *lay_out(struct qos_tree **tree)
{
    struct net_set *set = net_set_new();
    struct err err;

    assert_non_null(set);
    assert_int_equal(qos_tree_build(&w.config, &all, w.sessions, w.n_sessions, tree), 0);
    assert_int_equal(qos_tree_lower(*tree, "vpn-server", set), 0);
    if (net_set_sort(set, &err) != 0)
        fail_msg("%s", err.msg);
    return set;
}

size_t count(const struct net_set *set, const char *dev, enum net_kind kind)
{
    size_t n = 0;

    for (size_t i = 0; i < net_set_count(set); i++) {
        const struct net_object *o = net_set_at(set, i);

        n += o->kind == kind && (!dev || strcmp(o->dev, dev) == 0);
    }
    return n;
}

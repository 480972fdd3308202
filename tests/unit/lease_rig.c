/* A configuration of a few users and their leases. */
#include "tests/unit/lease_rig.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>

struct config *conf;
struct leases *leases;
struct clock now;

static const char *const keys[USERS] = {
    "hSDwCYkwp1R0i33ctD73Wg2/Og0mOBr066SpjqqbTmo=", "3p7bfXt9wbTTW2HC7OQ1Nz+DQ8hbeGdNrfx+FG+IK08=",
    "CQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=", "CgAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",
    "CwAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=", "DAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",
};

struct config *config_of(const char *pool, uint32_t max_clients, const char *const *more)
{
    struct problems problems = {0};
    struct config *config = NULL;
    char text[2048];
    int n = snprintf(text, sizeof(text),
                     "server: {realm: home-3f9c81d2a47be650, max-clients: %u}\n"
                     "tunnel: {addresses: [10.8.0.1/16, \"fd08::1/64\"], pool: [%s]}\nusers:\n",
                     max_clients, pool);

    for (unsigned int i = 0; i < USERS; i++)
        n += snprintf(text + n, sizeof(text) - (size_t)n, "  u%u: {key: \"%s\"%s}\n", i, keys[i],
                      more && more[i] ? more[i] : "");
    if (config_parse("vpn.yaml", text, (size_t)n, &config, &problems) != 0)
        fail_msg("%s: %s", text, problems.n ? problems.items[0].text : "refused");
    problems_clear(&problems);
    return config;
}

void begin(struct config *config)
{
    conf = config;
    leases = leases_new(conf, USERS);
    now = (struct clock){.mono_ms = 5000, .real_us = 1800000000000000};
}

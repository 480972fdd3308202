/* Any bytes as a configuration: libyaml, the tree, the schema and the checks between values. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "client/profile.h"
#include "common/arena.h"
#include "common/doc.h"
#include "common/yaml.h"
#include "daemon/config.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(int holds)
{
    if (!holds)
        abort();
}

/* What every accepted server file guarantees its readers. */
static void config_invariants(const struct config *config)
{
    check(config->realm && config->identity && config->state && config->control_socket);
    check(config->n_listen >= 1 && config->n_addresses >= 1 && config->n_addresses <= 2);
    check(config->mtu >= WIRE_MTU_MIN && config->mtu <= WIRE_MTU_MAX && config->device[0]);
    for (size_t i = 0; i < config->n_pool; i++) {
        const struct ip_range *range = &config->pool[i];
        const struct ip_prefix *own = config_prefix(config, range->first.family);

        check(own && ip_prefix_contains(own, &range->first));
        check(ip_prefix_contains(own, &range->last));
        check(ip_addr_cmp(&range->first, &range->last) <= 0);
        check(i == 0 || ip_addr_cmp(&config->pool[i - 1].last, &range->first) < 0);
    }
    for (size_t i = 0; i < config->n_users; i++) {
        const struct config_user *user = &config->users[i];

        check(config_user_find(config, user->name) == user && user->line > 0);
        check(i == 0 || strcmp(config->users[i - 1].name, user->name) < 0);
        for (size_t j = 0; j < user->n_fixed; j++)
            check(config_prefix(config, user->fixed[j].family) != NULL);
    }
}

static void profile_invariants(const struct profile *profile)
{
    check(profile->n_tunnels >= 1 && profile->state && profile->control_socket);
    for (size_t i = 0; i < profile->n_tunnels; i++) {
        const struct profile_tunnel *t = &profile->tunnels[i];

        check(t->server_host && t->server_port && t->user && t->device[0] && t->name[0]);
        check(!t->token_file != !t->key_file && (t->realm || t->key_file));
    }
}

/* An overlay that changes every section, so that merging meets whatever the input made of them. */
static void merge_over(const uint8_t *data, size_t size)
{
    static const char over[] = "server: {listen: 1}\ntunnel: {pool: []}\nusers: {a: {key: b}}\n";
    struct arena *arena = arena_new((size_t)64 << 20);
    struct problems problems = {0};
    struct doc_node *base, *top;

    check(arena != NULL);
    if (doc_parse(arena, "base", data, size, &base, &problems) == 0 &&
        doc_parse(arena, "over", over, sizeof(over) - 1, &top, &problems) == 0) {
        check(doc_merge(arena, base, top) == 0);
        check(doc_get(doc_get(base, "server"), "listen") != NULL);
    }
    problems_clear(&problems);
    arena_free(arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct problems problems = {0};
    struct config *config = NULL;
    struct profile *profile = NULL;

    /* An error without a sentence, or success with an error, would both be lies. */
    if (config_parse("fuzz.yaml", data, size, &config, &problems) == 0)
        config_invariants(config);
    check((config == NULL) == (problems.n_errors > 0));
    config_free(config);
    problems_clear(&problems);

    if (profile_parse("fuzz.yaml", data, size, &profile, &problems) == 0)
        profile_invariants(profile);
    check((profile == NULL) == (problems.n_errors > 0));
    profile_free(profile);
    problems_clear(&problems);

    merge_over(data, size);
    return 0;
}

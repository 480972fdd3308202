/* Users by numbers: the difference of two files, and numbers that stay while files change. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/cred.h"
#include "daemon/users.h"

#define HEAD "server: {realm: home-3f9c81d2a47be650}\nusers:\n"
#define MAX  8

/* A valid public key for each number. */
static const char *key_of(unsigned int n)
{
    static char text[CRED_KEY_TEXT_LEN + 1];
    uint8_t secret[WIRE_KEY_LEN] = {1}, key[WIRE_KEY_LEN];

    secret[1] = (uint8_t)n;
    secret[2] = (uint8_t)(n >> 8);
    crypto_scalarmult_base(key, secret);
    cred_key_encode(key, text);
    return text;
}

/* "alice=1 bob=2{enabled: false}": names, numbers of keys, and more of a user's lines. */
static struct config *config_of(const char *users)
{
    char *text = NULL, *copy = strdup(users), *save = NULL;
    struct problems problems = {0};
    struct config *config = NULL;
    size_t size;
    FILE *out = open_memstream(&text, &size);

    fputs(*users ? HEAD : "server: {realm: home-3f9c81d2a47be650}\n", out);
    for (char *u = strtok_r(copy, ";", &save); u; u = strtok_r(NULL, ";", &save)) {
        char name[32], more[128] = "";
        unsigned int key;

        assert_true(sscanf(u, " %31[a-z]=%u%127[^\n]", name, &key, more) >= 2);
        fprintf(out, "  %s: {key: \"%s\"%s}\n", name, key_of(key), more);
    }
    fclose(out);
    if (config_parse("vpn.yaml", text, size, &config, &problems) != 0)
        fail_msg("%s: %s", text, problems.n ? problems.items[0].text : "refused");
    problems_clear(&problems);
    free(copy);
    free(text);
    return config;
}

static struct user_change *diff(const struct config *then, const struct config *now, size_t *n)
{
    struct user_change *changes = NULL;

    assert_int_equal(users_diff(then, now, &changes, n), 0);
    return changes;
}

static void assert_diff(const char *a, const char *b, const char *want)
{
    struct config *then = config_of(a), *now = config_of(b);
    char got[512] = "";
    size_t n, used = 0;
    struct user_change *changes = diff(then, now, &n);

    for (size_t i = 0; i < n; i++) {
        const struct user_change *c = &changes[i];

        used +=
            (size_t)snprintf(got + used, sizeof(got) - used, "%s%c%s", i ? " " : "", "+-~"[c->kind],
                             c -> kind == USER_REMOVED ? then -> users[c->old_index].name
                                                       : now->users[c->new_index].name);
        if (c->parts)
            used += (size_t)snprintf(got + used, sizeof(got) - used, ":%u", c->parts);
    }
    assert_string_equal(got, want);
    free(changes);
    config_free(then);
    config_free(now);
}

static void differences(void **state)
{
    (void)state;
    assert_diff("", "", "");
    assert_diff("ann=1;bob=2", "ann=1;bob=2", "");
    assert_diff("", "ann=1;bob=2", "+ann +bob");
    assert_diff("ann=1;bob=2", "", "-ann -bob");
    assert_diff("bob=2;dan=4", "ann=1;bob=2;cid=3", "+ann +cid -dan");
    assert_diff("ann=1;bob=2", "ann=1;bob=3", "-bob +bob");
    assert_diff("ann=1", "bob=1", "-ann +bob");
    assert_diff("ann=1,enabled: true,max-devices: 2", "ann=1", "");
    assert_diff("ann=1", "ann=1,enabled: false", "~ann:4");
    assert_diff("ann=1", "ann=1,expires: 2027-01-31", "~ann:4");
    assert_diff("ann=1", "ann=1,max-devices: 3", "~ann:8");
    assert_diff("ann=1,address: [10.8.0.5]", "ann=1,address: [10.8.0.6]", "~ann:1");
    assert_diff("ann=1,networks: [10.1.0.0/16]", "ann=1,networks: [10.1.0.0/16, 10.2.0.0/16]",
                "~ann:2");
    assert_diff("ann=1,networks: [10.1.0.0/16]", "ann=1,networks: [10.1.0.0/17]", "~ann:2");
    assert_diff("ann=1;bob=2", "ann=1,address: [10.8.0.7],enabled: false;bob=2", "~ann:5");
}

/* Put @now into force as a reload does; @then is freed. */
static void apply(struct users *u, struct config **then, const char *text, int want)
{
    struct config *now = config_of(text);
    size_t n;
    struct user_change *changes = diff(*then, now, &n);
    int rc = users_reserve(u, now, changes, n);

    assert_int_equal(rc, want);
    if (rc == 0) {
        users_apply(u, now, changes, n, 1000);
        config_free(*then);
        *then = now;
    } else {
        config_free(now);
    }
    free(changes);
}

static uint32_t id_of(const struct users *u, const char *name)
{
    uint32_t id = UINT32_MAX;

    assert_int_equal(users_find(u, name, &id), 0);
    return id;
}

static void numbers_stay(void **state)
{
    struct config *config = config_of("bob=2;dan=4");
    struct users *u = users_new(config, MAX);
    uint32_t bob = id_of(u, "bob"), dan = id_of(u, "dan"), id;

    (void)state;
    apply(u, &config, "ann=1;bob=2,enabled: false;cid=3;dan=4", 0);
    assert_int_equal(id_of(u, "bob"), bob);
    assert_int_equal(id_of(u, "dan"), dan);
    assert_false(users_get(u, bob)->conf->enabled);
    assert_string_equal(users_get(u, id_of(u, "ann"))->conf->name, "ann");
    assert_string_equal(users_name(u, id_of(u, "cid")), "cid");
    assert_int_equal(users_id(u, 1), bob);

    apply(u, &config, "ann=1;cid=3;dan=4", 0);
    assert_null(users_get(u, bob));
    assert_string_equal(users_name(u, bob), "bob");
    assert_int_equal(users_left_ms(u, bob), 1000);
    assert_int_equal(users_count(u, USER_LEAVING), 1);
    assert_int_equal(users_find(u, "bob", &id), -ENOENT);
    assert_true(users_next(u, USER_LEAVING, 0, &id));
    assert_int_equal(id, bob);
    assert_int_equal(id_of(u, "dan"), dan);
    /* He comes back before he is gone: another number, and his key is still in use. */
    apply(u, &config, "ann=1;bob=2;cid=3;dan=4", 0);
    assert_int_not_equal(id_of(u, "bob"), bob);
    assert_int_equal(users_get(u, id_of(u, "bob"))->state, USER_WAITING);
    users_gone(u, bob);
    assert_int_equal(users_count(u, USER_LEAVING), 0);
    users_let_in(u, id_of(u, "bob"));
    assert_int_equal(users_get(u, id_of(u, "bob"))->state, USER_LIVE);
    assert_int_equal(users_count(u, USER_LIVE), 4);
    users_free(u);
    config_free(config);
}

static void keys_in_use(void **state)
{
    struct config *config = config_of("ann=1;bob=2");
    struct users *u = users_new(config, MAX);
    uint32_t ann = id_of(u, "ann");

    (void)state;
    /* Renamed, and a stranger who need not wait. */
    apply(u, &config, "anna=1;bob=2;cid=3", 0);
    assert_int_equal(users_get(u, id_of(u, "anna"))->state, USER_WAITING);
    assert_int_equal(users_get(u, id_of(u, "cid"))->state, USER_LIVE);
    /* Renamed again: who only waited is nobody at once. */
    apply(u, &config, "anne=1;bob=2;cid=3", 0);
    assert_int_equal(users_count(u, USER_WAITING), 1);
    assert_int_equal(users_count(u, USER_LEAVING), 1);
    assert_int_equal(users_get(u, id_of(u, "anne"))->state, USER_WAITING);
    /* Another key for the same name: the old one leaves, the new one is live at once. */
    apply(u, &config, "anne=1;bob=7;cid=3", 0);
    assert_int_equal(users_count(u, USER_LEAVING), 2);
    assert_int_equal(users_get(u, id_of(u, "bob"))->state, USER_LIVE);
    users_gone(u, ann);
    assert_int_equal(users_count(u, USER_LEAVING), 1);
    users_free(u);
    config_free(config);
}

static void not_enough_numbers(void **state)
{
    struct config *config = config_of("a=1;b=2;c=3;d=4;e=5;f=6;g=7");
    struct users *u = users_new(config, MAX);
    uint32_t id;

    (void)state;
    assert_null(users_new(config, 6));
    apply(u, &config, "a=1;b=2;c=3;d=4;e=5;f=6;g=7;h=8;i=9", -ENOSPC);
    assert_int_equal(users_find(u, "h", &id), -ENOENT);
    apply(u, &config, "a=1;b=2;c=3;d=4;e=5;f=6;g=7;h=8", 0);
    /* Who is leaving still has a number. */
    apply(u, &config, "a=1;b=2;c=3;d=4;e=5;f=6;g=7", 0);
    apply(u, &config, "a=1;b=2;c=3;d=4;e=5;f=6;g=7;i=9", -ENOSPC);
    assert_true(users_next(u, USER_LEAVING, 0, &id));
    users_gone(u, id);
    apply(u, &config, "a=1;b=2;c=3;d=4;e=5;f=6;g=7;i=9", 0);
    assert_int_equal(users_count(u, USER_LIVE), MAX);
    users_free(u);
    config_free(config);
}

/* Random files one after another: every name keeps its number as long as its key stays. */
static void random_files(void **state)
{
    struct config *config = config_of("");
    struct users *u = users_new(config, 200);
    uint32_t ids[26], keys[26] = {0};

    (void)state;
    srand(5);
    for (int round = 0; round < 200; round++) {
        uint32_t next[26];
        char text[2048] = "";
        size_t used = 0;
        uint32_t id;

        for (unsigned int i = 0; i < 26; i++) {
            next[i] = rand() % 3 ? i + 1 + (rand() % 8 ? 0 : 100) : 0;
            if (next[i])
                used += (size_t)snprintf(text + used, sizeof(text) - used, "%s%c=%u",
                                         used ? ";" : "", 'a' + i, next[i]);
        }
        apply(u, &config, text, 0);
        for (unsigned int i = 0; i < 26; i++) {
            const char name[2] = {(char)('a' + i), 0};

            if (!next[i]) {
                assert_int_equal(users_find(u, name, &id), -ENOENT);
            } else if (next[i] == keys[i]) {
                assert_int_equal(id_of(u, name), ids[i]);
            }
            if (next[i])
                ids[i] = id_of(u, name);
            if (next[i])
                assert_string_equal(users_get(u, ids[i])->conf->name, name);
            keys[i] = next[i];
        }
        for (id = 0; users_next(u, USER_LEAVING, id, &id); id++)
            users_gone(u, id);
        for (id = 0; users_next(u, USER_WAITING, id, &id); id++)
            users_let_in(u, id);
        assert_int_equal(users_count(u, USER_LIVE), config->n_users);
    }
    users_free(u);
    config_free(config);
}

static int setup(void **state)
{
    (void)state;
    return sodium_init() < 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(differences),  cmocka_unit_test(numbers_stay),
        cmocka_unit_test(keys_in_use),  cmocka_unit_test(not_enough_numbers),
        cmocka_unit_test(random_files),
    };

    return cmocka_run_group_tests(tests, setup, NULL);
}

/* The client's configuration: the bad files with their exact messages, defaults, the whole. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "client/profile.h"

#define BAD_FILES_MIN 8 /* fewer would mean that the folder was not found */

#define TUNNEL                                                                                     \
    "    server: vpn.example.org:51820\n"                                                          \
    "    server-key: \"hSDwCYkwp1R0i33ctD73Wg2/Og0mOBr066SpjqqbTmo=\"\n"                           \
    "    user: alice\n"

static void test_bad_files(void **state)
{
    size_t files = 0;
    glob_t found;

    (void)state;
    assert_int_equal(chdir("tests/unit/bad"), 0);
    assert_int_equal(glob("client-*.yaml", 0, NULL, &found), 0);
    for (; files < found.gl_pathc; files++) {
        const char *path = found.gl_pathv[files];
        struct problems problems = {0};
        struct profile *profile = NULL;
        char expect[256], want[8192] = "", *got = NULL;
        size_t size;
        FILE *in, *out;

        if (profile_load(path, &profile, &problems) != -EINVAL || profile)
            fail_msg("%s was accepted", path);
        snprintf(expect, sizeof(expect), "%.*s.expect", (int)strlen(path) - 5, path);
        in = fopen(expect, "r");
        out = open_memstream(&got, &size);
        assert_non_null(in);
        assert_non_null(out);
        assert_true(fread(want, 1, sizeof(want) - 1, in) > 0);
        problems_print(&problems, out);
        fclose(in);
        fclose(out);
        if (strcmp(got, want) != 0)
            fail_msg("%s\n--- said ---\n%s--- expected ---\n%s", path, got, want);
        free(got);
        problems_clear(&problems);
    }
    globfree(&found);
    assert_int_equal(chdir("../../.."), 0);
    assert_true(files >= BAD_FILES_MIN);
}

static struct profile *parse(const char *name, const char *text, size_t notes)
{
    struct problems problems = {0};
    struct profile *profile = NULL;

    if (profile_parse(name, text, strlen(text), &profile, &problems) != 0)
        fail_msg("refused: %s", problems.n ? problems.items[0].text : "without a word");
    assert_int_equal(problems.n, notes);
    problems_clear(&problems);
    return profile;
}

static void test_defaults(void **state)
{
    struct profile *profile =
        parse("/etc/vpn/c.yaml", "tunnels:\n  office:\n" TUNNEL "    key-file: a.key\n", 0);
    const struct profile_tunnel *t = &profile->tunnels[0];

    (void)state;
    assert_int_equal(profile->n_tunnels, 1);
    assert_string_equal(t->name, "office");
    assert_string_equal(t->device, "tun0");
    assert_string_equal(t->server, "vpn.example.org:51820");
    assert_string_equal(t->server_host, "vpn.example.org");
    assert_int_equal(t->server_port, 51820);
    assert_int_equal(t->server_key[31], 0x6a);
    assert_null(t->realm);
    assert_string_equal(t->user, "alice");
    assert_null(t->token_file);
    assert_string_equal(t->key_file, "/etc/vpn/a.key");
    assert_true(t->own_network);
    assert_int_equal(t->n_routes, 0);
    assert_int_equal(t->mtu, 0);
    assert_string_equal(t->file, "/etc/vpn/c.yaml");
    assert_int_equal(t->line, 2);
    assert_string_equal(profile->state, "/var/lib/vpn-client");
    assert_string_equal(profile->control_socket, "/run/vpn-client/vpn.sock");
    assert_string_equal(profile->control_group, "vpn");
    assert_int_equal(profile->log_level, LOG_LEVEL_INFO);
    assert_null(profile->log_file);
    profile_free(profile);
    profile_free(NULL);
}

static void test_whole(void **state)
{
    struct profile *profile = parse("c.yaml",
                                    "version: 1\n"
                                    "tunnels:\n"
                                    "  second:\n" TUNNEL "    key-file: a.key\n"
                                    "    routes: []\n"
                                    "    device: tun1\n"
                                    "    gateway: 10.8.0.1\n"
                                    "  first:\n"
                                    "    device: tun101\n"
                                    "    server: \"[fd08::1]:5\"\n"
                                    "    server-key: \"hSDwCYkwp1R0i33ctD73Wg2/"
                                    "Og0mOBr066SpjqqbTmo=\"\n"
                                    "    user: bob\n"
                                    "    realm: home-3f9c81d2a47be650\n"
                                    "    token-file: /t\n"
                                    "    routes: [10.1.2.3/16, default]\n"
                                    "    mtu: 1300\n"
                                    "state: /s\n"
                                    "control: {socket: /c, group: g}\n"
                                    "log: {level: error, file: /l}\n",
                                    1);
    const struct profile_tunnel *t = &profile->tunnels[0];
    char buf[IP_PREFIX_STRLEN];

    (void)state;
    assert_int_equal(profile->n_tunnels, 2);
    assert_string_equal(t->name, "first");
    assert_string_equal(t->server_host, "fd08::1");
    assert_int_equal(t->server_port, 5);
    assert_string_equal(t->realm, "home-3f9c81d2a47be650");
    assert_string_equal(t->token_file, "/t");
    assert_null(t->key_file);
    assert_false(t->own_network);
    assert_int_equal(t->n_routes, 3);
    assert_string_equal(ip_prefix_format(&t->routes[0], buf), "10.1.0.0/16");
    assert_string_equal(ip_prefix_format(&t->routes[1], buf), "0.0.0.0/0");
    assert_string_equal(ip_prefix_format(&t->routes[2], buf), "::/0");
    assert_int_equal(t->mtu, 1300);
    t = &profile->tunnels[1];
    assert_string_equal(t->name, "second");
    /* A file without a folder in its name: relative to where we are. */
    assert_string_equal(t->key_file, "a.key");
    assert_false(t->own_network);
    assert_int_equal(t->n_routes, 0);
    assert_string_equal(profile->state, "/s");
    assert_string_equal(profile->control_socket, "/c");
    assert_string_equal(profile->control_group, "g");
    assert_int_equal(profile->log_level, LOG_LEVEL_ERROR);
    assert_string_equal(profile->log_file, "/l");
    profile_free(profile);
}

static void test_example(void **state)
{
    struct problems problems = {0};
    struct profile *profile = NULL;

    (void)state;
    assert_int_equal(profile_load("etc/client.yaml", &profile, &problems), 0);
    assert_int_equal(problems.n, 0);
    assert_string_equal(profile->tunnels[0].name, "office");
    profile_free(profile);

    profile = NULL;
    assert_int_equal(profile_load("etc/no-such-file.yaml", &profile, &problems), -ENOENT);
    assert_null(profile);
    assert_int_equal(problems.n_errors, 1);
    problems_clear(&problems);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bad_files),
        cmocka_unit_test(test_defaults),
        cmocka_unit_test(test_whole),
        cmocka_unit_test(test_example),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

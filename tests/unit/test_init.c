/* vpn-server --init: what it writes, that it overwrites nothing, that a failure leaves nothing. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/cred.h"
#include "daemon/config.h"
#include "daemon/init.h"

static char top[] = "/tmp/test_init.XXXXXX";

static const char *under_top(const char *name)
{
    static char path[256];

    snprintf(path, sizeof(path), "%s/%s", top, name);
    return path;
}

/* The first line of a file, which must be its only one. */
static void line_get(const char *path, char *buf, int size)
{
    FILE *in = fopen(path, "r");

    assert_non_null(in);
    assert_non_null(fgets(buf, size, in));
    assert_int_equal(fgetc(in), EOF);
    fclose(in);
    buf[strcspn(buf, "\n")] = '\0';
}

static mode_t mode_of(const char *path)
{
    struct stat st;

    assert_int_equal(stat(path, &st), 0);
    return st.st_mode & 07777;
}

static int entries(const char *path)
{
    DIR *d = opendir(path);
    int n = 0;

    assert_non_null(d);
    while (readdir(d))
        n++;
    closedir(d);
    return n - 2;
}

/* The installed example is this text, so that the two cannot drift apart. */
static void test_same_as_example(void **state)
{
    char *text = NULL, example[8192] = "";
    FILE *in = fopen("etc/vpn.yaml", "r");
    size_t len;

    (void)state;
    assert_non_null(in);
    assert_true(fread(example, 1, sizeof(example) - 1, in) > 0);
    fclose(in);
    assert_int_equal(init_render(INIT_DIR, "home-3f9c81d2a47be650", &text, &len), 0);
    assert_string_equal(text, example);
    assert_int_equal(len, strlen(example));
    free(text);
}

static void test_writes(void **state)
{
    char private_text[80], public_text[80], dir[256], said[4096] = "";
    uint8_t private_key[32], public_key[32], derived[32];
    struct problems problems = {0};
    struct config *config = NULL;
    struct err err = {""};
    FILE *out = fmemopen(said, sizeof(said), "w");

    (void)state;
    assert_non_null(out);
    umask(077);
    snprintf(dir, sizeof(dir), "%s", under_top("it's new"));
    assert_int_equal(init_write(dir, out, &err), 0);
    fclose(out);
    assert_int_equal(entries(dir), 3);
    assert_int_equal(mode_of(under_top("it's new/identity.key")), 0400);
    assert_int_equal(mode_of(under_top("it's new/identity.pub")), 0644);
    assert_int_equal(mode_of(under_top("it's new/vpn.yaml")), 0640);

    line_get(under_top("it's new/identity.key"), private_text, sizeof(private_text));
    line_get(under_top("it's new/identity.pub"), public_text, sizeof(public_text));
    assert_int_equal(cred_key_decode(private_text, private_key), 0);
    assert_int_equal(cred_key_decode(public_text, public_key), 0);
    cred_public(private_key, derived);
    assert_memory_equal(derived, public_key, 32);
    assert_non_null(strstr(said, public_text));
    assert_null(strstr(said, private_text));
    assert_non_null(strstr(said, "vpnctl user add alice"));

    /* It loads, and touches nothing outside its folder. */
    assert_int_equal(config_load(under_top("it's new/vpn.yaml"), &config, &problems), 0);
    assert_int_equal(problems.n, 0);
    assert_string_equal(config->identity, under_top("it's new/identity.key"));
    assert_string_equal(config->control_socket, under_top("it's new/vpn.sock"));
    assert_string_equal(config->state, under_top("it's new/state"));
    assert_true(cred_realm_valid(config->realm));
    config_free(config);
}

static void test_fresh_each_time(void **state)
{
    char first[80], second[80];
    FILE *null = fopen("/dev/null", "w");
    struct err err;

    (void)state;
    assert_non_null(null);
    assert_int_equal(init_write(under_top("one"), null, &err), 0);
    assert_int_equal(init_write(under_top("two"), null, &err), 0);
    line_get(under_top("one/identity.pub"), first, sizeof(first));
    line_get(under_top("two/identity.pub"), second, sizeof(second));
    assert_string_not_equal(first, second);
    fclose(null);
}

static void test_overwrites_nothing(void **state)
{
    static const char *const names[] = {"identity.key", "identity.pub", "vpn.yaml"};
    FILE *null = fopen("/dev/null", "w");

    (void)state;
    assert_non_null(null);
    for (size_t i = 0; i < 3; i++) {
        char dir[300], path[400], text[16];
        struct err err = {""};
        FILE *file;

        snprintf(dir, sizeof(dir), "%s%zu", under_top("taken"), i);
        snprintf(path, sizeof(path), "%s/%s", dir, names[i]);
        assert_int_equal(mkdir(dir, 0700), 0);
        file = fopen(path, "w");
        assert_non_null(file);
        fputs("mine\n", file);
        fclose(file);
        assert_int_equal(init_write(dir, null, &err), -EEXIST);
        assert_non_null(strstr(err.msg, names[i]));
        line_get(path, text, sizeof(text));
        assert_string_equal(text, "mine");
        assert_int_equal(entries(dir), 1);
    }
    fclose(null);
}

static void test_failure_leaves_nothing(void **state)
{
    FILE *null = fopen("/dev/null", "w");
    struct err err = {""};
    char name[150];

    (void)state;
    assert_non_null(null);
    assert_int_equal(init_write(under_top("no/parent"), null, &err), -ENOENT);
    assert_non_null(strstr(err.msg, "no/parent"));

    /* Too long a folder for a socket's path, and one that no YAML text may hold. */
    memset(name, 'x', sizeof(name) - 1);
    name[sizeof(name) - 1] = '\0';
    assert_int_equal(init_write(under_top(name), null, &err), -EINVAL);
    assert_int_equal(access(under_top(name), F_OK), -1);
    assert_int_equal(init_write(under_top("new\nline"), null, &err), -EINVAL);
    assert_int_equal(access(under_top("new\nline"), F_OK), -1);
    fclose(null);
}

static int setup(void **state)
{
    (void)state;
    return mkdtemp(top) ? 0 : -1;
}

static int remove_tree(void **state)
{
    char command[64];

    (void)state;
    snprintf(command, sizeof(command), "rm -rf %s", top);
    return system(command);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_same_as_example),        cmocka_unit_test(test_writes),
        cmocka_unit_test(test_fresh_each_time),        cmocka_unit_test(test_overwrites_nothing),
        cmocka_unit_test(test_failure_leaves_nothing),
    };

    return cmocka_run_group_tests(tests, setup, remove_tree);
}

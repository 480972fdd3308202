/*
 * From a token to a key, and secret files.
 *
 * The expected key was computed with other programs: salt and token with sha256sum, c with the
 * argon2 command of the reference implementation (-id -t 3 -k 65536 -p 1 -l 32), C with openssl.
 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>
#include <sodium.h>

#include "common/cred.h"

#define REALM "home-3f9c81d2a47be650"
#define TOKEN "3d11dc479c08e3b368773103d64766c2e420ce39727932fcf2d8f4d9d599be59"

static char dir[] = "/tmp/test_cred.XXXXXX";
static char path[64];

static void tokens(void **state)
{
    char token[CRED_TOKEN_LEN + 1], other[CRED_TOKEN_LEN + 1];

    (void)state;
    /* printf %s alice:secret | sha256sum; the second with an empty password */
    cred_token_from_password("alice", "secret", token);
    assert_string_equal(token, TOKEN);
    cred_token_from_password("bob@x", "", token);
    assert_string_equal(token, "3a761ad90279f6a84f064bf9256e14bd2896ff30bbe09ca1af04b8ffaee2c37a");

    cred_token_random(token);
    cred_token_random(other);
    assert_true(cred_token_valid(token));
    assert_string_not_equal(token, other);

    assert_false(cred_token_valid(""));
    token[10] = 'A';
    assert_false(cred_token_valid(token));
    token[10] = 'g';
    assert_false(cred_token_valid(token));
    token[10] = '\0';
    assert_false(cred_token_valid(token));
    assert_false(cred_token_valid(TOKEN "0"));
}

static void key_known(void **state)
{
    uint8_t c[WIRE_KEY_LEN], public_key[WIRE_KEY_LEN];
    char hex[2 * WIRE_KEY_LEN + 1], text[CRED_KEY_TEXT_LEN + 1];

    (void)state;
    assert_int_equal(cred_key_from_token(REALM, "alice", TOKEN, c), 0);
    sodium_bin2hex(hex, sizeof(hex), c, sizeof(c));
    assert_string_equal(hex, "a768c96b33c77342583c2240aec58401c0be22938741a8c2ddf50e60fcdb20c8");
    cred_public(c, public_key);
    cred_key_encode(public_key, text);
    assert_string_equal(text, "aLp02R355I/UZ6rI+KadNGXYK1RYNaYS3wq9B567yWY=");

    assert_int_equal(cred_key_from_token("home", "alice", TOKEN, c), -EINVAL);
    assert_int_equal(cred_key_from_token(REALM, "Alice", TOKEN, c), -EINVAL);
    assert_int_equal(cred_key_from_token(REALM, "alice", TOKEN "0", c), -EINVAL);
}

static void names(void **state)
{
    char longest[WIRE_USER_MAX + 2];
    char realm[130];

    (void)state;
    assert_true(cred_user_valid("a"));
    assert_true(cred_user_valid("a.b_c@d-9"));
    assert_false(cred_user_valid(""));
    assert_false(cred_user_valid("A"));
    assert_false(cred_user_valid("a b"));
    assert_false(cred_user_valid("a:b"));
    assert_false(cred_user_valid("\xc3\xa4"));
    memset(longest, 'x', sizeof(longest));
    longest[WIRE_USER_MAX] = '\0';
    assert_true(cred_user_valid(longest));
    longest[WIRE_USER_MAX] = 'x';
    longest[WIRE_USER_MAX + 1] = '\0';
    assert_false(cred_user_valid(longest));

    assert_true(cred_realm_valid(REALM));
    assert_true(cred_realm_valid("my-home-3f9c81d2a47be65000"));
    assert_false(cred_realm_valid("home-3f9c81d2a47be65"));
    assert_false(cred_realm_valid("home3f9c81d2a47be650"));
    assert_false(cred_realm_valid("3f9c81d2a47be650"));
    assert_false(cred_realm_valid("Home-3f9c81d2a47be650"));
    assert_false(cred_realm_valid("home-3f9c81d2a47be65g"));
    assert_false(cred_realm_valid(""));
    memset(realm, 'a', sizeof(realm));
    realm[100] = '-';
    realm[128] = '\0';
    assert_true(cred_realm_valid(realm));
    realm[128] = 'a';
    realm[129] = '\0';
    assert_false(cred_realm_valid(realm));
}

static void key_text(void **state)
{
    static const char *const bad[] = {
        "",
        "aLp0",
        "aLp02R355I/UZ6rI+KadNGXYK1RYNaYS3wq9B567yWY==",
        "aLp02R355I/UZ6rI+KadNGXYK1RYNaYS3wq9B567yWZ=", /* bits beyond the 32nd byte */
        "aLp02R355I/UZ6rI+KadNGXYK1RYNaYS3wq9B567yW*=",
        "aLp02R355I/UZ6rI+KadNGXYK 1RYNaYS3wq9B567yW=",
        "aLp02R355I/UZ6rI+KadNGXYK1RYNaYS3wq9B567yWY= x",
        "68ba74d91df9e48fd467aac8f8a69d3465d82b545835a612df0abd079ebbc96",
        "68ba74d91df9e48fd467aac8f8a69d3465d82b545835a612df0abd079ebbc96g",
    };
    uint8_t want[WIRE_KEY_LEN], key[WIRE_KEY_LEN];

    (void)state;
    assert_int_equal(cred_key_decode("aLp02R355I/UZ6rI+KadNGXYK1RYNaYS3wq9B567yWY=", want), 0);
    assert_int_equal(want[0], 0x68);
    assert_int_equal(want[31], 0x66);
    assert_int_equal(cred_key_decode(" \taLp02R355I/UZ6rI+KadNGXYK1RYNaYS3wq9B567yWY\r\n", key), 0);
    assert_memory_equal(key, want, sizeof(key));
    assert_int_equal(
        cred_key_decode("68BA74d91df9e48fd467aac8f8a69d3465d82b545835a612df0abd079ebbc966\n", key),
        0);
    assert_memory_equal(key, want, sizeof(key));

    memset(key, 7, sizeof(key));
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_int_equal(cred_key_decode(bad[i], key), -EINVAL);
    assert_int_equal(key[0], 7); /* written on success only */

    cred_key_random(key);
    assert_memory_not_equal(key, want, sizeof(key));
}

static void write_file(const char *text, size_t len, mode_t mode)
{
    int fd;

    unlink(path);
    fd = open(path, O_WRONLY | O_CREAT | O_EXCL, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, len), (ssize_t)len);
    assert_int_equal(fchmod(fd, mode), 0);
    close(fd);
}

/* Open the file and read its line; the result of whichever failed first. */
static int read_back(char *buf, size_t size)
{
    struct err err = {""};
    int fd, rc;

    fd = cred_secret_open(path, geteuid(), &err);
    if (fd < 0) {
        assert_non_null(strstr(err.msg, path)); /* the sentence names the file */
        return fd;
    }
    rc = cred_secret_read(fd, buf, size);
    close(fd);
    return rc;
}

static void secret_lines(void **state)
{
    char buf[16];

    (void)state;
    write_file("token\nrest", 10, 0600);
    assert_int_equal(read_back(buf, sizeof(buf)), 5);
    assert_string_equal(buf, "token");
    for (size_t i = 5; i < sizeof(buf); i++)
        assert_int_equal(buf[i], 0); /* the rest of the file does not stay behind */
    write_file("token\r\n", 7, 0400);
    assert_int_equal(read_back(buf, sizeof(buf)), 5);
    assert_string_equal(buf, "token");
    write_file("token", 5, 0600);
    assert_int_equal(read_back(buf, sizeof(buf)), 5);
    assert_string_equal(buf, "token");
    write_file("", 0, 0600);
    assert_int_equal(read_back(buf, sizeof(buf)), 0);

    write_file("123456789012345\n", 16, 0600);
    assert_int_equal(read_back(buf, sizeof(buf)), 15);
    write_file("1234567890123456", 16, 0600);
    assert_int_equal(read_back(buf, sizeof(buf)), -EMSGSIZE);
    assert_int_equal(buf[0], 0);
    write_file("a\0b\n", 4, 0600);
    assert_int_equal(read_back(buf, sizeof(buf)), -EINVAL);
    assert_int_equal(buf[0], 0);
}

static void secret_refused(void **state)
{
    static char large[4097];
    char buf[16], target[80];

    (void)state;
    for (int bit = 0; bit < 6; bit++) {
        write_file("x\n", 2, (mode_t)(0600 | 1 << bit));
        assert_int_equal(read_back(buf, sizeof(buf)), -EPERM);
    }
    write_file(large, sizeof(large), 0600);
    assert_int_equal(read_back(buf, sizeof(buf)), -EFBIG);

    snprintf(target, sizeof(target), "%s.target", path);
    write_file("x\n", 2, 0600);
    assert_int_equal(rename(path, target), 0);
    assert_int_equal(symlink(target, path), 0);
    assert_int_equal(read_back(buf, sizeof(buf)), -ELOOP);
    unlink(target);
    unlink(path);
    assert_int_equal(read_back(buf, sizeof(buf)), -ENOENT);

    assert_int_equal(mkfifo(path, 0600), 0);
    assert_int_equal(read_back(buf, sizeof(buf)), -EINVAL);
    unlink(path);
    assert_int_equal(mkdir(path, 0700), 0);
    assert_int_equal(read_back(buf, sizeof(buf)), -EINVAL);
    rmdir(path);
}

static void secret_owner(void **state)
{
    struct err err = {""};
    int fd;

    (void)state;
    if (geteuid() != 0)
        skip(); /* only root can give a file away */
    write_file("x\n", 2, 0600);
    fd = cred_secret_open(path, 4711, &err); /* root's files are always accepted */
    assert_true(fd >= 0);
    close(fd);
    assert_int_equal(chown(path, 4711, 0), 0);
    fd = cred_secret_open(path, 4711, &err);
    assert_true(fd >= 0);
    close(fd);
    assert_int_equal(cred_secret_open(path, 4712, &err), -EPERM);
    assert_non_null(strstr(err.msg, "4711"));
}

static int setup(void **state)
{
    (void)state;
    if (sodium_init() < 0 || !mkdtemp(dir))
        return -1;
    snprintf(path, sizeof(path), "%s/secret", dir);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    unlink(path);
    return rmdir(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tokens),       cmocka_unit_test(key_known),
        cmocka_unit_test(names),        cmocka_unit_test(key_text),
        cmocka_unit_test(secret_lines), cmocka_unit_test(secret_refused),
        cmocka_unit_test(secret_owner),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}

/* netlink/sysctl_keep against the real kernel, in a network namespace of its own. */
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

#include "common/cleanup.h"
#include "netlink/sysctl.h"
#include "netlink/sysctl_keep.h"
#include "tests/net/netns.h"
#include "tests/unit/expect.h"

#define ROOT     "/proc/sys/net/"
#define FORWARD4 "ipv4/ip_forward"
#define FORWARD6 "ipv6/conf/all/forwarding"

static char folder[] = "/tmp/vpn-keep.XXXXXX";
static char file[sizeof(folder) + 16];

static const struct net_setting both[] = {{FORWARD4, "1"}, {FORWARD6, "1"}};

static void set(const char *path, const char *value)
{
    char copy[64];
    struct net_sysctl key;

    assert_int_equal(net_sysctl_split(path, copy, &key), 0);
    OK(net_sysctl_write(&key, value, &err));
}

static void expect(const char *path, const char *want)
{
    char copy[64], value[NET_SYSCTL_VALUE_SIZE];
    struct net_sysctl key;

    assert_int_equal(net_sysctl_split(path, copy, &key), 0);
    OK(net_sysctl_read(&key, value, &err));
    if (strcmp(value, want) != 0)
        fail_msg("%s is %s, not %s", path, value, want);
}

/* Every setting of the namespace, as one text. */
static char *everything(void)
{
    char *text = calloc(1, 1 << 20);
    FILE *f = popen("cd " ROOT " && grep -sr . ipv4/ip_forward ipv4/conf ipv6/conf | sort", "r");

    assert_non_null(text);
    assert_non_null(f);
    assert_true(fread(text, 1, (1 << 20) - 1, f) > 1000);
    pclose(f);
    return text;
}

static struct net_sysctl_keep *open_keep(void)
{
    struct net_sysctl_keep *keep = NULL;
    struct err note = {{0}};

    OK(net_sysctl_keep_open(&keep, file, &note, &err));
    assert_string_equal(note.msg, "");
    return keep;
}

static bool file_there(void)
{
    return access(file, F_OK) == 0;
}

/* What forwarding changes along, set otherwise than it would be. */
static void set_exceptions(const char *forwarding, const char *redirects)
{
    set("ipv4/conf/lo/forwarding", forwarding);
    set("ipv6/conf/lo/forwarding", forwarding);
    set("ipv4/conf/all/accept_redirects", redirects);
}

static void write_and_restore(struct net_sysctl_keep *keep)
{
    OK(net_sysctl_keep_want(keep, both, 2, &err));
    expect(FORWARD4, "1");
    expect(FORWARD6, "1");
    assert_true(file_there());
    OK(net_sysctl_keep_restore(keep, &err));
}

/* Noted, written by the engine, and taken back by it. */
static void note_and_take_back(struct net_sysctl_keep *keep)
{
    OK(net_sysctl_keep_note(keep, both, 2, &err));
    expect(FORWARD4, "0");
    assert_true(file_there());
    for (size_t i = 0; i < 2; i++) {
        set(both[i].path, "1");
        set(both[i].path, "0");
    }
    OK(net_sysctl_keep_want(keep, NULL, 0, &err));
}

/* All that changes along with forwarding comes back too, exceptions of single devices included. */
static void round_trip(void there_and_back(struct net_sysctl_keep *))
{
    struct net_sysctl_keep *keep = open_keep();
    char *before, *after;

    set_exceptions("1", "0");
    before = everything();
    there_and_back(keep);
    after = everything();
    assert_string_equal(after, before);
    assert_false(file_there());
    net_sysctl_keep_free(keep);
    free(before);
    free(after);
    set_exceptions("0", "1");
}

static void test_round_trip(void **state)
{
    (void)state;
    round_trip(write_and_restore);
}

static void test_taken_back(void **state)
{
    (void)state;
    round_trip(note_and_take_back);
}

/* Killed at any time: the next run knows what was there before the first. */
static void test_killed(void **state)
{
    struct net_sysctl_keep *keep = open_keep();
    char *before = everything(), *after;

    (void)state;
    for (int i = 0; i < 3; i++) {
        OK(net_sysctl_keep_want(keep, both, 2, &err));
        net_sysctl_keep_free(keep);
        keep = open_keep();
    }
    OK(net_sysctl_keep_restore(keep, &err));
    after = everything();
    assert_string_equal(after, before);
    net_sysctl_keep_free(keep);
    free(before);
    free(after);
}

static void test_no_longer_wanted(void **state)
{
    struct net_sysctl_keep *keep = open_keep();

    (void)state;
    OK(net_sysctl_keep_want(keep, both, 2, &err));
    OK(net_sysctl_keep_want(keep, both, 1, &err));
    expect(FORWARD4, "1");
    expect(FORWARD6, "0");
    /* Somebody sets it to what it was: it is set again. */
    set(FORWARD4, "0");
    OK(net_sysctl_keep_want(keep, both, 1, &err));
    expect(FORWARD4, "1");
    OK(net_sysctl_keep_want(keep, NULL, 0, &err));
    expect(FORWARD4, "0");
    assert_false(file_there());
    net_sysctl_keep_free(keep);
}

/* What was on already, or what somebody changed since, is theirs. */
static void test_others(void **state)
{
    struct net_sysctl_keep *keep = open_keep();

    (void)state;
    set(FORWARD4, "1");
    OK(net_sysctl_keep_want(keep, both, 2, &err));
    OK(net_sysctl_keep_restore(keep, &err));
    expect(FORWARD4, "1");
    expect(FORWARD6, "0");
    set(FORWARD4, "0");

    OK(net_sysctl_keep_want(keep, both, 2, &err));
    set(FORWARD6, "2");
    OK(net_sysctl_keep_restore(keep, &err));
    expect(FORWARD6, "2");
    expect(FORWARD4, "0");
    set(FORWARD6, "0");
    net_sysctl_keep_free(keep);
}

static void write_file(const char *text, size_t len)
{
    int fd = open(file, O_WRONLY | O_CREAT | O_TRUNC, 0600);

    assert_true(fd >= 0 && write(fd, text, len) == (ssize_t)len);
    close(fd);
}

/* The file as it is after a kill, for tests to spoil. */
static size_t good_file(char *text, size_t size)
{
    struct net_sysctl_keep *keep = open_keep();
    FILE *f;
    size_t n;

    OK(net_sysctl_keep_want(keep, both, 2, &err));
    net_sysctl_keep_free(keep);
    f = fopen(file, "r");
    assert_non_null(f);
    n = fread(text, 1, size - 1, f);
    text[n] = '\0';
    fclose(f);
    keep = open_keep();
    OK(net_sysctl_keep_restore(keep, &err));
    net_sysctl_keep_free(keep);
    return n;
}

static void replaced(char *out, size_t size, const char *text, const char *from, const char *to)
{
    const char *at = strstr(text, from);

    assert_non_null(at);
    assert_true(snprintf(out, size, "%.*s%s%s", (int)(at - text), text, to, at + strlen(from)) <
                (int)size);
}

/* Nothing is put back from a file that is not as it was written, and it is said. */
static void test_damaged(void **state)
{
    static const struct {
        const char *from, *to;
    } damage[] = {
        {"vpn-sysctl 1", "vpn-sysctl 2"},
        {"ip_forward 0 1", "ip_forward 0"},
        {"ip_forward 0 1", "ip_forward 0 1 1"},
        {"ip_forward 0 1", "ip_forward x 1"},
        {"ip_forward 0 1", "ip_forward 0 1x"},
        {"ip_forward 0 1", "../../kernel/panic 0 1"},
        {"ip_forward 0 1", "ip_forward 00000000000000000000000000000000000000000 1"},
        {"ipv4/ip_forward", "ipv4//ip_forward"},
        {"ipv4/ip_forward", "ipv4/ip_forward/a/b/c/d/e"},
        {"ipv4/ip_forward", "core/somaxconn"},
        {"ipv4/ip_forward", "ipv6/conf/all/forwarding"},
        {"ipv4/ip_forward 0 1", "ipv4/ip_forward 0 -"},
    };
    char text[16384], bad[16384];
    const size_t len = good_file(text, sizeof(text));

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(damage) + 3; i++) {
        struct net_sysctl_keep *keep = NULL;
        struct err note = {{0}};

        if (i < ARRAY_SIZE(damage)) {
            replaced(bad, sizeof(bad), text, damage[i].from, damage[i].to);
            write_file(bad, strlen(bad));
        } else if (i == ARRAY_SIZE(damage)) {
            write_file(text, len - 1); /* cut short */
        } else if (i == ARRAY_SIZE(damage) + 1) {
            write_file("", 0);
        } else {
            memcpy(bad, text, len);
            bad[len / 2] = '\0';
            write_file(bad, len);
        }
        set(FORWARD4, "1");
        OK(net_sysctl_keep_open(&keep, file, &note, &err));
        if (!strstr(note.msg, "not believed"))
            fail_msg("believed: damage %zu", i);
        OK(net_sysctl_keep_restore(keep, &err));
        expect(FORWARD4, "1");
        set(FORWARD4, "0");
        assert_false(file_there());
        net_sysctl_keep_free(keep);
    }
    /* Neither a link nor a folder in its place. */
    assert_int_equal(symlink("/etc/passwd", file), 0);
    {
        struct net_sysctl_keep *keep = NULL;
        struct err note = {{0}};

        OK(net_sysctl_keep_open(&keep, file, &note, &err));
        assert_non_null(strstr(note.msg, "not believed"));
        net_sysctl_keep_free(keep);
    }
    unlink(file);
}

/* Another boot's file, or another namespace's, says nothing about this one. */
static void test_elsewhere(void **state)
{
    char text[16384], other[16384], *space;
    struct net_sysctl_keep *keep;

    (void)state;
    good_file(text, sizeof(text));
    for (int i = 0; i < 2; i++) {
        strcpy(other, text);
        space = strchr(strchr(other, '\n'), ' ');
        space[i ? 1 : -1] = space[i ? 1 : -1] == '1' ? '2' : '1';
        write_file(other, strlen(other));
        set(FORWARD4, "1");
        keep = open_keep();
        OK(net_sysctl_keep_restore(keep, &err));
        expect(FORWARD4, "1");
        net_sysctl_keep_free(keep);
        set(FORWARD4, "0");
    }
}

/* A disk that takes nothing: it is said, forwarding works, and this process still puts it back. */
static void test_full(void **state)
{
    struct net_sysctl_keep *keep = NULL;
    struct err note = {{0}}, why = {{0}};
    char path[sizeof(folder) + 32];

    (void)state;
    snprintf(path, sizeof(path), "%s/none/sysctl", folder);
    OK(net_sysctl_keep_open(&keep, path, &note, &err));
    assert_true(net_sysctl_keep_want(keep, both, 2, &why) < 0);
    assert_non_null(strstr(why.msg, "cannot be kept"));
    expect(FORWARD4, "1");
    expect(FORWARD6, "1");
    (void)net_sysctl_keep_restore(keep, &why);
    expect(FORWARD4, "0");
    expect(FORWARD6, "0");
    net_sysctl_keep_free(keep);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip), cmocka_unit_test(test_taken_back),
        cmocka_unit_test(test_killed),     cmocka_unit_test(test_no_longer_wanted),
        cmocka_unit_test(test_others),     cmocka_unit_test(test_damaged),
        cmocka_unit_test(test_elsewhere),  cmocka_unit_test(test_full),
    };
    int rc;

    rc = netns_enter();
    if (rc)
        return rc;
    if (access(ROOT "ipv4/ip_forward", W_OK) < 0)
        return netns_skip("settings of this namespace cannot be written");
    if (!mkdtemp(folder))
        return 1;
    snprintf(file, sizeof(file), "%s/sysctl", folder);
    rc = cmocka_run_group_tests(tests, NULL, NULL);
    unlink(file);
    rmdir(folder);
    return rc;
}

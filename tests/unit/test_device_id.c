/* client/device_id: made once, kept, and never silently replaced. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "client/device_id.h"

static char folder[] = "/tmp/test_device_id.XXXXXX";

static const char *path_of(const char *name)
{
    static char path[128];

    snprintf(path, sizeof(path), "%s/%s.device", folder, name);
    return path;
}

static void put(const char *name, const char *text)
{
    int fd = open(path_of(name), O_WRONLY | O_CREAT | O_TRUNC, 0600);

    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    close(fd);
}

static void test_made_once(void **state)
{
    uint8_t first[WIRE_DEVICE_ID_LEN], again[WIRE_DEVICE_ID_LEN], other[WIRE_DEVICE_ID_LEN];
    struct err err;
    struct stat st;

    (void)state;
    assert_int_equal(device_id_load(folder, "office", first, &err), 0);
    assert_int_equal(device_id_load(folder, "office", again, &err), 0);
    assert_memory_equal(first, again, sizeof(first));
    assert_int_equal(device_id_load(folder, "home", other, &err), 0);
    assert_memory_not_equal(first, other, sizeof(first));
    assert_int_equal(stat(path_of("office"), &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
    assert_int_equal(st.st_size, 33);
}

static void test_known(void **state)
{
    uint8_t id[WIRE_DEVICE_ID_LEN];
    struct err err;

    (void)state;
    put("known", "00112233445566778899aabbccddeeff\n");
    assert_int_equal(device_id_load(folder, "known", id, &err), 0);
    assert_memory_equal(id, "\x00\x11\x22\x33\x44\x55\x66\x77\x88\x99\xaa\xbb\xcc\xdd\xee\xff", 16);
}

static void test_damaged(void **state)
{
    static const char *const texts[] = {
        "",
        "\n",
        "00112233445566778899aabbccddeeff",
        "00112233445566778899aabbccddeeff\n\n",
        "00112233445566778899aabbccddeefg\n",
        "00112233445566778899AABBCCDDEEFF\n",
        "00112233445566778899aabbccddee\n",
    };
    uint8_t id[WIRE_DEVICE_ID_LEN];
    struct err err;

    (void)state;
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        put("damaged", texts[i]);
        assert_int_equal(device_id_load(folder, "damaged", id, &err), -EINVAL);
        assert_non_null(strstr(err.msg, "damaged"));
    }
}

static void test_link_and_folder(void **state)
{
    uint8_t id[WIRE_DEVICE_ID_LEN];
    struct err err;

    (void)state;
    assert_int_equal(symlink("/etc/hostname", path_of("link")), 0);
    assert_int_equal(device_id_load(folder, "link", id, &err), -ELOOP);
    assert_int_equal(device_id_load("/nowhere/at/all", "office", id, &err), -ENOENT);
    assert_non_null(strstr(err.msg, "state folder"));
}

static int make_folder(void **state)
{
    (void)state;
    return mkdtemp(folder) ? 0 : -1;
}

static int remove_folder(void **state)
{
    static const char *const names[] = {"office", "home", "known", "damaged", "link"};

    (void)state;
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        unlink(path_of(names[i]));
    return rmdir(folder); /* fails when a temporary file was left */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_made_once),
        cmocka_unit_test(test_known),
        cmocka_unit_test(test_damaged),
        cmocka_unit_test(test_link_and_folder),
    };

    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}

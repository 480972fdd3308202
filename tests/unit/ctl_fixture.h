/* What the tests of the control protocol share: a server on a socket in a folder of its own. */
#ifndef TESTS_UNIT_CTL_FIXTURE_H
#define TESTS_UNIT_CTL_FIXTURE_H

#include <errno.h>
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

#include "common/ctl.h"

#define GID_VPN   4242
#define BIG_REPLY (8U << 20)

struct fixture {
    char folder[64], path[96];
    struct ctl_server *cs;
    uint64_t now_ms;
    unsigned int calls;
};

static json_t *answer(void *ctx, const char *cmd, const json_t *request,
                      const struct ctl_peer *peer)
{
    struct fixture *f = ctx;
    json_t *reply;

    f->calls++;
    if (!strcmp(cmd, "fail"))
        return ctl_reply_error(CTL_CODE_FAILED, "the disk is full \xff");
    if (!strcmp(cmd, "nothing"))
        return NULL;

    reply = ctl_reply_ok();
    if (!strcmp(cmd, "blob")) {
        size_t len;
        const char *blob = ctl_server_blob(f->cs, &len);
        json_t *bytes = json_array();

        for (size_t i = 0; i < len; i++)
            json_array_append_new(bytes, json_integer(blob[i]));
        json_object_set_new(reply, "blob", bytes);
    }
    if (!strcmp(cmd, "watch"))
        json_object_set_new(reply, "stream", json_true());
    if (!strcmp(cmd, "big")) {
        char *text = malloc(BIG_REPLY);

        memset(text, 'x', BIG_REPLY);
        json_object_set_new(reply, "big", json_stringn(text, BIG_REPLY));
        free(text);
    }
    json_object_set(reply, "echo", json_object_get(request, "payload"));
    json_object_set_new(reply, "uid", json_integer(peer->uid));
    json_object_set_new(reply, "pid", json_integer(peer->pid));
    return reply;
}

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    struct err err;
    int fd;

    snprintf(f->folder, sizeof(f->folder), "/tmp/test-ctl-XXXXXX");
    assert_non_null(mkdtemp(f->folder));
    assert_return_code(chmod(f->folder, 0755), errno);
    snprintf(f->path, sizeof(f->path), "%s/run/vpn.sock", f->folder);
    fd = ctl_listen(f->path, getuid(), getgid(), 0666, &err);
    assert_true(fd >= 0);
    assert_int_equal(ctl_server_open(&f->cs, fd, GID_VPN, answer, f, &err), 0);
    f->now_ms = 1000000;
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    char run[80];

    ctl_server_close(f->cs);
    unlink(f->path);
    snprintf(run, sizeof(run), "%s/run", f->folder);
    assert_return_code(rmdir(run), errno);
    assert_return_code(rmdir(f->folder), errno);
    free(f);
    return 0;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

#endif

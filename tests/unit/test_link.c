/* The door when the enclave gives up early: its words arrive, whatever it had not read. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "enclave/link.h"

#define WHY "alice.token is not a token"

static int enclave; /* its end of the control socket */
static bool gives_up_at_once;
static char why[256];
static unsigned int failures, losses;

static void give_up(void)
{
    union ipc_msg msg;

    ipc_fill(&msg, IPC_FAILED);
    memcpy(msg.failed.why, WHY, sizeof(WHY));
    assert_int_equal(ipc_send(enclave, &msg, NULL, 0), 0);
    close(enclave);
    enclave = -1;
}

/* In place of the spawner's. */
int spawner_spawn(struct spawner *s, int *control, int *pidfd, pid_t *pid, struct err *err)
{
    int pair[2];

    (void)s;
    (void)err;
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
    enclave = pair[1];
    *control = pair[0];
    *pidfd = eventfd(0, EFD_CLOEXEC);
    *pid = 1;
    if (gives_up_at_once)
        give_up();
    return 0;
}

int spawner_kill(struct spawner *s)
{
    (void)s;
    return 0;
}

static void on_failed(void *ctx, const char *text)
{
    (void)ctx;
    failures++;
    strncpy(why, text, sizeof(why) - 1);
}

static void on_lost(void *ctx)
{
    (void)ctx;
    losses++;
}

static struct link *door(bool at_once)
{
    static const struct link_ops ops = {.failed = on_failed, .lost = on_lost};
    static struct spawner spawner;
    struct link *link;
    struct err err;

    gives_up_at_once = at_once;
    failures = losses = 0;
    why[0] = '\0';
    assert_int_equal(link_new(&link, &spawner, 1, &ops, NULL), 0);
    assert_int_equal(link_start(link, &err), 0);
    return link;
}

static void check_told(struct link *link)
{
    link_service(link);
    assert_int_equal(failures, 1);
    assert_int_equal(losses, 0);
    assert_string_equal(why, WHY);
    assert_int_equal(link_state(link), LINK_DOWN);
    link_free(link);
}

/* Gone before the rings were sent: sending them fails. */
static void before_the_rings(void **state)
{
    (void)state;
    check_told(door(true));
}

/* Gone with the rings unread: the kernel reports a reset before it hands over the last words. */
static void rings_unread(void **state)
{
    struct link *link = door(false);

    (void)state;
    give_up();
    check_told(link);
}

/* Dead without a word. */
static void no_words(void **state)
{
    struct link *link = door(false);

    (void)state;
    close(enclave);
    link_service(link);
    assert_int_equal(failures, 1);
    assert_non_null(strstr(why, "ended before it was ready"));
    link_free(link);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(before_the_rings),
        cmocka_unit_test(rings_unread),
        cmocka_unit_test(no_words),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* The control protocol, asking side: who may ask, hostile replies, the socket. */
#include "tests/unit/ctl_fixture.h"

#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "common/cleanup.h"

#define UID_ALICE 4243

/* --- who may ask ---------------------------------------------------------------------------- */

struct child_is {
    uid_t uid;
    gid_t gid;
    gid_t groups[100];
    size_t n_groups;
};

/* A child of that uid and those groups connects and asks.  Return: what ctl_call() said, positive.
 */
static int call_as(struct fixture *f, const struct child_is *who)
{
    pid_t pid = fork();
    int status;

    assert_true(pid >= 0);
    if (pid == 0) {
        json_t *request = json_pack("{s:i, s:s}", "version", 1, "cmd", "echo"), *reply;
        struct err err;

        if (setgroups(who->n_groups, who->groups) < 0 ||
            setresgid(who->gid, who->gid, who->gid) < 0 ||
            setresuid(who->uid, who->uid, who->uid) < 0)
            _exit(120);
        _exit(-ctl_call(f->path, request, &reply, &err));
    }

    while (waitpid(pid, &status, WNOHANG) == 0) {
        struct pollfd pfd = {.fd = ctl_server_fd(f->cs), .events = POLLIN};

        poll(&pfd, 1, 10);
        ctl_server_service(f->cs, f->now_ms);
    }
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static void test_permission(void **state)
{
    struct fixture *f = *state;
    struct child_is stranger = {.uid = UID_ALICE, .gid = UID_ALICE};
    struct child_is primary = {.uid = UID_ALICE, .gid = GID_VPN};
    struct child_is member = {
        .uid = UID_ALICE, .gid = UID_ALICE, .groups = {7, GID_VPN}, .n_groups = 2};
    struct child_is many = {.uid = UID_ALICE, .gid = UID_ALICE, .n_groups = 100};
    struct child_is root = {.uid = 0, .gid = UID_ALICE};

    if (geteuid() != 0)
        skip();

    for (size_t i = 0; i < many.n_groups; i++)
        many.groups[i] = (gid_t)(10000 + i);
    assert_int_equal(call_as(f, &stranger), EPERM);
    assert_int_equal(call_as(f, &many), EPERM);
    assert_int_equal(f->calls, 0);

    many.groups[99] = GID_VPN; /* more groups than fit the first guess */
    assert_int_equal(call_as(f, &primary), 0);
    assert_int_equal(call_as(f, &member), 0);
    assert_int_equal(call_as(f, &many), 0);
    assert_int_equal(call_as(f, &root), 0);
    assert_int_equal(f->calls, 4);

    /* A socket whose mode shuts them out is "not permitted" as well. */
    assert_return_code(chmod(f->path, 0600), errno);
    assert_int_equal(call_as(f, &stranger), EACCES);
}

static void test_own_uid_and_no_group(void **state)
{
    struct fixture *f = *state;
    const struct child_is nobody = {.uid = UID_ALICE + 1, .gid = (gid_t)-2};
    struct err err;
    int fd;

    if (geteuid() != 0)
        skip();

    ctl_server_close(f->cs);
    fd = ctl_listen(f->path, 0, 0, 0666, &err);
    assert_true(fd >= 0);
    assert_int_equal(ctl_server_open(&f->cs, fd, (gid_t)-1, answer, f, &err), 0);

    assert_return_code(seteuid(UID_ALICE), errno);
    fd = fork();
    if (fd == 0) {
        /* As a daemon that dropped to UID_ALICE: his own may ask, others may not.  The child that
         * asks needs root back to become somebody; only the saved uid lets it. */
        const int strange = seteuid(0) == 0 ? fork() : -1;
        int status;

        if (strange == 0) {
            json_t *request = json_pack("{s:i, s:s}", "version", 1, "cmd", "echo"), *reply;

            if (setgroups(0, NULL) < 0 || setresgid(nobody.gid, nobody.gid, nobody.gid) < 0 ||
                setresuid(nobody.uid, nobody.uid, nobody.uid) < 0)
                _exit(120);
            _exit(ctl_call(f->path, request, &reply, &err) == -EPERM ? 0 : 1);
        }
        if (seteuid(UID_ALICE) < 0)
            _exit(121);
        while (waitpid(strange, &status, WNOHANG) == 0) {
            struct pollfd pfd = {.fd = ctl_server_fd(f->cs), .events = POLLIN};

            poll(&pfd, 1, 10);
            ctl_server_service(f->cs, f->now_ms);
        }
        _exit(WIFEXITED(status) ? WEXITSTATUS(status) : 122);
    } else {
        int status;

        assert_return_code(seteuid(0), errno);
        assert_int_equal(waitpid(fd, &status, 0), fd);
        assert_true(WIFEXITED(status));
        assert_int_equal(WEXITSTATUS(status), 0);
    }
}

/* --- the socket and the asking side ---------------------------------------------------------- */

struct server_thread {
    struct fixture *f;
    atomic_bool stop;
    pthread_t thread;
};

static void *serve(void *ctx)
{
    struct server_thread *st = ctx;

    while (!atomic_load(&st->stop)) {
        struct pollfd pfd = {.fd = ctl_server_fd(st->f->cs), .events = POLLIN};

        poll(&pfd, 1, 10);
        ctl_server_service(st->f->cs, st->f->now_ms);
    }
    return NULL;
}

/* Bytes behind the object arrive as they are, NULs included, and belong to that request alone. */
static void test_blob(void **state)
{
    static const char blob[] = "a\0b{}\n";
    struct server_thread st = {.f = *state};
    json_t *request = json_pack("{s:i, s:s}", "version", 1, "cmd", "blob"), *reply = NULL;
    struct err err;
    char *large;
    int fd;

    assert_int_equal(pthread_create(&st.thread, NULL, serve, &st), 0);
    fd = ctl_connect(st.f->path, &err);
    assert_true(fd >= 0);
    assert_int_equal(ctl_send_blob(fd, st.f->path, request, blob, sizeof(blob), &err), 0);
    assert_int_equal(ctl_receive(fd, st.f->path, 5000, &reply, &err), 0);
    assert_int_equal(json_array_size(json_object_get(reply, "blob")), sizeof(blob));
    for (size_t i = 0; i < sizeof(blob); i++)
        assert_int_equal(json_integer_value(json_array_get(json_object_get(reply, "blob"), i)),
                         blob[i]);
    json_decref(reply);
    assert_int_equal(ctl_send(fd, st.f->path, request, &err), 0);
    assert_int_equal(ctl_receive(fd, st.f->path, 5000, &reply, &err), 0);
    assert_int_equal(json_array_size(json_object_get(reply, "blob")), 0);
    json_decref(reply);

    large = malloc(CTL_REQUEST_MAX);
    memset(large, 'x', CTL_REQUEST_MAX);
    assert_int_equal(ctl_send_blob(fd, st.f->path, request, large, CTL_REQUEST_MAX, &err),
                     -EMSGSIZE);
    free(large);
    json_decref(request);
    close(fd);
    atomic_store(&st.stop, true);
    pthread_join(st.thread, NULL);
}

static void test_call(void **state)
{
    struct server_thread st = {.f = *state};
    json_t *request, *reply = NULL;
    struct err err;
    char *text;

    assert_int_equal(pthread_create(&st.thread, NULL, serve, &st), 0);

    text = malloc(1U << 20);
    memset(text, 'y', 1U << 20);
    request = json_pack("{s:i, s:s, s:o}", "version", 1, "cmd", "big", "payload",
                        json_stringn(text, 1U << 20));
    free(text);
    assert_int_equal(ctl_call(st.f->path, request, &reply, &err), 0);
    assert_int_equal(json_string_length(json_object_get(reply, "big")), BIG_REPLY);
    assert_int_equal(json_string_length(json_object_get(reply, "echo")), 1U << 20);
    json_decref(reply);

    json_object_set_new(request, "cmd", json_string("fail"));
    reply = NULL;
    assert_int_equal(ctl_call(st.f->path, request, &reply, &err), -EREMOTEIO);
    assert_string_equal(err.msg, "the disk is full ?");
    assert_null(reply);

    json_object_set_new(request, "version", json_integer(9));
    assert_int_equal(ctl_call(st.f->path, request, &reply, &err), -EBADMSG);

    text = malloc(CTL_REQUEST_MAX);
    memset(text, 'z', CTL_REQUEST_MAX);
    json_object_set_new(request, "payload", json_stringn(text, CTL_REQUEST_MAX));
    free(text);
    assert_int_equal(ctl_call(st.f->path, request, &reply, &err), -EMSGSIZE);
    json_decref(request);

    atomic_store(&st.stop, true);
    pthread_join(st.thread, NULL);
}

/* A daemon that answers with these bytes, whatever is asked, and hangs up. */
struct rude {
    int listen_fd;
    const void *bytes;
    size_t len;
};

static void *rude_answer(void *ctx)
{
    const struct rude *rude = ctx;
    int fd = accept4(rude->listen_fd, NULL, NULL, SOCK_CLOEXEC);
    char buf[512];

    if (recv(fd, buf, sizeof(buf), 0) > 0)
        send(fd, rude->bytes, rude->len, MSG_NOSIGNAL);
    close(fd);
    return NULL;
}

static void test_call_hostile_reply(void **state)
{
    static const struct {
        const char *bytes;
        size_t len;
        int rc;
    } cases[] = {
        {"", 0, -ECONNABORTED},
        {"\0\0", 2, -ECONNABORTED},
        {"\0\0\0\0", 4, -EBADMSG},
        {"\xff\xff\xff\xff", 4, -EBADMSG},
        {"\x04\0\0\1", 4, -EBADMSG},       /* one over 64 MiB */
        {"\x04\0\0\0{", 5, -ECONNABORTED}, /* as much announced, little sent */
        {"\0\0\0\2{}", 6, -EBADMSG},
        {"\0\0\0\xd{\"version\":1}", 17, -EBADMSG},
        {"\0\0\0\x17{\"version\":1,\"ok\":\"no\"}", 27, -EBADMSG},
        {"\0\0\0\x18{\"version\":1,\"ok\":false}", 28, -EBADMSG},
        {"\0\0\0\x31{\"version\":1,\"ok\":false,\"error\":\"e\",\"code\":\"new\"}", 53, -EREMOTEIO},
    };
    struct fixture *f = *state;
    json_t *request = json_pack("{s:i, s:s}", "version", 1, "cmd", "status");
    char path[112];
    struct err err;

    snprintf(path, sizeof(path), "%s.rude", f->path);
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct rude rude = {.bytes = cases[i].bytes, .len = cases[i].len};
        json_t *reply = NULL;
        pthread_t thread;
        int flags;

        rude.listen_fd = ctl_listen(path, getuid(), getgid(), 0600, &err);
        assert_true(rude.listen_fd >= 0);
        flags = fcntl(rude.listen_fd, F_GETFL);
        fcntl(rude.listen_fd, F_SETFL, flags & ~O_NONBLOCK);
        assert_int_equal(pthread_create(&thread, NULL, rude_answer, &rude), 0);
        assert_int_equal(ctl_call(path, request, &reply, &err), cases[i].rc);
        assert_null(reply);
        pthread_join(thread, NULL);
        close(rude.listen_fd);
    }
    unlink(path);
    json_decref(request);
}

static void test_listen(void **state)
{
    struct fixture *f = *state;
    json_t *request = json_pack("{s:i, s:s}", "version", 1, "cmd", "echo"), *reply;
    char path[128], run[112], longer[200];
    struct stat st;
    struct err err;
    int fd;

    /* Where a daemon lives, nobody else moves in. */
    assert_int_equal(ctl_listen(f->path, getuid(), getgid(), 0660, &err), -EADDRINUSE);
    assert_non_null(strstr(err.msg, "another daemon"));

    /* The same folder, another socket: mode and ownership as asked, whatever the umask. */
    snprintf(path, sizeof(path), "%s.2", f->path);
    umask(0077);
    fd = ctl_listen(path, getuid(), geteuid() == 0 ? GID_VPN : getgid(), 0660, &err);
    assert_true(fd >= 0);
    assert_int_equal(umask(0022), 0077);
    assert_return_code(stat(path, &st), errno);
    assert_int_equal(st.st_mode & 07777, 0660);
    if (geteuid() == 0)
        assert_int_equal(st.st_gid, GID_VPN);

    /* Left behind by a daemon that died: no answer for callers, no obstacle for the next one. */
    close(fd);
    assert_int_equal(ctl_call(path, request, &reply, &err), -ECONNREFUSED);
    fd = ctl_listen(path, getuid(), getgid(), 0660, &err);
    assert_true(fd >= 0);
    close(fd);
    assert_return_code(unlink(path), errno);
    assert_int_equal(ctl_call(path, request, &reply, &err), -ENOENT);

    /* A file, or a link to somewhere, is somebody's: it stays. */
    fd = open(path, O_CREAT | O_WRONLY, 0600);
    assert_true(fd >= 0);
    close(fd);
    assert_int_equal(ctl_listen(path, getuid(), getgid(), 0660, &err), -EEXIST);
    assert_return_code(unlink(path), errno);
    assert_return_code(symlink("/nowhere", path), errno);
    assert_int_equal(ctl_listen(path, getuid(), getgid(), 0660, &err), -EEXIST);
    assert_return_code(unlink(path), errno);

    /* One folder is made, not two; and a path must fit. */
    snprintf(run, sizeof(run), "%s/a/b/vpn.sock", f->folder);
    assert_int_equal(ctl_listen(run, getuid(), getgid(), 0660, &err), -ENOENT);
    memset(longer, 'l', sizeof(longer) - 1);
    longer[0] = '/';
    longer[sizeof(longer) - 1] = '\0';
    assert_int_equal(ctl_listen(longer, getuid(), getgid(), 0660, &err), -ENAMETOOLONG);
    assert_int_equal(ctl_call(longer, request, &reply, &err), -ENAMETOOLONG);
    assert_int_equal(ctl_listen("vpn.sock", getuid(), getgid(), 0660, &err), -EINVAL);
    json_decref(request);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_permission), TEST(test_own_uid_and_no_group), TEST(test_blob),
        TEST(test_call),       TEST(test_call_hostile_reply),   TEST(test_listen),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

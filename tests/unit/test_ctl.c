/* The control protocol, answering side: framing, limits, slow and rude peers. */
#include "tests/unit/ctl_fixture.h"

#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "common/cleanup.h"
#include "common/wire.h"

static void service(struct fixture *f)
{
    struct pollfd pfd = {.fd = ctl_server_fd(f->cs), .events = POLLIN};

    /* Level-triggered: quiet again only when nothing is left to do. */
    while (poll(&pfd, 1, 0) > 0)
        ctl_server_service(f->cs, f->now_ms);
}

static int dial(const struct fixture *f)
{
    struct sockaddr_un sa = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    assert_true(fd >= 0);
    snprintf(sa.sun_path, sizeof(sa.sun_path), "%s", f->path);
    assert_return_code(connect(fd, (struct sockaddr *)&sa, sizeof(sa)), errno);
    return fd;
}

static void send_frame(int fd, const char *text)
{
    uint8_t prefix[CTL_PREFIX_LEN];

    be32_put(prefix, (uint32_t)strlen(text));
    assert_int_equal(send(fd, prefix, sizeof(prefix), MSG_NOSIGNAL), sizeof(prefix));
    assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), strlen(text));
}

/* One reply, which must be there already. */
static json_t *recv_frame(int fd)
{
    uint8_t prefix[CTL_PREFIX_LEN], body[4096];
    size_t len;

    assert_int_equal(recv(fd, prefix, sizeof(prefix), MSG_DONTWAIT), sizeof(prefix));
    len = be32_get(prefix);
    assert_in_range(len, 2, sizeof(body));
    assert_int_equal(recv(fd, body, len, MSG_DONTWAIT), len);
    return ctl_frame_parse(body, len);
}

static void assert_refused(int fd, const char *code)
{
    json_t *reply = recv_frame(fd);

    assert_true(json_is_false(json_object_get(reply, "ok")));
    assert_string_equal(json_string_value(json_object_get(reply, "code")), code);
    assert_true(strlen(json_string_value(json_object_get(reply, "error"))) > 10);
    json_decref(reply);
}

static void assert_ok(int fd)
{
    json_t *reply = recv_frame(fd);

    assert_true(json_is_true(json_object_get(reply, "ok")));
    json_decref(reply);
}

static void assert_open(int fd)
{
    char c;

    assert_int_equal(recv(fd, &c, 1, MSG_DONTWAIT | MSG_PEEK), -1);
    assert_int_equal(errno, EAGAIN);
}

static void assert_closed(int fd)
{
    char c;
    const ssize_t n = recv(fd, &c, 1, MSG_DONTWAIT);

    assert_true(n == 0 || (n < 0 && errno == ECONNRESET));
}

static void test_request(void **state)
{
    struct fixture *f = *state;
    int fd = dial(f);
    json_t *reply;

    service(f);
    send_frame(fd, "{\"version\":1,\"cmd\":\"echo\",\"payload\":[1,\"zwei\"]}");
    service(f);
    reply = recv_frame(fd);
    assert_true(json_is_true(json_object_get(reply, "ok")));
    assert_string_equal(json_string_value(json_array_get(json_object_get(reply, "echo"), 1)),
                        "zwei");
    assert_int_equal(json_integer_value(json_object_get(reply, "uid")), getuid());
    assert_int_equal(json_integer_value(json_object_get(reply, "pid")), getpid());
    json_decref(reply);

    /* The connection stays, and takes two requests that come at once in turn. */
    send_frame(fd, "{\"version\":1,\"cmd\":\"echo\"}");
    send_frame(fd, "{\"version\":1,\"cmd\":\"fail\"}");
    service(f);
    assert_ok(fd);
    assert_refused(fd, "failed");
    assert_int_equal(f->calls, 3);
    assert_open(fd);
    close(fd);
}

static void publish(struct fixture *f, size_t bytes)
{
    char *text = malloc(bytes);
    json_t *event;

    memset(text, 'x', bytes);
    event = json_pack("{s:i, s:s%}", "version", CTL_VERSION, "text", text, bytes);
    ctl_server_publish(f->cs, event, f->now_ms);
    json_decref(event);
    free(text);
}

static void test_stream(void **state)
{
    struct fixture *f = *state;
    int fd = dial(f), other = dial(f);
    json_t *event;

    publish(f, 5); /* nobody listens */
    service(f);
    send_frame(fd, "{\"version\":1,\"cmd\":\"watch\"}");
    send_frame(other, "{\"version\":1,\"cmd\":\"echo\"}");
    service(f);
    assert_ok(fd);
    assert_ok(other);
    assert_int_equal(ctl_server_streams(f->cs), 1);
    for (int i = 1; i <= 3; i++)
        publish(f, (size_t)i);
    for (int i = 1; i <= 3; i++) {
        event = recv_frame(fd);
        assert_int_equal(strlen(json_string_value(json_object_get(event, "text"))), i);
        json_decref(event);
    }
    assert_open(other);
    /* Silence is no reason to end it, whatever time passes. */
    f->now_ms += 10 * CTL_IDLE_MS;
    service(f);
    ctl_server_service(f->cs, f->now_ms);
    publish(f, 7);
    event = recv_frame(fd);
    assert_non_null(event);
    json_decref(event);
    /* A word of the peer's is. */
    send_frame(fd, "{\"version\":1,\"cmd\":\"echo\"}");
    service(f);
    assert_int_equal(ctl_server_streams(f->cs), 0);
    close(fd);
    close(other);
}

static void test_stream_not_read(void **state)
{
    struct fixture *f = *state;
    int fd = dial(f), slow = dial(f);

    service(f);
    send_frame(fd, "{\"version\":1,\"cmd\":\"watch\"}");
    send_frame(slow, "{\"version\":1,\"cmd\":\"watch\"}");
    service(f);
    assert_ok(fd);
    assert_int_equal(ctl_server_streams(f->cs), 2);
    /* What one does not take is kept for it up to a limit; then it is cut off. */
    for (int i = 0; i < 64 && ctl_server_streams(f->cs) == 2; i++) {
        publish(f, 65536);
        while (recv(fd, (char[65536]){0}, 65536, MSG_DONTWAIT) > 0)
            service(f);
    }
    assert_int_equal(ctl_server_streams(f->cs), 1);
    publish(f, 65536);
    /* And one that takes nothing for long has gone. */
    publish(f, 512 << 10);
    f->now_ms += CTL_REPLY_MS;
    ctl_server_service(f->cs, f->now_ms);
    assert_int_equal(ctl_server_streams(f->cs), 0);
    close(fd);
    close(slow);
}

static void test_partial(void **state)
{
    static const char text[] = "{\"version\":1,\"cmd\":\"echo\"}";
    struct fixture *f = *state;
    uint8_t frame[CTL_PREFIX_LEN + sizeof(text) - 1];
    int fd = dial(f);

    be32_put(frame, sizeof(text) - 1);
    memcpy(frame + CTL_PREFIX_LEN, text, sizeof(text) - 1);
    for (size_t i = 0; i < sizeof(frame); i++) {
        assert_int_equal(f->calls, 0);
        assert_int_equal(send(fd, frame + i, 1, MSG_NOSIGNAL), 1);
        service(f);
    }
    assert_int_equal(f->calls, 1);
    assert_ok(fd);
    close(fd);
}

static void test_bad_requests(void **state)
{
    static const char *const bad[] = {
        "",
        "{",
        "[]",
        "7",
        "\"status\"",
        "{}",
        "{\"cmd\":\"status\"}",
        "{\"version\":2,\"cmd\":\"status\"}",
        "{\"version\":\"1\",\"cmd\":\"status\"}",
        "{\"version\":1}",
        "{\"version\":1,\"cmd\":7}",
        "{\"version\":1,\"cmd\":\"\"}",
        "{\"version\":1,\"cmd\":\"a\",\"cmd\":\"b\"}",
        "{\"version\":1,\"cmd\":\"status\"} {}",
        "{\"version\":1,\"cmd\":\"sta\xfftus\"}",
        "{\"version\":1,\"cmd\":\"status\\u0000\"}",
    };
    struct fixture *f = *state;
    int fd = dial(f);

    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        send_frame(fd, bad[i]);
        service(f);
        assert_refused(fd, "bad-request");
        assert_open(fd);
    }
    assert_int_equal(f->calls, 0);

    /* Well framed nonsense harms nobody: the next good request is answered. */
    send_frame(fd, "{\"version\":1,\"cmd\":\"echo\"}");
    service(f);
    assert_ok(fd);
    close(fd);
}

static void test_oversize(void **state)
{
    struct fixture *f = *state;
    uint8_t prefix[CTL_PREFIX_LEN];
    int fd = dial(f);

    be32_put(prefix, CTL_REQUEST_MAX + 1);
    assert_int_equal(send(fd, prefix, sizeof(prefix), MSG_NOSIGNAL), sizeof(prefix));
    service(f);
    assert_refused(fd, "bad-request");
    assert_closed(fd);
    close(fd);

    fd = dial(f);
    be32_put(prefix, UINT32_MAX);
    assert_int_equal(send(fd, prefix, sizeof(prefix), MSG_NOSIGNAL), sizeof(prefix));
    service(f);
    assert_refused(fd, "bad-request");
    assert_closed(fd);
    close(fd);
}

static void test_handler_without_reply(void **state)
{
    struct fixture *f = *state;
    int fd = dial(f);

    send_frame(fd, "{\"version\":1,\"cmd\":\"nothing\"}");
    service(f);
    assert_refused(fd, "failed");
    close(fd);
}

static void test_deadlines(void **state)
{
    struct fixture *f = *state;
    int idle = dial(f), slow = dial(f), slow_reader = dial(f);
    const uint8_t half[] = {0, 0};

    service(f);
    assert_int_equal(send(slow, half, sizeof(half), MSG_NOSIGNAL), sizeof(half));
    send_frame(slow_reader, "{\"version\":1,\"cmd\":\"big\"}");
    service(f);

    /* A byte now and then does not help him who is slow. */
    f->now_ms += CTL_REQUEST_MS - 1;
    assert_int_equal(send(slow, half, 1, MSG_NOSIGNAL), 1);
    service(f);
    ctl_server_service(f->cs, f->now_ms);
    assert_open(slow);
    f->now_ms += 1;
    ctl_server_service(f->cs, f->now_ms);
    assert_closed(slow);
    assert_open(idle);

    /* Who does not read loses the rest of his reply. */
    f->now_ms += CTL_REPLY_MS - CTL_REQUEST_MS;
    ctl_server_service(f->cs, f->now_ms);
    {
        uint8_t buf[65536];
        size_t got = 0;
        ssize_t n;

        while ((n = recv(slow_reader, buf, sizeof(buf), MSG_DONTWAIT)) > 0)
            got += (size_t)n;
        assert_true(got > 0 && got < BIG_REPLY);
        assert_true(n == 0 || errno == ECONNRESET);
    }

    f->now_ms += CTL_IDLE_MS - CTL_REPLY_MS - 1;
    ctl_server_service(f->cs, f->now_ms);
    assert_open(idle);
    f->now_ms += 1;
    ctl_server_service(f->cs, f->now_ms);
    assert_closed(idle);

    close(idle);
    close(slow);
    close(slow_reader);
}

static void test_timer_wakes_the_loop(void **state)
{
    struct fixture *f = *state;
    struct pollfd pfd = {.fd = ctl_server_fd(f->cs), .events = POLLIN};
    int fd;

    /* Without connections nothing wakes the daemon; with one, the deadlines are looked at. */
    assert_int_equal(poll(&pfd, 1, 0), 0);
    fd = dial(f);
    service(f);
    assert_int_equal(poll(&pfd, 1, 5000), 1);
    f->now_ms += CTL_IDLE_MS;
    service(f);
    assert_closed(fd);
    assert_int_equal(poll(&pfd, 1, 1500), 0);
    close(fd);
}

static void test_too_many(void **state)
{
    struct fixture *f = *state;
    int fds[CTL_CONNS_MAX], extra;

    for (size_t i = 0; i < CTL_CONNS_MAX; i++) {
        fds[i] = dial(f);
        service(f);
    }
    extra = dial(f);
    service(f);
    assert_refused(extra, "failed");
    assert_closed(extra);
    close(extra);

    /* Those who are in are still served, and a free place is given away again. */
    send_frame(fds[CTL_CONNS_MAX - 1], "{\"version\":1,\"cmd\":\"echo\"}");
    service(f);
    assert_ok(fds[CTL_CONNS_MAX - 1]);
    close(fds[0]);
    service(f);
    fds[0] = dial(f);
    send_frame(fds[0], "{\"version\":1,\"cmd\":\"echo\"}");
    service(f);
    assert_ok(fds[0]);
    for (size_t i = 0; i < CTL_CONNS_MAX; i++)
        close(fds[i]);
}

static void test_hang_up_with_reply_pending(void **state)
{
    struct fixture *f = *state;

    for (int i = 0; i < 3; i++) {
        int fd = dial(f);

        send_frame(fd, "{\"version\":1,\"cmd\":\"big\"}");
        service(f);
        close(fd);
        service(f);
    }
    assert_int_equal(f->calls, 3);
}

static void test_frames(void **state)
{
    json_t *msg = json_pack("{s:i}", "version", 1);
    size_t len = 0;
    uint8_t *frame = ctl_frame_build(msg, 13, &len);
    json_t *back;

    (void)state;
    assert_non_null(frame);
    assert_int_equal(len, 17);
    assert_memory_equal(frame, "\0\0\0\x0d{\"version\":1}", 17);
    back = ctl_frame_parse(frame + CTL_PREFIX_LEN, len - CTL_PREFIX_LEN);
    assert_true(json_equal(msg, back));
    assert_null(ctl_frame_build(msg, 12, &len));
    json_decref(back);
    json_decref(msg);
    free(frame);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_frames),
        TEST(test_request),
        TEST(test_stream),
        TEST(test_stream_not_read),
        TEST(test_partial),
        TEST(test_bad_requests),
        TEST(test_oversize),
        TEST(test_handler_without_reply),
        TEST(test_deadlines),
        TEST(test_timer_wakes_the_loop),
        TEST(test_too_many),
        TEST(test_hang_up_with_reply_pending),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

/*
 * The control socket, fed with anything.
 *
 * The first byte of the input says in how many bytes at a time the rest is sent; whatever comes
 * back must be whole frames, each a reply as the protocol has it.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/ctl.h"
#include "common/wire.h"

#define ROUNDS    64
#define REPLY_MAX (1U << 20)

static uint8_t replies[REPLY_MAX];

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static json_t *answer(void *ctx, const char *cmd, const json_t *request,
                      const struct ctl_peer *peer)
{
    json_t *reply = ctl_reply_ok();

    (void)ctx;
    (void)peer;
    json_object_set_new(reply, "cmd", json_string(cmd));
    json_object_set(reply, "payload", json_object_get(request, "payload"));
    return reply;
}

/* An abstract address that the kernel picks: nothing to clean up, nothing to clash with. */
static int listen_somewhere(struct sockaddr_un *sa, socklen_t *len)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    *sa = (struct sockaddr_un){.sun_family = AF_UNIX};
    *len = sizeof(*sa);
    if (fd < 0 || bind(fd, (struct sockaddr *)sa, sizeof(sa->sun_family)) < 0 ||
        getsockname(fd, (struct sockaddr *)sa, len) < 0 || listen(fd, 1) < 0)
        abort();
    return fd;
}

static size_t replies_take(int fd, size_t have, int *open)
{
    const ssize_t n = recv(fd, replies + have, sizeof(replies) - have, MSG_DONTWAIT);

    if (n == 0)
        *open = 0;
    return n > 0 ? (size_t)n : 0;
}

static void replies_check(size_t len)
{
    size_t at = 0;

    while (len - at >= CTL_PREFIX_LEN) {
        const size_t body = be32_get(replies + at);
        json_t *reply;

        if (body > len - at - CTL_PREFIX_LEN)
            return; /* the rest had no time to arrive */
        reply = ctl_frame_parse(replies + at + CTL_PREFIX_LEN, body);
        if (!json_is_boolean(json_object_get(reply, "ok")))
            abort();
        json_decref(reply);
        at += CTL_PREFIX_LEN + body;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    const size_t chunk = len ? (size_t)data[0] + 1 : 1;
    struct ctl_server *cs;
    struct sockaddr_un sa;
    socklen_t sa_len;
    size_t sent = 1, got = 0;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), listening, open = 1;

    listening = listen_somewhere(&sa, &sa_len);
    if (fd < 0 || connect(fd, (struct sockaddr *)&sa, sa_len) < 0 ||
        ctl_server_open(&cs, listening, (gid_t)-1, answer, NULL, NULL) < 0)
        abort();

    for (uint64_t round = 0; open && (sent < len || round < ROUNDS); round++) {
        if (sent < len) {
            const size_t n = len - sent < chunk ? len - sent : chunk;
            const ssize_t done = send(fd, data + sent, n, MSG_NOSIGNAL | MSG_DONTWAIT);

            sent = done > 0 ? sent + (size_t)done : len;
        }
        ctl_server_service(cs, 1000 + round);
        if (got < sizeof(replies))
            got += replies_take(fd, got, &open);
        else
            break;
    }
    replies_check(got);

    ctl_server_close(cs);
    close(fd);
    return 0;
}

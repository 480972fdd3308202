/* Asking name servers past the tunnels; see dns.h. */
#include "client/dns.h"

#include <ares.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sodium.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/cleanup.h"

#define TIMEOUT_MS  1500 /* for one answer of one server */
#define TRIES       2
#define PORT_TRIES  64
#define UPLINK_FILE "/run/systemd/resolve/resolv.conf" /* systemd-resolved's own name servers */

/* ---- the port ------------------------------------------------------------------------------- */

static int bind_port(int fd, uint16_t port)
{
    struct sockaddr_in sin = {.sin_family = AF_INET, .sin_port = htons(port)};
    int on = 1;

    /* Several questions at once share it; only sockets of one user can. */
    if (setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on)) < 0 ||
        bind(fd, (struct sockaddr *)&sin, sizeof(sin)) < 0)
        return -errno;
    return 0;
}

int dns_open(struct dns *dns, uint32_t mark, struct err *err)
{
    int rc = -EADDRINUSE;

    *dns = (struct dns){.mark = mark, .fd = -1};
    if (ares_library_init(ARES_LIB_INIT_ALL) != ARES_SUCCESS)
        return err_set(err, -ENOMEM, "out of memory");
    dns->opened = true;
    dns->fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    /* A host without IPv4 asks over IPv6, where no port is needed. */
    if (dns->fd < 0 && errno == EAFNOSUPPORT)
        return 0;
    if (dns->fd < 0) {
        rc = err_set(err, -errno, "socket: %s", strerror(errno));
        dns_close(dns);
        return rc;
    }
    for (unsigned int i = 0; i < PORT_TRIES && rc == -EADDRINUSE; i++) {
        dns->port =
            (uint16_t)(DNS_PORT_FIRST + randombytes_uniform(DNS_PORT_LAST - DNS_PORT_FIRST + 1));
        rc = bind_port(dns->fd, dns->port);
    }
    if (rc < 0) {
        dns_close(dns);
        return err_set(err, rc, "no UDP port from %d to %d can be had for name lookups: %s",
                       DNS_PORT_FIRST, DNS_PORT_LAST, strerror(-rc));
    }
    return 0;
}

void dns_close(struct dns *dns)
{
    if (dns->opened) {
        close_fdp(&dns->fd);
        ares_library_cleanup();
    }
    *dns = (struct dns){.fd = -1};
}

/* ---- one question --------------------------------------------------------------------------- */

struct question {
    struct ip_addr *addrs;
    size_t n, max;
    int status;
    bool done;
};

/* c-ares calls this for each socket it makes, before it connects it. */
static int configure(ares_socket_t fd, int type, void *ctx)
{
    const struct dns *dns = ctx;
    const int mark = (int)dns->mark;
    int family = AF_UNSPEC;
    socklen_t len = sizeof(family);

    if (setsockopt(fd, SOL_SOCKET, SO_MARK, &mark, sizeof(mark)) < 0 ||
        getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &family, &len) < 0)
        return -1;
    if (type == SOCK_DGRAM && family == AF_INET && dns->port && bind_port(fd, dns->port) < 0)
        return -1;
    return 0;
}

static void answered(void *ctx, int status, int timeouts, struct ares_addrinfo *info)
{
    struct question *q = ctx;
    const struct ares_addrinfo_node *node;

    (void)timeouts;
    q->done = true;
    q->status = status;
    for (node = info ? info->nodes : NULL; node && q->n < q->max; node = node->ai_next) {
        struct sockaddr_storage ss = {0};
        struct ip_endpoint ep;

        if (node->ai_addrlen > sizeof(ss))
            continue;
        memcpy(&ss, node->ai_addr, node->ai_addrlen);
        if (ip_endpoint_from_sockaddr(&ss, &ep) == 0)
            q->addrs[q->n++] = ep.addr;
    }
    if (info)
        ares_freeaddrinfo(info);
}

/* Until the answer is there; c-ares keeps the time. */
static void wait_answer(ares_channel channel, const struct question *q)
{
    while (!q->done) {
        ares_socket_t fds[ARES_GETSOCK_MAXNUM];
        const int bits = ares_getsock(channel, fds, ARES_GETSOCK_MAXNUM);
        struct timeval most = {.tv_sec = 1}, left;
        const struct timeval *wait = ares_timeout(channel, &most, &left);
        struct pollfd polls[ARES_GETSOCK_MAXNUM];
        nfds_t n = 0;

        for (int i = 0; i < ARES_GETSOCK_MAXNUM; i++) {
            if (!ARES_GETSOCK_READABLE(bits, i) && !ARES_GETSOCK_WRITABLE(bits, i))
                continue;
            polls[n++] = (struct pollfd){
                .fd = fds[i],
                .events = (short)((ARES_GETSOCK_READABLE(bits, i) ? POLLIN : 0) |
                                  (ARES_GETSOCK_WRITABLE(bits, i) ? POLLOUT : 0)),
            };
        }
        if (poll(polls, n, (int)(wait->tv_sec * 1000 + wait->tv_usec / 1000 + 1)) <= 0) {
            ares_process_fd(channel, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
            continue;
        }
        for (nfds_t i = 0; i < n; i++)
            if (polls[i].revents)
                ares_process_fd(channel,
                                polls[i].revents & ~POLLOUT ? polls[i].fd : ARES_SOCKET_BAD,
                                polls[i].revents & POLLOUT ? polls[i].fd : ARES_SOCKET_BAD);
    }
}

/* @file: with the name servers; NULL for /etc/resolv.conf. */
static int ask(const struct dns *dns, const char *host, const char *file, struct question *q)
{
    static char files_first[] = "fb";
    struct ares_options options = {
        .flags = ARES_FLAG_IGNTC, /* the answer to a name's address fits, or the rest will do */
        .timeout = TIMEOUT_MS,
        .tries = TRIES,
        .lookups = files_first,
        .resolvconf_path = (char *)(uintptr_t)file,
    };
    const struct ares_addrinfo_hints hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_DGRAM};
    ares_channel channel;
    int rc = ares_init_options(&channel, &options,
                               ARES_OPT_FLAGS | ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES |
                                   ARES_OPT_LOOKUPS | (file ? ARES_OPT_RESOLVCONF : 0));

    if (rc != ARES_SUCCESS)
        return rc;
    ares_set_socket_configure_callback(channel, configure, (void *)(uintptr_t)dns);
    ares_getaddrinfo(channel, host, NULL, &hints, answered, q);
    wait_answer(channel, q);
    ares_destroy(channel);
    return q->status;
}

int dns_lookup(const struct dns *dns, const char *host, struct ip_addr *addrs, size_t max,
               size_t *n, struct err *err)
{
    static const char *const files[] = {NULL, UPLINK_FILE};
    struct question q;
    int rc = ARES_ENOTFOUND;

    for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
        if (files[i] && access(files[i], R_OK) < 0)
            continue;
        q = (struct question){.addrs = addrs, .max = max};
        rc = ask(dns, host, files[i], &q);
        if (rc == ARES_SUCCESS && q.n > 0) {
            *n = q.n;
            return 0;
        }
    }
    if (rc == ARES_SUCCESS || rc == ARES_ENODATA || rc == ARES_ENOTFOUND)
        return err_set(err, -ENOENT, "it has no address");
    return err_set(err, -EIO, "%s", ares_strerror(rc));
}

/*
 * Many users who log in, in one process, for the measurements of tests/bench/handshakes:
 *
 *   handshakes users COUNT                               YAML of users h0, h1, … and their keys
 *   handshakes x25519                                    ns of one scalar multiplication, mean
 *   handshakes load ADDRESS PORT KEY COUNT SECONDS       h0 … renew their sessions, as fast as the
 *                                                        server can; "up" is printed when each has
 *                                                        one, a line is awaited, then it begins
 *   handshakes first ADDRESS PORT KEY FIRST COUNT MS     hFIRST … log in for the first time, one
 *                                                        every MS, until all have or TERM comes
 *
 * Every login is whole: COOKIE and CHALLENGE where the server asks for them, the answer verified,
 * and a PING sealed with the new keys; it counts when the PONG has come back under them.  The
 * server's probes of the path are answered, too.  Each user is another client: 198.18.0.0/15, one
 * address each, so that the server's limits (20 a second and address, 4 a second and device) are
 * kept.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <signal.h>
#include <sodium.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/cred.h"
#include "common/mac.h"
#include "enclave/handshake.h"

#define USERS_MAX  4000
#define IN_FLIGHT  40     /* fewer than the server lets wait before it is under load */
#define AGAIN_US   260000 /* 4 a second and device */
#define LOST_US    1000000
#define MTU        1400
#define FIRST_HOST 0xc6120001U /* 198.18.0.1 */

enum user_state { USER_IDLE, USER_ASKED, USER_PROVING };

struct user {
    enum user_state state;
    int fd;
    unsigned int number;
    struct hs_initiator *login;
    struct hs_request_in in;
    struct cookie_request asked;
    uint8_t cookie[WIRE_MAC_LEN];
    bool has_cookie;
    uint64_t begun_us, asked_us; /* the login, its last message */
    struct hs_keys keys;
    uint32_t server_index;
    uint64_t counter;
};

static struct user *users;
static size_t n_users;
static struct mac_keys mac;
static struct sockaddr_in server = {.sin_family = AF_INET};
static uint8_t server_key[WIRE_KEY_LEN];
static int epoll_fd;
static volatile sig_atomic_t stopped;

static unsigned int in_flight, repeated;
static size_t done;
static uint64_t *took_us; /* of each that is done, when it is asked for */

static void __attribute__((noreturn)) die(const char *what)
{
    fprintf(stderr, "handshakes: %s: %s\n", what, strerror(errno));
    exit(EXIT_FAILURE);
}

static uint64_t now_us(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
}

/* The same in every run of this program: it is no secret, and needs no file. */
static void key_of(unsigned int number, uint8_t key[WIRE_KEY_LEN])
{
    char name[32];
    int len = snprintf(name, sizeof(name), "bench user %u", number);

    crypto_generichash(key, WIRE_KEY_LEN, (const uint8_t *)name, (size_t)len, NULL, 0);
}

static void name_of(unsigned int number, char name[WIRE_USER_MAX + 1])
{
    snprintf(name, WIRE_USER_MAX + 1, "h%u", number);
}

/* ---- one login ------------------------------------------------------------------------------- */

/* A refused datagram is one that got lost: it is sent again. */
static void say(const struct user *u, const uint8_t *msg, size_t len)
{
    (void)send(u->fd, msg, len, MSG_DONTWAIT);
}

static void ask(struct user *u)
{
    uint8_t req[WIRE_CONNECT_REQ_LEN];
    struct clock now;

    clock_read(&now);
    u->in.sequence++;
    u->in.client_index = randombytes_random() | 1;
    hs_initiator_request(u->login, &u->in, &now, req);
    cookie_request_read(req, &u->asked);
    if (u->has_cookie)
        mac2_put(u->cookie, req);
    u->asked_us = now_us();
    u->state = USER_ASKED;
    say(u, req, sizeof(req));
}

static void login_begin(struct user *u)
{
    u->begun_us = now_us();
    u->in.sequence = 0;
    in_flight++;
    ask(u);
}

/* A PING or PONG of 16 bytes. */
static void say_sealed(struct user *u, enum wire_type type, const uint8_t text[WIRE_PAD])
{
    uint8_t msg[WIRE_TRANSPORT_MIN], *nonce = msg + WIRE_HEADER_LEN;
    struct clock now;

    clock_read(&now);
    wire_header_put(msg, type, sizeof(msg), (uint32_t)u->counter, now.stamp_ms);
    be32_put(nonce, u->server_index);
    be64_put(nonce + 4, u->counter++);
    crypto_aead_chacha20poly1305_ietf_encrypt_detached(msg + WIRE_OVERHEAD, nonce + WIRE_NONCE_LEN,
                                                       NULL, text, WIRE_PAD, msg, WIRE_HEADER_LEN,
                                                       NULL, nonce, u->keys.send);
    say(u, msg, sizeof(msg));
}

static void prove(struct user *u)
{
    uint8_t text[WIRE_PAD] = {0};

    be64_put(text, u->number + 1);
    u->asked_us = now_us();
    u->state = USER_PROVING;
    say_sealed(u, WIRE_PING, text);
}

static void on_response(struct user *u, const uint8_t *msg)
{
    struct hs_answer answer;
    struct clock now;

    clock_read(&now);
    /* Late or twice: the answer to the newest request alone is one. */
    if (u->state != USER_ASKED || hs_initiator_answer(u->login, msg, &now, &answer, &u->keys) < 0)
        return;
    if (answer.status == WIRE_STATUS_CHALLENGE) {
        ask(u);
    } else if (answer.status == WIRE_STATUS_OK) {
        u->server_index = answer.server_index;
        u->counter = 0;
        prove(u);
    } else {
        fprintf(stderr, "handshakes: h%u: %s\n", u->number, wire_status_name(answer.status));
        exit(EXIT_FAILURE);
    }
}

static void on_sealed(struct user *u, const uint8_t *msg, size_t len)
{
    const uint8_t *nonce = msg + WIRE_HEADER_LEN;
    uint8_t text[WIRE_DATAGRAM_MAX], pong[WIRE_PAD];

    if (u->server_index == 0 || wire_transport_index(msg) != u->in.client_index ||
        crypto_aead_chacha20poly1305_ietf_decrypt_detached(
            text, NULL, msg + WIRE_OVERHEAD, len - WIRE_OVERHEAD, nonce + WIRE_NONCE_LEN, msg,
            WIRE_HEADER_LEN, nonce, u->keys.recv) < 0)
        return;
    if (msg[0] == WIRE_PING) {
        memcpy(pong, text, 8);
        memcpy(pong + 8, msg + 8, 8); /* the time of the PING */
        say_sealed(u, WIRE_PONG, pong);
    } else if (msg[0] == WIRE_PONG && u->state == USER_PROVING && be64_get(text) == u->number + 1) {
        u->state = USER_IDLE;
        in_flight--;
        if (took_us)
            took_us[done] = now_us() - u->begun_us;
        done++;
    }
}

static void on_readable(struct user *u)
{
    uint8_t msg[WIRE_DATAGRAM_MAX];
    ssize_t len = recv(u->fd, msg, sizeof(msg), MSG_DONTWAIT);

    if (len < 0)
        return;
    switch (wire_classify(msg, (size_t)len)) {
    case WIRE_KIND_CONNECT_RESP:
        on_response(u, msg);
        break;
    case WIRE_KIND_COOKIE:
        if (u->state == USER_ASKED && cookie_open(&mac, msg, &u->asked, u->cookie) == 0) {
            u->has_cookie = true;
            ask(u);
        }
        break;
    case WIRE_KIND_TRANSPORT:
        on_sealed(u, msg, (size_t)len);
        break;
    default:
        break;
    }
}

/* ---- all of them ----------------------------------------------------------------------------- */

static void user_make(struct user *u, unsigned int number)
{
    struct sockaddr_in from = {.sin_family = AF_INET, .sin_port = htons(40000)};
    struct epoll_event ev = {.events = EPOLLIN, .data.ptr = u};
    uint8_t key[WIRE_KEY_LEN];
    char name[WIRE_USER_MAX + 1];

    u->number = number;
    u->in.mtu = MTU;
    be32_put(u->in.device_id, number + 1);
    key_of(number, key);
    name_of(number, name);
    u->login = malloc(hs_initiator_size());
    if (!u->login || !hs_initiator_new(u->login, key, name, server_key))
        die("a login");
    from.sin_addr.s_addr = htonl(FIRST_HOST + number);
    u->fd = socket(AF_INET, SOCK_DGRAM, 0);
    if (u->fd < 0 || bind(u->fd, (struct sockaddr *)&from, sizeof(from)) < 0 ||
        connect(u->fd, (struct sockaddr *)&server, sizeof(server)) < 0 ||
        epoll_ctl(epoll_fd, EPOLL_CTL_ADD, u->fd, &ev) < 0)
        die("a socket");
}

static void repeat_lost(void)
{
    static uint64_t looked_us;
    const uint64_t now = now_us();
    size_t i;

    if (now - looked_us < LOST_US / 10)
        return;
    looked_us = now;
    for (i = 0; i < n_users; i++)
        if (users[i].state != USER_IDLE && now - users[i].asked_us >= LOST_US) {
            repeated++;
            ask(&users[i]);
        }
}

/* wait_us: when there is nothing to read */
static void serve(uint64_t wait_us)
{
    const struct timespec wait = {.tv_nsec = (long)(wait_us > 100000 ? 100000 : wait_us) * 1000};
    struct epoll_event events[64];
    int i, n = epoll_pwait2(epoll_fd, events, 64, &wait, NULL);

    for (i = 0; i < n; i++)
        on_readable(events[i].data.ptr);
    repeat_lost();
}

/* In turn, at most @most at a time and one every @every_us, until @end_us or all have @rounds. */
static void log_in(unsigned int most, uint64_t every_us, size_t rounds, uint64_t end_us)
{
    const uint64_t begun_us = now_us();
    const size_t all = n_users * rounds;
    size_t started = 0;
    uint64_t now;

    done = 0;
    while (!stopped && (now = now_us()) < end_us && done < all) {
        struct user *u = &users[started % n_users];

        while (started < all && in_flight < most && u->state == USER_IDLE &&
               now >= begun_us + started * every_us &&
               (u->begun_us == 0 || now - u->begun_us >= AGAIN_US)) {
            login_begin(u);
            u = &users[++started % n_users];
        }
        serve(1000);
    }
}

static int by_time(const void *a, const void *b)
{
    const uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

    return (x > y) - (x < y);
}

static void load(double seconds)
{
    char line[16];
    uint64_t begun;

    log_in(IN_FLIGHT, 0, 1, UINT64_MAX);
    printf("up %zu\n", done);
    fflush(stdout);
    if (!fgets(line, sizeof(line), stdin))
        exit(EXIT_FAILURE);
    repeated = 0;
    begun = now_us();
    log_in(IN_FLIGHT, 0, SIZE_MAX / n_users, begun + (uint64_t)(seconds * 1e6));
    printf("done %zu seconds %.3f repeated %u\n", done, (double)(now_us() - begun) / 1e6, repeated);
}

static void first(uint64_t every_us)
{
    took_us = calloc(n_users, sizeof(*took_us));
    if (!took_us)
        die("memory");
    puts("begun");
    fflush(stdout);
    log_in(1, every_us, 1, UINT64_MAX);
    qsort(took_us, done, sizeof(*took_us), by_time);
    if (done > 0) {
        const size_t middle = done / 2;

        printf("done %zu median-ms %.2f worst-ms %.2f repeated %u\n", done,
               (double)took_us[middle] / 1e3, (double)took_us[done - 1] / 1e3, repeated);
    }
}

/* ---- what needs no server -------------------------------------------------------------------- */

static void print_users(unsigned int count)
{
    uint8_t private_key[WIRE_KEY_LEN], public_key[WIRE_KEY_LEN];
    char text[CRED_KEY_TEXT_LEN + 1], name[WIRE_USER_MAX + 1];
    unsigned int i;

    puts("users:");
    for (i = 0; i < count; i++) {
        key_of(i, private_key);
        cred_public(private_key, public_key);
        cred_key_encode(public_key, text);
        name_of(i, name);
        printf("  %s: {key: \"%s\"}\n", name, text);
    }
}

/* The mean, for the server's handshakes are one as well: the fastest would be of other seconds. */
static void print_x25519(void)
{
    const int times = 10000;
    uint8_t point[WIRE_KEY_LEN], key[WIRE_KEY_LEN];
    clock_t begun;
    int i;

    key_of(0, key);
    cred_public(key, point);
    begun = clock();
    for (i = 0; i < times; i++)
        if (crypto_scalarmult(point, key, point) < 0)
            die("X25519");
    printf("%.0f\n", (double)(clock() - begun) * 1e9 / CLOCKS_PER_SEC / times);
}

static void on_term(int signal)
{
    (void)signal;
    stopped = 1;
}

/* ADDRESS PORT KEY, then FIRST and how many users of this process */
static void connect_users(char **arg, unsigned int from, size_t count)
{
    const struct rlimit files = {.rlim_cur = USERS_MAX + 64, .rlim_max = USERS_MAX + 64};
    size_t i;

    if (inet_pton(AF_INET, arg[0], &server.sin_addr) != 1 ||
        cred_key_decode(arg[2], server_key) < 0 || count == 0 || from > USERS_MAX ||
        count > USERS_MAX) {
        fprintf(stderr, "usage: see the first lines of handshakes.c\n");
        exit(64);
    }
    server.sin_port = htons((uint16_t)atoi(arg[1]));
    mac_keys_init(&mac, server_key);
    clock_init((uint64_t)randombytes_random() << 8);
    if (setrlimit(RLIMIT_NOFILE, &files) < 0)
        die("files");
    epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    users = calloc(count, sizeof(*users));
    if (epoll_fd < 0 || !users)
        die("memory");
    for (i = 0; i < count; i++)
        user_make(&users[i], from + (unsigned int)i);
    n_users = count;
}

int main(int argc, char **argv)
{
    const char *what = argc > 1 ? argv[1] : "";

    if (sodium_init() < 0)
        return EXIT_FAILURE;
    signal(SIGTERM, on_term);
    if (argc == 3 && strcmp(what, "users") == 0) {
        print_users((unsigned int)atoi(argv[2]));
    } else if (argc == 2 && strcmp(what, "x25519") == 0) {
        print_x25519();
    } else if (argc == 7 && strcmp(what, "load") == 0) {
        connect_users(argv + 2, 0, (size_t)atoi(argv[5]));
        load(atof(argv[6]));
    } else if (argc == 8 && strcmp(what, "first") == 0) {
        connect_users(argv + 2, (unsigned int)atoi(argv[5]), (size_t)atoi(argv[6]));
        first((uint64_t)atoi(argv[7]) * 1000);
    } else {
        fprintf(stderr, "usage: see the first lines of handshakes.c\n");
        return 64;
    }
    return EXIT_SUCCESS;
}

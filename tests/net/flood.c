/*
 * Floods a server with CONNECT_REQs from forged addresses, at a given rate:
 *
 *   flood bad    ADDRESS PORT RATE SECONDS          well-formed, but mac1 is wrong
 *   flood valid  ADDRESS PORT RATE SECONDS KEY      mac1 made with the server's public key
 *   flood replay ADDRESS PORT RATE SECONDS FILE     what "record" wrote, over and over
 *   flood record PORT FILE                          every CONNECT_REQ to PORT that passes; until
 * TERM
 *
 * For namespaces made by a test; the sources are 198.18.0.0/15 and 2001:db8:f000::/40, which are
 * nobody's.
 */
#include <arpa/inet.h>
#include <net/ethernet.h>
#include <netinet/ip.h>
#include <netinet/ip6.h>
#include <netinet/udp.h>
#include <sodium.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "common/cred.h"
#include "common/mac.h"

#define BATCH    64
#define RECORDED 4096

/* What follows the address family's own header. */
struct body {
    struct udphdr udp;
    uint8_t req[WIRE_CONNECT_REQ_LEN];
} __attribute__((packed));

struct packet {
    union {
        struct iphdr ip4;
        struct ip6_hdr ip6;
        uint8_t bytes[sizeof(struct ip6_hdr) + sizeof(struct body)];
    };
    size_t len;
};

/* As it was captured: IPv4 without options. */
struct captured {
    struct iphdr ip;
    struct body body;
} __attribute__((packed));

enum kind { KIND_BAD, KIND_VALID, KIND_REPLAY };

static enum kind kind;
static struct mac_keys keys;
static struct sockaddr_in to4 = {.sin_family = AF_INET};
static struct sockaddr_in6 to6 = {.sin6_family = AF_INET6};
static bool is_ip6;
static uint16_t port;
static uint8_t recorded[RECORDED][WIRE_CONNECT_REQ_LEN];
static size_t n_recorded;

static void __attribute__((noreturn)) die(const char *what)
{
    perror(what);
    exit(1);
}

/* xorshift64: speed is all that is asked of it. */
static uint64_t random64(void)
{
    static uint64_t x = 88172645463325252ULL;

    x ^= x << 13;
    x ^= x >> 7;
    x ^= x << 17;
    return x;
}

static void fill_request(uint8_t *req, uint64_t number)
{
    if (kind == KIND_REPLAY) {
        memcpy(req, recorded[number % n_recorded], WIRE_CONNECT_REQ_LEN);
        return;
    }
    for (size_t i = 0; i < WIRE_CONNECT_REQ_LEN; i += 8) {
        const uint64_t bits = random64();

        memcpy(req + i, &bits, 8);
    }
    wire_header_put(req, WIRE_CONNECT_REQ, WIRE_CONNECT_REQ_LEN, 1, random64());
    be32_put(req + WIRE_REQ_FLAGS, 0);
    if (kind == KIND_VALID)
        mac1_put(&keys, req);
}

static struct body *head4(struct packet *p, uint64_t bits)
{
    p->ip4.version = 4;
    p->ip4.ihl = 5;
    p->ip4.ttl = 64;
    p->ip4.protocol = IPPROTO_UDP;
    p->ip4.saddr = htonl(0xc6120000U | (bits & 0x1ffff));
    p->ip4.daddr = to4.sin_addr.s_addr;
    p->len = sizeof(p->ip4) + sizeof(struct body);
    return (struct body *)(p->bytes + sizeof(p->ip4));
}

/* Every packet from another /64. */
static struct body *head6(struct packet *p, uint64_t bits)
{
    static const uint8_t net[5] = {0x20, 0x01, 0x0d, 0xb8, 0xf0};

    p->ip6.ip6_flow = htonl(6U << 28);
    p->ip6.ip6_plen = htons(sizeof(struct body));
    p->ip6.ip6_nxt = IPPROTO_UDP;
    p->ip6.ip6_hlim = 64;
    memcpy(&p->ip6.ip6_src, net, sizeof(net));
    memcpy((uint8_t *)&p->ip6.ip6_src + sizeof(net), &bits, sizeof(bits));
    p->ip6.ip6_dst = to6.sin6_addr;
    p->len = sizeof(p->ip6) + sizeof(struct body);
    return (struct body *)(p->bytes + sizeof(p->ip6));
}

static uint32_t sum16(const uint8_t *data, size_t len)
{
    uint32_t sum = 0;

    for (size_t i = 0; i < len; i += 2)
        sum += (uint32_t)data[i] << 8 | data[i + 1];
    return sum;
}

/* Over IPv4 it may be left out, over IPv6 not (RFC 8200, 8.1). */
static uint16_t checksum6(const struct packet *p, const struct body *body)
{
    uint32_t sum = sum16((const uint8_t *)&p->ip6.ip6_src, 32) + IPPROTO_UDP + sizeof(*body) +
                   sum16((const uint8_t *)body, sizeof(*body));

    while (sum >> 16)
        sum = (sum & 0xffff) + (sum >> 16);
    sum = ~sum & 0xffff;
    return htons((uint16_t)(sum ? sum : 0xffff));
}

static void fill_packet(struct packet *p, uint64_t number)
{
    const uint64_t bits = random64();
    struct body *body;

    memset(p, 0, sizeof(*p));
    body = is_ip6 ? head6(p, bits) : head4(p, bits);
    body->udp.source = htons((uint16_t)(1024 + (bits >> 32) % 60000));
    body->udp.dest = htons(port);
    body->udp.len = htons(sizeof(*body));
    fill_request(body->req, number);
    if (is_ip6)
        body->udp.check = checksum6(p, body);
}

static double seconds_since(const struct timespec *start)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)(now.tv_sec - start->tv_sec) + (double)(now.tv_nsec - start->tv_nsec) / 1e9;
}

/* As many as are due by now, in batches, so that a pause of the machine is made up for. */
static void flood(double rate, double seconds)
{
    static struct packet packets[BATCH];
    struct iovec iovs[BATCH];
    struct mmsghdr msgs[BATCH];
    const int fd = socket(is_ip6 ? AF_INET6 : AF_INET, SOCK_RAW, IPPROTO_RAW);
    const int size = 4 << 20;
    struct timespec start;
    uint64_t sent = 0;
    double at;

    if (fd < 0)
        die("raw socket");
    (void)setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof(size));
    clock_gettime(CLOCK_MONOTONIC, &start);
    while ((at = seconds_since(&start)) < seconds) {
        const uint64_t due = (uint64_t)(at * rate);
        const struct timespec pause = {.tv_nsec = 1000000};
        unsigned int n = 0;

        for (; sent + n < due && n < BATCH; n++) {
            fill_packet(&packets[n], sent + n);
            iovs[n] = (struct iovec){.iov_base = packets[n].bytes, .iov_len = packets[n].len};
            msgs[n].msg_hdr = (struct msghdr){
                .msg_name = is_ip6 ? (void *)&to6 : (void *)&to4,
                .msg_namelen = is_ip6 ? sizeof(to6) : sizeof(to4),
                .msg_iov = &iovs[n],
                .msg_iovlen = 1,
            };
        }
        for (unsigned int done = 0; done < n;) {
            const int rc = sendmmsg(fd, msgs + done, n - done, 0);

            if (rc < 0)
                die("sendmmsg");
            done += (unsigned int)rc;
        }
        sent += n;
        if (n < BATCH)
            nanosleep(&pause, NULL);
    }
    printf("%llu\n", (unsigned long long)sent);
    close(fd);
}

static void record(uint16_t server_port, const char *path)
{
    const int fd = socket(AF_PACKET, SOCK_DGRAM, htons(ETH_P_ALL));
    FILE *file = fopen(path, "w");
    struct captured p;

    if (fd < 0 || !file)
        die("record");
    puts("recording");
    fflush(stdout);
    for (;;) {
        const ssize_t n = recv(fd, &p, sizeof(p), MSG_TRUNC);

        if (n != sizeof(p) || p.ip.version != 4 || p.ip.ihl != 5 || p.ip.protocol != IPPROTO_UDP ||
            p.body.udp.dest != htons(server_port) || p.body.req[0] != WIRE_CONNECT_REQ)
            continue;
        fwrite(p.body.req, sizeof(p.body.req), 1, file);
        fflush(file);
    }
}

static void read_recorded(const char *path)
{
    FILE *file = fopen(path, "r");

    if (!file)
        die(path);
    n_recorded = fread(recorded, WIRE_CONNECT_REQ_LEN, RECORDED, file);
    fclose(file);
    if (n_recorded == 0) {
        fprintf(stderr, "%s: nothing was recorded\n", path);
        exit(1);
    }
}

int main(int argc, char **argv)
{
    uint8_t key[WIRE_KEY_LEN];

    if (sodium_init() < 0)
        return 1;
    if (argc == 4 && strcmp(argv[1], "record") == 0)
        record((uint16_t)atoi(argv[2]), argv[3]);
    is_ip6 = argc > 2 && strchr(argv[2], ':') != NULL;
    if (argc < 6 || inet_pton(is_ip6 ? AF_INET6 : AF_INET, argv[2],
                              is_ip6 ? (void *)&to6.sin6_addr : (void *)&to4.sin_addr) != 1) {
        fprintf(stderr, "usage: see the first lines of flood.c\n");
        return 64;
    }
    /* A raw socket's address has no port: IPv6 would refuse it. */
    port = (uint16_t)atoi(argv[3]);
    if (argc == 7 && strcmp(argv[1], "valid") == 0 && cred_key_decode(argv[6], key) == 0) {
        kind = KIND_VALID;
        mac_keys_init(&keys, key);
    } else if (argc == 7 && strcmp(argv[1], "replay") == 0) {
        kind = KIND_REPLAY;
        read_recorded(argv[6]);
    } else if (argc != 6 || strcmp(argv[1], "bad") != 0) {
        fprintf(stderr, "usage: see the first lines of flood.c\n");
        return 64;
    }
    flood(atof(argv[4]), atof(argv[5]));
    return 0;
}

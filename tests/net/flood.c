/*
 * Floods a server with CONNECT_REQs from forged addresses, at a given rate:
 *
 *   flood bad    ADDRESS PORT RATE SECONDS          well-formed, but mac1 is wrong
 *   flood valid  ADDRESS PORT RATE SECONDS KEY      mac1 made with the server's public key
 *   flood replay ADDRESS PORT RATE SECONDS FILE     what "record" wrote, over and over
 *   flood record PORT FILE                          every CONNECT_REQ to PORT that passes; until
 * TERM
 *
 * For namespaces made by a test; the sources are 198.18.0.0/15, which is nobody's.
 */
#include <arpa/inet.h>
#include <net/ethernet.h>
#include <netinet/ip.h>
#include <netinet/udp.h>
#include <sodium.h>
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

struct packet {
    struct iphdr ip;
    struct udphdr udp;
    uint8_t req[WIRE_CONNECT_REQ_LEN];
} __attribute__((packed));

enum kind { KIND_BAD, KIND_VALID, KIND_REPLAY };

static enum kind kind;
static struct mac_keys keys;
static struct sockaddr_in to = {.sin_family = AF_INET};
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

static void fill_packet(struct packet *p, uint64_t number)
{
    const uint64_t bits = random64();

    memset(p, 0, sizeof(*p));
    p->ip.version = 4;
    p->ip.ihl = 5;
    p->ip.ttl = 64;
    p->ip.protocol = IPPROTO_UDP;
    p->ip.saddr = htonl(0xc6120000U | (bits & 0x1ffff));
    p->ip.daddr = to.sin_addr.s_addr;
    p->udp.source = htons((uint16_t)(1024 + (bits >> 32) % 60000));
    p->udp.dest = to.sin_port;
    p->udp.len = htons(sizeof(p->udp) + sizeof(p->req)); /* no checksum: allowed over IPv4 */
    fill_request(p->req, number);
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
    const int fd = socket(AF_INET, SOCK_RAW, IPPROTO_RAW);
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
            iovs[n] = (struct iovec){.iov_base = &packets[n], .iov_len = sizeof(packets[n])};
            msgs[n].msg_hdr = (struct msghdr){
                .msg_name = &to, .msg_namelen = sizeof(to), .msg_iov = &iovs[n], .msg_iovlen = 1};
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

static void record(uint16_t port, const char *path)
{
    const int fd = socket(AF_PACKET, SOCK_DGRAM, htons(ETH_P_ALL));
    FILE *file = fopen(path, "w");
    struct packet p;

    if (fd < 0 || !file)
        die("record");
    puts("recording");
    fflush(stdout);
    for (;;) {
        const ssize_t n = recv(fd, &p, sizeof(p), MSG_TRUNC);

        if (n != sizeof(p) || p.ip.version != 4 || p.ip.ihl != 5 || p.ip.protocol != IPPROTO_UDP ||
            p.udp.dest != htons(port) || p.req[0] != WIRE_CONNECT_REQ)
            continue;
        fwrite(p.req, sizeof(p.req), 1, file);
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
    if (argc < 6 || inet_pton(AF_INET, argv[2], &to.sin_addr) != 1) {
        fprintf(stderr, "usage: see the first lines of flood.c\n");
        return 64;
    }
    to.sin_port = htons((uint16_t)atoi(argv[3]));
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

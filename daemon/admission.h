/*
 * Which CONNECT_REQ may cost the enclave a Diffie-Hellman.
 *
 * Pure: time and the enclave's queue come in as arguments; no system call, no log line.
 */
#ifndef DAEMON_ADMISSION_H
#define DAEMON_ADMISSION_H

#include <stdbool.h>
#include <stdint.h>

#include "common/bucket.h"
#include "common/ip.h"

#define ADMISSION_SOURCE_LEN 16

/* Requests that wait for the enclave: from here on it is under load, and nothing more is taken. */
#define ADMISSION_QUEUE_LOAD 64
#define ADMISSION_QUEUE_MAX  192

/* Without a cookie so many requests are let through in a second, and so many at once. */
#define ADMISSION_BUDGET_RATE  250
#define ADMISSION_BUDGET_BURST 500

/* Under load, of one source. */
#define ADMISSION_SOURCE_RATE  20
#define ADMISSION_SOURCE_BURST 5

#define ADMISSION_SETS 1024
#define ADMISSION_WAYS 4

enum admission_verdict {
    ADMISSION_FORWARD,
    ADMISSION_COOKIE, /* answer COOKIE: its sender shall show that it receives there */
    ADMISSION_SOURCE, /* drop: this source has had its share */
    ADMISSION_QUEUE,  /* drop: the enclave is too far behind */
};

struct admission_source {
    uint64_t tag;         /* keyed hash of the source */
    struct bucket bucket; /* never used: full since ever */
};

struct admission {
    uint8_t hash_key[16];
    struct bucket budget;
    struct admission_source source[ADMISSION_SETS][ADMISSION_WAYS];
};

void admission_init(struct admission *a);

/**
 * admission_source() - what limits count by: an IPv4 address, or the /64 one IPv6 customer has
 * @out: a name of it, different for each family
 */
void admission_source(const struct ip_addr *addr, uint8_t out[ADMISSION_SOURCE_LEN]);

/**
 * admission_decide() - judge a request that passed mac1
 * @queued: requests that the enclave was given and has not answered yet
 * @proven: its mac2 is valid
 *
 * What is forwarded has been counted in the buckets.
 */
enum admission_verdict admission_decide(struct admission *a,
                                        const uint8_t source[ADMISSION_SOURCE_LEN], bool proven,
                                        uint32_t queued, uint64_t now_ms);

#endif

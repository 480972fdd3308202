/* A worker: one thread that serves one lane's ring. */
#ifndef ENCLAVE_WORKER_H
#define ENCLAVE_WORKER_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "common/ring.h"
#include "enclave/keystore.h"
#include "enclave/transport.h"

struct worker {
    struct ring_area *area;
    pthread_barrier_t *started; /* passed once by each worker and by the main thread */
    int bell, lane_bell;        /* rung for us, and by us */
    struct transport transport;
    struct ring_end submit, complete;
    /* Its thread may touch all that is here and its cipher; false while it sleeps. */
    atomic_bool at_work;
    /* Private copies: no packet is worked on where the caller could change it meanwhile. */
    uint8_t datagram[WIRE_DATAGRAM_MAX];
    uint8_t plain[WIRE_DATAGRAM_MAX];
    struct ring_packet packets[RING_PACKETS];
};

/**
 * worker_init() - prepare before the thread starts
 *
 * Return: 0 or -ENOMEM.
 */
int worker_init(struct worker *w, struct keystore *ks, enum transport_role role, uint32_t lane,
                struct ring_area *area, int bell, int lane_bell);

/** worker_main() - the thread: serves until the process ends. */
void *worker_main(void *worker);

/**
 * workers_halt() - from here on none of them touches its cipher or anything in its struct
 *
 * For the end of the process, from whichever thread; waits until those at work have noticed, a
 * moment at most, because one of them may itself be the reason.  There is no way back.
 */
void workers_halt(struct worker *workers, uint32_t n);

/**
 * worker_serve() - work off what has been submitted, without blocking
 *
 * Return: number of batches, or -EPROTO when the ring was violated.
 */
int worker_serve(struct worker *w);

#endif

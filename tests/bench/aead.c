/*
 * What the cipher alone costs: nanoseconds to seal and to open one packet, by the engine that the
 * enclave chooses here, as "name<TAB>value" lines.  `make bench` sets the server's CPU per packet
 * against it.  The fastest of many short runs counts: a neighbour can only make one slower.
 */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "enclave/aead.h"

#define TEXT   1408 /* 1400 bytes, padded */
#define HEADER 16
#define RUNS   200
#define ROUNDS 500

static double cpu_ns(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
    return (double)ts.tv_sec * 1e9 + (double)ts.tv_nsec;
}

int main(void)
{
    static const uint8_t key[AEAD_KEY_LEN] = {1}, nonce[AEAD_NONCE_LEN], header[HEADER];
    static uint8_t plain[TEXT], sealed[TEXT], tag[AEAD_TAG_LEN];
    double seal = 1e9, open = 1e9;
    struct aead *a;
    int run, i;

    if (aead_init() < 0 || aead_choose(NULL) < 0 || !(a = aead_new()))
        return 1;
    for (run = 0; run < RUNS; run++) {
        double start = cpu_ns(), middle, end;

        for (i = 0; i < ROUNDS; i++)
            if (aead_seal(a, key, nonce, header, HEADER, plain, TEXT, sealed, tag) < 0)
                return 1;
        middle = cpu_ns();
        for (i = 0; i < ROUNDS; i++)
            if (aead_open(a, key, nonce, header, HEADER, sealed, TEXT, tag, plain) < 0)
                return 1;
        end = cpu_ns();
        if (middle - start < seal)
            seal = middle - start;
        if (end - middle < open)
            open = end - middle;
    }
    printf("aead engine\t%s\naead seal\t%.0f\naead open\t%.0f\n", aead_name(), seal / ROUNDS,
           open / ROUNDS);
    aead_free(a);
    return 0;
}

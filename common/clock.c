/* Clock readings; see clock.h. */
#include "common/clock.h"

#include <time.h>

static uint64_t stamp_offset_ms;

static uint64_t read_ns(clockid_t id)
{
    struct timespec ts;

    clock_gettime(id, &ts);
    return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

void clock_init(uint64_t random_bits)
{
    stamp_offset_ms = random_bits & ((1ULL << 40) - 1);
}

void clock_read(struct clock *out)
{
    uint64_t mono = read_ns(CLOCK_MONOTONIC);
    uint64_t raw = read_ns(CLOCK_MONOTONIC_RAW);
    uint64_t boot = read_ns(CLOCK_BOOTTIME);
    uint64_t suspended = boot - mono;

    out->mono_ms = boot / 1000000;
    out->stamp_ms = (raw + suspended) / 1000000 + stamp_offset_ms;
    out->real_us = read_ns(CLOCK_REALTIME) / 1000;
}

uint64_t clock_mono_ms(void)
{
    return read_ns(CLOCK_BOOTTIME) / 1000000;
}

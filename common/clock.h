/* The clocks, read once per wake-up and handed down. */
#ifndef COMMON_CLOCK_H
#define COMMON_CLOCK_H

#include <stdint.h>

struct clock {
    uint64_t mono_ms;  /* CLOCK_BOOTTIME: expiry and timers, which run on while suspended */
    uint64_t stamp_ms; /* the protocol's timestamp, see clock_init() */
    uint64_t real_us;  /* CLOCK_REALTIME */
};

/**
 * clock_init() - draw this process's timestamp offset; once, before threads
 *
 * The protocol's timestamp is MONOTONIC_RAW + (BOOTTIME − MONOTONIC) + r in milliseconds: raw,
 * because chrony may slew the other clocks by 8 %; boot time, so that suspended hours count; r is
 * 40 random bits, which hide the machine's uptime.
 */
void clock_init(uint64_t random_bits);

/** clock_read() - vDSO calls only: no system call on ordinary machines. */
void clock_read(struct clock *out);

/** clock_mono_ms() - mono_ms alone. */
uint64_t clock_mono_ms(void);

#endif

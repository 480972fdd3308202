/* Data rates as people write them: "5mbit", "640kbit", "1gbit", "2.5Mbps". */
#ifndef COMMON_RATE_H
#define COMMON_RATE_H

#include <stdint.h>

#include "common/err.h"

#define RATE_MIN_BITS UINT64_C(8000)          /* one 1400-byte packet in 1.4 s: less is no rate */
#define RATE_MAX_BITS UINT64_C(1000000000000) /* 1tbit */
#define RATE_STRLEN   32

/**
 * rate_parse() - text to bits per second
 *
 * A number, with up to six decimals, and a unit: bit, kbit, mbit, gbit, tbit, or bps, kbps, ...,
 * which are *bits* per second as well (tc(8) takes those for bytes), large or small letters alike.
 * Steps are 1000.
 *
 * Return: 0, or -EINVAL with a sentence that says what is wrong and how to mend it.
 */
int rate_parse(const char *text, uint64_t *bits, struct err *err);

/** rate_format() - "5mbit", "2500kbit": exact, in the largest unit without decimals.  Return: @buf.
 */
const char *rate_format(uint64_t bits, char buf[RATE_STRLEN]);

/** rate_short() - "4.97 Mbit/s", rounded to three digits, for a person's eye.  Return: @buf. */
const char *rate_short(uint64_t bits, char buf[RATE_STRLEN]);

#endif

/*
 * The Internet checksum (RFC 1071): a one's complement sum of 16-bit words.
 *
 * The sum does not care about byte order as long as the result is stored as it was added up, so
 * everything here is in the machine's own order; an odd last byte counts as if a zero followed it.
 * Sums are wide and unfinished until checksum_fold().  Pure: no system call, clock or log line.
 */
#ifndef DAEMON_DATAPATH_CHECKSUM_H
#define DAEMON_DATAPATH_CHECKSUM_H

#include <endian.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/**
 * checksum_add() - @from, and the words of @len bytes at @data (any alignment)
 *
 * What was added before must have been of even length.  Some 2^31 bytes fit one sum.
 */
uint64_t checksum_add(uint64_t from, const void *data, size_t len);

/** checksum_add16() - @from, and a number as it would stand in the packet. */
static inline uint64_t checksum_add16(uint64_t from, uint16_t value)
{
    return from + htobe16(value);
}

/** checksum_sub16() - take such a number out of a sum again. */
static inline uint64_t checksum_sub16(uint64_t from, uint16_t value)
{
    return from + (uint16_t)~htobe16(value);
}

/** checksum_fold() - the sum as 16 bits, not inverted: what a pseudo header contributes. */
static inline uint16_t checksum_fold(uint64_t sum)
{
    sum = (sum & 0xffffffff) + (sum >> 32);
    sum = (sum & 0xffffffff) + (sum >> 32);
    sum = (sum & 0xffff) + (sum >> 16);
    sum = (sum & 0xffff) + (sum >> 16);
    return (uint16_t)sum;
}

/** checksum_put() - store a finished 16-bit value where it belongs. */
static inline void checksum_put(uint8_t *field, uint16_t value)
{
    memcpy(field, &value, sizeof(value));
}

/** checksum_finish() - the checksum of a sum, as checksum_put() takes it. */
static inline uint16_t checksum_finish(uint64_t sum)
{
    return (uint16_t)~checksum_fold(sum);
}

#endif

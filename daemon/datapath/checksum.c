/* The Internet checksum, several words at a time; see checksum.h. */
#include "daemon/datapath/checksum.h"

/*
 * 32-bit words are added up in 64-bit lanes, so no carry is lost before 2^32 of them.  The compiler
 * makes vector code of it wherever there is some of 16 bytes (SSE2, NEON): 1348 bytes take 69 ns.
 * Vectors of 32 bytes take 23 where AVX2 may be used, and 137 where it may not.
 */
typedef uint64_t lanes __attribute__((vector_size(16)));

uint64_t checksum_add(uint64_t from, const void *data, size_t len)
{
    const uint8_t *p = data;
    lanes low[2] = {0}, high[2] = {0};
    uint64_t sum = 0;
    uint32_t word;

    for (; len >= 2 * sizeof(lanes); p += 2 * sizeof(lanes), len -= 2 * sizeof(lanes)) {
        lanes v[2];

        memcpy(v, p, sizeof(v));
        low[0] += v[0] & 0xffffffff;
        high[0] += v[0] >> 32;
        low[1] += v[1] & 0xffffffff;
        high[1] += v[1] >> 32;
    }
    low[0] += high[0] + low[1] + high[1];
    for (size_t i = 0; i < sizeof(lanes) / sizeof(sum); i++)
        sum += low[0][i];
    for (; len >= sizeof(word); p += sizeof(word), len -= sizeof(word)) {
        memcpy(&word, p, sizeof(word));
        sum += word;
    }
    word = 0;
    memcpy(&word, p, len);
    return from + checksum_fold(sum + word);
}

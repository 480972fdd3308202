/* Token buckets; see bucket.h. */
#include "common/bucket.h"

bool bucket_ready(const struct bucket *b, const struct bucket_rate *rate, uint64_t now_us)
{
    return b->full_us <= now_us + (uint64_t)(rate->burst - 1) * rate->interval_us;
}

void bucket_take(struct bucket *b, const struct bucket_rate *rate, uint64_t now_us)
{
    if (b->full_us < now_us)
        b->full_us = now_us;
    b->full_us += rate->interval_us;
}

/*
 * Token buckets: how often something may happen.
 *
 * A bucket is one number: the time at which it will be full again.  Taking a token moves that time
 * one interval on; the bucket is empty when it lies a whole burst ahead.  No timer refills
 * anything.  Pure: time comes in as an argument.
 */
#ifndef COMMON_BUCKET_H
#define COMMON_BUCKET_H

#include <stdbool.h>
#include <stdint.h>

/* One token each interval, at most burst saved up. */
struct bucket_rate {
    uint64_t interval_us;
    uint32_t burst;
};

/* When the bucket will be full again; all zero is a full bucket. */
struct bucket {
    uint64_t full_us;
};

/** bucket_ready() - is there a token?  Takes none. */
bool bucket_ready(const struct bucket *b, const struct bucket_rate *rate, uint64_t now_us);
/** bucket_take() - take the token that bucket_ready() saw. */
void bucket_take(struct bucket *b, const struct bucket_rate *rate, uint64_t now_us);

#endif

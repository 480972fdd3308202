/*
 * Admission of logins.
 *
 * Theory of operation
 * -------------------
 * A valid mac1 shows only that somebody knows the server's public key.  Two things say that there
 * are more such requests than the enclave should work on: its queue, and a budget, a bucket that
 * every request takes a token from.  Until then all pass, because fifty clients behind one NAT who
 * come back after an outage are no attack.  From then on, under load, a request must carry a valid
 * mac2, and each source has a bucket of its own.
 *
 * So senders with forged addresses get what the budget gives and no more, whatever they send.  A
 * request that has shown its address may overdraw the budget: it is bounded by its source's bucket,
 * by the queue's hard limit, and by the enclave's own bucket.
 *
 * Only sources that have shown their address get a place in the table, so forgers cannot flush it.
 * A keyed hash picks a set, so nobody can aim at a neighbour's; in a full set the one whose bucket
 * has been full for longest is forgotten, which loses nothing unless a whole set is busy at once.
 */
#include "daemon/admission.h"

#include <sodium.h>
#include <string.h>

static const struct bucket_rate budget_rate = {1000000 / ADMISSION_BUDGET_RATE,
                                               ADMISSION_BUDGET_BURST};
static const struct bucket_rate source_rate = {1000000 / ADMISSION_SOURCE_RATE,
                                               ADMISSION_SOURCE_BURST};

void admission_init(struct admission *a)
{
    memset(a, 0, sizeof(*a));
    randombytes_buf(a->hash_key, sizeof(a->hash_key));
}

void admission_source(const struct ip_addr *addr, uint8_t out[ADMISSION_SOURCE_LEN])
{
    memset(out, 0, ADMISSION_SOURCE_LEN);
    memcpy(out, addr->bytes, addr->family == 4 ? 4 : 8);
    out[ADMISSION_SOURCE_LEN - 1] = addr->family;
}

static struct bucket *source_bucket(struct admission *a, const uint8_t source[ADMISSION_SOURCE_LEN])
{
    struct admission_source *set, *idle;
    uint64_t tag;
    int i;

    crypto_shorthash((uint8_t *)&tag, source, ADMISSION_SOURCE_LEN, a->hash_key);
    set = a->source[tag % ADMISSION_SETS];
    idle = &set[0];
    for (i = 0; i < ADMISSION_WAYS; i++) {
        if (set[i].tag == tag)
            return &set[i].bucket;
        if (set[i].bucket.full_us < idle->bucket.full_us)
            idle = &set[i];
    }
    *idle = (struct admission_source){.tag = tag};
    return &idle->bucket;
}

static void budget_take(struct admission *a, uint64_t now_us)
{
    if (bucket_ready(&a->budget, &budget_rate, now_us))
        bucket_take(&a->budget, &budget_rate, now_us);
}

enum admission_verdict admission_decide(struct admission *a,
                                        const uint8_t source[ADMISSION_SOURCE_LEN], bool proven,
                                        uint32_t queued, uint64_t now_ms)
{
    const uint64_t now_us = now_ms * 1000;
    struct bucket *bucket;

    if (queued < ADMISSION_QUEUE_LOAD && bucket_ready(&a->budget, &budget_rate, now_us)) {
        bucket_take(&a->budget, &budget_rate, now_us);
        return ADMISSION_FORWARD;
    }
    if (!proven)
        return ADMISSION_COOKIE;
    bucket = source_bucket(a, source);
    if (!bucket_ready(bucket, &source_rate, now_us))
        return ADMISSION_SOURCE;
    /* Before the tokens: what is not forwarded shall not count. */
    if (queued >= ADMISSION_QUEUE_MAX)
        return ADMISSION_QUEUE;
    bucket_take(bucket, &source_rate, now_us);
    budget_take(a, now_us);
    return ADMISSION_FORWARD;
}

/*
 * Token buckets, per source and for all sources together.
 *
 * Theory of operation
 *
 * Sources are remembered in a fixed table of small sets; a keyed hash picks the set, so nobody can
 * aim at a neighbour's.  In a full set the longest unused source is forgotten, which gives it a
 * full bucket again: that is safe because the common bucket bounds what all of them get together,
 * and because source addresses can be forged anyway.
 */
#include <sodium.h>
#include <string.h>

#include "enclave/hs_limit.h"

static const struct bucket_rate rate_source[HS_SOURCE_KINDS] = {
    [HS_SOURCE_REFUSAL] = {1000000, 1},
    [HS_SOURCE_CHALLENGE] = {500000, 2},
    /* An office behind one address comes back at once when the server has restarted. */
    [HS_SOURCE_PROVEN] = {50000, 64},
};

static const struct bucket_rate rate_all[HS_SOURCE_KINDS] = {
    [HS_SOURCE_REFUSAL] = {200000, 5},
    [HS_SOURCE_CHALLENGE] = {5000, 200},
    [HS_SOURCE_PROVEN] = {2000, 500},
};

void hs_sources_init(struct hs_sources *s)
{
    memset(s, 0, sizeof(*s));
    randombytes_buf(s->hash_key, sizeof(s->hash_key));
}

static struct hs_source *source_find(struct hs_sources *s, const uint8_t source[HS_SOURCE_LEN],
                                     uint64_t now_us)
{
    struct hs_source *set, *oldest;
    uint64_t tag;

    crypto_shorthash((uint8_t *)&tag, source, HS_SOURCE_LEN, s->hash_key);
    set = s->source[tag % HS_SOURCE_SETS];
    oldest = &set[0];
    for (int i = 0; i < HS_SOURCE_WAYS; i++) {
        if (set[i].tag == tag && set[i].used_us != 0)
            return &set[i];
        if (set[i].used_us < oldest->used_us)
            oldest = &set[i];
    }
    *oldest = (struct hs_source){.tag = tag, .used_us = now_us + 1};
    return oldest;
}

bool hs_sources_take(struct hs_sources *s, enum hs_source_kind kind,
                     const uint8_t source[HS_SOURCE_LEN], uint64_t now_us)
{
    struct hs_source *from = source_find(s, source, now_us);

    if (!bucket_ready(&from->bucket[kind], &rate_source[kind], now_us) ||
        !bucket_ready(&s->all[kind], &rate_all[kind], now_us))
        return false;

    from->used_us = now_us + 1;
    bucket_take(&from->bucket[kind], &rate_source[kind], now_us);
    bucket_take(&s->all[kind], &rate_all[kind], now_us);
    return true;
}

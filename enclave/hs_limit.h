/*
 * How often the responder does what strangers can ask for: token buckets, one per thing or source.
 */
#ifndef ENCLAVE_HS_LIMIT_H
#define ENCLAVE_HS_LIMIT_H

#include <stdbool.h>
#include <stdint.h>

#include "common/bucket.h"

#define HS_SOURCE_LEN 16

/* What is counted per source. */
enum hs_source_kind {
    HS_SOURCE_REFUSAL,   /* DENIED and BAD_REV */
    HS_SOURCE_CHALLENGE, /* CHALLENGE, without more ado */
    HS_SOURCE_PROVEN,    /* CHALLENGE beyond that, to who has shown its address */
    HS_SOURCE_KINDS,
};

#define HS_SOURCE_SETS 256
#define HS_SOURCE_WAYS 4

struct hs_source {
    uint64_t tag;     /* keyed hash of the address */
    uint64_t used_us; /* plus 1; 0: a place never used */
    struct bucket bucket[HS_SOURCE_KINDS];
};

/* A bounded memory of sources, and the bound for all of them together. */
struct hs_sources {
    uint8_t hash_key[16];
    struct bucket all[HS_SOURCE_KINDS];
    struct hs_source source[HS_SOURCE_SETS][HS_SOURCE_WAYS];
};

void hs_sources_init(struct hs_sources *s);

/**
 * hs_sources_take() - may one more answer of this kind go to this source?
 * @source: HS_SOURCE_LEN bytes that name it
 *
 * Return: true, and a token is taken from the source's bucket and from the common one; or false,
 * and none is: a source over its own limit must not spend what is there for all.
 */
bool hs_sources_take(struct hs_sources *s, enum hs_source_kind kind,
                     const uint8_t source[HS_SOURCE_LEN], uint64_t now_us);

#endif

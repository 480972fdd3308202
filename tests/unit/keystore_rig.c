/* A key store of the test's own. */
#include "tests/unit/keystore_rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include <sodium.h>

const uint8_t device_a[WIRE_DEVICE_ID_LEN] = {1}, device_b[WIRE_DEVICE_ID_LEN] = {2};

struct keystore *ks;
struct clock now;

static void *mem;

void start(uint32_t lanes, uint32_t peers)
{
    size_t size = (keystore_size(peers, IDS) + 63) & ~(size_t)63;

    free(mem);
    mem = aligned_alloc(64, size);
    assert_non_null(mem);
    memset(mem, 0, size);
    ks = keystore_new(mem, lanes, peers, IDS);
    now = (struct clock){.mono_ms = 1000000, .stamp_ms = 5, .real_us = 7};
}

int setup(void **state)
{
    (void)state;
    start(2, PEERS);
    return 0;
}

int finish(void **state)
{
    (void)state;
    free(mem);
    mem = NULL;
    return 0;
}

struct session *make(uint32_t slot)
{
    struct session *s = keystore_session_new(ks, slot);

    assert_non_null(s);
    memset(&s->keys, 0xab, sizeof(s->keys));
    s->created_ms = now.mono_ms;
    return s;
}

struct session *publish(uint32_t slot, enum session_slot where)
{
    struct session *s = make(slot);

    keystore_session_publish(ks, s, where);
    return s;
}

bool wiped(const struct session *s)
{
    return sodium_is_zero((const uint8_t *)&s->keys, sizeof(s->keys)) == 1;
}

void reap(void)
{
    keystore_reap(ks, &now, true);
}

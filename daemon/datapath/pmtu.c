/* The search for a path's MTU; see pmtu.h. */
#include "daemon/datapath/pmtu.h"

#include "common/wire.h"

/* The largest probe: the MTU rounded up, so that its answer proves the MTU. */
static uint16_t full_size(const struct pmtu *p)
{
    return (uint16_t)wire_padded(p->mtu);
}

static uint16_t smaller(uint16_t a, uint16_t b)
{
    return a < b ? a : b;
}

static void first_round(struct pmtu *p, uint64_t now_ms)
{
    p->low = 0;
    p->high = full_size(p) + WIRE_PAD;
    p->sizes[0] = full_size(p);
    p->n_sizes = 1;
    p->tries = 0;
    p->due_ms = now_ms;
}

/* Sizes evenly between what passed and what failed, 1280 first among them. */
static void next_round(struct pmtu *p)
{
    const uint16_t from = p->low ? p->low + WIRE_PAD : WIRE_MTU_MIN;
    const uint16_t steps = (uint16_t)((p->high - from + WIRE_PAD - 1) / WIRE_PAD);
    const uint16_t stride = (uint16_t)((steps + PMTU_ROUND - 1) / PMTU_ROUND);

    p->n_sizes = 0;
    for (uint16_t i = 0; i < steps && p->n_sizes < PMTU_ROUND; i = (uint16_t)(i + stride))
        p->sizes[p->n_sizes++] = (uint16_t)(from + i * WIRE_PAD);
    p->tries = 0;
}

static void learn(struct pmtu *p)
{
    p->whole = smaller(p->low, p->mtu);
    p->limit = p->whole < WIRE_MTU_MIN ? WIRE_MTU_MIN : p->whole;
}

static void end(struct pmtu *p, uint64_t now_ms)
{
    if (p->low) {
        learn(p);
        p->again_ms = 0;
        p->due_ms = PMTU_NEVER;
        return;
    }
    /*
     * Not one answer: the path carries less than 1280, or nobody was there to answer.  What hosts
     * inside are told stays until it happens again.
     */
    p->whole = 0;
    if (p->again_ms)
        p->limit = WIRE_MTU_MIN;
    p->again_ms = p->again_ms ? 2 * p->again_ms : PMTU_AGAIN_MS;
    if (p->again_ms > PMTU_AGAIN_MAX_MS)
        p->again_ms = PMTU_AGAIN_MAX_MS;
    first_round(p, now_ms + p->again_ms);
}

/* What was not answered by now has failed.  Return: false when the search is over. */
static bool judge(struct pmtu *p)
{
    for (uint8_t i = 0; i < p->n_sizes; i++)
        if (p->sizes[i] > p->low)
            p->high = smaller(p->high, p->sizes[i]);
    if (p->high <= (p->low ? p->low + WIRE_PAD : WIRE_MTU_MIN))
        return false;
    next_round(p);
    return true;
}

void pmtu_begin(struct pmtu *p, uint16_t mtu, uint64_t base, bool fresh, uint64_t now_ms)
{
    const uint16_t agreed = mtu < WIRE_MTU_MIN   ? WIRE_MTU_MIN
                            : mtu > WIRE_MTU_MAX ? WIRE_MTU_MAX
                                                 : mtu;

    if (fresh || p->mtu != agreed) {
        p->whole = 0;
        p->limit = agreed;
        p->again_ms = 0;
    }
    p->mtu = agreed;
    p->base = PMTU_BASE(base) ? PMTU_BASE(base) : 1;
    if (p->began_ms && now_ms < p->began_ms + PMTU_APART_MS)
        now_ms = p->began_ms + PMTU_APART_MS;
    p->began_ms = now_ms;
    first_round(p, now_ms);
}

size_t pmtu_send(struct pmtu *p, uint64_t now_ms, uint16_t sizes[PMTU_ROUND])
{
    size_t n = 0;

    if (p->due_ms == PMTU_NEVER || now_ms < p->due_ms)
        return 0;
    if (p->tries == PMTU_TRIES && !judge(p)) {
        end(p, now_ms);
        return 0;
    }
    p->tries++;
    p->due_ms = now_ms + PMTU_WAIT_MS;
    for (uint8_t i = 0; i < p->n_sizes; i++)
        if (p->sizes[i] > p->low)
            sizes[n++] = p->sizes[i];
    return n;
}

uint64_t pmtu_id(const struct pmtu *p, uint16_t size)
{
    return p->base << 16 | size;
}

void pmtu_answer(struct pmtu *p, uint64_t id)
{
    const uint16_t size = (uint16_t)PMTU_SIZE(id);

    if (PMTU_BASE(id) != p->base || size < WIRE_MTU_MIN || size % WIRE_PAD != 0 ||
        size > full_size(p) || size <= p->low)
        return;
    p->low = size;
    if (p->low == full_size(p) || p->due_ms == PMTU_NEVER) {
        learn(p);
        p->again_ms = 0;
        p->due_ms = PMTU_NEVER;
    } else if (smaller(p->low, p->mtu) > p->whole) {
        p->whole = smaller(p->low, p->mtu);
        if (p->whole > p->limit)
            p->limit = p->whole;
    }
}

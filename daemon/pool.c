/* Inner addresses and the search for a free one; see pool.h. */
#include "daemon/pool.h"

#include <string.h>

static uint64_t be_get(const uint8_t *p, size_t n)
{
    uint64_t v = 0;

    while (n--)
        v = v << 8 | *p++;
    return v;
}

/* Saturates: nobody gives out 2^64 addresses. */
static uint64_t range_size(const struct ip_range *r)
{
    uint64_t n;

    if (r->first.family == 4)
        return be_get(r->last.bytes, 4) - be_get(r->first.bytes, 4) + 1;
    if (memcmp(r->first.bytes, r->last.bytes, 8) != 0)
        return UINT64_MAX;
    n = be_get(r->last.bytes + 8, 8) - be_get(r->first.bytes + 8, 8);
    return n == UINT64_MAX ? n : n + 1;
}

/* The number of the range that holds it, n_pool when none does. */
static size_t range_of(const struct config *c, const struct ip_addr *addr)
{
    size_t i;

    for (i = 0; i < c->n_pool; i++)
        if (c->pool[i].first.family == addr->family && ip_addr_cmp(&c->pool[i].first, addr) <= 0 &&
            ip_addr_cmp(addr, &c->pool[i].last) <= 0)
            break;
    return i;
}

static struct pool_family *family_of(struct pool *p, uint8_t family)
{
    return &p->family[family == 6];
}

static uint32_t count_fixed(const struct config *config)
{
    uint32_t n = 0;
    size_t i;

    for (i = 0; i < config->n_users; i++)
        n += (uint32_t)config->users[i].n_fixed;
    return n;
}

static void take_fixed(struct pool *p, const struct ip_addr *addr)
{
    struct taken *t = taken_find(&p->taken, addr) ? NULL : taken_add(&p->taken, addr);

    if (!t)
        return;
    t->fixed = true;
    if (range_of(p->config, addr) < p->config->n_pool)
        family_of(p, addr->family)->taken++;
}

int pool_init(struct pool *p, const struct config *config, uint32_t leases)
{
    size_t i, j;
    int rc;

    *p = (struct pool){.config = config};
    rc = taken_init(&p->taken, 2 * leases + count_fixed(config));
    if (rc < 0)
        return rc;
    for (i = 0; i < config->n_pool; i++) {
        struct pool_family *f = family_of(p, config->pool[i].first.family);
        uint64_t n = range_size(&config->pool[i]);

        f->size = f->size > UINT64_MAX - n ? UINT64_MAX : f->size + n;
    }
    for (i = 0; i < config->n_users; i++)
        for (j = 0; j < config->users[i].n_fixed; j++)
            take_fixed(p, &config->users[i].fixed[j]);
    return 0;
}

void pool_continue(struct pool *p, const struct pool *former)
{
    size_t i;

    for (i = 0; i < 2; i++) {
        const struct ip_addr *cursor = &former->family[i].cursor;
        size_t range = range_of(p->config, cursor);

        if (range == p->config->n_pool)
            continue;
        p->family[i].cursor = *cursor;
        p->family[i].cursor_range = (uint32_t)range;
    }
}

void pool_clear(struct pool *p)
{
    taken_clear(&p->taken);
}

void pool_hold(struct pool *p, const struct ip_addr *addr, uint32_t lease)
{
    if (!addr->family)
        return;
    if (!taken_find(&p->taken, addr) && range_of(p->config, addr) < p->config->n_pool)
        family_of(p, addr->family)->taken++;
    taken_hold(&p->taken, addr, lease);
}

void pool_release(struct pool *p, const struct ip_addr *addr, uint32_t lease)
{
    struct pool_family *f = family_of(p, addr->family);
    size_t range;

    if (!taken_find(&p->taken, addr))
        return;
    taken_release(&p->taken, addr, lease);
    range = range_of(p->config, addr);
    if (range == p->config->n_pool || taken_find(&p->taken, addr))
        return;
    if (f->taken-- == f->size) {
        f->cursor_range = (uint32_t)range;
        f->cursor = *addr;
    }
}

uint32_t pool_holder(const struct pool *p, const struct ip_addr *addr)
{
    const struct taken *t = taken_find(&p->taken, addr);

    return t ? t->lease : 0;
}

bool pool_is_fixed(const struct pool *p, const struct ip_addr *addr)
{
    const struct taken *t = taken_find(&p->taken, addr);

    return t && t->fixed;
}

bool pool_is_free(const struct pool *p, const struct ip_addr *addr)
{
    return range_of(p->config, addr) < p->config->n_pool && !taken_find(&p->taken, addr);
}

bool pool_gains(const struct pool *p, const struct ip_addr *addr, uint32_t lease)
{
    const struct taken *t = taken_find(&p->taken, addr);

    return t && t->lease == lease && !t->fixed && range_of(p->config, addr) < p->config->n_pool;
}

/* The first free address from @at to the range's end, looking at no more than @budget. */
static bool range_search(const struct pool *p, const struct ip_range *range, struct ip_addr *at,
                         uint64_t *budget)
{
    for (; *budget; --*budget) {
        if (!taken_find(&p->taken, at))
            return true;
        if (ip_addr_equal(at, &range->last))
            return false;
        *at = ip_addr_add(*at, 1);
    }
    return false;
}

bool pool_next(struct pool *p, uint8_t family, struct ip_addr *out)
{
    struct pool_family *f = family_of(p, family);
    uint32_t n_pool = (uint32_t)p->config->n_pool, i;
    /* More addresses than can be taken need not be looked at. */
    uint64_t budget = (uint64_t)p->taken.capacity + n_pool + 2;
    struct ip_addr at = f->cursor;

    if (f->taken >= f->size)
        return false;
    /* The cursor's range from the cursor on, the others, and its beginning. */
    for (i = 0; i <= n_pool; i++, at.family = 0) {
        uint32_t r = (f->cursor_range + i) % n_pool;
        const struct ip_range *range = &p->config->pool[r];

        if (range->first.family != family)
            continue;
        if (at.family != family)
            at = range->first;
        if (!range_search(p, range, &at, &budget))
            continue;
        *out = at;
        f->cursor_range = r;
        f->cursor = ip_addr_equal(&at, &range->last) ? range->first : ip_addr_add(at, 1);
        return true;
    }
    return false;
}

/* Leases in memory; see lease.h. */
#include "daemon/lease.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* An address that is taken: by a lease, or reserved as somebody's fixed one. */
struct taken {
    struct ip_addr addr;
    uint32_t lease; /* number; 0: fixed and not in use */
    uint32_t next;
    bool fixed;
};

struct leases {
    const struct config *config;
    uint32_t capacity, active;
    struct lease *leases; /* [0] is never used */
    uint32_t mask;
    uint32_t *by_device;
    struct taken *taken; /* [0] is never used */
    uint32_t taken_capacity, taken_fresh, taken_free;
    uint32_t *by_addr;
    uint32_t cursor_range[2];
    struct ip_addr cursor[2]; /* where the search for the next free address begins: 4, 6 */
};

static uint32_t hash_bytes(const uint8_t *p, size_t n, uint32_t h)
{
    /* FNV-1a: device ids are random and addresses are ours, so nobody aims at a chain. */
    while (n--) {
        h ^= *p++;
        h *= 16777619U;
    }
    return h ^ h >> 15;
}

static uint32_t *addr_bucket(const struct leases *l, const struct ip_addr *addr)
{
    return &l->by_addr[hash_bytes(addr->bytes, 16, 2166136261U) & l->mask];
}

static uint32_t *device_bucket(const struct leases *l, uint32_t user, const uint8_t *device)
{
    return &l->by_device[hash_bytes(device, WIRE_DEVICE_ID_LEN, 2166136261U ^ user) & l->mask];
}

/* ---- taken addresses ------------------------------------------------------------------------ */

static struct taken *taken_find(const struct leases *l, const struct ip_addr *addr)
{
    uint32_t n = *addr_bucket(l, addr);

    for (; n; n = l->taken[n].next)
        if (ip_addr_equal(&l->taken[n].addr, addr))
            return &l->taken[n];
    return NULL;
}

static struct taken *taken_add(struct leases *l, const struct ip_addr *addr)
{
    uint32_t *bucket = addr_bucket(l, addr);
    uint32_t n;

    if (l->taken_free) {
        n = l->taken_free;
        /* leases_new() allocated it; the analyzer loses that. */
        l->taken_free = l->taken[n].next; // NOLINT(clang-analyzer-core.NullDereference)
    } else if (l->taken_fresh < l->taken_capacity) {
        n = l->taken_fresh++;
    } else {
        return NULL;
    }
    // NOLINTNEXTLINE(clang-analyzer-core.NullDereference): as above
    l->taken[n] = (struct taken){.addr = *addr, .next = *bucket};
    *bucket = n;
    return &l->taken[n];
}

static void taken_release(struct leases *l, const struct ip_addr *addr, uint32_t lease)
{
    uint32_t *link = addr_bucket(l, addr);

    if (!addr->family)
        return;
    for (; *link; link = &l->taken[*link].next) {
        struct taken *t = &l->taken[*link];
        uint32_t n = *link;

        if (!ip_addr_equal(&t->addr, addr))
            continue;
        /* Taken over by another device meanwhile: then it is that one's. */
        if (t->lease == lease)
            t->lease = 0;
        if (t->lease == 0 && !t->fixed) {
            *link = t->next;
            t->next = l->taken_free;
            l->taken_free = n;
        }
        return;
    }
}

/* ---- life cycle ------------------------------------------------------------------------------ */

static uint32_t count_fixed(const struct config *config)
{
    uint32_t n = 0;
    size_t i;

    for (i = 0; i < config->n_users; i++)
        n += (uint32_t)config->users[i].n_fixed;
    return n;
}

struct leases *leases_new(const struct config *config)
{
    struct leases *l = calloc(1, sizeof(*l));
    uint32_t buckets = 256;
    size_t i, j;

    if (!l)
        return NULL;
    l->config = config;
    /* Idle leases keep devices at their addresses; twice the clients is memory enough. */
    l->capacity = 2 * config->max_clients + 1;
    l->taken_capacity = 2 * l->capacity + count_fixed(config) + 1;
    l->taken_fresh = 1;
    while (buckets < l->taken_capacity)
        buckets *= 2;
    l->mask = buckets - 1;
    l->leases = calloc(l->capacity, sizeof(*l->leases));
    l->taken = calloc(l->taken_capacity, sizeof(*l->taken));
    l->by_device = calloc(buckets, sizeof(*l->by_device));
    l->by_addr = calloc(buckets, sizeof(*l->by_addr));
    if (!l->leases || !l->taken || !l->by_device || !l->by_addr) {
        leases_free(l);
        return NULL;
    }
    for (i = 0; i < config->n_users; i++)
        for (j = 0; j < config->users[i].n_fixed; j++) {
            struct taken *t = taken_add(l, &config->users[i].fixed[j]);

            if (t)
                t->fixed = true;
        }
    return l;
}

void leases_free(struct leases *l)
{
    if (!l)
        return;
    free(l->leases);
    free(l->taken);
    free(l->by_device);
    free(l->by_addr);
    free(l);
}

static uint32_t number(const struct leases *l, const struct lease *lease)
{
    return (uint32_t)(lease - l->leases);
}

static void forget(struct leases *l, struct lease *lease)
{
    uint32_t *link = device_bucket(l, lease->user, lease->device);

    while (*link != number(l, lease))
        link = &l->leases[*link].next;
    *link = lease->next;
    taken_release(l, &lease->ip4, number(l, lease));
    taken_release(l, &lease->ip6, number(l, lease));
    memset(lease, 0, sizeof(*lease));
}

static struct lease *find(const struct leases *l, uint32_t user, const uint8_t *device)
{
    uint32_t n = *device_bucket(l, user, device);

    for (; n; n = l->leases[n].next)
        if (l->leases[n].user == user &&
            memcmp(l->leases[n].device, device, WIRE_DEVICE_ID_LEN) == 0)
            return &l->leases[n];
    return NULL;
}

static bool in_pool(const struct config *config, const struct ip_addr *addr);

/* Would giving it up make an address of @family free?  0: only its record is wanted. */
static bool frees_pool(const struct leases *l, const struct lease *lease, uint8_t family)
{
    const struct ip_addr *addr = family == 4 ? &lease->ip4 : &lease->ip6;
    const struct taken *t = family ? taken_find(l, addr) : NULL;

    return family == 0 || (addr->family && t && !t->fixed && in_pool(l->config, addr));
}

/* Give up the lease that has been idle longest.  Return: false when none serves. */
static bool evict_idle(struct leases *l, uint8_t family)
{
    struct lease *oldest = NULL;
    uint32_t i;

    for (i = 1; i < l->capacity; i++) {
        struct lease *lease = &l->leases[i];

        if (lease->state == LEASE_IDLE && frees_pool(l, lease, family) &&
            (!oldest || lease->last_used_ms < oldest->last_used_ms))
            oldest = lease;
    }
    if (oldest)
        forget(l, oldest);
    return oldest != NULL;
}

static struct lease *take_record(struct leases *l)
{
    uint32_t i;

    do {
        for (i = 1; i < l->capacity; i++)
            if (l->leases[i].state == LEASE_FREE)
                return &l->leases[i];
    } while (evict_idle(l, 0));
    return NULL;
}

/* ---- choosing addresses -----------------------------------------------------------------------
 */

static bool in_pool(const struct config *config, const struct ip_addr *addr)
{
    size_t i;

    for (i = 0; i < config->n_pool; i++)
        if (config->pool[i].first.family == addr->family &&
            ip_addr_cmp(&config->pool[i].first, addr) <= 0 &&
            ip_addr_cmp(addr, &config->pool[i].last) <= 0)
            return true;
    return false;
}

/* Next fit: the search goes on behind the address given last, so that it is short. */
static bool next_from_pool(struct leases *l, uint8_t family, struct ip_addr *out)
{
    const struct config *c = l->config;
    int f = family == 6;
    uint32_t r = l->cursor_range[f];
    struct ip_addr at = l->cursor[f];
    uint32_t budget = l->taken_capacity + 2;
    size_t ranges;

    for (ranges = 0; ranges <= c->n_pool && c->n_pool; ranges++) {
        const struct ip_range *range = &c->pool[r % c->n_pool];

        if (range->first.family == family) {
            if (at.family != family || ip_addr_cmp(&at, &range->first) < 0 ||
                ip_addr_cmp(&at, &range->last) > 0)
                at = range->first;
            /* More addresses than can be taken need not be looked at. */
            for (; budget; budget--) {
                if (!taken_find(l, &at)) {
                    *out = at;
                    l->cursor_range[f] = r % (uint32_t)c->n_pool;
                    l->cursor[f] =
                        ip_addr_equal(&at, &range->last) ? range->first : ip_addr_add(at, 1);
                    return true;
                }
                if (ip_addr_equal(&at, &range->last))
                    break;
                at = ip_addr_add(at, 1);
            }
        }
        r++;
        at.family = 0;
    }
    return false;
}

static bool from_pool(struct leases *l, uint8_t family, struct ip_addr *out)
{
    /* From the cursor to the end, once more from the beginning, then at the cost of idle leases. */
    do {
        if (next_from_pool(l, family, out))
            return true;
    } while (evict_idle(l, family));
    return false;
}

/* The user's own address of this family: a free one, or the first, to be taken over. */
static bool from_fixed(struct leases *l, const struct config_user *user, uint8_t family,
                       struct ip_addr *out)
{
    const struct ip_addr *first = NULL;
    size_t i;

    for (i = 0; i < user->n_fixed; i++) {
        const struct taken *t = taken_find(l, &user->fixed[i]);

        if (user->fixed[i].family != family)
            continue;
        if (!first)
            first = &user->fixed[i];
        if (!t || !t->lease || l->leases[t->lease].state == LEASE_IDLE) {
            first = &user->fixed[i];
            break;
        }
    }
    if (first)
        *out = *first;
    return first != NULL;
}

static bool choose(struct leases *l, const struct config_user *user, uint8_t family,
                   const struct ip_addr *want, struct ip_addr *out)
{
    if (from_fixed(l, user, family, out))
        return true;
    if (want && want->family == family && in_pool(l->config, want) && !taken_find(l, want)) {
        *out = *want;
        return true;
    }
    return from_pool(l, family, out);
}

static bool pool_has(const struct config *config, uint8_t family)
{
    size_t i;

    for (i = 0; i < config->n_pool; i++)
        if (config->pool[i].first.family == family)
            return true;
    return false;
}

/* Has this user a way to an address of the family at all? */
static bool family_served(const struct config *config, const struct config_user *user,
                          uint8_t family)
{
    size_t i;

    if (!config_prefix(config, family))
        return false;
    for (i = 0; i < user->n_fixed; i++)
        if (user->fixed[i].family == family)
            return true;
    return pool_has(config, family);
}

static void hold(struct leases *l, struct lease *lease, const struct ip_addr *addr)
{
    struct taken *t = taken_find(l, addr);

    if (!addr->family)
        return;
    if (!t)
        t = taken_add(l, addr);
    if (t)
        t->lease = number(l, lease);
}

/* ---- reserving --------------------------------------------------------------------------------
 */

static uint32_t active_devices(const struct leases *l, uint32_t user)
{
    uint32_t i, n = 0;

    for (i = 1; i < l->capacity; i++)
        if (l->leases[i].user == user && l->leases[i].state >= LEASE_RESERVED)
            n++;
    return n;
}

static bool all_fixed_in_use(const struct leases *l, const struct config_user *cu)
{
    size_t i;

    for (i = 0; i < cu->n_fixed; i++) {
        const struct taken *t = taken_find(l, &cu->fixed[i]);

        if (!t || !t->lease || l->leases[t->lease].state < LEASE_RESERVED)
            return false;
    }
    return cu->n_fixed > 0;
}

static void activate(struct leases *l, struct lease *lease, uint64_t now_ms)
{
    if (lease->state < LEASE_RESERVED) {
        lease->state = LEASE_RESERVED;
        l->active++;
    }
    if (lease->state == LEASE_RESERVED)
        lease->reserved_until_ms = now_ms + LEASE_RESERVED_MS;
    lease->last_used_ms = now_ms;
}

static enum wire_status make(struct leases *l, uint32_t user, const uint8_t *device,
                             const struct ip_addr *want, struct lease **out)
{
    const struct config_user *cu = &l->config->users[user];
    bool want4 = family_served(l->config, cu, 4), want6 = family_served(l->config, cu, 6);
    struct lease *lease = take_record(l);
    struct ip_addr ip4 = {0}, ip6 = {0};
    uint32_t *bucket;

    if (!lease || (want4 && !choose(l, cu, 4, want, &ip4)) ||
        (want6 && !choose(l, cu, 6, want, &ip6)) || (!want4 && !want6))
        return WIRE_STATUS_POOL_FULL;
    bucket = device_bucket(l, user, device);
    *lease = (struct lease){.user = user, .ip4 = ip4, .ip6 = ip6, .next = *bucket};
    memcpy(lease->device, device, WIRE_DEVICE_ID_LEN);
    *bucket = number(l, lease);
    hold(l, lease, &ip4);
    hold(l, lease, &ip6);
    *out = lease;
    return WIRE_STATUS_OK;
}

enum wire_status leases_reserve(struct leases *l, uint32_t user,
                                const uint8_t device[WIRE_DEVICE_ID_LEN],
                                const struct ip_addr *want, uint64_t now_ms, struct lease **out)
{
    const struct config_user *cu;
    struct lease *lease;
    enum wire_status status;

    if (user >= l->config->n_users)
        return WIRE_STATUS_DENIED;
    cu = &l->config->users[user];
    if (!cu->enabled)
        return WIRE_STATUS_DISABLED;
    lease = find(l, user, device);
    if (!lease || lease->state < LEASE_RESERVED) {
        uint32_t devices = active_devices(l, user);

        /* One more than the limit may try when it will take over an address of another. */
        if (devices >= cu->max_devices && (devices > cu->max_devices || !all_fixed_in_use(l, cu)))
            return WIRE_STATUS_DEVICE_LIMIT;
        if (l->active >= l->config->max_clients)
            return WIRE_STATUS_POOL_FULL;
    }
    if (!lease) {
        status = make(l, user, device, want, &lease);
        if (status != WIRE_STATUS_OK)
            return status;
    }
    hold(l, lease, &lease->ip4);
    hold(l, lease, &lease->ip6);
    activate(l, lease, now_ms);
    *out = lease;
    return WIRE_STATUS_OK;
}

void leases_bind(struct leases *l, struct lease *lease)
{
    /* The reservation may have run out just before the confirmation came. */
    if (lease->state < LEASE_RESERVED)
        l->active++;
    lease->state = LEASE_BOUND;
}

void leases_release(struct leases *l, struct lease *lease, uint64_t now_ms)
{
    if (lease->state < LEASE_RESERVED)
        return;
    lease->state = LEASE_IDLE;
    lease->last_used_ms = now_ms;
    l->active--;
}

void leases_expire(struct leases *l, uint64_t now_ms)
{
    uint32_t i;

    for (i = 1; i < l->capacity; i++)
        if (l->leases[i].state == LEASE_RESERVED && now_ms >= l->leases[i].reserved_until_ms)
            leases_release(l, &l->leases[i], now_ms);
}

uint32_t leases_active(const struct leases *l)
{
    return l->active;
}

/* Leases in memory; see lease.h. */
#include "daemon/lease.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/taken.h"

struct leases {
    const struct config *config;
    uint32_t capacity, active;
    struct lease *leases; /* [0] is never used */
    uint32_t device_mask;
    uint32_t *by_device;
    struct taken_table taken;
    uint32_t cursor_range[2];
    struct ip_addr cursor[2]; /* where the search for the next free address begins: 4, 6 */
};

static uint32_t hash_bytes(const uint8_t *p, size_t n, uint32_t h)
{
    /* FNV-1a: device ids are random, so nobody aims at a chain. */
    while (n--) {
        h ^= *p++;
        h *= 16777619U;
    }
    return h ^ h >> 15;
}

static uint32_t *device_bucket(const struct leases *l, uint32_t user, const uint8_t *device)
{
    return &l->by_device[hash_bytes(device, WIRE_DEVICE_ID_LEN, 2166136261U ^ user) &
                         l->device_mask];
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

static uint32_t number(const struct leases *l, const struct lease *lease)
{
    return (uint32_t)(lease - l->leases);
}

/* A table of addresses with the fixed ones of @config in it. */
static int taken_new(const struct leases *l, const struct config *config, struct taken_table *out)
{
    size_t i, j;
    int rc = taken_init(out, 2 * l->capacity + count_fixed(config));

    for (i = 0; rc == 0 && i < config->n_users; i++)
        for (j = 0; j < config->users[i].n_fixed; j++) {
            struct taken *t = taken_add(out, &config->users[i].fixed[j]);

            if (t)
                t->fixed = true;
        }
    return rc;
}

static void hold(struct leases *l, const struct lease *lease)
{
    taken_hold(&l->taken, &lease->ip4, number(l, lease));
    taken_hold(&l->taken, &lease->ip6, number(l, lease));
}

struct leases *leases_new(const struct config *config)
{
    struct leases *l = calloc(1, sizeof(*l));
    uint32_t buckets = 256;

    if (!l)
        return NULL;
    /* Idle leases keep devices at their addresses; twice the clients is memory enough. */
    l->capacity = 2 * config->max_clients + 1;
    while (buckets < l->capacity)
        buckets *= 2;
    l->device_mask = buckets - 1;
    l->config = config;
    if (taken_new(l, config, &l->taken) < 0) {
        free(l);
        return NULL;
    }
    l->leases = calloc(l->capacity, sizeof(*l->leases));
    l->by_device = calloc(buckets, sizeof(*l->by_device));
    if (!l->leases || !l->by_device) {
        leases_free(l);
        return NULL;
    }
    return l;
}

int leases_reload(struct leases *l, const struct config *config)
{
    struct taken_table taken;
    uint32_t i;
    int rc = taken_new(l, config, &taken);

    for (i = 1; rc == 0 && i < l->capacity; i++) {
        const struct lease *lease = &l->leases[i];
        const struct ip_addr *addrs[] = {&lease->ip4, &lease->ip6};
        int f;

        for (f = 0; lease->state != LEASE_FREE && f < 2; f++) {
            const struct taken *t = taken_find(&l->taken, addrs[f]);

            /* What another device has taken over stays with that one. */
            if (t && t->lease == i)
                taken_hold(&taken, addrs[f], i);
        }
    }
    if (rc < 0)
        return rc;
    taken_clear(&l->taken);
    l->taken = taken;
    l->config = config;
    return 0;
}

void leases_free(struct leases *l)
{
    if (!l)
        return;
    free(l->leases);
    taken_clear(&l->taken);
    free(l->by_device);
    free(l);
}

static void forget(struct leases *l, struct lease *lease)
{
    uint32_t *link = device_bucket(l, lease->user, lease->device);

    while (*link != number(l, lease))
        link = &l->leases[*link].next;
    *link = lease->next;
    taken_release(&l->taken, &lease->ip4, number(l, lease));
    taken_release(&l->taken, &lease->ip6, number(l, lease));
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

/* Would giving it up make an address of @family free?  0: only its record is wanted. */
static bool frees_pool(const struct leases *l, const struct lease *lease, uint8_t family)
{
    const struct ip_addr *addr = family == 4 ? &lease->ip4 : &lease->ip6;
    const struct taken *t = family ? taken_find(&l->taken, addr) : NULL;

    return family == 0 || (addr->family && t && !t->fixed && config_pool_holds(l->config, addr));
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

/* Next fit: the search goes on behind the address given last, so that it is short. */
static bool next_from_pool(struct leases *l, uint8_t family, struct ip_addr *out)
{
    const struct config *c = l->config;
    int f = family == 6;
    uint32_t r = l->cursor_range[f];
    struct ip_addr at = l->cursor[f];
    uint32_t budget = l->taken.capacity + 2;
    size_t ranges;

    for (ranges = 0; ranges <= c->n_pool && c->n_pool; ranges++) {
        const struct ip_range *range = &c->pool[r % c->n_pool];

        if (range->first.family == family) {
            if (at.family != family || ip_addr_cmp(&at, &range->first) < 0 ||
                ip_addr_cmp(&at, &range->last) > 0)
                at = range->first;
            /* More addresses than can be taken need not be looked at. */
            for (; budget; budget--) {
                if (!taken_find(&l->taken, &at)) {
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
        const struct taken *t = taken_find(&l->taken, &user->fixed[i]);

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
    if (want && want->family == family && config_pool_holds(l->config, want) &&
        !taken_find(&l->taken, want)) {
        *out = *want;
        return true;
    }
    return from_pool(l, family, out);
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
    return config_pool_serves(config, family);
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
        const struct taken *t = taken_find(&l->taken, &cu->fixed[i]);

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

static enum wire_status make(struct leases *l, uint32_t user, const struct config_user *conf,
                             const uint8_t *device, const struct ip_addr *want, struct lease **out)
{
    bool want4 = family_served(l->config, conf, 4), want6 = family_served(l->config, conf, 6);
    struct lease *lease = take_record(l);
    struct ip_addr ip4 = {0}, ip6 = {0};
    uint32_t *bucket;

    if (!lease || (want4 && !choose(l, conf, 4, want, &ip4)) ||
        (want6 && !choose(l, conf, 6, want, &ip6)) || (!want4 && !want6))
        return WIRE_STATUS_POOL_FULL;
    bucket = device_bucket(l, user, device);
    *lease = (struct lease){.user = user, .ip4 = ip4, .ip6 = ip6, .next = *bucket};
    memcpy(lease->device, device, WIRE_DEVICE_ID_LEN);
    *bucket = number(l, lease);
    hold(l, lease);
    *out = lease;
    return WIRE_STATUS_OK;
}

/* @strict: as leases_fit(). */
static bool address_fits(const struct leases *l, const struct config_user *conf, uint8_t family,
                         const struct ip_addr *addr, bool strict)
{
    const struct taken *t = addr->family ? taken_find(&l->taken, addr) : NULL;
    bool has_fixed = false;
    size_t i;

    for (i = 0; i < conf->n_fixed; i++) {
        if (ip_addr_equal(&conf->fixed[i], addr))
            return true;
        has_fixed |= conf->fixed[i].family == family;
    }
    if (t && t->fixed)
        return false;
    if (!strict)
        return true;
    if (!addr->family)
        return !family_served(l->config, conf, family);
    return !has_fixed && config_pool_holds(l->config, addr);
}

/* The configuration is another one by now: new addresses where the old ones do not fit it. */
static enum wire_status refit(struct leases *l, struct lease *lease, const struct config_user *conf,
                              const struct ip_addr *want)
{
    struct ip_addr *addrs[] = {&lease->ip4, &lease->ip6};
    enum wire_status status = WIRE_STATUS_OK;
    int f;

    /* Else it might itself be the idle one that is given up to make room. */
    lease->state = LEASE_RESERVED;
    for (f = 0; f < 2; f++) {
        uint8_t family = f ? 6 : 4;

        if (address_fits(l, conf, family, addrs[f], true))
            continue;
        taken_release(&l->taken, addrs[f], number(l, lease));
        *addrs[f] = (struct ip_addr){0};
        if (family_served(l->config, conf, family) && !choose(l, conf, family, want, addrs[f]))
            status = WIRE_STATUS_POOL_FULL;
    }
    lease->state = LEASE_IDLE;
    return lease->ip4.family || lease->ip6.family ? status : WIRE_STATUS_POOL_FULL;
}

enum wire_status leases_reserve(struct leases *l, uint32_t user, const struct config_user *conf,
                                const uint8_t device[WIRE_DEVICE_ID_LEN],
                                const struct ip_addr *want, uint64_t now_ms, struct lease **out)
{
    struct lease *lease = find(l, user, device);
    enum wire_status status;

    if (!lease || lease->state < LEASE_RESERVED) {
        uint32_t devices = active_devices(l, user);

        /* One more than the limit may try when it will take over an address of another. */
        if (devices >= conf->max_devices &&
            (devices > conf->max_devices || !all_fixed_in_use(l, conf)))
            return WIRE_STATUS_DEVICE_LIMIT;
        if (l->active >= l->config->max_clients)
            return WIRE_STATUS_POOL_FULL;
    }
    status = WIRE_STATUS_OK;
    if (!lease)
        status = make(l, user, conf, device, want, &lease);
    /* A session that runs keeps its addresses over a rekey; a new one follows the file. */
    else if (lease->state < LEASE_RESERVED && !leases_fit(l, lease, conf, true))
        status = refit(l, lease, conf, want);
    if (status != WIRE_STATUS_OK)
        return status;
    hold(l, lease);
    activate(l, lease, now_ms);
    *out = lease;
    return WIRE_STATUS_OK;
}

bool leases_fit(const struct leases *l, const struct lease *lease, const struct config_user *conf,
                bool strict)
{
    return address_fits(l, conf, 4, &lease->ip4, strict) &&
           address_fits(l, conf, 6, &lease->ip6, strict);
}

void leases_forget_user(struct leases *l, uint32_t user)
{
    uint32_t i;

    for (i = 1; i < l->capacity; i++)
        if (l->leases[i].user == user && l->leases[i].state == LEASE_IDLE)
            forget(l, &l->leases[i]);
}

/* ---- life cycle of a lease --------------------------------------------------------------------
 */

void lease_device_format(const struct lease *lease, char text[2 * WIRE_DEVICE_ID_LEN + 1])
{
    static const char digits[] = "0123456789abcdef";
    size_t i;

    for (i = 0; i < WIRE_DEVICE_ID_LEN; i++) {
        text[2 * i] = digits[lease->device[i] >> 4];
        text[2 * i + 1] = digits[lease->device[i] & 0xf];
    }
    text[2 * i] = '\0';
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

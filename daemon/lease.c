/* Who gets which addresses; see lease.h. */
#include "daemon/lease_table.h"

#include <stdlib.h>
#include <string.h>

/* ---- life cycle -------------------------------------------------------------------------------
 */

struct leases *leases_new(const struct config *config, uint32_t max_users)
{
    struct leases *l = calloc(1, sizeof(*l));
    uint32_t buckets = 256;

    if (!l)
        return NULL;
    l->config = config;
    /* Idle leases keep devices at their addresses; twice the clients is memory enough. */
    l->capacity = 2 * config->max_clients + 1;
    l->fresh = 1;
    while (buckets < l->capacity)
        buckets *= 2;
    l->device_mask = buckets - 1;
    l->leases = calloc(l->capacity, sizeof(*l->leases));
    l->by_device = calloc(buckets, sizeof(*l->by_device));
    l->owners = calloc(max_users, sizeof(*l->owners));
    if (!l->leases || !l->by_device || !l->owners || pool_init(&l->pool, config, l->capacity) < 0) {
        leases_free(l);
        return NULL;
    }
    return l;
}

void leases_free(struct leases *l)
{
    if (!l)
        return;
    pool_clear(&l->pool);
    free(l->leases);
    free(l->by_device);
    free(l->owners);
    free(l);
}

int leases_reload(struct leases *l, const struct config *config)
{
    struct pool pool;
    uint32_t i;
    int rc = pool_init(&pool, config, l->capacity);

    if (rc < 0)
        return rc;
    for (i = 1; i < l->fresh; i++) {
        const struct lease *lease = &l->leases[i];

        /* What another device has taken over stays with that one. */
        if (leases_holds(l, lease, &lease->ip4))
            pool_hold(&pool, &lease->ip4, i);
        if (leases_holds(l, lease, &lease->ip6))
            pool_hold(&pool, &lease->ip6, i);
    }
    pool_continue(&pool, &l->pool);
    pool_clear(&l->pool);
    l->pool = pool;
    l->config = config;
    lease_sort_idle(l);
    return 0;
}

uint32_t leases_capacity(const struct leases *l)
{
    return l->capacity - 1;
}

/* ---- choosing addresses -----------------------------------------------------------------------
 */

/* Give up the idle one that was used longest ago of those with an address for the pool. */
static bool give_up_for(struct leases *l, uint8_t family)
{
    struct lease *lease = lease_record(l, l->heap[LEASE_HEAP_IDLE_POOL].first);

    while (lease && !lease_gains(l, lease, family))
        lease = lease_record(l, lease->link[LEASE_LIST_HEAP].next);
    if (!lease)
        return false;
    lease_forget(l, lease);
    return true;
}

static bool from_pool(struct leases *l, uint8_t family, struct ip_addr *out)
{
    return pool_next(&l->pool, family, out) ||
           (give_up_for(l, family) && pool_next(&l->pool, family, out));
}

/* The user's own address of this family: a free one, or the first, to be taken over. */
static bool from_fixed(const struct leases *l, const struct config_user *user, uint8_t family,
                       struct ip_addr *out)
{
    const struct ip_addr *first = NULL;
    size_t i;

    for (i = 0; i < user->n_fixed; i++) {
        if (user->fixed[i].family != family)
            continue;
        if (!first)
            first = &user->fixed[i];
        if (!lease_in_use(l, &user->fixed[i])) {
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
    if (want && want->family == family && pool_is_free(&l->pool, want)) {
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

/* @lease: whose it is or shall be, NULL for a newcomer; @strict: as leases_fit(). */
static bool address_fits(const struct leases *l, const struct config_user *conf, uint8_t family,
                         const struct ip_addr *addr, const struct lease *lease, bool strict)
{
    uint32_t holder = pool_holder(&l->pool, addr);
    bool has_fixed = false;
    size_t i;

    for (i = 0; i < conf->n_fixed; i++) {
        if (ip_addr_equal(&conf->fixed[i], addr))
            return true;
        has_fixed |= conf->fixed[i].family == family;
    }
    if (pool_is_fixed(&l->pool, addr))
        return false;
    if (!addr->family)
        return !strict || !family_served(l->config, conf, family);
    /* What a sister device has, or was about to take over, is no longer the user's own. */
    if (lease && lease->state >= LEASE_RESERVED ? holder != lease_number(l, lease)
                                                : holder && lease_record(l, holder) != lease)
        return false;
    return !strict || (!has_fixed && config_pool_holds(l->config, addr));
}

bool leases_fit(const struct leases *l, const struct lease *lease, const struct config_user *conf,
                bool strict)
{
    return address_fits(l, conf, 4, &lease->ip4, lease, strict) &&
           address_fits(l, conf, 6, &lease->ip6, lease, strict);
}

bool leases_holds(const struct leases *l, const struct lease *lease, const struct ip_addr *addr)
{
    return addr->family && pool_holder(&l->pool, addr) == lease_number(l, lease);
}

/* ---- reserving --------------------------------------------------------------------------------
 */

static bool all_fixed_in_use(const struct leases *l, const struct config_user *conf)
{
    size_t i;

    for (i = 0; i < conf->n_fixed; i++)
        if (!lease_in_use(l, &conf->fixed[i]))
            return false;
    return conf->n_fixed > 0;
}

/* A user with ever new devices pushes out his own old ones, not those of others. */
static void make_room(struct leases *l, uint32_t user, const struct config_user *conf)
{
    uint32_t room = 2 * conf->max_devices > LEASE_DEVICES ? 2 * conf->max_devices : LEASE_DEVICES;
    struct lease *lease = lease_record(l, l->owners[user].leases.first);

    if (l->owners[user].n < room)
        return;
    while (lease && lease->state != LEASE_IDLE)
        lease = lease_record(l, lease->link[LEASE_LIST_USER].next);
    if (lease)
        lease_forget(l, lease);
}

static struct lease *make_new(struct leases *l, uint32_t user, const struct config_user *conf,
                              const uint8_t *device, const struct ip_addr *want)
{
    bool want4 = family_served(l->config, conf, 4), want6 = family_served(l->config, conf, 6);
    struct lease like = {.user = user};

    make_room(l, user, conf);
    if ((want4 && !choose(l, conf, 4, want, &like.ip4)) ||
        (want6 && !choose(l, conf, 6, want, &like.ip6)) || (!want4 && !want6))
        return NULL;
    memcpy(like.device, device, sizeof(like.device));
    return lease_make(l, &like, true);
}

/* The configuration is another one by now: new addresses where the old ones do not fit it. */
static bool refit(struct leases *l, struct lease *lease, const struct config_user *conf,
                  const struct ip_addr *want)
{
    struct ip_addr *addrs[] = {&lease->ip4, &lease->ip6};
    bool served = true;
    int f;

    /* Else it might itself be the idle one that is given up to make room. */
    lease_set_state(l, lease, LEASE_RESERVED);
    for (f = 0; f < 2; f++) {
        uint8_t family = f ? 6 : 4;

        if (address_fits(l, conf, family, addrs[f], lease, true))
            continue;
        pool_release(&l->pool, addrs[f], lease_number(l, lease));
        *addrs[f] = (struct ip_addr){0};
        if (family_served(l->config, conf, family))
            served &= choose(l, conf, family, want, addrs[f]);
    }
    lease_hold(l, lease, false);
    lease_set_state(l, lease, LEASE_IDLE);
    return served && (lease->ip4.family || lease->ip6.family);
}

static enum wire_status may_enter(const struct leases *l, uint32_t user,
                                  const struct config_user *conf)
{
    uint32_t devices = l->owners[user].active;

    /* One more than the limit may try when it will take over an address of another. */
    if (devices >= conf->max_devices && (devices > conf->max_devices || !all_fixed_in_use(l, conf)))
        return WIRE_STATUS_DEVICE_LIMIT;
    return l->active >= l->config->max_clients ? WIRE_STATUS_POOL_FULL : WIRE_STATUS_OK;
}

void leases_claim(struct leases *l, struct lease *lease, uint64_t now_ms)
{
    lease->reserved_until_ms = now_ms + LEASE_RESERVED_MS;
    lease_used(l, lease);
    if (lease->state != LEASE_BOUND)
        lease_set_state(l, lease, LEASE_RESERVED);
}

enum wire_status leases_reserve(struct leases *l, uint32_t user, const struct config_user *conf,
                                const uint8_t device[WIRE_DEVICE_ID_LEN],
                                const struct ip_addr *want, uint64_t now_ms, struct lease **out)
{
    struct lease *lease = lease_find(l, user, device);

    if (!lease || lease->state < LEASE_RESERVED) {
        enum wire_status status = may_enter(l, user, conf);

        if (status != WIRE_STATUS_OK)
            return status;
    }
    if (!lease) {
        lease = make_new(l, user, conf, device, want);
        if (!lease)
            return WIRE_STATUS_POOL_FULL;
    } else if (lease->state < LEASE_RESERVED && !leases_fit(l, lease, conf, true)) {
        /* A session that runs keeps its addresses over a rekey; a new one follows the file. */
        if (!refit(l, lease, conf, want))
            return WIRE_STATUS_POOL_FULL;
    }
    leases_claim(l, lease, now_ms);
    lease_hold(l, lease, false);
    *out = lease;
    return WIRE_STATUS_OK;
}

void leases_unclaim(struct lease *lease)
{
    lease->reserved_until_ms = 0;
}

void leases_bind(struct leases *l, struct lease *lease, const struct clock *now)
{
    bool fresh = lease->state != LEASE_BOUND;

    leases_unclaim(lease);
    if (!fresh)
        return;
    lease_set_state(l, lease, LEASE_BOUND);
    /* A fixed address that another device of the user has passes to this one. */
    lease_hold(l, lease, true);
    lease->kept = true;
    leases_seen(l, lease, now);
}

void leases_release(struct leases *l, struct lease *lease, const struct clock *now)
{
    if (lease->state < LEASE_RESERVED)
        return;
    lease->holder = 0;
    if (lease->state == LEASE_BOUND)
        leases_seen(l, lease, now);
    if (now->mono_ms < lease->reserved_until_ms)
        lease_set_state(l, lease, LEASE_RESERVED);
    else if (lease->kept)
        lease_set_state(l, lease, LEASE_IDLE);
    else
        lease_forget(l, lease);
}

void leases_expire(struct leases *l, const struct clock *now)
{
    uint32_t n = l->heap[LEASE_HEAP_RESERVED].first;

    while (n) {
        struct lease *lease = &l->leases[n];

        n = lease->link[LEASE_LIST_HEAP].next;
        if (now->mono_ms >= lease->reserved_until_ms)
            leases_release(l, lease, now);
    }
}

/* ---- users ------------------------------------------------------------------------------------
 */

void leases_forget_user(struct leases *l, uint32_t user)
{
    while (l->owners[user].leases.first)
        lease_forget(l, lease_record(l, l->owners[user].leases.first));
}

void leases_move_user(struct leases *l, uint32_t from, uint32_t to)
{
    while (l->owners[from].leases.first)
        lease_give_to(l, lease_record(l, l->owners[from].leases.first), to);
}

struct lease *leases_of_user(const struct leases *l, uint32_t user, const struct lease *after)
{
    return lease_record(l,
                        after ? after->link[LEASE_LIST_USER].next : l->owners[user].leases.first);
}

/* ---- keeping them over a restart --------------------------------------------------------------
 */

struct lease *leases_unsaved(const struct leases *l)
{
    return lease_record(l, l->unsaved.first);
}

void leases_take_unsaved(struct leases *l, struct lease *lease)
{
    lease_set_unsaved(l, lease, false);
}

void leases_save_all(struct leases *l)
{
    uint32_t i;

    for (i = 1; i < l->fresh; i++)
        if (l->leases[i].kept)
            lease_set_unsaved(l, &l->leases[i], true);
}

void leases_seen(struct leases *l, struct lease *lease, const struct clock *now)
{
    lease->last_seen_s = now->real_us / 1000000;
    lease_set_unsaved(l, lease, true);
}

static bool restorable(const struct leases *l, const struct config_user *conf, uint8_t family,
                       const struct ip_addr *addr)
{
    return addr->family == family && address_fits(l, conf, family, addr, NULL, true) &&
           !pool_holder(&l->pool, addr);
}

bool leases_restore(struct leases *l, const struct config_user *conf, const struct lease *was)
{
    struct lease like = {.user = was->user, .last_seen_s = was->last_seen_s};
    struct lease *lease;

    if (lease_find(l, was->user, was->device))
        return false;
    if (restorable(l, conf, 4, &was->ip4))
        like.ip4 = was->ip4;
    if (restorable(l, conf, 6, &was->ip6))
        like.ip6 = was->ip6;
    if (!like.ip4.family && !like.ip6.family)
        return false;
    memcpy(like.device, was->device, sizeof(like.device));
    make_room(l, was->user, conf);
    lease = lease_make(l, &like, false);
    if (lease)
        lease->kept = true;
    return lease != NULL;
}

/* ---- looking ----------------------------------------------------------------------------------
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

uint32_t leases_active(const struct leases *l)
{
    return l->active;
}

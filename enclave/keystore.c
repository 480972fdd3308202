/* Peers, sessions and their indexes; see keystore.h for who may touch what. */
#include "enclave/keystore.h"

#include <errno.h>
#include <pthread.h>
#include <sodium.h>
#include <string.h>

#include "enclave/allow.h"

/* next, current, previous, and one more that waits for its wipe. */
#define SESSIONS_PER_PEER 4

struct keystore {
    uint32_t lanes, max_peers, max_sessions, bucket_mask;
    pthread_mutex_t lock;
    struct epoch epoch;
    struct session *sessions; /* [0] is never used: number 0 means none */
    struct peer *peers;       /* [0] likewise */
    _Atomic uint32_t *by_index;
    uint32_t *by_device;
    struct allow_table allow;
    uint32_t free_sessions, retired_sessions, free_peers, retired_peers;
    uint32_t fresh_session, fresh_peer; /* from here on never used yet */
    uint8_t device_hash_key[crypto_shorthash_KEYBYTES];
};

static size_t align64(size_t n)
{
    return (n + 63) & ~(size_t)63;
}

static uint32_t count_sessions(uint32_t max_peers)
{
    return max_peers * SESSIONS_PER_PEER + 65;
}

static uint32_t count_buckets(uint32_t max_peers)
{
    uint32_t n = 256;

    while (n < 2 * max_peers)
        n *= 2;
    return n;
}

size_t keystore_size(uint32_t max_peers, uint32_t max_ids)
{
    uint32_t buckets = count_buckets(max_peers);

    return align64(sizeof(struct keystore)) +
           align64(count_sessions(max_peers) * sizeof(struct session)) +
           align64((max_peers + 1) * sizeof(struct peer)) +
           2 * align64(buckets * sizeof(uint32_t)) + align64(allow_size(max_ids));
}

static void *carve(uint8_t **at, size_t size)
{
    void *here = *at;

    *at += align64(size);
    return here;
}

struct keystore *keystore_new(void *mem, uint32_t lanes, uint32_t max_peers, uint32_t max_ids)
{
    uint8_t *at = mem;
    struct keystore *ks = carve(&at, sizeof(*ks));
    uint32_t buckets = count_buckets(max_peers);

    ks->lanes = lanes;
    ks->epoch.readers = lanes;
    ks->max_peers = max_peers;
    ks->max_sessions = count_sessions(max_peers);
    ks->bucket_mask = buckets - 1;
    pthread_mutex_init(&ks->lock, NULL);
    ks->sessions = carve(&at, ks->max_sessions * sizeof(struct session));
    ks->peers = carve(&at, (max_peers + 1) * sizeof(struct peer));
    ks->by_index = carve(&at, buckets * sizeof(uint32_t));
    ks->by_device = carve(&at, buckets * sizeof(uint32_t));
    allow_init(&ks->allow, carve(&at, allow_size(max_ids)), max_ids, &ks->epoch);
    randombytes_buf(ks->device_hash_key, sizeof(ks->device_hash_key));
    ks->fresh_session = 1;
    ks->fresh_peer = 1;
    return ks;
}

struct epoch *keystore_epoch(struct keystore *ks)
{
    return &ks->epoch;
}

uint32_t keystore_lanes(const struct keystore *ks)
{
    return ks->lanes;
}

/* ---- hash by index ------------------------------------------------------------------------- */

/* Indexes are random, but their lowest part is the lane: take upper bits. */
static _Atomic uint32_t *index_bucket(struct keystore *ks, uint32_t index)
{
    return &ks->by_index[(index / ks->lanes * 2654435761U >> 7) & ks->bucket_mask];
}

struct session *keystore_lookup(struct keystore *ks, uint32_t index)
{
    uint32_t n = atomic_load_explicit(index_bucket(ks, index), memory_order_acquire);

    while (n) {
        struct session *s = &ks->sessions[n];

        if (s->index == index)
            return s;
        n = atomic_load_explicit(&s->hash_next, memory_order_acquire);
    }
    return NULL;
}

static uint32_t session_number(const struct keystore *ks, const struct session *s)
{
    return (uint32_t)(s - ks->sessions);
}

static void index_insert(struct keystore *ks, struct session *s)
{
    _Atomic uint32_t *head = index_bucket(ks, s->index);

    atomic_store_explicit(&s->hash_next, atomic_load_explicit(head, memory_order_relaxed),
                          memory_order_relaxed);
    atomic_store_explicit(head, session_number(ks, s), memory_order_release);
}

static void index_remove(struct keystore *ks, struct session *s)
{
    _Atomic uint32_t *link = index_bucket(ks, s->index);
    uint32_t number = session_number(ks, s);
    uint32_t n;

    while ((n = atomic_load_explicit(link, memory_order_relaxed)) != 0) {
        if (n == number) {
            /* The removed session keeps its own link: a reader on it still finds its way on. */
            atomic_store_explicit(link, atomic_load_explicit(&s->hash_next, memory_order_relaxed),
                                  memory_order_release);
            return;
        }
        link = &ks->sessions[n].hash_next;
    }
}

/* ---- sessions ------------------------------------------------------------------------------ */

/* Recycled ones first; fresh ones in order, so that memory is touched only as peers come. */
static struct session *session_take(struct keystore *ks)
{
    struct session *s;

    if (ks->free_sessions) {
        s = &ks->sessions[ks->free_sessions];
        ks->free_sessions = s->list_next;
        s->list_next = 0;
        return s;
    }
    if (ks->fresh_session == ks->max_sessions)
        return NULL;
    return &ks->sessions[ks->fresh_session++];
}

static void session_wipe(struct keystore *ks, struct session *s)
{
    sodium_memzero(s, sizeof(*s));
    s->list_next = ks->free_sessions;
    ks->free_sessions = session_number(ks, s);
}

/* Already unpublished; the caller holds the lock. */
static void session_retire(struct keystore *ks, uint32_t number)
{
    struct session *s = &ks->sessions[number];

    index_remove(ks, s);
    epoch_snapshot(&ks->epoch, &s->retired);
    s->list_next = ks->retired_sessions;
    ks->retired_sessions = number;
}

static void slot_clear(struct keystore *ks, struct peer *p, enum session_slot slot)
{
    uint32_t number = atomic_exchange_explicit(&p->slot[slot], 0, memory_order_acq_rel);

    if (number)
        session_retire(ks, number);
}

struct session *keystore_session_new(struct keystore *ks, uint32_t peer_slot)
{
    struct session *s;

    pthread_mutex_lock(&ks->lock);
    s = session_take(ks);
    pthread_mutex_unlock(&ks->lock);
    if (!s)
        return NULL;
    s->peer = peer_slot;
    /* index mod lanes = the peer's lane: the caller steers by it, the worker insists on it. */
    do {
        uint32_t random = randombytes_random();

        s->index = random - random % ks->lanes + peer_slot % ks->lanes;
    } while (s->index < ks->lanes || keystore_lookup(ks, s->index));
    replay_init(&s->window);
    return s;
}

void keystore_session_discard(struct keystore *ks, struct session *s)
{
    if (!s)
        return;
    pthread_mutex_lock(&ks->lock);
    session_wipe(ks, s);
    pthread_mutex_unlock(&ks->lock);
}

/* The caller holds the lock. */
static void make_current(struct keystore *ks, struct peer *p, uint32_t number)
{
    uint32_t old;

    slot_clear(ks, p, SESSION_PREVIOUS);
    old = atomic_exchange_explicit(&p->slot[SESSION_CURRENT], number, memory_order_acq_rel);
    atomic_store_explicit(&p->slot[SESSION_PREVIOUS], old, memory_order_release);
}

void keystore_session_publish(struct keystore *ks, struct session *s, enum session_slot slot)
{
    struct peer *p = &ks->peers[s->peer];
    uint32_t number = session_number(ks, s);

    pthread_mutex_lock(&ks->lock);
    index_insert(ks, s);
    if (slot == SESSION_CURRENT) {
        make_current(ks, p, number);
    } else {
        slot_clear(ks, p, slot);
        atomic_store_explicit(&p->slot[slot], number, memory_order_release);
    }
    pthread_mutex_unlock(&ks->lock);
}

const struct session *keystore_peer_next(struct keystore *ks, uint32_t peer_slot)
{
    uint32_t number =
        atomic_load_explicit(&ks->peers[peer_slot].slot[SESSION_NEXT], memory_order_acquire);

    return number ? &ks->sessions[number] : NULL;
}

bool keystore_promote(struct keystore *ks, struct session *s)
{
    struct peer *p = &ks->peers[s->peer];
    uint32_t number = session_number(ks, s);
    bool promoted = false;

    /* The common case takes no lock: this session is not `next`. */
    if (atomic_load_explicit(&p->slot[SESSION_NEXT], memory_order_relaxed) != number)
        return false;
    pthread_mutex_lock(&ks->lock);
    if (atomic_load_explicit(&p->slot[SESSION_NEXT], memory_order_relaxed) == number) {
        atomic_store_explicit(&p->slot[SESSION_NEXT], 0, memory_order_relaxed);
        make_current(ks, p, number);
        promoted = true;
    }
    pthread_mutex_unlock(&ks->lock);
    return promoted;
}

struct session *keystore_current(struct keystore *ks, uint32_t handle)
{
    uint32_t slot = IPC_PEER_SLOT(handle);
    uint32_t number;

    if (handle == 0 || slot > ks->max_peers ||
        atomic_load_explicit(&ks->peers[slot].handle, memory_order_acquire) != handle)
        return NULL;
    number = atomic_load_explicit(&ks->peers[slot].slot[SESSION_CURRENT], memory_order_acquire);
    return number ? &ks->sessions[number] : NULL;
}

uint32_t keystore_session_peer(struct keystore *ks, const struct session *s)
{
    return atomic_load_explicit(&ks->peers[s->peer].handle, memory_order_acquire);
}

bool keystore_is_current(struct keystore *ks, const struct session *s)
{
    return atomic_load_explicit(&ks->peers[s->peer].slot[SESSION_CURRENT], memory_order_relaxed) ==
           session_number(ks, s);
}

/* ---- peers --------------------------------------------------------------------------------- */

static uint32_t *device_bucket(struct keystore *ks, uint32_t id, const uint8_t *device_id)
{
    uint8_t key[sizeof(id) + WIRE_DEVICE_ID_LEN];
    uint64_t hash;

    memcpy(key, &id, sizeof(id));
    memcpy(key + sizeof(id), device_id, WIRE_DEVICE_ID_LEN);
    crypto_shorthash((uint8_t *)&hash, key, sizeof(key), ks->device_hash_key);
    return &ks->by_device[hash & ks->bucket_mask];
}

uint32_t keystore_peer_find(struct keystore *ks, uint32_t id, const uint8_t *device_id)
{
    uint32_t n = *device_bucket(ks, id, device_id);

    for (; n; n = ks->peers[n].hash_next) {
        const struct peer *p = &ks->peers[n];

        if (p->user_id == id && memcmp(p->device_id, device_id, WIRE_DEVICE_ID_LEN) == 0)
            return n;
    }
    return 0;
}

uint32_t keystore_peer_add(struct keystore *ks, uint32_t id, const uint8_t *device_id)
{
    uint32_t *bucket = device_bucket(ks, id, device_id);
    struct peer *p;
    uint32_t slot;

    if (ks->free_peers) {
        slot = ks->free_peers;
        ks->free_peers = ks->peers[slot].list_next;
    } else if (ks->fresh_peer <= ks->max_peers) {
        slot = ks->fresh_peer++;
    } else {
        return 0;
    }
    p = &ks->peers[slot];
    p->user_id = id;
    memcpy(p->device_id, device_id, WIRE_DEVICE_ID_LEN);
    /* Generations run from 1 to 65535: a handle is never 0, and an old one is not taken again. */
    p->generation = p->generation == UINT16_MAX ? 1 : (uint16_t)(p->generation + 1);
    p->hash_next = *bucket;
    *bucket = slot;
    atomic_store_explicit(&p->handle, (uint32_t)p->generation << 16 | slot, memory_order_release);
    return slot;
}

uint32_t keystore_peer_handle(struct keystore *ks, uint32_t slot)
{
    return atomic_load_explicit(&ks->peers[slot].handle, memory_order_relaxed);
}

/* The caller holds the lock. */
static void peer_retire(struct keystore *ks, uint32_t slot)
{
    struct peer *p = &ks->peers[slot];
    uint32_t *link = device_bucket(ks, p->user_id, p->device_id);
    int i;

    atomic_store_explicit(&p->handle, 0, memory_order_release);
    while (*link != slot)
        link = &ks->peers[*link].hash_next;
    *link = p->hash_next;
    for (i = 0; i < SESSION_SLOTS; i++)
        slot_clear(ks, p, (enum session_slot)i);
    epoch_snapshot(&ks->epoch, &p->retired);
    p->list_next = ks->retired_peers;
    ks->retired_peers = slot;
}

int keystore_peer_remove(struct keystore *ks, uint32_t handle)
{
    uint32_t slot = IPC_PEER_SLOT(handle);

    if (handle == 0 || slot > ks->max_peers ||
        atomic_load_explicit(&ks->peers[slot].handle, memory_order_relaxed) != handle)
        return -ENOENT;
    pthread_mutex_lock(&ks->lock);
    peer_retire(ks, slot);
    pthread_mutex_unlock(&ks->lock);
    return 0;
}

void keystore_peers_remove_id(struct keystore *ks, uint32_t id)
{
    uint32_t slot;

    pthread_mutex_lock(&ks->lock);
    for (slot = 1; slot < ks->fresh_peer; slot++)
        if (ks->peers[slot].user_id == id &&
            atomic_load_explicit(&ks->peers[slot].handle, memory_order_relaxed))
            peer_retire(ks, slot);
    pthread_mutex_unlock(&ks->lock);
}

/* ---- allowed inner addresses ---------------------------------------------------------------- */

bool keystore_has_id(const struct keystore *ks, uint32_t id)
{
    return id < ks->allow.max_ids;
}

int keystore_allow_add(struct keystore *ks, uint32_t id, enum ipc_allow_end end,
                       const struct ip_prefix *prefix)
{
    return allow_add(&ks->allow, id, end, prefix);
}

int keystore_allow_clear(struct keystore *ks, uint32_t id, enum ipc_allow_end end)
{
    return allow_clear(&ks->allow, id, end);
}

bool keystore_allowed(struct keystore *ks, const struct session *s, enum ipc_allow_end end,
                      const struct ip_addr *addr)
{
    return allow_holds(&ks->allow, ks->peers[s->peer].user_id, end, addr);
}

/* ---- wiping -------------------------------------------------------------------------------- */

static void retire_expired(struct keystore *ks, const struct clock *now, bool empty_peers)
{
    static const uint64_t life[SESSION_SLOTS] = {
        [SESSION_NEXT] = KEYSTORE_CONFIRM_MS,
        [SESSION_CURRENT] = KEYSTORE_SESSION_LIFE_MS,
        [SESSION_PREVIOUS] = KEYSTORE_SESSION_LIFE_MS,
    };
    uint32_t slot;
    int i;

    for (slot = 1; slot < ks->fresh_peer; slot++) {
        struct peer *p = &ks->peers[slot];
        uint32_t live = 0;

        for (i = 0; i < SESSION_SLOTS; i++) {
            uint32_t number = atomic_load_explicit(&p->slot[i], memory_order_relaxed);

            if (number && now->mono_ms - ks->sessions[number].created_ms >= life[i])
                slot_clear(ks, p, (enum session_slot)i);
            else
                live |= number;
        }
        if (!live && empty_peers && atomic_load_explicit(&p->handle, memory_order_relaxed))
            peer_retire(ks, slot);
    }
}

void keystore_reap(struct keystore *ks, const struct clock *now, bool empty_peers)
{
    uint32_t *link;

    allow_reap(&ks->allow);
    pthread_mutex_lock(&ks->lock);
    retire_expired(ks, now, empty_peers);
    for (link = &ks->retired_sessions; *link;) {
        uint32_t number = *link;
        struct session *s = &ks->sessions[number];

        if (epoch_passed(&ks->epoch, &s->retired)) {
            *link = s->list_next;
            session_wipe(ks, s);
        } else {
            link = &s->list_next;
        }
    }
    for (link = &ks->retired_peers; *link;) {
        struct peer *p = &ks->peers[*link];
        uint32_t slot = *link;

        if (epoch_passed(&ks->epoch, &p->retired)) {
            *link = p->list_next;
            sodium_memzero(p->device_id, sizeof(p->device_id));
            p->list_next = ks->free_peers;
            ks->free_peers = slot;
        } else {
            link = &p->list_next;
        }
    }
    pthread_mutex_unlock(&ks->lock);
}

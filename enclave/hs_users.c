/*
 * The user table.
 *
 * Theory of operation
 *
 * Two hash tables with chains over one array of users.  The hash is keyed, so that nobody who may
 * choose a key can make a chain long.  What changes with logins lies in a second array: the pages
 * of users who never log in are never touched, so ten thousand configured users cost little.
 */
#include <errno.h>
#include <sodium.h>
#include <string.h>

#include "enclave/hs_users.h"

#define ALIGN64(n) (((n) + 63) & ~(size_t)63)

_Static_assert(sizeof(struct hs_user) + sizeof(struct hs_user_memory) <= 944,
               "the header of this module promises about 920 bytes per user");

/* As many chains as users, rounded up to a power of two. */
static uint32_t num_chains(uint32_t max)
{
    uint32_t n = 1;

    while (n < max && n < (1U << 31))
        n *= 2;
    return n;
}

size_t hs_users_size(uint32_t max)
{
    return 2 * ALIGN64(num_chains(max) * sizeof(uint32_t)) + ALIGN64(max * sizeof(struct hs_user)) +
           ALIGN64(max * sizeof(struct hs_user_memory));
}

void hs_users_init(struct hs_users *u, void *mem, uint32_t max)
{
    const size_t chains = ALIGN64(num_chains(max) * sizeof(uint32_t));
    uint8_t *at = mem;

    memset(u, 0, sizeof(*u));
    randombytes_buf(u->hash_key, sizeof(u->hash_key));
    u->max = max;
    u->mask = num_chains(max) - 1;
    u->by_key = (uint32_t *)(void *)at;
    u->by_id = (uint32_t *)(void *)(at + chains);
    u->user = (struct hs_user *)(void *)(at + 2 * chains);
    u->memory =
        (struct hs_user_memory *)(void *)(at + 2 * chains + ALIGN64(max * sizeof(struct hs_user)));
    memset(at, 0, 2 * chains);
}

static uint64_t users_hash(const struct hs_users *u, const void *data, size_t len)
{
    uint64_t hash;

    crypto_shorthash((uint8_t *)&hash, data, len, u->hash_key);
    return hash;
}

static uint32_t *chain_by_key(const struct hs_users *u, const uint8_t key[WIRE_KEY_LEN])
{
    return &u->by_key[users_hash(u, key, WIRE_KEY_LEN) & u->mask];
}

static uint32_t *chain_by_id(const struct hs_users *u, uint32_t id)
{
    return &u->by_id[users_hash(u, &id, sizeof(id)) & u->mask];
}

struct hs_user *hs_users_by_key(const struct hs_users *u, const uint8_t key[WIRE_KEY_LEN])
{
    for (uint32_t at = *chain_by_key(u, key); at; at = u->user[at - 1].next_by_key) {
        if (memcmp(u->user[at - 1].key, key, WIRE_KEY_LEN) == 0)
            return &u->user[at - 1];
    }
    return NULL;
}

struct hs_user *hs_users_by_id(const struct hs_users *u, uint32_t id)
{
    for (uint32_t at = *chain_by_id(u, id); at; at = u->user[at - 1].next_by_id) {
        if (u->user[at - 1].id == id)
            return &u->user[at - 1];
    }
    return NULL;
}

int hs_users_add(struct hs_users *u, uint32_t id, const char *name, const uint8_t key[WIRE_KEY_LEN],
                 const uint8_t dh[WIRE_KEY_LEN])
{
    struct hs_user *user;
    uint32_t *chain, at;

    if (hs_users_by_id(u, id) || hs_users_by_key(u, key))
        return -EEXIST;
    if (u->num == u->max)
        return -ENOSPC;

    if (u->free) {
        at = u->free;
        u->free = u->user[at - 1].next_by_key;
    } else {
        at = ++u->touched;
    }
    u->num++;

    user = &u->user[at - 1];
    memset(user, 0, sizeof(*user));
    user->id = id;
    user->name_len = (uint8_t)strnlen(name, WIRE_USER_MAX);
    memcpy(user->name, name, user->name_len);
    memcpy(user->key, key, WIRE_KEY_LEN);
    memcpy(user->dh, dh, WIRE_KEY_LEN);

    chain = chain_by_key(u, key);
    user->next_by_key = *chain;
    *chain = at;
    chain = chain_by_id(u, id);
    user->next_by_id = *chain;
    *chain = at;
    return 0;
}

int hs_users_del(struct hs_users *u, uint32_t id)
{
    struct hs_user *user = hs_users_by_id(u, id);
    uint32_t *link, at;

    if (!user)
        return -ENOENT;
    at = (uint32_t)(user - u->user) + 1;

    for (link = chain_by_key(u, user->key); *link != at;)
        link = &u->user[*link - 1].next_by_key;
    *link = user->next_by_key;
    for (link = chain_by_id(u, id); *link != at;)
        link = &u->user[*link - 1].next_by_id;
    *link = user->next_by_id;

    if (user->num_peers > 0 || user->num_accepted > 0)
        sodium_memzero(&u->memory[at - 1], sizeof(u->memory[at - 1]));
    sodium_memzero(user, sizeof(*user));
    user->next_by_key = u->free;
    u->free = at;
    u->num--;
    return 0;
}

static struct hs_user_memory *memory_of(const struct hs_users *u, const struct hs_user *user)
{
    return &u->memory[user - u->user];
}

struct hs_peer *hs_user_peer(const struct hs_users *u, const struct hs_user *user,
                             const uint8_t device_id[WIRE_DEVICE_ID_LEN])
{
    const uint64_t device = users_hash(u, device_id, WIRE_DEVICE_ID_LEN);
    struct hs_user_memory *m = memory_of(u, user);

    for (unsigned int i = 0; i < user->num_peers; i++) {
        if (m->peer[i].device == device)
            return &m->peer[i];
    }
    return NULL;
}

struct hs_peer *hs_user_peer_make(const struct hs_users *u, struct hs_user *user,
                                  const uint8_t device_id[WIRE_DEVICE_ID_LEN])
{
    struct hs_user_memory *m = memory_of(u, user);
    struct hs_peer *peer = hs_user_peer(u, user, device_id);

    if (peer)
        return peer;

    if (user->num_peers < HS_PEERS_PER_USER) {
        peer = &m->peer[user->num_peers++];
    } else {
        /* Each login moves its bucket's time on, so that also tells which device was here last. */
        peer = &m->peer[0];
        for (int i = 1; i < HS_PEERS_PER_USER; i++) {
            if (m->peer[i].logins.full_us < peer->logins.full_us)
                peer = &m->peer[i];
        }
    }
    *peer = (struct hs_peer){.device = users_hash(u, device_id, WIRE_DEVICE_ID_LEN)};
    return peer;
}

bool hs_user_accepted_has(const struct hs_users *u, const struct hs_user *user,
                          const uint8_t ephemeral[WIRE_KEY_LEN], uint32_t now_s)
{
    const uint64_t hash = users_hash(u, ephemeral, WIRE_KEY_LEN);
    const struct hs_user_memory *m = memory_of(u, user);

    for (unsigned int i = 0; i < user->num_accepted; i++) {
        if (m->accepted[i] == hash && m->accepted_until_s[i] > now_s)
            return true;
    }
    return false;
}

/* A place that is free or whose key is forgotten by now; -1 when there is none. */
static int accepted_place(const struct hs_users *u, const struct hs_user *user, uint32_t now_s)
{
    const struct hs_user_memory *m = memory_of(u, user);

    for (unsigned int i = 0; i < user->num_accepted; i++) {
        if (m->accepted_until_s[i] <= now_s)
            return (int)i;
    }
    return user->num_accepted < HS_ACCEPTED_PER_USER ? user->num_accepted : -1;
}

bool hs_user_accepted_room(const struct hs_users *u, const struct hs_user *user, uint32_t now_s)
{
    return accepted_place(u, user, now_s) >= 0;
}

void hs_user_accepted_add(const struct hs_users *u, struct hs_user *user,
                          const uint8_t ephemeral[WIRE_KEY_LEN], uint32_t now_s)
{
    struct hs_user_memory *m = memory_of(u, user);
    int at = accepted_place(u, user, now_s);

    if (at < 0)
        return;
    m->accepted[at] = users_hash(u, ephemeral, WIRE_KEY_LEN);
    /* Seconds are cut off, so one more makes sure that no challenge outlives this. */
    m->accepted_until_s[at] = now_s + HS_ACCEPTED_SECONDS + 1;
    if (at == user->num_accepted)
        user->num_accepted++;
}

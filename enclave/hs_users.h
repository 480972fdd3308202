/*
 * Who may log in, and what each user's devices already used up.
 *
 * A user is found by its key or by its number in constant time.  Beside it lies its memory against
 * replays.  About 920 bytes per user in all, of which a user who never logged in touches 160.
 */
#ifndef ENCLAVE_HS_USERS_H
#define ENCLAVE_HS_USERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/wire.h"
#include "enclave/hs_limit.h"

#define HS_PEERS_PER_USER    16
#define HS_ACCEPTED_PER_USER 32
#define HS_ACCEPTED_SECONDS  120

struct hs_user {
    uint32_t id;
    uint32_t next_by_key, next_by_id; /* chains; slot + 1, 0 ends */
    uint8_t num_peers, num_accepted;
    uint8_t name_len;
    uint8_t key[WIRE_KEY_LEN]; /* C */
    uint8_t dh[WIRE_KEY_LEN];  /* DH(S, C) */
    char name[WIRE_USER_MAX];
};

/* One device of a user, from its first accepted login on. */
struct hs_peer {
    uint64_t device; /* keyed hash of the device_id */
    uint64_t hs_time;
    struct bucket logins;
};

struct hs_user_memory {
    struct hs_peer peer[HS_PEERS_PER_USER];
    uint64_t accepted[HS_ACCEPTED_PER_USER]; /* keyed hashes of ephemeral keys */
    uint32_t accepted_until_s[HS_ACCEPTED_PER_USER];
};

struct hs_users {
    uint8_t hash_key[16];
    uint32_t max, num;
    uint32_t touched; /* slots from here on were never used */
    uint32_t free;    /* chain of given-back slots, slot + 1 */
    uint32_t mask;
    uint32_t *by_key, *by_id;
    struct hs_user *user;
    struct hs_user_memory *memory;
};

/** hs_users_size() - of the memory that hs_users_init() wants, aligned to 64. */
size_t hs_users_size(uint32_t max);
void hs_users_init(struct hs_users *u, void *mem, uint32_t max);

/**
 * hs_users_add() - @name is valid, @dh is DH(S, C)
 *
 * Return: 0, -EEXIST (id or key known) or -ENOSPC.
 */
int hs_users_add(struct hs_users *u, uint32_t id, const char *name, const uint8_t key[WIRE_KEY_LEN],
                 const uint8_t dh[WIRE_KEY_LEN]);
/** hs_users_del() - wipes the user and its memory.  Return: 0 or -ENOENT. */
int hs_users_del(struct hs_users *u, uint32_t id);

/** hs_users_by_key() - NULL when nobody has this key. */
struct hs_user *hs_users_by_key(const struct hs_users *u, const uint8_t key[WIRE_KEY_LEN]);
/** hs_users_by_id() - NULL when nobody has this number. */
struct hs_user *hs_users_by_id(const struct hs_users *u, uint32_t id);

/** hs_user_peer() - the record of a device, NULL when there is none. */
struct hs_peer *hs_user_peer(const struct hs_users *u, const struct hs_user *user,
                             const uint8_t device_id[WIRE_DEVICE_ID_LEN]);
/** hs_user_peer_make() - the record of a device, made in place of the least recently used one. */
struct hs_peer *hs_user_peer_make(const struct hs_users *u, struct hs_user *user,
                                  const uint8_t device_id[WIRE_DEVICE_ID_LEN]);

/** hs_user_accepted_has() - was this ephemeral key accepted within HS_ACCEPTED_SECONDS? */
bool hs_user_accepted_has(const struct hs_users *u, const struct hs_user *user,
                          const uint8_t ephemeral[WIRE_KEY_LEN], uint32_t now_s);
/** hs_user_accepted_room() - could one more be remembered? */
bool hs_user_accepted_room(const struct hs_users *u, const struct hs_user *user, uint32_t now_s);
/** hs_user_accepted_add() - remember it; there must be room. */
void hs_user_accepted_add(const struct hs_users *u, struct hs_user *user,
                          const uint8_t ephemeral[WIRE_KEY_LEN], uint32_t now_s);

#endif

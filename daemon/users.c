/* Users by numbers that stay; see users.h. */
#include "daemon/users.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/text.h"

struct users {
    const struct config *config;
    uint32_t max, cursor;
    uint32_t high; /* numbers from here on were never given */
    uint32_t count[USER_LEAVING + 1];
    struct user *table; /* touched as users come */
    uint32_t *by_index; /* number of each of config->users */
    /* For users_apply(), from users_reserve(). */
    uint32_t *next_index;
    const uint8_t **keys;
};

/* ---- the difference ---------------------------------------------------------------------------
 */

static bool addrs_equal(const struct ip_addr *a, size_t na, const struct ip_addr *b, size_t nb)
{
    size_t i;

    for (i = 0; na == nb && i < na; i++)
        if (!ip_addr_equal(&a[i], &b[i]))
            return false;
    return na == nb;
}

static bool prefixes_equal(const struct ip_prefix *a, size_t na, const struct ip_prefix *b,
                           size_t nb)
{
    size_t i;

    for (i = 0; na == nb && i < na; i++)
        if (a[i].len != b[i].len || !ip_addr_equal(&a[i].addr, &b[i].addr))
            return false;
    return na == nb;
}

static unsigned int user_parts(const struct config_user *a, const struct config_user *b)
{
    unsigned int parts = 0;

    if (!addrs_equal(a->fixed, a->n_fixed, b->fixed, b->n_fixed))
        parts |= USER_PART_ADDRESS;
    if (!prefixes_equal(a->networks, a->n_networks, b->networks, b->n_networks))
        parts |= USER_PART_NETWORKS;
    if (a->enabled != b->enabled || a->expires_s != b->expires_s)
        parts |= USER_PART_LOGIN;
    if (a->max_devices != b->max_devices)
        parts |= USER_PART_DEVICES;
    if (!text_equal(a->class_name, b->class_name))
        parts |= USER_PART_CLASS;
    return parts;
}

int users_diff(const struct config *then, const struct config *now, struct user_change **out,
               size_t *n_out)
{
    struct user_change *changes;
    size_t o = 0, w = 0, n = 0;

    /* Each user of either side is at most one change, a key's change is one of both. */
    changes = calloc(then->n_users + now->n_users + 1, sizeof(*changes));
    if (!changes)
        return -ENOMEM;
    while (o < then->n_users || w < now->n_users) {
        const struct config_user *old = o < then->n_users ? &then->users[o] : NULL;
        const struct config_user *new = w < now->n_users ? &now->users[w] : NULL;
        int order = !old ? 1 : !new ? -1 : strcmp(old->name, new->name);
        bool same_key = order == 0 && memcmp(old->key, new->key, WIRE_KEY_LEN) == 0;
        unsigned int parts = same_key ? user_parts(old, new) : 0;

        if (order < 0 || (order == 0 && !same_key))
            changes[n++] = (struct user_change){.kind = USER_REMOVED, .old_index = o};
        if (order > 0 || (order == 0 && !same_key))
            changes[n++] = (struct user_change){.kind = USER_ADDED, .new_index = w};
        if (parts)
            changes[n++] = (struct user_change){
                .kind = USER_CHANGED, .old_index = o, .new_index = w, .parts = parts};
        o += order <= 0;
        w += order >= 0;
    }
    *out = changes;
    *n_out = n;
    return 0;
}

/* ---- numbers ----------------------------------------------------------------------------------
 */

static void user_set(struct users *u, uint32_t id, enum user_state state)
{
    u->count[u->table[id].state]--;
    u->count[state]++;
    u->table[id].state = state;
    if (state == USER_FREE)
        memset(&u->table[id], 0, sizeof(u->table[id]));
}

/* In turn, so that a number rests as long as possible before it is somebody else's. */
static uint32_t user_take(struct users *u, const struct config_user *conf, enum user_state state)
{
    struct user *user;
    uint32_t id;

    while (u->table[u->cursor % u->max].state != USER_FREE)
        u->cursor++;
    id = u->cursor++ % u->max;
    user = &u->table[id];
    memcpy(user->name, conf->name, sizeof(user->name));
    memcpy(user->key, conf->key, sizeof(user->key));
    user_set(u, id, state);
    if (id >= u->high)
        u->high = id + 1;
    return id;
}

static void describe(struct users *u, const struct config *config)
{
    size_t i;

    u->config = config;
    for (i = 0; i < config->n_users; i++)
        u->table[u->by_index[i]].conf = &config->users[i];
}

static void reserved_clear(struct users *u)
{
    free(u->next_index);
    free(u->keys);
    u->next_index = NULL;
    u->keys = NULL;
}

struct users *users_new(const struct config *config, uint32_t max)
{
    struct users *u = calloc(1, sizeof(*u));
    size_t i;

    if (!u)
        return NULL;
    u->max = max;
    u->count[USER_FREE] = max;
    u->table = calloc(max, sizeof(*u->table));
    u->by_index = calloc(config->n_users + 1, sizeof(*u->by_index));
    if (!u->table || !u->by_index || config->n_users > max) {
        users_free(u);
        return NULL;
    }
    for (i = 0; i < config->n_users; i++)
        u->by_index[i] = user_take(u, &config->users[i], USER_LIVE);
    describe(u, config);
    return u;
}

void users_free(struct users *u)
{
    if (!u)
        return;
    free(u->table);
    free(u->by_index);
    reserved_clear(u);
    free(u);
}

/* ---- another configuration --------------------------------------------------------------------
 */

static int key_cmp(const void *a, const void *b)
{
    return memcmp(*(const uint8_t *const *)a, *(const uint8_t *const *)b, WIRE_KEY_LEN);
}

/* The keys of all who are leaving, sorted, so that a newcomer's can be looked for. */
static size_t leaving_keys(const struct users *u, const uint8_t **keys)
{
    size_t n = 0;
    uint32_t id;

    for (id = 0; users_next(u, USER_LEAVING, id, &id); id++)
        keys[n++] = u->table[id].key;
    if (n)
        qsort(keys, n, sizeof(*keys), key_cmp);
    return n;
}

static void user_leave(struct users *u, uint32_t id, uint64_t now_ms)
{
    if (u->table[id].state == USER_WAITING) {
        /* The enclave has never heard of it. */
        user_set(u, id, USER_FREE);
        return;
    }
    user_set(u, id, USER_LEAVING);
    u->table[id].conf = NULL;
    u->table[id].left_ms = now_ms;
}

/* Whoever was there keeps its number: both configurations are sorted by name. */
static void carry_over(const struct users *u, const struct config *now,
                       const struct user_change *changes, size_t n, uint32_t *by_index)
{
    size_t o = 0, w = 0, c = 0;

    while (o < u->config->n_users || w < now->n_users) {
        if (c < n && changes[c].kind == USER_REMOVED && changes[c].old_index == o) {
            o++;
            c++;
        } else if (c < n && changes[c].kind == USER_ADDED && changes[c].new_index == w) {
            w++;
            c++;
        } else {
            c += c < n && changes[c].kind == USER_CHANGED && changes[c].new_index == w;
            by_index[w++] = u->by_index[o++];
        }
    }
}

int users_reserve(struct users *u, const struct config *now, const struct user_change *changes,
                  size_t n)
{
    size_t added = 0, removed = 0, i;

    for (i = 0; i < n; i++) {
        added += changes[i].kind == USER_ADDED;
        removed += changes[i].kind == USER_REMOVED;
    }
    if (added > u->count[USER_FREE])
        return -ENOSPC;
    reserved_clear(u);
    u->next_index = calloc(now->n_users + 1, sizeof(*u->next_index));
    u->keys = calloc(removed + u->count[USER_LEAVING] + 1, sizeof(*u->keys));
    if (!u->next_index || !u->keys) {
        reserved_clear(u);
        return -ENOMEM;
    }
    return 0;
}

void users_apply(struct users *u, const struct config *now, const struct user_change *changes,
                 size_t n, uint64_t now_ms)
{
    size_t n_keys, i;

    carry_over(u, now, changes, n, u->next_index);
    for (i = 0; i < n; i++)
        if (changes[i].kind == USER_REMOVED)
            user_leave(u, u->by_index[changes[i].old_index], now_ms);
    n_keys = leaving_keys(u, u->keys);
    for (i = 0; i < n; i++) {
        const struct config_user *conf = &now->users[changes[i].new_index];
        const uint8_t *key = conf->key;
        bool taken;

        if (changes[i].kind != USER_ADDED)
            continue;
        taken = n_keys && bsearch(&key, u->keys, n_keys, sizeof(*u->keys), key_cmp);
        u->next_index[changes[i].new_index] = user_take(u, conf, taken ? USER_WAITING : USER_LIVE);
    }
    free(u->by_index);
    u->by_index = u->next_index;
    u->next_index = NULL;
    reserved_clear(u);
    describe(u, now);
}

void users_gone(struct users *u, uint32_t id)
{
    if (id < u->max && u->table[id].state == USER_LEAVING)
        user_set(u, id, USER_FREE);
}

void users_let_in(struct users *u, uint32_t id)
{
    if (id < u->max && u->table[id].state == USER_WAITING)
        user_set(u, id, USER_LIVE);
}

/* ---- looking ----------------------------------------------------------------------------------
 */

struct user *users_get(struct users *u, uint32_t id)
{
    return id < u->max && u->table[id].conf ? &u->table[id] : NULL;
}

const char *users_name(const struct users *u, uint32_t id)
{
    return id < u->max && u->table[id].state != USER_FREE ? u->table[id].name : "unknown user";
}

uint64_t users_left_ms(const struct users *u, uint32_t id)
{
    return u->table[id].left_ms;
}

uint32_t users_id(const struct users *u, size_t index)
{
    return u->by_index[index];
}

int users_find(const struct users *u, const char *name, uint32_t *id)
{
    const struct config_user *conf = config_user_find(u->config, name);

    if (!conf)
        return -ENOENT;
    *id = u->by_index[conf - u->config->users];
    return 0;
}

bool users_next(const struct users *u, enum user_state state, uint32_t from, uint32_t *id)
{
    uint32_t i;

    if (u->count[state] == 0)
        return false;
    for (i = from; i < u->high; i++) {
        if (u->table[i].state == state) {
            *id = i;
            return true;
        }
    }
    return false;
}

uint32_t users_count(const struct users *u, enum user_state state)
{
    return u->count[state];
}

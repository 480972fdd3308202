/*
 * Users by numbers that stay: the enclave, leases and sessions know a user by its number, the
 * configuration by its name.
 *
 * Theory of operation
 * -------------------
 * A number is given when a user appears in the configuration and taken back when it has left; in
 * between, reloads move the user's description but not its number.  A user with another key is
 * another user: the old one leaves, a new one comes.  Leaving takes a moment, because its devices
 * are still to be told: until then the number, and the key in the enclave, are in use.  A newcomer
 * that has the key of somebody who is leaving (a user was renamed) waits for that moment.
 *
 * What a reload means is worked out beforehand by users_diff(), which changes nothing.  Pure: no
 * system call, clock or log line.
 */
#ifndef DAEMON_USERS_H
#define DAEMON_USERS_H

#include "daemon/config.h"

/*
 * FREE     the number is nobody's
 * LIVE     in the configuration; the enclave knows it whenever there is one
 * WAITING  in the configuration; its key is still that of a user who is leaving
 * LEAVING  no longer in the configuration; the enclave knows it still
 *
 *   FREE ──users_apply()──► LIVE ──users_apply()──► LEAVING ──users_gone()──► FREE
 *   FREE ──users_apply()──► WAITING ──users_let_in()──► LIVE
 *   WAITING ──users_apply()──► FREE
 */
enum user_state {
    USER_FREE,
    USER_LIVE,
    USER_WAITING,
    USER_LEAVING,
};

struct user {
    enum user_state state;
    const struct config_user *conf; /* of the configuration in force; NULL when FREE or LEAVING */
    char name[WIRE_USER_MAX + 1];
    uint8_t key[WIRE_KEY_LEN];
    uint64_t left_ms; /* LEAVING: since when */
    uint32_t
        carrier; /* networks.c: the peer that connected last, 0: none; its networks are there */
};

enum user_change_kind {
    USER_ADDED,
    USER_REMOVED,
    USER_CHANGED,
};

/* What of a user's description differs; bits. */
enum user_part {
    USER_PART_ADDRESS = 1 << 0,
    USER_PART_NETWORKS = 1 << 1,
    USER_PART_LOGIN = 1 << 2, /* enabled, expires */
    USER_PART_DEVICES = 1 << 3,
    USER_PART_CLASS = 1 << 4, /* as written; the default class is no part of a user */
};

struct user_change {
    enum user_change_kind kind;
    size_t old_index, new_index; /* in the users of either configuration; ADDED has no old one */
    unsigned int parts;          /* CHANGED: bits of enum user_part */
};

/**
 * users_diff() - what the users of @now are against those of @then
 * @out: to be freed; in the order of names.  A changed key is REMOVED and then ADDED
 *
 * Unchanged users do not appear.  Return: 0 or -ENOMEM.
 */
int users_diff(const struct config *then, const struct config *now, struct user_change **out,
               size_t *n);

struct users;

/**
 * users_new() - the users of the first configuration, all LIVE
 * @max: numbers run from 0 to @max - 1: what the enclave was started for
 *
 * Return: NULL without memory, or when there are more users than numbers.
 */
struct users *users_new(const struct config *config, uint32_t max);
/** users_free() - accepts NULL. */
void users_free(struct users *u);

/**
 * users_reserve() - make room for a change, so that users_apply() cannot fail
 *
 * Return: 0; -ENOSPC when there are not enough numbers, or -ENOMEM.  Nothing has changed.
 */
int users_reserve(struct users *u, const struct config *now, const struct user_change *changes,
                  size_t n);
/**
 * users_apply() - another configuration is in force
 * @now, @changes, @n: those that users_reserve() was given; @changes are from users_diff(), with
 * the configuration that was in force until now as @then
 */
void users_apply(struct users *u, const struct config *now, const struct user_change *changes,
                 size_t n, uint64_t now_ms);

/** users_gone() - a LEAVING user has left: its number is free. */
void users_gone(struct users *u, uint32_t id);
/** users_let_in() - nobody is leaving any more: a WAITING user is LIVE. */
void users_let_in(struct users *u, uint32_t id);

/** users_get() - a user of the configuration in force, or NULL. */
struct user *users_get(struct users *u, uint32_t id);
/** users_name() - also of one that is leaving; never NULL. */
const char *users_name(const struct users *u, uint32_t id);
/** users_left_ms() - since when a user is LEAVING. */
uint64_t users_left_ms(const struct users *u, uint32_t id);
/** users_id() - the number of the user at @index of the configuration in force. */
uint32_t users_id(const struct users *u, size_t index);
/** users_find() - by name.  Return: 0 with @id, or -ENOENT. */
int users_find(const struct users *u, const char *name, uint32_t *id);
/** users_next() - the first number from @from on in this state.  Return: false after the last. */
bool users_next(const struct users *u, enum user_state state, uint32_t from, uint32_t *id);
/** users_count() - how many are in this state; in constant time. */
uint32_t users_count(const struct users *u, enum user_state state);

#endif

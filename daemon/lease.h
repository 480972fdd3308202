/*
 * Inner addresses: who has which, for how long, and what a newcomer gets.
 *
 * A lease belongs to a (user, device).  It is *reserved* by an authentic login, *bound* when the
 * client has confirmed its session, and *idle* after that: the device gets the same addresses again
 * unless the pool ran dry meanwhile.  Pure: no system call, clock or log line.
 */
#ifndef DAEMON_LEASE_H
#define DAEMON_LEASE_H

#include <stdint.h>

#include "daemon/config.h"

#define LEASE_RESERVED_MS 10000

enum lease_state {
    LEASE_FREE, /* the record is unused */
    LEASE_IDLE,
    LEASE_RESERVED,
    LEASE_BOUND,
};

struct lease {
    uint32_t user; /* its number, see users.h */
    uint8_t device[WIRE_DEVICE_ID_LEN];
    struct ip_addr ip4, ip6; /* family 0: none */
    enum lease_state state;
    uint64_t reserved_until_ms;
    uint32_t holder;       /* the peer that has it, for the owner's use */
    uint64_t last_used_ms; /* idle ones are given up oldest first */
    uint32_t next;         /* in the hash by (user, device) */
};

struct leases;

/**
 * leases_new() - for a configuration, which must stay until leases_reload() or leases_free()
 *
 * Return: NULL without memory.
 */
struct leases *leases_new(const struct config *config);
void leases_free(struct leases *l);

/**
 * leases_reload() - another configuration with the same max_clients is in force
 *
 * Leases stay as they are, also those that leases_fit() would refuse now.
 *
 * Return: 0, or -ENOMEM: then nothing has changed.
 */
int leases_reload(struct leases *l, const struct config *config);

/**
 * leases_reserve() - addresses for a login
 * @user: its number
 * @conf: its description in the configuration in force
 * @want: the client's wish, family 0 for none; granted when it is free and in the pool
 *
 * A device that has a lease keeps it as long as that fits the configuration.  Fixed addresses of
 * the user come first; when other devices of the same user hold all of them, the newest device
 * takes the first one over.
 *
 * Return: WIRE_STATUS_OK with *@out, WIRE_STATUS_POOL_FULL or WIRE_STATUS_DEVICE_LIMIT.
 */
enum wire_status leases_reserve(struct leases *l, uint32_t user, const struct config_user *conf,
                                const uint8_t device[WIRE_DEVICE_ID_LEN],
                                const struct ip_addr *want, uint64_t now_ms, struct lease **out);

/**
 * leases_fit() - may the user go on with these addresses?
 * @strict: also when the pool has changed, or the user got fixed addresses; without it, an address
 *          is lost only to the user whose fixed one it has become
 */
bool leases_fit(const struct leases *l, const struct lease *lease, const struct config_user *conf,
                bool strict);
/** leases_forget_user() - all of a number that is nobody's any more; none of them is active. */
void leases_forget_user(struct leases *l, uint32_t user);

/** lease_device_format() - the device id in hexadecimal. */
void lease_device_format(const struct lease *lease, char text[2 * WIRE_DEVICE_ID_LEN + 1]);
/** leases_bind() - the client confirmed. */
void leases_bind(struct leases *l, struct lease *lease);
/** leases_release() - the session is over; the device may come back to its addresses. */
void leases_release(struct leases *l, struct lease *lease, uint64_t now_ms);
/** leases_expire() - give up reservations that nobody confirmed. */
void leases_expire(struct leases *l, uint64_t now_ms);
/** leases_active() - reserved and bound ones. */
uint32_t leases_active(const struct leases *l);

#endif

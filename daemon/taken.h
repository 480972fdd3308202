/*
 * The inner addresses that are taken: by a lease, or reserved as somebody's fixed one.  A hash
 * table of bounded size.  Pure: no system call, clock or log line.
 */
#ifndef DAEMON_TAKEN_H
#define DAEMON_TAKEN_H

#include <stdbool.h>
#include <stdint.h>

#include "common/ip.h"

struct taken {
    struct ip_addr addr;
    uint32_t lease; /* its number; 0: fixed and not in use */
    uint32_t next;
    bool fixed;
};

struct taken_table {
    struct taken *items; /* [0] is never used */
    uint32_t capacity, fresh, free;
    uint32_t *heads;
    uint32_t mask;
};

/** taken_init() - empty, for @capacity addresses.  Return: 0 or -ENOMEM. */
int taken_init(struct taken_table *t, uint32_t capacity);
void taken_clear(struct taken_table *t);

/** taken_find() - NULL when nobody has it; family 0 is nobody's. */
struct taken *taken_find(const struct taken_table *t, const struct ip_addr *addr);
/** taken_add() - one that is not there yet.  Return: NULL when the table is full. */
struct taken *taken_add(struct taken_table *t, const struct ip_addr *addr);
/** taken_hold() - @lease has it from now on, whoever had it before; family 0 is ignored. */
void taken_hold(struct taken_table *t, const struct ip_addr *addr, uint32_t lease);
/** taken_release() - @lease gives it up, unless it was taken over by another meanwhile. */
void taken_release(struct taken_table *t, const struct ip_addr *addr, uint32_t lease);

#endif

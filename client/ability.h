/*
 * Can the kernel do a rule of the packet filter?
 *
 * What fails for want of memory or descriptors says nothing of the kernel, and a table of our name
 * that somebody else has may go: then the question is asked again, without end.
 */
#ifndef CLIENT_ABILITY_H
#define CLIENT_ABILITY_H

#include <stdbool.h>
#include <stdint.h>

#include "common/err.h"

struct net_fw_rule;

enum ability_state {
    ABILITY_THERE,
    ABILITY_MISSING,
    ABILITY_UNKNOWN, /* or somebody else's table is in the way: to be asked again */
};

struct ability {
    enum ability_state state;
    uint64_t asked_ms;
    struct err why; /* of what is not there; empty: it is */
};

/**
 * ability_ask() - find out now
 * @alone: must the client's tables also be nobody else's?
 *
 * Return: whether the answer is another one than before.
 */
bool ability_ask(struct ability *a, const struct net_fw_rule *rule, bool alone, uint64_t now_ms);
/** ability_due() - when to ask again; UINT64_MAX: never. */
uint64_t ability_due(const struct ability *a);

#endif

/*
 * Who changes our objects again and again, and how we give way: pure.
 *
 * The first few repairs of an object come at once.  After that the time between two doubles, from a
 * second to a minute: two programs that put each other right must not burn a processor.  After two
 * minutes of peace all is forgotten.
 */
#ifndef NETLINK_FIGHT_H
#define NETLINK_FIGHT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define NET_FIGHTS             256 /* objects that are remembered; of more the oldest go */
#define NET_FIGHT_AT_ONCE      3
#define NET_FIGHT_FIRST_MS     1000
#define NET_FIGHT_LONGEST_MS   60000
#define NET_FIGHT_FORGOTTEN_MS 120000

struct net_fight {
    uint64_t key; /* net_text_key() of the object's text; 0: unused */
    uint64_t last_ms;
    uint32_t repairs;
};

/* Zeroed it is empty. */
struct net_fights {
    struct net_fight fights[NET_FIGHTS];
};

enum net_fight_advice {
    NET_FIGHT_REPAIR, /* do it */
    NET_FIGHT_ANSWER, /* do it; the next time there will be a pause: worth a word */
    NET_FIGHT_HOLD,   /* not yet */
};

/** net_text_key() - a number for a text (FNV-1a); never 0. */
uint64_t net_text_key(const char *text);

/**
 * net_fight_drifted() - an object was found changed by others
 * @until_ms: for HOLD: when it may be repaired; for ANSWER: not before when the next time
 *
 * Where the answer is not HOLD, the repair is taken as done.
 */
enum net_fight_advice net_fight_drifted(struct net_fights *fights, uint64_t key, uint64_t now_ms,
                                        uint64_t *until_ms);

#endif

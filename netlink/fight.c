/* Who changes our objects again and again; see fight.h. */
#include "netlink/fight.h"

uint64_t net_text_key(const char *text)
{
    uint64_t hash = UINT64_C(0xcbf29ce484222325);

    for (const unsigned char *c = (const unsigned char *)text; *c; c++)
        hash = (hash ^ *c) * UINT64_C(0x100000001b3);
    return hash ? hash : 1;
}

static bool is_forgotten(const struct net_fight *fight, uint64_t now_ms)
{
    return fight->key == 0 || now_ms - fight->last_ms > NET_FIGHT_FORGOTTEN_MS;
}

/* The object's own entry, or the best place for one. */
static struct net_fight *find(struct net_fights *fights, uint64_t key, uint64_t now_ms)
{
    struct net_fight *place = &fights->fights[0];

    for (size_t i = 0; i < NET_FIGHTS; i++) {
        struct net_fight *fight = &fights->fights[i];

        if (fight->key == key)
            return fight;
        if (is_forgotten(place, now_ms))
            continue;
        if (is_forgotten(fight, now_ms) || fight->last_ms < place->last_ms)
            place = fight;
    }
    return place;
}

/* How long to wait after that many repairs. */
static uint64_t pause_ms(uint32_t repairs)
{
    uint64_t pause = NET_FIGHT_FIRST_MS;

    if (repairs < NET_FIGHT_AT_ONCE)
        return 0;
    for (uint32_t i = NET_FIGHT_AT_ONCE; i < repairs && pause < NET_FIGHT_LONGEST_MS; i++)
        pause *= 2;
    return pause < NET_FIGHT_LONGEST_MS ? pause : NET_FIGHT_LONGEST_MS;
}

enum net_fight_advice net_fight_drifted(struct net_fights *fights, uint64_t key, uint64_t now_ms,
                                        uint64_t *until_ms)
{
    struct net_fight *fight = find(fights, key, now_ms);

    if (fight->key != key || is_forgotten(fight, now_ms))
        *fight = (struct net_fight){.key = key};
    if (fight->repairs > 0 && now_ms < fight->last_ms + pause_ms(fight->repairs)) {
        *until_ms = fight->last_ms + pause_ms(fight->repairs);
        return NET_FIGHT_HOLD;
    }
    fight->last_ms = now_ms;
    fight->repairs++;
    if (pause_ms(fight->repairs) == 0)
        return NET_FIGHT_REPAIR;
    *until_ms = now_ms + pause_ms(fight->repairs);
    return NET_FIGHT_ANSWER;
}

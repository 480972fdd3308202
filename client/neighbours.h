/*
 * Neighbours that ask for this host's address while rules lead into a tunnel.
 *
 * Theory of operation: a host that checks where packets come from looks an ARP request's sender up
 * before it answers, and finds the tunnel (rp_filter=1), or that nothing leads there (also 2, while
 * a tunnel blocks).  Then the router would soon know no way to us, and no answer of the server
 * would arrive.  A rule that lets this look-up find the main table lets out more: it has no port
 * and no protocol, and is root's, like what is forwarded and what the kernel's own tunnels send.
 * But it is made for a packet that has arrived: so ARP gets the client's mark as it arrives
 * (firewall.h), and the setting src_valid_mark lets marks count in such look-ups.
 *
 * The setting is the host's.  What it was is kept in the state folder, and put back when no rule
 * leads into a tunnel any more; where it was 1 before, it is not ours, and nobody is kept from
 * changing it.
 */
#ifndef CLIENT_NEIGHBOURS_H
#define CLIENT_NEIGHBOURS_H

#include <stdbool.h>
#include <stdint.h>

#include "client/ability.h"
#include "common/err.h"

struct net_set;
struct net_sysctl_keep;

/* Starts zeroed. */
struct neighbours {
    struct net_sysctl_keep *former;
    struct ability ability; /* to mark ARP */
    bool caught;            /* see neighbours_lower() */
    struct err said;        /* why not, as it was told last */
    struct err not_kept;    /* likewise of the setting */
};

/** neighbours_open() - find out what the kernel can; @state: the folder. */
void neighbours_open(struct neighbours *n, const char *state, uint64_t now_ms);
/** neighbours_close() - put the setting back; a zeroed or closed one is fine. */
void neighbours_close(struct neighbours *n);

/** neighbours_due() - when to call neighbours_tick(); UINT64_MAX: never. */
uint64_t neighbours_due(const struct neighbours *n);
/** neighbours_tick() - ask the kernel again when it is time.  Return: is the answer another one? */
bool neighbours_tick(struct neighbours *n, uint64_t now_ms);

/** neighbours_unanswered() - why ARP is not marked although it should be; NULL: it is. */
const char *neighbours_unanswered(const struct neighbours *n);

/**
 * neighbours_lower() - the setting, when it is needed
 * @caught: rules lead IPv4 packets into some tunnel
 * @marked: shall ARP be marked?
 *
 * Return: 0 or -ENOMEM.
 */
int neighbours_lower(struct neighbours *n, bool caught, struct net_set *set, bool *marked);

#endif

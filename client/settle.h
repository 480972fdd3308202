/*
 * What all tunnels together need of the kernel: worked out whenever something has changed, and
 * brought about by the keeper.  Beside it, what this kernel can do for it.
 */
#ifndef CLIENT_SETTLE_H
#define CLIENT_SETTLE_H

#include <stdint.h>

struct client;

/**
 * settle_begin() - before anything else is opened, so that nothing gets out
 *
 * What an earlier run left goes.  What does not work is logged, and tried again later.
 */
void settle_begin(struct client *c);
/** settle_again() - ask once more what could not be found out.  Return: when it is due again. */
uint64_t settle_again(struct client *c);
/** settle_changes() - make the kernel equal to what all tunnels need now, if that is news */
void settle_changes(struct client *c);
/** settle_end() - everything goes, but what tunnels block when nobody has asked us to end */
void settle_end(struct client *c);

#endif

/* Users, their leases and their sessions follow a configuration that comes into force. */
#ifndef DAEMON_FOLLOW_H
#define DAEMON_FOLLOW_H

#include <stddef.h>

#include "daemon/users.h"

struct server;

/* What users_diff() found. */
struct follow {
    struct user_change *items;
    size_t n;
};

/**
 * follow_reserve() - all that can fail
 * @now: leases look at it from here on, until follow_back()
 *
 * Return: 0; -ENOSPC for more users than this process has room for; -ENOMEM.
 */
int follow_reserve(struct server *s, const struct config *now, const struct follow *f);
/** follow_back() - it does not come into force after all.  Return: 0 or -ENOMEM: @now must stay. */
int follow_back(struct server *s);

/**
 * follow_through() - @now is in force: s->config is it afterwards
 *
 * Sessions of users whose description is as it was go on.  The former configuration is the
 * caller's to free.
 */
void follow_through(struct server *s, struct config *now, const struct follow *f);

#endif

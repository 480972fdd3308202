/* What two configurations say differently, in lines for people.  Pure. */
#ifndef DAEMON_CONFIG_DIFF_H
#define DAEMON_CONFIG_DIFF_H

#include <jansson.h>

#include "daemon/config.h"
#include "daemon/users.h"

/**
 * config_diff() - as `vpnctl plan` shows it, beside what is done to the kernel
 * @users: from users_diff()
 * @kept: from config_keep()
 *
 * "+" is added, "-" removed, "~" changed, and "=" waits for a restart.
 *
 * Return: an array of lines, a new reference; NULL without memory.
 */
json_t *config_diff(const struct config *then, const struct config *now,
                    const struct user_change *users, size_t n_users, const char *kept);

#endif

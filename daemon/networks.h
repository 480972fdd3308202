/*
 * The networks behind users: while one of a user's devices is connected, the lanes find that device
 * for them, and the kernel routes them into the tunnel (daemon/desired).
 *
 * A user with several devices is reached through the one that connected last; when it leaves,
 * through the one that came before it and is still there.  So a user's sessions are a list, from
 * user->carrier on: a logout looks at no more than its neighbours, however many are connected.
 */
#ifndef DAEMON_NETWORKS_H
#define DAEMON_NETWORKS_H

#include <stdint.h>

#include "daemon/config.h"

struct server;

/** networks_up() - a device of the user connected: its networks lie behind @peer now. */
void networks_up(struct server *s, uint32_t id, uint32_t peer);
/** networks_down() - this device goes, its session is still there: another one takes over. */
void networks_down(struct server *s, uint32_t id, uint32_t peer);
/**
 * networks_replace() - the user is described otherwise
 * @then, @now: the former and the new description; what both have is left alone
 */
void networks_replace(struct server *s, uint32_t id, const struct config_user *then,
                      const struct config_user *now);

#endif

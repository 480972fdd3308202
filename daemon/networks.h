/*
 * The networks behind users: while one of a user's devices is connected, the lanes find that device
 * for them, and the kernel routes them into the tunnel (daemon/desired).
 *
 * A user with several devices is reached through the one that connected last; when it leaves,
 * through another one that is still there.
 */
#ifndef DAEMON_NETWORKS_H
#define DAEMON_NETWORKS_H

#include <stdint.h>

#include "daemon/config.h"

struct server;

/** networks_up() - a device of the user connected: its networks lie behind @peer now. */
void networks_up(struct server *s, uint32_t id, uint32_t peer);
/** networks_down() - this device is gone; another one of the user's takes over if there is one. */
void networks_down(struct server *s, uint32_t id, uint32_t peer);
/**
 * networks_replace() - the user is described otherwise
 * @then, @now: the former and the new description; what both have is left alone
 */
void networks_replace(struct server *s, uint32_t id, const struct config_user *then,
                      const struct config_user *now);

#endif

/* The control commands about configurations: plan, apply, confirm, rollback, history, reload. */
#ifndef DAEMON_CTL_CONFIG_H
#define DAEMON_CTL_CONFIG_H

#include "common/ctl.h"

struct server;

/** ctl_config() - Return: the reply, or NULL when @cmd is none of these. */
json_t *ctl_config(struct server *s, const char *cmd, const json_t *request,
                   const struct ctl_peer *peer);

/** ctl_config_status() - which configuration is in force, for `vpnctl status`. */
json_t *ctl_config_status(struct server *s);

#endif

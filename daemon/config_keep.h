/*
 * What of a configuration a running server cannot change: it was opened, sized or given away at
 * start.  Pure.
 */
#ifndef DAEMON_CONFIG_KEEP_H
#define DAEMON_CONFIG_KEEP_H

#include "daemon/config.h"

#define CONFIG_KEEP_SIZE 256

/**
 * config_keep() - make a new configuration fit the server that runs
 * @now: gets the values of @then where they cannot change; owns copies of them
 * @kept: CONFIG_KEEP_SIZE bytes; the keys whose new values wait for a restart, "" for none
 *
 * Return: 0 or -ENOMEM: then @now is good for nothing but config_free().
 */
int config_keep(struct config *now, const struct config *then, char kept[CONFIG_KEEP_SIZE]);
/** config_keep_paths() - the same for what root opens or makes at a start, and nothing else. */
int config_keep_paths(struct config *now, const struct config *then, char kept[CONFIG_KEEP_SIZE]);

#endif

/* The engine's state as both daemons show it in `vpnctl status`. */
#ifndef NETLINK_STATUS_JSON_H
#define NETLINK_STATUS_JSON_H

#include <jansson.h>

#include "netlink/reconcile.h"

/**
 * net_status_json() - counters and state by their names, and "error" when the last run failed
 *
 * When there was drift last is left to the caller, who knows the time of day.
 *
 * Return: a new reference, or NULL without memory.
 */
json_t *net_status_json(const struct net_reconciler_status *status);

#endif

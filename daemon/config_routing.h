/*
 * What a server file says about the host's routing: routes, rules, masquerading.
 *
 * Between daemon/config.c, which has the file's other tables, and daemon/config_check.c.
 */
#ifndef DAEMON_CONFIG_ROUTING_H
#define DAEMON_CONFIG_ROUTING_H

#include "common/schema.h"
#include "daemon/config_check.h"

/* Each entry of `routes`, `rules` and `masquerade`. */
extern const struct schema_table config_route_table;
extern const struct schema_table config_rule_table;
extern const struct schema_table config_masquerade_table;

/**
 * check_routing() - routes, rules and masquerading against each other and the rest
 *
 * Fills in what follows: a rule's families and whether it has a suppress-prefixlength, a route's
 * table 0 becomes the main one; what no kernel would take becomes an error.
 *
 * Return: 0, also with errors; -ENOMEM.
 */
int check_routing(struct check *c);

#endif

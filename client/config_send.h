/* A configuration is sent to the daemon, and what it would change, or has changed, is printed. */
#ifndef CLIENT_CONFIG_SEND_H
#define CLIENT_CONFIG_SEND_H

#include "client/cmd.h"

/**
 * config_request() - a request with the texts of a file and its drop-ins
 * @verb: its "cmd"
 * @out: a new reference
 *
 * Return: an exit code; what is wrong has been printed.
 */
int config_request(const char *file, const char *verb, json_t **out);

/** config_problems() - errors and notes of a reply, printed as `vpnctl check` does. */
void config_problems(const json_t *reply, const char *key);

/** config_lines() - a plan's lines in their colours, and what they come to. */
void config_lines(const struct cmd *cmd, const json_t *reply);

/** config_changes() - how many lines of it are changes. */
size_t config_changes(const json_t *reply);

#endif

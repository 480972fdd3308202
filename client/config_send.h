/* A configuration is sent to the daemon, and what it would change, or has changed, is printed. */
#ifndef CLIENT_CONFIG_SEND_H
#define CLIENT_CONFIG_SEND_H

#include "client/cmd.h"

/**
 * config_send() - ask with the texts of a file and its drop-ins
 * @verb: the request's "cmd"
 * @more: what else it says; taken over, may be NULL
 * @reply: as cmd_request()
 *
 * Return: an exit code; what is wrong has been printed.
 */
int config_send(const struct cmd *cmd, const char *file, const char *verb, json_t *more,
                json_t **reply);

/** config_problems() - errors and notes of a reply, printed as `vpnctl check` does. */
void config_problems(const json_t *reply, const char *key);

/** config_lines() - a plan's lines in their colours, and what they come to. */
void config_lines(const struct cmd *cmd, const json_t *reply);

/** config_changes() - how many lines of it are changes. */
size_t config_changes(const json_t *reply);

#endif

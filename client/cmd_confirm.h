/* Waiting for the operator to confirm what was applied. */
#ifndef CLIENT_CMD_CONFIRM_H
#define CLIENT_CMD_CONFIRM_H

#include "client/cmd.h"

/**
 * confirm_wait() - tell how to confirm; on a terminal, count down and take Enter for it
 * @number: the configuration that was applied
 *
 * The confirmation goes over a connection of its own: one that was open before says nothing about
 * whether the machine can still be reached.  Ctrl-C ends the waiting alone: the daemon goes back
 * when the time is up, and says so here.
 *
 * Return: an exit code: 0 confirmed, or not waited for; 1 gone back.
 */
int confirm_wait(const struct cmd *cmd, unsigned int number, unsigned int seconds);

#endif

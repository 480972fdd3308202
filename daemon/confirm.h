/* Configurations that wait for a confirmation, and the way back to former ones. */
#ifndef DAEMON_CONFIRM_H
#define DAEMON_CONFIRM_H

#include "common/err.h"

struct change;
struct server;

/** confirm_settle() - the server runs for the first time: what was chosen at start is in force. */
void confirm_settle(struct server *s);
/** confirm_tick() - go back when the time is up. */
void confirm_tick(struct server *s);

/**
 * confirm_back() - go back to the @n-th configuration before the present one
 * @by: who wants it
 * @out: what it changed, to be freed; NULL when it did not come to that
 *
 * Return: 0; -ENOENT: there is none; or -errno with the sentence.
 */
int confirm_back(struct server *s, unsigned int n, const char *by, struct change **out,
                 struct err *err);

#endif

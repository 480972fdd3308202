/* SIGHUP and `vpnctl reload`: the file is read again and comes into force. */
#ifndef DAEMON_RELOAD_H
#define DAEMON_RELOAD_H

#include "common/err.h"

struct server;

/**
 * reload() - read the file again and put it into force, or say what is wrong and change nothing
 * @by: who wants it
 *
 * Contents that were rolled back do not come back this way.  What is wrong is logged, all of it.
 *
 * Return: 0, also when nothing has changed; or -errno with the first sentence.
 */
int reload(struct server *s, const char *by, struct err *err);

#endif

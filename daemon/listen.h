/* The UDP addresses that the server listens on, at start and when they change. */
#ifndef DAEMON_LISTEN_H
#define DAEMON_LISTEN_H

#include <stdbool.h>

#include "common/err.h"
#include "daemon/config.h"

struct server;

/** listen_open() - all of the configuration's.  Return: 0 or -errno with the sentence. */
int listen_open(struct server *s, struct err *err);

/** listen_differs() - does @config listen elsewhere than the server does now? */
bool listen_differs(const struct config *a, const struct config *b);

/**
 * listen_change() - from the addresses of @then to those of @now; the lanes are paused
 *
 * What both have is left alone.  Sessions that came through an address that is no more go on
 * through another one of its family: their clients follow the next packet.
 *
 * Return: 0; or -errno with the sentence, and the former addresses are listened on again.
 */
int listen_change(struct server *s, const struct config *then, const struct config *now,
                  struct err *err);

#endif

/* What happens, told to whoever watches (`vpnctl watch`), as it happens. */
#ifndef DAEMON_EVENTS_H
#define DAEMON_EVENTS_H

#include <jansson.h>

struct server;
struct server_session;

/**
 * events_say() - one event
 * @kind: a word, such as "apply"; part of the interface, see vpnctl(8)
 * @more: what else programs want to know, a new reference that is taken over; may be NULL
 * @fmt:  the line for people
 */
void events_say(struct server *s, const char *kind, json_t *more, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));

/** events_session() - "login" or "logout" of a session that has a lease. */
void events_session(struct server *s, const char *kind, const struct server_session *session);

#endif

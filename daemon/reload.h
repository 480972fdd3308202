/* SIGHUP: the configuration is read again and what can change without a restart does. */
#ifndef DAEMON_RELOAD_H
#define DAEMON_RELOAD_H

struct server;

/**
 * reload() - read the file again and put it into force, or say what is wrong and change nothing
 *
 * Sessions of users whose description stays the same go on.
 */
void reload(struct server *s);

#endif

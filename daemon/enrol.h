/*
 * What the enclave is told of users: who may log in, and which inner sources are theirs.
 *
 * Who has left stays known to it until the DISCONNECT to his devices has been sealed: with a user
 * all his keys go.
 */
#ifndef DAEMON_ENROL_H
#define DAEMON_ENROL_H

#include <stdint.h>

#include "daemon/config.h"

struct server;

/** enrol_all() - a fresh enclave knows nobody. */
void enrol_all(struct server *s);
/** enrol_user() - one more, with its networks; nothing while there is no enclave. */
void enrol_user(struct server *s, uint32_t id);
/** enrol_networks() - the user's networks were @then and are now others. */
void enrol_networks(struct server *s, uint32_t id, const struct config_user *then);
/** enrol_tick() - strike out who has left; let in who waited for a key. */
void enrol_tick(struct server *s);

#endif

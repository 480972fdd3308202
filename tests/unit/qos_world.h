/* Random users, classes and sessions, for the tests of quality of service. */
#ifndef TESTS_UNIT_QOS_WORLD_H
#define TESTS_UNIT_QOS_WORLD_H

#include <stddef.h>
#include <stdint.h>

#include "common/ip.h"
#include "daemon/qos.h"
#include "netlink/set.h"

#define USERS_MAX    12600
#define CLASSES      8
#define SESSIONS_MAX 12600

extern const struct qos_support all; /* of a kernel that can do everything */

extern struct world {
    struct config config;
    struct config_user users[USERS_MAX];
    struct ip_prefix networks[USERS_MAX];
    struct config_class classes[CLASSES];
    struct qos_session sessions[SESSIONS_MAX];
    size_t n_sessions;
} w;

/** rnd() - below @n; the same numbers in every run */
uint32_t rnd(uint32_t n);
/** random_world() - so many users, of random classes; nobody is connected */
void random_world(size_t n_users);
/** session_of() - user @i's.  Addresses are unique; two users' may end in the same two bytes. */
struct qos_session session_of(uint32_t i);
/** random_sessions() - one of @of users is connected; 0: all but one of three */
void random_sessions(uint32_t of);

/** lay_out() - the world's tree and the objects of it, sorted.  The caller frees both. */
struct net_set *lay_out(struct qos_tree **tree);
/** count() - how many objects of @kind are there?  @dev: on that device alone, or NULL */
size_t count(const struct net_set *set, const char *dev, enum net_kind kind);

#endif

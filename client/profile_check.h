/* What a table cannot say about a client's configuration: keys that need or exclude each other. */
#ifndef CLIENT_PROFILE_CHECK_H
#define CLIENT_PROFILE_CHECK_H

#include "client/profile.h"
#include "common/doc.h"

/**
 * profile_check() - check the tunnels, and fill in what follows from the keys
 * @out:  a struct profile, as schema_read() has filled it
 * @root:    the tree it came from, for places
 *
 * Return: 0, also with errors in @problems; -ENOMEM.
 */
int profile_check(void *out, const struct doc_node *root, struct problems *problems);

#endif

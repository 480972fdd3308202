/*
 * Another configuration comes into force, wholly or not at all.
 *
 * Theory of operation
 * -------------------
 * A change is worked out first and changes nothing: the texts are checked, what cannot change live
 * is copied over (daemon/config_keep), the users are compared, and the engine plans the kernel's
 * part.  That is what `vpnctl plan` shows.  To carry it out, everything that can fail comes first,
 * in an order in which it can be undone: the history is staged (a full disk ends it here), room is
 * made, sockets and the device are exchanged while the lanes pause, and the kernel follows, which
 * the engine itself takes back when it is refused.  Then nothing fails any more: users and sessions
 * follow, and the history is committed.
 */
#ifndef DAEMON_CHANGE_H
#define DAEMON_CHANGE_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/bundle.h"
#include "common/err.h"
#include "common/problem.h"

struct change;
struct server;

/**
 * change_plan() - work out what these texts would change
 * @bundle: copied from: becomes empty
 * @out: to be freed, also after a failure, for its problems
 *
 * Return: 0; -EINVAL when the texts are wrong: change_problems(); or -errno with the sentence.
 */
int change_plan(struct server *s, struct bundle *bundle, struct change **out, struct err *err);
/** change_free() - NULL is fine. */
void change_free(struct change *c);

/** change_problems() - errors and notes about the texts; log_problems() and JSON for them. */
const struct problems *change_problems(const struct change *c);
/** change_hash() - what the plan stands for: the texts, what is in force, and the kernel's part. */
const uint8_t *change_hash(const struct change *c);
/** change_texts_hash() - of the texts alone. */
const uint8_t *change_texts_hash(const struct change *c);
/** change_empty() - is there nothing to do? */
bool change_empty(const struct change *c);
/**
 * change_json() - the plan for whoever asked
 *
 * {"changes":[lines], "kernel":[lines], "waiting":[lines], "clashes":[lines],
 * "blocked":[lines], "plan":"hash"}; blocked are clashes that are there already.
 * Return: a new reference or NULL.
 */
json_t *change_json(struct server *s, const struct change *c);

struct change_wish {
    const char *by, *how; /* for the history */
    uint32_t confirm_s;   /* go back after so long unless it is confirmed; 0: it is */
    bool reject;          /* what is in force now is not to come back by itself */
};

/**
 * change_apply() - put it into force
 *
 * Return: 0, or -errno with the sentence: then all is as before.
 */
int change_apply(struct server *s, struct change *c, const struct change_wish *wish,
                 struct err *err);

#endif

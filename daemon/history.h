/*
 * The applied configurations: what they said, when they came into force, by whom, and what changed.
 *
 * Theory of operation
 * -------------------
 * Each applied configuration is a record, a file below `history/` in the state folder, with all of
 * its texts; the last HISTORY_MAX are kept.  One more file says which record is in force, which was
 * confirmed last, whether a confirmation is awaited and until when, and which contents were rolled
 * back and are not to come again by themselves.
 *
 * An apply is staged first: record and new state are written and flushed under temporary names, so
 * that a full disk is found out while nothing has changed.  What is left for the moment after the
 * kernel has followed is a rename, which needs no room.  A crash leaves either the old or the new
 * state, never a mixture; what was staged is removed by the next daemon.
 *
 * Deadlines are on the clock that counts since the machine was started, and name that start: a
 * clock that is set does not move them, and a machine that was restarted while a confirmation was
 * awaited has its answer: nobody could reach it.
 */
#ifndef DAEMON_HISTORY_H
#define DAEMON_HISTORY_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/bundle.h"
#include "common/err.h"

#define HISTORY_MAX          20
#define HISTORY_REJECTED_MAX 64
#define HISTORY_BY_SIZE      80
#define HISTORY_HOW_SIZE     16
#define HISTORY_HASH_STRLEN  (2 * BUNDLE_HASH_LEN + 1)

struct history_record {
    uint32_t number; /* counts up from 1; never used again */
    uint8_t hash[BUNDLE_HASH_LEN];
    int64_t time_s; /* since 1970 */
    char by[HISTORY_BY_SIZE];
    char how[HISTORY_HOW_SIZE]; /* "start", "reload", "apply", "rollback" */
    json_t *changes;            /* an array of lines */
};

struct history;

/**
 * history_open() - read what is there
 * @state: the state folder; `history/` is made in it
 * @boot: names this start of the machine, such as /proc/sys/kernel/random/boot_id; "" if unknown
 *
 * Records that cannot be read are left out and counted.
 *
 * Return: 0 or -errno.
 */
int history_open(struct history **out, const char *state, const char *boot, struct err *err);
/** history_free() - NULL is fine. */
void history_free(struct history *h);
/** history_clean() - remove what a killed daemon had staged; once it is sure that none lives. */
void history_clean(struct history *h);
/** history_damaged() - how many files could not be read. */
unsigned int history_damaged(const struct history *h);

/** history_count(), history_at() - the records, the latest first. */
size_t history_count(const struct history *h);
const struct history_record *history_at(const struct history *h, size_t i);
/** history_current() - the one in force; NULL before the first. */
const struct history_record *history_current(const struct history *h);
/** history_confirmed() - the one that was confirmed last, or NULL. */
const struct history_record *history_confirmed(const struct history *h);

/**
 * history_pending() - is a confirmation awaited?  Not of a record that is damaged.
 * @until_ms: CLOCK_BOOTTIME; may be NULL
 */
bool history_pending(const struct history *h, uint64_t *until_ms);

/**
 * history_back() - the record to go back to
 * @n: 1 for the one before the present one, and so on
 *
 * While a confirmation is awaited, 1 is the confirmed one.  Contents that were rolled back do not
 * count, nor does the present one under an earlier number.  Return: NULL when there is none.
 */
const struct history_record *history_back(const struct history *h, unsigned int n);

enum history_verdict {
    HISTORY_RUN_FILE,      /* the file says what is to be done */
    HISTORY_RUN_PENDING,   /* a confirmation is awaited: go on with the present record */
    HISTORY_RUN_CONFIRMED, /* these contents were rolled back, or the time was up */
};

/**
 * history_judge() - which configuration is true at a start
 * @file: hash of what the file says now
 * @now_ms: CLOCK_BOOTTIME
 *
 * A file that is neither what awaits confirmation nor what was confirmed before it was written
 * since: then the operator means that file.
 */
enum history_verdict history_judge(const struct history *h, const uint8_t file[BUNDLE_HASH_LEN],
                                   uint64_t now_ms);
/** history_rejected() - were these contents rolled back? */
bool history_rejected(const struct history *h, const uint8_t hash[BUNDLE_HASH_LEN]);

/**
 * history_load() - a record's texts
 * @out: zeroed
 *
 * Return: 0; -EBADMSG when the file is damaged (its hash is checked); or -errno.
 */
int history_load(const struct history *h, uint32_t number, struct bundle *out, struct err *err);

struct history_note {
    const char *by, *how;
    int64_t time_s;
    const json_t *changes; /* lines; may be NULL */
    uint64_t until_ms;     /* CLOCK_BOOTTIME: confirm until then; 0: confirmed */
    bool reject;           /* what is in force now was rolled back: remember that */
};

/**
 * history_stage() - write all that an apply will need, under temporary names
 *
 * The contents are rejected no more if they were.  Follow with history_commit() or history_abort().
 *
 * Return: 0, or -errno with the sentence: then nothing has changed.
 */
int history_stage(struct history *h, const struct bundle *bundle, const struct history_note *note,
                  struct err *err);
/** history_commit() - it is in force.  Return: 0, or -errno: the files still say the former. */
int history_commit(struct history *h, struct err *err);
/** history_abort() - it did not come into force; fine when nothing is staged. */
void history_abort(struct history *h);

/** history_confirm() - keep what awaits confirmation.  Return: 0; -ENOENT: nothing does; -errno. */
int history_confirm(struct history *h, struct err *err);

/** history_hash_format() - in hexadecimal.  Return: @text. */
const char *history_hash_format(const uint8_t hash[BUNDLE_HASH_LEN],
                                char text[HISTORY_HASH_STRLEN]);

#endif

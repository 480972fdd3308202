/*
 * What the history's files say: a record, and which record is what; as values and as JSON.  For
 * history.c only.
 *
 * No system call and no clock.
 */
#ifndef DAEMON_HISTORY_RECORD_H
#define DAEMON_HISTORY_RECORD_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/bundle.h"
#include "daemon/history.h"
#include "daemon/history_file.h"

#define HISTORY_BOOT_SIZE 40

/* Which record is what.  Small enough to be copied for the next one. */
struct history_place {
    uint32_t current, confirmed;                             /* numbers; 0: none */
    uint64_t until_ms;                                       /* when current is not confirmed */
    char boot[HISTORY_BOOT_SIZE];                            /* whose clock until_ms is on */
    uint8_t rejected[HISTORY_REJECTED_MAX][BUNDLE_HASH_LEN]; /* the oldest first */
    size_t n_rejected;
};

bool history_hash_equal(const uint8_t *a, const uint8_t *b);

/* ---- a record ------------------------------------------------------------------------------ */

/** history_record_name() - its file's name */
void history_record_name(uint32_t number, char name[HISTORY_NAME_SIZE]);
/** history_record_json() - with the names and lengths of its texts.  NULL without memory. */
json_t *history_record_json(const struct history_record *r, const struct bundle *bundle);
/**
 * history_record_parse() - read it back
 * @number: that its file's name says
 * @out: history_record_clear() it on success
 *
 * Return: 0 or -EBADMSG.
 */
int history_record_parse(const json_t *json, uint32_t number, struct history_record *out);
void history_record_clear(struct history_record *r);
/**
 * history_record_texts() - its texts, which stand one behind the other, checked by their hash
 * @out: zeroed; to be cleared also on failure
 *
 * Return: 0, -EBADMSG or -ENOMEM.
 */
int history_record_texts(const json_t *json, const char *texts, size_t len, struct bundle *out);

/* ---- which record is what ------------------------------------------------------------------ */

json_t *history_place_json(const struct history_place *p);
/** history_place_parse() - Return: 0 or -EBADMSG. */
int history_place_parse(const json_t *json, struct history_place *out);

/** history_place_rejects() - were these contents rolled back? */
bool history_place_rejects(const struct history_place *p, const uint8_t hash[BUNDLE_HASH_LEN]);
/** history_place_reject() - they are from here on; of too many the oldest is forgotten. */
void history_place_reject(struct history_place *p, const uint8_t *hash);
/** history_place_accept() - they are no more. */
void history_place_accept(struct history_place *p, const uint8_t *hash);

#endif

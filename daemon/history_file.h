/*
 * Files that are replaced whole or not at all, below one folder: a line of JSON, and after it,
 * where there are any, texts as they are.
 */
#ifndef DAEMON_HISTORY_FILE_H
#define DAEMON_HISTORY_FILE_H

#include <jansson.h>

#define HISTORY_NAME_SIZE 32
#define HISTORY_TEMPORARY ".new" /* in a temporary file's name */

struct bundle;

/**
 * history_file_read() - Return: 0 with a new reference; -EBADMSG: no JSON object; or -errno.
 * @texts, @len: what follows the object, to be freed; NULL when it is not wanted
 */
int history_file_read(int dir, const char *name, json_t **out, char **texts, size_t *len);

/**
 * history_file_stage() - write and flush under a temporary name
 * @bundle: its texts follow the object, as they are; may be NULL
 *
 * Return: 0 or -errno.
 */
int history_file_stage(int dir, const char *name, const json_t *json, const struct bundle *bundle);
/** history_file_commit() - put what was staged in the file's place.  Return: 0 or -errno. */
int history_file_commit(int dir, const char *name);
/** history_file_abort() - remove what was staged. */
void history_file_abort(int dir, const char *name);

#endif

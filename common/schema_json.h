/* The schema tables as JSON Schema, so that editors can complete and check a configuration. */
#ifndef COMMON_SCHEMA_JSON_H
#define COMMON_SCHEMA_JSON_H

#include <jansson.h>

#include "common/schema.h"

/**
 * schema_json() - JSON Schema (draft 7) of a file
 * @title: what file it is of
 *
 * It says less than the parser checks (that an address is one), and nothing that it refuses.
 *
 * Return: a new reference, or NULL without memory.
 */
json_t *schema_json(const struct schema_table *root, const char *title);

#endif

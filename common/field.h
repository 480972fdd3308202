/* One scalar of a configuration becomes what its field in the schema says. */
#ifndef COMMON_FIELD_H
#define COMMON_FIELD_H

#include <stddef.h>

#include "common/arena.h"
#include "common/err.h"
#include "common/schema.h"

/* The most values one scalar may become: the route "default" is a prefix of each family. */
#define FIELD_VALUES_MAX 2

/** field_size() - bytes of one value of a list or map of this type. */
size_t field_size(const struct schema_field *f);

/**
 * field_parse() - convert one scalar
 * @arena: where a text is copied to
 * @out: room for FIELD_VALUES_MAX values in a list, else the member; written on success
 * @n: how many values it became
 *
 * Return: 0, -EINVAL with the reason in @err, -ENOMEM.
 */
int field_parse(const struct schema_field *f, const char *text, struct arena *arena, void *out,
                size_t *n, struct err *err);

#endif

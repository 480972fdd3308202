/* One scalar of a configuration becomes what its field in the schema says. */
#include "common/field.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "common/ip.h"
#include "common/rate.h"
#include "common/text.h"
#include "common/value.h"

size_t field_size(const struct schema_field *f)
{
    switch (f->type) {
    case SCHEMA_ADDR:
        return sizeof(struct ip_addr);
    case SCHEMA_PREFIX:
    case SCHEMA_ROUTE:
    case SCHEMA_NETWORK:
        return sizeof(struct ip_prefix);
    case SCHEMA_MARK:
        return sizeof(struct value_mark);
    case SCHEMA_UIDS:
        return sizeof(struct value_span);
    case SCHEMA_RANGE:
        return sizeof(struct ip_range);
    case SCHEMA_LISTEN:
        return sizeof(struct ip_endpoint);
    case SCHEMA_TABLE:
        return f->table->entry_size;
    case SCHEMA_KEY:
        return WIRE_KEY_LEN;
    case SCHEMA_DEVICE:
        return IFNAMSIZ;
    case SCHEMA_BOOL:
        return sizeof(bool);
    case SCHEMA_UINT:
    case SCHEMA_DURATION:
    case SCHEMA_ENUM:
        return sizeof(uint32_t);
    case SCHEMA_DATE:
    case SCHEMA_RATE:
        return sizeof(uint64_t);
    case SCHEMA_TEXT:
    case SCHEMA_PATH:
    case SCHEMA_FILE:
    case SCHEMA_ENDPOINT:
    case SCHEMA_USER:
    case SCHEMA_REALM:
    case SCHEMA_NAME:
        return sizeof(const char *);
    case SCHEMA_IGNORED:
    case SCHEMA_TYPE_NUM:
        break;
    }
    return 0;
}

static void number_store(void *out, size_t size, uint32_t n)
{
    uint16_t n16 = (uint16_t)n;

    if (size == sizeof(n16))
        memcpy(out, &n16, sizeof(n16));
    else
        memcpy(out, &n, sizeof(n));
}

static int enum_parse(const struct schema_field *f, const char *text, uint32_t *out,
                      struct err *err)
{
    char all[128] = "";
    const char *nearest;

    for (uint32_t i = 0; f->names[i]; i++) {
        size_t used = strlen(all);

        if (strcmp(text, f->names[i]) == 0) {
            *out = i;
            return 0;
        }
        snprintf(all + used, sizeof(all) - used, "%s%s", i ? ", " : "", f->names[i]);
    }
    nearest = text_nearest(text, f->names);
    if (nearest)
        return err_set(err, -EINVAL, "no such choice as \"%.64s\" (did you mean \"%s\"?)", text,
                       nearest);
    return err_set(err, -EINVAL, "no such choice as \"%.64s\" (write one of: %s)", text, all);
}

/* The types that stay text. */
static int text_check(const struct schema_field *f, const char *text, struct err *err)
{
    uint32_t max = f->max ? f->max : 255;

    switch (f->type) {
    case SCHEMA_PATH:
        return value_path(text, true, f->max ? f->max : UINT32_MAX, err);
    case SCHEMA_FILE:
        return value_path(text, false, f->max ? f->max : UINT32_MAX, err);
    case SCHEMA_ENDPOINT:
        return value_endpoint(text, NULL, NULL, err);
    case SCHEMA_USER:
        return value_user(text, err);
    case SCHEMA_REALM:
        return value_realm(text, err);
    case SCHEMA_NAME:
        return value_name(text, err);
    case SCHEMA_TEXT:
    case SCHEMA_BOOL:
    case SCHEMA_UINT:
    case SCHEMA_DURATION:
    case SCHEMA_DATE:
    case SCHEMA_RATE:
    case SCHEMA_ENUM:
    case SCHEMA_KEY:
    case SCHEMA_DEVICE:
    case SCHEMA_ADDR:
    case SCHEMA_PREFIX:
    case SCHEMA_RANGE:
    case SCHEMA_LISTEN:
    case SCHEMA_ROUTE:
    case SCHEMA_NETWORK:
    case SCHEMA_MARK:
    case SCHEMA_UIDS:
    case SCHEMA_TABLE:
    case SCHEMA_IGNORED:
    case SCHEMA_TYPE_NUM:
        break;
    }
    return value_text(text, max, err);
}

static int network_parse(const char *text, struct ip_prefix *out, struct err *err)
{
    struct ip_prefix prefix;
    int rc = value_prefix(text, &prefix, err);

    if (rc == 0)
        *out = ip_prefix_network(prefix);
    return rc;
}

/* "default" is a route to everything, and everything has two families. */
static int route_parse(const char *text, struct ip_prefix *out, size_t *n, struct err *err)
{
    if (strcmp(text, "default") == 0) {
        out[0] = (struct ip_prefix){.addr.family = 4};
        out[1] = (struct ip_prefix){.addr.family = 6};
        *n = 2;
        return 0;
    }
    return network_parse(text, out, err);
}

int field_parse(const struct schema_field *f, const char *text, struct arena *arena, void *out,
                size_t *n, struct err *err)
{
    uint32_t number = 0;
    int rc = 0;

    *n = 1;
    switch (f->type) {
    case SCHEMA_BOOL:
        return value_bool(text, out, err);
    case SCHEMA_UINT:
        if (!f->word || strcmp(text, f->word) != 0)
            rc = value_uint(text, f->min, f->max, &number, err);
        if (rc < 0 && f->word)
            err_set(err, rc, "\"%.64s\" is not a number from %u to %u (or write %s)", text, f->min,
                    f->max, f->word);
        break;
    case SCHEMA_DURATION:
        rc = value_duration(text, f->min, f->max, &number, err);
        break;
    case SCHEMA_DATE:
        return value_date(text, out, err);
    case SCHEMA_RATE:
        return rate_parse(text, out, err);
    case SCHEMA_ENUM:
        rc = enum_parse(f, text, &number, err);
        break;
    case SCHEMA_TEXT:
    case SCHEMA_PATH:
    case SCHEMA_FILE:
    case SCHEMA_ENDPOINT:
    case SCHEMA_USER:
    case SCHEMA_REALM:
    case SCHEMA_NAME: {
        const char *copy;

        rc = text_check(f, text, err);
        if (rc < 0)
            return rc;
        copy = arena_strdup(arena, text);
        if (!copy)
            return -ENOMEM;
        memcpy(out, &copy, sizeof(copy));
        return 0;
    }
    case SCHEMA_KEY:
        return value_key(text, out, err);
    case SCHEMA_DEVICE:
        return value_device(text, out, err);
    case SCHEMA_ADDR:
        return value_addr(text, out, err);
    case SCHEMA_PREFIX:
        return value_prefix(text, out, err);
    case SCHEMA_RANGE:
        return value_range(text, out, err);
    case SCHEMA_LISTEN:
        return value_listen(text, out, err);
    case SCHEMA_ROUTE:
        return route_parse(text, out, n, err);
    case SCHEMA_NETWORK:
        return network_parse(text, out, err);
    case SCHEMA_MARK:
        return value_mark(text, out, err);
    case SCHEMA_UIDS:
        return value_uids(text, out, err);
    case SCHEMA_TABLE:
    case SCHEMA_IGNORED:
    case SCHEMA_TYPE_NUM:
        return 0;
    }
    if (rc == 0)
        number_store(out, f->shape == SCHEMA_ONE ? f->size : sizeof(number), number);
    return rc;
}

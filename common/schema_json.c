/* The schema tables as JSON Schema; see schema_json.h. */
#include "common/schema_json.h"

static json_t *table_json(const struct schema_table *table);

static json_t *pattern(const char *regex)
{
    return json_pack("{s:s, s:s}", "type", "string", "pattern", regex);
}

/* What YAML reads as a number when there is only one, and as a text otherwise. */
static json_t *number_or(const char *regex)
{
    return json_pack("{s:[{s:s, s:i}, {s:s, s:s}]}", "anyOf", "type", "integer", "minimum", 0,
                     "type", "string", "pattern", regex);
}

static json_t *number(const struct schema_field *f)
{
    json_t *range = json_pack("{s:s, s:I, s:I}", "type", "integer", "minimum", (json_int_t)f->min,
                              "maximum", (json_int_t)f->max);

    if (!f->word)
        return range;
    return json_pack("{s:[o, {s:s}]}", "anyOf", range, "const", f->word);
}

static json_t *choice(const struct schema_field *f)
{
    json_t *names = json_array();

    for (size_t i = 0; f->names[i]; i++)
        json_array_append_new(names, json_string(f->names[i]));
    return json_pack("{s:o}", "enum", names);
}

static json_t *text(const struct schema_field *f)
{
    json_t *out = json_pack("{s:s, s:i}", "type", "string", "minLength", 1);

    if (out && f->max)
        json_object_set_new(out, "maxLength", json_integer(f->max));
    return out;
}

/* One value of the field's type. */
static json_t *value_json(const struct schema_field *f)
{
    switch (f->type) {
    case SCHEMA_BOOL:
        return json_pack("{s:s}", "type", "boolean");
    case SCHEMA_UINT:
        return number(f);
    case SCHEMA_DURATION:
        return pattern("^[0-9]+[smhd]$");
    case SCHEMA_DATE:
        return pattern("^[0-9]{4}-[0-9]{2}-[0-9]{2}$");
    case SCHEMA_RATE:
        return pattern("^[0-9]+(\\.[0-9]{1,6})?[kKmMgGtT]?([bB][iI][tT]|[bB][pP][sS])$");
    case SCHEMA_ENUM:
        return choice(f);
    case SCHEMA_PATH:
        return pattern("^/");
    case SCHEMA_ENDPOINT:
    case SCHEMA_LISTEN:
        return pattern(":[0-9]+$");
    case SCHEMA_KEY:
        return pattern("^([A-Za-z0-9+/]{43}=|[0-9a-fA-F]{64})$");
    case SCHEMA_DEVICE:
        return pattern("^[!-$&-.0-9;-~]{1,15}$");
    case SCHEMA_PREFIX:
    case SCHEMA_NETWORK:
        return pattern("/[0-9]+$");
    case SCHEMA_ROUTE:
        return pattern("^default$|/[0-9]+$");
    case SCHEMA_RANGE:
        return pattern("-");
    case SCHEMA_MARK:
        return number_or("^(0x[0-9a-fA-F]+|[0-9]+)(/(0x[0-9a-fA-F]+|[0-9]+))?$");
    case SCHEMA_UIDS:
        return number_or("^[0-9]+(-[0-9]+)?$");
    case SCHEMA_TEXT:
    case SCHEMA_FILE:
    case SCHEMA_USER:
    case SCHEMA_REALM:
    case SCHEMA_NAME:
    case SCHEMA_ADDR:
        return text(f);
    case SCHEMA_TABLE:
        return table_json(f->table);
    case SCHEMA_IGNORED:
        return json_pack("{s:b}", "deprecated", 1);
    case SCHEMA_TYPE_NUM:
        break;
    }
    return NULL;
}

static json_t *list_json(const struct schema_field *f)
{
    json_t *list = json_pack("{s:s, s:o, s:I}", "type", "array", "items", value_json(f), "maxItems",
                             (json_int_t)f->max_items);

    if (f->type != SCHEMA_LISTEN)
        return list;
    return json_pack("{s:[{s:s, s:i, s:i}, o]}", "anyOf", "type", "integer", "minimum", 1,
                     "maximum", 65535, list);
}

static json_t *map_json(const struct schema_field *f)
{
    return json_pack("{s:[s, s], s:o, s:I}", "type", "object", "null", "additionalProperties",
                     table_json(f->table), "maxProperties", (json_int_t)f->max_items);
}

static json_t *field_json(const struct schema_field *f)
{
    json_t *out = NULL;

    switch (f->shape) {
    case SCHEMA_ONE:
    case SCHEMA_WORD:
        out = value_json(f);
        break;
    case SCHEMA_LIST:
    case SCHEMA_ITEMS:
        out = list_json(f);
        break;
    case SCHEMA_MAP:
        out = map_json(f);
        break;
    }
    if (out)
        json_object_set_new(out, "description", json_string(f->doc ? f->doc : ""));
    return out;
}

static json_t *table_json(const struct schema_table *table)
{
    json_t *properties = json_object(), *required = json_array(), *out;

    for (size_t i = 0; i < table->n; i++) {
        const struct schema_field *f = &table->fields[i];

        json_object_set_new(properties, f->key, field_json(f));
        if (f->required)
            json_array_append_new(required, json_string(f->key));
    }
    /* A map with a key that must be there may not be left empty. */
    if (json_array_size(required) > 0)
        return json_pack("{s:s, s:b, s:o, s:o}", "type", "object", "additionalProperties", 0,
                         "properties", properties, "required", required);
    out = json_pack("{s:[s, s], s:b, s:o}", "type", "object", "null", "additionalProperties", 0,
                    "properties", properties);
    json_decref(required);
    return out;
}

json_t *schema_json(const struct schema_table *root, const char *title)
{
    json_t *out = table_json(root);

    if (!out)
        return NULL;
    json_object_set_new(out, "$schema", json_string("http://json-schema.org/draft-07/schema#"));
    json_object_set_new(out, "title", json_string(title));
    return out;
}

/* The JSON Schema says of each key what the tables say. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "client/profile.h"
#include "common/conf.h"
#include "common/schema_json.h"
#include "daemon/config.h"

static json_t *at(json_t *object, const char *key)
{
    json_t *properties = json_object_get(object, "properties");

    return json_object_get(properties ? properties : object, key);
}

static void assert_text(const json_t *object, const char *key, const char *text)
{
    assert_string_equal(json_string_value(json_object_get(object, key)), text);
}

/* Every key is there, with its sentence, and nothing else. */
static void compare(const struct schema_table *table, json_t *schema)
{
    json_t *properties = json_object_get(schema, "properties");

    assert_true(json_is_false(json_object_get(schema, "additionalProperties")));
    assert_int_equal(json_object_size(properties), table->n);
    for (size_t i = 0; i < table->n; i++) {
        const struct schema_field *f = &table->fields[i];
        json_t *field = json_object_get(properties, f->key);

        assert_non_null(field);
        assert_text(field, "description", f->doc);
        if (!f->table)
            continue;
        compare(f->table, f->shape == SCHEMA_ONE ? field
                          : f->shape == SCHEMA_ITEMS
                              ? json_object_get(field, "items")
                              : json_object_get(field, "additionalProperties"));
    }
}

static void test_complete(void **state)
{
    json_t *server = schema_json(config_kind.table, "vpn.yaml");
    json_t *client = schema_json(profile_kind.table, "vpn-client.yaml");

    (void)state;
    assert_text(server, "title", "vpn.yaml");
    compare(config_kind.table, server);
    compare(profile_kind.table, client);
    json_decref(server);
    json_decref(client);
}

static void test_types(void **state)
{
    json_t *schema = schema_json(config_kind.table, "vpn.yaml");
    json_t *server = at(schema, "server"), *rules = json_object_get(at(schema, "rules"), "items");
    json_t *field = at(server, "listen");

    (void)state;
    assert_string_equal(json_string_value(json_array_get(json_object_get(server, "required"), 0)),
                        "realm");
    /* A port, or a list. */
    assert_int_equal(json_array_size(json_object_get(field, "anyOf")), 2);
    field = at(server, "max-clients");
    assert_text(field, "type", "integer");
    assert_int_equal(json_integer_value(json_object_get(field, "maximum")), 65535);
    field = json_array_get(json_object_get(at(server, "workers"), "anyOf"), 1);
    assert_text(field, "const", "auto");
    assert_text(at(at(schema, "tunnel"), "client-to-client"), "type", "boolean");
    assert_int_equal(json_array_size(json_object_get(rules, "required")), 2);
    field = json_object_get(at(at(schema, "reconcile"), "drift"), "enum");
    assert_string_equal(json_string_value(json_array_get(field, 1)), "report");
    json_decref(schema);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_complete),
        cmocka_unit_test(test_types),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

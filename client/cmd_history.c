/* vpnctl history: the last applied configurations. */
#include <stdlib.h>
#include <string.h>

#include "client/cmd.h"
#include "client/render.h"
#include "common/cleanup.h"

static const char *const titles[] = {"NUMBER", "STATE", "AGE", "HOW", "BY", "CHANGES"};

static enum render_style state_style(const char *state)
{
    return !strcmp(state, "current")    ? RENDER_STYLE_GOOD
           : !strcmp(state, "pending")  ? RENDER_STYLE_WARN
           : !strcmp(state, "rejected") ? RENDER_STYLE_BAD
                                        : RENDER_STYLE_DIM;
}

static void row(struct render_table *table, const struct cmd *cmd, const json_t *record)
{
    const json_t *changes = json_object_get(record, "changes");
    const char *first = json_string_value(json_array_get(changes, 0));
    const size_t n = json_array_size(changes);
    char age[RENDER_NUMBER_LEN];

    render_table_cell(table, RENDER_STYLE_PLAIN, "%u", (unsigned int)cmd_int(record, "number"));
    render_table_cell(table, state_style(cmd_text(record, "state")), "%s",
                      cmd_text(record, "state"));
    render_table_cell(table, RENDER_STYLE_PLAIN, "%s", cmd_age(cmd, record, "time", age));
    render_table_cell(table, RENDER_STYLE_PLAIN, "%s", cmd_text(record, "how"));
    render_table_cell(table, RENDER_STYLE_PLAIN, "%s", cmd_text(record, "by"));
    if (n > 1)
        render_table_cell(table, RENDER_STYLE_PLAIN, "%s (and %zu more)", first ? first : "",
                          n - 1);
    else
        render_table_cell(table, RENDER_STYLE_PLAIN, "%s", first ? first : "-");
}

int cmd_history(const struct cmd *cmd)
{
    struct render_table *table;
    const json_t *list;
    json_t *reply;
    struct err err;
    int rc = cmd_ask(cmd, "history", &reply, &err);

    if (rc < 0)
        return cmd_fail(cmd, rc, &err);
    if (cmd->json) {
        rc = render_json(stdout, reply) < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
        json_decref(reply);
        return rc;
    }
    list = json_object_get(reply, "history");
    table = render_table_new(titles, ARRAY_SIZE(titles), 1U);
    for (size_t i = 0; table && i < json_array_size(list); i++)
        row(table, cmd, json_array_get(list, i));
    rc = cmd_table_print(cmd, table);
    json_decref(reply);
    return rc;
}

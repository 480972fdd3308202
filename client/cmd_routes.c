/* vpnctl routes: what the kernel shall hold, and how each of it stands. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "client/cmd.h"
#include "client/render.h"
#include "common/cleanup.h"

static const char *const titles[] = {"STATE", "OBJECT"};

static enum render_style state_style(const char *state)
{
    return !strcmp(state, "in place")  ? RENDER_STYLE_GOOD
           : !strcmp(state, "waiting") ? RENDER_STYLE_WARN
                                       : RENDER_STYLE_BAD;
}

/* Queues and the like are many, and `vpnctl qos` shows them better. */
static bool shown(const json_t *object)
{
    static const char *const kinds[] = {"link", "address", "route", "rule", "setting", "firewall"};
    const char *kind = cmd_text(object, "kind");

    for (size_t i = 0; i < ARRAY_SIZE(kinds); i++)
        if (!strcmp(kind, kinds[i]))
            return true;
    return strcmp(cmd_text(object, "state"), "in place") != 0;
}

static int print(const struct cmd *cmd, const json_t *reply)
{
    const json_t *objects = json_object_get(reply, "objects");
    const json_t *kernel = json_object_get(reply, "kernel");
    struct render_table *table = render_table_new(titles, ARRAY_SIZE(titles), 0);
    int code;

    for (size_t i = 0; table && i < json_array_size(objects); i++) {
        const json_t *object = json_array_get(objects, i);
        const char *why = json_string_value(json_object_get(object, "why"));

        if (!shown(object))
            continue;
        render_table_cell(table, state_style(cmd_text(object, "state")), "%s",
                          cmd_text(object, "state"));
        /* Its sign says what the state says. */
        render_table_cell(table, RENDER_STYLE_PLAIN, "%s",
                          why && strlen(why) > 2 ? why + 2 : cmd_text(object, "object"));
    }
    code = cmd_table_print(cmd, table);
    if (code == EXIT_SUCCESS)
        printf("%" PRIu64 " wanted, %" PRIu64 " waiting; drift put right so far: %" PRIu64 "\n",
               cmd_int(kernel, "wanted"), cmd_int(kernel, "waiting"), cmd_int(kernel, "drifts"));
    return code;
}

int cmd_routes(const struct cmd *cmd)
{
    json_t *reply;
    struct err err;
    int rc = cmd_ask(cmd, "routes", &reply, &err);

    if (rc < 0)
        return cmd_fail(cmd, rc, &err);
    if (cmd->json)
        rc = render_json(stdout, reply) < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
    else
        rc = print(cmd, reply);
    json_decref(reply);
    return rc;
}

/* vpnctl identity: the public key that clients pin. */
#include <stdio.h>
#include <stdlib.h>

#include "client/cmd.h"
#include "client/render.h"
#include "common/cleanup.h"

static int print_identity(const struct cmd *cmd, const json_t *reply)
{
    static const struct {
        const char *label, *key;
    } lines[] = {{"server-key", "identity"}, {"realm", "realm"}, {"endpoint", "endpoint"}};
    struct render_table *table = render_table_new(NULL, 2, 0);

    for (size_t i = 0; table && i < ARRAY_SIZE(lines); i++) {
        render_table_cell(table, RENDER_STYLE_DIM, "%s", lines[i].label);
        render_table_cell(table, RENDER_STYLE_PLAIN, "%s", cmd_text(reply, lines[i].key));
    }
    return cmd_table_print(cmd, table);
}

int cmd_identity(const struct cmd *cmd)
{
    json_t *reply;
    struct err err;
    int rc = cmd_ask(cmd, "identity", &reply, &err);

    if (rc < 0)
        return cmd_fail(cmd, rc, &err);

    if (cmd->json)
        rc = render_json(stdout, reply) < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
    else
        rc = print_identity(cmd, reply);
    json_decref(reply);
    return rc;
}

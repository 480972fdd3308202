/* vpnctl users: who may come in, and who is. */
#include <errno.h>
#include <stdlib.h>

#include "client/cmd.h"
#include "client/render.h"
#include "common/cleanup.h"
#include "common/ctl.h"

#define NUMBER_COLUMNS (1U << 6 | 1U << 7)

static const char *const titles[] = {
    "USER",       "STATE",    "ADDRESSES", "ENDPOINT", "CONNECTED",
    "LAST HEARD", "RECEIVED", "SENT",      "DEVICE",
};

static void row_state(struct render_table *table, const json_t *user)
{
    const bool enabled = json_is_true(json_object_get(user, "enabled"));
    const bool expired = json_is_true(json_object_get(user, "expired"));

    render_table_cell(table, RENDER_STYLE_PLAIN, "%s", cmd_text(user, "user"));
    render_table_cell(table, enabled && !expired ? RENDER_STYLE_DIM : RENDER_STYLE_WARN, "%s",
                      !enabled  ? "disabled"
                      : expired ? "expired"
                                : "offline");
}

static void row_dashes(struct render_table *table, size_t n)
{
    for (size_t i = 0; i < n; i++)
        render_table_cell(table, RENDER_STYLE_DIM, "-");
}

static void row_offline(struct render_table *table, const json_t *user)
{
    row_state(table, user);
    row_dashes(table, ARRAY_SIZE(titles) - 2);
}

/* A device that is not here, and the addresses it will find again. */
static int row_away(struct render_table *table, const struct cmd *cmd, const json_t *user,
                    const json_t *lease)
{
    _cleanup_(free_p) char *addresses = cmd_list(lease, "addresses");
    char buf[RENDER_NUMBER_LEN];

    if (!addresses)
        return -1;

    row_state(table, user);
    render_table_cell(table, RENDER_STYLE_DIM, "%s", addresses);
    row_dashes(table, 2);
    render_table_cell(table, RENDER_STYLE_DIM, "%s", cmd_age(cmd, lease, "last_seen", buf));
    row_dashes(table, 2);
    render_table_cell(table, RENDER_STYLE_DIM, "%.16s", cmd_text(lease, "device"));
    return 0;
}

static int row_session(struct render_table *table, const struct cmd *cmd, const json_t *user,
                       const json_t *session)
{
    _cleanup_(free_p) char *addresses = cmd_list(session, "addresses");
    char buf[RENDER_NUMBER_LEN];

    if (!addresses)
        return -1;

    render_table_cell(table, RENDER_STYLE_PLAIN, "%s", cmd_text(user, "user"));
    render_table_cell(table, RENDER_STYLE_GOOD, "online");
    render_table_cell(table, RENDER_STYLE_PLAIN, "%s", addresses);
    render_table_cell(table, RENDER_STYLE_PLAIN, "%s", cmd_text(session, "endpoint"));
    render_table_cell(table, RENDER_STYLE_PLAIN, "%s", cmd_age(cmd, session, "since", buf));
    render_table_cell(table, RENDER_STYLE_PLAIN, "%s", cmd_age(cmd, session, "last_received", buf));
    render_table_cell(table, RENDER_STYLE_PLAIN, "%s",
                      render_bytes(cmd_int(session, "rx_bytes"), buf));
    render_table_cell(table, RENDER_STYLE_PLAIN, "%s",
                      render_bytes(cmd_int(session, "tx_bytes"), buf));
    render_table_cell(table, RENDER_STYLE_DIM, "%.16s", cmd_text(session, "device"));
    return 0;
}

static int rows(struct render_table *table, const struct cmd *cmd, const json_t *users)
{
    for (size_t i = 0; i < json_array_size(users); i++) {
        const json_t *user = json_array_get(users, i);
        const json_t *sessions = json_object_get(user, "sessions");
        const json_t *away = json_object_get(user, "away");

        if (json_array_size(sessions) == 0 && json_array_size(away) == 0)
            row_offline(table, user);
        for (size_t j = 0; j < json_array_size(sessions); j++)
            if (row_session(table, cmd, user, json_array_get(sessions, j)) < 0)
                return -1;
        for (size_t j = 0; j < json_array_size(away); j++)
            if (row_away(table, cmd, user, json_array_get(away, j)) < 0)
                return -1;
    }

    return 0;
}

static int print_users(const struct cmd *cmd, const json_t *users)
{
    struct render_table *table;

    if (json_array_size(users) == 0) {
        puts("No users yet: make one with `vpnctl user add NAME`.");
        return EXIT_SUCCESS;
    }

    table = render_table_new(titles, ARRAY_SIZE(titles), NUMBER_COLUMNS);
    if (table && rows(table, cmd, users) < 0) {
        render_table_free(table);
        table = NULL;
    }
    return cmd_table_print(cmd, table);
}

int cmd_users(const struct cmd *cmd)
{
    json_t *reply, *request = json_pack("{s:i, s:s, s:b}", "version", CTL_VERSION, "cmd", "users",
                                        "all", cmd->all);
    struct err err;
    int rc = request ? ctl_call(cmd->socket, request, &reply, &err)
                     : err_set(&err, -ENOMEM, "no memory for the request");

    json_decref(request);
    if (rc < 0)
        return cmd_fail(cmd, rc, &err);

    if (cmd->json)
        rc = render_json(stdout, reply) < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
    else
        rc = print_users(cmd, json_object_get(reply, "users"));
    json_decref(reply);
    return rc;
}

/* vpnctl check and schema: what needs no daemon. */
#include <errno.h>
#include <stdlib.h>

#include "client/cmd.h"
#include "client/profile.h"
#include "client/render.h"
#include "common/cleanup.h"
#include "common/conf.h"
#include "common/ctl.h"
#include "common/problem.h"
#include "common/schema_json.h"
#include "daemon/config.h"

static json_t *problems_json(const struct problems *problems)
{
    json_t *list = json_array();

    for (size_t i = 0; i < problems->n; i++)
        json_array_append_new(list,
                              json_pack("{s:s, s:s}", "kind",
                                        problems->items[i].kind == PROBLEM_ERROR ? "error" : "note",
                                        "text", problems->items[i].text));
    return list;
}

static int print_json(const char *file, struct problems *problems, int rc)
{
    json_t *out = json_pack("{s:i, s:s, s:b, s:o}", "version", CTL_VERSION, "file", file, "valid",
                            rc == 0, "problems", problems_json(problems));
    const int printed = out ? render_json(stdout, out) : -ENOMEM;

    json_decref(out);
    problems_clear(problems);
    return printed < 0 ? EXIT_FAILURE : cmd_problems_print(problems, rc);
}

int cmd_check(const struct cmd *cmd)
{
    const char *file = cmd->name ? cmd->name : cmd->config;
    struct problems problems = {0};
    struct profile *profile = NULL;
    struct config *config = NULL;
    size_t n = 0;
    int rc;

    if (cmd->client) {
        rc = profile_load(file, &profile, &problems);
        n = rc == 0 ? profile->n_tunnels : 0;
    } else {
        rc = config_load(file, &config, &problems);
        n = rc == 0 ? config->n_users : 0;
    }
    profile_free(profile);
    config_free(config);
    if (cmd->json)
        return print_json(file, &problems, rc);
    if (rc == 0)
        printf("%s: valid, %zu %s%s\n", file, n, cmd->client ? "tunnel" : "user",
               n == 1 ? "" : "s");
    return cmd_problems_print(&problems, rc);
}

int cmd_schema(const struct cmd *cmd)
{
    json_t *schema = schema_json(cmd->client ? profile_kind.table : config_kind.table,
                                 cmd->client ? "vpn-client.yaml" : "vpn.yaml");
    const int rc = schema ? render_json(stdout, schema) : -ENOMEM;

    json_decref(schema);
    return rc < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}

/* vpnctl plan, apply, rollback and reload: another configuration comes into force. */
#include <stdlib.h>
#include <sysexits.h>

#include "client/cmd_confirm.h"
#include "client/config_send.h"
#include "client/render.h"
#include "common/cleanup.h"
#include "common/ctl.h"
#include "common/value.h"

#define EX_CHANGES   2
#define HASH_SHOWN   16
#define ROLLBACK_MAX 20

static int print_json(json_t *reply, int code)
{
    return render_json(stdout, reply) < 0 ? EXIT_FAILURE : code;
}

/* Ask with the texts of the file.  A refusal has been printed when the code is not 0. */
static int ask_with_file(const struct cmd *cmd, const char *verb, json_t **reply)
{
    json_t *more = json_object();
    int code;

    if (cmd->plan)
        json_object_set_new(more, "plan", json_string(cmd->plan));
    if (cmd->confirm_s)
        json_object_set_new(more, "confirm_s", json_integer(cmd->confirm_s));
    code = config_send(cmd, cmd->name ? cmd->name : cmd->config, verb, more, reply);
    config_problems(*reply, code == EXIT_SUCCESS ? "notes" : "problems");
    if (code != EXIT_SUCCESS && cmd->json && *reply)
        return print_json(*reply, code);
    return code;
}

int cmd_plan(const struct cmd *cmd)
{
    json_t *reply;
    int code = ask_with_file(cmd, "plan", &reply);

    if (code == EXIT_SUCCESS) {
        if (json_array_size(json_object_get(reply, "clashes")) > 0)
            code = EXIT_FAILURE;
        else if (config_changes(reply) > 0)
            code = EX_CHANGES;
        if (cmd->json) {
            code = print_json(reply, code);
        } else {
            config_lines(cmd, reply);
            if (code == EX_CHANGES)
                printf("Plan %.*s: carry it out with `vpnctl apply%s%s --plan %.*s`.\n", HASH_SHOWN,
                       cmd_text(reply, "plan"), cmd->name ? " " : "", cmd->name ? cmd->name : "",
                       HASH_SHOWN, cmd_text(reply, "plan"));
        }
    }
    json_decref(reply);
    return code;
}

static void print_applied(const struct cmd *cmd, const json_t *reply)
{
    config_lines(cmd, reply);
    if (json_object_get(reply, "number"))
        printf("Configuration %u is in force.\n", (unsigned int)cmd_int(reply, "number"));
}

int cmd_apply(const struct cmd *cmd)
{
    json_t *reply;
    int code = ask_with_file(cmd, "apply", &reply);

    if (code == EXIT_SUCCESS && cmd->json)
        code = print_json(reply, code);
    else if (code == EXIT_SUCCESS)
        print_applied(cmd, reply);
    if (code == EXIT_SUCCESS && !cmd->json && json_object_get(reply, "confirm_s"))
        code = confirm_wait(cmd, (unsigned int)cmd_int(reply, "number"),
                            (unsigned int)cmd_int(reply, "confirm_s"));
    json_decref(reply);
    return code;
}

int cmd_rollback(const struct cmd *cmd)
{
    uint32_t steps = 1;
    struct err err;
    json_t *reply;
    int code;

    if (cmd->name && value_uint(cmd->name, 1, ROLLBACK_MAX, &steps, &err) < 0) {
        fprintf(stderr, "vpnctl: %s\n", err.msg);
        return EX_USAGE;
    }
    code = cmd_request(cmd,
                       json_pack("{s:i, s:s, s:i}", "version", CTL_VERSION, "cmd", "rollback",
                                 "steps", (int)steps),
                       &reply);
    if (code == EXIT_SUCCESS && cmd->json)
        code = print_json(reply, code);
    else if (code == EXIT_SUCCESS)
        print_applied(cmd, reply);
    json_decref(reply);
    return code;
}

int cmd_reload(const struct cmd *cmd)
{
    json_t *reply;
    int code =
        cmd_request(cmd, json_pack("{s:i, s:s}", "version", CTL_VERSION, "cmd", "reload"), &reply);

    config_problems(reply, "problems");
    if (reply && cmd->json)
        code = print_json(reply, code);
    json_decref(reply);
    return code;
}

/* What vpnctl's verbs share. */
#include "client/cmd.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "client/profile.h"
#include "client/render.h"
#include "common/cleanup.h"
#include "common/ctl.h"
#include "common/problem.h"
#include "daemon/config.h"

int cmd_fail(const struct cmd *cmd, int rc, const struct err *err)
{
    fputs("vpnctl: ", stderr);
    render_text(stderr, false, RENDER_STYLE_PLAIN, err->msg);
    /* The socket's path alone does not tell a beginner which of the two he asked. */
    if (rc == -ENOENT || rc == -ECONNREFUSED)
        fputs(cmd->client ? " (vpn-client)" : " (vpn-server; for the client give --client)",
              stderr);
    fputc('\n', stderr);

    switch (rc) {
    case -ENOENT:
    case -ECONNREFUSED:
        return EX_UNAVAILABLE;
    case -EACCES:
    case -EPERM:
        return EX_NOPERM;
    case -EINVAL:
        return EX_DATAERR;
    default:
        return EXIT_FAILURE;
    }
}

int cmd_request(const struct cmd *cmd, json_t *request, json_t **reply)
{
    return cmd_request_blob(cmd, request, NULL, 0, reply);
}

int cmd_request_blob(const struct cmd *cmd, json_t *request, const void *blob, size_t len,
                     json_t **reply)
{
    _cleanup_(close_fdp) int fd = -1;
    json_t *msg = NULL;
    struct err err;
    int rc;

    *reply = NULL;
    fd = request ? ctl_connect(cmd->socket, &err)
                 : err_set(&err, -ENOMEM, "no memory for the request");
    rc = fd < 0 ? fd : ctl_send_blob(fd, cmd->socket, request, blob, len, &err);
    json_decref(request);
    if (rc == 0)
        rc = ctl_receive(fd, cmd->socket, CTL_CALL_MS, &msg, &err);
    if (rc == 0)
        rc = ctl_judge(msg, cmd->socket, &err);
    *reply = msg;
    if (rc == 0)
        return EXIT_SUCCESS;
    /* The problems say it better, each with its place. */
    if (msg && json_object_get(msg, "problems"))
        return EX_DATAERR;
    return cmd_fail(cmd, rc, &err);
}

int cmd_ask(const struct cmd *cmd, const char *verb, json_t **reply, struct err *err)
{
    json_t *request = json_pack("{s:i, s:s}", "version", CTL_VERSION, "cmd", verb);
    int rc;

    if (!request)
        return err_set(err, -ENOMEM, "no memory for the request");

    rc = ctl_call(cmd->socket, request, reply, err);
    json_decref(request);
    return rc;
}

const char *cmd_text(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));

    return text && *text ? text : "-";
}

uint64_t cmd_int(const json_t *object, const char *key)
{
    const json_int_t value = json_integer_value(json_object_get(object, key));

    return value > 0 ? (uint64_t)value : 0;
}

char *cmd_list(const json_t *object, const char *key)
{
    const json_t *list = json_object_get(object, key);
    size_t len = 0;
    FILE *out;
    char *text = NULL;

    out = open_memstream(&text, &len);
    if (!out)
        return NULL;

    for (size_t i = 0; i < json_array_size(list); i++) {
        const char *item = json_string_value(json_array_get(list, i));

        if (item)
            fprintf(out, "%s%s", ftell(out) > 0 ? ", " : "", item);
    }
    if (ftell(out) == 0)
        fputs("-", out);
    if (fclose(out) == EOF) {
        free(text);
        return NULL;
    }

    return text;
}

const char *cmd_age(const struct cmd *cmd, const json_t *object, const char *key, char *buf)
{
    const char *text = json_string_value(json_object_get(object, key));
    int64_t when;

    if (!text || render_time_parse(text, &when) < 0)
        return "-";

    return render_duration(cmd->now - when, buf);
}

int cmd_table_print(const struct cmd *cmd, struct render_table *table)
{
    const int rc = table ? render_table_print(table, stdout, cmd->color) : -ENOMEM;

    render_table_free(table);
    if (rc < 0) {
        fputs("vpnctl: no memory for the table\n", stderr);
        return EXIT_FAILURE;
    }

    return EXIT_SUCCESS;
}

int cmd_problems_print(struct problems *problems, int rc)
{
    problems_print(problems, stderr);
    problems_clear(problems);

    switch (rc) {
    case 0:
        return EXIT_SUCCESS;
    case -EINVAL:
        return EX_DATAERR;
    case -EACCES:
    case -EPERM:
        return EX_NOPERM;
    default:
        return EXIT_FAILURE;
    }
}

int cmd_config_load(const char *path, struct config **out)
{
    struct problems problems = {0};
    const int rc = config_load(path, out, &problems);

    return cmd_problems_print(&problems, rc);
}

static int profile_socket(const char *file, char **path)
{
    struct problems problems = {0};
    struct profile *profile = NULL;
    const int rc = profile_load(file, &profile, &problems);

    if (rc == 0)
        *path = strdup(profile->control_socket);
    profile_free(profile);
    return cmd_problems_print(&problems, rc);
}

int cmd_socket_from_file(const struct cmd *cmd, char **path)
{
    struct config *config = NULL;
    int code;

    *path = NULL;
    if (cmd->client) {
        code = profile_socket(cmd->config, path);
    } else {
        code = cmd_config_load(cmd->config, &config);
        if (code == EXIT_SUCCESS)
            *path = strdup(config->control_socket);
        config_free(config);
    }

    return code == EXIT_SUCCESS && !*path ? EXIT_FAILURE : code;
}

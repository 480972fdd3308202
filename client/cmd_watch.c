/* vpnctl watch: events as they happen, one line or one JSON object each, until interrupted. */
#include <stdlib.h>
#include <string.h>

#include "client/cmd.h"
#include "client/render.h"
#include "common/cleanup.h"
#include "common/ctl.h"

static enum render_style event_style(const char *event)
{
    static const char *const bad[] = {"drift", "fight", "refused", "clash", "failed", "expired"};

    for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
        if (!strcmp(event, bad[i]))
            return RENDER_STYLE_WARN;
    return RENDER_STYLE_GOOD;
}

static int print_event(const struct cmd *cmd, const json_t *event)
{
    if (cmd->json) {
        if (json_dumpf(event, stdout, JSON_COMPACT | JSON_ENSURE_ASCII) < 0)
            return -1;
        putchar('\n');
    } else {
        render_text(stdout, cmd->color, RENDER_STYLE_DIM, cmd_text(event, "time"));
        putchar(' ');
        render_text(stdout, cmd->color, event_style(cmd_text(event, "event")),
                    cmd_text(event, "event"));
        fputs(": ", stdout);
        render_text(stdout, false, RENDER_STYLE_PLAIN, cmd_text(event, "text"));
        putchar('\n');
    }
    return fflush(stdout) == EOF ? -1 : 0;
}

int cmd_watch(const struct cmd *cmd)
{
    _cleanup_(close_fdp) int fd = -1;
    json_t *request, *msg = NULL;
    struct err err;
    int rc;

    request = json_pack("{s:i, s:s}", "version", CTL_VERSION, "cmd", "watch");
    fd = ctl_connect(cmd->socket, &err);
    rc = fd < 0 ? fd : ctl_send(fd, cmd->socket, request, &err);
    json_decref(request);
    if (rc == 0)
        rc = ctl_receive(fd, cmd->socket, CTL_CALL_MS, &msg, &err);
    if (rc == 0)
        rc = ctl_judge(msg, cmd->socket, &err);
    while (rc == 0) {
        json_decref(msg);
        msg = NULL;
        rc = ctl_receive(fd, cmd->socket, -1, &msg, &err);
        if (rc == 0 && print_event(cmd, msg) < 0) {
            /* A closed pipe: whoever read it has seen enough. */
            json_decref(msg);
            return EXIT_FAILURE;
        }
    }
    json_decref(msg);
    return cmd_fail(cmd, rc, &err);
}

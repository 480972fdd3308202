/* vpnctl kick: end a user's sessions; the devices wait until their operator tells them to log in.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "client/cmd.h"
#include "client/render.h"
#include "common/ctl.h"
#include "common/wire.h"

/* NAME or NAME/DEVICE, where DEVICE is what `vpnctl users` shows, or its beginning. */
static json_t *request_build(const char *name)
{
    const char *slash = strchr(name, '/');
    json_t *request;

    if (!slash)
        return json_pack("{s:i, s:s, s:s}", "version", CTL_VERSION, "cmd", "kick", "user", name);
    request = json_pack("{s:i, s:s, s:s#, s:s}", "version", CTL_VERSION, "cmd", "kick", "user",
                        name, (int)(slash - name), "device", slash + 1);
    return request;
}

static bool name_valid(const char *name)
{
    const char *slash = strchr(name, '/');
    size_t digits = slash ? strlen(slash + 1) : 0;

    if (!slash)
        return true;
    return digits > 0 && digits <= (size_t)2 * WIRE_DEVICE_ID_LEN &&
           strspn(slash + 1, "0123456789abcdef") == digits;
}

int cmd_kick(const struct cmd *cmd)
{
    json_t *request, *reply;
    struct err err;
    int rc;

    if (!name_valid(cmd->name)) {
        fputs("vpnctl: a device is written in hexadecimal, as `vpnctl users` shows it\n", stderr);
        return EX_USAGE;
    }
    request = request_build(cmd->name);
    rc = request ? ctl_call(cmd->socket, request, &reply, &err)
                 : err_set(&err, -ENOMEM, "no memory for the request");
    json_decref(request);
    if (rc < 0)
        return cmd_fail(cmd, rc, &err);

    if (cmd->json) {
        rc = render_json(stdout, reply) < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
    } else {
        const unsigned int n = (unsigned int)cmd_int(reply, "kicked");

        printf("%u session%s ended\n", n, n == 1 ? "" : "s");
        rc = EXIT_SUCCESS;
    }
    json_decref(reply);
    return rc;
}

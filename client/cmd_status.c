/* vpnctl status: what a daemon is doing, on one screen. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "client/cmd.h"
#include "client/render.h"
#include "common/cleanup.h"

/* Two columns: what it is, and how it is. */
static void line(struct render_table *table, const char *label, enum render_style style,
                 const char *value)
{
    render_table_cell(table, RENDER_STYLE_DIM, "  %s", label);
    render_table_cell(table, style, "%s", value);
}

static void line_list(struct render_table *table, const char *label, const json_t *reply,
                      const char *key)
{
    _cleanup_(free_p) char *list = cmd_list(reply, key);

    line(table, label, RENDER_STYLE_PLAIN, list ? list : "(no memory)");
}

static enum render_style state_style(const char *state)
{
    static const struct {
        const char *state;
        enum render_style style;
    } styles[] = {
        {"ready", RENDER_STYLE_GOOD},    {"connected", RENDER_STYLE_GOOD},
        {"starting", RENDER_STYLE_WARN}, {"connecting", RENDER_STYLE_WARN},
        {"waiting", RENDER_STYLE_WARN},  {"down", RENDER_STYLE_BAD},
        {"refused", RENDER_STYLE_BAD},   {"active", RENDER_STYLE_GOOD},
        {"partial", RENDER_STYLE_WARN},  {"missing", RENDER_STYLE_BAD},
        {"clash", RENDER_STYLE_BAD},     {"unknown", RENDER_STYLE_WARN},
    };

    for (size_t i = 0; i < ARRAY_SIZE(styles); i++)
        if (!strcmp(state, styles[i].state))
            return styles[i].style;
    return RENDER_STYLE_PLAIN;
}

static void enclave(struct render_table *table, const json_t *enclave_json)
{
    const char *state = cmd_text(enclave_json, "state");
    const bool sealed = json_is_true(json_object_get(enclave_json, "sealed"));
    const json_t *steps = json_object_get(enclave_json, "steps");

    render_table_cell(table, RENDER_STYLE_DIM, "  enclave");
    render_table_cell(table, state_style(state),
                      "%s, PID %" PRIu64 ", engine %s, restarts %" PRIu64, state,
                      cmd_int(enclave_json, "pid"), cmd_text(enclave_json, "engine"),
                      cmd_int(enclave_json, "restarts"));
    line(table, "seal", sealed ? RENDER_STYLE_GOOD : RENDER_STYLE_BAD,
         sealed ? "complete" : "degraded: keys are not protected from this host's programs");

    /* A step that worked is no news; -j has them all. */
    for (size_t i = 0; i < json_array_size(steps); i++) {
        const json_t *step = json_array_get(steps, i);

        if (strcmp(cmd_text(step, "state"), "done") == 0)
            continue;
        render_table_cell(table, RENDER_STYLE_DIM, "    %s", cmd_text(step, "step"));
        render_table_cell(table, RENDER_STYLE_WARN, "%s", cmd_text(step, "state"));
    }
}

/* The names of those that are in use, or of those that are not. */
static void offload_line(struct render_table *table, const char *title, json_t *object, bool on)
{
    char names[128] = "";
    size_t len = 0;

    for (void *it = json_object_iter(object); it; it = json_object_iter_next(object, it))
        if (json_is_true(json_object_iter_value(it)) == on && len < sizeof(names))
            len += (size_t)snprintf(names + len, sizeof(names) - len, "%s%s", len ? ", " : "",
                                    json_object_iter_key(it));
    if (len)
        line(table, title, RENDER_STYLE_PLAIN, names);
}

static void offloads(struct render_table *table, json_t *object)
{
    offload_line(table, "offloads", object, true);
    offload_line(table, "not in use", object, false);
}

static void traffic(struct render_table *table, const json_t *counters)
{
    char received[RENDER_NUMBER_LEN], sent[RENDER_NUMBER_LEN];

    render_table_cell(table, RENDER_STYLE_DIM, "  received");
    render_table_cell(table, RENDER_STYLE_PLAIN, "%s in %" PRIu64 " packets",
                      render_bytes(cmd_int(counters, "rx_bytes"), received),
                      cmd_int(counters, "rx_packets"));
    render_table_cell(table, RENDER_STYLE_DIM, "  sent");
    render_table_cell(table, RENDER_STYLE_PLAIN, "%s in %" PRIu64 " packets",
                      render_bytes(cmd_int(counters, "tx_bytes"), sent),
                      cmd_int(counters, "tx_packets"));
}

/* One line for each reason that has happened. */
static void drops(struct render_table *table, json_t *object)
{
    for (void *it = json_object_iter(object); it; it = json_object_iter_next(object, it)) {
        const json_int_t n = json_integer_value(json_object_iter_value(it));

        if (n <= 0)
            continue;
        render_table_cell(table, RENDER_STYLE_DIM, "  dropped");
        render_table_cell(table, RENDER_STYLE_PLAIN, "%s %" JSON_INTEGER_FORMAT,
                          json_object_iter_key(it), n);
    }
}

static void firewall(struct render_table *table, const json_t *json)
{
    const char *state = cmd_text(json, "state");
    const json_t *reason = json_object_get(json, "reason");

    if (!json_is_object(json))
        return;
    if (json_is_integer(json_object_get(json, "rules"))) {
        render_table_cell(table, RENDER_STYLE_DIM, "  packet filter");
        render_table_cell(table, state_style(state), "%s, %" PRIu64 " rules", state,
                          cmd_int(json, "rules"));
    } else {
        line(table, "packet filter", state_style(state), state);
    }
    if (json_is_string(reason))
        line(table, "", RENDER_STYLE_WARN, json_string_value(reason));
}

/* The reasons are sentences of their own. */
static void qos(struct render_table *table, const json_t *json)
{
    const char *state = cmd_text(json, "state");
    const json_t *reasons = json_object_get(json, "reasons");

    if (!json_is_object(json))
        return;
    render_table_cell(table, RENDER_STYLE_DIM, "  rates");
    render_table_cell(table, state_style(state), "%s, leaf %s", state, cmd_text(json, "leaf"));
    for (size_t i = 0; i < json_array_size(reasons); i++)
        line(table, "", RENDER_STYLE_WARN, json_string_value(json_array_get(reasons, i)));
}

static void headline(const struct cmd *cmd, const json_t *reply)
{
    char age[RENDER_NUMBER_LEN];

    render_text(stdout, cmd->color, RENDER_STYLE_BOLD, cmd_text(reply, "program"));
    putchar(' ');
    render_text(stdout, cmd->color, RENDER_STYLE_PLAIN, cmd_text(reply, "release"));
    printf(", PID %" PRIu64 ", running for %s\n", cmd_int(reply, "pid"),
           cmd_age(cmd, reply, "started", age));
}

static void configuration(struct render_table *table, const struct cmd *cmd, const json_t *json)
{
    char age[RENDER_NUMBER_LEN];

    if (!json_object_get(json, "number"))
        return;
    render_table_cell(table, RENDER_STYLE_DIM, "  configuration");
    render_table_cell(table, RENDER_STYLE_PLAIN, "number %" PRIu64 ", %s %s ago by %s",
                      cmd_int(json, "number"), cmd_text(json, "how"),
                      cmd_age(cmd, json, "since", age), cmd_text(json, "by"));
    if (!json_object_get(json, "confirm_s"))
        return;
    render_table_cell(table, RENDER_STYLE_DIM, "    unconfirmed");
    render_table_cell(table, RENDER_STYLE_WARN,
                      "goes back in %" PRIu64 " s unless `vpnctl confirm` comes",
                      cmd_int(json, "confirm_s"));
}

/* What the kernel shall hold against what it holds. */
static void kernel(struct render_table *table, const struct cmd *cmd, const json_t *json)
{
    const bool in_sync = json_is_true(json_object_get(json, "in_sync"));
    char age[RENDER_NUMBER_LEN];

    if (!json)
        return;
    render_table_cell(table, RENDER_STYLE_DIM, "  kernel");
    if (in_sync && cmd_int(json, "waiting") == 0)
        render_table_cell(table, RENDER_STYLE_GOOD, "as wanted: %" PRIu64 " objects",
                          cmd_int(json, "wanted"));
    else
        render_table_cell(table, in_sync ? RENDER_STYLE_WARN : RENDER_STYLE_BAD,
                          "of %" PRIu64 " objects %" PRIu64 " waiting, %" PRIu64
                          " refused, %" PRIu64 " in another's place, %" PRIu64
                          " drifted (`vpnctl routes` shows them)",
                          cmd_int(json, "wanted"), cmd_int(json, "waiting"),
                          cmd_int(json, "refused"), cmd_int(json, "clashes"),
                          cmd_int(json, "drifted"));
    if (json_object_get(json, "error"))
        line(table, "", RENDER_STYLE_BAD, cmd_text(json, "error"));
    if (cmd_int(json, "drifts") == 0)
        return;
    render_table_cell(table, RENDER_STYLE_DIM, "  drift");
    render_table_cell(table, RENDER_STYLE_WARN, "put right %" PRIu64 " times, last %s ago",
                      cmd_int(json, "drifts"), cmd_age(cmd, json, "last_drift", age));
}

static void server(struct render_table *table, const json_t *reply)
{
    const json_t *leases = json_object_get(reply, "leases");

    render_table_cell(table, RENDER_STYLE_DIM, "  tunnel");
    render_table_cell(table, RENDER_STYLE_PLAIN, "%s, MTU %" PRIu64, cmd_text(reply, "device"),
                      cmd_int(reply, "mtu"));
    line_list(table, "addresses", reply, "addresses");
    line_list(table, "listening on", reply, "listen");
    render_table_cell(table, RENDER_STYLE_DIM, "  lanes");
    render_table_cell(table, RENDER_STYLE_PLAIN, "%" PRIu64, cmd_int(reply, "lanes"));
    render_table_cell(table, RENDER_STYLE_DIM, "  sessions");
    render_table_cell(table, RENDER_STYLE_PLAIN, "%" PRIu64 " (%" PRIu64 " user%s configured)",
                      cmd_int(reply, "sessions"), cmd_int(reply, "users"),
                      cmd_int(reply, "users") == 1 ? "" : "s");
    if (json_is_false(json_object_get(leases, "kept")))
        line(table, "leases not kept", RENDER_STYLE_BAD, cmd_text(leases, "error"));
    traffic(table, json_object_get(reply, "traffic"));
}

static void tunnel(struct render_table *table, const struct cmd *cmd, const json_t *json)
{
    const char *state = cmd_text(json, "state");
    char since[RENDER_NUMBER_LEN], heard[RENDER_NUMBER_LEN], received[RENDER_NUMBER_LEN],
        sent[RENDER_NUMBER_LEN];

    render_table_cell(table, RENDER_STYLE_BOLD, "  %s", cmd_text(json, "name"));
    render_table_cell(table, state_style(state), "%s, %s on %s", state, cmd_text(json, "server"),
                      cmd_text(json, "device"));
    if (json_is_string(json_object_get(json, "message")))
        line(table, "", RENDER_STYLE_PLAIN, cmd_text(json, "message"));
    if (strcmp(state, "connected") != 0 && json_is_true(json_object_get(json, "blocks")))
        line(table, "", RENDER_STYLE_WARN, "what it carries is blocked meanwhile");
    if (strcmp(state, "connected") != 0)
        return;

    line_list(table, "  addresses", json, "addresses");
    if (json_array_size(json_object_get(json, "dns")) > 0)
        line_list(table, "  name servers", json, "dns");
    render_table_cell(table, RENDER_STYLE_DIM, "    connected");
    render_table_cell(table, RENDER_STYLE_PLAIN, "for %s, last heard %s ago",
                      cmd_age(cmd, json, "since", since),
                      cmd_age(cmd, json, "last_received", heard));
    render_table_cell(table, RENDER_STYLE_DIM, "    traffic");
    render_table_cell(table, RENDER_STYLE_PLAIN, "%s received, %s sent",
                      render_bytes(cmd_int(json, "rx_bytes"), received),
                      render_bytes(cmd_int(json, "tx_bytes"), sent));
}

static int print_status(const struct cmd *cmd, const json_t *reply)
{
    struct render_table *table = render_table_new(NULL, 2, 0);
    const json_t *tunnels = json_object_get(reply, "tunnels");

    headline(cmd, reply);
    if (!table)
        return cmd_table_print(cmd, NULL);

    if (!tunnels)
        server(table, reply);
    configuration(table, cmd, json_object_get(reply, "configuration"));
    kernel(table, cmd, json_object_get(reply, "kernel"));
    for (size_t i = 0; i < json_array_size(tunnels); i++)
        tunnel(table, cmd, json_array_get(tunnels, i));
    offloads(table, json_object_get(reply, "offloads"));
    enclave(table, json_object_get(reply, "enclave"));
    firewall(table, json_object_get(reply, "firewall"));
    qos(table, json_object_get(reply, "qos"));
    drops(table, json_object_get(reply, "drops"));
    return cmd_table_print(cmd, table);
}

int cmd_status(const struct cmd *cmd)
{
    json_t *reply;
    struct err err;
    int rc = cmd_ask(cmd, "status", &reply, &err);

    if (rc < 0)
        return cmd_fail(cmd, rc, &err);

    if (cmd->json)
        rc = render_json(stdout, reply) < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
    else
        rc = print_status(cmd, reply);
    json_decref(reply);
    return rc;
}

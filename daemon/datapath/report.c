/* What both daemons say about themselves in `vpnctl status`; see report.h. */
#include "daemon/datapath/report.h"

#include "common/log.h"
#include "common/cleanup.h"
#include "common/ring.h"

static const char *state_name(enum link_state state)
{
    switch (state) {
    case LINK_DOWN:
        return "down";
    case LINK_STARTING:
        return "starting";
    case LINK_READY:
        return "ready";
    }
    return "unknown";
}

static const char *step_state_name(unsigned int state)
{
    static const char *const names[] = {
        [IPC_STEP_NOT_TRIED] = "not tried",
        [IPC_STEP_DONE] = "done",
        [IPC_STEP_NOT_AVAILABLE] = "not available",
    };

    return state < ARRAY_SIZE(names) ? names[state] : "unknown";
}

static json_t *report_steps(const struct ipc_ready *ready)
{
    json_t *steps = json_array();

    for (unsigned int i = 0; steps && i < IPC_NUM_STEPS; i++)
        (void)json_array_append_new(steps, json_pack("{s:s, s:s}", "step", ipc_step_name(i),
                                                     "state", step_state_name(ready->step[i])));
    return steps;
}

json_t *report_enclave(const struct link *link)
{
    const struct ipc_ready *ready = link_ready_info(link);

    return json_pack("{s:I, s:s, s:I, s:s, s:b, s:o}", "pid", (json_int_t)link_pid(link), "state",
                     state_name(link_state(link)), "restarts", (json_int_t)link_restarts(link),
                     "engine", ready->engine, "sealed", (int)link_is_sealed(link), "steps",
                     report_steps(ready));
}

json_t *report_drops(const struct dp_stats *stats)
{
    json_t *drops = json_object();
    unsigned int i;

    for (i = 0; drops && i < DP_DROP_NUM; i++)
        (void)json_object_set_new(drops, dp_drop_name(i),
                                  json_integer((json_int_t)stats->drops[i]));
    for (i = RING_STATUS_OK + 1; drops && i < RING_STATUS_NUM; i++)
        (void)json_object_set_new(drops, ring_status_name(i),
                                  json_integer((json_int_t)stats->statuses[i]));
    return drops;
}

json_t *report_offloads(struct datapath *dp)
{
    const unsigned int used = atomic_load_explicit(&dp->offloads_used, memory_order_relaxed);
    json_t *offloads = json_object();

    for (unsigned int i = 0; offloads && i < OFFLOAD_NUM; i++)
        (void)json_object_set_new(offloads, offload_name(i), json_boolean(used & OFFLOAD_BIT(i)));
    return offloads;
}

json_t *report_time(time_t when)
{
    char text[32];
    struct tm tm;

    if (!gmtime_r(&when, &tm) || strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", &tm) == 0)
        return NULL;
    return json_string(text);
}

void report_log_seal(const struct link *link)
{
    const struct ipc_ready *ready = link_ready_info(link);
    unsigned int i;

    for (i = 0; i < IPC_NUM_STEPS; i++) {
        bool done = ready->step[i] == IPC_STEP_DONE;

        log_line(done ? LOG_LEVEL_DEBUG : LOG_LEVEL_WARNING, "enclave: %s: %s", ipc_step_name(i),
                 done ? "done" : "not available");
    }
    if (!link_is_sealed(link))
        log_warning("seal: degraded (the enclave could not be sealed completely: see the lines "
                    "above; its claim does not hold)");
}

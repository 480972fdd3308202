/* The engine's state as JSON; see status_json.h. */
#include "netlink/status_json.h"

json_t *net_status_json(const struct net_reconciler_status *s)
{
    json_t *out = json_pack("{s:b, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "in_sync",
                            (int)s->in_sync, "wanted", (json_int_t)s->wanted, "waiting",
                            (json_int_t)s->waiting, "refused", (json_int_t)s->refused, "clashes",
                            (json_int_t)s->clashes, "drifted", (json_int_t)s->drifted, "drifts",
                            (json_int_t)s->drifts, "operations", (json_int_t)s->operations, "runs",
                            (json_int_t)s->runs, "resyncs", (json_int_t)s->resyncs);

    if (out && s->error[0])
        json_object_set_new(out, "error", json_string(s->error));
    return out;
}

/* Configurations that wait for a confirmation; see confirm.h. */
#include "daemon/confirm.h"

#include <errno.h>

#include "common/cleanup.h"
#include "common/log.h"
#include "daemon/change.h"
#include "daemon/events.h"
#include "daemon/history.h"
#include "daemon/server.h"

#define RETRY_MS 10000

void confirm_settle(struct server *s)
{
    struct history_note note = {.by = "vpn-server",
                                .how = s->chosen.how,
                                .time_s = (int64_t)(s->now.real_us / 1000000),
                                .reject = s->chosen.reject};
    struct err err;
    int rc = 0;

    if (s->history)
        history_clean(s->history);
    if (s->history && s->chosen.how)
        rc = history_stage(s->history, &s->chosen.bundle, &note, &err);
    if (rc == 0 && s->history && s->chosen.how)
        rc = history_commit(s->history, &err);
    if (rc < 0)
        log_error("%s", err.msg);
    bundle_clear(&s->chosen.bundle);
}

int confirm_back(struct server *s, unsigned int n, const char *by, struct change **out,
                 struct err *err)
{
    const struct change_wish wish = {.by = by, .how = "rolled back", .reject = true};
    const struct history_record *record = s->history ? history_back(s->history, n) : NULL;
    _cleanup_(bundle_clearp) struct bundle bundle = {0};
    struct change *c = NULL;
    int rc;

    if (!record)
        return err_set(err, -ENOENT, "there is no configuration %u steps back (see vpnctl history)",
                       n);
    rc = history_load(s->history, record->number, &bundle, err);
    if (rc == 0)
        rc = change_plan(s, &bundle, &c, err);
    if (rc == 0)
        rc = change_apply(s, c, &wish, err);
    if (rc < 0) {
        change_free(c);
        return rc;
    }
    *out = c;
    return 0;
}

void confirm_tick(struct server *s)
{
    struct change *c = NULL;
    struct err err;
    uint64_t until;

    if (!s->history || !s->ready_once || !history_pending(s->history, &until) ||
        choose_boot_ms() < until || s->now.mono_ms < s->back_ms)
        return;
    log_warning("nobody confirmed the configuration in time: going back to the former one");
    if (confirm_back(s, 1, "vpn-server, for want of a confirmation", &c, &err) < 0) {
        log_error("going back failed, and is tried again: %s", err.msg);
        s->back_ms = s->now.mono_ms + RETRY_MS;
        return;
    }
    events_say(s, "expired", NULL, "nobody confirmed the configuration in time");
    change_free(c);
}

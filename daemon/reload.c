/* SIGHUP and `vpnctl reload`; see reload.h. */
#include "daemon/reload.h"

#include <errno.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/log.h"
#include "common/process.h"
#include "daemon/change.h"
#include "daemon/forwarding.h"
#include "daemon/history.h"
#include "daemon/keeper.h"
#include "daemon/server.h"
#include "netlink/plan.h"
#include "netlink/set.h"

static void log_problems(const struct problems *problems)
{
    size_t i;

    for (i = 0; i < problems->n; i++)
        log_line(problems->items[i].kind == PROBLEM_ERROR ? LOG_LEVEL_ERROR : LOG_LEVEL_WARNING,
                 "%s", problems->items[i].text);
    if (problems->n_dropped)
        log_error("and %zu more", problems->n_dropped);
}

static int read_texts(struct server *s, struct bundle *bundle, struct err *err)
{
    struct problems problems = {0};
    int rc = bundle_read(s->config_path, bundle, &problems);

    log_problems(&problems);
    if (rc < 0)
        err_set(err, rc, "%s", problems.n ? problems.items[0].text : strerror(-rc));
    problems_clear(&problems);
    if (rc == -EACCES)
        log_error("%s must be readable by the user vpn-server runs as (group vpn)", s->config_path);
    return rc;
}

/* What runs already, or was rolled back.  Return: 1: nothing to do; 0: go on; or -errno. */
static int look_up(struct server *s, const struct bundle *bundle, struct err *err)
{
    const struct history_record *current;
    uint8_t hash[BUNDLE_HASH_LEN];

    if (!s->history)
        return 0;
    bundle_hash(bundle, hash);
    if (history_rejected(s->history, hash))
        return err_set(err, -ESTALE,
                       "what %s says was rolled back: the configuration that was confirmed last "
                       "stays in force (change the file, or insist with vpnctl apply)",
                       s->config_path);
    current = history_current(s->history);
    return current && memcmp(current->hash, hash, sizeof(hash)) == 0;
}

static int take_over(struct server *s, struct bundle *bundle, const char *by, struct err *err)
{
    const struct change_wish wish = {.by = by, .how = "reloaded"};
    struct change *c = NULL;
    int rc = change_plan(s, bundle, &c, err);

    if (c)
        log_problems(change_problems(c));
    if (rc == 0)
        rc = change_apply(s, c, &wish, err);
    if (rc < 0 && !(c && change_problems(c)->n_errors))
        log_error("%s", err->msg);
    change_free(c);
    return rc;
}

/* The same again: what others changed in the kernel is put right, also where drift is only told. */
static int renew(struct server *s, struct err *err)
{
    struct net_plan *plan = NULL;
    struct net_set *set = NULL;
    int rc;

    forwarding_before(s, s->config);
    rc = keeper_set(s, s->config, false, &set, err);
    if (rc == 0)
        rc = keeper_plan(s, set, &plan, err);
    if (rc == 0)
        rc = keeper_apply(s, set, plan, err);
    if (rc < 0)
        net_set_free(set);
    net_plan_free(plan);
    if (rc == 0) {
        forwarding_follow(s, s->config);
        log_info("configuration reloaded: it says what it said before");
    } else {
        log_error("%s", err->msg);
    }
    return rc;
}

int reload(struct server *s, const char *by, struct err *err)
{
    _cleanup_(bundle_clearp) struct bundle bundle = {0};
    int rc;

    process_notify("RELOADING=1");
    rc = read_texts(s, &bundle, err);
    if (rc == 0) {
        rc = look_up(s, &bundle, err);
        if (rc < 0)
            log_warning("%s", err->msg);
    }
    if (rc == 1)
        rc = renew(s, err);
    else if (rc == 0)
        rc = take_over(s, &bundle, by, err);
    if (rc < 0)
        log_error("%s: not reloaded, the former configuration stays in force", s->config_path);
    process_notify("READY=1");
    return rc;
}

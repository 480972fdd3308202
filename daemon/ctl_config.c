/* The control commands about configurations; see ctl_config.h. */
#include "daemon/ctl_config.h"

#include <errno.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/log.h"
#include "daemon/change.h"
#include "daemon/confirm.h"
#include "daemon/datapath/report.h"
#include "daemon/events.h"
#include "daemon/history.h"
#include "daemon/reload.h"
#include "daemon/server.h"

#define CONFIRM_MIN_S 5
#define CONFIRM_MAX_S 86400
#define BACK_MAX      HISTORY_MAX

/* ---- who ----------------------------------------------------------------------------------- */

/* From the file alone: the name services may ask a network, and wait for it. */
static void user_name(uid_t uid, char *out, size_t size)
{
    FILE *file = fopen("/etc/passwd", "re");
    const struct passwd *pw = file ? fgetpwent(file) : NULL;

    while (pw && pw->pw_uid != uid)
        pw = fgetpwent(file);
    if (pw)
        snprintf(out, size, "%s", pw->pw_name);
    else
        snprintf(out, size, "uid %u", (unsigned int)uid);
    if (file)
        fclose(file);
}

/* Who logged in before becoming root, as the kernel's audit remembers; what follows is a hint. */
static bool login_uid(pid_t pid, uid_t *uid)
{
    unsigned int n = UINT32_MAX; /* as the kernel says that nobody did */
    char path[64];
    FILE *file;

    snprintf(path, sizeof(path), "/proc/%d/loginuid", (int)pid);
    file = fopen(path, "re");
    if (file && fscanf(file, "%u", &n) != 1)
        n = UINT32_MAX;
    if (file)
        fclose(file);
    *uid = n;
    return n != UINT32_MAX;
}

static void peer_name(const struct ctl_peer *peer, char out[HISTORY_BY_SIZE])
{
    char name[36], login[36];
    uid_t uid;

    user_name(peer->uid, name, sizeof(name));
    if (login_uid(peer->pid, &uid) && uid != peer->uid) {
        user_name(uid, login, sizeof(login));
        snprintf(out, HISTORY_BY_SIZE, "%s (%s)", name, login);
    } else {
        snprintf(out, HISTORY_BY_SIZE, "%s", name);
    }
}

/* ---- requests ------------------------------------------------------------------------------ */

/* The texts stand behind the request, one after the other. */
static int read_files(struct server *s, const json_t *request, struct bundle *out)
{
    const json_t *files = json_object_get(request, "files");
    size_t n = json_array_size(files), left;
    const char *texts = ctl_server_blob(s->ctl, &left);

    if (n == 0)
        return -EBADMSG;
    for (size_t i = 0; i < n; i++) {
        const json_t *file = json_array_get(files, i);
        const char *name = json_string_value(json_object_get(file, "name"));
        const json_int_t bytes = json_integer_value(json_object_get(file, "bytes"));
        int rc;

        if (!name || bytes < 0 || (size_t)bytes > left)
            return -EBADMSG;
        rc = bundle_add(out, name, texts, (size_t)bytes);
        if (rc < 0)
            return rc;
        texts = texts ? texts + bytes : NULL;
        left -= (size_t)bytes;
    }
    return left == 0 ? 0 : -EBADMSG;
}

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

static json_t *refuse(const struct change *c, const struct err *err)
{
    const struct problems *problems = c ? change_problems(c) : NULL;
    json_t *reply;

    if (!problems || problems->n_errors == 0)
        return ctl_reply_error(CTL_CODE_FAILED, "%s", err->msg);
    reply = ctl_reply_error(CTL_CODE_BAD_CONFIG, "%s", err->msg);
    if (reply)
        json_object_set_new(reply, "problems", problems_json(problems));
    return reply;
}

static json_t *reply_of(struct server *s, const struct change *c)
{
    json_t *reply = ctl_reply_ok(), *more = change_json(s, c);

    if (reply && more)
        json_object_update(reply, more);
    json_decref(more);
    if (reply)
        json_object_set_new(reply, "notes", problems_json(change_problems(c)));
    return reply;
}

/* Return: 0 with @out, or a refusal in @reply. */
static int plan_request(struct server *s, const json_t *request, struct change **out,
                        json_t **reply)
{
    _cleanup_(bundle_clearp) struct bundle bundle = {0};
    struct err err;
    int rc;

    *out = NULL;
    rc = read_files(s, request, &bundle);
    if (rc < 0) {
        *reply = ctl_reply_error(CTL_CODE_BAD_REQUEST, "%s",
                                 rc == -EFBIG ? "the files together are too large"
                                              : "a configuration is sent as its files");
        return rc;
    }
    rc = change_plan(s, &bundle, out, &err);
    if (rc < 0)
        *reply = refuse(*out, &err);
    return rc;
}

static json_t *on_plan(struct server *s, const json_t *request)
{
    struct change *c;
    json_t *reply = NULL;

    if (plan_request(s, request, &c, &reply) == 0)
        reply = reply_of(s, c);
    change_free(c);
    return reply;
}

/* ---- apply --------------------------------------------------------------------------------- */

static json_t *check_plan_hash(const struct change *c, const json_t *request)
{
    const char *wanted = json_string_value(json_object_get(request, "plan"));
    char hash[HISTORY_HASH_STRLEN];

    if (!json_object_get(request, "plan"))
        return NULL;
    history_hash_format(change_hash(c), hash);
    if (wanted && strlen(wanted) >= 8 && strncmp(wanted, hash, strlen(wanted)) == 0)
        return NULL;
    return ctl_reply_error(CTL_CODE_CHANGED,
                           "not applied: the file, the configuration in force or the kernel are "
                           "not what plan %.64s was made of; look at a new plan",
                           wanted ? wanted : "");
}

static json_t *check_confirm(const json_t *request, uint32_t *confirm_s)
{
    const json_t *value = json_object_get(request, "confirm_s");
    const json_int_t n = json_integer_value(value);

    *confirm_s = 0;
    if (!value)
        return NULL;
    if (n < CONFIRM_MIN_S || n > CONFIRM_MAX_S)
        return ctl_reply_error(CTL_CODE_BAD_REQUEST,
                               "a confirmation is waited for from %u s to a day", CONFIRM_MIN_S);
    *confirm_s = (uint32_t)n;
    return NULL;
}

/*
 * The same texts again, with the kernel as they say: there is nothing to keep or to go back from.
 * Not while they wait for a confirmation: to apply them again is to keep them, or to ask for
 * another while.
 */
static bool already_in_force(struct server *s, const struct change *c)
{
    const struct history_record *current = s->history ? history_current(s->history) : NULL;

    return current && change_empty(c) && !history_pending(s->history, NULL) &&
           memcmp(current->hash, change_texts_hash(c), BUNDLE_HASH_LEN) == 0;
}

static json_t *on_apply(struct server *s, const json_t *request, const struct ctl_peer *peer)
{
    char by[HISTORY_BY_SIZE];
    struct change_wish wish = {.by = by, .how = "applied"};
    struct change *c = NULL;
    json_t *reply = check_confirm(request, &wish.confirm_s);
    struct err err;

    if (reply || plan_request(s, request, &c, &reply) < 0)
        goto out;
    reply = check_plan_hash(c, request);
    if (reply)
        goto out;
    if (already_in_force(s, c)) {
        reply = reply_of(s, c);
        goto out;
    }
    reply = reply_of(s, c);
    peer_name(peer, by);
    if (change_apply(s, c, &wish, &err) < 0) {
        json_decref(reply);
        log_warning("not applied: %s", err.msg);
        reply = ctl_reply_error(CTL_CODE_FAILED, "%s", err.msg);
    } else if (reply) {
        json_object_set_new(reply, "number", json_integer(history_current(s->history)->number));
        if (wish.confirm_s)
            json_object_set_new(reply, "confirm_s", json_integer(wish.confirm_s));
    }
out:
    change_free(c);
    return reply;
}

/* ---- confirm, rollback, reload ------------------------------------------------------------- */

static json_t *on_confirm(struct server *s, const struct ctl_peer *peer)
{
    char by[HISTORY_BY_SIZE];
    struct err err;
    json_t *reply;

    if (!s->history)
        return ctl_reply_error(CTL_CODE_FAILED, "no configuration is waiting to be confirmed");
    if (history_confirm(s->history, &err) < 0)
        return ctl_reply_error(CTL_CODE_FAILED, "%s", err.msg);
    peer_name(peer, by);
    log_info("configuration %u confirmed by %s", history_current(s->history)->number, by);
    events_say(s, "confirm", json_pack("{s:s}", "by", by), "configuration confirmed by %s", by);
    reply = ctl_reply_ok();
    if (reply)
        json_object_set_new(reply, "number", json_integer(history_current(s->history)->number));
    return reply;
}

static json_t *on_rollback(struct server *s, const json_t *request, const struct ctl_peer *peer)
{
    const json_t *value = json_object_get(request, "steps");
    const json_int_t steps = value ? json_integer_value(value) : 1;
    char by[HISTORY_BY_SIZE];
    struct change *c = NULL;
    struct err err;
    json_t *reply;

    if (steps < 1 || steps > BACK_MAX)
        return ctl_reply_error(CTL_CODE_BAD_REQUEST, "go back 1 to %u steps", BACK_MAX);
    peer_name(peer, by);
    if (confirm_back(s, (unsigned int)steps, by, &c, &err) < 0)
        return ctl_reply_error(CTL_CODE_FAILED, "%s", err.msg);
    reply = reply_of(s, c);
    change_free(c);
    if (reply)
        json_object_set_new(reply, "number", json_integer(history_current(s->history)->number));
    return reply;
}

static json_t *on_reload(struct server *s, const struct ctl_peer *peer)
{
    char by[HISTORY_BY_SIZE];
    struct err err;
    int rc;

    peer_name(peer, by);
    rc = reload(s, by, &err);
    if (rc == 0)
        return ctl_reply_ok();
    return ctl_reply_error(rc == -EINVAL ? CTL_CODE_BAD_CONFIG : CTL_CODE_FAILED, "%s", err.msg);
}

/* ---- what was and is ----------------------------------------------------------------------- */

static json_t *record_json(const struct history *h, const struct history_record *r)
{
    const struct history_record *current = history_current(h);
    const bool pending = history_pending(h, NULL) && r == current;
    char hash[HISTORY_HASH_STRLEN];

    return json_pack("{s:i, s:s, s:o, s:s, s:s, s:s, s:O}", "number", (int)r->number, "state",
                     pending                        ? "pending"
                     : r == current                 ? "current"
                     : history_rejected(h, r->hash) ? "rejected"
                                                    : "former",
                     "time", report_time((time_t)r->time_s), "by", r->by, "how", r->how, "hash",
                     history_hash_format(r->hash, hash), "changes", r->changes);
}

static json_t *on_history(struct server *s)
{
    json_t *reply = ctl_reply_ok(), *list = json_array();

    for (size_t i = 0; s->history && i < history_count(s->history); i++)
        json_array_append_new(list, record_json(s->history, history_at(s->history, i)));
    json_object_set_new(reply, "history", list);
    return reply;
}

json_t *ctl_config_status(struct server *s)
{
    const struct history_record *current = s->history ? history_current(s->history) : NULL;
    uint64_t until, now = choose_boot_ms();
    json_t *out = json_pack("{s:s}", "file", s->config_path);

    if (!out || !current)
        return out;
    json_object_set_new(out, "number", json_integer(current->number));
    json_object_set_new(out, "since", report_time((time_t)current->time_s));
    json_object_set_new(out, "by", json_string(current->by));
    json_object_set_new(out, "how", json_string(current->how));
    if (history_pending(s->history, &until))
        json_object_set_new(out, "confirm_s",
                            json_integer(until > now ? (json_int_t)((until - now + 999) / 1000)
                                                     : 0));
    return out;
}

json_t *ctl_config(struct server *s, const char *cmd, const json_t *request,
                   const struct ctl_peer *peer)
{
    if (strcmp(cmd, "plan") == 0)
        return on_plan(s, request);
    if (strcmp(cmd, "apply") == 0)
        return on_apply(s, request, peer);
    if (strcmp(cmd, "confirm") == 0)
        return on_confirm(s, peer);
    if (strcmp(cmd, "rollback") == 0)
        return on_rollback(s, request, peer);
    if (strcmp(cmd, "reload") == 0)
        return on_reload(s, peer);
    if (strcmp(cmd, "history") == 0)
        return on_history(s);
    return NULL;
}

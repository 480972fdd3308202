/* Leases on their way to the disk; see lease_writer.h. */
#include "daemon/lease_writer.h"

#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "common/helper.h"
#include "common/log.h"
#include "daemon/lease_store.h"
#include "daemon/server.h"

#define BATCH          256
#define PACE_MS        100  /* between the beginnings of two writes */
#define RETRY_FIRST_MS 5000 /* after a failure, then twice as long each time */
#define RETRY_LAST_MS  60000
#define SEEN_MS        1800000 /* how often last_seen of those who are connected is written */

/*
 * CLOSED ──► OPENING ──► READY ◄──► WRITING       any failure: CLOSED, to be opened again later
 *                          └──► CLOSING ──► CLOSED, for good
 */
enum writer_state {
    WRITER_CLOSED,
    WRITER_OPENING,
    WRITER_READY,
    WRITER_WRITING,
    WRITER_CLOSING,
};

struct lease_writer {
    struct server *server;
    enum writer_state state;
    bool restored; /* the file has been read */
    bool failing;  /* and that was said */
    uint64_t due_ms, seen_ms;
    uint32_t retry_ms;
    struct err why;

    /* The helper's while OPENING, WRITING or CLOSING, ours otherwise. */
    struct helper_job job;
    const char *folder;
    uint32_t max_rows;
    struct lease_store *store;
    struct lease_row *loaded;
    size_t n_loaded;
    struct lease_row rows[BATCH];
    size_t n;
    bool load;
    int rc;
    struct err aside, err;
};

static struct lease_writer *writer_of(struct helper_job *job)
{
    return (struct lease_writer *)(void *)((char *)job - offsetof(struct lease_writer, job));
}

/* ---- failures ---------------------------------------------------------------------------------
 */

static void fail(struct lease_writer *w)
{
    w->why = w->err;
    if (!w->failing)
        log_error("%s: until this is mended, devices may not find their addresses after a restart",
                  w->err.msg);
    w->failing = true;
    w->state = WRITER_CLOSED;
    w->due_ms = w->server->now.mono_ms + w->retry_ms;
    w->retry_ms = w->retry_ms * 2 > RETRY_LAST_MS ? RETRY_LAST_MS : w->retry_ms * 2;
}

/* All that had to be written is. */
static void succeed(struct lease_writer *w)
{
    w->state = WRITER_READY;
    if (leases_unsaved(w->server->leases))
        return;
    if (w->failing)
        log_info("leases are written to %s/" LEASE_STORE_FILE " again", w->folder);
    w->failing = false;
    w->retry_ms = RETRY_FIRST_MS;
}

/* ---- opening ----------------------------------------------------------------------------------
 */

static void open_work(struct helper_job *job)
{
    struct lease_writer *w = writer_of(job);

    w->rc = lease_store_open(w->folder, w->max_rows, &w->store, &w->aside, &w->err);
    if (w->rc == 0 && w->load)
        w->rc = lease_store_load(w->store, &w->loaded, &w->n_loaded, &w->err);
    if (w->rc < 0) {
        lease_store_close(w->store);
        w->store = NULL;
    }
}

static void restore(struct lease_writer *w)
{
    struct server *s = w->server;
    size_t n = 0;

    for (size_t i = 0; i < w->n_loaded; i++) {
        const struct lease_row *row = &w->loaded[i];
        struct lease was = {.ip4 = row->ip4, .ip6 = row->ip6, .last_seen_s = row->last_seen_s};
        const struct user *user;

        /* Of a user who is not in the file any more: he may come back to it. */
        if (users_find(s->users, row->user, &was.user) < 0)
            continue;
        user = users_get(s->users, was.user);
        memcpy(was.device, row->device, sizeof(was.device));
        n += user && leases_restore(s->leases, user->conf, &was);
    }
    free(w->loaded);
    w->loaded = NULL;
    w->restored = true;
    if (n > 0)
        log_info("%zu lease%s of an earlier run", n, n == 1 ? "" : "s");
}

static void open_done(struct helper_job *job, bool cancelled)
{
    struct lease_writer *w = writer_of(job);

    if (cancelled) {
        w->state = WRITER_CLOSED;
        return;
    }
    if (w->aside.msg[0])
        log_error("%s", w->aside.msg);
    if (w->rc < 0) {
        fail(w);
        return;
    }
    if (w->load)
        restore(w);
    /* What is in the file may be older than what is in memory, or a new file be empty. */
    leases_save_all(w->server->leases);
    succeed(w);
}

static void prepare_open(struct lease_writer *w)
{
    w->job = (struct helper_job){.work = open_work, .done = open_done};
    w->load = !w->restored;
    w->state = WRITER_OPENING;
    w->aside.msg[0] = '\0';
}

/* ---- writing ----------------------------------------------------------------------------------
 */

static void write_work(struct helper_job *job)
{
    struct lease_writer *w = writer_of(job);

    w->rc = lease_store_write(w->store, w->rows, w->n, &w->err);
    if (w->rc < 0) {
        lease_store_close(w->store);
        w->store = NULL;
    }
}

static void write_done(struct helper_job *job, bool cancelled)
{
    struct lease_writer *w = writer_of(job);

    if (cancelled)
        w->state = WRITER_READY;
    else if (w->rc < 0)
        fail(w); /* when it is open again, everything is written again */
    else
        succeed(w);
}

static void collect(struct lease_writer *w)
{
    struct leases *leases = w->server->leases;
    struct lease *lease;

    for (w->n = 0; w->n < BATCH && (lease = leases_unsaved(leases)) != NULL;) {
        struct lease_row *row = &w->rows[w->n];

        leases_take_unsaved(leases, lease);
        *row = (struct lease_row){.last_seen_s = lease->last_seen_s};
        /* What another device has taken over is that one's, also on the disk. */
        if (leases_holds(leases, lease, &lease->ip4))
            row->ip4 = lease->ip4;
        if (leases_holds(leases, lease, &lease->ip6))
            row->ip6 = lease->ip6;
        if (!row->ip4.family && !row->ip6.family)
            continue;
        memcpy(row->device, lease->device, sizeof(row->device));
        strcpy(row->user, users_name(w->server->users, lease->user));
        w->n++;
    }
}

static void prepare_write(struct lease_writer *w)
{
    collect(w);
    if (w->n == 0)
        return;
    w->job = (struct helper_job){.work = write_work, .done = write_done};
    w->state = WRITER_WRITING;
}

void lease_writer_run(struct lease_writer *w)
{
    uint64_t now = w->server->now.mono_ms;

    if (now < w->due_ms)
        return;
    if (w->state == WRITER_CLOSED)
        prepare_open(w);
    else if (w->state == WRITER_READY && leases_unsaved(w->server->leases))
        prepare_write(w);
    else
        return;
    if (w->state == WRITER_READY)
        return;
    w->due_ms = now + PACE_MS;
    helper_submit(w->server->helper, &w->job);
}

uint64_t lease_writer_due_ms(const struct lease_writer *w)
{
    bool idle =
        w->state == WRITER_READY ? !leases_unsaved(w->server->leases) : w->state != WRITER_CLOSED;

    return idle ? UINT64_MAX : w->due_ms;
}

static void see_all(struct lease_writer *w)
{
    struct server *s = w->server;
    struct server_session *session = NULL;

    while ((session = sessions_each(s->sessions, session)) != NULL)
        if (session->state == SERVER_SESSION_BOUND)
            leases_seen(s->leases, session->lease, &s->now);
}

void lease_writer_tick(struct lease_writer *w)
{
    if (w->server->now.mono_ms - w->seen_ms < SEEN_MS)
        return;
    w->seen_ms = w->server->now.mono_ms;
    see_all(w);
}

const char *lease_writer_error(const struct lease_writer *w)
{
    return w->failing ? w->why.msg : NULL;
}

/* ---- begin and end ----------------------------------------------------------------------------
 */

struct lease_writer *lease_writer_new(struct server *s)
{
    struct lease_writer *w = calloc(1, sizeof(*w));

    if (!w)
        return NULL;
    w->server = s;
    w->folder = strdup(s->config->state);
    if (!w->folder) {
        free(w);
        return NULL;
    }
    w->max_rows = leases_capacity(s->leases);
    w->retry_ms = RETRY_FIRST_MS;
    w->seen_ms = s->now.mono_ms;
    /* The loop does not turn yet: nobody waits. */
    prepare_open(w);
    open_work(&w->job);
    open_done(&w->job, false);
    return w;
}

static void close_work(struct helper_job *job)
{
    lease_store_close(writer_of(job)->store);
}

static void close_done(struct helper_job *job, bool cancelled)
{
    struct lease_writer *w = writer_of(job);

    (void)cancelled;
    w->store = NULL;
    w->state = WRITER_CLOSED;
}

/* Until the helper has ended the job.  Return: false when time is up. */
static bool await(struct lease_writer *w, uint64_t until_ms)
{
    struct server *s = w->server;

    while (w->state == WRITER_OPENING || w->state == WRITER_WRITING || w->state == WRITER_CLOSING) {
        struct pollfd fd = {.fd = helper_fd(s->helper), .events = POLLIN};

        clock_read(&s->now);
        if (s->now.mono_ms >= until_ms || poll(&fd, 1, (int)(until_ms - s->now.mono_ms)) < 0)
            return false;
        helper_service(s->helper);
    }
    return true;
}

void lease_writer_free(struct lease_writer *w, uint32_t wait_ms)
{
    uint64_t until_ms;
    bool ended;

    if (!w)
        return;
    clock_read(&w->server->now);
    until_ms = w->server->now.mono_ms + wait_ms;
    see_all(w);
    ended = await(w, until_ms);
    while (ended && w->state == WRITER_READY && leases_unsaved(w->server->leases)) {
        prepare_write(w);
        if (w->state == WRITER_WRITING)
            helper_submit(w->server->helper, &w->job);
        ended = await(w, until_ms);
    }
    if (ended && w->store) {
        w->job = (struct helper_job){.work = close_work, .done = close_done};
        w->state = WRITER_CLOSING;
        helper_submit(w->server->helper, &w->job);
        ended = await(w, until_ms);
    }
    if (!ended) {
        log_warning("%s: the disk does not keep up: the last leases are not written", w->folder);
        return;
    }
    free((char *)(uintptr_t)w->folder);
    free(w);
}

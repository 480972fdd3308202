/* The applied configurations; see history.h. */
#include "daemon/history.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "daemon/history_file.h"
#include "daemon/history_record.h"

#define STATE_FILE "state.json"

struct history {
    int dir;
    char boot[HISTORY_BOOT_SIZE];
    unsigned int damaged;
    struct history_place place;
    struct history_record records[HISTORY_MAX + 1]; /* the latest first; one more while staged */
    size_t n;
    bool staged;
    struct history_record next;
    struct history_place next_place;
};

/* ---- opening ------------------------------------------------------------------------------- */

/* The latest first. */
static void record_insert(struct history *h, const struct history_record *r)
{
    size_t at = 0;

    while (at < h->n && h->records[at].number > r->number)
        at++;
    memmove(&h->records[at + 1], &h->records[at], (h->n - at) * sizeof(*h->records));
    h->records[at] = *r;
    h->n++;
}

/* The oldest of which nobody speaks goes when there are too many. */
static void prune(struct history *h)
{
    while (h->n > HISTORY_MAX) {
        size_t i = h->n - 1;
        char name[HISTORY_NAME_SIZE];

        while (i > 0 && (h->records[i].number == h->place.current ||
                         h->records[i].number == h->place.confirmed))
            i--;
        history_record_name(h->records[i].number, name);
        (void)unlinkat(h->dir, name, 0);
        history_record_clear(&h->records[i]);
        memmove(&h->records[i], &h->records[i + 1], (h->n - i - 1) * sizeof(*h->records));
        h->n--;
    }
}

static void read_record(struct history *h, const char *name)
{
    uint32_t number = (uint32_t)strtoul(name, NULL, 10);
    char expected[HISTORY_NAME_SIZE];
    struct history_record r;
    json_t *json = NULL;

    history_record_name(number, expected);
    if (number == 0 || strcmp(name, expected) != 0)
        return;
    if (history_file_read(h->dir, name, &json, NULL, NULL) == 0 &&
        history_record_parse(json, number, &r) == 0) {
        record_insert(h, &r);
        prune(h);
    } else {
        h->damaged++;
    }
    json_decref(json);
}

static int read_all(struct history *h)
{
    json_t *json = NULL;
    struct dirent *entry;
    int fd = dup(h->dir);
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    int rc;

    if (!dir) {
        rc = -errno;
        close_fdp(&fd);
        return rc;
    }
    /* First, so that pruning knows what must stay. */
    rc = history_file_read(h->dir, STATE_FILE, &json, NULL, NULL);
    if (rc == 0)
        rc = history_place_parse(json, &h->place);
    if (rc < 0 && rc != -ENOENT)
        h->damaged++;
    json_decref(json);
    while ((entry = readdir(dir)) != NULL) {
        if (!strstr(entry->d_name, HISTORY_TEMPORARY))
            read_record(h, entry->d_name);
    }
    closedir(dir);
    return 0;
}

void history_clean(struct history *h)
{
    struct dirent *entry;
    int fd = dup(h->dir);
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);

    if (!dir) {
        close_fdp(&fd);
        return;
    }
    rewinddir(dir);
    while ((entry = readdir(dir)) != NULL)
        if (strstr(entry->d_name, HISTORY_TEMPORARY))
            (void)unlinkat(h->dir, entry->d_name, 0);
    closedir(dir);
}

int history_open(struct history **out, const char *state, const char *boot, struct err *err)
{
    struct history *h = calloc(1, sizeof(*h));
    _cleanup_(free_p) char *path = NULL;
    int rc;

    if (!h || asprintf(&path, "%s/history", state) < 0) {
        path = NULL;
        free(h);
        return err_set(err, -ENOMEM, "no memory for the history");
    }
    snprintf(h->boot, sizeof(h->boot), "%s", boot);
    h->dir = -1;
    rc = mkdir(path, 0750) < 0 && errno != EEXIST ? -errno : 0;
    if (rc == 0) {
        h->dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        rc = h->dir < 0 ? -errno : read_all(h);
    }
    if (rc < 0) {
        history_free(h);
        return err_set(err, rc, "%s: the applied configurations cannot be kept there: %s", path,
                       strerror(-rc));
    }
    *out = h;
    return 0;
}

void history_free(struct history *h)
{
    if (!h)
        return;
    history_abort(h);
    for (size_t i = 0; i < h->n; i++)
        history_record_clear(&h->records[i]);
    close_fdp(&h->dir);
    free(h);
}

/* ---- questions ----------------------------------------------------------------------------- */

unsigned int history_damaged(const struct history *h)
{
    return h->damaged;
}

size_t history_count(const struct history *h)
{
    return h->n;
}

const struct history_record *history_at(const struct history *h, size_t i)
{
    return i < h->n ? &h->records[i] : NULL;
}

static const struct history_record *numbered(const struct history *h, uint32_t number)
{
    for (size_t i = 0; number && i < h->n; i++)
        if (h->records[i].number == number)
            return &h->records[i];
    return NULL;
}

const struct history_record *history_current(const struct history *h)
{
    return numbered(h, h->place.current);
}

const struct history_record *history_confirmed(const struct history *h)
{
    return numbered(h, h->place.confirmed);
}

bool history_pending(const struct history *h, uint64_t *until_ms)
{
    if (!h->place.until_ms || !history_current(h))
        return false;
    if (until_ms)
        *until_ms = h->place.until_ms;
    return true;
}

bool history_rejected(const struct history *h, const uint8_t hash[BUNDLE_HASH_LEN])
{
    return history_place_rejects(&h->place, hash);
}

const struct history_record *history_back(const struct history *h, unsigned int n)
{
    const struct history_record *now = history_current(h), *confirmed = history_confirmed(h);
    const struct history_record *last = now;

    if (n == 0)
        return NULL;
    if (history_pending(h, NULL) && confirmed) {
        if (--n == 0)
            return confirmed;
        last = confirmed;
    }
    for (size_t i = 0; i < h->n; i++) {
        const struct history_record *r = &h->records[i];

        /* The same contents again and again are one step. */
        if (!last || r->number >= last->number || history_hash_equal(r->hash, last->hash) ||
            (now && history_hash_equal(r->hash, now->hash)) || history_rejected(h, r->hash))
            continue;
        if (--n == 0)
            return r;
        last = r;
    }
    return NULL;
}

enum history_verdict history_judge(const struct history *h, const uint8_t file[BUNDLE_HASH_LEN],
                                   uint64_t now_ms)
{
    const struct history_record *now = history_current(h), *confirmed = history_confirmed(h);

    if (!confirmed)
        return HISTORY_RUN_FILE;
    if (now && history_pending(h, NULL)) {
        const bool in_time = strcmp(h->place.boot, h->boot) == 0 && now_ms < h->place.until_ms;

        if (in_time &&
            (history_hash_equal(file, now->hash) || history_hash_equal(file, confirmed->hash)))
            return HISTORY_RUN_PENDING;
        if (history_hash_equal(file, now->hash))
            return HISTORY_RUN_CONFIRMED;
    }
    return history_rejected(h, file) ? HISTORY_RUN_CONFIRMED : HISTORY_RUN_FILE;
}

/* ---- a record's texts ---------------------------------------------------------------------- */

int history_load(const struct history *h, uint32_t number, struct bundle *out, struct err *err)
{
    _cleanup_(free_p) char *texts = NULL;
    char name[HISTORY_NAME_SIZE];
    json_t *json = NULL;
    size_t len = 0;
    int rc;

    history_record_name(number, name);
    rc = history_file_read(h->dir, name, &json, &texts, &len);
    if (rc == 0)
        rc = history_record_texts(json, texts, len, out);
    json_decref(json);
    if (rc == 0)
        return 0;
    bundle_clear(out);
    return err_set(err, rc, "configuration %u of the history cannot be read: %s", number,
                   rc == -EBADMSG ? "it is damaged" : strerror(-rc));
}

/* ---- changes ------------------------------------------------------------------------------- */

static uint32_t next_number(const struct history *h)
{
    uint32_t last = h->place.current > h->place.confirmed ? h->place.current : h->place.confirmed;

    if (h->n && h->records[0].number > last)
        last = h->records[0].number;
    return last + 1;
}

static void next_fill(struct history *h, const struct bundle *bundle,
                      const struct history_note *note)
{
    const struct history_record *now = history_current(h);
    struct history_record *r = &h->next;
    struct history_place *p = &h->next_place;

    *r = (struct history_record){.number = next_number(h), .time_s = note->time_s};
    bundle_hash(bundle, r->hash);
    snprintf(r->by, sizeof(r->by), "%s", note->by);
    snprintf(r->how, sizeof(r->how), "%s", note->how);
    r->changes = note->changes ? json_deep_copy(note->changes) : json_array();

    *p = h->place;
    if (note->reject && now && !history_hash_equal(now->hash, r->hash))
        history_place_reject(p, now->hash);
    history_place_accept(p, r->hash);
    p->current = r->number;
    p->until_ms = note->until_ms;
    if (note->until_ms)
        memcpy(p->boot, h->boot, sizeof(p->boot));
    else
        p->confirmed = r->number;
}

int history_stage(struct history *h, const struct bundle *bundle, const struct history_note *note,
                  struct err *err)
{
    char name[HISTORY_NAME_SIZE];
    json_t *json;
    int rc;

    history_abort(h);
    next_fill(h, bundle, note);
    h->staged = true;
    history_record_name(h->next.number, name);
    json = h->next.changes ? history_record_json(&h->next, bundle) : NULL;
    rc = json ? history_file_stage(h->dir, name, json, bundle) : -ENOMEM;
    json_decref(json);
    if (rc == 0) {
        json = history_place_json(&h->next_place);
        rc = json ? history_file_stage(h->dir, STATE_FILE, json, NULL) : -ENOMEM;
        json_decref(json);
    }
    if (rc == 0)
        return 0;
    history_abort(h);
    return err_set(err, rc, "the configuration cannot be kept in the state folder: %s%s",
                   strerror(-rc), rc == -ENOSPC ? " (make room there and apply again)" : "");
}

int history_commit(struct history *h, struct err *err)
{
    char name[HISTORY_NAME_SIZE];
    int rc;

    if (!h->staged)
        return err_set(err, -EINVAL, "nothing was staged");
    history_record_name(h->next.number, name);
    rc = history_file_commit(h->dir, name);
    if (rc == 0)
        rc = history_file_commit(h->dir, STATE_FILE);
    /* What runs is what runs, whatever the disk says: later questions are about that. */
    h->staged = false;
    h->place = h->next_place;
    record_insert(h, &h->next);
    prune(h);
    h->next = (struct history_record){0};
    return rc == 0 ? 0 : err_set(err, rc, "the state folder cannot be written: %s", strerror(-rc));
}

void history_abort(struct history *h)
{
    char name[HISTORY_NAME_SIZE];

    if (!h->staged)
        return;
    history_record_name(h->next.number, name);
    history_file_abort(h->dir, name);
    history_file_abort(h->dir, STATE_FILE);
    history_record_clear(&h->next);
    h->staged = false;
}

int history_confirm(struct history *h, struct err *err)
{
    struct history_place next = h->place;
    json_t *json;
    int rc;

    if (!history_pending(h, NULL))
        return err_set(err, -ENOENT, "no configuration is waiting to be confirmed");
    next.confirmed = next.current;
    next.until_ms = 0;
    next.boot[0] = '\0';
    json = history_place_json(&next);
    rc = json ? history_file_stage(h->dir, STATE_FILE, json, NULL) : -ENOMEM;
    json_decref(json);
    if (rc == 0)
        rc = history_file_commit(h->dir, STATE_FILE);
    if (rc < 0)
        return err_set(err, rc, "the confirmation cannot be kept in the state folder: %s",
                       strerror(-rc));
    h->place = next;
    return 0;
}

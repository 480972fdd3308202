/* The applied configurations; see history.h. */
#include "daemon/history.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "daemon/history_file.h"

#define FORMAT     1
#define BOOT_SIZE  40
#define STATE_FILE "state.json"

/* Which record is what.  Small enough to be copied for the next one. */
struct place {
    uint32_t current, confirmed;                             /* numbers; 0: none */
    uint64_t until_ms;                                       /* when current is not confirmed */
    char boot[BOOT_SIZE];                                    /* whose clock until_ms is on */
    uint8_t rejected[HISTORY_REJECTED_MAX][BUNDLE_HASH_LEN]; /* the oldest first */
    size_t n_rejected;
};

struct history {
    int dir;
    char boot[BOOT_SIZE];
    unsigned int damaged;
    struct place place;
    struct history_record records[HISTORY_MAX + 1]; /* the latest first; one more while staged */
    size_t n;
    bool staged;
    struct history_record next;
    struct place next_place;
};

/* ---- small things -------------------------------------------------------------------------- */

const char *history_hash_format(const uint8_t hash[BUNDLE_HASH_LEN], char text[HISTORY_HASH_STRLEN])
{
    return sodium_bin2hex(text, HISTORY_HASH_STRLEN, hash, BUNDLE_HASH_LEN);
}

static int hash_parse(const json_t *text, uint8_t hash[BUNDLE_HASH_LEN])
{
    const char *hex = json_string_value(text);
    size_t len = 0;

    if (!hex || sodium_hex2bin(hash, BUNDLE_HASH_LEN, hex, strlen(hex), NULL, &len, NULL) != 0 ||
        len != BUNDLE_HASH_LEN)
        return -EBADMSG;
    return 0;
}

static bool hash_equal(const uint8_t *a, const uint8_t *b)
{
    return memcmp(a, b, BUNDLE_HASH_LEN) == 0;
}

static void record_name(uint32_t number, char name[HISTORY_NAME_SIZE])
{
    snprintf(name, HISTORY_NAME_SIZE, "%010" PRIu32 ".json", number);
}

/* ---- a record as JSON ---------------------------------------------------------------------- */

static json_t *record_json(const struct history_record *r, const struct bundle *bundle)
{
    char hash[HISTORY_HASH_STRLEN];
    json_t *files = json_array();

    for (size_t i = 0; i < bundle->n; i++)
        json_array_append_new(files, json_pack("{s:s, s:I}", "name", bundle->files[i].name, "bytes",
                                               (json_int_t)bundle->files[i].len));
    return json_pack("{s:i, s:I, s:s, s:I, s:s, s:s, s:O, s:o}", "version", FORMAT, "number",
                     (json_int_t)r->number, "hash", history_hash_format(r->hash, hash), "time",
                     (json_int_t)r->time_s, "by", r->by, "how", r->how, "changes", r->changes,
                     "files", files);
}

static bool lines_valid(const json_t *lines)
{
    if (!json_is_array(lines))
        return false;
    for (size_t i = 0; i < json_array_size(lines); i++)
        if (!json_is_string(json_array_get(lines, i)))
            return false;
    return true;
}

static int record_parse(const json_t *json, uint32_t number, struct history_record *out)
{
    const char *by = json_string_value(json_object_get(json, "by"));
    const char *how = json_string_value(json_object_get(json, "how"));
    const json_t *time = json_object_get(json, "time");
    json_t *changes = json_object_get(json, "changes");

    *out = (struct history_record){.number = number};
    if (json_integer_value(json_object_get(json, "version")) != FORMAT ||
        json_integer_value(json_object_get(json, "number")) != (json_int_t)number || !by || !how ||
        !json_is_integer(time) || !lines_valid(changes) ||
        hash_parse(json_object_get(json, "hash"), out->hash) < 0)
        return -EBADMSG;
    out->time_s = json_integer_value(time);
    snprintf(out->by, sizeof(out->by), "%s", by);
    snprintf(out->how, sizeof(out->how), "%s", how);
    out->changes = json_incref(changes);
    return 0;
}

static void record_clear(struct history_record *r)
{
    json_decref(r->changes);
    *r = (struct history_record){0};
}

/* The texts stand one behind the other. */
static int bundle_of(const json_t *json, const char *texts, size_t len, struct bundle *out)
{
    const json_t *files = json_object_get(json, "files");

    if (!json_is_array(files) || json_array_size(files) == 0)
        return -EBADMSG;
    for (size_t i = 0; i < json_array_size(files); i++) {
        const json_t *file = json_array_get(files, i);
        const char *name = json_string_value(json_object_get(file, "name"));
        const json_int_t bytes = json_integer_value(json_object_get(file, "bytes"));
        int rc;

        if (!name || bytes < 0 || (size_t)bytes > len)
            return -EBADMSG;
        rc = bundle_add(out, name, texts, (size_t)bytes);
        if (rc < 0)
            return rc;
        texts += bytes;
        len -= (size_t)bytes;
    }
    return len == 0 ? 0 : -EBADMSG;
}

int history_load(const struct history *h, uint32_t number, struct bundle *out, struct err *err)
{
    _cleanup_(free_p) char *texts = NULL;
    uint8_t hash[BUNDLE_HASH_LEN], want[BUNDLE_HASH_LEN];
    char name[HISTORY_NAME_SIZE];
    json_t *json = NULL;
    size_t len = 0;
    int rc;

    record_name(number, name);
    rc = history_file_read(h->dir, name, &json, &texts, &len);
    if (rc == 0)
        rc = bundle_of(json, texts, len, out);
    if (rc == 0)
        rc = hash_parse(json_object_get(json, "hash"), want);
    json_decref(json);
    if (rc == 0) {
        bundle_hash(out, hash);
        rc = hash_equal(hash, want) ? 0 : -EBADMSG;
    }
    if (rc == 0)
        return 0;
    bundle_clear(out);
    return err_set(err, rc, "configuration %u of the history cannot be read: %s", number,
                   rc == -EBADMSG ? "it is damaged" : strerror(-rc));
}

/* ---- the place ----------------------------------------------------------------------------- */

static json_t *place_json(const struct place *p)
{
    json_t *rejected = json_array(), *out;
    char hash[HISTORY_HASH_STRLEN];

    for (size_t i = 0; i < p->n_rejected; i++)
        json_array_append_new(rejected, json_string(history_hash_format(p->rejected[i], hash)));
    out = json_pack("{s:i, s:I, s:I, s:o}", "version", FORMAT, "current", (json_int_t)p->current,
                    "confirmed", (json_int_t)p->confirmed, "rejected", rejected);
    if (out && p->until_ms)
        json_object_set_new(out, "pending",
                            json_pack("{s:s, s:I}", "boot", p->boot, "until_ms",
                                      (json_int_t)p->until_ms));
    return out;
}

static int place_parse(const json_t *json, struct place *out)
{
    const json_t *current = json_object_get(json, "current");
    const json_t *confirmed = json_object_get(json, "confirmed");
    const json_t *rejected = json_object_get(json, "rejected");
    const json_t *pending = json_object_get(json, "pending");
    const char *boot = json_string_value(json_object_get(pending, "boot"));
    const json_int_t until = json_integer_value(json_object_get(pending, "until_ms"));

    *out = (struct place){0};
    if (json_integer_value(json_object_get(json, "version")) != FORMAT ||
        !json_is_integer(current) || !json_is_integer(confirmed) || !json_is_array(rejected) ||
        json_integer_value(current) < 0 || json_integer_value(current) > UINT32_MAX ||
        json_integer_value(confirmed) < 0 || json_integer_value(confirmed) > UINT32_MAX ||
        json_array_size(rejected) > HISTORY_REJECTED_MAX || (pending && (!boot || until <= 0)))
        return -EBADMSG;
    for (size_t i = 0; i < json_array_size(rejected); i++)
        if (hash_parse(json_array_get(rejected, i), out->rejected[out->n_rejected++]) < 0)
            return -EBADMSG;
    out->current = (uint32_t)json_integer_value(current);
    out->confirmed = (uint32_t)json_integer_value(confirmed);
    if (pending) {
        out->until_ms = (uint64_t)until;
        snprintf(out->boot, sizeof(out->boot), "%s", boot);
    }
    return 0;
}

static size_t rejected_find(const struct place *p, const uint8_t *hash)
{
    size_t i = 0;

    while (i < p->n_rejected && !hash_equal(p->rejected[i], hash))
        i++;
    return i;
}

static void rejected_remove(struct place *p, const uint8_t *hash)
{
    const size_t i = rejected_find(p, hash);

    if (i == p->n_rejected)
        return;
    memmove(p->rejected[i], p->rejected[i + 1], (p->n_rejected - i - 1) * BUNDLE_HASH_LEN);
    p->n_rejected--;
}

static void rejected_add(struct place *p, const uint8_t *hash)
{
    rejected_remove(p, hash);
    if (p->n_rejected == HISTORY_REJECTED_MAX)
        rejected_remove(p, p->rejected[0]);
    memcpy(p->rejected[p->n_rejected++], hash, BUNDLE_HASH_LEN);
}

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
        record_name(h->records[i].number, name);
        (void)unlinkat(h->dir, name, 0);
        record_clear(&h->records[i]);
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

    record_name(number, expected);
    if (number == 0 || strcmp(name, expected) != 0)
        return;
    if (history_file_read(h->dir, name, &json, NULL, NULL) == 0 &&
        record_parse(json, number, &r) == 0) {
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
        rc = place_parse(json, &h->place);
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
        record_clear(&h->records[i]);
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

const struct history_record *history_find(const struct history *h,
                                          const uint8_t hash[BUNDLE_HASH_LEN])
{
    for (size_t i = 0; i < h->n; i++)
        if (hash_equal(h->records[i].hash, hash))
            return &h->records[i];
    return NULL;
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
    return rejected_find(&h->place, hash) < h->place.n_rejected;
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
        if (!last || r->number >= last->number || hash_equal(r->hash, last->hash) ||
            (now && hash_equal(r->hash, now->hash)) || history_rejected(h, r->hash))
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

        if (in_time && (hash_equal(file, now->hash) || hash_equal(file, confirmed->hash)))
            return HISTORY_RUN_PENDING;
        if (hash_equal(file, now->hash))
            return HISTORY_RUN_CONFIRMED;
    }
    return history_rejected(h, file) ? HISTORY_RUN_CONFIRMED : HISTORY_RUN_FILE;
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
    struct place *p = &h->next_place;

    *r = (struct history_record){.number = next_number(h), .time_s = note->time_s};
    bundle_hash(bundle, r->hash);
    snprintf(r->by, sizeof(r->by), "%s", note->by);
    snprintf(r->how, sizeof(r->how), "%s", note->how);
    r->changes = note->changes ? json_deep_copy(note->changes) : json_array();

    *p = h->place;
    if (note->reject && now && !hash_equal(now->hash, r->hash))
        rejected_add(p, now->hash);
    rejected_remove(p, r->hash);
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
    record_name(h->next.number, name);
    json = h->next.changes ? record_json(&h->next, bundle) : NULL;
    rc = json ? history_file_stage(h->dir, name, json, bundle) : -ENOMEM;
    json_decref(json);
    if (rc == 0) {
        json = place_json(&h->next_place);
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
    record_name(h->next.number, name);
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
    record_name(h->next.number, name);
    history_file_abort(h->dir, name);
    history_file_abort(h->dir, STATE_FILE);
    record_clear(&h->next);
    h->staged = false;
}

int history_confirm(struct history *h, struct err *err)
{
    struct place next = h->place;
    json_t *json;
    int rc;

    if (!history_pending(h, NULL))
        return err_set(err, -ENOENT, "no configuration is waiting to be confirmed");
    next.confirmed = next.current;
    next.until_ms = 0;
    next.boot[0] = '\0';
    json = place_json(&next);
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

/* What the history's files say; see history_record.h. */
#include "daemon/history_record.h"

#include <errno.h>
#include <inttypes.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>

#define FORMAT 1

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

bool history_hash_equal(const uint8_t *a, const uint8_t *b)
{
    return memcmp(a, b, BUNDLE_HASH_LEN) == 0;
}

void history_record_name(uint32_t number, char name[HISTORY_NAME_SIZE])
{
    snprintf(name, HISTORY_NAME_SIZE, "%010" PRIu32 ".json", number);
}

/* ---- a record as JSON ---------------------------------------------------------------------- */

json_t *history_record_json(const struct history_record *r, const struct bundle *bundle)
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

int history_record_parse(const json_t *json, uint32_t number, struct history_record *out)
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

void history_record_clear(struct history_record *r)
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

int history_record_texts(const json_t *json, const char *texts, size_t len, struct bundle *out)
{
    uint8_t hash[BUNDLE_HASH_LEN], want[BUNDLE_HASH_LEN];
    int rc = bundle_of(json, texts, len, out);

    if (rc == 0)
        rc = hash_parse(json_object_get(json, "hash"), want);
    if (rc < 0)
        return rc;
    bundle_hash(out, hash);
    return history_hash_equal(hash, want) ? 0 : -EBADMSG;
}

/* ---- the place ----------------------------------------------------------------------------- */

json_t *history_place_json(const struct history_place *p)
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

int history_place_parse(const json_t *json, struct history_place *out)
{
    const json_t *current = json_object_get(json, "current");
    const json_t *confirmed = json_object_get(json, "confirmed");
    const json_t *rejected = json_object_get(json, "rejected");
    const json_t *pending = json_object_get(json, "pending");
    const char *boot = json_string_value(json_object_get(pending, "boot"));
    const json_int_t until = json_integer_value(json_object_get(pending, "until_ms"));

    *out = (struct history_place){0};
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

static size_t find_rejected(const struct history_place *p, const uint8_t *hash)
{
    size_t i = 0;

    while (i < p->n_rejected && !history_hash_equal(p->rejected[i], hash))
        i++;
    return i;
}

bool history_place_rejects(const struct history_place *p, const uint8_t hash[BUNDLE_HASH_LEN])
{
    return find_rejected(p, hash) < p->n_rejected;
}

void history_place_accept(struct history_place *p, const uint8_t *hash)
{
    const size_t i = find_rejected(p, hash);

    if (i == p->n_rejected)
        return;
    memmove(p->rejected[i], p->rejected[i + 1], (p->n_rejected - i - 1) * BUNDLE_HASH_LEN);
    p->n_rejected--;
}

void history_place_reject(struct history_place *p, const uint8_t *hash)
{
    history_place_accept(p, hash);
    if (p->n_rejected == HISTORY_REJECTED_MAX)
        history_place_accept(p, p->rejected[0]);
    memcpy(p->rejected[p->n_rejected++], hash, BUNDLE_HASH_LEN);
}

/* Which configuration is true when the server starts; see choose.h. */
#include "daemon/choose.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/arena.h"
#include "common/cleanup.h"
#include "daemon/config_keep.h"
#include "daemon/history.h"

#define STATE_DEFAULT  "/var/lib/vpn"
#define SOCKET_DEFAULT "/run/vpn/vpn.sock"
#define BOOT_ID        "/proc/sys/kernel/random/boot_id"

uint64_t choose_boot_ms(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_BOOTTIME, &ts);
    return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

static void say(struct chosen *out, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

static void say(struct chosen *out, const char *fmt, ...)
{
    const size_t used = strlen(out->said);
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(out->said + used, sizeof(out->said) - used, fmt, ap);
    va_end(ap);
}

/* ---- a file that cannot be understood ------------------------------------------------------- */

/* From behind "key:" to the end of the line, without quotes and comment. */
static void value_copy(const char *text, const char *end, char *out, size_t size)
{
    size_t len;

    while (text < end && (*text == ' ' || *text == '\t' || *text == '"' || *text == '\''))
        text++;
    for (len = 0; text + len < end && len + 1 < size; len++)
        if (text[len] == '"' || text[len] == '\'' || text[len] == '#' || text[len] == ' ' ||
            text[len] == '\r')
            break;
    memcpy(out, text, len);
    out[len] = '\0';
}

static bool scan_text(const struct bundle_file *file, const char *key, char *out, size_t size)
{
    const char *line = file->text, *last = file->text + file->len;
    const size_t len = strlen(key);
    bool found = false;

    while (line < last) {
        const char *end = memchr(line, '\n', (size_t)(last - line));

        if (!end)
            end = last;
        if ((size_t)(end - line) > len && memcmp(line, key, len) == 0 && line[len] == ':') {
            value_copy(line + len + 1, end, out, size);
            found = out[0] != '\0';
        }
        line = end + 1;
    }
    return found;
}

bool choose_scan(const struct bundle *bundle, const char *key, char *out, size_t size)
{
    bool found = false;

    for (size_t i = 0; i < bundle->n; i++)
        found |= scan_text(&bundle->files[i], key, out, size);
    return found;
}

static bool wants_last_good(const struct bundle *bundle)
{
    char word[32];

    return !choose_scan(bundle, "on-invalid", word, sizeof(word)) || strcmp(word, "refuse") != 0;
}

/* ---- the history ---------------------------------------------------------------------------- */

static void boot_id(char out[64])
{
    _cleanup_(close_fdp) int fd = open(BOOT_ID, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, out, 63);

    out[n > 0 ? n : 0] = '\0';
    out[strcspn(out, "\n")] = '\0';
}

static void open_history(const char *state, struct account account, struct history **history,
                         struct chosen *out)
{
    char boot[64], folder[PATH_MAX];
    struct err err;
    int rc = process_folder(state, account, 0750, &err);

    snprintf(folder, sizeof(folder), "%s/history", state);
    boot_id(boot);
    /* Made as root, for whom the server is going to be. */
    if (rc == 0)
        rc = process_folder(folder, account, 0750, &err);
    if (rc == 0)
        rc = history_open(history, state, boot, &err);
    if (rc < 0)
        say(out, "%s: no configuration can be applied before that is mended. ", err.msg);
    else if (history_damaged(*history))
        say(out, "%u files below %s are damaged and not used. ", history_damaged(*history), folder);
}

/* Put a record of the history in the place of the file, whose configuration stays the caller's. */
static int take_record(const struct history *history, const struct history_record *record,
                       struct config **config, struct chosen *out)
{
    _cleanup_(bundle_clearp) struct bundle bundle = {0};
    struct problems problems = {0};
    struct config *other = NULL;
    struct err err;
    int rc;

    if (!record)
        return -ENOENT;
    rc = history_load(history, record->number, &bundle, &err);
    if (rc == 0) {
        rc = config_read(&bundle, &other, &problems);
        if (rc < 0)
            err_set(&err, rc, "configuration %u of the history is wrong for this release: %s",
                    record->number, problems.n ? problems.items[0].text : "");
        problems_clear(&problems);
    }
    if (rc < 0) {
        say(out, "%s. ", err.msg);
        return rc;
    }
    *config = other;
    bundle_clear(&out->bundle);
    bundle_move(&out->bundle, &bundle);
    return 0;
}

static void when(int64_t time_s, char out[32])
{
    const time_t t = time_s;
    struct tm tm;

    if (!gmtime_r(&t, &tm) || strftime(out, 32, "%Y-%m-%dT%H:%M:%SZ", &tm) == 0)
        out[0] = '\0';
}

/* Go back to what was confirmed last.  @why begins the sentence. */
static int take_confirmed(const struct history *history, const char *why, struct config **config,
                          struct chosen *out)
{
    const struct history_record *confirmed = history_confirmed(history);
    const bool back = history_current(history) != confirmed;
    char time[32];
    int rc = take_record(history, confirmed, config, out);

    if (rc < 0)
        return rc;
    when(confirmed->time_s, time);
    say(out, "%s: running the configuration that was confirmed last (number %u, of %s)", why,
        confirmed->number, time);
    out->how = back ? "rolled back" : NULL;
    out->reject = back;
    return 0;
}

static void ask_history(const struct history *history, const char *path, struct config **config,
                        struct chosen *out)
{
    const struct history_record *current = history_current(history);
    uint8_t hash[BUNDLE_HASH_LEN];
    char why[256];

    bundle_hash(&out->bundle, hash);
    if (!current || memcmp(current->hash, hash, sizeof(hash)) != 0)
        out->how = "started";
    switch (history_judge(history, hash, choose_boot_ms())) {
    case HISTORY_RUN_FILE:
        break;
    case HISTORY_RUN_PENDING:
        if (!current || take_record(history, current, config, out) < 0)
            break;
        out->how = NULL;
        say(out, "configuration %u still waits for its confirmation", current->number);
        break;
    case HISTORY_RUN_CONFIRMED:
        snprintf(why, sizeof(why), "what %.200s says was rolled back", path);
        (void)take_confirmed(history, why, config, out);
        break;
    }
}

/* ---- whose paths ---------------------------------------------------------------------------- */

/* Is it the account's, or not there in a folder that is? */
static bool is_of(struct account account, const char *path)
{
    char copy[PATH_MAX];
    struct stat st;

    if (lstat(path, &st) == 0)
        return S_ISREG(st.st_mode) && st.st_uid == account.uid;
    if (errno != ENOENT)
        return false;
    snprintf(copy, sizeof(copy), "%s", path);
    return stat(dirname(copy), &st) == 0 && st.st_uid == account.uid;
}

static bool folder_exists(const char *path)
{
    char copy[PATH_MAX];

    snprintf(copy, sizeof(copy), "%s", path);
    return access(dirname(copy), F_OK) == 0;
}

/*
 * Root opens and makes at a start what the configuration names, and gives it to the daemon's
 * account.  Records lie in a folder of that account, and members of the control group send them: so
 * the paths are the file's, and where that is wrong those that are the account's already.
 */
static int confine(struct config *config, const struct config *file, const char *state,
                   struct account account, struct chosen *out)
{
    char kept[CONFIG_KEEP_SIZE];
    int rc = file ? config_keep_paths(config, file, kept) : 0;

    if (file && rc == 0 && kept[0])
        say(out, "; with %s of the file", kept);
    if (file || geteuid() != 0)
        return rc;
    config->state = arena_strdup(config->arena, state);
    if (config->log_file && !is_of(account, config->log_file)) {
        say(out, "; its log file %.128s is not opened, as it is not its own", config->log_file);
        config->log_file = NULL;
    }
    if (!folder_exists(config->control_socket))
        config->control_socket = SOCKET_DEFAULT;
    return config->state ? 0 : -ENOMEM;
}

int choose(const char *path, struct account account, struct history **history,
           struct config **config, struct chosen *out, struct problems *problems)
{
    char state[PATH_MAX] = STATE_DEFAULT, why[256];
    struct config *file = NULL;
    int rc = bundle_read(path, &out->bundle, problems);

    if (rc == 0)
        rc = config_read(&out->bundle, &file, problems);
    *config = file;
    /* One that is not there is a mistake of another kind. */
    if (rc < 0 && rc != -EINVAL)
        return rc;
    if (rc == 0)
        snprintf(state, sizeof(state), "%s", file->state);
    else
        (void)choose_scan(&out->bundle, "state", state, sizeof(state));
    if (rc == 0 || access(state, F_OK) == 0)
        open_history(state, account, history, out);
    if (rc == 0 && *history)
        ask_history(*history, path, config, out);
    if (rc < 0 && *history && wants_last_good(&out->bundle)) {
        snprintf(why, sizeof(why), "%.200s is wrong", path);
        rc = take_confirmed(*history, why, config, out) == 0 ? 0 : rc;
    }
    if (*config != file) {
        if (rc == 0)
            rc = confine(*config, file, state, account, out);
        config_free(file);
    }
    return rc;
}

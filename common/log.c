/*
 * Log lines.
 *
 * Theory of operation: a line is put together in a buffer on the stack and leaves in one write(2)
 * on an O_APPEND file or standard error, so the kernel keeps lines of several threads and processes
 * apart and no lock is held while writing.  The only shared state is the destination; reopening
 * puts the new file under the same descriptor number by dup3(), which is atomic, so a thread in
 * the middle of a line writes to the old file or the new one and never to a closed descriptor.
 */
#include "common/log.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "common/text.h"

#define LOG_TEXT_MAX 1024
/* Prefix, and at worst four characters (\xNN) for each byte of the text. */
#define LOG_LINE_MAX (64 + 4 * LOG_TEXT_MAX)

enum log_style {
    LOG_STYLE_UNKNOWN,
    LOG_STYLE_PLAIN,   /* "error: text" */
    LOG_STYLE_JOURNAL, /* "<3>text" */
    LOG_STYLE_FILE,    /* "2026-01-31T12:00:00.123+01:00 error: text" */
};

static const char *const level_names[] = {
    [LOG_LEVEL_ERROR] = "error",
    [LOG_LEVEL_WARNING] = "warning",
    [LOG_LEVEL_INFO] = "info",
    [LOG_LEVEL_DEBUG] = "debug",
};
static_assert(sizeof(level_names) / sizeof(level_names[0]) == LOG_LEVEL_NUM, "name every level");

/* The numbers of syslog(3) that journald reads in front of a line (sd-daemon(3)). */
static const int level_priority[] = {
    [LOG_LEVEL_ERROR] = 3,
    [LOG_LEVEL_WARNING] = 4,
    [LOG_LEVEL_INFO] = 6,
    [LOG_LEVEL_DEBUG] = 7,
};
static_assert(sizeof(level_priority) / sizeof(level_priority[0]) == LOG_LEVEL_NUM, "all levels");

static atomic_int log_level = LOG_LEVEL_INFO;
static atomic_int log_fd = STDERR_FILENO;
static atomic_int log_style = LOG_STYLE_UNKNOWN;
/* Changed by log_open_file() and log_close() only, which the main thread calls. */
static char log_path[PATH_MAX];

void log_set_level(enum log_level level)
{
    atomic_store(&log_level, (int)level);
}

int log_enabled(enum log_level level)
{
    return (int)level <= atomic_load(&log_level);
}

static int open_append(const char *path, struct err *err)
{
    int fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NOCTTY, 0640);

    if (fd < 0) {
        int rc = -errno;

        return err_set(err, rc, "cannot open the log file %s: %s", path, strerror(-rc));
    }
    return fd;
}

int log_open_file(const char *path, struct err *err)
{
    int fd, old;

    if (strlen(path) >= sizeof(log_path))
        return err_set(err, -ENAMETOOLONG, "the log file's path is longer than %zu bytes",
                       sizeof(log_path) - 1);
    fd = open_append(path, err);
    if (fd < 0)
        return fd;

    old = atomic_load(&log_fd);
    if (old == STDERR_FILENO) {
        atomic_store(&log_style, LOG_STYLE_FILE);
        atomic_store(&log_fd, fd);
    } else {
        if (dup3(fd, old, O_CLOEXEC) < 0) {
            int rc = -errno;

            close(fd);
            return err_set(err, rc, "cannot switch to the log file %s: %s", path, strerror(-rc));
        }
        close(fd);
    }
    memmove(log_path, path, strlen(path) + 1);
    return 0;
}

int log_reopen(struct err *err)
{
    return atomic_load(&log_fd) == STDERR_FILENO ? 0 : log_open_file(log_path, err);
}

void log_close(void)
{
    int old = atomic_exchange(&log_fd, STDERR_FILENO);

    atomic_store(&log_style, LOG_STYLE_UNKNOWN);
    log_path[0] = '\0';
    if (old != STDERR_FILENO)
        close(old);
}

/* systemd names the journal's stream by device and inode, so a redirection is not taken for it. */
static bool stderr_is_journal(void)
{
    const char *stream = getenv("JOURNAL_STREAM");
    unsigned long long dev, ino;
    struct stat st;
    int used = 0;

    if (!stream || sscanf(stream, "%llu:%llu%n", &dev, &ino, &used) != 2 || stream[used] != '\0')
        return false;
    return fstat(STDERR_FILENO, &st) == 0 && st.st_dev == dev && st.st_ino == ino;
}

static enum log_style style_get(void)
{
    int style = atomic_load(&log_style);

    if (style == LOG_STYLE_UNKNOWN) {
        struct stat st;

        if (stderr_is_journal())
            style = LOG_STYLE_JOURNAL;
        else if (fstat(STDERR_FILENO, &st) == 0 && S_ISREG(st.st_mode))
            style = LOG_STYLE_FILE;
        else
            style = LOG_STYLE_PLAIN;
        atomic_store(&log_style, style);
    }
    return (enum log_style)style;
}

/* RFC 3339 in local time with milliseconds. */
static size_t stamp_put(char *buf, size_t size)
{
    struct timespec ts;
    struct tm tm;
    char zone[8];
    char date[40];

    clock_gettime(CLOCK_REALTIME, &ts);
    if (!localtime_r(&ts.tv_sec, &tm) || !strftime(date, sizeof(date), "%Y-%m-%dT%H:%M:%S", &tm) ||
        !strftime(zone, sizeof(zone), "%z", &tm))
        return 0;
    /* strftime's %z has no colon, RFC 3339 wants one. */
    return (size_t)snprintf(buf, size, "%s.%03ld%.3s:%.2s ", date, ts.tv_nsec / 1000000, zone,
                            zone + 3);
}

static void line_write(enum log_level level, const char *text)
{
    char line[LOG_LINE_MAX];
    enum log_style style = style_get();
    size_t used = 0;
    ssize_t n;

    if (style == LOG_STYLE_JOURNAL)
        used += (size_t)snprintf(line, sizeof(line), "<%d>", level_priority[level]);
    if (style == LOG_STYLE_FILE)
        used += stamp_put(line, sizeof(line));
    /* A person at a terminal needs no "info:" in front of each line. */
    if (style == LOG_STYLE_FILE || (style == LOG_STYLE_PLAIN && level != LOG_LEVEL_INFO))
        used += (size_t)snprintf(line + used, sizeof(line) - used, "%s: ", level_names[level]);
    used += text_escape(line + used, text);
    line[used++] = '\n';

    /* A full disk or a closed pipe must not end the daemon: there is nobody left to tell. */
    do {
        n = write(atomic_load(&log_fd), line, used);
    } while (n < 0 && errno == EINTR);
}

static void __attribute__((format(printf, 2, 0)))
text_format(char *text, const char *fmt, va_list ap)
{
    int n = vsnprintf(text, LOG_TEXT_MAX, fmt, ap);

    if (n < 0)
        text[0] = '\0';
    else if (n >= LOG_TEXT_MAX)
        memcpy(text + LOG_TEXT_MAX - 4, "...", 4);
}

void log_line(enum log_level level, const char *fmt, ...)
{
    char text[LOG_TEXT_MAX];
    int saved = errno;
    va_list ap;

    if (!log_enabled(level))
        return;
    va_start(ap, fmt);
    text_format(text, fmt, ap);
    va_end(ap);
    line_write(level, text);
    errno = saved;
}

void log_limited(struct log_limit *limit, uint64_t now_ms, enum log_level level, const char *fmt,
                 ...)
{
    char text[LOG_TEXT_MAX];
    int saved = errno;
    uint64_t left_out = 0;
    bool allowed;
    va_list ap;

    if (!log_enabled(level))
        return;

    pthread_mutex_lock(&limit->lock);
    if (now_ms - limit->window_start_ms >= limit->interval_ms) {
        limit->window_start_ms = now_ms;
        limit->used = 0;
    }
    allowed = limit->used < limit->burst;
    if (allowed) {
        limit->used++;
        left_out = limit->suppressed;
        limit->suppressed = 0;
    } else {
        limit->suppressed++;
    }
    pthread_mutex_unlock(&limit->lock);
    if (!allowed)
        return;

    va_start(ap, fmt);
    text_format(text, fmt, ap);
    va_end(ap);
    if (left_out) {
        size_t used = strlen(text);

        /* The count matters more than the last words of a very long line. */
        if (used > LOG_TEXT_MAX - 48)
            used = LOG_TEXT_MAX - 48;
        snprintf(text + used, LOG_TEXT_MAX - used, " (%llu more like this left out)",
                 (unsigned long long)left_out);
    }
    line_write(level, text);
    errno = saved;
}

/* Log lines: levels, a file that can be reopened, journald prefixes, a rate limit.  Thread-safe. */
#ifndef COMMON_LOG_H
#define COMMON_LOG_H

#include <pthread.h>
#include <stdint.h>

#include "common/err.h"

enum log_level {
    LOG_LEVEL_ERROR,
    LOG_LEVEL_WARNING,
    LOG_LEVEL_INFO,
    LOG_LEVEL_DEBUG,
    LOG_LEVEL_NUM,
};

/** log_set_level() - lines above @level are dropped; the default is LOG_LEVEL_INFO. */
void log_set_level(enum log_level level);
/** log_enabled() - nonzero when a line of @level would be written. */
int log_enabled(enum log_level level);

/**
 * log_open_file() - write to a file (appended, made 0640) instead of standard error
 * @path: copied; a symbolic link as its last part is refused
 *
 * Return: 0 or -errno; on failure the log goes where it went before.
 */
int log_open_file(const char *path, struct err *err);

/**
 * log_reopen() - open the file by its name again, after logrotate moved it away
 *
 * Return: 0 (also when the log is no file), or -errno; on failure the old file stays in use.
 */
int log_reopen(struct err *err);

/** log_close() - back to standard error. */
void log_close(void);

/**
 * log_line() - write one line
 *
 * It leaves in one write(2), so lines of threads never mix, and control characters and invalid
 * UTF-8 are written as \xNN, so that nobody's text can forge a line or steer a terminal.  errno is
 * kept.
 */
void log_line(enum log_level level, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#define log_error(...)   log_line(LOG_LEVEL_ERROR, __VA_ARGS__)
#define log_warning(...) log_line(LOG_LEVEL_WARNING, __VA_ARGS__)
#define log_info(...)    log_line(LOG_LEVEL_INFO, __VA_ARGS__)
#define log_debug(...)   log_line(LOG_LEVEL_DEBUG, __VA_ARGS__)

/*
 * At most @burst lines per @interval_ms.  Make one per kind of event with LOG_LIMIT_INIT; the rest
 * is log_limited()'s own.
 */
struct log_limit {
    uint32_t interval_ms;
    uint32_t burst;
    pthread_mutex_t lock;
    uint64_t window_start_ms;
    uint32_t used;
    uint64_t suppressed;
};

#define LOG_LIMIT_INIT(interval, lines)                                                            \
    {                                                                                              \
        .interval_ms = (interval), .burst = (lines), .lock = PTHREAD_MUTEX_INITIALIZER             \
    }

/**
 * log_limited() - a line that others can provoke
 * @now_ms: the wake-up's monotonic clock
 *
 * The first line after a silence says how many were left out.
 */
void log_limited(struct log_limit *limit, uint64_t now_ms, enum log_level level, const char *fmt,
                 ...) __attribute__((format(printf, 4, 5)));

#endif

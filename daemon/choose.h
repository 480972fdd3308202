/*
 * Which configuration is true when the server starts.
 *
 * Usually the file's.  But not when its contents were rolled back, when a confirmation is still
 * awaited, or when the file is wrong and the operator would rather have the last good one than no
 * server at all (`on-invalid: last-good`).  Then the reason is said, loudly.
 */
#ifndef DAEMON_CHOOSE_H
#define DAEMON_CHOOSE_H

#include <stdbool.h>

#include "common/bundle.h"
#include "common/problem.h"
#include "common/process.h"
#include "daemon/config.h"

struct history;

struct chosen {
    struct bundle bundle; /* the texts */
    const char *how;      /* what the history says of it; NULL: it knows */
    bool reject;          /* what was in force last is not to come back by itself */
    char said[512];       /* why it is not the file, or what is wrong with the history */
};

/**
 * choose() - read the file, ask the history
 * @path: the file
 * @account: whom the state folder is made for
 * @history: stays NULL when the state folder cannot be used, which is said
 * @problems: of the file
 *
 * Return: 0 with @config and @out; -EINVAL when the file is wrong and there is nothing better;
 * another -errno when it could not be read.
 */
int choose(const char *path, struct account account, struct history **history,
           struct config **config, struct chosen *out, struct problems *problems);

/** choose_scan() - the value of a key at the margin of one of the texts, the last; for bad files.
 */
bool choose_scan(const struct bundle *bundle, const char *key, char *out, size_t size);

/** choose_boot_ms() - milliseconds since the machine was started, sleep included. */
uint64_t choose_boot_ms(void);

#endif

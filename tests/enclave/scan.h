/*
 * Looking for secrets where they must not be: in a process's memory, in a core, in a log.
 *
 * A needle is found as raw bytes (either half of it alone is enough, so that a copy in two pieces
 * is found as well), as hex in both cases, and as base64.
 */
#ifndef TESTS_ENCLAVE_SCAN_H
#define TESTS_ENCLAVE_SCAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define SCAN_NEEDLES 256
#define SCAN_KEY_LEN 32

enum scan_form {
    SCAN_RAW_FIRST,
    SCAN_RAW_LAST,
    SCAN_HEX_LOWER,
    SCAN_HEX_UPPER,
    SCAN_BASE64,
    SCAN_FORMS,
};

struct scan;

/** scan_new() - no needles yet; fails the test when there is no memory */
struct scan *scan_new(void);
void scan_free(struct scan *s);
/** scan_add() - look for this too; a needle that is there already is not taken twice */
void scan_add(struct scan *s, const char *name, const uint8_t key[SCAN_KEY_LEN]);
/** scan_text() - a needle as it looks in one form, NUL-terminated when it is text.  Return: length
 */
size_t scan_text(const uint8_t key[SCAN_KEY_LEN], enum scan_form form, char out[80]);

/** scan_clear() - forget what was found, keep the needles */
void scan_clear(struct scan *s);
void scan_buffer(struct scan *s, const char *where, const void *bytes, size_t len);
/** scan_process() - all readable memory, shared mappings included.  Return: bytes read. */
size_t scan_process(struct scan *s, pid_t pid);
/** scan_file() - Return: bytes read, 0 when there is no such file. */
size_t scan_file(struct scan *s, const char *path);

/** scan_found() - was @key found in this form? */
bool scan_found(const struct scan *s, const uint8_t key[SCAN_KEY_LEN], enum scan_form form);
/** scan_report() - print what was found and where, as TAP diagnostics.  Return: how many. */
unsigned int scan_report(const struct scan *s, const char *phase);

/* A process that holds what it is given and nothing else, to show that the scan finds it. */
struct scan_control {
    pid_t pid;
    int fd;
};

/** scan_control_start() - call before any needle is known, or it would inherit them */
void scan_control_start(struct scan_control *c);
/**
 * scan_control_check() - nothing is found in that process; then all needles are planted in it, in
 * its heap and in shared memory, and each must be found in each form
 */
void scan_control_check(struct scan_control *c, struct scan *s);

#endif

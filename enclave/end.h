/* The one way out of the sealed process: say why, wipe every secret, leave. */
#ifndef ENCLAVE_END_H
#define ENCLAVE_END_H

#include "enclave/secret.h"

/** enclave_end_wipes() - register the region that enclave_end() overwrites. */
void enclave_end_wipes(struct secret *s);

/**
 * enclave_end_first() - register what is done before that: stop work that could go on with half a
 * key, and wipe what libraries hold outside the region
 */
void enclave_end_first(void (*first)(void));

/**
 * enclave_end() - fail closed: wipe and exit
 * @why: one sentence for standard error; NULL for an ordinary end (the caller is gone)
 */
void enclave_end(const char *why) __attribute__((noreturn));

/**
 * enclave_end_on_faults() - a crash wipes as well; before the seal
 *
 * It also catches the other threads, which work on the region until the process is gone: their
 * faults must not end it while the wipe is under way.  Sanitizer builds keep their own handlers.
 */
void enclave_end_on_faults(void);

#endif

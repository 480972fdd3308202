/* The one way out of the sealed process: say why, wipe every secret, leave. */
#ifndef ENCLAVE_END_H
#define ENCLAVE_END_H

#include "enclave/secret.h"

/** enclave_end_wipes() - register the region that enclave_end() overwrites. */
void enclave_end_wipes(struct secret *s);

/**
 * enclave_end() - fail closed: wipe and exit
 * @why: one sentence for standard error; NULL for an ordinary end (the caller is gone)
 */
void enclave_end(const char *why) __attribute__((noreturn));

#endif

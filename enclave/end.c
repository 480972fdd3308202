/* Wipe and exit; see end.h. */
#include "enclave/end.h"

#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

static struct secret *registered;

void enclave_end_wipes(struct secret *s)
{
    registered = s;
}

void enclave_end(const char *why)
{
    static atomic_flag ending = ATOMIC_FLAG_INIT;

    /* Two threads may find the caller gone at once: one wipes, both leave. */
    if (!atomic_flag_test_and_set(&ending)) {
        if (why) {
            char line[160] = "vpn-enclave: ";
            size_t len = strlen(line);

            strncat(line, why, sizeof(line) - len - 2);
            len = strlen(line);
            line[len++] = '\n';
            if (write(STDERR_FILENO, line, len) < 0)
                why = NULL; /* nobody listens; the exit status still speaks */
        }
        if (registered)
            secret_wipe(registered);
    }
    _exit(why ? 1 : 0);
}

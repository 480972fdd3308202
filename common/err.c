/* One error: the sentence a person reads. */
#include "common/err.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

int err_set(struct err *err, int rc, const char *fmt, ...)
{
    va_list ap;

    if (!err)
        return rc;
    va_start(ap, fmt);
    vsnprintf(err->msg, sizeof(err->msg), fmt, ap);
    va_end(ap);
    return rc;
}

int err_prefix(struct err *err, int rc, const char *fmt, ...)
{
    char old[sizeof(err->msg)];
    va_list ap;
    size_t used;
    int n;

    if (!err)
        return rc;
    memcpy(old, err->msg, sizeof(old));
    old[sizeof(old) - 1] = '\0';
    va_start(ap, fmt);
    n = vsnprintf(err->msg, sizeof(err->msg), fmt, ap);
    va_end(ap);
    used = n < 0 ? 0 : (size_t)n;
    if (used < sizeof(err->msg))
        snprintf(err->msg + used, sizeof(err->msg) - used, "%s", old);
    return rc;
}

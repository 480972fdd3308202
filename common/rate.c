/* Data rates as people write them; see rate.h. */
#include "common/rate.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "common/cleanup.h"

#define DECIMALS 6

static const struct {
    const char *name, *alias, *shown;
    uint64_t bits;
} units[] = {
    {"tbit", "tbps", "Tbit/s", UINT64_C(1000000000000)},
    {"gbit", "gbps", "Gbit/s", 1000000000},
    {"mbit", "mbps", "Mbit/s", 1000000},
    {"kbit", "kbps", "kbit/s", 1000},
    {"bit", "bps", "bit/s", 1},
};

/* Digits with at most one point into millionths.  Return: the first character after, or NULL. */
static const char *number_parse(const char *text, uint64_t *millionths)
{
    uint64_t n = 0;
    int decimals = -1;
    const char *p = text;

    for (; (*p >= '0' && *p <= '9') || (*p == '.' && decimals < 0); p++) {
        if (*p == '.') {
            decimals = 0;
            continue;
        }
        if (n > UINT64_C(10000000000) || decimals == DECIMALS)
            return NULL;
        n = n * 10 + (uint64_t)(*p - '0');
        decimals += decimals >= 0;
    }
    if (p == text || *text == '.' || decimals == 0)
        return NULL;
    for (int i = decimals < 0 ? 0 : decimals; i < DECIMALS; i++)
        n *= 10;
    *millionths = n;
    return p;
}

int rate_parse(const char *text, uint64_t *bits, struct err *err)
{
    uint64_t millionths;
    const char *unit = number_parse(text, &millionths);

    if (!unit)
        return err_set(err, -EINVAL,
                       "\"%.64s\" is not a rate (write it like 5mbit, 640kbit or "
                       "1gbit)",
                       text);
    if (!*unit)
        return err_set(err, -EINVAL, "\"%.64s\" has no unit (write %.20smbit, or use kbit, gbit)",
                       text, text);
    for (size_t i = 0; i < ARRAY_SIZE(units); i++) {
        uint64_t out;

        if (strcasecmp(unit, units[i].name) != 0 && strcasecmp(unit, units[i].alias) != 0)
            continue;
        /* Up to 1e17 millionths times 1e6 times 1e6: by the larger step first it would overflow. */
        if (units[i].bits >= 1000000)
            out = millionths > UINT64_MAX / (units[i].bits / 1000000)
                      ? UINT64_MAX
                      : millionths * (units[i].bits / 1000000);
        else
            out = millionths / (1000000 / units[i].bits);
        if (out < RATE_MIN_BITS || out > RATE_MAX_BITS)
            return err_set(err, -EINVAL, "\"%.64s\" is out of range (write 8kbit to 1tbit)", text);
        *bits = out;
        return 0;
    }
    return err_set(err, -EINVAL,
                   "\"%.64s\" has no unit that is known (write bits per second as "
                   "kbit, mbit or gbit)",
                   text);
}

const char *rate_format(uint64_t bits, char buf[RATE_STRLEN])
{
    for (size_t i = 0; i < ARRAY_SIZE(units); i++) {
        if (bits % units[i].bits == 0 && (bits || units[i].bits == 1)) {
            snprintf(buf, RATE_STRLEN, "%" PRIu64 "%s", bits / units[i].bits, units[i].name);
            break;
        }
    }
    return buf;
}

const char *rate_short(uint64_t bits, char buf[RATE_STRLEN])
{
    size_t i = 0;

    while (i + 1 < ARRAY_SIZE(units) && bits < units[i].bits)
        i++;
    if (units[i].bits == 1) {
        snprintf(buf, RATE_STRLEN, "%" PRIu64 " %s", bits, units[i].shown);
    } else {
        double n = (double)bits / (double)units[i].bits;

        snprintf(buf, RATE_STRLEN, "%.*f %s", n < 9.995 ? 2 : n < 99.95 ? 1 : 0, n, units[i].shown);
    }
    return buf;
}

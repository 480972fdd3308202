/* What a configuration's words mean: text to checked values. */
#include "common/value.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/cred.h"

/* isdigit() and its kin ask the locale; these do not. */
static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_alnum(char c)
{
    return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool word_in(const char *text, const char *const words[3])
{
    for (size_t i = 0; i < 3; i++) {
        if (strcmp(text, words[i]) == 0)
            return true;
    }
    return false;
}

int value_bool(const char *text, bool *out, struct err *err)
{
    static const char *const yes[] = {"true", "True", "TRUE"};
    static const char *const no[] = {"false", "False", "FALSE"};

    if (word_in(text, yes))
        *out = true;
    else if (word_in(text, no))
        *out = false;
    else
        return err_set(err, -EINVAL, "\"%.64s\" is neither true nor false (write true or false)",
                       text);
    return 0;
}

/* Digits only, one spelling per number.  @len of @text are looked at. */
static int digits_parse(const char *text, size_t len, uint32_t *out)
{
    uint64_t n = 0;

    if (len == 0 || len > 10 || (len > 1 && text[0] == '0'))
        return -EINVAL;
    for (size_t i = 0; i < len; i++) {
        if (!is_digit(text[i]))
            return -EINVAL;
        n = n * 10 + (uint64_t)(text[i] - '0');
    }
    if (n > UINT32_MAX)
        return -ERANGE;
    *out = (uint32_t)n;
    return 0;
}

int value_uint(const char *text, uint32_t min, uint32_t max, uint32_t *out, struct err *err)
{
    uint32_t n;

    if (min == max && (digits_parse(text, strlen(text), &n) < 0 || n != min))
        return err_set(err, -EINVAL, "\"%.64s\" is not supported (write %u)", text, min);
    if (digits_parse(text, strlen(text), &n) < 0 || n < min || n > max)
        return err_set(err, -EINVAL, "\"%.64s\" is not a number from %u to %u (write one of them)",
                       text, min, max);
    *out = n;
    return 0;
}

static const struct {
    char letter;
    uint32_t seconds;
} units[] = {{'d', 86400}, {'h', 3600}, {'m', 60}, {'s', 1}};

const char *value_duration_format(uint32_t seconds, char buf[16])
{
    for (size_t i = 0; i < ARRAY_SIZE(units); i++) {
        if (seconds % units[i].seconds == 0 && (seconds || units[i].letter == 's')) {
            snprintf(buf, 16, "%u%c", seconds / units[i].seconds, units[i].letter);
            break;
        }
    }
    return buf;
}

int value_duration(const char *text, uint32_t min, uint32_t max, uint32_t *out, struct err *err)
{
    size_t len = strlen(text);
    uint64_t seconds = 0;
    char low[16], high[16];
    uint32_t n;

    for (size_t i = 0; len > 1 && i < ARRAY_SIZE(units); i++) {
        if (text[len - 1] == units[i].letter && digits_parse(text, len - 1, &n) == 0) {
            seconds = (uint64_t)n * units[i].seconds;
            if (seconds >= min && seconds <= max) {
                *out = (uint32_t)seconds;
                return 0;
            }
            return err_set(err, -EINVAL, "\"%.64s\" is out of range (write %s to %s)", text,
                           value_duration_format(min, low), value_duration_format(max, high));
        }
    }
    if (digits_parse(text, len, &n) == 0)
        return err_set(err, -EINVAL, "\"%.64s\" has no unit (write %.20ss, or use m, h, d)", text,
                       text);
    return err_set(err, -EINVAL, "\"%.64s\" is not a time (write it like 30s, 5m, 1h or 2d)", text);
}

static uint32_t days_in_month(uint32_t year, uint32_t month)
{
    static const uint8_t days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);

    return days[month - 1] + (month == 2 && leap ? 1U : 0U);
}

/* Days from 1970-01-01 to the first of January of @year. */
static uint64_t days_before(uint32_t year)
{
    uint64_t y = year - 1;

    return 365 * (uint64_t)(year - 1970) + (y / 4 - 1969 / 4) - (y / 100 - 1969 / 100) +
           (y / 400 - 1969 / 400);
}

/* Exactly @len digits, leading zeros included; UINT32_MAX for anything else. */
static uint32_t digits_fixed(const char *text, size_t len)
{
    uint32_t n = 0;

    for (size_t i = 0; i < len; i++) {
        if (!is_digit(text[i]))
            return UINT32_MAX;
        n = n * 10 + (uint32_t)(text[i] - '0');
    }
    return n;
}

int value_date(const char *text, uint64_t *end, struct err *err)
{
    bool shape = strlen(text) == 10 && text[4] == '-' && text[7] == '-';
    uint32_t year = shape ? digits_fixed(text, 4) : UINT32_MAX;
    uint32_t month = shape ? digits_fixed(text + 5, 2) : UINT32_MAX;
    uint32_t day = shape ? digits_fixed(text + 8, 2) : UINT32_MAX;
    uint64_t days;

    if (year < 1970 || year > 9999 || month < 1 || month > 12 || day < 1 ||
        day > days_in_month(year, month))
        return err_set(err, -EINVAL, "\"%.64s\" is not a day (write it like 2027-01-31)", text);
    days = days_before(year) + day;
    for (uint32_t m = 1; m < month; m++)
        days += days_in_month(year, m);
    *end = days * 86400;
    return 0;
}

static bool has_control(const char *text)
{
    for (; *text; text++) {
        if ((unsigned char)*text < 0x20 || *text == 0x7f)
            return true;
    }
    return false;
}

int value_text(const char *text, uint32_t max, struct err *err)
{
    if (*text == '\0')
        return err_set(err, -EINVAL, "is empty (write a text, or remove the key)");
    if (strlen(text) > max)
        return err_set(err, -EINVAL, "is longer than %u bytes (shorten it)", max);
    if (has_control(text))
        return err_set(err, -EINVAL, "has a control character in it (remove it)");
    return 0;
}

int value_path(const char *text, bool absolute, uint32_t max, struct err *err)
{
    int rc = value_text(text, max < PATH_MAX ? max : PATH_MAX - 1, err);

    if (rc < 0)
        return rc;
    if (absolute && text[0] != '/')
        return err_set(err, -EINVAL, "\"%.64s\" is not a full path (begin it with /)", text);
    if (text[strlen(text) - 1] == '/' && text[1] != '\0')
        return err_set(err, -EINVAL, "\"%.64s\" ends in a slash (remove it)", text);
    return 0;
}

int value_device(const char *text, char out[IFNAMSIZ], struct err *err)
{
    size_t len = strlen(text);

    if (len == 0 || len >= IFNAMSIZ)
        return err_set(err, -EINVAL,
                       "\"%.64s\" is not a device's name (write 1 to %d characters, such as tun0)",
                       text, IFNAMSIZ - 1);
    /* The kernel refuses / : and spaces, and would count % up ("tun%d"). */
    for (size_t i = 0; i < len; i++) {
        if (text[i] <= ' ' || text[i] >= 0x7f || strchr("/:%", text[i]))
            return err_set(err, -EINVAL,
                           "\"%.64s\" is not a device's name (letters and digits, such as tun0)",
                           text);
    }
    if (strcmp(text, ".") == 0 || strcmp(text, "..") == 0)
        return err_set(err, -EINVAL, "\"%s\" is not a device's name (write one such as tun0)",
                       text);
    memset(out, 0, IFNAMSIZ);
    memcpy(out, text, len + 1);
    return 0;
}

int value_name(const char *text, struct err *err)
{
    size_t len = strlen(text);
    bool good = len >= 1 && len <= 64 && is_alnum(text[0]);

    for (size_t i = 0; good && i < len; i++)
        good = is_alnum(text[i]) || strchr("._-", text[i]);
    if (!good)
        return err_set(err, -EINVAL,
                       "\"%.64s\" is not a name (letters, digits and . _ - only, at most 64)",
                       text);
    return 0;
}

int value_addr(const char *text, struct ip_addr *out, struct err *err)
{
    if (ip_addr_parse(text, out) < 0)
        return err_set(err, -EINVAL,
                       "\"%.64s\" is not an IP address (write it like 10.8.0.10 or fd08::10)",
                       text);
    return 0;
}

int value_prefix(const char *text, struct ip_prefix *out, struct err *err)
{
    struct ip_prefix prefix;

    /* A forgotten length would silently mean one address: ask for it. */
    if (ip_prefix_parse(text, &prefix) < 0 || !strchr(text, '/'))
        return err_set(err, -EINVAL,
                       "\"%.64s\" is not an address with a length (write it like 10.8.0.1/24)",
                       text);
    *out = prefix;
    return 0;
}

int value_range(const char *text, struct ip_range *out, struct err *err)
{
    const char *dash = strchr(text, '-');
    char first[IP_ADDR_STRLEN];
    struct ip_range range;

    if (!dash || (size_t)(dash - text) >= sizeof(first))
        goto malformed;
    memcpy(first, text, (size_t)(dash - text));
    first[dash - text] = '\0';
    if (ip_addr_parse(first, &range.first) < 0 || ip_addr_parse(dash + 1, &range.last) < 0)
        goto malformed;
    if (range.first.family != range.last.family)
        return err_set(err, -EINVAL, "\"%.90s\" mixes IPv4 and IPv6 (write one range for each)",
                       text);
    if (ip_addr_cmp(&range.first, &range.last) > 0)
        return err_set(err, -EINVAL, "\"%.90s\" runs backwards (write the lower address first)",
                       text);
    *out = range;
    return 0;

malformed:
    return err_set(err, -EINVAL,
                   "\"%.90s\" is not a range (write it like 10.8.0.10-10.8.0.254, no spaces)",
                   text);
}

/* Split at the last colon; brackets around IPv6 are removed. */
static int host_port_split(const char *text, char host[VALUE_HOST_MAX + 1], uint16_t *port,
                           bool *bracketed)
{
    const char *colon = strrchr(text, ':');
    size_t len = colon ? (size_t)(colon - text) : 0;
    uint32_t n;

    if (len == 0 || digits_parse(colon + 1, strlen(colon + 1), &n) < 0 || n == 0 || n > 65535)
        return -EINVAL;
    *bracketed = len > 2 && text[0] == '[' && text[len - 1] == ']';
    if (*bracketed) {
        text++;
        len -= 2;
    }
    if (len > VALUE_HOST_MAX)
        return -EINVAL;
    memcpy(host, text, len);
    host[len] = '\0';
    *port = (uint16_t)n;
    return 0;
}

/*
 * A host's name as RFC 1123 has it.  A last label of digits alone would be an address that went
 * wrong ("10.8.0.300"); the resolver must not be asked about it.
 */
static bool host_valid(const char *host)
{
    const char *label = host;
    bool digits_only = true;

    for (const char *p = host;; p++) {
        if (*p == '.' || *p == '\0') {
            size_t len = (size_t)(p - label);

            if (len == 0 || len > 63 || label[0] == '-' || p[-1] == '-')
                return false;
            if (*p == '\0')
                return !digits_only;
            label = p + 1;
            digits_only = true;
        } else if (!is_alnum(*p) && *p != '-' && *p != '_') {
            return false;
        } else if (!is_digit(*p)) {
            digits_only = false;
        }
    }
}

int value_endpoint(const char *text, char *host, uint16_t *port, struct err *err)
{
    char name[VALUE_HOST_MAX + 1];
    struct ip_addr addr;
    bool bracketed;
    uint16_t n;

    if (ip_addr_parse(text, &addr) == 0 && addr.family == 6)
        return err_set(err, -EINVAL,
                       "\"%.64s\" lacks brackets and port (write it like [%.45s]:51820)", text,
                       text);
    if (host_port_split(text, name, &n, &bracketed) < 0)
        return err_set(err, -EINVAL,
                       "\"%.64s\" is not a host with a port (write it like vpn.example.org:51820)",
                       text);
    if (ip_addr_parse(name, &addr) == 0) {
        if ((addr.family == 6) != bracketed)
            return err_set(err, -EINVAL,
                           "\"%.64s\" is unclear (only IPv6 addresses have brackets, and always)",
                           text);
    } else if (bracketed || !host_valid(name)) {
        return err_set(err, -EINVAL,
                       "\"%.64s\" is neither a host's name nor an address (check the spelling)",
                       text);
    }
    if (host)
        memcpy(host, name, strlen(name) + 1);
    if (port)
        *port = n;
    return 0;
}

int value_listen(const char *text, struct ip_endpoint *out, struct err *err)
{
    char host[VALUE_HOST_MAX + 1];
    struct ip_endpoint ep = {0};
    bool bracketed;

    if (host_port_split(text, host, &ep.port, &bracketed) < 0 ||
        ip_addr_parse(host, &ep.addr) < 0 || (ep.addr.family == 6) != bracketed)
        return err_set(err, -EINVAL,
                       "\"%.64s\" is not an address with a port "
                       "(write it like 0.0.0.0:51820 or \"[::]:51820\")",
                       text);
    if ((ep.addr.family == 4 && ep.addr.bytes[0] >= 224) ||
        (ep.addr.family == 6 && ep.addr.bytes[0] == 0xff))
        return err_set(err, -EINVAL, "\"%.64s\" is no address of one host (write one of this host)",
                       text);
    if (ep.addr.family == 6 && ep.addr.bytes[0] == 0xfe && (ep.addr.bytes[1] & 0xc0) == 0x80)
        return err_set(err, -EINVAL,
                       "\"%.64s\" is link-local, which needs a device (write \"[::]:%u\" instead)",
                       text, ep.port);
    *out = ep;
    return 0;
}

/* A number in decimal or, with 0x, in hexadecimal.  @len of @text are looked at. */
static int mark_number(const char *text, size_t len, uint32_t *out)
{
    uint32_t n = 0;

    if (len < 3 || text[0] != '0' || text[1] != 'x')
        return digits_parse(text, len, out);
    if (len > 10)
        return -EINVAL;
    for (size_t i = 2; i < len; i++) {
        const char *hex = "0123456789abcdef", *at;

        at = strchr(hex, text[i] >= 'A' && text[i] <= 'F' ? text[i] + ('a' - 'A') : text[i]);
        if (!at)
            return -EINVAL;
        n = n << 4 | (uint32_t)(at - hex);
    }
    *out = n;
    return 0;
}

int value_mark(const char *text, struct value_mark *out, struct err *err)
{
    const char *slash = strchr(text, '/');
    struct value_mark mark = {.mask = UINT32_MAX};

    if (mark_number(text, slash ? (size_t)(slash - text) : strlen(text), &mark.value) < 0 ||
        (slash && mark_number(slash + 1, strlen(slash + 1), &mark.mask) < 0) || mark.mask == 0)
        return err_set(err, -EINVAL, "\"%.64s\" is not a mark (write it like 0x1 or 0x1/0xff)",
                       text);
    if (mark.value & ~mark.mask)
        return err_set(err, -EINVAL,
                       "\"%.64s\" never matches: the mask leaves bits of the mark out (widen it)",
                       text);
    *out = mark;
    return 0;
}

int value_uids(const char *text, struct value_span *out, struct err *err)
{
    const char *dash = strchr(text, '-');
    size_t len = dash ? (size_t)(dash - text) : strlen(text);
    struct value_span span;

    if (digits_parse(text, len, &span.first) < 0)
        goto malformed;
    span.last = span.first;
    if (dash && digits_parse(dash + 1, strlen(dash + 1), &span.last) < 0)
        goto malformed;
    /* (uid_t)-1 means "leave as it is" to every system call. */
    if (span.first == UINT32_MAX || span.last == UINT32_MAX)
        goto malformed;
    if (span.first > span.last)
        return err_set(err, -EINVAL, "\"%.64s\" runs backwards (write the lower number first)",
                       text);
    *out = span;
    return 0;

malformed:
    return err_set(err, -EINVAL,
                   "\"%.64s\" is not a range of user ids (write it like 1101 or 1101-1199)", text);
}

int value_user(const char *text, struct err *err)
{
    if (!cred_user_valid(text))
        return err_set(err, -EINVAL,
                       "\"%.64s\" is not a user's name "
                       "(1 to 64 of: small letters, digits and . _ @ -)",
                       text);
    return 0;
}

int value_realm(const char *text, struct err *err)
{
    if (!cred_realm_valid(text))
        return err_set(err, -EINVAL,
                       "\"%.64s\" is not a realm (small letters, digits and -, at most 128, "
                       "with - and 16 or more hex digits at the end; vpn-server --init makes one)",
                       text);
    return 0;
}

/*
 * The points of small order on Curve25519 (0, 1, the two of order 8, p-1, p, p+1; from
 * https://cr.yp.to/ecdh.html).  A Diffie-Hellman with one of them gives zero, so the login would
 * fail anyway; here it still has a line number.
 */
static bool key_low_order(const uint8_t key[WIRE_KEY_LEN])
{
    static const uint8_t points[][WIRE_KEY_LEN] = {
        {0},
        {1},
        {0xe0, 0xeb, 0x7a, 0x7c, 0x3b, 0x41, 0xb8, 0xae, 0x16, 0x56, 0xe3,
         0xfa, 0xf1, 0x9f, 0xc4, 0x6a, 0xda, 0x09, 0x8d, 0xeb, 0x9c, 0x32,
         0xb1, 0xfd, 0x86, 0x62, 0x05, 0x16, 0x5f, 0x49, 0xb8, 0x00},
        {0x5f, 0x9c, 0x95, 0xbc, 0xa3, 0x50, 0x8c, 0x24, 0xb1, 0xd0, 0xb1,
         0x55, 0x9c, 0x83, 0xef, 0x5b, 0x04, 0x44, 0x5c, 0xc4, 0x58, 0x1c,
         0x8e, 0x86, 0xd8, 0x22, 0x4e, 0xdd, 0xd0, 0x9f, 0x11, 0x57},
        {0xec, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
         0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
         0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f},
        {0xed, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
         0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
         0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f},
        {0xee, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
         0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
         0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f},
    };

    for (size_t i = 0; i < ARRAY_SIZE(points); i++) {
        /* X25519 ignores the top bit (RFC 7748). */
        if (memcmp(key, points[i], WIRE_KEY_LEN - 1) == 0 &&
            (key[WIRE_KEY_LEN - 1] & 0x7f) == points[i][WIRE_KEY_LEN - 1])
            return true;
    }
    return false;
}

int value_key(const char *text, uint8_t out[WIRE_KEY_LEN], struct err *err)
{
    uint8_t key[WIRE_KEY_LEN];

    if (cred_key_decode(text, key) < 0)
        return err_set(err, -EINVAL,
                       "is not a public key (it has 44 base64 characters; copy it once more)");
    if (key_low_order(key))
        return err_set(err, -EINVAL, "is a key that no private key has (make a new one)");
    memcpy(out, key, WIRE_KEY_LEN);
    return 0;
}

/*
 * What a configuration's words mean: text to checked values.
 *
 * Every function returns 0, or -EINVAL with a sentence that says what is wrong and, in parentheses,
 * how to mend it.  The sentence quotes the text except where it might be a secret.
 */
#ifndef COMMON_VALUE_H
#define COMMON_VALUE_H

#include <net/if.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/err.h"
#include "common/ip.h"
#include "common/wire.h"

#define VALUE_HOST_MAX 253 /* of a DNS name: RFC 1035 */

/** value_bool() - true or false, as YAML's core schema spells them. */
int value_bool(const char *text, bool *out, struct err *err);

/** value_uint() - a decimal number from @min to @max, without sign or leading zeros. */
int value_uint(const char *text, uint32_t min, uint32_t max, uint32_t *out, struct err *err);

/** value_duration() - "30s", "5m", "1h", "2d" in seconds, from @min to @max. */
int value_duration(const char *text, uint32_t min, uint32_t max, uint32_t *out, struct err *err);

/** value_duration_format() - in the largest unit that fits exactly; @buf has 16 bytes. */
const char *value_duration_format(uint32_t seconds, char buf[16]);

/**
 * value_date() - "2027-01-31", a day of the years 1970 to 9999
 * @end: the first second after that day in UTC, since 1970
 */
int value_date(const char *text, uint64_t *end, struct err *err);

/** value_text() - printable text of 1 to @max bytes. */
int value_text(const char *text, uint32_t max, struct err *err);

/** value_path() - a path of at most @max bytes; @absolute: it must begin with a slash. */
int value_path(const char *text, bool absolute, uint32_t max, struct err *err);

/** value_device() - a network device's name by the kernel's rules (dev_valid_name()). */
int value_device(const char *text, char out[IFNAMSIZ], struct err *err);

/** value_name() - [A-Za-z0-9][A-Za-z0-9._-]{0,63}: fit to be a file's name. */
int value_name(const char *text, struct err *err);

/** value_addr(), value_prefix(), value_range() - "10.8.0.1", "10.8.0.1/24", "10.8.0.10-10.8.0.20".
 */
int value_addr(const char *text, struct ip_addr *out, struct err *err);
int value_prefix(const char *text, struct ip_prefix *out, struct err *err);
int value_range(const char *text, struct ip_range *out, struct err *err);

/**
 * value_endpoint() - "host:port", "10.0.0.1:port" or "[fd08::1]:port"
 * @host: VALUE_HOST_MAX + 1 bytes or NULL; without brackets
 * @port: or NULL
 */
int value_endpoint(const char *text, char *host, uint16_t *port, struct err *err);

/** value_listen() - an address of this host and a port, "0.0.0.0:51820" or "[::]:51820". */
int value_listen(const char *text, struct ip_endpoint *out, struct err *err);

/* A packet's mark: the bits of mask are compared with value. */
struct value_mark {
    uint32_t value;
    uint32_t mask;
};

/* Both ends belong to it. */
struct value_span {
    uint32_t first;
    uint32_t last;
};

/** value_mark() - "0x1/0xff", "1/255" or "7" (all 32 bits); the value lies within the mask. */
int value_mark(const char *text, struct value_mark *out, struct err *err);

/** value_uids() - "1101" or "1101-1199"; 4294967295 is nobody's number. */
int value_uids(const char *text, struct value_span *out, struct err *err);

/** value_user(), value_realm() - names by the rules of common/cred.h. */
int value_user(const char *text, struct err *err);
int value_realm(const char *text, struct err *err);

/** value_key() - a public key in base64 or hex, of full order; never quoted in errors. */
int value_key(const char *text, uint8_t out[WIRE_KEY_LEN], struct err *err);

#endif

/*
 * Control records: what the two ends of a tunnel tell each other inside DATA, where the first
 * nibble is 0 and not an IP version.  Today these are the routes that a server pushes, page by
 * page.
 *
 *   request  0x01 | page | 0 × 14
 *   answer   0x02 | page | pages | count | 0 × 12 | count × (length u8, family u8, 0 u16, address
 * 16)
 *
 * Answers are zero-padded to a multiple of 16.  No routes is one page with count 0.  Pure.
 */
#ifndef COMMON_CONTROL_H
#define COMMON_CONTROL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/ip.h"

#define CONTROL_REQUEST_LEN 16
#define CONTROL_HEADER_LEN  16
#define CONTROL_ENTRY_LEN   20
#define CONTROL_ROUTES_MAX  63 /* in one answer: the smallest MTU carries it */
#define CONTROL_PAGES_MAX   255
#define CONTROL_ANSWER_MAX  1280 /* header and 63 entries, padded */

enum control_type {
    CONTROL_ROUTE_REQUEST = 1,
    CONTROL_ROUTE_ANSWER = 2,
};

struct control_answer {
    uint8_t page, pages, count;
    struct ip_prefix routes[CONTROL_ROUTES_MAX]; /* host bits clear */
};

/** control_is() - is this plaintext of DATA a control record and no IP packet? */
bool control_is(const uint8_t *buf, size_t len);

/** control_request_build() - ask for @page. */
void control_request_build(uint8_t buf[CONTROL_REQUEST_LEN], uint8_t page);

/** control_request_parse() - Return: 0 or -EINVAL for anything that is not exactly a request. */
int control_request_parse(const uint8_t *buf, size_t len, uint8_t *page);

/** control_pages() - how many pages @n routes take; at least one. */
size_t control_pages(size_t n);

/**
 * control_answer_build() - one page of all routes
 * @routes: all of them, @n in all, at most CONTROL_PAGES_MAX × CONTROL_ROUTES_MAX
 *
 * Return: the record's length, or 0 when there is no such page.
 */
size_t control_answer_build(uint8_t buf[CONTROL_ANSWER_MAX], const struct ip_prefix *routes,
                            size_t n, uint8_t page);

/**
 * control_answer_parse() - read an answer, hostile
 * @out: may be NULL when only the check is wanted
 *
 * Return: 0, or -EINVAL unless every byte is as it must be.
 */
int control_answer_parse(const uint8_t *buf, size_t len, struct control_answer *out);

#endif

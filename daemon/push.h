/* The routes that clients are told: which of them each user gets, and page by page. */
#ifndef DAEMON_PUSH_H
#define DAEMON_PUSH_H

#include <stddef.h>
#include <stdint.h>

struct server;

/** push_request() - a client's control record, checked by the enclave: answer it. */
void push_request(struct server *s, uint32_t id, uint32_t peer, const uint8_t *record, size_t len);
/**
 * push_page() - send one page unasked
 *
 * A page 0 that differs from what a client has tells it that the routes have changed: it asks for
 * the others.
 */
void push_page(struct server *s, uint32_t id, uint32_t peer, uint8_t page);

#endif

/*
 * The routes that a server pushes, collected page by page.
 *
 * The client asks for a page each second until it has every one.  A page that comes unasked says
 * that the routes have changed: then the others are asked for again, and what was known stays in
 * use meanwhile.  Pure: the time comes in as an argument.
 */
#ifndef CLIENT_PUSHED_H
#define CLIENT_PUSHED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/control.h"

#define PUSHED_PAGES_MAX 17   /* of 63 routes: as many as a profile may give itself */
#define PUSHED_ALL_MAX   6144 /* of all tunnels: the enclave has room for twice as many and more */
#define PUSHED_EVERY_MS  1000

struct pushed_page {
    bool filled; /* it holds something */
    bool fresh;  /* and that is what the server says now */
    uint8_t count;
    struct ip_prefix routes[CONTROL_ROUTES_MAX];
};

/* Starts zeroed. */
struct pushed {
    struct pushed_page *page;
    uint8_t pages; /* 0: not known yet */
    bool asking;
    bool changed;       /* since pushed_take_over() */
    uint64_t ask_at_ms; /* while asking: when the next request is due */
};

/** pushed_begin() - a session begins: everything has to be heard again. */
void pushed_begin(struct pushed *p);
/** pushed_clear() - forget everything. */
void pushed_clear(struct pushed *p);

/**
 * pushed_due() - is it time to ask?
 * @page: which one to ask for
 */
bool pushed_due(struct pushed *p, uint64_t now_ms, uint8_t *page);

/**
 * pushed_answer() - the server's answer
 *
 * Return: 0; -E2BIG when it has more pages than we take, and no more is asked; -ENOMEM.
 */
int pushed_answer(struct pushed *p, const struct control_answer *answer);

/**
 * pushed_take_over() - has every page arrived, with something new in it?
 *
 * Return: true once for each such set.
 */
bool pushed_take_over(struct pushed *p);

/** pushed_count() - how many routes there are at most, see pushed_copy(). */
size_t pushed_count(const struct pushed *p);
/**
 * pushed_copy() - the routes that may be used
 * @out: room for pushed_count()
 * @refused: how many lead to places that no tunnel leads to (this host, one link, a group)
 *
 * Return: how many were written.
 */
size_t pushed_copy(const struct pushed *p, struct ip_prefix *out, size_t *refused);

#endif

/* The routes that a server pushes; see pushed.h. */
#include "client/pushed.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

void pushed_begin(struct pushed *p)
{
    for (unsigned int i = 0; i < p->pages; i++)
        p->page[i].fresh = false;
    p->asking = true;
    p->ask_at_ms = 0;
}

void pushed_clear(struct pushed *p)
{
    free(p->page);
    memset(p, 0, sizeof(*p));
}

static bool first_missing(const struct pushed *p, uint8_t *page)
{
    for (unsigned int i = 0; i < p->pages; i++) {
        if (!p->page[i].fresh) {
            *page = (uint8_t)i;
            return true;
        }
    }
    *page = 0;
    return p->pages == 0;
}

bool pushed_due(struct pushed *p, uint64_t now_ms, uint8_t *page)
{
    if (!p->asking || now_ms < p->ask_at_ms || !first_missing(p, page))
        return false;
    p->ask_at_ms = now_ms + PUSHED_EVERY_MS;
    return true;
}

static bool page_equal(const struct pushed_page *page, const struct control_answer *answer)
{
    if (!page->filled || page->count != answer->count)
        return false;
    for (unsigned int i = 0; i < page->count; i++)
        if (page->routes[i].len != answer->routes[i].len ||
            !ip_addr_equal(&page->routes[i].addr, &answer->routes[i].addr))
            return false;
    return true;
}

/* Another number of pages: nothing that we have says anything about the new ones. */
static int resize(struct pushed *p, uint8_t pages)
{
    struct pushed_page *page = calloc(pages, sizeof(*page));

    if (!page)
        return -ENOMEM;
    free(p->page);
    p->page = page;
    p->pages = pages;
    return 0;
}

int pushed_answer(struct pushed *p, const struct control_answer *answer)
{
    struct pushed_page *page;
    uint8_t missing;
    bool same;

    if (answer->pages > PUSHED_PAGES_MAX) {
        p->asking = false;
        return -E2BIG;
    }
    if (answer->pages != p->pages && resize(p, answer->pages) < 0)
        return -ENOMEM;
    page = &p->page[answer->page];
    same = page_equal(page, answer);
    /* Unasked, or other than what it was a moment ago: the rest may be of yesterday. */
    if (!p->asking || (page->fresh && !same))
        for (unsigned int i = 0; i < p->pages; i++)
            p->page[i].fresh = false;
    page->filled = page->fresh = true;
    page->count = answer->count;
    memcpy(page->routes, answer->routes, answer->count * sizeof(page->routes[0]));
    p->changed |= !same;
    p->asking = first_missing(p, &missing);
    p->ask_at_ms = 0; /* the next one at once */
    return 0;
}

bool pushed_take_over(struct pushed *p)
{
    bool changed = p->changed;

    if (p->asking || p->pages == 0)
        return false;
    p->changed = false;
    return changed;
}

size_t pushed_count(const struct pushed *p)
{
    size_t n = 0;

    for (unsigned int i = 0; i < p->pages; i++)
        n += p->page[i].count;
    return n;
}

size_t pushed_copy(const struct pushed *p, struct ip_prefix *out, size_t *refused)
{
    size_t n = 0;

    *refused = 0;
    for (unsigned int i = 0; i < p->pages; i++) {
        for (unsigned int j = 0; j < p->page[i].count; j++) {
            /* Authentic, but somebody else's word. */
            if (ip_prefix_is_routable(&p->page[i].routes[j]))
                out[n++] = p->page[i].routes[j];
            else
                ++*refused;
        }
    }
    return n;
}

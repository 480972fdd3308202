/* What the engine tells: each thing once, and not too many at a time. */
#include <stdio.h>
#include <stdlib.h>

#include "netlink/engine.h"

#define LINES_MAX 8    /* of one sort in one run; more are summed up */
#define TOLD_MAX  4096 /* beyond these nothing lasting is told */

bool engine_was_told(const struct told *told, uint64_t key)
{
    for (size_t i = 0; i < told->n; i++)
        if (told->keys[i] == key)
            return true;
    return false;
}

/* Out of memory a line is told twice: no harm. */
static void told_add(struct told *told, uint64_t key)
{
    if (told->n == told->size) {
        size_t size = told->size ? 2 * told->size : 16;
        uint64_t *keys = reallocarray(told->keys, size, sizeof(*keys));

        if (!keys)
            return;
        told->keys = keys;
        told->size = size;
    }
    told->keys[told->n++] = key;
}

void engine_tell(struct net_reconciler *r, enum net_news news, const char *text)
{
    if (r->config.news)
        r->config.news(r->config.news_ctx, news, text);
}

void engine_tell_some(struct run *run, enum net_news news, const char *text)
{
    if (run->lines[news]++ < LINES_MAX)
        engine_tell(run->r, news, text);
}

void engine_tell_rest(struct run *run)
{
    for (enum net_news news = 0; news <= NET_NEWS_AGAIN; news++) {
        char text[64];

        if (run->lines[news] <= LINES_MAX)
            continue;
        snprintf(text, sizeof(text), "... and %u more like this", run->lines[news] - LINES_MAX);
        engine_tell(run->r, news, text);
    }
}

void engine_tell_once(struct run *run, enum net_news news, const char *text)
{
    uint64_t key = net_text_key(text);

    if (run->told.n >= TOLD_MAX)
        return;
    told_add(&run->told, key);
    if (!engine_was_told(&run->r->told, key))
        engine_tell_some(run, news, text);
}

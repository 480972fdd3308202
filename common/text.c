/* Text that somebody else wrote: strict UTF-8, escaping, did-you-mean. */
#include "common/text.h"

#include <ctype.h>
#include <stdbool.h>
#include <string.h>
#include <strings.h>

#define NEAREST_WORD_MAX 32 /* longer words are no slips of the pen */

size_t utf8_decode(const uint8_t *in, size_t left, uint32_t *code)
{
    static const uint32_t lowest[] = {0, 0, 0x80, 0x800, 0x10000};
    uint32_t c = in[0];
    size_t n;

    if (c < 0x80) {
        *code = c;
        return 1;
    }
    n = (c & 0xe0) == 0xc0 ? 2 : (c & 0xf0) == 0xe0 ? 3 : (c & 0xf8) == 0xf0 ? 4 : 0;
    if (n == 0 || n > left)
        return 0;
    c &= 0xffU >> (n + 1);
    for (size_t i = 1; i < n; i++) {
        if ((in[i] & 0xc0) != 0x80)
            return 0;
        c = c << 6 | (in[i] & 0x3f);
    }
    if (c < lowest[n] || c > 0x10ffff || (c >= 0xd800 && c < 0xe000))
        return 0;
    *code = c;
    return n;
}

static bool harmless(uint32_t code)
{
    if (code < 0x20 || (code >= 0x7f && code < 0xa0))
        return false;
    /* U+2028/9 break lines, the others turn the reading direction and so hide what is written. */
    return code != 0x2028 && code != 0x2029 && !(code >= 0x202a && code <= 0x202e) &&
           !(code >= 0x2066 && code <= 0x2069) && code != 0x200e && code != 0x200f;
}

size_t text_escape(char *out, const char *in)
{
    static const char hex[] = "0123456789abcdef";
    const uint8_t *p = (const uint8_t *)in;
    size_t left = strlen(in), used = 0;

    while (left) {
        uint32_t code = 0;
        size_t n = utf8_decode(p, left, &code);

        if (n && harmless(code)) {
            memcpy(out + used, p, n);
            used += n;
        } else {
            if (!n)
                n = 1;
            for (size_t i = 0; i < n; i++) {
                out[used++] = '\\';
                out[used++] = 'x';
                out[used++] = hex[p[i] >> 4];
                out[used++] = hex[p[i] & 15];
            }
        }
        p += n;
        left -= n;
    }
    out[used] = '\0';
    return used;
}

/* Optimal string alignment: Levenshtein's table with one more way, the swap of two neighbours. */
static size_t distance(const char *a, size_t a_len, const char *b, size_t b_len)
{
    size_t rows[3][NEAREST_WORD_MAX + 1];
    size_t *before = rows[0], *last = rows[1], *now = rows[2];

    for (size_t j = 0; j <= b_len; j++)
        last[j] = j;
    for (size_t i = 1; i <= a_len; i++) {
        size_t *spare = before;

        now[0] = i;
        for (size_t j = 1; j <= b_len; j++) {
            int ca = tolower((unsigned char)a[i - 1]), cb = tolower((unsigned char)b[j - 1]);
            size_t best = last[j - 1] + (ca != cb);

            if (last[j] + 1 < best)
                best = last[j] + 1;
            if (now[j - 1] + 1 < best)
                best = now[j - 1] + 1;
            if (i > 1 && j > 1 && ca == tolower((unsigned char)b[j - 2]) &&
                cb == tolower((unsigned char)a[i - 2]) && before[j - 2] + 1 < best)
                best = before[j - 2] + 1;
            now[j] = best;
        }
        before = last;
        last = now;
        now = spare;
    }
    return last[b_len];
}

const char *text_nearest(const char *word, const char *const *names)
{
    size_t len = strlen(word), best = len / 3 ? len / 3 : 1;
    const char *nearest = NULL;

    if (len < 2 || len > NEAREST_WORD_MAX)
        return NULL;
    for (; *names; names++) {
        size_t name_len = strlen(*names);
        size_t d;

        if (name_len > NEAREST_WORD_MAX)
            continue;
        /* "warn" for "warning": a beginning is no slip, but it is clear what was meant. */
        if (len >= 3 && strncasecmp(word, *names, len) == 0)
            return *names;
        d = distance(word, len, *names, name_len);
        if (d <= best && (!nearest || d < best)) {
            best = d;
            nearest = *names;
        }
    }
    return nearest;
}

bool text_equal(const char *a, const char *b)
{
    return a && b ? strcmp(a, b) == 0 : a == b;
}

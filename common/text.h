/* Text that somebody else wrote: strict UTF-8, escaping, comparing, did-you-mean. */
#ifndef COMMON_TEXT_H
#define COMMON_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/**
 * utf8_decode() - the first character of a text, strictly as RFC 3629 defines it
 * @in: the bytes
 * @left: how many there are, at least 1
 * @code: its code point, written on success
 *
 * Refused: overlong forms, surrogates, anything above U+10FFFF, a sequence that is cut off.
 *
 * Return: how many bytes it takes, 0 when they are not UTF-8.
 */
size_t utf8_decode(const uint8_t *in, size_t left, uint32_t *code);

/** text_escaped_max() - room that text_escape() needs for @len bytes, with the NUL. */
#define TEXT_ESCAPED_MAX(len) (4 * (len) + 1)

/**
 * text_escape() - copy a text so that neither a terminal nor a reader of lines obeys it
 * @out: TEXT_ESCAPED_MAX(strlen(@in)) bytes
 *
 * Control characters (C0, C1, DEL, line and paragraph separator, bidirectional overrides) and
 * bytes that are not UTF-8 become \xNN.
 *
 * Return: the length of what was written, without its NUL.
 */
size_t text_escape(char *out, const char *in);

/** text_equal() - are both the same, or both NULL? */
bool text_equal(const char *a, const char *b);

/**
 * text_nearest() - what somebody who wrote @word may have meant
 * @names: NULL-terminated
 *
 * A name that begins with the word; else the nearest by edit distance (insert, delete, replace,
 * swap of neighbours), upper and lower case alike, if at most a third of the word differs.
 *
 * Return: one of @names or NULL.
 */
const char *text_nearest(const char *word, const char *const *names);

#endif

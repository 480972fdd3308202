/* What vpnctl prints: escaped text, aligned tables, colours, numbers for people, JSON for programs.
 */
#ifndef CLIENT_RENDER_H
#define CLIENT_RENDER_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

enum render_style {
    RENDER_STYLE_PLAIN,
    RENDER_STYLE_BOLD,
    RENDER_STYLE_DIM,
    RENDER_STYLE_GOOD,
    RENDER_STYLE_WARN,
    RENDER_STYLE_BAD,
};

#define RENDER_NUMBER_LEN 48

/** render_width() - columns that text without control characters takes on a terminal (by the
 * locale's wcwidth()). */
size_t render_width(const char *text);

/** render_text() - print, in @style when @color; what a terminal would obey is escaped. */
void render_text(FILE *out, bool color, enum render_style style, const char *text);

/**
 * render_bytes() - "0 B", "999 B", "1.46 KiB", "3.00 GiB"
 * @buf: RENDER_NUMBER_LEN bytes
 *
 * Return: @buf.
 */
const char *render_bytes(uint64_t bytes, char *buf);

/** render_duration() - the two largest units: "0 s", "5 min 3 s", "2 d 4 h".  Return: @buf. */
const char *render_duration(int64_t seconds, char *buf);

/**
 * render_time_parse() - RFC 3339 in UTC, "2026-11-22T03:10:49Z"
 *
 * Return: 0, or -EINVAL for anything else.
 */
int render_time_parse(const char *text, int64_t *seconds);

/** render_json() - indented, ASCII only (no byte of it can steer a terminal), a newline at the end.
 */
int render_json(FILE *out, const json_t *json);

struct render_table;

/**
 * render_table_new() - a table to be filled cell by cell, row after row
 * @titles:  of the columns, or NULL for a table without a title line
 * @n_cols:  how many
 * @right:   bit i: column i holds numbers and is aligned to the right
 *
 * Return: the table or NULL.
 */
struct render_table *render_table_new(const char *const *titles, size_t n_cols, uint32_t right);

/** render_table_cell() - the next cell, escaped likewise.  Want of memory is told by
 * render_table_print().
 */
void render_table_cell(struct render_table *table, enum render_style style, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/** render_table_print() - Return: 0, or -ENOMEM if a cell got lost. */
int render_table_print(const struct render_table *table, FILE *out, bool color);

/** render_table_free() - NULL is fine. */
void render_table_free(struct render_table *table);

#endif

/* What vpnctl prints. */
#include "client/render.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <wchar.h>

#include "common/cleanup.h"
#include "common/text.h"

#define COLUMN_GAP 2

static const char *const style_codes[] = {
    [RENDER_STYLE_PLAIN] = "",        [RENDER_STYLE_BOLD] = "\033[1m",
    [RENDER_STYLE_DIM] = "\033[2m",   [RENDER_STYLE_GOOD] = "\033[32m",
    [RENDER_STYLE_WARN] = "\033[33m", [RENDER_STYLE_BAD] = "\033[31m",
};

struct cell {
    char *text; /* escaped */
    enum render_style style;
};

struct render_table {
    size_t n_cols;
    uint32_t right;
    bool failed;
    struct cell *cells;
    size_t n_cells, size;
};

/* --- text ---------------------------------------------------------------------------------- */

static char *escape(const char *text)
{
    char *safe = malloc(TEXT_ESCAPED_MAX(strlen(text)));

    if (safe)
        text_escape(safe, text);
    return safe;
}

size_t render_width(const char *text)
{
    const uint8_t *in = (const uint8_t *)text;
    size_t left = strlen(text), width = 0;

    while (left > 0) {
        uint32_t code = 0;
        size_t n = utf8_decode(in, left, &code);
        int columns = n ? wcwidth((wchar_t)code) : 1;

        /* -1: the locale does not know the character; one column is the best guess. */
        width += columns < 0 ? 1 : (size_t)columns;
        n = n ? n : 1;
        in += n;
        left -= n;
    }

    return width;
}

static void print_styled(FILE *out, bool color, enum render_style style, const char *text)
{
    const bool styled = color && style != RENDER_STYLE_PLAIN;

    fprintf(out, "%s%s%s", styled ? style_codes[style] : "", text, styled ? "\033[0m" : "");
}

void render_text(FILE *out, bool color, enum render_style style, const char *text)
{
    _cleanup_(free_p) char *safe = escape(text);

    print_styled(out, color, style, safe ? safe : "(no memory)");
}

/* --- numbers ------------------------------------------------------------------------------- */

const char *render_bytes(uint64_t bytes, char *buf)
{
    static const char *const units[] = {"KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
    double value = (double)bytes / 1024;
    size_t unit = 0;

    if (bytes < 1024) {
        snprintf(buf, RENDER_NUMBER_LEN, "%" PRIu64 " B", bytes);
        return buf;
    }

    /* The next unit from where this one would be rounded to "1024". */
    while (value >= 1023.5 && unit + 1 < ARRAY_SIZE(units)) {
        value /= 1024;
        unit++;
    }
    snprintf(buf, RENDER_NUMBER_LEN, "%.*f %s",
             value < 9.995   ? 2
             : value < 99.95 ? 1
                             : 0,
             value, units[unit]);
    return buf;
}

const char *render_duration(int64_t seconds, char *buf)
{
    static const struct {
        int64_t length;
        const char *name;
    } units[] = {{86400, "d"}, {3600, "h"}, {60, "min"}, {1, "s"}};
    size_t i = 0;

    if (seconds < 0) /* the clocks of two machines, or one that was set back */
        seconds = 0;
    while (i + 1 < ARRAY_SIZE(units) && seconds < units[i].length)
        i++;

    if (i + 1 < ARRAY_SIZE(units) && seconds % units[i].length >= units[i + 1].length)
        snprintf(buf, RENDER_NUMBER_LEN, "%" PRId64 " %s %" PRId64 " %s", seconds / units[i].length,
                 units[i].name, seconds % units[i].length / units[i + 1].length, units[i + 1].name);
    else
        snprintf(buf, RENDER_NUMBER_LEN, "%" PRId64 " %s", seconds / units[i].length,
                 units[i].name);
    return buf;
}

int render_time_parse(const char *text, int64_t *seconds)
{
    struct tm tm = {0}, back;
    const char *end = strptime(text, "%Y-%m-%dT%H:%M:%SZ", &tm);
    char again[sizeof("2026-11-22T03:10:49Z")];
    time_t when;

    /* strptime() is lenient about digits and blanks; what it made of the text must read the same.
     */
    if (!end || *end)
        return -EINVAL;
    when = timegm(&tm);
    if (!gmtime_r(&when, &back) ||
        strftime(again, sizeof(again), "%Y-%m-%dT%H:%M:%SZ", &back) == 0 ||
        strcmp(again, text) != 0)
        return -EINVAL;

    *seconds = when;
    return 0;
}

int render_json(FILE *out, const json_t *json)
{
    if (json_dumpf(json, out, JSON_INDENT(2) | JSON_ENSURE_ASCII) < 0)
        return -EIO;

    return putc('\n', out) == EOF ? -EIO : 0;
}

/* --- tables -------------------------------------------------------------------------------- */

struct render_table *render_table_new(const char *const *titles, size_t n_cols, uint32_t right)
{
    struct render_table *table = calloc(1, sizeof(*table));

    if (!table)
        return NULL;

    table->n_cols = n_cols;
    table->right = right;
    for (size_t i = 0; titles && i < n_cols; i++)
        render_table_cell(table, RENDER_STYLE_BOLD, "%s", titles[i]);
    return table;
}

void render_table_cell(struct render_table *table, enum render_style style, const char *fmt, ...)
{
    _cleanup_(free_p) char *raw = NULL;
    char *safe;
    va_list ap;
    int n;

    va_start(ap, fmt);
    n = vasprintf(&raw, fmt, ap);
    va_end(ap);
    if (n < 0) {
        raw = NULL; /* vasprintf() leaves it undefined */
        table->failed = true;
        return;
    }

    if (table->n_cells == table->size) {
        const size_t size = table->size ? table->size * 2 : 64;
        struct cell *cells = reallocarray(table->cells, size, sizeof(*cells));

        if (!cells) {
            table->failed = true;
            return;
        }
        table->cells = cells;
        table->size = size;
    }
    safe = escape(raw);
    if (!safe) {
        table->failed = true;
        return;
    }
    table->cells[table->n_cells++] = (struct cell){.text = safe, .style = style};
}

static size_t column_width(const struct render_table *table, size_t col)
{
    size_t width = 0;

    for (size_t i = col; i < table->n_cells; i += table->n_cols) {
        const size_t w = render_width(table->cells[i].text);

        width = w > width ? w : width;
    }

    return width;
}

int render_table_print(const struct render_table *table, FILE *out, bool color)
{
    size_t *widths;

    if (table->failed)
        return -ENOMEM;
    widths = calloc(table->n_cols, sizeof(*widths));
    if (!widths)
        return -ENOMEM;
    for (size_t col = 0; col < table->n_cols; col++)
        widths[col] = column_width(table, col);

    for (size_t i = 0; i < table->n_cells; i++) {
        const struct cell *cell = &table->cells[i];
        const size_t col = i % table->n_cols;
        const bool end = col + 1 == table->n_cols || i + 1 == table->n_cells;
        const int pad = (int)(widths[col] - render_width(cell->text));
        const bool right = table->right >> col & 1;

        if (right)
            fprintf(out, "%*s", pad, "");
        print_styled(out, color, cell->style, cell->text);
        /* No blanks at the end of a line. */
        if (end)
            putc('\n', out);
        else
            fprintf(out, "%*s", (right ? 0 : pad) + COLUMN_GAP, "");
    }

    free(widths);
    return 0;
}

void render_table_free(struct render_table *table)
{
    if (!table)
        return;

    for (size_t i = 0; i < table->n_cells; i++)
        free(table->cells[i].text);
    free(table->cells);
    free(table);
}

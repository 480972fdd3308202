/* vpnctl qos: who may have how much, and who has, at this moment or second by second. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include "client/cmd.h"
#include "client/render.h"
#include "common/cleanup.h"
#include "common/rate.h"

#define SAMPLE_MS 500  /* a rate is what was sent in so long */
#define WATCH_MS  1000 /* how often --watch looks */
#define BAR_LEN   12

#define NUMBER_COLUMNS (1U << 3 | 1U << 4 | 1U << 5 | 1U << 7 | 1U << 8 | 1U << 9)

static const char *const titles[] = {
    "USER", "CLASS", "", "RATE", "CEIL", "NOW", "", "SENT", "DROPPED", "DELAY",
};
static const char *const directions[] = {"download", "upload"};

/* The terminal that --watch fills again and again; 0 rows: none, and everything is printed. */
struct window {
    size_t rows, cols;
};

/* A leaf in the order of the table. */
struct place {
    const json_t *leaf;
    uint64_t current; /* in both directions */
    size_t index;
};

static void sleep_ms(long ms)
{
    struct timespec ts = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};

    nanosleep(&ts, NULL);
}

/* Leaves by what stays the same: a user's name, or a shared class's. */
static json_t *by_name(const json_t *reply)
{
    const json_t *leaves = json_object_get(reply, "leaves");
    json_t *out = json_object();
    size_t i;
    json_t *leaf;

    json_array_foreach(leaves, i, leaf)
    {
        char key[160];

        snprintf(key, sizeof(key), "%d%s", json_is_true(json_object_get(leaf, "shared")),
                 cmd_text(leaf, "name"));
        json_object_set(out, key, leaf);
    }
    return out;
}

/* What was sent in between becomes "current", in bits per second. */
static void currents(json_t *after, const json_t *before)
{
    uint64_t ms = cmd_int(after, "at_ms") - cmd_int(before, "at_ms");
    json_t *now = by_name(after), *then = by_name(before);
    const char *key;
    json_t *leaf;

    json_object_foreach(now, key, leaf)
    {
        const json_t *former = json_object_get(then, key);

        for (size_t d = 0; d < ARRAY_SIZE(directions); d++) {
            json_t *share = json_object_get(leaf, directions[d]);
            uint64_t a = cmd_int(share, "bytes");
            uint64_t b = cmd_int(json_object_get(former, directions[d]), "bytes");

            if (share && json_object_get(share, "bytes"))
                json_object_set_new(share, "current",
                                    json_integer(former && ms && a >= b && ms < INT32_MAX
                                                     ? (json_int_t)((a - b) * 8000 / ms)
                                                     : 0));
        }
    }
    json_decref(now);
    json_decref(then);
}

/* "####|....." : as much of the ceiling as is in use; | is what is guaranteed. */
static void bar(char out[BAR_LEN + 1], uint64_t current, uint64_t rate, uint64_t ceil)
{
    uint64_t full = ceil ? current * BAR_LEN / ceil : 0;
    uint64_t mark = ceil ? rate * BAR_LEN / ceil : 0;

    for (uint64_t i = 0; i < BAR_LEN; i++)
        out[i] = i < full ? '#' : '.';
    if (current && full == 0)
        out[0] = '#';
    if (mark < BAR_LEN)
        out[mark] = '|';
    out[BAR_LEN] = '\0';
}

/* How long what waits will wait. */
static void delay_cell(struct render_table *table, const json_t *share)
{
    uint64_t backlog = cmd_int(share, "backlog_bytes");
    uint64_t rate = cmd_int(share, "rate"), current = cmd_int(share, "current");
    double ms = (double)backlog * 8000 / (double)(current > rate ? current : rate ? rate : 1);

    if (backlog == 0)
        render_table_cell(table, RENDER_STYLE_DIM, "-");
    else
        render_table_cell(table, ms > 100 ? RENDER_STYLE_WARN : RENDER_STYLE_PLAIN, "%.*f ms",
                          ms < 10 ? 1 : 0, ms);
}

static void share_cells(struct render_table *table, const json_t *share)
{
    uint64_t rate = cmd_int(share, "rate"), ceil = cmd_int(share, "ceil");
    uint64_t current = cmd_int(share, "current"), dropped = cmd_int(share, "dropped");
    char text[RATE_STRLEN], bytes[RENDER_NUMBER_LEN], drawn[BAR_LEN + 1];
    bool scaled = rate < cmd_int(share, "promised");

    render_table_cell(table, scaled ? RENDER_STYLE_WARN : RENDER_STYLE_PLAIN, "%s",
                      rate_short(rate, text));
    render_table_cell(table, RENDER_STYLE_PLAIN, "%s", rate_short(ceil, text));
    if (!json_object_get(share, "bytes")) {
        render_table_cell(table, RENDER_STYLE_BAD, "not set");
        for (size_t i = 6; i < ARRAY_SIZE(titles); i++)
            render_table_cell(table, RENDER_STYLE_DIM, "-");
        return;
    }
    bar(drawn, current, rate, ceil);
    render_table_cell(table, RENDER_STYLE_BOLD, "%s", rate_short(current, text));
    render_table_cell(table, current > rate ? RENDER_STYLE_WARN : RENDER_STYLE_GOOD, "%s", drawn);
    render_table_cell(table, RENDER_STYLE_PLAIN, "%s",
                      render_bytes(cmd_int(share, "bytes"), bytes));
    render_table_cell(table, dropped ? RENDER_STYLE_PLAIN : RENDER_STYLE_DIM, "%" PRIu64, dropped);
    delay_cell(table, share);
}

static void rows(struct render_table *table, const json_t *leaf)
{
    bool shared = json_is_true(json_object_get(leaf, "shared"));
    const char *cls = cmd_text(leaf, "class");
    bool first = true;

    for (size_t d = 0; d < ARRAY_SIZE(directions); d++) {
        const json_t *share = json_object_get(leaf, directions[d]);

        if (!share)
            continue;
        if (first && shared && strcmp(cls, "-") != 0)
            render_table_cell(table, RENDER_STYLE_PLAIN, "(%" PRIu64 " of %s)",
                              cmd_int(leaf, "users"), cls);
        else
            render_table_cell(table, RENDER_STYLE_PLAIN, "%s", first ? cmd_text(leaf, "name") : "");
        render_table_cell(table, RENDER_STYLE_PLAIN, "%s", first ? cls : "");
        render_table_cell(table, RENDER_STYLE_DIM, "%s", d == 0 ? "down" : "up");
        share_cells(table, share);
        first = false;
    }
}

static struct window window_get(const struct cmd *cmd)
{
    struct winsize ws = {0};

    if (!cmd->watch || !isatty(STDOUT_FILENO) || ioctl(STDOUT_FILENO, TIOCGWINSZ, &ws) < 0)
        return (struct window){0};
    return (struct window){.rows = ws.ws_row, .cols = ws.ws_col};
}

/* Rows of the window that a line so wide takes. */
static size_t rows_of(const struct window *window, size_t width)
{
    return window->cols && width ? (width - 1) / window->cols + 1 : 1;
}

/* Return: how many rows of the window it took. */
static size_t headline(const struct cmd *cmd, const json_t *reply, const struct window *window)
{
    const json_t *reasons = json_object_get(reply, "reasons");
    char total[RATE_STRLEN], promised[RATE_STRLEN], text[160];
    size_t i, width = 0, taken;
    json_t *reason;

    for (size_t d = 0; d < ARRAY_SIZE(directions); d++) {
        const json_t *json = json_object_get(reply, directions[d]);

        render_text(stdout, cmd->color, RENDER_STYLE_BOLD, directions[d]);
        snprintf(text, sizeof(text), " %s, guaranteed to those connected %s%s; ",
                 rate_short(cmd_int(json, "total"), total),
                 rate_short(cmd_int(json, "promised"), promised),
                 json_is_true(json_object_get(json, "scaled")) ? " (scaled to fit)" : "");
        fputs(text, stdout);
        width += strlen(directions[d]) + strlen(text);
    }
    snprintf(text, sizeof(text), "leaf %s", cmd_text(reply, "leaf"));
    puts(text);
    taken = rows_of(window, width + strlen(text));
    json_array_foreach(reasons, i, reason)
    {
        render_text(stdout, cmd->color, RENDER_STYLE_WARN, json_string_value(reason));
        putchar('\n');
        taken += rows_of(window, render_width(json_string_value(reason)));
    }
    return taken;
}

static int busier_first(const void *a, const void *b)
{
    const struct place *pa = a, *pb = b;

    if (pa->current != pb->current)
        return pa->current > pb->current ? -1 : 1;
    return (pa->index > pb->index) - (pa->index < pb->index);
}

/* As they come; but the first is everybody who has no class: they come last. */
static void places_fill(struct place *places, const json_t *leaves, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        const json_t *leaf = json_array_get(leaves, (i + 1) % n);

        places[i] = (struct place){.leaf = leaf, .index = i};
        for (size_t d = 0; d < ARRAY_SIZE(directions); d++)
            places[i].current += cmd_int(json_object_get(leaf, directions[d]), "current");
    }
}

/* How many of @n leaves there is room for, below @taken rows, the titles, and above the cursor. */
static size_t leaves_fit(const struct window *window, size_t taken, const json_t *leaf, size_t n)
{
    size_t each = 0, used = taken + 2;

    for (size_t d = 0; d < ARRAY_SIZE(directions); d++)
        each += json_object_get(leaf, directions[d]) != NULL;
    if (window->rows == 0 || each == 0 || used + n * each <= window->rows)
        return n;
    used++; /* how many more there are */
    return used + each <= window->rows ? (window->rows - used) / each : 1;
}

/* Return: the table of @fit leaves, or NULL without memory. */
static struct render_table *table_of(const json_t *leaves, size_t fit)
{
    struct render_table *table = render_table_new(titles, ARRAY_SIZE(titles), NUMBER_COLUMNS);
    const size_t n = json_array_size(leaves);
    struct place *places = calloc(n + 1, sizeof(*places));

    if (!table || !places) {
        render_table_free(table);
        free(places);
        return NULL;
    }
    places_fill(places, leaves, n);
    if (fit < n)
        qsort(places, n, sizeof(*places), busier_first);
    for (size_t i = 0; i < fit; i++)
        rows(table, places[i].leaf);
    free(places);
    return table;
}

static int print_qos(const struct cmd *cmd, const json_t *reply)
{
    const json_t *leaves = json_object_get(reply, "leaves");
    const size_t n = json_array_size(leaves);
    const struct window window = window_get(cmd);
    const size_t taken = headline(cmd, reply, &window);
    const size_t fit = leaves_fit(&window, taken, json_array_get(leaves, 0), n);
    int rc;

    /* A row that is too wide is cut rather than continued. */
    if (window.rows)
        fputs("\033[?7l", stdout);
    rc = cmd_table_print(cmd, table_of(leaves, fit));
    if (window.rows)
        fputs("\033[?7h", stdout);
    if (fit < n)
        printf("and %zu more, no busier than these\n", n - fit);
    return rc;
}

static int show(const struct cmd *cmd, const json_t *reply)
{
    int rc;

    if (cmd->json) {
        rc = render_json(stdout, reply) < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
    } else {
        /* Home, then what is below: without the flicker of an empty screen. */
        if (cmd->watch && isatty(STDOUT_FILENO))
            fputs("\033[H\033[J", stdout);
        rc = print_qos(cmd, reply);
    }
    return fflush(stdout) == 0 ? rc : EXIT_FAILURE;
}

/* Whoever watches a terminal goes on when a server that restarts is there again. */
static bool waits(const struct cmd *cmd, const struct err *why)
{
    if (!cmd->watch || cmd->json || !isatty(STDOUT_FILENO))
        return false;
    fputs("\033[H\033[J", stdout);
    render_text(stdout, cmd->color, RENDER_STYLE_WARN, why->msg);
    puts(" (asking again every second)");
    return fflush(stdout) == 0;
}

int cmd_qos(const struct cmd *cmd)
{
    static char screen[1 << 16]; /* drawn in one go */
    json_t *before = NULL, *after = NULL;
    struct err err;
    int rc = cmd_ask(cmd, "qos", &before, &err);

    if (rc < 0)
        return cmd_fail(cmd, rc, &err);
    if (cmd->watch)
        setvbuf(stdout, screen, _IOFBF, sizeof(screen));
    do {
        sleep_ms(cmd->watch ? WATCH_MS : SAMPLE_MS);
        rc = cmd_ask(cmd, "qos", &after, &err);
        if (rc < 0 && waits(cmd, &err))
            continue;
        if (rc < 0)
            break;
        currents(after, before);
        json_decref(before);
        before = after;
        if (show(cmd, after) != EXIT_SUCCESS) {
            json_decref(before);
            return EXIT_FAILURE;
        }
    } while (cmd->watch);
    json_decref(before);
    return rc < 0 ? cmd_fail(cmd, rc, &err) : EXIT_SUCCESS;
}

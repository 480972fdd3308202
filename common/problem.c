/* What is wrong with a configuration: all of it, each with its place in the file. */
#include "common/problem.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "common/text.h"

#define PROBLEM_TEXT_MAX 1024

static void pos_put(FILE *out, const struct doc_pos *pos, const char *path)
{
    if (pos && pos->line)
        fprintf(out, "%s:%u:%u: ", pos->file, pos->line, pos->column);
    else if (pos)
        fprintf(out, "%s: ", pos->file);
    if (path && *path)
        fprintf(out, "%s: ", path);
}

/* One string, escaped.  Return: NULL when there is no memory. */
static char *text_build(const struct doc_pos *pos, const char *path, const char *what)
{
    char *raw = NULL, *text;
    size_t size;
    FILE *out = open_memstream(&raw, &size);

    if (!out)
        return NULL;
    pos_put(out, pos, path);
    fputs(what, out);
    if (fclose(out) != 0) {
        free(raw);
        return NULL;
    }
    text = malloc(TEXT_ESCAPED_MAX(size));
    if (text)
        text_escape(text, raw);
    free(raw);
    return text;
}

void problem_add(struct problems *problems, enum problem_kind kind, const struct doc_pos *pos,
                 const char *path, const char *fmt, ...)
{
    char what[PROBLEM_TEXT_MAX];
    struct problem *p;
    va_list ap;

    if (kind == PROBLEM_ERROR)
        problems->n_errors++;
    if (!problems->items)
        problems->items = calloc(PROBLEMS_MAX, sizeof(*problems->items));
    if (!problems->items || problems->n == PROBLEMS_MAX) {
        problems->n_dropped++;
        return;
    }

    va_start(ap, fmt);
    vsnprintf(what, sizeof(what), fmt, ap);
    va_end(ap);

    p = &problems->items[problems->n];
    p->kind = kind;
    p->line = pos ? pos->line : 0;
    p->column = pos ? pos->column : 0;
    p->file = strdup(pos ? pos->file : "");
    p->text = text_build(pos, path, what);
    if (!p->file || !p->text) {
        free(p->file);
        free(p->text);
        *p = (struct problem){0};
        problems->n_dropped++;
        return;
    }
    problems->n++;
}

/* A drop-in sorts behind its main file, because the main file's name is the start of its own. */
static int problem_cmp(const void *a, const void *b)
{
    const struct problem *pa = a, *pb = b;
    int order = strcmp(pa->file, pb->file);

    if (order == 0 && pa->line != pb->line)
        order = pa->line < pb->line ? -1 : 1;
    if (order == 0 && pa->column != pb->column)
        order = pa->column < pb->column ? -1 : 1;
    return order ? order : strcmp(pa->text, pb->text);
}

void problems_sort(struct problems *problems)
{
    if (problems->n > 1)
        qsort(problems->items, problems->n, sizeof(*problems->items), problem_cmp);
}

void problems_print(const struct problems *problems, FILE *out)
{
    for (size_t i = 0; i < problems->n; i++) {
        const struct problem *p = &problems->items[i];

        fprintf(out, "%s%s\n", p->kind == PROBLEM_NOTE ? "note: " : "", p->text);
    }
    if (problems->n_dropped)
        fprintf(out, "and %zu more\n", problems->n_dropped);
}

void problems_clear(struct problems *problems)
{
    for (size_t i = 0; i < problems->n; i++) {
        free(problems->items[i].file);
        free(problems->items[i].text);
    }
    free(problems->items);
    *problems = (struct problems){0};
}

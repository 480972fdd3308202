/* What is wrong with a configuration: all of it, each with its place in the file. */
#ifndef COMMON_PROBLEM_H
#define COMMON_PROBLEM_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#define PROBLEMS_MAX 100 /* kept; the rest is only counted */

/* A place in a file.  line and column count from 1; line 0: the file as a whole. */
struct doc_pos {
    const char *file;
    uint32_t line;
    uint32_t column;
};

enum problem_kind {
    PROBLEM_ERROR, /* the configuration cannot be used */
    PROBLEM_NOTE,  /* it can, but somebody should know */
};

struct problem {
    enum problem_kind kind;
    uint32_t line, column;
    char *file; /* for sorting only; the text has it already */
    char *text; /* `FILE:LINE:COL: path.to.key: what is wrong (how to mend it)` */
};

/* Read freely; written by problem_add() alone.  Starts zeroed. */
struct problems {
    struct problem *items;
    size_t n;
    size_t n_errors; /* of all, also of those that were not kept */
    size_t n_dropped;
};

/**
 * problem_add() - note one more
 * @pos:  where, or NULL
 * @path: the key's path such as "tunnel.mtu", or NULL or "" for the whole
 * @fmt:  what is wrong and, in parentheses, how to mend it
 *
 * The text may quote the file: control characters are escaped.
 */
void problem_add(struct problems *problems, enum problem_kind kind, const struct doc_pos *pos,
                 const char *path, const char *fmt, ...) __attribute__((format(printf, 5, 6)));

/** problems_sort() - by file, line and column, as a person mends them. */
void problems_sort(struct problems *problems);

/** problems_print() - one line each, notes marked "note: ", then "and N more". */
void problems_print(const struct problems *problems, FILE *out);

/** problems_clear() - free the contents; the struct may be used again. */
void problems_clear(struct problems *problems);

#endif

/* YAML to a tree: places, kinds, limits, merging, drop-ins, and the list of problems. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/yaml.h"

struct fixture {
    struct arena *arena;
    struct problems problems;
};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));

    if (!f)
        return -1;
    f->arena = arena_new((size_t)256 << 20);
    *state = f;
    return f->arena ? 0 : -1;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    problems_clear(&f->problems);
    arena_free(f->arena);
    free(f);
    return 0;
}

static struct doc_node *parse(struct fixture *f, const char *text)
{
    struct doc_node *root = NULL;

    assert_int_equal(doc_parse(f->arena, "f.yaml", text, strlen(text), &root, &f->problems), 0);
    assert_int_equal(f->problems.n_errors, 0);
    assert_non_null(root);
    assert_int_equal(root->kind, DOC_MAP);
    return root;
}

/* The parse must end with exactly one error, this one. */
static void refuse(struct fixture *f, const char *text, size_t len, const char *message)
{
    struct doc_node *root = NULL;

    assert_int_equal(doc_parse(f->arena, "f.yaml", text, len, &root, &f->problems), -EINVAL);
    assert_null(root);
    assert_int_equal(f->problems.n, 1);
    assert_string_equal(f->problems.items[0].text, message);
    problems_clear(&f->problems);
}

static void assert_pos(struct doc_pos pos, uint32_t line, uint32_t column)
{
    assert_string_equal(pos.file, "f.yaml");
    assert_int_equal(pos.line, line);
    assert_int_equal(pos.column, column);
}

static void test_tree(void **state)
{
    struct doc_node *root = parse(*state, "b: 1\n"
                                          "a:\n"
                                          "  - \"x\"\n"
                                          "  - {k: v, \xc3\xa4: w}\n");
    const struct doc_node *list, *map;

    assert_int_equal(root->n, 2);
    assert_string_equal(root->entries[0].key, "b");
    assert_pos(root->entries[1].pos, 2, 1);
    list = doc_get(root, "a");
    assert_int_equal(list->kind, DOC_LIST);
    assert_int_equal(list->n, 2);
    assert_string_equal(list->items[0]->text, "x");
    assert_true(list->items[0]->quoted);
    assert_pos(list->items[0]->pos, 3, 5);
    map = list->items[1];
    assert_int_equal(map->kind, DOC_MAP);
    /* Columns count characters, not bytes. */
    assert_pos(doc_entry_find(map, "\xc3\xa4")->pos, 4, 12);
    assert_pos(doc_get(map, "\xc3\xa4")->pos, 4, 15);
    assert_false(doc_get(map, "k")->quoted);
    assert_null(doc_get(map, "z"));
    assert_null(doc_get(list, "k"));
    assert_null(doc_get(NULL, "k"));
}

static void test_empty(void **state)
{
    static const char *const texts[] = {"", "# nothing\n", "---\n", "~\n", "\xef\xbb\xbf# BOM\n"};

    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
        assert_int_equal(parse(*state, texts[i])->n, 0);
}

static void test_null_and_tags(void **state)
{
    struct doc_node *root = parse(*state, "a:\nb: ~\nc: null\nd: \"\"\ne: !!str null\nf: !!int "
                                          "\"5\"\ng: !!null ''\nh: '~'\ni: nul\n");

    assert_true(doc_is_null(doc_get(root, "a")));
    assert_true(doc_is_null(doc_get(root, "b")));
    assert_true(doc_is_null(doc_get(root, "c")));
    assert_false(doc_is_null(doc_get(root, "d")));
    assert_false(doc_is_null(doc_get(root, "e")));
    assert_false(doc_get(root, "f")->quoted);
    assert_true(doc_is_null(doc_get(root, "g")));
    assert_false(doc_is_null(doc_get(root, "h")));
    assert_false(doc_is_null(doc_get(root, "i")));
    assert_false(doc_is_null(root));
}

static void test_many_keys(void **state)
{
    struct fixture *f = *state;
    size_t size;
    char *text = NULL;
    FILE *out = open_memstream(&text, &size);
    struct doc_node *root = NULL;

    assert_non_null(out);
    for (int i = 0; i < 20000; i++)
        fprintf(out, "k%d: %d\n", (i * 7919) % 20000, i);
    fclose(out);
    assert_int_equal(doc_parse(f->arena, "f.yaml", text, size, &root, &f->problems), 0);
    free(text);
    assert_int_equal(root->n, 20000);
    for (int i = 0; i < 20000; i++) {
        char key[16], value[16];

        snprintf(key, sizeof(key), "k%d", (i * 7919) % 20000);
        snprintf(value, sizeof(value), "%d", i);
        assert_string_equal(doc_get(root, key)->text, value);
    }
}

static void test_collected(void **state)
{
    struct fixture *f = *state;
    static const char text[] = "a: &x 1\nb: *x\nc: !!map 2\na: 3\nd: {e: 1, e: 2}\n";
    struct doc_node *root = NULL;

    assert_int_equal(doc_parse(f->arena, "f.yaml", text, sizeof(text) - 1, &root, &f->problems), 0);
    assert_int_equal(f->problems.n_errors, 5);
    /* The tree is whole: the first of equal keys stays, what cannot be used is marked. */
    assert_int_equal(root->n, 4);
    assert_string_equal(doc_get(root, "a")->text, "1");
    assert_true(doc_get(root, "b")->bad);
    assert_true(doc_get(root, "c")->bad);
    assert_string_equal(doc_get(doc_get(root, "d"), "e")->text, "1");
    problems_sort(&f->problems);
    assert_string_equal(f->problems.items[4].text, "f.yaml:5:11: d: the key \"e\" is here twice, "
                                                   "first in line 5 (remove one)");
}

static void test_limits(void **state)
{
    struct fixture *f = *state;
    size_t size = DOC_FILE_MAX;
    char *text = malloc(size + 1);
    struct doc_node *root;

    assert_non_null(text);
    /* Exactly the limit is fine, a byte more is not. */
    memset(text, '#', size + 1);
    assert_int_equal(doc_parse(f->arena, "f.yaml", text, size, &root, &f->problems), 0);
    refuse(f, text, size + 1,
           "f.yaml: larger than 4 MiB (use drop-ins, FILE.d/*.yaml, for very many users)");

    /* 16 levels: the root and 15 lists. */
    assert_int_equal(doc_parse(f->arena, "f.yaml", "a: [[[[[[[[[[[[[[[]]]]]]]]]]]]]]]", 33, &root,
                               &f->problems),
                     0);
    refuse(f, "a: [[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]", 35,
           "f.yaml:1:19: more than 16 levels inside each other (nothing here needs that many)");

    /* Many tiny values must not become many megabytes. */
    memset(text, ',', size);
    for (size_t i = 0; i < size; i += 2)
        text[i] = 'a';
    memcpy(text, "a: [", 4);
    refuse(f, text, size, "f.yaml:1:524283: more than 262144 values in one file");
    free(text);
}

static void test_refused(void **state)
{
    refuse(*state, "a: 1\n--- \nb: 2\n", 15,
           "f.yaml:2:1: a second document begins here (keep one, remove the ---)");
    refuse(*state, "- a\n", 4,
           "f.yaml:1:1: the file must be a map of keys (write \"key: value\" lines)");
    refuse(*state, "a: \xff", 4, "f.yaml:1:4: not valid UTF-8 (save the file as UTF-8)");
    refuse(*state, "a: b\0c", 6,
           "f.yaml:1:5: not valid YAML: control characters are not allowed (remove the character)");
    refuse(*state, "a: @b\n", 6,
           "f.yaml:1:4: not valid YAML: while scanning for the next token, found character that "
           "cannot start any token (indent with spaces, never tabs; quote a text with @ ` or %)");
}

static void test_merge(void **state)
{
    struct fixture *f = *state;
    struct doc_node *base = parse(f, "s: 1\nm: {a: 1, b: {c: 2}, l: [1, 2]}\nk: {x: 1}\ng:\n");
    struct doc_node *over = parse(f, "\n\nm: {b: {d: 3}, a: 9, l: [3]}\nt: new\nk:\ng: {y: 2}\n");
    const struct doc_node *m;

    assert_int_equal(doc_merge(f->arena, base, over), 0);
    m = doc_get(base, "m");
    assert_string_equal(doc_get(m, "a")->text, "9");
    assert_int_equal(doc_get(m, "a")->pos.line, 3);
    assert_string_equal(doc_get(doc_get(m, "b"), "c")->text, "2");
    assert_string_equal(doc_get(doc_get(m, "b"), "d")->text, "3");
    assert_int_equal(doc_get(m, "l")->n, 1);
    assert_string_equal(doc_get(base, "s")->text, "1");
    assert_string_equal(doc_get(base, "t")->text, "new");
    assert_string_equal(doc_get(doc_get(base, "k"), "x")->text, "1");
    assert_string_equal(doc_get(doc_get(base, "g"), "y")->text, "2");
    assert_int_equal(base->n, 5);
}

static void test_problems(void **state)
{
    struct fixture *f = *state;
    char *text = NULL;
    size_t size;
    FILE *out;

    problem_add(&f->problems, PROBLEM_NOTE, &(struct doc_pos){"b", 2, 1}, "k", "a %s", "note");
    problem_add(&f->problems, PROBLEM_ERROR, &(struct doc_pos){"b", 1, 10}, "", "ten\n");
    problem_add(&f->problems, PROBLEM_ERROR, &(struct doc_pos){"b", 1, 9}, NULL, "nine");
    problem_add(&f->problems, PROBLEM_ERROR, &(struct doc_pos){"a", 0, 0}, "p.q", "file");
    for (int i = 0; i < PROBLEMS_MAX; i++)
        problem_add(&f->problems, PROBLEM_ERROR, &(struct doc_pos){"c", 1, 1}, NULL, "more");
    assert_int_equal(f->problems.n_errors, PROBLEMS_MAX + 3);
    problems_sort(&f->problems);

    out = open_memstream(&text, &size);
    assert_non_null(out);
    problems_print(&f->problems, out);
    fclose(out);
    assert_memory_equal(text,
                        "a: p.q: file\nb:1:9: nine\nb:1:10: ten\\x0a\nnote: b:2:1: k: a note\n"
                        "c:1:1: more\n",
                        75);
    assert_string_equal(text + size - 11, "and 4 more\n");
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_tree, setup, teardown),
        cmocka_unit_test_setup_teardown(test_empty, setup, teardown),
        cmocka_unit_test_setup_teardown(test_null_and_tags, setup, teardown),
        cmocka_unit_test_setup_teardown(test_many_keys, setup, teardown),
        cmocka_unit_test_setup_teardown(test_collected, setup, teardown),
        cmocka_unit_test_setup_teardown(test_limits, setup, teardown),
        cmocka_unit_test_setup_teardown(test_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(test_merge, setup, teardown),
        cmocka_unit_test_setup_teardown(test_problems, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

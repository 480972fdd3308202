/* A file and its drop-ins: read, laid over each other, told apart by their hash. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/bundle.h"
#include "common/cleanup.h"
#include "common/yaml.h"

struct fixture {
    char dir[32];
    struct arena *arena;
    struct bundle bundle;
    struct problems problems;
};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));

    strcpy(f->dir, "/tmp/test_bundle.XXXXXX");
    f->arena = arena_new(64 << 20);
    *state = f;
    return f->arena && mkdtemp(f->dir) && chdir(f->dir) == 0 ? 0 : -1;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    int rc = chdir("/");

    rc |= rmdir(f->dir);
    problems_clear(&f->problems);
    bundle_clear(&f->bundle);
    arena_free(f->arena);
    free(f);
    return rc;
}

static void file_put(const char *path, const char *text)
{
    FILE *out = fopen(path, "w");

    assert_non_null(out);
    fputs(text, out);
    fclose(out);
}

static const char *const files[] = {"f.yaml", "f.yaml.d/20-b.yaml", "f.yaml.d/10-a.yaml",
                                    "f.yaml.d/.hidden.yaml", "f.yaml.d/note.txt"};

static void files_put(void)
{
    static const char *const texts[] = {"a: 1\nb: 1\nc: 1\n", "c: 3\n", "b: 2\nc: 2\n", "a: [\n",
                                        "a: [\n"};

    assert_int_equal(mkdir("f.yaml.d", 0700), 0);
    for (size_t i = 0; i < ARRAY_SIZE(files); i++)
        file_put(files[i], texts[i]);
}

static void files_remove(void)
{
    for (size_t i = 0; i < ARRAY_SIZE(files); i++)
        unlink(files[i]);
    assert_int_equal(rmdir("f.yaml.d"), 0);
}

static void test_layers(void **state)
{
    struct fixture *f = *state;
    struct doc_node *root = NULL;

    assert_int_equal(bundle_read("f.yaml", &f->bundle, &f->problems), -ENOENT);
    assert_string_equal(
        f->problems.items[0].text,
        "f.yaml: there is no such file (vpn-server --init writes a server's first one,"
        " vpnctl user add a client's)");
    problems_clear(&f->problems);

    files_put();
    assert_int_equal(bundle_read("f.yaml", &f->bundle, &f->problems), 0);
    assert_int_equal(f->bundle.n, 3);
    assert_string_equal(f->bundle.files[1].name, "f.yaml.d/10-a.yaml");
    assert_int_equal(bundle_parse(&f->bundle, f->arena, &root, &f->problems), 0);
    assert_int_equal(f->problems.n_errors, 0);
    assert_string_equal(doc_get(root, "a")->text, "1");
    assert_string_equal(doc_get(root, "b")->text, "2");
    assert_string_equal(doc_get(root, "b")->pos.file, "f.yaml.d/10-a.yaml");
    assert_string_equal(doc_get(root, "c")->text, "3");
    assert_string_equal(doc_get(root, "c")->pos.file, "f.yaml.d/20-b.yaml");
    bundle_clear(&f->bundle);

    /* Both files are wrong, both are said. */
    file_put("f.yaml", "a: [\n");
    file_put("f.yaml.d/10-a.yaml", "- x\n");
    assert_int_equal(bundle_read("f.yaml", &f->bundle, &f->problems), 0);
    assert_int_equal(bundle_parse(&f->bundle, f->arena, &root, &f->problems), -EINVAL);
    assert_int_equal(f->problems.n_errors, 2);
    bundle_clear(&f->bundle);

    /* A name that could be neither sent nor kept. */
    file_put("f.yaml.d/\xff.yaml", "a: 1\n");
    assert_int_equal(bundle_read("f.yaml", &f->bundle, &f->problems), -EINVAL);
    assert_string_equal(f->problems.items[2].text,
                        "f.yaml.d/\\xff.yaml: its name is not UTF-8 (rename it)");
    unlink("f.yaml.d/\xff.yaml");
    files_remove();
}

static void hash_of(const char *main_name, const char *main_text, const char *name,
                    const char *text, uint8_t hash[BUNDLE_HASH_LEN])
{
    struct bundle bundle = {0};

    assert_int_equal(bundle_add(&bundle, main_name, main_text, strlen(main_text)), 0);
    if (name)
        assert_int_equal(bundle_add(&bundle, name, text, strlen(text)), 0);
    bundle_hash(&bundle, hash);
    bundle_clear(&bundle);
}

static void test_hash(void **state)
{
    uint8_t one[BUNDLE_HASH_LEN], two[BUNDLE_HASH_LEN];

    (void)state;
    hash_of("/etc/vpn/vpn.yaml", "a: 1\n", "/etc/vpn/vpn.yaml.d/10.yaml", "b: 2\n", one);
    /* Kept elsewhere it is the same. */
    hash_of("/tmp/x", "a: 1\n", "/tmp/y/10.yaml", "b: 2\n", two);
    assert_memory_equal(one, two, sizeof(one));
    hash_of("/tmp/x", "a: 1\n", "/tmp/y/20.yaml", "b: 2\n", two);
    assert_memory_not_equal(one, two, sizeof(one));
    hash_of("/tmp/x", "a: 1\n", "/tmp/y/10.yaml", "b: 3\n", two);
    assert_memory_not_equal(one, two, sizeof(one));
    hash_of("/tmp/x", "a: 1\nb: 2\n", NULL, NULL, two);
    assert_memory_not_equal(one, two, sizeof(one));
    /* What belongs to which file is part of it. */
    hash_of("/tmp/x", "a: 1\nb", "/tmp/y/10.yaml", ": 2\n", two);
    assert_memory_not_equal(one, two, sizeof(one));
}

static void test_limits(void **state)
{
    struct fixture *f = *state;
    _cleanup_(free_p) char *big = calloc(1, DOC_FILE_MAX + 1);
    size_t n = 0;

    assert_non_null(big);
    for (; n < BUNDLE_FILES_MAX; n++)
        assert_int_equal(bundle_add(&f->bundle, "a", "x", 1), 0);
    assert_int_equal(bundle_add(&f->bundle, "a", "x", 1), -EFBIG);
    assert_int_equal(f->bundle.n, BUNDLE_FILES_MAX);
    assert_int_equal(f->bundle.bytes, 2 * BUNDLE_FILES_MAX);
    bundle_clear(&f->bundle);

    assert_int_equal(bundle_add(&f->bundle, "a", big, DOC_FILE_MAX), 0);
    assert_int_equal(bundle_add(&f->bundle, "b", big, DOC_FILE_MAX), 0);
    assert_int_equal(bundle_add(&f->bundle, "c", big, DOC_FILE_MAX), -EFBIG);
    assert_int_equal(f->bundle.n, 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_layers, setup, teardown),
        cmocka_unit_test(test_hash),
        cmocka_unit_test_setup_teardown(test_limits, setup, teardown),
    };

    return sodium_init() < 0 ? 1 : cmocka_run_group_tests(tests, NULL, NULL);
}

/* The arena: alignment, zeroes, the limit, many pieces. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdalign.h>
#include <string.h>

#include "common/arena.h"

static void test_pieces(void **state)
{
    struct arena *arena = arena_new(1 << 20);
    unsigned char *pieces[300];

    (void)state;
    assert_non_null(arena);
    for (size_t i = 0; i < 300; i++) {
        pieces[i] = arena_alloc(arena, i);
        assert_non_null(pieces[i]);
        assert_int_equal((uintptr_t)pieces[i] % alignof(max_align_t), 0);
        for (size_t j = 0; j < i; j++)
            assert_int_equal(pieces[i][j], 0);
        memset(pieces[i], (int)(i & 0xff), i);
    }
    /* No piece lies on another. */
    for (size_t i = 0; i < 300; i++) {
        for (size_t j = 0; j < i; j++)
            assert_int_equal(pieces[i][j], i & 0xff);
    }
    arena_free(arena);
}

static void test_limit(void **state)
{
    struct arena *arena = arena_new(4096);
    size_t got = 0;

    (void)state;
    assert_non_null(arena);
    assert_null(arena_alloc(arena, 4097));
    assert_null(arena_alloc(arena, SIZE_MAX));
    assert_null(arena_array(arena, SIZE_MAX / 2, 4));
    assert_null(arena_strndup(arena, "", SIZE_MAX));
    while (arena_alloc(arena, 16))
        got += 16;
    assert_int_equal(got, 4096);
    assert_null(arena_alloc(arena, 1));
    arena_free(arena);
    arena_free(NULL);
}

static void test_texts(void **state)
{
    struct arena *arena = arena_new(1 << 20);
    const char *a, *b;

    (void)state;
    assert_non_null(arena);
    a = arena_strdup(arena, "alice");
    b = arena_strndup(arena, "bobby", 3);
    assert_string_equal(a, "alice");
    assert_string_equal(b, "bob");
    assert_non_null(arena_array(arena, 0, 8));
    /* Far more than one chunk holds. */
    assert_non_null(arena_alloc(arena, 700000));
    assert_string_equal(a, "alice");
    arena_free(arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pieces),
        cmocka_unit_test(test_limit),
        cmocka_unit_test(test_texts),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

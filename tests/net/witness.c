/* ip(8), tc(8) and nft(8) as witnesses. */
#include "tests/net/witness.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "common/cleanup.h"

#define TEXT_SIZE (1 << 20)

void must(const char *command)
{
    int rc = system(command);

    if (rc != 0)
        fail_msg("%s: %d", command, rc);
}

char *printed(const char *command)
{
    FILE *pipe = popen(command, "r");
    char *text = calloc(1, TEXT_SIZE);

    assert_non_null(pipe);
    assert_non_null(text);
    text[fread(text, 1, TEXT_SIZE - 1, pipe)] = '\0';
    pclose(pipe);
    return text;
}

bool says(const char *command, const char *words)
{
    _cleanup_(free_p) char *text = printed(command);

    return strstr(text, words) != NULL;
}

void shows(const char *command, const char *words)
{
    _cleanup_(free_p) char *text = printed(command);

    if (!strstr(text, words))
        fail_msg("%s\n%sdoes not show \"%s\"", command, text, words);
}

void hides(const char *command, const char *words)
{
    _cleanup_(free_p) char *text = printed(command);

    if (strstr(text, words))
        fail_msg("%s\n%sshows \"%s\"", command, text, words);
}

void check_same(const char *before, const char *after)
{
    const char *a = before, *b = after;

    while (*a || *b) {
        int a_len = (int)strcspn(a, "\n"), b_len = (int)strcspn(b, "\n");

        if (a_len != b_len || strncmp(a, b, (size_t)a_len) != 0)
            fail_msg("before: %.*s\n after: %.*s", a_len, a, b_len, b);
        a += a_len + (a[a_len] != '\0');
        b += b_len + (b[b_len] != '\0');
    }
}

/*
 * What tests say in one line: calls that must succeed or fail, with their struct err called "err",
 * and prefixes as text.
 */
#ifndef TESTS_UNIT_EXPECT_H
#define TESTS_UNIT_EXPECT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "common/err.h"
#include "common/ip.h"

/* Calls that must succeed; what they had to say is shown if they do not. */
#define OK(call)                                                                                   \
    do {                                                                                           \
        struct err err = {{0}};                                                                    \
        int rc_ = (call);                                                                          \
        if (rc_ != 0)                                                                              \
            fail_msg("%s: %d, %s", #call, rc_, err.msg);                                           \
    } while (0)

/* Calls that must fail so, with these words in the explanation. */
#define FAILS(code, words, call)                                                                   \
    do {                                                                                           \
        struct err err = {{0}};                                                                    \
        int rc_ = (call);                                                                          \
        if (rc_ != (code) || !strstr(err.msg, words))                                              \
            fail_msg("%s: %d, \"%s\" instead of %d, \"%s\"", #call, rc_, err.msg, code, words);    \
    } while (0)

static inline struct ip_prefix prefix(const char *text)
{
    struct ip_prefix out;

    assert_int_equal(ip_prefix_parse(text, &out), 0);
    return out;
}

#endif

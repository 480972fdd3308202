/* Log lines: styles, levels, forged lines, reopening, the rate limit, many threads. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <regex.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/log.h"

#define THREADS 4
#define LINES   500

static char dir[] = "/tmp/test_log.XXXXXX";
static char file[64], moved[64];

static void file_text(const char *path, char *buf, size_t size)
{
    int fd = open(path, O_RDONLY);
    ssize_t n;

    assert_true(fd >= 0);
    n = read(fd, buf, size - 1);
    assert_true(n >= 0);
    buf[n] = '\0';
    close(fd);
}

/* Run @say with standard error as a pipe and return what it wrote. */
static void stderr_text(void (*say)(void), char *buf, size_t size)
{
    int saved = dup(STDERR_FILENO), ends[2];
    ssize_t n;

    assert_true(saved >= 0);
    assert_int_equal(pipe(ends), 0);
    assert_int_equal(dup2(ends[1], STDERR_FILENO), STDERR_FILENO);
    log_close(); /* looks at standard error anew */
    say();
    dup2(saved, STDERR_FILENO);
    close(saved);
    close(ends[1]);
    n = read(ends[0], buf, size - 1);
    buf[n > 0 ? n : 0] = '\0';
    close(ends[0]);
    log_close();
}

static void say_each_level(void)
{
    log_error("one");
    log_warning("two %d", 2);
    log_info("three");
    log_debug("four");
}

static void test_plain(void **state)
{
    char text[4096];

    (void)state;
    unsetenv("JOURNAL_STREAM");
    stderr_text(say_each_level, text, sizeof(text));
    assert_string_equal(text, "error: one\nwarning: two 2\nthree\n");

    log_set_level(LOG_LEVEL_DEBUG);
    stderr_text(say_each_level, text, sizeof(text));
    assert_string_equal(text, "error: one\nwarning: two 2\nthree\ndebug: four\n");

    log_set_level(LOG_LEVEL_ERROR);
    stderr_text(say_each_level, text, sizeof(text));
    assert_string_equal(text, "error: one\n");
    log_set_level(LOG_LEVEL_INFO);
}

static void say_to_journal(void)
{
    char stream[64];
    struct stat st;

    assert_int_equal(fstat(STDERR_FILENO, &st), 0);
    snprintf(stream, sizeof(stream), "%llu:%llu", (unsigned long long)st.st_dev,
             (unsigned long long)st.st_ino);
    setenv("JOURNAL_STREAM", stream, 1);
    say_each_level();
}

static void say_to_other_journal(void)
{
    setenv("JOURNAL_STREAM", "1:2", 1);
    say_each_level();
}

static void test_journal(void **state)
{
    char text[4096];

    (void)state;
    stderr_text(say_to_journal, text, sizeof(text));
    assert_string_equal(text, "<3>one\n<4>two 2\n<6>three\n");

    /* A redirected standard error is not the journal that systemd named. */
    stderr_text(say_to_other_journal, text, sizeof(text));
    assert_string_equal(text, "error: one\nwarning: two 2\nthree\n");
    unsetenv("JOURNAL_STREAM");
}

static void say_hostile(void)
{
    log_warning("user %s", "a\nerror: forged\r\x1b[2J\x7f \xc2\x9b \xe2\x80\xa8 \xff \xc3\xa4");
}

static void test_escapes(void **state)
{
    char text[4096];

    (void)state;
    stderr_text(say_hostile, text, sizeof(text));
    assert_string_equal(text, "warning: user a\\x0aerror: forged\\x0d\\x1b[2J\\x7f \\xc2\\x9b "
                              "\\xe2\\x80\\xa8 \\xff \xc3\xa4\n");
}

static void say_long(void)
{
    char *text = malloc(5001);

    assert_non_null(text);
    memset(text, '\n', 5000);
    text[5000] = '\0';
    errno = EDOM;
    log_info("%s", text);
    assert_int_equal(errno, EDOM);
    free(text);
}

static void test_long(void **state)
{
    char text[16384];
    size_t len;

    (void)state;
    stderr_text(say_long, text, sizeof(text));
    len = strlen(text);
    assert_in_range(len, 1000, 4200);
    assert_string_equal(text + len - 4, "...\n");
    assert_ptr_equal(strchr(text, '\n'), text + len - 1);
}

static void assert_matches(const char *text, const char *pattern)
{
    regex_t re;

    assert_int_equal(regcomp(&re, pattern, REG_EXTENDED | REG_NOSUB), 0);
    if (regexec(&re, text, 0, NULL, 0) != 0)
        fail_msg("\"%s\" does not match %s", text, pattern);
    regfree(&re);
}

static void test_file(void **state)
{
    struct err err = {""};
    char text[4096];
    struct stat st;

    (void)state;
    umask(0);
    assert_int_equal(log_open_file(file, &err), 0);
    log_info("first");
    file_text(file, text, sizeof(text));
    assert_matches(text, "^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\\.[0-9]{3}"
                         "[+-][0-9]{2}:[0-9]{2} info: first\n$");
    assert_int_equal(stat(file, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0640);

    /* Moved away, the old file is still written until the log is reopened. */
    assert_int_equal(rename(file, moved), 0);
    log_info("second");
    assert_int_equal(log_reopen(&err), 0);
    log_info("third");
    file_text(moved, text, sizeof(text));
    assert_non_null(strstr(text, "second"));
    assert_null(strstr(text, "third"));
    file_text(file, text, sizeof(text));
    assert_non_null(strstr(text, "third"));
    assert_null(strstr(text, "second"));

    /* A failed switch keeps the log where it is. */
    assert_true(log_open_file("/nonexistent/log", &err) < 0);
    assert_non_null(strstr(err.msg, "/nonexistent/log"));
    assert_int_equal(symlink(file, moved), -1);
    unlink(moved);
    assert_int_equal(symlink(file, moved), 0);
    assert_int_equal(log_open_file(moved, &err), -ELOOP);
    log_info("fourth");
    file_text(file, text, sizeof(text));
    assert_non_null(strstr(text, "fourth"));
    log_close();
    unlink(file);
    unlink(moved);
}

static void *thread_run(void *arg)
{
    for (int i = 0; i < LINES; i++)
        log_info("thread %c says its line number %d of many, and it stays in one piece",
                 *(const char *)arg, i);
    return NULL;
}

static void test_threads(void **state)
{
    static char names[THREADS] = {'a', 'b', 'c', 'd'};
    pthread_t threads[THREADS];
    struct err err;
    char line[256];
    int lines = 0;
    FILE *in;

    (void)state;
    assert_int_equal(log_open_file(file, &err), 0);
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, thread_run, &names[i]), 0);
    /* Reopening under them must lose no line: the name is the same, so is the file. */
    for (int i = 0; i < 20; i++)
        assert_int_equal(log_reopen(&err), 0);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    log_close();

    in = fopen(file, "r");
    assert_non_null(in);
    while (fgets(line, sizeof(line), in)) {
        const char *end = strstr(line, " info: thread ");

        assert_non_null(end);
        assert_string_equal(line + strlen(line) - 26, "and it stays in one piece\n");
        lines++;
    }
    fclose(in);
    unlink(file);
    assert_int_equal(lines, THREADS * LINES);
}

static struct log_limit limit = LOG_LIMIT_INIT(1000, 2);

static void say_often(void)
{
    for (uint64_t i = 0; i < 10; i++)
        log_limited(&limit, 5000 + i, LOG_LEVEL_INFO, "flood %d", (int)i);
    log_limited(&limit, 6000, LOG_LEVEL_INFO, "later");
    log_limited(&limit, 6001, LOG_LEVEL_INFO, "last");
    log_limited(&limit, 6002, LOG_LEVEL_DEBUG, "below the level, so it uses nothing up");
}

static void test_limit(void **state)
{
    char text[4096];

    (void)state;
    stderr_text(say_often, text, sizeof(text));
    assert_string_equal(text, "flood 0\nflood 1\nlater (8 more like this left out)\nlast\n");
}

static int setup(void **state)
{
    (void)state;
    if (!mkdtemp(dir))
        return -1;
    snprintf(file, sizeof(file), "%s/log", dir);
    snprintf(moved, sizeof(moved), "%s/log.1", dir);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    return rmdir(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_plain),   cmocka_unit_test(test_journal),
        cmocka_unit_test(test_escapes), cmocka_unit_test(test_long),
        cmocka_unit_test(test_file),    cmocka_unit_test(test_threads),
        cmocka_unit_test(test_limit),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}

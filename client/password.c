/*
 * Reading a password.
 *
 * Theory of operation
 *
 * The terminal's echo is a property of the terminal and outlives us: who presses Ctrl-C at the
 * prompt must not be left typing blindly.  So the signals that end or stop a program are caught
 * while the echo is off, interrupt the read, and are raised again once the terminal is as it was.
 * Nothing goes through stdio: its buffers would keep a copy of the password that nobody wipes.
 */
#include "client/password.h"

#include <errno.h>
#include <signal.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#include "common/cleanup.h"

static const int caught_signals[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGTSTP};

static volatile sig_atomic_t caught;

static void on_signal(int number)
{
    caught = number;
}

/* One line from standard input; the newline is taken and left out. */
static int line_read(char *line, size_t size, struct err *err)
{
    size_t len = 0;
    char c;

    for (;;) {
        const ssize_t n = read(STDIN_FILENO, &c, 1);

        if (n < 0 && errno == EINTR && !caught)
            continue;
        if (n < 0 && errno == EINTR)
            return err_set(err, -ECANCELED, "interrupted");
        if (n < 0)
            return err_set(err, -errno, "cannot read the password: %s", strerror(errno));
        if (n == 0 && len == 0)
            return err_set(err, -ECANCELED, "no password given");
        if (n == 0 || c == '\n')
            break;
        if (c == '\0')
            return err_set(err, -EINVAL, "a password cannot contain a NUL byte");
        if (len + 1 >= size)
            return err_set(err, -EINVAL, "a password has at most %zu bytes", size - 1);
        line[len++] = c;
    }

    line[len] = '\0';
    sodium_memzero(&c, sizeof(c));
    return 0;
}

static void prompt_write(const char *text)
{
    /* A prompt that cannot be shown is no reason not to read the answer. */
    if (write(STDERR_FILENO, text, strlen(text)) < 0)
        return;
}

static int quiet_read(const char *prompt, char *line, size_t size, struct err *err)
{
    struct sigaction action = {.sa_handler = on_signal}, before[ARRAY_SIZE(caught_signals)];
    struct termios shown, hidden;
    int rc;

    if (tcgetattr(STDIN_FILENO, &shown) < 0)
        return err_set(err, -errno, "cannot ask the terminal: %s", strerror(errno));

    caught = 0;
    sigemptyset(&action.sa_mask);
    for (size_t i = 0; i < ARRAY_SIZE(caught_signals); i++)
        sigaction(caught_signals[i], &action, &before[i]);

    hidden = shown;
    hidden.c_lflag &= ~(tcflag_t)(ECHO | ECHONL);
    if (tcsetattr(STDIN_FILENO, TCSAFLUSH, &hidden) < 0) {
        rc = err_set(err, -errno, "cannot silence the terminal: %s", strerror(errno));
    } else {
        prompt_write(prompt);
        rc = line_read(line, size, err);
        tcsetattr(STDIN_FILENO, TCSAFLUSH, &shown);
        prompt_write("\n");
    }

    for (size_t i = 0; i < ARRAY_SIZE(caught_signals); i++)
        sigaction(caught_signals[i], &before[i], NULL);
    if (caught) {
        sodium_memzero(line, size);
        raise(caught);
    }

    return rc;
}

static int terminal_read(const char *user, char password[PASSWORD_MAX + 1], struct err *err)
{
    char again[PASSWORD_MAX + 1] = "";
    char prompt[128];
    int rc;

    snprintf(prompt, sizeof(prompt), "New password of %.64s: ", user);
    rc = quiet_read(prompt, password, PASSWORD_MAX + 1, err);
    if (rc == 0)
        rc = quiet_read("The same again: ", again, sizeof(again), err);
    if (rc == 0 && strcmp(password, again) != 0)
        rc = err_set(err, -EINVAL, "the two passwords differ: nothing was made");

    sodium_memzero(again, sizeof(again));
    return rc;
}

int password_read(const char *user, char password[PASSWORD_MAX + 1], struct err *err)
{
    int rc;

    if (isatty(STDIN_FILENO))
        rc = terminal_read(user, password, err);
    else
        rc = line_read(password, PASSWORD_MAX + 1, err);

    if (rc == 0 && strlen(password) < PASSWORD_MIN)
        rc = err_set(err, -EINVAL,
                     "a password needs at least %d characters (four random words are good)",
                     PASSWORD_MIN);
    if (rc < 0)
        sodium_memzero(password, PASSWORD_MAX + 1);
    return rc;
}

/* vpnctl confirm, and the countdown of apply --confirm; see cmd_confirm.h. */
#include "client/cmd_confirm.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <termios.h>
#include <unistd.h>

#include "client/render.h"
#include "common/cleanup.h"
#include "common/ctl.h"

#define SECOND_MS 1000

static volatile sig_atomic_t interrupted;

static void on_interrupt(int sig)
{
    (void)sig;
    interrupted = 1;
}

int cmd_confirm(const struct cmd *cmd)
{
    json_t *reply;
    int code =
        cmd_request(cmd, json_pack("{s:i, s:s}", "version", CTL_VERSION, "cmd", "confirm"), &reply);

    if (code == EXIT_SUCCESS && cmd->json)
        code = render_json(stdout, reply) < 0 ? EXIT_FAILURE : code;
    else if (code == EXIT_SUCCESS)
        printf("Configuration %u is confirmed.\n", (unsigned int)cmd_int(reply, "number"));
    json_decref(reply);
    return code;
}

enum standing {
    STANDING_PENDING,
    STANDING_CONFIRMED,
    STANDING_GONE,
    STANDING_UNKNOWN, /* the daemon does not answer now */
};

static enum standing ask_standing(const struct cmd *cmd, unsigned int number, unsigned int *left)
{
    enum standing standing = STANDING_UNKNOWN;
    const json_t *configuration;
    json_t *reply;
    struct err err;

    if (cmd_ask(cmd, "status", &reply, &err) < 0)
        return standing;
    configuration = json_object_get(reply, "configuration");
    if (cmd_int(configuration, "number") != number) {
        standing = STANDING_GONE;
    } else if (json_object_get(configuration, "confirm_s")) {
        *left = (unsigned int)cmd_int(configuration, "confirm_s");
        standing = STANDING_PENDING;
    } else {
        standing = STANDING_CONFIRMED;
    }
    json_decref(reply);
    return standing;
}

enum answer {
    ANSWER_NONE, /* in this second */
    ANSWER_ENTER,
    ANSWER_GONE, /* the terminal: nobody is there to answer */
};

static enum answer wait_second(void)
{
    struct pollfd pfd = {.fd = STDIN_FILENO, .events = POLLIN};
    char line[64];
    ssize_t n;

    if (poll(&pfd, 1, SECOND_MS) <= 0)
        return ANSWER_NONE;
    if (pfd.revents & (POLLHUP | POLLERR | POLLNVAL))
        return ANSWER_GONE;
    n = read(STDIN_FILENO, line, sizeof(line));
    if (n < 0 && errno == EIO)
        return ANSWER_GONE;
    /* Nothing: Ctrl-D, which says neither yes nor no. */
    return n > 0 ? ANSWER_ENTER : ANSWER_NONE;
}

/* To the standard error stream: the terminal may be gone. */
static int say_not_confirmed(const char *why, unsigned int left)
{
    fprintf(stderr,
            "\n%s: the former configuration comes back in %u s.\n"
            "`vpnctl confirm` keeps this one, `vpnctl rollback` goes back at once.\n",
            why, left);
    return EXIT_FAILURE;
}

static int count_down(const struct cmd *cmd, unsigned int number, unsigned int left)
{
    for (;;) {
        enum standing standing = ask_standing(cmd, number, &left);
        enum answer answer;

        if (standing == STANDING_CONFIRMED) {
            printf("\rConfiguration %u is confirmed.                                \n", number);
            return EXIT_SUCCESS;
        }
        if (standing == STANDING_GONE) {
            printf("\rNot confirmed in time: the former configuration is in force again.\n");
            return EXIT_FAILURE;
        }
        printf("\rKeep it?  Enter confirms; otherwise it goes back in %u s. ", left);
        fflush(stdout);
        answer = wait_second();
        if (answer == ANSWER_ENTER)
            return cmd_confirm(cmd);
        if (interrupted)
            return say_not_confirmed("Not confirmed", left);
        if (answer == ANSWER_GONE)
            return say_not_confirmed("Not confirmed, as the terminal is gone", left);
    }
}

int confirm_wait(const struct cmd *cmd, unsigned int number, unsigned int seconds)
{
    const struct sigaction action = {.sa_handler = on_interrupt};

    if (!isatty(STDIN_FILENO) || !isatty(STDOUT_FILENO)) {
        printf("It goes back in %u s unless it is confirmed: `vpnctl confirm`.\n", seconds);
        return EXIT_SUCCESS;
    }
    sigaction(SIGINT, &action, NULL);
    /* What was typed before proves nothing. */
    (void)tcflush(STDIN_FILENO, TCIFLUSH);
    return count_down(cmd, number, seconds);
}

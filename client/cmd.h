/* What vpnctl's verbs share: the options, asking a daemon, and one function per verb. */
#ifndef CLIENT_CMD_H
#define CLIENT_CMD_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/err.h"

struct config;
struct problems;
struct render_table;

/* How the secret of a new user is made. */
enum cmd_secret {
    CMD_SECRET_TOKEN,
    CMD_SECRET_PASSWORD,
    CMD_SECRET_KEY,
};

struct cmd {
    const char *name;     /* the verb's argument, such as a user's name; NULL: none given */
    bool json;            /* -j */
    bool color;           /* as --color, NO_COLOR and the terminal decide */
    bool all;             /* -a */
    bool watch;           /* --watch: go on until interrupted */
    bool client;          /* --client: ask vpn-client, not vpn-server */
    const char *socket;   /* -s or the default */
    const char *config;   /* -f or the default */
    const char *folder;   /* -o */
    const char *endpoint; /* --endpoint or NULL */
    enum cmd_secret secret;
    const char *plan;   /* --plan: apply this plan or nothing; NULL: any */
    uint32_t confirm_s; /* --confirm: go back after so long unless confirmed; 0: do not */
    int64_t now;        /* seconds since 1970 */
};

/**
 * cmd_fail() - print the sentence of a failure
 *
 * Return: the exit code that @rc deserves: 69 no daemon, 77 not permitted, 1 anything else.
 */
int cmd_fail(const struct cmd *cmd, int rc, const struct err *err);

/**
 * cmd_ask() - send a request without arguments to the daemon
 * @verb:  its "cmd"
 * @reply: a new reference
 * @err:   the reason of a failure
 *
 * Return: as ctl_call().
 */
int cmd_ask(const struct cmd *cmd, const char *verb, json_t **reply, struct err *err);

/**
 * cmd_request() - send a request and print the sentence of a refusal
 * @request: taken over; NULL counts as want of memory
 * @reply: a new reference, also of a refusal that has more to say than its sentence; NULL else
 *
 * Return: an exit code: 65 when the daemon finds a configuration wrong.
 */
int cmd_request(const struct cmd *cmd, json_t *request, json_t **reply);
/** cmd_request_blob() - the same with bytes behind the request. */
int cmd_request_blob(const struct cmd *cmd, json_t *request, const void *blob, size_t len,
                     json_t **reply);

/** cmd_text() - a string of a reply, "-" where there is none. */
const char *cmd_text(const json_t *object, const char *key);

/** cmd_int() - a count of a reply, 0 where there is none. */
uint64_t cmd_int(const json_t *object, const char *key);

/** cmd_list() - a list of strings as one: "a, b".  Return: to be freed, or NULL without memory. */
char *cmd_list(const json_t *object, const char *key);

/**
 * cmd_age() - how long ago an RFC 3339 time was
 * @buf: RENDER_NUMBER_LEN bytes
 *
 * Return: @buf, or "-" where the reply has no such time.
 */
const char *cmd_age(const struct cmd *cmd, const json_t *object, const char *key, char *buf);

/**
 * cmd_table_print() - print a table and free it
 * @table: NULL counts as want of memory
 *
 * Return: an exit code.
 */
int cmd_table_print(const struct cmd *cmd, struct render_table *table);

/**
 * cmd_socket_from_file() - where the daemon of a configuration file answers
 * @path: the control socket, to be freed
 *
 * Return: an exit code, as cmd_config_load().
 */
int cmd_socket_from_file(const struct cmd *cmd, char **path);

/**
 * cmd_problems_print() - what is wrong with a file, and free it
 * @rc: what loading it returned
 *
 * Return: an exit code: 0, 65 for a bad file, 77 for one that may not be read, 1 otherwise.
 */
int cmd_problems_print(struct problems *problems, int rc);

/**
 * cmd_config_load() - the server's configuration, its errors and notes printed
 *
 * Return: an exit code: 0, 65 for a bad file, 77 for one that may not be read, 1 otherwise.
 */
int cmd_config_load(const char *path, struct config **out);

/* The verbs.  Each prints its result and returns the exit code. */
int cmd_status(const struct cmd *cmd);
int cmd_users(const struct cmd *cmd);
int cmd_user_add(const struct cmd *cmd);
int cmd_qos(const struct cmd *cmd);
int cmd_kick(const struct cmd *cmd);
int cmd_identity(const struct cmd *cmd);
int cmd_check(const struct cmd *cmd);
int cmd_plan(const struct cmd *cmd);
int cmd_apply(const struct cmd *cmd);
int cmd_confirm(const struct cmd *cmd);
int cmd_rollback(const struct cmd *cmd);
int cmd_reload(const struct cmd *cmd);
int cmd_history(const struct cmd *cmd);
int cmd_routes(const struct cmd *cmd);
int cmd_watch(const struct cmd *cmd);
int cmd_user_disable(const struct cmd *cmd);
int cmd_schema(const struct cmd *cmd);

#endif

/* vpn-server: command line, and the steps that need root, in order. */
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/log.h"
#include "common/process.h"
#include "common/version.h"
#include "daemon/config.h"
#include "daemon/history.h"
#include "daemon/init.h"
#include "daemon/roster.h"
#include "daemon/server.h"

#define PIDFILE   "/run/vpn/vpn-server.pid"
#define EX_OK     0
#define EX_FAILED 1
#define EX_USAGE  64
#define EX_CONFIG 65
#define EX_NOPERM 77
#define USERS_MIN 16384 /* users may be added later without a new enclave */

struct options {
    const char *config, *pidfile, *init_dir;
    bool background, check, init, verbose;
};

static void usage(FILE *out)
{
    fputs("usage: vpn-server [-c FILE] [-d] [-p PIDFILE] [-v]\n"
          "       vpn-server --check [-c FILE]\n"
          "       vpn-server --init [DIR]\n"
          "\n"
          "  -c, --config FILE   configuration (default " CONFIG_PATH ")\n"
          "  -d, --daemon        go to the background; log.file must be set\n"
          "  -p, --pidfile FILE  with -d (default " PIDFILE ")\n"
          "      --check         check the configuration and exit\n"
          "      --init [DIR]    write a first configuration, a realm and an identity\n"
          "  -v, --verbose       log debug lines\n"
          "  -V, --version       print the version\n"
          "  -h, --help          print this\n",
          out);
}

/* Return: -1 to go on, else the exit status. */
static int parse_options(int argc, char **argv, struct options *o)
{
    static const struct option options[] = {
        {"config", required_argument, NULL, 'c'},
        {"daemon", no_argument, NULL, 'd'},
        {"pidfile", required_argument, NULL, 'p'},
        {"check", no_argument, NULL, 'k'},
        {"init", no_argument, NULL, 'i'},
        {"verbose", no_argument, NULL, 'v'},
        {"version", no_argument, NULL, 'V'},
        {"help", no_argument, NULL, 'h'},
        {NULL, 0, NULL, 0},
    };
    int c;

    *o = (struct options){.config = CONFIG_PATH, .pidfile = PIDFILE, .init_dir = INIT_DIR};
    while ((c = getopt_long(argc, argv, "c:dp:vVh", options, NULL)) != -1) {
        switch (c) {
        case 'c':
            o->config = optarg;
            break;
        case 'd':
            o->background = true;
            break;
        case 'p':
            o->pidfile = optarg;
            break;
        case 'k':
            o->check = true;
            break;
        case 'i':
            o->init = true;
            break;
        case 'v':
            o->verbose = true;
            break;
        case 'V':
            puts("vpn-server " VPN_RELEASE);
            return EX_OK;
        case 'h':
            usage(stdout);
            return EX_OK;
        default:
            usage(stderr);
            return EX_USAGE;
        }
    }
    if (o->init && optind < argc)
        o->init_dir = argv[optind++];
    if (optind < argc) {
        fprintf(stderr, "vpn-server: unexpected argument \"%s\"\n", argv[optind]);
        usage(stderr);
        return EX_USAGE;
    }
    return -1;
}

static int do_init(const char *dir)
{
    struct err err;
    int rc = init_write(dir, stdout, &err);

    if (rc == 0)
        return EX_OK;
    fprintf(stderr, "vpn-server: %s\n", err.msg);
    return rc == -EACCES || rc == -EPERM ? EX_NOPERM : EX_FAILED;
}

static uint32_t choose_lanes(const struct config *config)
{
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    /* A lane is two busy threads: the packet thread here and its worker in the enclave. */
    uint32_t lanes = config->workers ? config->workers : (uint32_t)(cores > 1 ? cores / 2 : 1);

    return lanes > IPC_MAX_LANES ? IPC_MAX_LANES : lanes;
}

static bool has_low_port(const struct config *config)
{
    size_t i;

    for (i = 0; i < config->n_listen; i++)
        if (config->listen[i].port < 1024)
            return true;
    return false;
}

static int start_spawner(struct server *s, const struct config *config, bool quiet, struct err *err)
{
    struct account enclave = process_account("vpn-enclave", PROCESS_UID_ENCLAVE);
    uint32_t users = config->n_users > USERS_MIN / 2 ? 2 * (uint32_t)config->n_users : USERS_MIN;
    /* Confirmed clients, logins under way, and sessions that are just ending. */
    uint32_t peers = 2 * config->max_clients + 64;
    char lanes_text[16], peers_text[16], users_text[16], uid_text[16], gid_text[16];
    char *argv[] = {
        "vpn-enclave",
        "--lanes",
        lanes_text,
        "--peers",
        peers_text,
        "--users",
        users_text,
        "--uid",
        uid_text,
        "--gid",
        gid_text,
        "--identity",
        (char *)(uintptr_t)config->identity,
        NULL,
    };

    s->lanes = choose_lanes(config);
    snprintf(lanes_text, sizeof(lanes_text), "%u", s->lanes);
    snprintf(peers_text, sizeof(peers_text), "%u", peers > IPC_MAX_PEERS ? IPC_MAX_PEERS : peers);
    s->max_users = users;
    snprintf(users_text, sizeof(users_text), "%u", users);
    snprintf(uid_text, sizeof(uid_text), "%u", (unsigned int)enclave.uid);
    snprintf(gid_text, sizeof(gid_text), "%u", (unsigned int)enclave.gid);
    return spawner_start(&s->spawner, argv, quiet, err);
}

/* Everything that needs root, up to giving it up. */
static int prepare(struct server *s, const struct config *config, const struct options *o,
                   int *control_fd, gid_t *control_gid, bool *pidfile_made, struct err *err)
{
    struct account account = process_account("vpn", PROCESS_UID_DAEMON);
    int rc;

    if (geteuid() != 0)
        account = (struct account){geteuid(), getegid()};
    if (o->background) {
        rc = process_folder_of(o->pidfile, account, err);
        if (rc == 0)
            rc = process_pidfile(o->pidfile, err);
        if (rc < 0)
            return rc;
        *pidfile_made = true;
    }
    log_set_level(o->verbose ? LOG_LEVEL_DEBUG : config->log_level);
    if (config->log_file) {
        rc = process_log_file(config->log_file, account, err);
        if (rc < 0)
            return rc;
    }
    log_info("vpn-server " VPN_RELEASE " starting");
    /* Without it no lease is kept; whoever writes there says so. */
    (void)process_folder(config->state, account, 0750, NULL);
    if (s->chosen.said[0])
        log_warning("%s", s->chosen.said);
    *control_gid = process_group(config->control_group);
    *control_fd = ctl_listen(config->control_socket, account.uid,
                             *control_gid == (gid_t)-1 ? account.gid : *control_gid, 0660, err);
    if (*control_fd < 0)
        return *control_fd;
    if (*control_gid == (gid_t)-1)
        log_debug("no group \"%s\" on this system: only root may use vpnctl",
                  config->control_group);
    rc = start_spawner(s, config, o->background, err);
    if (rc < 0)
        return rc;
    s->roster_fd = roster_file(config->control_socket, err);
    if (s->roster_fd < 0)
        log_warning("%s: idle clients will be slow to come back after a crash", err->msg);
    return process_drop(account, has_low_port(config), err);
}

/* The configuration to run, which is not always the file's.  What is wrong is printed. */
static int load(const char *path, struct server *s)
{
    struct account account = process_account("vpn", PROCESS_UID_DAEMON);
    struct problems problems = {0};
    int rc;

    if (geteuid() != 0)
        account = (struct account){geteuid(), getegid()};
    rc = choose(path, account, &s->history, &s->config, &s->chosen, &problems);
    problems_print(&problems, stderr);
    problems_clear(&problems);
    if (rc < 0 && s->chosen.said[0])
        fprintf(stderr, "vpn-server: %s\n", s->chosen.said);
    return rc;
}

/* A configuration that may not be read is not a bad one. */
static int bad_config_status(int rc)
{
    return rc == -EPERM || rc == -EACCES ? EX_NOPERM : EX_CONFIG;
}

static int check(const char *path)
{
    struct problems problems = {0};
    struct config *config = NULL;
    int rc = config_load(path, &config, &problems);

    problems_print(&problems, stderr);
    problems_clear(&problems);
    if (rc < 0)
        return bad_config_status(rc);
    printf("%s: configuration is valid (%zu user%s)\n", path, config->n_users,
           config->n_users == 1 ? "" : "s");
    config_free(config);
    return EX_OK;
}

static int exit_status(int rc)
{
    return rc == -EPERM || rc == -EACCES ? EX_NOPERM : EX_FAILED;
}

/*
 * From the checked configuration to the end.  A reload replaces it: s->config is what is to be
 * freed.
 *
 * Return: the exit status.
 */
static int run(struct server *s, const struct options *o)
{
    const struct config *config = s->config;
    gid_t control_gid = (gid_t)-1;
    bool pidfile_made = false;
    int control_fd = -1;
    struct err err;
    int rc;

    if (!process_has_net_admin()) {
        fprintf(stderr, "vpn-server: not permitted to set up the network: start it as root (it "
                        "gives up what it does not need)\n");
        return EX_NOPERM;
    }
    if (o->background && !config->log_file) {
        fprintf(stderr, "vpn-server: -d needs a log file: set log.file in %s\n", o->config);
        return EX_USAGE;
    }
    if (o->background && process_background(&err) < 0) {
        fprintf(stderr, "vpn-server: %s\n", err.msg);
        return EX_FAILED;
    }
    /* A terminal or log pipe that goes away must not end the service. */
    signal(SIGPIPE, SIG_IGN);
    s->config_path = o->config;
    s->verbose = o->verbose;
    rc = prepare(s, config, o, &control_fd, &control_gid, &pidfile_made, &err);
    if (rc == 0)
        rc = server_start(s, s->config, control_fd, control_gid, &err);
    if (rc < 0) {
        log_error("%s", err.msg);
        /* In the background the terminal still listens until we are ready. */
        if (o->background)
            fprintf(stderr, "vpn-server: %s\n", err.msg);
        rc = exit_status(rc);
    } else {
        rc = server_run(s);
        if (rc != 0 && !s->ready_once && o->background)
            fprintf(stderr, "vpn-server: not started; the reason is in the log file\n");
    }
    server_stop(s);
    /* Only what is ours: another daemon may have been in the way of this start. */
    if (pidfile_made)
        unlink(o->pidfile);
    if (control_fd >= 0)
        /* A server always has a configuration; the analyzer loses that over a reload. */
        unlink(s->config->control_socket); // NOLINT(clang-analyzer-core.NullDereference)
    log_info("ended");
    log_close();
    return rc;
}

int main(int argc, char **argv)
{
    static struct server server = {.exit_status = -1,
                                   .roster_fd = -1,
                                   .loop = {.epoll = -1, .signals = -1}};
    static const int early[] = {SIGHUP, SIGUSR1};
    struct options options;
    int rc = parse_options(argc, argv, &options);

    if (rc >= 0)
        return rc;
    if (options.init)
        return do_init(options.init_dir);
    if (options.check)
        return check(options.config);
    (void)loop_signals_hold(early, ARRAY_SIZE(early));
    rc = load(options.config, &server);
    if (rc < 0 || !server.config)
        rc = bad_config_status(rc);
    else
        rc = run(&server, &options);
    history_free(server.history);
    bundle_clear(&server.chosen.bundle);
    config_free(server.config);
    return rc;
}

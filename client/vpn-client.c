/* vpn-client: command line, and the steps that need root, in order. */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "client/client.h"
#include "client/routing.h"
#include "common/arena.h"
#include "common/cleanup.h"
#include "common/clock.h"
#include "common/cred.h"
#include "common/log.h"
#include "common/process.h"
#include "common/version.h"

#define PIDFILE   "/run/vpn/vpn-client.pid"
#define INSTANCE  "vpn-client.instance"
#define EX_OK     0
#define EX_FAILED 1
#define EX_USAGE  64
#define EX_CONFIG 65
#define EX_NOPERM 77

/* Inner sources that one enclave keeps, for all tunnels together; leases may change a few. */
#define PREFIXES_MAX 16000

struct options {
    const char *config, *pidfile;
    bool background, check, unblock, verbose;
};

static void usage(FILE *out)
{
    fputs("usage: vpn-client [-c FILE] [-d] [-p PIDFILE] [-v]\n"
          "       vpn-client --check [-c FILE]\n"
          "       vpn-client --unblock\n"
          "\n"
          "  -c, --config FILE   configuration (default " PROFILE_PATH ")\n"
          "  -d, --daemon        go to the background; log.file must be set\n"
          "  -p, --pidfile FILE  with -d (default " PIDFILE ")\n"
          "      --check         check the configuration and exit\n"
          "      --unblock       remove what a run that was killed has left, and exit\n"
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
        {"unblock", no_argument, NULL, 'u'},
        {"verbose", no_argument, NULL, 'v'},
        {"version", no_argument, NULL, 'V'},
        {"help", no_argument, NULL, 'h'},
        {NULL, 0, NULL, 0},
    };
    int c;

    *o = (struct options){.config = PROFILE_PATH, .pidfile = PIDFILE};
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
        case 'u':
            o->unblock = true;
            break;
        case 'v':
            o->verbose = true;
            break;
        case 'V':
            puts("vpn-client " VPN_RELEASE);
            return EX_OK;
        case 'h':
            usage(stdout);
            return EX_OK;
        default:
            usage(stderr);
            return EX_USAGE;
        }
    }
    if (optind < argc) {
        fprintf(stderr, "vpn-client: unexpected argument \"%s\"\n", argv[optind]);
        usage(stderr);
        return EX_USAGE;
    }
    return -1;
}

/* ---- the configuration ------------------------------------------------------------------------
 */

/* The rules for that have one place, the last; see trust.h for what a server may push. */
static bool takes_everything(const struct profile_tunnel *t)
{
    const struct routing r = {.routes = t->routes, .n_routes = t->n_routes};

    return routing_is_full(&r, 4) || routing_is_full(&r, 6);
}

/* What the tunnels of one process cannot have together. */
static void check_together(const struct profile *p, struct problems *problems)
{
    const uint32_t self = process_account("vpn", PROCESS_UID_DAEMON).uid;
    const struct profile_tunnel *first = NULL;
    size_t prefixes = 0;

    for (size_t i = 0; i < p->n_tunnels; i++) {
        const struct profile_tunnel *t = &p->tunnels[i];
        const struct doc_pos pos = {.file = t->file, .line = t->line, .column = 1};
        char path[PROFILE_NAME_MAX + 32];

        prefixes += t->own_network ? NETSTATE_ADDRS : t->n_routes;
        if (t->has_uids && t->uids.first <= self && self <= t->uids.last) {
            snprintf(path, sizeof(path), "tunnels.%s.uids", t->name);
            problem_add(problems, PROBLEM_ERROR, &pos, path,
                        "hold %u, as which vpn-client itself runs (leave it out)", self);
        }
        if (t->has_uids || t->table || !takes_everything(t))
            continue;
        snprintf(path, sizeof(path), "tunnels.%s.routes", t->name);
        if (first)
            problem_add(problems, PROBLEM_ERROR, &pos, path,
                        "has a default route as tunnel %s has (only one can have it)", first->name);
        else
            first = t;
    }
    if (prefixes > PREFIXES_MAX)
        problem_add(problems, PROBLEM_ERROR, NULL, "tunnels",
                    "have %zu routes together (at most %d are possible)", prefixes, PREFIXES_MAX);
}

static int load(const char *path, struct profile **profile)
{
    struct problems problems = {0};
    int rc = profile_load(path, profile, &problems);

    if (rc == 0) {
        check_together(*profile, &problems);
        rc = problems.n_errors ? -EINVAL : 0;
    }
    problems_print(&problems, stderr);
    problems_clear(&problems);
    return rc;
}

/* ---- as root ----------------------------------------------------------------------------------
 */

/*
 * One process runs all tunnels of a network namespace: two would fight over rules and routes.  An
 * abstract socket belongs to the namespace and goes with the process, however that ends.
 */
static int claim_instance(struct err *err)
{
    struct sockaddr_un sun = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

    if (fd < 0)
        return err_set(err, -errno, "socket: %s", strerror(errno));
    memcpy(sun.sun_path + 1, INSTANCE, sizeof(INSTANCE) - 1);
    if (bind(fd, (struct sockaddr *)&sun,
             (socklen_t)(offsetof(struct sockaddr_un, sun_path) + sizeof(INSTANCE))) < 0) {
        const int rc = -errno;

        close(fd);
        if (rc == -EADDRINUSE)
            return err_set(err, rc,
                           "another vpn-client is running here (one process runs all tunnels: "
                           "put them into one file)");
        return err_set(err, rc, "%s: %s", INSTANCE, strerror(-rc));
    }
    return fd;
}

/* The enclave's command line: eight words at most, and six for each tunnel. */
static int start_spawner(struct client *c, const struct profile *p, bool quiet, struct err *err)
{
    const struct account enclave = process_account("vpn-enclave", PROCESS_UID_ENCLAVE);
    const char **argv = arena_alloc(p->arena, (8 + 6 * p->n_tunnels) * sizeof(*argv));
    char(*keys)[CRED_KEY_TEXT_LEN + 1] = arena_alloc(p->arena, p->n_tunnels * sizeof(*keys));
    char lanes[16], uid[16], gid[16];
    size_t n = 0;

    if (!argv || !keys)
        return err_set(err, -ENOMEM, "out of memory");
    snprintf(lanes, sizeof(lanes), "%u", c->lanes);
    snprintf(uid, sizeof(uid), "%u", (unsigned int)enclave.uid);
    snprintf(gid, sizeof(gid), "%u", (unsigned int)enclave.gid);
    argv[n++] = "vpn-enclave";
    argv[n++] = "--lanes";
    argv[n++] = lanes;
    argv[n++] = "--uid";
    argv[n++] = uid;
    argv[n++] = "--gid";
    argv[n++] = gid;
    for (size_t i = 0; i < p->n_tunnels; i++) {
        const struct profile_tunnel *t = &p->tunnels[i];

        cred_key_encode(t->server_key, keys[i]);
        argv[n++] = "--tunnel";
        argv[n++] = t->user;
        argv[n++] = t->realm ? t->realm : "-";
        argv[n++] = keys[i];
        argv[n++] = t->token_file ? "token" : "key";
        argv[n++] = t->token_file ? t->token_file : t->key_file;
    }
    argv[n] = NULL;
    return spawner_start(&c->spawner, (char *const *)(uintptr_t)argv, quiet, err);
}

/* A lane serves any number of tunnels; more lanes than cores only get in each other's way. */
static uint32_t choose_lanes(const struct profile *p)
{
    const long cores = sysconf(_SC_NPROCESSORS_ONLN);
    size_t lanes = cores > 1 ? (size_t)cores : 1;

    if (lanes > p->n_tunnels)
        lanes = p->n_tunnels;
    return lanes > IPC_MAX_LANES ? IPC_MAX_LANES : (uint32_t)lanes;
}

/* Everything that needs root, up to giving it up. */
static int prepare(struct client *c, const struct profile *p, const struct options *o,
                   int *control_fd, gid_t *control_gid, bool *pidfile_made, struct err *err)
{
    struct account account = process_account("vpn", PROCESS_UID_DAEMON);
    int rc;

    if (!process_has_net_admin())
        return err_set(err, -EPERM,
                       "not permitted to set up devices and routes: this needs CAP_NET_ADMIN "
                       "(start it as root)");
    if (geteuid() != 0)
        account = (struct account){geteuid(), getegid()};
    /* Held until the process ends. */
    rc = claim_instance(err);
    if (rc >= 0 && o->background)
        rc = process_folder_of(o->pidfile, account, err);
    if (rc >= 0 && o->background)
        rc = process_pidfile(o->pidfile, err);
    *pidfile_made = rc >= 0 && o->background;
    if (rc >= 0 && p->log_file)
        rc = process_log_file(p->log_file, account, err);
    if (rc < 0)
        return rc;
    log_set_level(o->verbose ? LOG_LEVEL_DEBUG : p->log_level);
    log_info("vpn-client " VPN_RELEASE " starting");
    *control_gid = process_group(p->control_group);
    *control_fd = ctl_listen(p->control_socket, account.uid,
                             *control_gid == (gid_t)-1 ? account.gid : *control_gid, 0660, err);
    if (*control_fd < 0)
        return *control_fd;
    rc = process_folder(p->state, account, 0750, err);
    if (rc == 0)
        rc = start_spawner(c, p, o->background, err);
    return rc < 0 ? rc : process_drop(account, false, err);
}

static int check(const struct options *options, const struct profile *profile)
{
    printf("%s: configuration is valid (%zu tunnel%s)\n", options->config, profile->n_tunnels,
           profile->n_tunnels == 1 ? "" : "s");
    return EX_OK;
}

/* What is ours in this network namespace, and nobody's any more. */
static int unblock(void)
{
    _cleanup_(net_set_freep) struct net_set *nothing = net_set_new();
    struct keeper *keeper = NULL;
    struct err err;
    int rc;

    if (!process_has_net_admin())
        rc = err_set(&err, -EPERM, "not permitted to remove rules and routes: start it as root");
    else
        rc = claim_instance(&err);
    if (rc >= 0)
        rc = keeper_new(&keeper, &err);
    if (rc >= 0)
        rc = nothing ? keeper_want(keeper, nothing, clock_mono_ms(), &err)
                     : err_set(&err, -ENOMEM, "out of memory");
    keeper_free(keeper);
    if (rc < 0)
        fprintf(stderr, "vpn-client: %s\n", err.msg);
    if (rc == -EPERM || rc == -EACCES)
        return EX_NOPERM;
    return rc < 0 ? EX_FAILED : EX_OK;
}

/* From root to the end.  Return: the exit status. */
static int start(const struct options *options, const struct profile *profile)
{
    static struct client client = {.loop = {.epoll = -1, .signals = -1}};
    gid_t control_gid = (gid_t)-1;
    bool pidfile_made = false;
    int control_fd = -1;
    struct err err;
    int rc;

    if (options->background && !profile->log_file) {
        fprintf(stderr, "vpn-client: -d needs a log file: set log.file in %s\n", options->config);
        return EX_USAGE;
    }
    if (options->background && process_background(&err) < 0) {
        fprintf(stderr, "vpn-client: %s\n", err.msg);
        return EX_FAILED;
    }
    client.lanes = choose_lanes(profile);
    rc = prepare(&client, profile, options, &control_fd, &control_gid, &pidfile_made, &err);
    if (rc == 0)
        rc = client_start(&client, profile, control_fd, control_gid, &err);
    else if (control_fd >= 0)
        close(control_fd);
    if (rc < 0) {
        log_error("%s", err.msg);
        /* In the background the terminal still listens until we are ready. */
        if (options->background && profile->log_file)
            fprintf(stderr, "vpn-client: %s\n", err.msg);
        rc = rc == -EPERM || rc == -EACCES ? EX_NOPERM : EX_FAILED;
    } else {
        rc = client_run(&client);
    }
    client_stop(&client);
    if (control_fd >= 0)
        unlink(profile->control_socket);
    if (pidfile_made)
        unlink(options->pidfile);
    log_info("ended");
    log_close();
    return rc;
}

int main(int argc, char **argv)
{
    static const int early[] = {SIGHUP, SIGUSR1};
    struct profile *profile = NULL;
    struct options options;
    int rc = parse_options(argc, argv, &options);

    if (rc >= 0)
        return rc;
    if (options.unblock)
        return unblock();
    (void)loop_signals_hold(early, ARRAY_SIZE(early));
    rc = load(options.config, &profile);
    if (rc < 0)
        rc = rc == -EACCES || rc == -EPERM ? EX_NOPERM : EX_CONFIG;
    else
        rc = options.check ? check(&options, profile) : start(&options, profile);
    profile_free(profile);
    return rc;
}

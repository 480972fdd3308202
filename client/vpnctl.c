/* vpnctl: the operator's command. */
#include <errno.h>
#include <getopt.h>
#include <langinfo.h>
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

#include "client/cmd.h"
#include "client/profile.h"
#include "common/cleanup.h"
#include "common/text.h"
#include "common/value.h"
#include "common/version.h"
#include "daemon/config.h"

#define CONFIRM_MIN_S 5
#define CONFIRM_MAX_S 86400

#define SERVER_SOCKET "/run/vpn/vpn.sock"
#define CLIENT_SOCKET "/run/vpn-client/vpn.sock"

/* Options, as bits: each verb says which it takes. */
enum option_bit {
    OPTION_JSON = 1 << 0,
    OPTION_COLOR = 1 << 1,
    OPTION_FILE = 1 << 2,
    OPTION_SOCKET = 1 << 3,
    OPTION_CLIENT = 1 << 4,
    OPTION_SECRET = 1 << 5,
    OPTION_OUTPUT = 1 << 6,
    OPTION_ENDPOINT = 1 << 7,
    OPTION_ALL = 1 << 8,
    OPTION_PLAN = 1 << 9,
    OPTION_CONFIRM = 1 << 10,
    OPTION_WATCH = 1 << 11,
};

#define OPTIONS_ASKING (OPTION_JSON | OPTION_COLOR | OPTION_FILE | OPTION_SOCKET)

enum {
    LONG_COLOR = 256,
    LONG_CLIENT,
    LONG_PASSWORD,
    LONG_TOKEN,
    LONG_KEY,
    LONG_ENDPOINT,
    LONG_PLAN,
    LONG_CONFIRM,
};

static const struct option long_options[] = {
    {"json", no_argument, NULL, 'j'},
    {"all", no_argument, NULL, 'a'},
    {"color", optional_argument, NULL, LONG_COLOR},
    {"file", required_argument, NULL, 'f'},
    {"socket", required_argument, NULL, 's'},
    {"client", no_argument, NULL, LONG_CLIENT},
    {"password", no_argument, NULL, LONG_PASSWORD},
    {"token", no_argument, NULL, LONG_TOKEN},
    {"key", no_argument, NULL, LONG_KEY},
    {"output", required_argument, NULL, 'o'},
    {"endpoint", required_argument, NULL, LONG_ENDPOINT},
    {"watch", no_argument, NULL, 'w'},
    {"plan", required_argument, NULL, LONG_PLAN},
    {"confirm", required_argument, NULL, LONG_CONFIRM},
    {"help", no_argument, NULL, 'h'},
    {"version", no_argument, NULL, 'V'},
    {NULL, 0, NULL, 0},
};

#define HELP_ASKING                                                                                \
    "  -j, --json           JSON: integer bytes, RFC 3339 times, a version field\n"                \
    "      --color=WHEN     auto (the default), always or never; NO_COLOR counts as never\n"       \
    "  -f, --file FILE      take the control socket from this configuration\n"                     \
    "  -s, --socket SOCKET  ask the daemon on this control socket\n"

#define HELP_CLIENT "      --client         ask vpn-client, not vpn-server\n"

static const struct verb {
    const char *first, *second; /* second: NULL for a verb of one word */
    const char *argument;       /* its name, in brackets when it may be left out; NULL for none */
    unsigned int options;
    int (*run)(const struct cmd *cmd);
    const char *brief, *help;
} verbs[] = {
    {"status", NULL, NULL, OPTIONS_ASKING | OPTION_CLIENT, cmd_status,
     "what the daemon is doing: tunnel, enclave, traffic, dropped packets",
     HELP_ASKING HELP_CLIENT},
    {"users", NULL, NULL, OPTIONS_ASKING | OPTION_ALL, cmd_users, "who may come in, and who is",
     "  -a, --all            also devices that are away, and the addresses they will "
     "find\n" HELP_ASKING},
    {"qos", NULL, NULL, OPTIONS_ASKING | OPTION_WATCH, cmd_qos,
     "who may send and receive how much, and who does",
     HELP_ASKING "  -w, --watch          again every second, until interrupted\n"},
    {"kick", NULL, "NAME[/DEVICE]", OPTION_JSON | OPTION_FILE | OPTION_SOCKET, cmd_kick,
     "end a user's sessions, or those of one device",
     "  -j, --json           JSON: how many sessions were ended\n"
     "  -f, --file FILE      take the control socket from this configuration\n"
     "  -s, --socket SOCKET  ask the daemon on this control socket\n"},
    {"user", "add", "NAME",
     OPTION_JSON | OPTION_FILE | OPTION_SOCKET | OPTION_SECRET | OPTION_OUTPUT | OPTION_ENDPOINT,
     cmd_user_add, "make a user: prints the server's YAML, writes the client's profile",
     "      --token          a random token (the default)\n"
     "      --password       a token made of a password, which is asked for\n"
     "      --key            a random private key\n"
     "  -f, --file FILE      the server's configuration (default " CONFIG_PATH ")\n"
     "  -o, --output DIR     where NAME.client.yaml and NAME.token or NAME.key go (default .)\n"
     "      --endpoint H:P   where clients find the server, if the configuration does not say\n"
     "  -s, --socket SOCKET  ask this daemon for its public key if identity.pub is absent\n"
     "  -j, --json           JSON instead of YAML\n"},
    {"user", "disable", "NAME", OPTION_JSON | OPTION_COLOR | OPTION_FILE | OPTION_SOCKET,
     cmd_user_disable, "lock a user out: writes a drop-in and applies it", HELP_ASKING},
    {"plan", NULL, "[FILE]", OPTIONS_ASKING, cmd_plan,
     "what apply would change; exit status 0: nothing, 2: something", HELP_ASKING},
    {"apply", NULL, "[FILE]", OPTIONS_ASKING | OPTION_PLAN | OPTION_CONFIRM, cmd_apply,
     "put a configuration into force",
     HELP_ASKING
     "      --plan HASH      only if it still comes to the plan with this hash\n"
     "      --confirm TIME   go back after TIME (10s, 2m) unless `vpnctl confirm` comes\n"},
    {"confirm", NULL, NULL, OPTIONS_ASKING, cmd_confirm, "keep what was applied with --confirm",
     HELP_ASKING},
    {"rollback", NULL, "[N]", OPTIONS_ASKING, cmd_rollback,
     "go back to the configuration before the present one, or the N-th before it", HELP_ASKING},
    {"reload", NULL, NULL, OPTIONS_ASKING, cmd_reload,
     "have the server read its file again, as SIGHUP does, and say what came of it", HELP_ASKING},
    {"history", NULL, NULL, OPTIONS_ASKING, cmd_history,
     "the last applied configurations, when, by whom, what changed", HELP_ASKING},
    {"routes", NULL, NULL, OPTIONS_ASKING, cmd_routes,
     "what the kernel shall hold, and how each of it stands", HELP_ASKING},
    {"watch", NULL, NULL, OPTIONS_ASKING, cmd_watch,
     "events as they happen: sessions, drift, applies", HELP_ASKING},
    {"check", NULL, "[FILE]", OPTION_JSON | OPTION_CLIENT, cmd_check,
     "is a configuration right?  Needs no daemon and no root",
     "  -j, --json           JSON: every error and note\n"
     "      --client         a file of vpn-client, not vpn-server\n"},
    {"schema", NULL, NULL, OPTION_CLIENT, cmd_schema,
     "a JSON Schema of the configuration, for editors",
     "      --client         of vpn-client's file, not vpn-server's\n"},
    {"identity", NULL, NULL, OPTIONS_ASKING, cmd_identity, "the public key that clients pin",
     HELP_ASKING},
};

static void usage_all(FILE *out)
{
    fputs("Usage: vpnctl VERB [OPTION]...\n\n", out);
    for (size_t i = 0; i < ARRAY_SIZE(verbs); i++) {
        char words[32];

        snprintf(words, sizeof(words), "%s%s%s%s%s", verbs[i].first, verbs[i].second ? " " : "",
                 verbs[i].second ? verbs[i].second : "", verbs[i].argument ? " " : "",
                 verbs[i].argument ? verbs[i].argument : "");
        fprintf(out, "  %-18s %s\n", words, verbs[i].brief);
    }
    fputs("\n`vpnctl VERB -h` lists a verb's options; -V prints the release.\n"
          "Exit codes: 0 done, 1 failed, 2 changes pending (plan), 64 usage, 65 bad configuration, "
          "69 no daemon,"
          " 77 not permitted.\n",
          out);
}

static void usage_verb(FILE *out, const struct verb *verb)
{
    fprintf(out, "Usage: vpnctl %s%s%s%s%s [OPTION]...\n%s.\n\n%s", verb->first,
            verb->second ? " " : "", verb->second ? verb->second : "", verb->argument ? " " : "",
            verb->argument ? verb->argument : "", verb->brief, verb->help);
}

/* The verb of the words that are left after the options, and how many words it has. */
static const struct verb *verb_find(char **words, int n, int *used)
{
    for (size_t i = 0; i < ARRAY_SIZE(verbs); i++) {
        const int need = verbs[i].second ? 2 : 1;

        if (n < need || strcmp(words[0], verbs[i].first) != 0)
            continue;
        if (verbs[i].second && strcmp(words[1], verbs[i].second) != 0)
            continue;
        *used = need;
        return &verbs[i];
    }

    return NULL;
}

/* One sentence for words that are no verb: the whole list would push it off the screen. */
static void verb_unknown(FILE *out, char **words, int n)
{
    char names[ARRAY_SIZE(verbs)][32], typed[64];
    const char *list[ARRAY_SIZE(verbs) + 1] = {NULL}, *nearest;
    size_t used = 0;

    /* Those of two words first: "user" alone is the beginning of one of them. */
    for (int two = 1; two >= 0; two--)
        for (size_t i = 0; i < ARRAY_SIZE(verbs); i++)
            if (!verbs[i].second == !two) {
                snprintf(names[used], sizeof(names[used]), "%s%s%s", verbs[i].first, two ? " " : "",
                         two ? verbs[i].second : "");
                list[used] = names[used];
                used++;
            }

    snprintf(typed, sizeof(typed), "%s%s%s", words[0], n > 1 ? " " : "", n > 1 ? words[1] : "");
    nearest = text_nearest(typed, list);
    if (!nearest)
        nearest = text_nearest(words[0], list);
    if (nearest)
        fprintf(out, "vpnctl: there is no verb \"%s\" (did you mean \"%s\"? vpnctl -h lists all)\n",
                typed, nearest);
    else
        fprintf(out, "vpnctl: there is no verb \"%s\" (vpnctl -h lists all)\n", typed);
}

static int color_parse(const char *when, bool *color)
{
    const char *no_color = getenv("NO_COLOR");

    if (!when || !strcmp(when, "always"))
        *color = true;
    else if (!strcmp(when, "never"))
        *color = false;
    else if (!strcmp(when, "auto"))
        *color = isatty(STDOUT_FILENO) && !(no_color && *no_color);
    else
        return -EINVAL;

    return 0;
}

static bool words_fit(const struct verb *verb, int words)
{
    const int most = verb->argument ? 1 : 0, least = most && verb->argument[0] != '[' ? 1 : 0;

    return words >= least && words <= most;
}

struct parsed {
    struct cmd cmd;
    unsigned int given; /* bits of enum option_bit */
    bool help;
};

static void secret_set(struct parsed *p, enum cmd_secret secret)
{
    p->given |= OPTION_SECRET;
    p->cmd.secret = secret;
}

/* Return: an exit code, or -1 to go on. */
static int options_parse(struct parsed *p, int argc, char **argv)
{
    struct err err;
    int c;

    while ((c = getopt_long(argc, argv, "ajf:s:o:whV", long_options, NULL)) != -1) {
        switch (c) {
        case 'a':
            p->given |= OPTION_ALL;
            p->cmd.all = true;
            break;
        case 'j':
            p->given |= OPTION_JSON;
            p->cmd.json = true;
            break;
        case 'f':
            p->given |= OPTION_FILE;
            p->cmd.config = optarg;
            break;
        case 's':
            p->given |= OPTION_SOCKET;
            p->cmd.socket = optarg;
            break;
        case 'o':
            p->given |= OPTION_OUTPUT;
            p->cmd.folder = optarg;
            break;
        case LONG_COLOR:
            p->given |= OPTION_COLOR;
            if (color_parse(optarg, &p->cmd.color) == 0)
                break;
            fputs("vpnctl: --color is auto, always or never\n", stderr);
            return EX_USAGE;
        case LONG_CLIENT:
            p->given |= OPTION_CLIENT;
            p->cmd.client = true;
            break;
        case LONG_PASSWORD:
            secret_set(p, CMD_SECRET_PASSWORD);
            break;
        case LONG_TOKEN:
            secret_set(p, CMD_SECRET_TOKEN);
            break;
        case LONG_KEY:
            secret_set(p, CMD_SECRET_KEY);
            break;
        case 'w':
            p->given |= OPTION_WATCH;
            p->cmd.watch = true;
            break;
        case LONG_ENDPOINT:
            p->given |= OPTION_ENDPOINT;
            p->cmd.endpoint = optarg;
            break;
        case LONG_PLAN:
            p->given |= OPTION_PLAN;
            p->cmd.plan = optarg;
            break;
        case LONG_CONFIRM:
            p->given |= OPTION_CONFIRM;
            if (value_duration(optarg, CONFIRM_MIN_S, CONFIRM_MAX_S, &p->cmd.confirm_s, &err) == 0)
                break;
            fprintf(stderr, "vpnctl: --confirm: %s\n", err.msg);
            return EX_USAGE;
        case 'h':
            p->help = true;
            break;
        case 'V':
            puts("vpnctl " VPN_RELEASE);
            return EXIT_SUCCESS;
        default:
            return EX_USAGE; /* getopt has said why */
        }
    }

    return -1;
}

/* Which socket to ask: the one named, the file's, or the default. */
static int run(const struct verb *verb, struct parsed *p)
{
    _cleanup_(free_p) char *socket = NULL;

    if (!p->cmd.config)
        p->cmd.config = p->cmd.client ? PROFILE_PATH : CONFIG_PATH;

    if (verb->options & OPTION_SOCKET && verb->run != cmd_user_add && !p->cmd.socket) {
        if (p->given & OPTION_FILE) {
            const int code = cmd_socket_from_file(&p->cmd, &socket);

            if (code != EXIT_SUCCESS)
                return code;
            p->cmd.socket = socket;
        } else {
            p->cmd.socket = p->cmd.client ? CLIENT_SOCKET : SERVER_SOCKET;
        }
    }

    return verb->run(&p->cmd);
}

int main(int argc, char **argv)
{
    struct parsed p = {.cmd = {.folder = ".", .now = time(NULL)}};
    const struct verb *verb;
    int code, used = 0, left;

    /* Widths of characters come from the locale; without one of UTF-8, take the C library's. */
    if (!setlocale(LC_CTYPE, "") || strcmp(nl_langinfo(CODESET), "UTF-8") != 0)
        setlocale(LC_CTYPE, "C.UTF-8");
    color_parse("auto", &p.cmd.color);

    code = options_parse(&p, argc, argv);
    if (code >= 0)
        return code;

    left = argc - optind;
    verb = verb_find(argv + optind, left, &used);
    if (!verb && left > 0) {
        verb_unknown(stderr, argv + optind, left);
        return EX_USAGE;
    }
    if (!verb) {
        usage_all(p.help ? stdout : stderr);
        return p.help ? EXIT_SUCCESS : EX_USAGE;
    }
    if (p.help) {
        usage_verb(stdout, verb);
        return EXIT_SUCCESS;
    }
    if (!words_fit(verb, left - used) || (p.given & ~verb->options)) {
        fputs(!words_fit(verb, left - used) ? "vpnctl: wrong number of words\n"
                                            : "vpnctl: an option does not belong to this verb\n",
              stderr);
        usage_verb(stderr, verb);
        return EX_USAGE;
    }

    p.cmd.name = left > used ? argv[optind + used] : NULL;
    code = run(verb, &p);
    /* A full disk or a closed pipe: what was to be printed did not arrive. */
    if (fflush(stdout) == EOF || ferror(stdout))
        return code == EXIT_SUCCESS ? EXIT_FAILURE : code;
    return code;
}

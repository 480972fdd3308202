/*
 * vpnctl user add: a new user's secret, his profile, and the entry for the server's file.
 *
 * Theory of operation
 *
 * The server's configuration holds public keys only, so the secret is made here, is written to one
 * file for the client, and is gone when this program ends: neither daemon nor network sees it.
 * A token or password becomes a private key by Argon2id over realm and user, exactly as the
 * client's enclave will compute it again; what is printed for the server is its public half.
 * No daemon is needed; one is only asked for the server's public key where identity.pub is absent.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>

#include "client/cmd.h"
#include "client/password.h"
#include "client/profile.h"
#include "client/render.h"
#include "common/cleanup.h"
#include "common/cred.h"
#include "common/ctl.h"
#include "common/value.h"
#include "daemon/config.h"

#define PUBLIC_FILE_MAX 512
#define NAME_FILE_MAX   (WIRE_USER_MAX + 32)

/* All that is secret, in one place that is locked into memory and wiped by sodium_free(). */
struct secrets {
    char password[PASSWORD_MAX + 1];
    char text[CRED_TOKEN_LEN + 2]; /* the token or key as its file holds it, newline included */
    uint8_t private_key[WIRE_KEY_LEN];
};

/* All that may be shown. */
struct user {
    const char *name, *realm, *endpoint;
    char key[CRED_KEY_TEXT_LEN + 1];
    char server_key[CRED_KEY_TEXT_LEN + 1];
    char secret_file[NAME_FILE_MAX];
    char profile_file[NAME_FILE_MAX];
};

static void config_put(struct config **config)
{
    config_free(*config);
}

static void secrets_put(struct secrets **secrets)
{
    sodium_free(*secrets);
}

static void json_put(json_t **json)
{
    json_decref(*json);
}

/* --- what the server says of itself --------------------------------------------------------- */

/* identity.pub lies beside identity.key. */
static int public_path(const char *identity, char *path, size_t size)
{
    const size_t len = strlen(identity);
    const bool suffixed = len > 4 && !strcmp(identity + len - 4, ".key");
    const int n = snprintf(path, size, "%.*s.pub", (int)(suffixed ? len - 4 : len), identity);

    return n < 0 || (size_t)n >= size ? -ENAMETOOLONG : 0;
}

static int server_key_from_file(const char *identity, uint8_t key[WIRE_KEY_LEN], struct err *err)
{
    _cleanup_(close_fdp) int fd = -1;
    char path[PATH_MAX], text[PUBLIC_FILE_MAX];
    ssize_t n;

    if (public_path(identity, path, sizeof(path)) < 0)
        return err_set(err, -ENAMETOOLONG, "%s: the path is too long", identity);
    fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return err_set(err, -errno, "%s: %s", path, strerror(errno));
    n = read(fd, text, sizeof(text) - 1);
    if (n < 0)
        return err_set(err, -errno, "%s: %s", path, strerror(errno));

    text[n] = '\0';
    if (strlen(text) != (size_t)n || cred_key_decode(text, key) < 0)
        return err_set(err, -EINVAL, "%s: not a public key (44 characters of base64)", path);
    return 0;
}

static int server_key_from_daemon(const struct cmd *cmd, uint8_t key[WIRE_KEY_LEN], struct err *err)
{
    _cleanup_(json_put) json_t *reply = NULL;
    int rc = cmd_ask(cmd, "identity", &reply, err);

    if (rc == 0 && cred_key_decode(cmd_text(reply, "identity"), key) < 0)
        rc = err_set(err, -EBADMSG, "the daemon's identity is not a public key");
    return rc;
}

static int server_key_find(const struct cmd *cmd, const struct config *config,
                           char text[CRED_KEY_TEXT_LEN + 1], struct err *err)
{
    struct err file_err;
    uint8_t key[WIRE_KEY_LEN];
    int rc = server_key_from_file(config->identity, key, &file_err);

    if (rc == -EINVAL)
        return err_set(err, rc, "%s", file_err.msg);
    if (rc < 0) {
        rc = server_key_from_daemon(cmd, key, err);
        if (rc < 0)
            return err_prefix(err, rc, "no public key of the server: %s, and ", file_err.msg);
    }

    cred_key_encode(key, text);
    return 0;
}

/* --- the new user --------------------------------------------------------------------------- */

static int secrets_make(const struct cmd *cmd, const struct user *user, struct secrets *secrets,
                        struct err *err)
{
    size_t len;
    int rc = 0;

    switch (cmd->secret) {
    case CMD_SECRET_KEY:
        cred_key_random(secrets->private_key);
        cred_key_encode(secrets->private_key, secrets->text);
        break;
    case CMD_SECRET_PASSWORD:
        rc = password_read(user->name, secrets->password, err);
        if (rc < 0)
            return rc;
        cred_token_from_password(user->name, secrets->password, secrets->text);
        break;
    case CMD_SECRET_TOKEN:
        cred_token_random(secrets->text);
        break;
    }

    if (cmd->secret != CMD_SECRET_KEY)
        rc = cred_key_from_token(user->realm, user->name, secrets->text, secrets->private_key);
    if (rc < 0)
        return err_set(err, rc, "cannot derive the key (it needs 64 MiB of memory): %s",
                       strerror(-rc));

    len = strlen(secrets->text);
    memcpy(secrets->text + len, "\n", 2); /* there is room: see struct secrets */
    return 0;
}

static void user_describe(const struct cmd *cmd, struct user *user)
{
    const char *const suffix = cmd->secret == CMD_SECRET_KEY ? "key" : "token";

    snprintf(user->secret_file, sizeof(user->secret_file), "%s.%s", user->name, suffix);
    snprintf(user->profile_file, sizeof(user->profile_file), "%s.client.yaml", user->name);
}

/* The tunnel's name for the client: the realm's, without its random digits. */
static void tunnel_name(const char *realm, char name[PROFILE_NAME_MAX + 1])
{
    const char *dash = strrchr(realm, '-');
    const size_t len = dash && realm[0] != '-' ? (size_t)(dash - realm) : 0;

    snprintf(name, PROFILE_NAME_MAX + 1, "%.*s", len ? (int)len : 3, len ? realm : "vpn");
}

/*
 * Everything in quotes: a user may be called 0123, null or no, and YAML would read those otherwise.
 * None of these values can hold a quote or backslash: name and realm by their alphabets, the keys
 * as base64, the endpoint as checked by value_endpoint().
 */
static char *profile_write(const struct cmd *cmd, const struct user *user, size_t *len)
{
    char tunnel[PROFILE_NAME_MAX + 1];
    char *text = NULL;
    FILE *out = open_memstream(&text, len);

    if (!out)
        return NULL;

    tunnel_name(user->realm, tunnel);
    fprintf(out,
            "# %s at %s, made by vpnctl user add\n"
            "# On the client: save this as /etc/vpn/client.yaml and %s beside it, both readable\n"
            "# by root alone, then start vpn-client.\n"
            "version: 1\n"
            "tunnels:\n"
            "  \"%s\":\n"
            "    device: tun0\n"
            "    server: \"%s\"\n"
            "    server-key: \"%s\"\n"
            "    realm: \"%s\"\n"
            "    user: \"%s\"\n"
            "    %s: \"%s\"\n",
            user->name, user->endpoint, user->secret_file, tunnel, user->endpoint, user->server_key,
            user->realm, user->name, cmd->secret == CMD_SECRET_KEY ? "key-file" : "token-file",
            user->secret_file);
    if (fclose(out) == EOF) {
        free(text);
        return NULL;
    }

    return text;
}

/* --- the files ------------------------------------------------------------------------------ */

static int file_write(int folder, const char *name, const char *text, size_t len, struct err *err)
{
    _cleanup_(close_fdp) int fd = -1;
    int rc = 0;

    fd = openat(folder, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0 && errno == EEXIST)
        return err_set(err, -EEXIST,
                       "%s is there already and is not overwritten: move it away, or give another"
                       " folder with -o",
                       name);
    if (fd < 0)
        return err_set(err, -errno, "cannot make %s: %s", name, strerror(errno));

    while (len > 0 && rc == 0) {
        const ssize_t n = write(fd, text, len);

        if (n < 0 && errno != EINTR)
            rc = -errno;
        if (n > 0) {
            text += n;
            len -= (size_t)n;
        }
    }
    /* The umask takes rights away from what openat() was given, never adds: 0600 at most. */
    if (rc == 0 && (fchmod(fd, 0600) < 0 || fsync(fd) < 0))
        rc = -errno;
    if (rc < 0) {
        unlinkat(folder, name, 0);
        return err_set(err, rc, "cannot write %s: %s", name, strerror(-rc));
    }

    return 0;
}

static int files_write(const struct cmd *cmd, const struct user *user,
                       const struct secrets *secrets, const char *profile, size_t profile_len,
                       struct err *err)
{
    _cleanup_(close_fdp) int folder = -1;
    int rc;

    folder = open(cmd->folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (folder < 0)
        return err_set(err, -errno, "folder %s: %s", cmd->folder, strerror(errno));

    rc = file_write(folder, user->secret_file, secrets->text, strlen(secrets->text), err);
    if (rc < 0)
        return rc;
    rc = file_write(folder, user->profile_file, profile, profile_len, err);
    if (rc < 0)
        unlinkat(folder, user->secret_file, 0);
    return rc;
}

/* --- the answer ----------------------------------------------------------------------------- */

static int print_json(const struct cmd *cmd, const struct user *user)
{
    _cleanup_(json_put) json_t *json = NULL;

    json = json_pack("{s:i, s:s, s:s, s:o, s:o}", "version", CTL_VERSION, "user", user->name, "key",
                     user->key, "profile", json_sprintf("%s/%s", cmd->folder, user->profile_file),
                     "secret", json_sprintf("%s/%s", cmd->folder, user->secret_file));
    return json && render_json(stdout, json) == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

static int print_entry(const struct cmd *cmd, const struct user *user)
{
    /* Standard output is the entry and nothing else, so that it can go straight into a file. */
    printf("users:\n"
           "  \"%s\":\n"
           "    key: \"%s\"\n",
           user->name, user->key);
    if (fflush(stdout) == EOF)
        return EXIT_FAILURE;

    fprintf(stderr,
            "\n"
            "Written, readable by you alone: %s/%s and %s/%s\n"
            "Next:\n"
            "  server: put the lines above under users: of %s (or save them as\n"
            "          %s.d/%s.yaml) and reload it: systemctl reload vpn-server\n"
            "  client: copy both files there over a safe way, the profile as /etc/vpn/client.yaml\n"
            "          and %s beside it; then start vpn-client\n",
            cmd->folder, user->profile_file, cmd->folder, user->secret_file, cmd->config,
            cmd->config, user->name, user->secret_file);
    return EXIT_SUCCESS;
}

/* --- the verb ------------------------------------------------------------------------------- */

/* The profile must load at the client; better to learn here that an endpoint makes no sense. */
static int profile_check(const struct user *user, const char *text, size_t len)
{
    struct problems problems = {0};
    struct profile *profile = NULL;
    const int rc = profile_parse(user->profile_file, text, len, &profile, &problems);

    if (rc < 0)
        problems_print(&problems, stderr);
    problems_clear(&problems);
    profile_free(profile);
    return rc;
}

static int user_make(const struct cmd *cmd, struct user *user)
{
    _cleanup_(secrets_put) struct secrets *secrets = NULL;
    _cleanup_(free_p) char *profile = NULL;
    uint8_t public_key[WIRE_KEY_LEN];
    struct err err;
    size_t len;
    int rc;

    user_describe(cmd, user);
    profile = profile_write(cmd, user, &len);
    secrets = sodium_malloc(sizeof(*secrets));
    if (!profile || !secrets) {
        err_set(&err, -ENOMEM, "no memory, or none that may be locked");
        return cmd_fail(cmd, -ENOMEM, &err);
    }
    sodium_memzero(secrets, sizeof(*secrets));
    if (profile_check(user, profile, len) < 0)
        return EX_USAGE;

    rc = secrets_make(cmd, user, secrets, &err);
    if (rc == 0) {
        cred_public(secrets->private_key, public_key);
        cred_key_encode(public_key, user->key);
        rc = files_write(cmd, user, secrets, profile, len, &err);
    }
    if (rc < 0)
        return cmd_fail(cmd, rc == -ENOENT ? -EIO : rc, &err);

    return cmd->json ? print_json(cmd, user) : print_entry(cmd, user);
}

int cmd_user_add(const struct cmd *cmd)
{
    _cleanup_(config_put) struct config *config = NULL;
    const struct rlimit no_core = {0};
    struct user user = {.name = cmd->name};
    struct cmd ask = *cmd;
    struct err err;
    int rc;

    if (!cred_user_valid(cmd->name)) {
        fputs("vpnctl: a user's name has 1 to 64 of the characters a-z 0-9 . _ @ -\n", stderr);
        return EX_USAGE;
    }
    /* No debugger and no core file gets to see the secret. */
    if (sodium_init() < 0 || prctl(PR_SET_DUMPABLE, 0) < 0 ||
        setrlimit(RLIMIT_CORE, &no_core) < 0) {
        fputs("vpnctl: cannot protect this process's memory\n", stderr);
        return EXIT_FAILURE;
    }

    rc = cmd_config_load(cmd->config, &config);
    if (rc != EXIT_SUCCESS)
        return rc;
    user.realm = config->realm;
    user.endpoint = cmd->endpoint ? cmd->endpoint : config->endpoint;
    if (!user.endpoint) {
        fprintf(stderr,
                "vpnctl: where do clients find the server? Give --endpoint HOST:PORT, or write"
                " server.endpoint into %s\n",
                cmd->config);
        return EX_USAGE;
    }
    if (value_endpoint(user.endpoint, NULL, NULL, &err) < 0) {
        fprintf(stderr, "vpnctl: --endpoint: %s\n", err.msg);
        return EX_USAGE;
    }
    if (!ask.socket)
        ask.socket = config->control_socket;
    rc = server_key_find(&ask, config, user.server_key, &err);
    if (rc < 0)
        return cmd_fail(cmd, rc, &err);

    rc = user_make(cmd, &user);
    if (rc == EXIT_SUCCESS && config_user_find(config, cmd->name))
        fprintf(
            stderr,
            "vpnctl: note: %s is in %s already: the old key counts until this one replaces it\n",
            cmd->name, cmd->config);
    return rc;
}

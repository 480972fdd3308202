/*
 * `vpn-server --init`: a first configuration with a fresh realm and identity.
 *
 * Theory of operation: each file is written under a temporary name, synced, and then linked to its
 * own name: link(2) is atomic and refuses a name that is taken, so nothing is overwritten even if
 * somebody else makes the same file meanwhile.  The configuration comes last: where it is, the
 * identity it names is complete.
 */
#include "daemon/init.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <sodium.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/cred.h"
#include "daemon/config.h"

#define REALM_LABEL_MAX 32
#define GROUP           "vpn"

/* The text of etc/vpn.yaml; the words between @ are filled in. */
static const char template[] =
    "# The VPN server's configuration.  Check it with: vpn-server --check\n"
    "# Unknown keys are errors.  Files in vpn.yaml.d/*.yaml are laid over this one.\n"
    "# A running server reads them again on: systemctl reload vpn-server\n"
    "version: 1\n"
    "\n"
    "server:\n"
    "  listen: 51820                 # UDP, both families; or a list such as [\"10.0.0.1:51820\"]\n"
    "  # endpoint: vpn.example.org:51820   # what clients are told; vpnctl user add writes it\n"
    "  identity: @IDENTITY@     # private key, read by the enclave alone\n"
    "  realm: @REALM@  # part of every user's key: never change it\n"
    "  max-clients: 200\n"
    "  session-timeout: 1h           # without traffic\n"
    "  workers: auto                 # packet lanes; auto follows the cores\n"
    "\n"
    "tunnel:\n"
    "  device: tun0\n"
    "  addresses: [10.8.0.1/24]      # the server's own; add \"fd08::1/64\" for IPv6\n"
    "  mtu: 1400                     # 1280 to 1920\n"
    "  pool: [10.8.0.10-10.8.0.254]  # for clients without a fixed address\n"
    "  # dns: [10.8.0.1]             # told to clients, at most one of each family\n"
    "  client-to-client: false       # may users reach each other?\n"
    "  # push-routes: [192.168.100.0/24]  # told to clients whose own file gives no routes\n"
    "\n"
    "# Who may log in.  vpnctl user add NAME prints an entry to put here.\n"
    "users:\n"
    "  # alice:\n"
    "  #   key: \"...\"                # public; the secret stays with alice\n"
    "  #   address: [10.8.0.10]      # fixed; otherwise from the pool\n"
    "  #   class: vip                # of qos below\n"
    "  #   networks: [192.168.50.0/24]  # behind alice: routed to her, allowed as her source\n"
    "  #   max-devices: 2            # connected at once\n"
    "  #   expires: 2027-01-31       # the last day (UTC) she may be logged in\n"
    "  #   enabled: true\n"
    "\n"
    "# How much each user may receive and send; without it there are no limits.\n"
    "# qos:\n"
    "#   download: 50mbit            # all users together: a little less than the line carries\n"
    "#   upload: 20mbit\n"
    "#   default-class: normal       # of users without one\n"
    "#   leaf: auto                  # fq_codel, or bfifo where the kernel lacks it\n"
    "#   classes:                    # rate: guaranteed to each; ceil: at most; priority: 0 before "
    "7\n"
    "#     vip:    {rate: 5mbit, ceil: 10mbit, priority: 1}\n"
    "#     normal: {rate: 3mbit, ceil: 6mbit, priority: 2}\n"
    "#     guest:  {rate: 2mbit, ceil: 4mbit, priority: 3}\n"
    "#     backup: {download: {rate: 1mbit}, upload: {rate: 5mbit}, shared: true}\n"
    "\n"
    "# The host's routing.  A tunnel is point to point: its routes need no gateway.\n"
    "# routes:\n"
    "#   - {to: default, device: tun101, table: 101}\n"
    "#   - {to: 10.20.0.0/16, via: 192.168.1.2, metric: 50}\n"
    "#   - {to: 10.66.0.0/16, type: blackhole}\n"
    "# rules:\n"
    "#   - {priority: 10101, uids: 1101, table: 101}\n"
    "# forwarding: true              # both families\n"
    "# masquerade:\n"
    "#   - {from: 10.8.0.0/24, device: eth0}\n"
    "\n"
    "# reconcile: {interval: 60s, drift: repair}  # or report: say what others changed, no more\n"
    "# on-invalid: last-good         # a start with a bad file runs the last confirmed one; or "
    "refuse\n"
    "\n"
    "log:\n"
    "  level: info                   # error, warning, info or debug\n"
    "  # file: /var/log/vpn/vpn-server.log  # default: standard error or the journal\n"
    "\n"
    "control:\n"
    "  socket: @SOCKET@     # for vpnctl\n"
    "  group: vpn                    # its members control the tunnel\n"
    "\n"
    "state: @STATE@             # what survives a restart\n";

/* A path as YAML: plain where that is safe, in single quotes otherwise. */
static void path_put(FILE *out, const char *dir, const char *name)
{
    static const char plain[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789/._-";
    bool quote = dir[strspn(dir, plain)] != '\0';

    if (quote)
        fputc('\'', out);
    for (; *dir; dir++)
        fprintf(out, *dir == '\'' ? "''" : "%c", *dir);
    fprintf(out, "%s%s", name, quote ? "'" : "");
}

/* What stands for one word of the template. */
static void word_put(FILE *out, const char *word, size_t len, const char *dir, const char *realm)
{
    bool installed = strcmp(dir, INIT_DIR) == 0;

    if (strncmp(word, "REALM", len) == 0)
        fputs(realm, out);
    else if (strncmp(word, "IDENTITY", len) == 0)
        path_put(out, dir, "/identity.key");
    else if (strncmp(word, "SOCKET", len) == 0)
        path_put(out, installed ? "/run/vpn" : dir, "/vpn.sock");
    else if (strncmp(word, "STATE", len) == 0)
        path_put(out, installed ? "/var/lib" : dir, installed ? "/vpn" : "/state");
}

int init_render(const char *dir, const char *realm, char **text, size_t *len)
{
    const char *p = template;
    char *buf = NULL;
    FILE *out = open_memstream(&buf, len);

    if (!out)
        return -ENOMEM;
    while (*p) {
        size_t n = strcspn(p, "@");

        fwrite(p, 1, n, out);
        p += n;
        if (*p == '@') {
            n = strcspn(++p, "@");
            word_put(out, p, n, dir, realm);
            p += n + 1;
        }
    }
    if (fclose(out) != 0) {
        free(buf);
        return -ENOMEM;
    }
    *text = buf;
    return 0;
}

/* "raspberrypi-3f9c81d2a47be650": a name to recognise it by and 64 random bits. */
static void realm_make(char realm[REALM_LABEL_MAX + 18])
{
    char host[HOST_NAME_MAX + 1] = "";
    uint8_t random[8];
    size_t used = 0;

    gethostname(host, sizeof(host) - 1);
    for (const char *p = host; *p && *p != '.' && used < REALM_LABEL_MAX; p++) {
        char c = *p >= 'A' && *p <= 'Z' ? (char)(*p - 'A' + 'a') : *p;

        if ((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || (c == '-' && used))
            realm[used++] = c;
    }
    while (used && realm[used - 1] == '-')
        used--;
    if (used == 0) {
        strcpy(realm, "vpn");
        used = strlen(realm);
    }
    realm[used++] = '-';
    randombytes_buf(random, sizeof(random));
    sodium_bin2hex(realm + used, 2 * sizeof(random) + 1, random, sizeof(random));
}

/* One file to be made. */
struct output {
    const char *name;
    mode_t mode;
    const char *text;
    size_t len;
    bool made;
};

static int write_all(int fd, const char *text, size_t len)
{
    while (len) {
        ssize_t n = write(fd, text, len);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -errno;
        text += n;
        len -= (size_t)n;
    }
    return 0;
}

/* The daemon runs as user vpn and must be able to read its configuration; secrets stay root's. */
static void group_set(int fd, mode_t mode)
{
    const struct group *group = (mode & 0077) ? getgrnam(GROUP) : NULL;

    /* Without the group, or without the right to give files away, root reads it at start. */
    if (group && fchown(fd, (uid_t)-1, group->gr_gid) < 0)
        return;
}

static int output_fill(int fd, const struct output *o)
{
    int rc = write_all(fd, o->text, o->len);

    if (rc < 0)
        return rc;
    group_set(fd, o->mode);
    if (fchmod(fd, o->mode) < 0 || fsync(fd) < 0)
        return -errno;
    return 0;
}

static int output_make(int dir_fd, struct output *o)
{
    _cleanup_(close_fdp) int fd = -1;
    char temp[64];
    int rc;

    snprintf(temp, sizeof(temp), ".%s.%08x", o->name, randombytes_random());
    fd = openat(dir_fd, temp, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0)
        return -errno;
    rc = output_fill(fd, o);
    if (rc == 0 && linkat(dir_fd, temp, dir_fd, o->name, 0) < 0)
        rc = -errno;
    if (unlinkat(dir_fd, temp, 0) < 0 && rc == 0)
        rc = -errno;
    o->made = rc == 0;
    return rc;
}

static int outputs_make(const char *dir, int dir_fd, struct output *outputs, size_t n,
                        struct err *err)
{
    int rc = 0;

    for (size_t i = 0; i < n; i++) {
        struct stat st;

        if (fstatat(dir_fd, outputs[i].name, &st, AT_SYMLINK_NOFOLLOW) == 0)
            return err_set(err, -EEXIST,
                           "%s/%s is there already and is not overwritten (move it away, or give "
                           "another folder: vpn-server --init DIR)",
                           dir, outputs[i].name);
    }
    for (size_t i = 0; i < n && rc == 0; i++) {
        rc = output_make(dir_fd, &outputs[i]);
        if (rc < 0)
            err_set(err, rc, "cannot write %s/%s: %s", dir, outputs[i].name, strerror(-rc));
    }
    if (rc == 0 && fsync(dir_fd) < 0) {
        rc = -errno;
        err_set(err, rc, "cannot write to %s: %s", dir, strerror(-rc));
    }
    for (size_t i = n; rc < 0 && i-- > 0;) {
        if (outputs[i].made)
            unlinkat(dir_fd, outputs[i].name, 0);
    }
    return rc;
}

/*
 * What is about to be written must load and mean what it should: a folder's name may be too long
 * for a socket's path, or hold what YAML reads otherwise (a line break becomes a space).
 */
static int config_try(const char *dir, const char *text, size_t len, struct err *err)
{
    struct problems problems = {0};
    struct config *config = NULL;
    char name[PATH_MAX + 16];
    int rc;

    snprintf(name, sizeof(name), "%s/vpn.yaml", dir);
    rc = config_parse(name, text, len, &config, &problems);
    if (rc < 0)
        err_set(err, rc, "the folder's name does not fit: %s",
                problems.n ? problems.items[0].text : strerror(-rc));
    snprintf(name, sizeof(name), "%s/identity.key", dir);
    if (rc == 0 && strcmp(config->identity, name) != 0)
        rc = err_set(err, -EINVAL,
                     "the folder's name has a character that YAML cannot hold "
                     "(take another name)");
    config_free(config);
    problems_clear(&problems);
    return rc;
}

/* Make the folder if it is not there, and learn its full name. */
static int dir_open(const char *dir, char full[PATH_MAX], bool *made, int *fd, struct err *err)
{
    int rc;

    *made = mkdir(dir, 0755) == 0;
    if (!*made && errno != EEXIST) {
        rc = -errno;
        return err_set(err, rc, "cannot make the folder %s: %s", dir, strerror(-rc));
    }
    *fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (*fd >= 0 && strcmp(dir, INIT_DIR) == 0)
        memcpy(full, INIT_DIR, sizeof(INIT_DIR)); /* also when it is a symbolic link */
    else if (*fd < 0 || !realpath(dir, full)) {
        rc = -errno;
        if (*made)
            rmdir(dir);
        return err_set(err, rc, "cannot open the folder %s: %s", dir, strerror(-rc));
    }
    return 0;
}

static void next_steps(FILE *out, const char *dir, const char *public_text)
{
    bool installed = strcmp(dir, INIT_DIR) == 0;

    fprintf(out,
            "Written:\n"
            "  %s/vpn.yaml      the configuration, with comments\n"
            "  %s/identity.key  this server's private key: keep it secret, keep a copy\n"
            "  %s/identity.pub  its public key: %s\n"
            "Next:\n"
            "  1. set server.endpoint in vpn.yaml to the name or address that clients reach\n"
            "  2. vpnctl user add alice%s%s%s, and put what it prints under users:\n"
            "  3. vpn-server%s%s%s\n",
            dir, dir, dir, public_text, installed ? "" : " -f ", installed ? "" : dir,
            installed ? "" : "/vpn.yaml", installed ? "" : " -c ", installed ? "" : dir,
            installed ? "" : "/vpn.yaml");
}

int init_write(const char *dir, FILE *out, struct err *err)
{
    char private_text[CRED_KEY_TEXT_LEN + 2], public_text[CRED_KEY_TEXT_LEN + 2];
    uint8_t private_key[WIRE_KEY_LEN], public_key[WIRE_KEY_LEN];
    _cleanup_(close_fdp) int fd = -1;
    _cleanup_(free_p) char *text = NULL;
    char full[PATH_MAX] = "", realm[REALM_LABEL_MAX + 18];
    bool made;
    size_t len = 0;
    int rc;

    if (sodium_init() < 0)
        return err_set(err, -EIO, "libsodium cannot be started");
    rc = dir_open(dir, full, &made, &fd, err);
    if (rc < 0)
        return rc;

    cred_key_random(private_key);
    cred_public(private_key, public_key);
    cred_key_encode(private_key, private_text);
    cred_key_encode(public_key, public_text);
    private_text[CRED_KEY_TEXT_LEN] = public_text[CRED_KEY_TEXT_LEN] = '\n';
    realm_make(realm);

    rc = init_render(full, realm, &text, &len);
    if (rc < 0)
        err_set(err, rc, "not enough memory");
    else
        rc = config_try(full, text, len, err);
    if (rc == 0) {
        struct output outputs[] = {
            {"identity.key", 0400, private_text, CRED_KEY_TEXT_LEN + 1, false},
            {"identity.pub", 0644, public_text, CRED_KEY_TEXT_LEN + 1, false},
            {"vpn.yaml", 0640, text, len, false},
        };

        rc = outputs_make(full, fd, outputs, ARRAY_SIZE(outputs), err);
    }
    sodium_memzero(private_key, sizeof(private_key));
    sodium_memzero(private_text, sizeof(private_text));
    if (rc < 0 && made)
        rmdir(full);
    if (rc == 0) {
        public_text[CRED_KEY_TEXT_LEN] = '\0';
        next_steps(out, full, public_text);
    }
    return rc;
}

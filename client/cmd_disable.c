/* vpnctl user disable: a drop-in says that the user may not log in, and the daemon applies it. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>

#include "client/cmd.h"
#include "common/cleanup.h"
#include "common/cred.h"
#include "daemon/config.h"

/* Behind all others, whose entries of the user it lies over. */
#define DROPIN "%s.d/zz-disabled-%s.yaml"

static int fail(const char *path)
{
    const int rc = errno;

    fprintf(stderr, "vpnctl: cannot write %s: %s\n", path, strerror(rc));
    return rc == EACCES || rc == EPERM ? EX_NOPERM : EXIT_FAILURE;
}

/* For the daemon to read: the same group and permissions as the main file. */
static int write_dropin(const struct cmd *cmd, const char *path)
{
    _cleanup_(free_p) char *folder = NULL;
    struct stat st;
    FILE *out;
    int fd;

    if (asprintf(&folder, "%s.d", cmd->config) < 0) {
        folder = NULL;
        return EXIT_FAILURE;
    }
    if (stat(cmd->config, &st) < 0 || (mkdir(folder, 0755) < 0 && errno != EEXIST))
        return fail(folder);
    fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, st.st_mode & 0640);
    if (fd < 0)
        return fail(path);
    /* Not ours to give away unless we are root; then the folder's group decides. */
    if (fchown(fd, (uid_t)-1, st.st_gid) < 0)
        fprintf(stderr, "vpnctl: note: %s keeps its group: %s\n", path, strerror(errno));
    out = fdopen(fd, "w");
    if (!out) {
        close(fd);
        return fail(path);
    }
    /* In quotes: "@dora" is no plain word of YAML. */
    fprintf(out,
            "# Written by vpnctl user disable; remove this file to let the user in again.\n"
            "users:\n  \"%s\":\n    enabled: false\n",
            cmd->name);
    if (fclose(out) == EOF)
        return fail(path);
    return EXIT_SUCCESS;
}

int cmd_user_disable(const struct cmd *cmd)
{
    _cleanup_(free_p) char *path = NULL;
    struct config *config = NULL;
    struct cmd apply = *cmd;
    int code;

    if (!cred_user_valid(cmd->name)) {
        fputs("vpnctl: a user's name has 1 to 64 of the characters a-z 0-9 . _ @ -\n", stderr);
        return EX_USAGE;
    }
    code = cmd_config_load(cmd->config, &config);
    if (code != EXIT_SUCCESS)
        return code;
    if (!config_user_find(config, cmd->name)) {
        fprintf(stderr, "vpnctl: there is no user %s in %s\n", cmd->name, cmd->config);
        config_free(config);
        return EXIT_FAILURE;
    }
    config_free(config);
    if (asprintf(&path, DROPIN, cmd->config, cmd->name) < 0) {
        path = NULL;
        return EXIT_FAILURE;
    }
    code = write_dropin(cmd, path);
    if (code == EXIT_SUCCESS) {
        apply.name = NULL;
        code = cmd_apply(&apply);
    }
    if (code != EXIT_SUCCESS)
        fprintf(stderr, "vpnctl: %s is not locked out yet; see %s\n", cmd->name, path);
    return code;
}

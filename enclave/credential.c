/* Identity, key and token files; see credential.h. */
#include "enclave/credential.h"

#include <errno.h>
#include <sodium.h>
#include <unistd.h>

#include "common/cred.h"

/* The first line of a secret file; the caller wipes @line whatever comes back. */
static int read_line(const char *path, char *line, size_t size, struct err *err)
{
    int fd = cred_secret_open(path, geteuid(), err);
    int rc;

    if (fd < 0)
        return fd;
    rc = cred_secret_read(fd, line, size);
    close(fd);
    return rc < 0 ? err_set(err, rc, "%s: cannot be read (%s)", path, strerror(-rc)) : 0;
}

int credential_identity(const char *path, uint8_t private_key[WIRE_KEY_LEN], struct err *err)
{
    char line[256];
    int rc = read_line(path, line, sizeof(line), err);

    if (rc == 0) {
        rc = cred_key_decode(line, private_key);
        if (rc < 0)
            err_set(err, rc, "%s: not a key (one line with 32 bytes in base64 or hex is expected)",
                    path);
    }
    sodium_memzero(line, sizeof(line));
    return rc;
}

int credential_token(const char *path, const char *realm, const char *user,
                     uint8_t private_key[WIRE_KEY_LEN], struct err *err)
{
    char line[256];
    int rc = read_line(path, line, sizeof(line), err);

    if (rc == 0 && !cred_token_valid(line))
        rc = err_set(err, -EINVAL,
                     "%s: not a token (one line with 64 lower-case hex digits is expected, as "
                     "`printf %%s user:password | sha256sum` prints)",
                     path);
    if (rc == 0) {
        rc = cred_key_from_token(realm, user, line, private_key);
        if (rc < 0)
            err_set(err, rc, "%s: no key could be derived (%s)", path, strerror(-rc));
    }
    sodium_memzero(line, sizeof(line));
    return rc;
}

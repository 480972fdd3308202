/*
 * From a token to a key, and the files that hold either.
 *
 * Theory of operation
 *
 * The server's configuration holds only C, a public key; nobody can log in with it.  Whoever steals
 * it may guess passwords, and Argon2id makes each guess cost 64 MiB and a tenth of a second.  The
 * salt names the realm and the user, so that a table of guesses made for one server or one user is
 * worth nothing for another.
 */
#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/cred.h"

#define REALM_MAX        128
#define REALM_RANDOM_MIN 16 /* hex digits: 64 bits */
#define PWHASH_OPS       3
#define PWHASH_MEM       ((size_t)64 * 1024 * 1024)
#define SECRET_FILE_MAX  4096

_Static_assert(crypto_pwhash_SALTBYTES <= crypto_hash_sha256_BYTES, "the salt is cut from a hash");
_Static_assert(crypto_scalarmult_BYTES == WIRE_KEY_LEN, "keys are X25519's");

static bool is_lower_hex(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
}

static bool is_lower_alnum(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z');
}

bool cred_user_valid(const char *user)
{
    size_t len = strnlen(user, WIRE_USER_MAX + 1);

    if (len == 0 || len > WIRE_USER_MAX)
        return false;
    for (size_t i = 0; i < len; i++) {
        if (!is_lower_alnum(user[i]) && !strchr("._@-", user[i]))
            return false;
    }
    return true;
}

bool cred_realm_valid(const char *realm)
{
    size_t len = strnlen(realm, REALM_MAX + 1);
    size_t digits = 0;

    if (len == 0 || len > REALM_MAX)
        return false;
    for (size_t i = 0; i < len; i++) {
        if (!is_lower_alnum(realm[i]) && realm[i] != '-')
            return false;
    }
    while (digits < len && is_lower_hex(realm[len - 1 - digits]))
        digits++;
    return digits >= REALM_RANDOM_MIN && digits < len && realm[len - 1 - digits] == '-';
}

bool cred_token_valid(const char *token)
{
    size_t i = 0;

    while (i < CRED_TOKEN_LEN && is_lower_hex(token[i]))
        i++;
    return i == CRED_TOKEN_LEN && token[i] == '\0';
}

void cred_token_from_password(const char *user, const char *password,
                              char token[CRED_TOKEN_LEN + 1])
{
    uint8_t hash[crypto_hash_sha256_BYTES];
    crypto_hash_sha256_state st;

    crypto_hash_sha256_init(&st);
    crypto_hash_sha256_update(&st, (const uint8_t *)user, strlen(user));
    crypto_hash_sha256_update(&st, (const uint8_t *)":", 1);
    crypto_hash_sha256_update(&st, (const uint8_t *)password, strlen(password));
    crypto_hash_sha256_final(&st, hash);
    sodium_bin2hex(token, CRED_TOKEN_LEN + 1, hash, sizeof(hash));

    sodium_memzero(&st, sizeof(st));
    sodium_memzero(hash, sizeof(hash));
}

void cred_token_random(char token[CRED_TOKEN_LEN + 1])
{
    uint8_t bytes[CRED_TOKEN_LEN / 2];

    randombytes_buf(bytes, sizeof(bytes));
    sodium_bin2hex(token, CRED_TOKEN_LEN + 1, bytes, sizeof(bytes));
    sodium_memzero(bytes, sizeof(bytes));
}

int cred_key_from_token(const char *realm, const char *user, const char *token,
                        uint8_t private_key[WIRE_KEY_LEN])
{
    uint8_t salt[crypto_hash_sha256_BYTES];
    crypto_hash_sha256_state st;
    int rc;

    if (!cred_realm_valid(realm) || !cred_user_valid(user) || !cred_token_valid(token))
        return -EINVAL;

    /* The zero byte keeps realm and user apart: neither may contain one. */
    crypto_hash_sha256_init(&st);
    crypto_hash_sha256_update(&st, (const uint8_t *)"SVPN1 salt", 10);
    crypto_hash_sha256_update(&st, (const uint8_t *)realm, strlen(realm) + 1);
    crypto_hash_sha256_update(&st, (const uint8_t *)user, strlen(user));
    crypto_hash_sha256_final(&st, salt);

    rc = crypto_pwhash(private_key, WIRE_KEY_LEN, token, CRED_TOKEN_LEN, salt, PWHASH_OPS,
                       PWHASH_MEM, crypto_pwhash_ALG_ARGON2ID13);
    if (rc != 0)
        sodium_memzero(private_key, WIRE_KEY_LEN);
    return rc == 0 ? 0 : -ENOMEM;
}

void cred_public(const uint8_t private_key[WIRE_KEY_LEN], uint8_t public_key[WIRE_KEY_LEN])
{
    crypto_scalarmult_base(public_key, private_key);
}

void cred_key_random(uint8_t private_key[WIRE_KEY_LEN])
{
    randombytes_buf(private_key, WIRE_KEY_LEN);
}

void cred_key_encode(const uint8_t key[WIRE_KEY_LEN], char text[CRED_KEY_TEXT_LEN + 1])
{
    sodium_bin2base64(text, CRED_KEY_TEXT_LEN + 1, key, WIRE_KEY_LEN,
                      sodium_base64_VARIANT_ORIGINAL);
}

static bool is_space(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

int cred_key_decode(const char *text, uint8_t key[WIRE_KEY_LEN])
{
    uint8_t out[WIRE_KEY_LEN];
    size_t len, got = 0;
    int bad;

    while (is_space(*text))
        text++;
    len = strlen(text);
    while (len > 0 && is_space(text[len - 1]))
        len--;

    /* libsodium fills in `got`; the length of the text alone does not say how much it decoded. */
    if (len == (size_t)2 * WIRE_KEY_LEN)
        bad = sodium_hex2bin(out, sizeof(out), text, len, NULL, &got, NULL);
    else if (len == CRED_KEY_TEXT_LEN)
        bad = sodium_base642bin(out, sizeof(out), text, len, NULL, &got, NULL,
                                sodium_base64_VARIANT_ORIGINAL);
    else if (len == CRED_KEY_TEXT_LEN - 1)
        bad = sodium_base642bin(out, sizeof(out), text, len, NULL, &got, NULL,
                                sodium_base64_VARIANT_ORIGINAL_NO_PADDING);
    else
        bad = 1;

    if (!bad && got == sizeof(out))
        memcpy(key, out, sizeof(out));
    else
        bad = 1;
    sodium_memzero(out, sizeof(out));
    return bad ? -EINVAL : 0;
}

static int secret_check(const struct stat *st, const char *path, unsigned int owner,
                        struct err *err)
{
    if (!S_ISREG(st->st_mode))
        return err_set(err, -EINVAL, "%s: not a regular file", path);
    if (st->st_uid != owner && st->st_uid != 0)
        return err_set(err, -EPERM, "%s: belongs to uid %u; make it belong to root or to uid %u",
                       path, (unsigned int)st->st_uid, owner);
    if (st->st_mode & (S_IRWXG | S_IRWXO))
        return err_set(err, -EPERM, "%s: others may use this secret (mode %04o); run: chmod go= %s",
                       path, (unsigned int)(st->st_mode & 07777), path);
    if (st->st_size > SECRET_FILE_MAX)
        return err_set(err, -EFBIG, "%s: too large for a secret (more than %d bytes)", path,
                       SECRET_FILE_MAX);
    return 0;
}

int cred_secret_open(const char *path, unsigned int owner, struct err *err)
{
    struct stat st;
    int fd, rc;

    /* O_NONBLOCK: a FIFO put in the file's place must not hold us up before fstat() finds it. */
    fd = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0) {
        rc = -errno;
        if (rc == -ELOOP)
            return err_set(err, rc, "%s: is a symbolic link; name the file itself", path);
        return err_set(err, rc, "%s: cannot open: %s", path, strerror(-rc));
    }
    if (fstat(fd, &st) < 0)
        rc = err_set(err, -errno, "%s: cannot examine: %s", path, strerror(errno));
    else
        rc = secret_check(&st, path, owner, err);
    if (rc < 0) {
        close(fd);
        return rc;
    }
    return fd;
}

int cred_secret_read(int fd, char *buf, size_t size)
{
    size_t used = 0;
    char *end = NULL;
    int rc = 0;

    if (size == 0)
        return -EINVAL;

    while (!end && used < size) {
        ssize_t n = read(fd, buf + used, size - used);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            rc = -errno;
        if (n <= 0)
            break;
        end = memchr(buf + used, '\n', (size_t)n);
        used += (size_t)n;
    }

    if (rc == 0 && !end && used == size)
        rc = -EMSGSIZE;
    if (rc == 0) {
        size_t len = end ? (size_t)(end - buf) : used;

        if (len > 0 && buf[len - 1] == '\r')
            len--;
        if (memchr(buf, '\0', len))
            rc = -EINVAL;
        else
            rc = (int)len;
    }
    if (rc < 0)
        sodium_memzero(buf, size);
    else
        sodium_memzero(buf + rc, size - (size_t)rc); /* the NUL, and whatever followed the line */
    return rc;
}

/*
 * From a token to a key.
 *
 * token = hex(SHA256(user ":" password)), c = Argon2id(token, salt(realm, user)), C =
 * X25519_base(c). Used by vpnctl, which makes users, and by the initiator's enclave: the one named
 * exception to "secrets only in enclave/".  Every function wipes its intermediates.
 */
#ifndef COMMON_CRED_H
#define COMMON_CRED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/err.h"
#include "common/wire.h"

#define CRED_TOKEN_LEN    64 /* lower-case hex, without the NUL */
#define CRED_KEY_TEXT_LEN 44 /* base64 of 32 bytes, without the NUL */

/** cred_user_valid() - [a-z0-9._@-]{1,64} */
bool cred_user_valid(const char *user);

/** cred_realm_valid() - [a-z0-9-]{1,128} that ends in "-" and at least 16 hex digits (64 bits). */
bool cred_realm_valid(const char *realm);

/** cred_token_from_password() - as `printf %s user:password | sha256sum` prints, NUL-terminated. */
void cred_token_from_password(const char *user, const char *password,
                              char token[CRED_TOKEN_LEN + 1]);

/** cred_token_random() - a token nobody has to remember: hex of 32 random bytes. */
void cred_token_random(char token[CRED_TOKEN_LEN + 1]);

/** cred_token_valid() - exactly 64 lower-case hex digits. */
bool cred_token_valid(const char *token);

/**
 * cred_key_from_token() - Argon2id, ops 3, 64 MiB: about 0.1 s
 *
 * Return: 0, -EINVAL for a malformed token, user or realm, -ENOMEM.
 */
int cred_key_from_token(const char *realm, const char *user, const char *token,
                        uint8_t private_key[WIRE_KEY_LEN]);

/** cred_public() - C = X25519_base(c) */
void cred_public(const uint8_t private_key[WIRE_KEY_LEN], uint8_t public_key[WIRE_KEY_LEN]);

/** cred_key_random() - a random X25519 private key */
void cred_key_random(uint8_t private_key[WIRE_KEY_LEN]);

/** cred_key_encode() - base64 with padding, NUL-terminated */
void cred_key_encode(const uint8_t key[WIRE_KEY_LEN], char text[CRED_KEY_TEXT_LEN + 1]);

/**
 * cred_key_decode() - base64 (43 digits, with or without padding) or 64 hex digits; surrounding
 * white space is allowed, nothing else
 *
 * Return: 0 or -EINVAL.
 */
int cred_key_decode(const char *text, uint8_t key[WIRE_KEY_LEN]);

/**
 * cred_secret_open() - open a file that holds a secret
 * @path: the file; a symbolic link is refused
 * @owner: the uid that must own it (root's 0 is always accepted)
 *
 * O_NOFOLLOW|O_CLOEXEC; a regular file of at most 4 KiB, no permission for group or others.
 *
 * Return: a descriptor, or -errno with the sentence in @err.
 */
int cred_secret_open(const char *path, unsigned int owner, struct err *err);

/**
 * cred_secret_read() - first line, without its newline (LF or CR LF), NUL-terminated
 *
 * Return: its length, 0 when the line is empty; -EMSGSIZE when it does not fit into @size, -EINVAL
 * for a NUL byte inside it, or another -errno.  On failure @buf is wiped.
 */
int cred_secret_read(int fd, char *buf, size_t size);

#endif

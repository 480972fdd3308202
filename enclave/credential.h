/* The secrets the enclave starts from, read before the seal; afterwards no file can be opened. */
#ifndef ENCLAVE_CREDENTIAL_H
#define ENCLAVE_CREDENTIAL_H

#include <stdint.h>

#include "common/err.h"
#include "common/wire.h"

/**
 * credential_identity() - the server's private key, or a client's key-file
 * @path: one line, base64 or hex; owned by root or by us, closed to everybody else
 *
 * Return: 0 or -errno with the sentence in @err.
 */
int credential_identity(const char *path, uint8_t private_key[WIRE_KEY_LEN], struct err *err);

/** credential_token() - a token file, through Argon2id (0.1 s, 64 MiB).  Likewise. */
int credential_token(const char *path, const char *realm, const char *user,
                     uint8_t private_key[WIRE_KEY_LEN], struct err *err);

#endif

/* Known answers: a primitive that computes something else must never see a key. */
#ifndef ENCLAVE_SELFTEST_H
#define ENCLAVE_SELFTEST_H

/**
 * selftest_primitives() - SHA-256, HMAC, BLAKE2b, X25519 against published vectors
 *
 * The AEAD engines have theirs in aead_choose().
 *
 * Return: 0, or -EIO with the primitive's name in *@which.
 */
int selftest_primitives(const char **which);

#endif

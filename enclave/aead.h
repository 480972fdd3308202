/*
 * ChaCha20-Poly1305 (RFC 8439) behind one interface: libgcrypt where it is faster, else libsodium.
 *
 * One context per thread: it holds the expanded key in the library's own memory and re-keys only
 * when the key changes.
 */
#ifndef ENCLAVE_AEAD_H
#define ENCLAVE_AEAD_H

#include <stddef.h>
#include <stdint.h>

#define AEAD_KEY_LEN   32
#define AEAD_NONCE_LEN 12
#define AEAD_TAG_LEN   16
/* How far below its caller's caller sealing and opening may leave key words on the stack. */
#define AEAD_STACK     8192

struct aead;

/** aead_init() - initialise the libraries; before any other call, once, single-threaded. */
int aead_init(void);

/**
 * aead_choose() - run the known-answer tests of every engine and pick the first that passes
 * @forced: "libgcrypt" or "libsodium" to insist on one, NULL for the best
 *
 * Return: 0, -ENOENT (no such engine in this build), -EIO (a known answer was wrong).
 */
int aead_choose(const char *forced);
/** aead_name() - the chosen engine, for status. */
const char *aead_name(void);

/**
 * aead_new() - a context of the chosen engine, in guarded memory of its own
 *
 * aead_new() and aead_free() lock and unlock memory, so they belong ahead of the seal; what lies
 * between them needs no system call at all.
 *
 * Return: NULL when no engine is chosen or there is no memory.
 */
struct aead *aead_new(void);
/** aead_free() - wipes. */
void aead_free(struct aead *a);
/** aead_forget() - drop the key that the context remembers. */
void aead_forget(struct aead *a);

/**
 * aead_seal() - encrypt @len bytes from @in to @out (may be the same) and write the tag
 *
 * Return: 0 or -EIO (the library refused; treat as fatal).
 */
int aead_seal(struct aead *a, const uint8_t key[AEAD_KEY_LEN], const uint8_t nonce[AEAD_NONCE_LEN],
              const uint8_t *ad, size_t ad_len, const uint8_t *in, size_t len, uint8_t *out,
              uint8_t tag[AEAD_TAG_LEN]);

/**
 * aead_open() - verify and decrypt
 *
 * @out is private memory: nothing of it may be used unless 0 is returned.
 *
 * Return: 0, -EBADMSG (forged), -EIO.
 */
int aead_open(struct aead *a, const uint8_t key[AEAD_KEY_LEN], const uint8_t nonce[AEAD_NONCE_LEN],
              const uint8_t *ad, size_t ad_len, const uint8_t *in, size_t len,
              const uint8_t tag[AEAD_TAG_LEN], uint8_t *out);

#endif

/*
 * ChaCha20-Poly1305 (RFC 8439) behind one interface.
 *
 * Theory of operation
 *
 * Nearly all the time of a VPN is spent here, so the engine is the fastest library at hand:
 * libgcrypt has AVX2 and NEON code, libsodium is always there.  An engine is used only after it
 * gave the known answers, and only after the two agreed with each other where both are built in: a
 * miscompiled vector path fails at start and never on a user's packet.
 *
 * libgcrypt expands a key into a handle.  Its handles come from its locked pool, one per context,
 * and are keyed anew only when the key changes.  We remember which key that was beside the handle,
 * in guarded memory.
 *
 * After aead_choose() and aead_new() neither sealing, opening nor forgetting opens a file or locks
 * memory: by then the process is under seccomp.
 */
#include <errno.h>
#include <sodium.h>
#include <stdbool.h>
#include <string.h>
#ifdef HAVE_GCRYPT
#include <gcrypt.h>
#endif

#include "enclave/aead.h"

/* Enough for the handles of 64 workers; small beside an ordinary 8 MiB RLIMIT_MEMLOCK. */
#define GCRYPT_SECMEM (256 * 1024)

#define CHECK_MAX 1500

_Static_assert(crypto_aead_chacha20poly1305_ietf_KEYBYTES == AEAD_KEY_LEN, "RFC 8439");
_Static_assert(crypto_verify_32_BYTES == AEAD_KEY_LEN, "keys are compared with it");
_Static_assert(crypto_aead_chacha20poly1305_ietf_NPUBBYTES == AEAD_NONCE_LEN, "RFC 8439");
_Static_assert(crypto_aead_chacha20poly1305_ietf_ABYTES == AEAD_TAG_LEN, "RFC 8439");

/* One message, in either direction. */
struct aead_msg {
    const uint8_t *nonce;
    const uint8_t *ad;
    size_t ad_len;
    const uint8_t *in;
    size_t len;
    uint8_t *out;
};

struct aead_engine {
    const char *name;
    int (*rekey)(struct aead *a);
    void (*forget)(struct aead *a);
    int (*seal)(struct aead *a, const struct aead_msg *m, uint8_t *tag);
    int (*open)(struct aead *a, const struct aead_msg *m, const uint8_t *tag);
};

struct aead {
    const struct aead_engine *engine;
    bool keyed;
    uint8_t key[AEAD_KEY_LEN];
#ifdef HAVE_GCRYPT
    gcry_cipher_hd_t handle;
#endif
};

static const struct aead_engine *chosen;

/* ---- libsodium: takes the key with each call ------------------------------------------------ */

static int sodium_rekey(struct aead *a)
{
    (void)a;
    return 0;
}

static void sodium_forget(struct aead *a)
{
    (void)a;
}

static int sodium_seal(struct aead *a, const struct aead_msg *m, uint8_t *tag)
{
    crypto_aead_chacha20poly1305_ietf_encrypt_detached(m->out, tag, NULL, m->in, m->len, m->ad,
                                                       m->ad_len, NULL, m->nonce, a->key);
    return 0;
}

static int sodium_open(struct aead *a, const struct aead_msg *m, const uint8_t *tag)
{
    if (crypto_aead_chacha20poly1305_ietf_decrypt_detached(m->out, NULL, m->in, m->len, tag, m->ad,
                                                           m->ad_len, m->nonce, a->key) != 0)
        return -EBADMSG;
    return 0;
}

static const struct aead_engine engine_sodium = {
    .name = "libsodium",
    .rekey = sodium_rekey,
    .forget = sodium_forget,
    .seal = sodium_seal,
    .open = sodium_open,
};

/* ---- libgcrypt: a handle per context -------------------------------------------------------- */

#ifdef HAVE_GCRYPT

static int gcrypt_rekey(struct aead *a)
{
    if (!a->handle && gcry_cipher_open(&a->handle, GCRY_CIPHER_CHACHA20, GCRY_CIPHER_MODE_POLY1305,
                                       GCRY_CIPHER_SECURE) != 0)
        return -EIO;
    return gcry_cipher_setkey(a->handle, a->key, AEAD_KEY_LEN) == 0 ? 0 : -EIO;
}

/* Closing wipes all that the handle holds; zeroing the key alone would leave key stream behind. */
static void gcrypt_forget(struct aead *a)
{
    gcry_cipher_close(a->handle);
    a->handle = NULL;
}

static int gcrypt_begin(struct aead *a, const struct aead_msg *m)
{
    if (gcry_cipher_setiv(a->handle, m->nonce, AEAD_NONCE_LEN) != 0)
        return -EIO;
    if (m->ad_len > 0 && gcry_cipher_authenticate(a->handle, m->ad, m->ad_len) != 0)
        return -EIO;
    return 0;
}

/* With a NULL input libgcrypt works in place, which is also how an empty message is spelled. */
static const uint8_t *gcrypt_input(const struct aead_msg *m)
{
    return m->in == m->out ? NULL : m->in;
}

static int gcrypt_seal(struct aead *a, const struct aead_msg *m, uint8_t *tag)
{
    const uint8_t *in = gcrypt_input(m);
    int rc;

    rc = gcrypt_begin(a, m);
    if (rc < 0)
        return rc;
    if (gcry_cipher_encrypt(a->handle, m->out, m->len, in, in ? m->len : 0) != 0)
        return -EIO;
    return gcry_cipher_gettag(a->handle, tag, AEAD_TAG_LEN) == 0 ? 0 : -EIO;
}

static int gcrypt_open(struct aead *a, const struct aead_msg *m, const uint8_t *tag)
{
    const uint8_t *in = gcrypt_input(m);
    gcry_error_t e;
    int rc;

    rc = gcrypt_begin(a, m);
    if (rc < 0)
        return rc;
    if (gcry_cipher_decrypt(a->handle, m->out, m->len, in, in ? m->len : 0) != 0)
        return -EIO;

    e = gcry_cipher_checktag(a->handle, tag, AEAD_TAG_LEN);
    if (e == 0)
        return 0;
    return gcry_err_code(e) == GPG_ERR_CHECKSUM ? -EBADMSG : -EIO;
}

static const struct aead_engine engine_gcrypt = {
    .name = "libgcrypt",
    .rekey = gcrypt_rekey,
    .forget = gcrypt_forget,
    .seal = gcrypt_seal,
    .open = gcrypt_open,
};

static int gcrypt_init(void)
{
    if (gcry_control(GCRYCTL_INITIALIZATION_FINISHED_P))
        return 0;
    if (!gcry_check_version(GCRYPT_VERSION))
        return -EIO;

    /* It would print to standard error when the pool cannot be locked; we lock the whole process.
     */
    gcry_control(GCRYCTL_DISABLE_SECMEM_WARN);
    if (gcry_control(GCRYCTL_INIT_SECMEM, GCRYPT_SECMEM, 0) != 0)
        return -EIO;
    gcry_control(GCRYCTL_INITIALIZATION_FINISHED, 0);
    return 0;
}

#endif

/* Best first. */
static const struct aead_engine *const engines[] = {
#ifdef HAVE_GCRYPT
    &engine_gcrypt,
#endif
    &engine_sodium,
};

#define NUM_ENGINES (sizeof(engines) / sizeof(engines[0]))

/* ---- contexts ------------------------------------------------------------------------------- */

int aead_init(void)
{
    if (sodium_init() < 0)
        return -EIO;
#ifdef HAVE_GCRYPT
    return gcrypt_init();
#else
    return 0;
#endif
}

static struct aead *aead_new_for(const struct aead_engine *engine)
{
    struct aead *a = sodium_malloc(sizeof(*a));

    if (!a)
        return NULL;
    memset(a, 0, sizeof(*a));
    a->engine = engine;
    /* Open and key the engine now: the first use of a library is the one that needs the system. */
    if (engine->rekey(a) < 0) {
        aead_free(a);
        return NULL;
    }
    return a;
}

struct aead *aead_new(void)
{
    return chosen ? aead_new_for(chosen) : NULL;
}

void aead_forget(struct aead *a)
{
    a->engine->forget(a);
    a->keyed = false;
    sodium_memzero(a->key, sizeof(a->key));
}

void aead_free(struct aead *a)
{
    if (!a)
        return;
    aead_forget(a);
    sodium_free(a);
}

static int aead_rekey(struct aead *a, const uint8_t key[AEAD_KEY_LEN])
{
    int rc;

    if (a->keyed && crypto_verify_32(a->key, key) == 0)
        return 0;

    a->keyed = false;
    memcpy(a->key, key, AEAD_KEY_LEN);
    rc = a->engine->rekey(a);
    if (rc == 0)
        a->keyed = true;
    return rc;
}

int aead_seal(struct aead *a, const uint8_t key[AEAD_KEY_LEN], const uint8_t nonce[AEAD_NONCE_LEN],
              const uint8_t *ad, size_t ad_len, const uint8_t *in, size_t len, uint8_t *out,
              uint8_t tag[AEAD_TAG_LEN])
{
    const struct aead_msg m = {nonce, ad, ad_len, in, len, out};
    int rc;

    rc = aead_rekey(a, key);
    if (rc == 0)
        rc = a->engine->seal(a, &m, tag);
    if (rc < 0)
        sodium_memzero(out, len);
    return rc;
}

int aead_open(struct aead *a, const uint8_t key[AEAD_KEY_LEN], const uint8_t nonce[AEAD_NONCE_LEN],
              const uint8_t *ad, size_t ad_len, const uint8_t *in, size_t len,
              const uint8_t tag[AEAD_TAG_LEN], uint8_t *out)
{
    const struct aead_msg m = {nonce, ad, ad_len, in, len, out};
    int rc;

    rc = aead_rekey(a, key);
    if (rc == 0)
        rc = a->engine->open(a, &m, tag);
    if (rc < 0)
        sodium_memzero(out, len); /* libgcrypt decrypts before it verifies */
    return rc;
}

/* ---- known answers -------------------------------------------------------------------------- */

/* RFC 8439, section 2.8.2. */
static const uint8_t kat_nonce[AEAD_NONCE_LEN] = {0x07, 0,    0,    0,    0x40, 0x41,
                                                  0x42, 0x43, 0x44, 0x45, 0x46, 0x47};
static const uint8_t kat_ad[] = {0x50, 0x51, 0x52, 0x53, 0xc0, 0xc1,
                                 0xc2, 0xc3, 0xc4, 0xc5, 0xc6, 0xc7};
static const char kat_plain[] = "Ladies and Gentlemen of the class of '99: If I could offer you "
                                "only one tip for the future, sunscreen would be it.";
static const uint8_t kat_cipher[] = {
    0xd3, 0x1a, 0x8d, 0x34, 0x64, 0x8e, 0x60, 0xdb, 0x7b, 0x86, 0xaf, 0xbc, 0x53, 0xef, 0x7e,
    0xc2, 0xa4, 0xad, 0xed, 0x51, 0x29, 0x6e, 0x08, 0xfe, 0xa9, 0xe2, 0xb5, 0xa7, 0x36, 0xee,
    0x62, 0xd6, 0x3d, 0xbe, 0xa4, 0x5e, 0x8c, 0xa9, 0x67, 0x12, 0x82, 0xfa, 0xfb, 0x69, 0xda,
    0x92, 0x72, 0x8b, 0x1a, 0x71, 0xde, 0x0a, 0x9e, 0x06, 0x0b, 0x29, 0x05, 0xd6, 0xa5, 0xb6,
    0x7e, 0xcd, 0x3b, 0x36, 0x92, 0xdd, 0xbd, 0x7f, 0x2d, 0x77, 0x8b, 0x8c, 0x98, 0x03, 0xae,
    0xe3, 0x28, 0x09, 0x1b, 0x58, 0xfa, 0xb3, 0x24, 0xe4, 0xfa, 0xd6, 0x75, 0x94, 0x55, 0x85,
    0x80, 0x8b, 0x48, 0x31, 0xd7, 0xbc, 0x3f, 0xf4, 0xde, 0xf0, 0x8e, 0x4b, 0x7a, 0x9d, 0xe5,
    0x76, 0xd2, 0x65, 0x86, 0xce, 0xc6, 0x4b, 0x61, 0x16};
static const uint8_t kat_tag[AEAD_TAG_LEN] = {0x1a, 0xe1, 0x0b, 0x59, 0x4f, 0x09, 0xe2, 0x6a,
                                              0x7e, 0x90, 0x2e, 0xcb, 0xd0, 0x60, 0x06, 0x91};

#define KAT_LEN sizeof(kat_cipher)
_Static_assert(sizeof(kat_plain) == KAT_LEN + 1, "the text and its NUL");

static bool known_answer_holds(struct aead *a)
{
    uint8_t key[AEAD_KEY_LEN], out[KAT_LEN], back[KAT_LEN], tag[AEAD_TAG_LEN];

    for (size_t i = 0; i < sizeof(key); i++)
        key[i] = (uint8_t)(0x80 + i);

    if (aead_seal(a, key, kat_nonce, kat_ad, sizeof(kat_ad), (const uint8_t *)kat_plain, KAT_LEN,
                  out, tag) < 0)
        return false;
    if (memcmp(out, kat_cipher, KAT_LEN) != 0 || memcmp(tag, kat_tag, sizeof(tag)) != 0)
        return false;

    if (aead_open(a, key, kat_nonce, kat_ad, sizeof(kat_ad), out, KAT_LEN, tag, back) < 0 ||
        memcmp(back, kat_plain, KAT_LEN) != 0)
        return false;

    tag[0] ^= 1;
    return aead_open(a, key, kat_nonce, kat_ad, sizeof(kat_ad), out, KAT_LEN, tag, back) ==
           -EBADMSG;
}

/* What @a seals, @b opens, at lengths on both sides of every block and vector width. */
static bool engines_agree(struct aead *a, struct aead *b)
{
    static const size_t lens[] = {0, 1, 15, 16, 17, 63, 64, 65, 127, 256, 511, 1024, 1400, 1500};
    uint8_t key[AEAD_KEY_LEN], nonce[AEAD_NONCE_LEN], tag[AEAD_TAG_LEN];
    uint8_t plain[CHECK_MAX], sealed[CHECK_MAX], back[CHECK_MAX];

    for (size_t i = 0; i < sizeof(lens) / sizeof(lens[0]); i++) {
        randombytes_buf(key, sizeof(key));
        randombytes_buf(nonce, sizeof(nonce));
        randombytes_buf(plain, lens[i]);
        if (aead_seal(a, key, nonce, plain, lens[i] % 32, plain, lens[i], sealed, tag) < 0)
            return false;
        if (aead_open(b, key, nonce, plain, lens[i] % 32, sealed, lens[i], tag, back) < 0)
            return false;
        if (memcmp(plain, back, lens[i]) != 0)
            return false;
    }
    return true;
}

static bool engine_passes(const struct aead_engine *engine)
{
    struct aead *a = aead_new_for(engine);
    struct aead *reference = aead_new_for(&engine_sodium);
    bool ok;

    ok = a && reference && known_answer_holds(a) && engines_agree(a, reference) &&
         engines_agree(reference, a);
    aead_free(reference);
    aead_free(a);
    return ok;
}

int aead_choose(const char *forced)
{
    int rc = -ENOENT;

    for (size_t i = 0; i < NUM_ENGINES; i++) {
        if (forced && strcmp(forced, engines[i]->name) != 0)
            continue;
        if (engine_passes(engines[i])) {
            chosen = engines[i];
            return 0;
        }
        rc = -EIO;
    }
    return rc;
}

const char *aead_name(void)
{
    return chosen ? chosen->name : "none";
}

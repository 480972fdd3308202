/*
 * Every engine in this build: RFC 8439's second AEAD vector (appendix A.5), the engines against
 * each other, forgeries, key changes, the stack.  Section 2.8.2's vector runs in aead_choose()
 * itself.
 */
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include <sodium.h>
#include <sys/mman.h>

#include "enclave/aead.h"

#define LEN_MAX 2100

static const char *const engine_names[] = {
#ifdef HAVE_GCRYPT
    "libgcrypt",
#endif
    "libsodium",
};

#define NUM_ENGINES (sizeof(engine_names) / sizeof(engine_names[0]))

static struct aead *engine_open(const char *name)
{
    struct aead *a;

    assert_int_equal(aead_choose(name), 0);
    assert_string_equal(aead_name(), name);
    a = aead_new();
    assert_non_null(a);
    return a;
}

static size_t unhex(const char *hex, uint8_t *out, size_t size)
{
    size_t len = 0;

    assert_int_equal(sodium_hex2bin(out, size, hex, strlen(hex), NULL, &len, NULL), 0);
    return len;
}

static void rfc8439_a5(void **state)
{
    uint8_t key[32], nonce[12], ad[12], sealed[300], tag[16], out[300], tag_out[16];
    size_t len;

    (void)state;
    unhex("1c9240a5eb55d38af333888604f6b5f0473917c1402b80099dca5cbc207075c0", key, sizeof(key));
    unhex("000000000102030405060708", nonce, sizeof(nonce));
    unhex("f33388860000000000004e91", ad, sizeof(ad));
    len = unhex("64a0861575861af460f062c79be643bd5e805cfd345cf389f108670ac76c8cb2"
                "4c6cfc18755d43eea09ee94e382d26b0bdb7b73c321b0100d4f03b7f355894cf"
                "332f830e710b97ce98c8a84abd0b948114ad176e008d33bd60f982b1ff37c855"
                "9797a06ef4f0ef61c186324e2b3506383606907b6a7c02b0f9f6157b53c867e4"
                "b9166c767b804d46a59b5216cde7a4e99040c5a40433225ee282a1b0a06c523e"
                "af4534d7f83fa1155b0047718cbc546a0d072b04b3564eea1b422273f548271a"
                "0bb2316053fa76991955ebd63159434ecebb4e466dae5a1073a6727627097a10"
                "49e617d91d361094fa68f0ff77987130305beaba2eda04df997b714d6c6f2c29"
                "a6ad5cb4022b02709b",
                sealed, sizeof(sealed));
    unhex("eead9d67890cbb22392336fea1851f38", tag, sizeof(tag));

    for (size_t e = 0; e < NUM_ENGINES; e++) {
        struct aead *a = engine_open(engine_names[e]);

        memset(out, 0, sizeof(out));
        assert_int_equal(aead_open(a, key, nonce, ad, sizeof(ad), sealed, len, tag, out), 0);
        assert_memory_equal(out, "Internet-Drafts are draft documents", 35);
        assert_int_equal(aead_seal(a, key, nonce, ad, sizeof(ad), out, len, out, tag_out), 0);
        assert_memory_equal(out, sealed, len); /* in place */
        assert_memory_equal(tag_out, tag, sizeof(tag));
        aead_free(a);
    }
}

/* Every pair of engines, every length around the block sizes, in place and not. */
static void all_lengths(void **state)
{
    uint8_t key[32], nonce[12], ad[48], plain[LEN_MAX], sealed[LEN_MAX], out[LEN_MAX], tag[16];

    (void)state;
    randombytes_buf(plain, sizeof(plain));
    randombytes_buf(ad, sizeof(ad));
    for (size_t e = 0; e < NUM_ENGINES * NUM_ENGINES; e++) {
        struct aead *a = engine_open(engine_names[e / NUM_ENGINES]);
        struct aead *b = engine_open(engine_names[e % NUM_ENGINES]);

        for (size_t len = 0; len < LEN_MAX; len += len < 300 ? 1 : 97) {
            randombytes_buf(key, sizeof(key));
            randombytes_buf(nonce, sizeof(nonce));
            assert_int_equal(
                aead_seal(a, key, nonce, ad, len % sizeof(ad), plain, len, sealed, tag), 0);
            assert_int_equal(aead_open(b, key, nonce, ad, len % sizeof(ad), sealed, len, tag, out),
                             0);
            assert_memory_equal(out, plain, len);
            assert_int_equal(
                aead_open(b, key, nonce, ad, len % sizeof(ad), sealed, len, tag, sealed), 0);
            assert_memory_equal(sealed, plain, len);
        }
        aead_free(b);
        aead_free(a);
    }
}

static void forgeries(void **state)
{
    uint8_t key[32] = {1}, nonce[12] = {2}, ad[16] = {3}, msg[64], sealed[64], tag[16], out[64];
    static const uint8_t zeros[64];

    (void)state;
    randombytes_buf(msg, sizeof(msg));
    for (size_t e = 0; e < NUM_ENGINES; e++) {
        struct aead *a = engine_open(engine_names[e]);
        uint8_t *const parts[] = {key, nonce, ad, sealed, tag};
        const size_t lens[] = {sizeof(key), sizeof(nonce), sizeof(ad), sizeof(sealed), sizeof(tag)};

        assert_int_equal(aead_seal(a, key, nonce, ad, sizeof(ad), msg, sizeof(msg), sealed, tag),
                         0);
        for (size_t p = 0; p < sizeof(lens) / sizeof(lens[0]); p++) {
            for (size_t i = 0; i < lens[p]; i++) {
                parts[p][i] ^= 0x80;
                memset(out, 0xaa, sizeof(out));
                assert_int_equal(aead_open(a, key, nonce, ad, sizeof(ad), sealed, sizeof(sealed),
                                           tag, out),
                                 -EBADMSG);
                assert_memory_equal(out, zeros, sizeof(out)); /* no unverified plaintext */
                parts[p][i] ^= 0x80;
            }
        }
        assert_int_equal(aead_open(a, key, nonce, ad, sizeof(ad), sealed, sizeof(sealed), tag, out),
                         0);
        assert_memory_equal(out, msg, sizeof(msg));
        aead_free(a);
    }
}

/* A context that remembers its key must not remember the wrong one. */
static void key_changes(void **state)
{
    uint8_t key[4][32], nonce[12] = {0}, tag[16], plain[40] = {7}, sealed[40], out[40];

    (void)state;
    randombytes_buf(key, sizeof(key));
    memcpy(key[1], key[0], 32);
    key[1][31] ^= 1; /* differs in the last bit only */
    for (size_t e = 0; e < NUM_ENGINES; e++) {
        struct aead *a = engine_open(engine_names[e]);
        struct aead *b = engine_open("libsodium");

        for (int i = 0; i < 200; i++) {
            const uint8_t *k = key[randombytes_uniform(4)];

            nonce[0] = (uint8_t)i;
            if (i % 7 == 0)
                aead_forget(a);
            assert_int_equal(aead_seal(a, k, nonce, NULL, 0, plain, sizeof(plain), sealed, tag), 0);
            assert_int_equal(aead_open(b, k, nonce, NULL, 0, sealed, sizeof(sealed), tag, out), 0);
            assert_memory_equal(out, plain, sizeof(plain));
        }
        aead_free(b);
        aead_free(a);
    }
}

static void choosing(void **state)
{
    (void)state;
    assert_int_equal(aead_choose("no such engine"), -ENOENT);
    assert_int_equal(aead_choose("libsodium"), 0);
    assert_int_equal(aead_choose("no such engine"), -ENOENT);
    assert_string_equal(aead_name(), "libsodium"); /* a refusal leaves the choice alone */
    assert_int_equal(aead_choose(NULL), 0);
    assert_string_equal(aead_name(), engine_names[0]);
    aead_free(NULL);
}

/* As many contexts at once as there may be workers. */
static void many_contexts(void **state)
{
    struct aead *a[64];

    (void)state;
    assert_int_equal(aead_choose(NULL), 0);
    for (size_t i = 0; i < 64; i++)
        assert_non_null(a[i] = aead_new());
    for (size_t i = 0; i < 64; i++)
        aead_free(a[i]);
}

/* ---- what is left on the stack --------------------------------------------------------------- */

#define STACK_SIZE    ((size_t)256 * 1024)
#define STACK_CALLERS 2048 /* of the worker, between its loop and the engine */

static void *use_no_cipher(void *ctx)
{
    return ctx;
}

static void *use_cipher(void *ctx)
{
    static uint8_t key[AEAD_KEY_LEN], nonce[AEAD_NONCE_LEN], tag[AEAD_TAG_LEN], text[LEN_MAX];

    for (size_t len = 0; len <= LEN_MAX; len += 25) {
        key[0]++;
        aead_seal(ctx, key, nonce, text, 16, text, len, text, tag);
        aead_open(ctx, key, nonce, text, 16, text, len, tag, text);
        tag[0] ^= 1;
        aead_open(ctx, key, nonce, text, 16, text, len, tag, text);
    }
    aead_forget(ctx);
    return ctx;
}

/* Return: how many bytes of its stack a thread has written to. */
static size_t stack_used(void *thread(void *), void *ctx)
{
    uint8_t *stack =
        mmap(NULL, STACK_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    pthread_attr_t attr;
    size_t untouched = 0;
    pthread_t id;

    assert_ptr_not_equal(stack, MAP_FAILED);
    memset(stack, 0xa5, STACK_SIZE);
    pthread_attr_init(&attr);
    assert_int_equal(pthread_attr_setstack(&attr, stack, STACK_SIZE), 0);
    assert_int_equal(pthread_create(&id, &attr, thread, ctx), 0);
    assert_int_equal(pthread_join(id, NULL), 0);
    pthread_attr_destroy(&attr);
    while (untouched < STACK_SIZE && stack[untouched] == 0xa5)
        untouched++;
    munmap(stack, STACK_SIZE);
    return STACK_SIZE - untouched;
}

static void stack_depth(void **state)
{
    (void)state;
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    skip(); /* stacks are other ones there */
#endif
    for (size_t i = 0; i < NUM_ENGINES; i++) {
        struct aead *a = engine_open(engine_names[i]);
        size_t none = stack_used(use_no_cipher, a), used = stack_used(use_cipher, a);

        aead_free(a);
        assert_true(used > none);
        if (used - none + STACK_CALLERS > AEAD_STACK)
            fail_msg("%s: %zu bytes deep", engine_names[i], used - none);
    }
}

static int setup(void **state)
{
    (void)state;
    return aead_init();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rfc8439_a5),  cmocka_unit_test(all_lengths),
        cmocka_unit_test(forgeries),   cmocka_unit_test(key_changes),
        cmocka_unit_test(choosing),    cmocka_unit_test(many_contexts),
        cmocka_unit_test(stack_depth),
    };

    return cmocka_run_group_tests(tests, setup, NULL);
}

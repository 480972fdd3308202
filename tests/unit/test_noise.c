/*
 * The Noise core against published vectors.
 *
 *   cacophony  haskell-cryptography/cacophony, vectors/cacophony.txt: IKpsk2 with SHA-256, and with
 *              BLAKE2s to show that the hash is a parameter (BLAKE2s itself is libgcrypt's).  The
 *              snow project checks itself against the same file.
 *   snow       mcginty/snow, tests/vectors/snow.txt: snow's own file has IKpsk2 only together with
 *              psk0, which is one more MixKeyAndHash ahead of message 1.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include <sodium.h>
#ifdef HAVE_GCRYPT
#include <gcrypt.h>
#endif

#include "enclave/noise.h"

#define MSG_MAX     256
#define PAYLOAD_MAX 64

struct vector {
    const char *protocol, *prologue;
    const char *init_static, *init_ephemeral, *resp_static, *resp_ephemeral;
    const char *psk0; /* or NULL */
    const char *psk2;
    const char *handshake_hash; /* or NULL: snow does not give it */
    int num;
    struct {
        const char *payload, *ciphertext;
    } message[6];
};

static const struct vector cacophony_sha256 = {
    .protocol = "Noise_IKpsk2_25519_ChaChaPoly_SHA256",
    .prologue = "4a6f686e2047616c74",
    .init_static = "e61ef9919cde45dd5f82166404bd08e38bceb5dfdfded0a34c8df7ed542214d1",
    .init_ephemeral = "893e28b9dc6ca8d611ab664754b8ceb7bac5117349a4439a6b0569da977c464a",
    .resp_static = "4a3acbfdb163dec651dfa3194dece676d437029c62a408b4c5ea9114246e4893",
    .resp_ephemeral = "bbdb4cdbd309f1a1f2e1456967fe288cadd6f712d65dc7b7793d5e63da6b375b",
    .psk2 = "54686973206973206d7920417573747269616e20706572737065637469766521",
    .handshake_hash = "8310f86394dc0dabb40beb8210031556db4403ab1202db7034c526232147a700",
    .num = 6,
    .message =
        {
            {"4c756477696720766f6e204d69736573",
             "ca35def5ae56cec33dc2036731ab14896bc4c75dbb07a61f879f8e3afa4c79442ec9b098"
             "93d0f510791784c10cbc959f25b1766e0def6e301d14fbca1c7790ac829b8b3674f5f649"
             "a5f0e98479662cbfbf2b2c47cd4b09fcd266cd29d7cb675f1808849707847840f6d178ec"
             "4d3733aa"},
            {"4d757272617920526f746862617264",
             "95ebc60d2b1fa672c1f46a8aa265ef51bfe38e7ccb39ec5be34069f1448088439a1b3ceb"
             "f680b2c74217fcb5eba4ff58a9468cd90c4aca6194f57479b379a7"},
            {"462e20412e20486179656b", "a8fde7a0accec190cd306c5950d4fd8e04a205ec288aa747d8b347"},
            {"4361726c204d656e676572", "59caddd9984a3bbe24c4fb31a2bd455b7eba3fa0980674b1a3a5f9"},
            {"4a65616e2d426170746973746520536179",
             "3b9bfebd210c22ba0cff9de79b4007d7a552fffbf92616881faa8a883e25b80258"},
            {"457567656e2042f6686d20766f6e2042617765726b",
             "f37512df1043d564d7c46ac85c53d3b6a9a05724bc297e7142808f217561651217fe85b7"
             "82"},
        },
};

static const struct vector snow_psk0_psk2 = {
    .protocol = "Noise_IKpsk0+psk2_25519_ChaChaPoly_SHA256",
    .prologue = "5468657265206973206e6f20726967687420616e642077726f6e672e2054686572652773"
                "206f6e6c792066756e20616e6420626f72696e672e",
    .init_static = "e376d84fe9ea51fecdcaf6ae30d1a0a278605eb1ebdf254b22bfd18b33221684",
    .init_ephemeral = "98914e2618a7bf488aa2bf5b97c3dab6854afc1844876a50ab9d6776eb73c145",
    .resp_static = "957bb59992328cdcbfbea70ddd57089ebc2a7a5bf0a50a928ba0f6d40fdaa057",
    .resp_ephemeral = "5eeb121589ece32d90c1de164047ee0a5b1b432d1018df300186a094c8ee8e6f",
    .psk0 = "f68e52b23594fe4f34d126eb29faf500708a6ab5201312317a0ce160ab4cee2b",
    .psk2 = "f3482d5478081b3744f4a7b758b6f2a81aea27e7dd31eb201de2e0a804711ac5",
    .num = 4,
    .message =
        {
            {"0f4ed36b5fd11ae6a2862f8dce708cb4ac29843708420cfea02a2e8f1d92ee8c",
             "3706f98f075467388a4832cf48be0faab341bc0f7f2094b3fd085ac0074c7a0a855be0f2"
             "daebf4b9f658dc23d498330e3951fa73f388ec8425b1c67b7cfb5d61b66e765284630fe2"
             "1ca367f8499f4c022bbf84adc887280ac657c8a5503c06db01c1e84fb73bebd11156459a"
             "5b10f3e6a39d5aaced9da122608a6fabc57d334f"},
            {"a8bdaa7fe918b34c0506481db59a32289aac3c82ea421793ece5e3a261044fbb",
             "93d6ca2754694efc63641a49eb64c452ad9671ab3f320c0aa0764be73da33647d51eddf8"
             "39ca203f87dcbc75c9c689bba1decf48fe9a55cdea8f2430108785301f2eb4d0571df466"
             "8c3d04e16064b4ab"},
            {"14b65d2ff32b3619d61ff1fdbd06cac96b0d8d3e064a55e1f2042840b08c3848",
             "12733348d6a912442c89fbd6c87d0a66a0f5963bb3966f3437e4e1924ea5feb5cfad994e"
             "b25176ab58a792869dc6ede4"},
            {"1a475c5a0f13691e6ea45e6c89d8a8a8a9ecc5730023d0db95ec18ebdc97ddc8",
             "b45f4e141b5243985c7cbb47c6ff1fa5e0a78c68ff32a2f6e5fdaccde70cdc68e7214035"
             "7967427f036dc59a9c0cc9de"},
        },
};

#ifdef HAVE_GCRYPT
static const struct vector cacophony_blake2s = {
    .protocol = "Noise_IKpsk2_25519_ChaChaPoly_BLAKE2s",
    .prologue = "4a6f686e2047616c74",
    .init_static = "e61ef9919cde45dd5f82166404bd08e38bceb5dfdfded0a34c8df7ed542214d1",
    .init_ephemeral = "893e28b9dc6ca8d611ab664754b8ceb7bac5117349a4439a6b0569da977c464a",
    .resp_static = "4a3acbfdb163dec651dfa3194dece676d437029c62a408b4c5ea9114246e4893",
    .resp_ephemeral = "bbdb4cdbd309f1a1f2e1456967fe288cadd6f712d65dc7b7793d5e63da6b375b",
    .psk2 = "54686973206973206d7920417573747269616e20706572737065637469766521",
    .handshake_hash = "f5191b875290abcd41347ac3622d9679688a7e980229cb937ef748336cfde0e5",
    .num = 6,
    .message =
        {
            {"4c756477696720766f6e204d69736573",
             "ca35def5ae56cec33dc2036731ab14896bc4c75dbb07a61f879f8e3afa4c7944001e21de"
             "9f98ddd8e2ad57527207feb56253c9c94a9e496782ecfcb2a75fbcaf1b52948cc48daefe"
             "660c62119ab5000980c84831215f2441eba616548e832985464cf17e51ee93109008399a"
             "21f7e13f"},
            {"4d757272617920526f746862617264",
             "95ebc60d2b1fa672c1f46a8aa265ef51bfe38e7ccb39ec5be34069f144808843cb765f2c"
             "aef0751b8f007572dab0322217755c0632f365717edbf34d33e87a"},
            {"462e20412e20486179656b", "8153ca9833bc3c1b91a7e66e5f4d4f5b59bf9e64c2f20d15f0bba7"},
            {"4361726c204d656e676572", "07af0c9c86e1b4e80f36b04ff7688d51141af3debd0332f0a705ef"},
            {"4a65616e2d426170746973746520536179",
             "6ab1467c0448cc78394494abaaf23afce0e234315d6e2624dcbfa8a21c1c4d073d"},
            {"457567656e2042f6686d20766f6e2042617765726b",
             "dfc346c0d2296ae6cf1acf6f12b8456a1dba228cf8d8b774aacf1c47fc53aa80ebc7a4c2"
             "92"},
        },
};
#endif

static size_t unhex(const char *hex, uint8_t *out, size_t size)
{
    size_t len = 0;

    assert_int_equal(sodium_hex2bin(out, size, hex, strlen(hex), NULL, &len, NULL), 0);
    return len;
}

/* Everything a vector names, as bytes; s_i is the initiator's static key and so on. */
struct keys {
    uint8_t s_i[32], e_i[32], s_r[32], e_r[32], psk0[32], psk2[32];
    uint8_t public_i[32], public_r[32], dh[32];
    uint8_t prologue[64];
    size_t prologue_len;
};

static void keys_read(const struct vector *v, struct keys *k)
{
    memset(k, 0, sizeof(*k));
    unhex(v->init_static, k->s_i, 32);
    unhex(v->init_ephemeral, k->e_i, 32);
    unhex(v->resp_static, k->s_r, 32);
    unhex(v->resp_ephemeral, k->e_r, 32);
    unhex(v->psk2, k->psk2, 32);
    if (v->psk0)
        unhex(v->psk0, k->psk0, 32);
    k->prologue_len = unhex(v->prologue, k->prologue, sizeof(k->prologue));
    crypto_scalarmult_base(k->public_i, k->s_i);
    crypto_scalarmult_base(k->public_r, k->s_r);
    assert_int_equal(noise_dh(k->s_i, k->public_r, k->dh), 0);
}

static void start(struct noise_ik *ik, const struct vector *v, const struct noise_hash *hash,
                  const struct keys *k)
{
    noise_ik_start(ik, hash, v->protocol, k->prologue, k->prologue_len, k->public_r);
    if (v->psk0)
        noise_mix_key_and_hash(&ik->s, k->psk0);
}

static void check_message(const struct vector *v, int i, const uint8_t *msg, size_t len)
{
    uint8_t want[MSG_MAX];

    assert_int_equal(unhex(v->message[i].ciphertext, want, sizeof(want)), len);
    assert_memory_equal(msg, want, len);
}

/* The messages after the handshake: from the initiator and from the responder in turn. */
static void check_transport(const struct vector *v, const uint8_t key[2][32])
{
    for (int i = 2; i < v->num; i++) {
        uint8_t payload[PAYLOAD_MAX], msg[MSG_MAX], nonce[12] = {0};
        size_t len = unhex(v->message[i].payload, payload, sizeof(payload));

        nonce[4] = (uint8_t)(i / 2 - 1);
        crypto_aead_chacha20poly1305_ietf_encrypt(msg, NULL, payload, len, NULL, 0, NULL, nonce,
                                                  key[i % 2]);
        check_message(v, i, msg, len + NOISE_TAG_LEN);
    }
}

static void run_vector(const struct vector *v, const struct noise_hash *hash)
{
    uint8_t payload[PAYLOAD_MAX], back[PAYLOAD_MAX], msg[MSG_MAX], claimed[32];
    uint8_t key_i[2][32], key_r[2][32], h[32];
    struct noise_ik i, r;
    struct keys k;
    size_t len;

    keys_read(v, &k);
    start(&i, v, hash, &k);
    start(&r, v, hash, &k);

    len = unhex(v->message[0].payload, payload, sizeof(payload));
    assert_int_equal(noise_ik_send1(&i, k.e_i, k.public_i, k.public_r, k.dh, payload, len, msg), 0);
    check_message(v, 0, msg, NOISE_IK_MSG1_LEN(len));
    assert_int_equal(noise_ik_recv1_static(&r, k.s_r, msg, claimed), 0);
    assert_memory_equal(claimed, k.public_i, 32);
    assert_int_equal(
        noise_ik_recv1_payload(&r, k.dh, msg + NOISE_KEY_LEN + NOISE_IK_STATIC_LEN, len, back), 0);
    assert_memory_equal(back, payload, len);

    len = unhex(v->message[1].payload, payload, sizeof(payload));
    assert_int_equal(noise_ik_send2(&r, k.e_r, claimed, k.psk2, payload, len, msg), 0);
    check_message(v, 1, msg, NOISE_IK_MSG2_LEN(len));
    assert_int_equal(noise_ik_recv2(&i, k.s_i, k.psk2, msg, len, back), 0);
    assert_memory_equal(back, payload, len);

    assert_memory_equal(i.s.h, r.s.h, 32);
    if (v->handshake_hash) {
        unhex(v->handshake_hash, h, sizeof(h));
        assert_memory_equal(i.s.h, h, 32);
    }
    noise_split(&i.s, key_i[0], key_i[1]);
    noise_split(&r.s, key_r[0], key_r[1]);
    assert_memory_equal(key_i, key_r, sizeof(key_i));
    check_transport(v, (const uint8_t(*)[32])key_i);

    noise_ik_wipe(&i);
    assert_true(sodium_is_zero((const uint8_t *)&i, sizeof(i)));
}

static void vectors_sha256(void **state)
{
    (void)state;
    run_vector(&cacophony_sha256, &noise_sha256);
}

static void vectors_two_psks(void **state)
{
    (void)state;
    run_vector(&snow_psk0_psk2, &noise_sha256);
}

#ifdef HAVE_GCRYPT
static void blake2s_digest(const struct noise_part *parts, size_t num, uint8_t out[NOISE_HASH_LEN])
{
    gcry_md_hd_t md;

    assert_int_equal(gcry_md_open(&md, GCRY_MD_BLAKE2S_256, 0), 0);
    for (size_t i = 0; i < num; i++)
        gcry_md_write(md, parts[i].data, parts[i].len);
    memcpy(out, gcry_md_read(md, GCRY_MD_BLAKE2S_256), NOISE_HASH_LEN);
    gcry_md_close(md);
}

static void vectors_blake2s(void **state)
{
    static const struct noise_hash blake2s = {.block_len = 64, .digest = blake2s_digest};

    (void)state;
    run_vector(&cacophony_blake2s, &blake2s);
}
#endif

/* A short name is padded with zeros, a long one hashed. */
static void protocol_names(void **state)
{
    uint8_t want[32] = "Noise_XX_25519_AESGCM_SHA256";
    struct noise_state s;

    (void)state;
    noise_init(&s, &noise_sha256, "Noise_XX_25519_AESGCM_SHA256");
    assert_memory_equal(s.h, want, 32);
    assert_memory_equal(s.ck, want, 32);
    noise_init(&s, &noise_sha256, cacophony_sha256.protocol);
    crypto_hash_sha256(want, (const uint8_t *)cacophony_sha256.protocol,
                       strlen(cacophony_sha256.protocol));
    assert_memory_equal(s.h, want, 32);
}

/* Additional data mixed on one side only must make the next message fail. */
static void every_byte_counts(void **state)
{
    uint8_t msg[NOISE_IK_MSG1_LEN(8)], claimed[32], back[8], payload[8] = "payload";
    static const uint8_t zeros[8];
    struct noise_ik i, r;
    struct keys k;

    (void)state;
    keys_read(&cacophony_sha256, &k);
    start(&i, &cacophony_sha256, &noise_sha256, &k);
    assert_int_equal(
        noise_ik_send1(&i, k.e_i, k.public_i, k.public_r, k.dh, payload, sizeof(payload), msg), 0);
    for (size_t at = 0; at <= sizeof(msg) + k.prologue_len; at++) {
        int rc;

        /* First the untouched message, then each byte of it, then each byte of the prologue. */
        if (at >= 1 && at <= sizeof(msg))
            msg[at - 1] ^= 1;
        else if (at > sizeof(msg))
            k.prologue[at - 1 - sizeof(msg)] ^= 1;
        start(&r, &cacophony_sha256, &noise_sha256, &k);
        rc = noise_ik_recv1_static(&r, k.s_r, msg, claimed);
        if (rc == 0)
            rc = noise_ik_recv1_payload(&r, k.dh, msg + NOISE_KEY_LEN + NOISE_IK_STATIC_LEN,
                                        sizeof(back), back);
        assert_int_equal(rc, at == 0 ? 0 : -EBADMSG);
        if (at > NOISE_KEY_LEN + NOISE_IK_STATIC_LEN && at <= sizeof(msg))
            assert_memory_equal(back, zeros, sizeof(back));
        if (at >= 1 && at <= sizeof(msg))
            msg[at - 1] ^= 1;
        else if (at > sizeof(msg))
            k.prologue[at - 1 - sizeof(msg)] ^= 1;
    }
}

/* Points of order 1, 2, 4 and 8, and the same not reduced modulo p (RFC 7748, section 6.1). */
static void low_order_points(void **state)
{
    static const char *const points[] = {
        "0000000000000000000000000000000000000000000000000000000000000000",
        "0100000000000000000000000000000000000000000000000000000000000000",
        "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
        "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    };
    uint8_t private_key[32], point[32], out[32], msg[NOISE_IK_MSG1_LEN(0)], dh[32] = {0};

    (void)state;
    for (size_t n = 0; n < sizeof(points) / sizeof(points[0]); n++) {
        struct noise_ik ik;

        randombytes_buf(private_key, sizeof(private_key));
        unhex(points[n], point, sizeof(point));
        memset(out, 0xff, sizeof(out));
        assert_int_equal(noise_dh(private_key, point, out), -EBADMSG);
        assert_true(sodium_is_zero(out, sizeof(out)));

        noise_ik_start(&ik, &noise_sha256, "x", "", 0, point);
        assert_int_equal(noise_ik_send1(&ik, private_key, dh, point, dh, dh, 0, msg), -EBADMSG);
        memset(msg, 0, sizeof(msg));
        memcpy(msg, point, sizeof(point));
        noise_ik_start(&ik, &noise_sha256, "x", "", 0, dh);
        assert_int_equal(noise_ik_recv1_static(&ik, private_key, msg, out), -EBADMSG);
    }
}

static int setup(void **state)
{
    (void)state;
#ifdef HAVE_GCRYPT
    if (!gcry_check_version(NULL))
        return -1;
    gcry_control(GCRYCTL_DISABLE_SECMEM, 0);
    gcry_control(GCRYCTL_INITIALIZATION_FINISHED, 0);
#endif
    return sodium_init() < 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(vectors_sha256),   cmocka_unit_test(vectors_two_psks),
#ifdef HAVE_GCRYPT
        cmocka_unit_test(vectors_blake2s),
#endif
        cmocka_unit_test(protocol_names),   cmocka_unit_test(every_byte_counts),
        cmocka_unit_test(low_order_points),
    };

    return cmocka_run_group_tests(tests, setup, NULL);
}

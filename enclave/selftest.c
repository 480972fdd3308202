/* Known-answer tests of the primitives beside the AEAD; see selftest.h. */
#include "enclave/selftest.h"

#include <errno.h>
#include <sodium.h>
#include <string.h>

static int sha256_wrong(void)
{
    /* FIPS 180-4, appendix: SHA-256 of "abc". */
    static const uint8_t want[32] = {0xba, 0x78, 0x16, 0xbf, 0x8f, 0x01, 0xcf, 0xea,
                                     0x41, 0x41, 0x40, 0xde, 0x5d, 0xae, 0x22, 0x23,
                                     0xb0, 0x03, 0x61, 0xa3, 0x96, 0x17, 0x7a, 0x9c,
                                     0xb4, 0x10, 0xff, 0x61, 0xf2, 0x00, 0x15, 0xad};
    uint8_t got[32];

    crypto_hash_sha256(got, (const uint8_t *)"abc", 3);
    return memcmp(got, want, sizeof(want));
}

static int hmac_wrong(void)
{
    /* RFC 4231, test case 2. */
    static const uint8_t want[32] = {0x5b, 0xdc, 0xc1, 0x46, 0xbf, 0x60, 0x75, 0x4e,
                                     0x6a, 0x04, 0x24, 0x26, 0x08, 0x95, 0x75, 0xc7,
                                     0x5a, 0x00, 0x3f, 0x08, 0x9d, 0x27, 0x39, 0x83,
                                     0x9d, 0xec, 0x58, 0xb9, 0x64, 0xec, 0x38, 0x43};
    crypto_auth_hmacsha256_state state;
    uint8_t got[32];

    crypto_auth_hmacsha256_init(&state, (const uint8_t *)"Jefe", 4);
    crypto_auth_hmacsha256_update(&state, (const uint8_t *)"what do ya want for nothing?", 28);
    crypto_auth_hmacsha256_final(&state, got);
    return memcmp(got, want, sizeof(want));
}

static int blake2b_wrong(void)
{
    /* RFC 7693, appendix A: BLAKE2b-512 of "abc", first 16 bytes. */
    static const uint8_t want[16] = {0xba, 0x80, 0xa5, 0x3f, 0x98, 0x1c, 0x4d, 0x0d,
                                     0x6a, 0x27, 0x97, 0xb6, 0x9f, 0x12, 0xf6, 0xe9};
    uint8_t got[64];

    crypto_generichash(got, sizeof(got), (const uint8_t *)"abc", 3, NULL, 0);
    return memcmp(got, want, sizeof(want));
}

static int x25519_wrong(void)
{
    /* RFC 7748, 6.1: Alice's private key and her public key. */
    static const uint8_t private_key[32] = {0x77, 0x07, 0x6d, 0x0a, 0x73, 0x18, 0xa5, 0x7d,
                                            0x3c, 0x16, 0xc1, 0x72, 0x51, 0xb2, 0x66, 0x45,
                                            0xdf, 0x4c, 0x2f, 0x87, 0xeb, 0xc0, 0x99, 0x2a,
                                            0xb1, 0x77, 0xfb, 0xa5, 0x1d, 0xb9, 0x2c, 0x2a};
    static const uint8_t want[32] = {0x85, 0x20, 0xf0, 0x09, 0x89, 0x30, 0xa7, 0x54,
                                     0x74, 0x8b, 0x7d, 0xdc, 0xb4, 0x3e, 0xf7, 0x5a,
                                     0x0d, 0xbf, 0x3a, 0x0d, 0x26, 0x38, 0x1a, 0xf4,
                                     0xeb, 0xa4, 0xa9, 0x8e, 0xaa, 0x9b, 0x4e, 0x6a};
    uint8_t got[32];

    return crypto_scalarmult_base(got, private_key) != 0 || memcmp(got, want, sizeof(want)) != 0;
}

int selftest_primitives(const char **which)
{
    if (sha256_wrong())
        *which = "SHA-256";
    else if (hmac_wrong())
        *which = "HMAC-SHA-256";
    else if (blake2b_wrong())
        *which = "BLAKE2b";
    else if (x25519_wrong())
        *which = "X25519";
    else
        return 0;
    return -EIO;
}

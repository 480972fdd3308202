/* The payloads of the handshake: fixed sizes, so that a name's length shows in no message. */
#include <errno.h>
#include <sodium.h>
#include <string.h>

#include "enclave/hs_payload.h"

/* payload1 */
enum {
    P1_REV = 0,
    P1_USER_LEN = 1,
    P1_CAPS = 2,
    P1_MTU = 4,
    P1_ZERO_A = 6,
    P1_DEVICE_ID = 8,
    P1_CHALLENGE = 24,
    P1_HS_TIME = 40,
    P1_WANT_IP4 = 48,
    P1_ZERO_B = 52,
    P1_USER = 64,
    P1_END = P1_USER + WIRE_USER_MAX,
};

/* payload2 */
enum {
    P2_STATUS = 0,
    P2_PREFIX4 = 1,
    P2_MTU = 2,
    P2_IP4 = 4,
    P2_GATEWAY4 = 8,
    P2_DNS4 = 12,
    P2_IP6 = 16,
    P2_GATEWAY6 = 32,
    P2_PREFIX6 = 48,
    P2_ZERO_A = 49,
    P2_LEASE = 52,
    P2_KEEPALIVE = 56,
    P2_ZERO_B = 58,
    P2_CHALLENGE = 60,
    P2_DNS6 = 76,
    P2_NEXT_S = 92,
    P2_ZERO_C = 124,
    P2_END = 128,
};

_Static_assert(P1_END == WIRE_PAYLOAD1_LEN, "payload1 is full");
_Static_assert(P2_END == WIRE_PAYLOAD2_LEN, "payload2 is full");
_Static_assert(WIRE_REQ_EPHEMERAL == WIRE_RESP_EPHEMERAL, "both heads are equally long");

void hs_prologue(const uint8_t head[HS_HEAD_LEN], uint8_t out[HS_PROLOGUE_LEN])
{
    memcpy(out, HS_PREFIX, sizeof(HS_PREFIX) - 1);
    memcpy(out + sizeof(HS_PREFIX) - 1, head, HS_HEAD_LEN);
}

void hs_payload1_put(const struct hs_payload1 *p, uint8_t out[WIRE_PAYLOAD1_LEN])
{
    memset(out, 0, WIRE_PAYLOAD1_LEN);
    out[P1_REV] = WIRE_REVISION;
    out[P1_USER_LEN] = p->user_len;
    be16_put(out + P1_MTU, p->mtu);
    memcpy(out + P1_DEVICE_ID, p->device_id, WIRE_DEVICE_ID_LEN);
    memcpy(out + P1_CHALLENGE, p->challenge, WIRE_CHALLENGE_LEN);
    be64_put(out + P1_HS_TIME, p->hs_time);
    memcpy(out + P1_WANT_IP4, p->want_ip4, sizeof(p->want_ip4));
    memcpy(out + P1_USER, p->user, p->user_len);
}

int hs_payload1_get(const uint8_t in[WIRE_PAYLOAD1_LEN], struct hs_payload1 *p)
{
    const uint8_t user_len = in[P1_USER_LEN];

    /* The revision comes first: in another one the bytes below may mean something else. */
    if (in[P1_REV] != WIRE_REVISION)
        return -EPROTONOSUPPORT;
    if (!sodium_is_zero(in + P1_ZERO_A, P1_DEVICE_ID - P1_ZERO_A) ||
        !sodium_is_zero(in + P1_ZERO_B, P1_USER - P1_ZERO_B))
        return -EINVAL;
    if (user_len == 0 || user_len > WIRE_USER_MAX ||
        !sodium_is_zero(in + P1_USER + user_len, (size_t)(WIRE_USER_MAX - user_len)))
        return -EINVAL;

    p->mtu = be16_get(in + P1_MTU);
    memcpy(p->device_id, in + P1_DEVICE_ID, WIRE_DEVICE_ID_LEN);
    memcpy(p->challenge, in + P1_CHALLENGE, WIRE_CHALLENGE_LEN);
    p->hs_time = be64_get(in + P1_HS_TIME);
    memcpy(p->want_ip4, in + P1_WANT_IP4, sizeof(p->want_ip4));
    p->user_len = user_len;
    memcpy(p->user, in + P1_USER, WIRE_USER_MAX);
    return 0;
}

void hs_payload2_put(unsigned int status, const struct hs_grant *grant, const uint8_t *challenge,
                     uint8_t out[WIRE_PAYLOAD2_LEN])
{
    memset(out, 0, WIRE_PAYLOAD2_LEN);
    out[P2_STATUS] = (uint8_t)status;
    if (status == WIRE_STATUS_CHALLENGE)
        memcpy(out + P2_CHALLENGE, challenge, WIRE_CHALLENGE_LEN);
    if (status != WIRE_STATUS_OK)
        return;

    out[P2_PREFIX4] = grant->prefix4;
    be16_put(out + P2_MTU, grant->mtu);
    memcpy(out + P2_IP4, grant->ip4, sizeof(grant->ip4));
    memcpy(out + P2_GATEWAY4, grant->gateway4, sizeof(grant->gateway4));
    memcpy(out + P2_DNS4, grant->dns4, sizeof(grant->dns4));
    memcpy(out + P2_IP6, grant->ip6, sizeof(grant->ip6));
    memcpy(out + P2_GATEWAY6, grant->gateway6, sizeof(grant->gateway6));
    out[P2_PREFIX6] = grant->prefix6;
    be32_put(out + P2_LEASE, grant->lease_s);
    be16_put(out + P2_KEEPALIVE, grant->keepalive_s);
    memcpy(out + P2_DNS6, grant->dns6, sizeof(grant->dns6));
}

/* Everything but the status is zero; in a CHALLENGE, everything but that too. */
static int payload2_get_refusal(const uint8_t in[WIRE_PAYLOAD2_LEN], unsigned int status,
                                uint8_t challenge[WIRE_CHALLENGE_LEN])
{
    const size_t after = P2_CHALLENGE + WIRE_CHALLENGE_LEN;

    if (!sodium_is_zero(in + P2_PREFIX4, P2_CHALLENGE - P2_PREFIX4) ||
        !sodium_is_zero(in + after, P2_END - after))
        return -EBADMSG;
    if (status == WIRE_STATUS_CHALLENGE)
        memcpy(challenge, in + P2_CHALLENGE, WIRE_CHALLENGE_LEN);
    else if (!sodium_is_zero(in + P2_CHALLENGE, WIRE_CHALLENGE_LEN))
        return -EBADMSG;
    return 0;
}

int hs_payload2_get(const uint8_t in[WIRE_PAYLOAD2_LEN], unsigned int *status,
                    struct hs_grant *grant, uint8_t challenge[WIRE_CHALLENGE_LEN])
{
    struct hs_grant g = {0};

    if (in[P2_STATUS] >= WIRE_STATUS_NUM)
        return -EBADMSG;
    if (in[P2_STATUS] != WIRE_STATUS_OK) {
        if (payload2_get_refusal(in, in[P2_STATUS], challenge) < 0)
            return -EBADMSG;
        *status = in[P2_STATUS];
        return 0;
    }

    if (!sodium_is_zero(in + P2_ZERO_A, P2_LEASE - P2_ZERO_A) ||
        !sodium_is_zero(in + P2_ZERO_B, P2_DNS6 - P2_ZERO_B) ||
        !sodium_is_zero(in + P2_ZERO_C, P2_END - P2_ZERO_C))
        return -EBADMSG;

    g.prefix4 = in[P2_PREFIX4];
    g.mtu = be16_get(in + P2_MTU);
    memcpy(g.ip4, in + P2_IP4, sizeof(g.ip4));
    memcpy(g.gateway4, in + P2_GATEWAY4, sizeof(g.gateway4));
    memcpy(g.dns4, in + P2_DNS4, sizeof(g.dns4));
    memcpy(g.ip6, in + P2_IP6, sizeof(g.ip6));
    memcpy(g.gateway6, in + P2_GATEWAY6, sizeof(g.gateway6));
    g.prefix6 = in[P2_PREFIX6];
    g.lease_s = be32_get(in + P2_LEASE);
    g.keepalive_s = be16_get(in + P2_KEEPALIVE);
    memcpy(g.dns6, in + P2_DNS6, sizeof(g.dns6));
    if (g.prefix4 > 32 || g.prefix6 > 128 || g.mtu < WIRE_MTU_MIN || g.mtu > WIRE_MTU_MAX)
        return -EBADMSG;

    *status = WIRE_STATUS_OK;
    *grant = g;
    return 0;
}

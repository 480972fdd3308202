/*
 * What the sealed process does for its caller: operations, never keys.
 *
 * ipc_check() has the exact lengths, ipc_type_state() the state in which a message is taken, the
 * table below who acts on it.  Anything outside is a violation and ends the process.
 */
#include "enclave/dispatch.h"

#include <assert.h>
#include <errno.h>
#include <sodium.h>
#include <string.h>

#include "common/cleanup.h"

/* Addresses of a lease as the inner checks want them; all zeros means none of that family. */
static struct ip_addr lease_ip(uint8_t family, const uint8_t *bytes, size_t len)
{
    struct ip_addr addr = {0};

    if (sodium_is_zero(bytes, len))
        return addr;
    addr.family = family;
    memcpy(addr.bytes, bytes, len);
    return addr;
}

static void grant_from_lease(struct hs_grant *g, const struct ipc_lease *l)
{
    memset(g, 0, sizeof(*g));
    memcpy(g->ip4, l->ip4, sizeof(g->ip4));
    memcpy(g->gateway4, l->gateway4, sizeof(g->gateway4));
    memcpy(g->dns4, l->dns4, sizeof(g->dns4));
    memcpy(g->ip6, l->ip6, sizeof(g->ip6));
    memcpy(g->gateway6, l->gateway6, sizeof(g->gateway6));
    memcpy(g->dns6, l->dns6, sizeof(g->dns6));
    g->prefix4 = l->prefix4;
    g->prefix6 = l->prefix6;
    g->mtu = l->mtu;
    g->keepalive_s = l->keepalive_s;
    g->lease_s = l->lease_s;
}

static void lease_from_grant(struct ipc_lease *l, const struct hs_grant *g)
{
    memcpy(l->ip4, g->ip4, sizeof(l->ip4));
    memcpy(l->gateway4, g->gateway4, sizeof(l->gateway4));
    memcpy(l->dns4, g->dns4, sizeof(l->dns4));
    memcpy(l->ip6, g->ip6, sizeof(l->ip6));
    memcpy(l->gateway6, g->gateway6, sizeof(l->gateway6));
    memcpy(l->dns6, g->dns6, sizeof(l->dns6));
    l->prefix4 = g->prefix4;
    l->prefix6 = g->prefix6;
    l->mtu = g->mtu;
    l->keepalive_s = g->keepalive_s;
    l->lease_s = g->lease_s;
}

static void session_fill(struct session *s, const struct clock *now, const struct hs_grant *grant,
                         uint32_t remote_index, uint16_t mtu, uint64_t timestamp_ms)
{
    s->remote_index = remote_index;
    s->created_ms = now->mono_ms;
    s->ip4 = lease_ip(4, grant->ip4, sizeof(grant->ip4));
    s->ip6 = lease_ip(6, grant->ip6, sizeof(grant->ip6));
    /* What the peer wishes is within the protocol's bounds, whatever it wrote. */
    s->mtu = mtu < WIRE_MTU_MIN ? WIRE_MTU_MIN : mtu > WIRE_MTU_MAX ? WIRE_MTU_MAX : mtu;
    s->floor_ms = (int64_t)(now->stamp_ms - timestamp_ms);
}

/* ---- users --------------------------------------------------------------------------------- */

static int on_user_add(struct dispatch *d, const union ipc_msg *msg)
{
    char user[WIRE_USER_MAX + 1];
    int rc;

    /* Workers find a user's prefixes by this number. */
    if (!keystore_has_id(d->ks, msg->user_add.user_id))
        return -EPROTO;
    memcpy(user, msg->user_add.user, WIRE_USER_MAX);
    user[WIRE_USER_MAX] = '\0';
    rc = hs_responder_user_add(d->responder, msg->user_add.user_id, user, msg->user_add.key);
    /* A key that cannot be used locks out its user alone; the daemon checked it before. */
    return rc == -EINVAL ? 0 : rc;
}

static int on_user_del(struct dispatch *d, const union ipc_msg *msg)
{
    keystore_peers_remove_id(d->ks, msg->user_del.user_id);
    if (keystore_allow_clear(d->ks, msg->user_del.user_id, IPC_ALLOW_SOURCE) < 0)
        return -EPROTO;
    return hs_responder_user_del(d->responder, msg->user_del.user_id) == -ENOENT ? -EPROTO : 0;
}

static int on_allow(struct dispatch *d, const union ipc_msg *msg)
{
    struct ip_prefix prefix = {.len = msg->allow.prefix_len};

    prefix.addr.family = msg->allow.family;
    if (prefix.addr.family != 4 && prefix.addr.family != 6)
        return -EPROTO;
    /* What lies behind this end is the client's to say; a server has its own kernel for that. */
    if (d->responder && msg->allow.end != IPC_ALLOW_SOURCE)
        return -EPROTO;
    memcpy(prefix.addr.bytes, msg->allow.addr, ip_addr_bytes(&prefix.addr));
    return keystore_allow_add(d->ks, msg->allow.id, (enum ipc_allow_end)msg->allow.end, &prefix);
}

static int on_allow_clear(struct dispatch *d, const union ipc_msg *msg)
{
    return keystore_allow_clear(d->ks, msg->allow_clear.id,
                                (enum ipc_allow_end)msg->allow_clear.end);
}

static int on_peer_drop(struct dispatch *d, const union ipc_msg *msg)
{
    /* It may have gone by itself, with its user: that is no violation. */
    (void)keystore_peer_remove(d->ks, msg->peer_drop.peer);
    return 0;
}

/* ---- responder ----------------------------------------------------------------------------- */

static int send_response(struct dispatch *d, uint32_t ref, uint32_t peer, uint32_t status,
                         const uint8_t *answer)
{
    union ipc_msg out;

    ipc_fill(&out, IPC_HS_RESPONSE);
    out.hs_response.ref = ref;
    out.hs_response.peer = peer;
    out.hs_response.status = status;
    memcpy(out.hs_response.msg, answer, WIRE_CONNECT_RESP_LEN);
    return ipc_send(d->control, &out, NULL, 0);
}

static int send_dropped(struct dispatch *d, uint32_t ref, enum hs_drop reason)
{
    union ipc_msg out;

    ipc_fill(&out, IPC_HS_DROPPED);
    out.hs_dropped.ref = ref;
    out.hs_dropped.reason = reason;
    return ipc_send(d->control, &out, NULL, 0);
}

static int send_auth(struct dispatch *d, uint32_t ref, const struct hs_auth *auth)
{
    struct dispatch_pending *p = &d->pending[auth->handle % DISPATCH_HANDLES];
    union ipc_msg out;

    p->auth = *auth;
    p->ref = ref;
    ipc_fill(&out, IPC_HS_AUTH);
    out.hs_auth.ref = ref;
    out.hs_auth.handle = auth->handle;
    out.hs_auth.user_id = auth->user_id;
    out.hs_auth.mtu = auth->mtu;
    memcpy(out.hs_auth.device_id, auth->device_id, WIRE_DEVICE_ID_LEN);
    memcpy(out.hs_auth.want_ip4, auth->want_ip4, sizeof(out.hs_auth.want_ip4));
    return ipc_send(d->control, &out, NULL, 0);
}

static int on_hs_request(struct dispatch *d, const union ipc_msg *msg)
{
    struct hs_verdict_out verdict;
    struct clock now;
    int rc = 0;

    clock_read(&now);
    memset(&verdict, 0, sizeof(verdict));
    hs_responder_request(d->responder, msg->hs_request.msg, msg->hs_request.source,
                         msg->hs_request.proven != 0, &now, &verdict);
    switch (verdict.verdict) {
    case HS_VERDICT_DROP:
        rc = send_dropped(d, msg->hs_request.ref, verdict.drop);
        break;
    case HS_VERDICT_ANSWER:
        rc = send_response(d, msg->hs_request.ref, 0, WIRE_STATUS_DENIED, verdict.answer);
        break;
    case HS_VERDICT_AUTH:
        rc = send_auth(d, msg->hs_request.ref, &verdict.auth);
        break;
    }
    sodium_memzero(&verdict, sizeof(verdict));
    return rc;
}

/*
 * An accepted login fills only `next`.  One that proved itself by a challenge does not displace a
 * `next` younger than 5 s unless its hs_time is higher: else a recorded message, replayed with a
 * fresh challenge, could keep pushing out the honest one.
 */
static bool next_is_kept(struct dispatch *d, uint32_t peer_slot, const struct hs_auth *auth,
                         const struct clock *now)
{
    const struct session *next = keystore_peer_next(d->ks, peer_slot);

    return next && auth->by_challenge && now->mono_ms - next->created_ms < KEYSTORE_NEXT_GRACE_MS &&
           auth->hs_time <= next->hs_time;
}

/* The peer of this login, made if need be.  Return: its slot, 0 when there is no room. */
static uint32_t login_peer(struct dispatch *d, const struct hs_auth *auth)
{
    uint32_t slot = keystore_peer_find(d->ks, auth->user_id, auth->device_id);

    return slot ? slot : keystore_peer_add(d->ks, auth->user_id, auth->device_id);
}

static int on_hs_grant(struct dispatch *d, const union ipc_msg *msg)
{
    const struct ipc_hs_grant *in = &msg->hs_grant;
    struct dispatch_pending *p = &d->pending[in->handle % DISPATCH_HANDLES];
    uint8_t answer[WIRE_CONNECT_RESP_LEN];
    struct session *s = NULL;
    struct hs_grant grant;
    struct hs_keys keys;
    struct clock now;
    uint32_t slot = 0, status = in->status;
    bool kept = false;
    int rc;

    clock_read(&now);
    /* Its place was given to a later login: the responder tells a late grant from a forged one. */
    if (p->auth.handle != in->handle)
        return hs_responder_grant(d->responder, in->handle, WIRE_STATUS_POOL_FULL, 0, NULL, &now,
                                  answer, &keys) == -ETIMEDOUT
                   ? 0
                   : -EPROTO;
    grant_from_lease(&grant, &in->lease);
    if (status == WIRE_STATUS_OK) {
        slot = login_peer(d, &p->auth);
        kept = slot && next_is_kept(d, slot, &p->auth, &now);
        if (slot && !kept)
            s = keystore_session_new(d->ks, slot);
        /* No room for one more session: as if the pool were empty. */
        if (!s)
            status = WIRE_STATUS_POOL_FULL;
    }
    rc = hs_responder_grant(d->responder, in->handle, status, s ? s->index : 0, &grant, &now,
                            answer, &keys);
    if (rc < 0) {
        keystore_session_discard(d->ks, s);
        sodium_memzero(&keys, sizeof(keys));
        return rc == -ETIMEDOUT ? send_dropped(d, p->ref, HS_DROP_EXPIRED) : -EPROTO;
    }
    if (s) {
        uint16_t mtu = p->auth.mtu < grant.mtu ? p->auth.mtu : grant.mtu;

        session_fill(s, &now, &grant, p->auth.client_index, mtu, p->auth.timestamp_ms);
        s->hs_time = p->auth.hs_time;
        s->keys = keys;
        keystore_session_publish(d->ks, s, SESSION_NEXT);
    }
    sodium_memzero(&keys, sizeof(keys));
    if (kept)
        return send_dropped(d, p->ref, HS_DROP_REPLAY);
    return send_response(d, p->ref, s ? keystore_peer_handle(d->ks, slot) : 0, status, answer);
}

/* ---- initiator ------------------------------------------------------------------------------ */

/* A tunnel's peer: its slot is the tunnel's number plus one, so that its lane is known ahead. */
static uint32_t tunnel_peer(struct dispatch *d, uint32_t tunnel)
{
    static const uint8_t device_id[WIRE_DEVICE_ID_LEN];
    uint32_t slot = keystore_peer_find(d->ks, tunnel, device_id);

    return slot ? slot : keystore_peer_add(d->ks, tunnel, device_id);
}

static int on_connect(struct dispatch *d, const union ipc_msg *msg)
{
    const struct ipc_connect *in = &msg->connect;
    struct hs_request_in req = {.sequence = in->sequence, .mtu = in->mtu};
    struct dispatch_tunnel *t;
    union ipc_msg out;
    struct clock now;
    uint32_t slot;

    if (in->tunnel >= d->n_tunnels || in->mtu < WIRE_MTU_MIN || in->mtu > WIRE_MTU_MAX)
        return -EPROTO;
    t = &d->tunnels[in->tunnel];
    slot = tunnel_peer(d, in->tunnel);
    keystore_session_discard(d->ks, t->pending);
    t->pending = slot ? keystore_session_new(d->ks, slot) : NULL;
    /* What was dropped a moment ago may still wait for its wipe: the caller tries again. */
    if (!t->pending)
        return send_dropped(d, in->tunnel, HS_DROP_BUSY);
    t->mtu = in->mtu;

    clock_read(&now);
    req.client_index = t->pending->index;
    memcpy(req.device_id, in->device_id, sizeof(req.device_id));
    memcpy(req.want_ip4, in->want_ip4, sizeof(req.want_ip4));
    ipc_fill(&out, IPC_HS_CONNECT);
    out.hs_connect.tunnel = in->tunnel;
    hs_initiator_request(t->initiator, &req, &now, out.hs_connect.msg);
    return ipc_send(d->control, &out, NULL, 0);
}

static int on_hs_answer(struct dispatch *d, const union ipc_msg *msg)
{
    const struct ipc_hs_answer *in = &msg->hs_answer;
    struct dispatch_tunnel *t;
    struct hs_answer answer;
    union ipc_msg out;
    struct hs_keys keys;
    struct clock now;
    int rc;

    if (in->tunnel >= d->n_tunnels)
        return -EPROTO;
    t = &d->tunnels[in->tunnel];
    clock_read(&now);
    rc = hs_initiator_answer(t->initiator, in->msg, &now, &answer, &keys);
    if (rc < 0 || !t->pending || answer.client_index != t->pending->index) {
        sodium_memzero(&keys, sizeof(keys));
        return send_dropped(d, in->tunnel, HS_DROP_CRYPTO);
    }
    ipc_fill(&out, IPC_HS_DONE);
    out.hs_done.tunnel = in->tunnel;
    out.hs_done.status = answer.status;
    if (answer.status == WIRE_STATUS_OK) {
        struct session *s = t->pending;
        uint16_t mtu = answer.grant.mtu < t->mtu ? answer.grant.mtu : t->mtu;

        t->pending = NULL;
        answer.grant.mtu = mtu;
        session_fill(s, &now, &answer.grant, answer.server_index, mtu, answer.timestamp_ms);
        s->keys = keys;
        out.hs_done.peer = keystore_peer_handle(d->ks, s->peer);
        out.hs_done.index = answer.server_index;
        lease_from_grant(&out.hs_done.lease, &answer.grant);
        keystore_session_publish(d->ks, s, SESSION_CURRENT);
    }
    sodium_memzero(&keys, sizeof(keys));
    return ipc_send(d->control, &out, NULL, 0);
}

/* ---- the table ----------------------------------------------------------------------------- */

static int (*const handlers[])(struct dispatch *d, const union ipc_msg *msg) = {
    [IPC_USER_ADD] = on_user_add,     [IPC_USER_DEL] = on_user_del,
    [IPC_ALLOW] = on_allow,           [IPC_ALLOW_CLEAR] = on_allow_clear,
    [IPC_HS_REQUEST] = on_hs_request, [IPC_HS_GRANT] = on_hs_grant,
    [IPC_CONNECT] = on_connect,       [IPC_HS_ANSWER] = on_hs_answer,
    [IPC_PEER_DROP] = on_peer_drop,
};
static_assert(ARRAY_SIZE(handlers) == IPC_PEER_DROP + 1, "a new request needs its handler here");

int dispatch_message(struct dispatch *d, const union ipc_msg *msg, size_t len)
{
    enum ipc_state state = d->responder ? IPC_STATE_RESPONDER : IPC_STATE_INITIATOR;
    int rc = ipc_check(msg, len);

    if (rc < 0)
        return rc;
    if (ipc_type_state(msg->hdr.type) != state && ipc_type_state(msg->hdr.type) != IPC_STATE_SEALED)
        return -EPERM;
    if (msg->hdr.type >= ARRAY_SIZE(handlers) || !handlers[msg->hdr.type])
        return -EPROTO;
    return handlers[msg->hdr.type](d, msg);
}

void dispatch_tick(struct dispatch *d)
{
    struct clock now;

    clock_read(&now);
    keystore_reap(d->ks, &now, d->responder != NULL);
    if (d->responder)
        hs_responder_tick(d->responder, &now);
}

/* The enclave's main thread after the seal: messages of the caller, one table, one state each. */
#ifndef ENCLAVE_DISPATCH_H
#define ENCLAVE_DISPATCH_H

#include "common/ipc.h"
#include "enclave/handshake.h"
#include "enclave/keystore.h"

#define DISPATCH_HANDLES 64 /* logins that may wait for their grant at once */

/* A login between HS_AUTH and HS_GRANT; the responder holds its keys, this holds its context. */
struct dispatch_pending {
    struct hs_auth auth;
    uint32_t ref;
};

struct dispatch_tunnel {
    struct hs_initiator *initiator;
    struct session *pending; /* reserved with the request, published with the answer */
    uint16_t mtu;
};

struct dispatch {
    int control;
    struct keystore *ks;
    struct hs_responder *responder; /* NULL at the initiator */
    struct dispatch_pending pending[DISPATCH_HANDLES];
    struct dispatch_tunnel *tunnels;
    uint32_t n_tunnels;
};

/**
 * dispatch_message() - check one message against the table and act on it
 * @len: bytes received
 *
 * Return: 0; a negative errno when the caller broke the contract: wipe and exit.
 */
int dispatch_message(struct dispatch *d, const union ipc_msg *msg, size_t len);

/** dispatch_tick() - once a second at least: expiry and wipes. */
void dispatch_tick(struct dispatch *d);

#endif

/*
 * One transport packet: seal it, or open it and decide whether it may be believed.  All buffers
 * are the worker's private memory; nothing here touches a ring.
 */
#ifndef ENCLAVE_TRANSPORT_H
#define ENCLAVE_TRANSPORT_H

#include "common/clock.h"
#include "common/ring.h"
#include "enclave/aead.h"
#include "enclave/keystore.h"

enum transport_role { TRANSPORT_RESPONDER, TRANSPORT_INITIATOR };

struct transport {
    struct keystore *ks;
    struct aead *aead;
    enum transport_role role;
    uint32_t lane;
};

struct transport_opened {
    uint8_t type;    /* enum wire_type */
    uint16_t length; /* of the plaintext, padding trimmed */
    uint32_t peer;   /* handle */
    uint32_t flags;  /* RING_FLAG_… */
};

/**
 * transport_open() - verify and decrypt one datagram
 * @datagram: private copy, @len bytes, any content
 * @plain: where the plaintext goes, WIRE_DATAGRAM_MAX bytes; meaningless unless OK
 * @out: written unless the index is unknown
 */
enum ring_status transport_open(struct transport *t, const struct clock *now,
                                const uint8_t *datagram, size_t len, uint8_t *plain,
                                struct transport_opened *out);

/**
 * transport_seal() - encrypt one message for a peer
 * @type: WIRE_DATA, WIRE_PING, WIRE_PONG or WIRE_DISCONNECT
 * @datagram: WIRE_DATAGRAM_MAX bytes; the plaintext of *@len bytes stands at WIRE_OVERHEAD and is
 *            encrypted in place; *@len becomes the datagram's length
 */
enum ring_status transport_seal(struct transport *t, const struct clock *now, uint32_t peer,
                                uint8_t type, uint8_t *datagram, size_t *len);

#endif

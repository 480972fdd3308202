/*
 * The enclave's control socket: a series of messages of the input's choice, type by type as they
 * are or with true lengths, into the dispatcher of either role.  It may refuse (then the process
 * would end) but must stay within its memory.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sodium.h>

#include "common/ipc.h"
#include "enclave/dispatch.h"

#define PEERS 3
#define USERS 3

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int control[2];
static void *store_mem, *hs_mem;
static struct dispatch_tunnel tunnel;

static void *block(size_t size)
{
    void *mem = aligned_alloc(64, (size + 63) & ~(size_t)63);

    if (!mem)
        abort();
    return mem;
}

static void start(struct dispatch *d, int initiator)
{
    static const uint8_t private_key[WIRE_KEY_LEN] = {1}, other_key[WIRE_KEY_LEN] = {0, 2};
    uint8_t public_key[WIRE_KEY_LEN];

    if (!store_mem) {
        if (sodium_init() < 0 || socketpair(AF_UNIX, SOCK_SEQPACKET, 0, control) < 0)
            abort();
        store_mem = block(keystore_size(PEERS, USERS));
        hs_mem = block(hs_responder_size(USERS) + hs_initiator_size());
    }
    memset(store_mem, 0, keystore_size(PEERS, USERS));
    memset(d, 0, sizeof(*d));
    d->control = control[0];
    d->ks = keystore_new(store_mem, 2, PEERS, USERS);
    if (!initiator) {
        d->responder = hs_responder_new(hs_mem, private_key, USERS);
        return;
    }
    crypto_scalarmult_base(public_key, other_key);
    tunnel = (struct dispatch_tunnel){.initiator =
                                          hs_initiator_new(hs_mem, private_key, "a", public_key)};
    d->tunnels = &tunnel;
    d->n_tunnels = 1;
}

/* Answers must be messages of the table, from the enclave's side of it. */
static void read_answers(void)
{
    union ipc_msg msg;
    ssize_t n;

    while ((n = recv(control[1], &msg, sizeof(msg), MSG_DONTWAIT | MSG_TRUNC)) > 0)
        if (ipc_check(&msg, (size_t)n) < 0 || ipc_type_state(msg.hdr.type) != IPC_STATE_NEVER)
            abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct dispatch d;
    int steps;

    if (size < 1)
        return 0;
    start(&d, data[0] & 1);
    data++;
    size--;
    for (steps = 0; steps < 64 && size >= 2; steps++) {
        union ipc_msg msg;
        size_t len, given;

        memset(&msg, 0, sizeof(msg));
        if (data[0] & 0x80) {
            /* Whatever it is, of whatever length. */
            len = given = data[1] < size - 2 ? data[1] : size - 2;
            memcpy(&msg, data + 2, given);
        } else {
            /* A header that is right and a body that need not be. */
            ipc_fill(&msg, (enum ipc_type)(1 + data[0] % (IPC_NUM_TYPES - 1)));
            len = msg.hdr.length;
            given = data[1] < size - 2 ? data[1] : size - 2;
            if (given > len - sizeof(msg.hdr))
                given = len - sizeof(msg.hdr);
            memcpy((uint8_t *)&msg + sizeof(msg.hdr), data + 2, given);
        }
        data += 2 + given;
        size -= 2 + given;
        if (dispatch_message(&d, &msg, len) < 0)
            break;
        read_answers();
        if (steps % 8 == 7)
            dispatch_tick(&d);
    }
    read_answers();
    return 0;
}

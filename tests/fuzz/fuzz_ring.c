/*
 * A worker before shared memory that the input fills: indexes, entries, tables and packets.  It may
 * report a violation but must stay within its memory, and it never writes outside the entries it
 * was given.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sodium.h>

#include "common/bell.h"
#include "enclave/worker.h"

#define STEP 16

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct ring_area *area;
static struct worker worker;
static struct keystore *ks;
static uint32_t handle, index_ours;
static int bell;

static void *block(size_t size)
{
    void *mem = aligned_alloc(4096, (size + 4095) & ~(size_t)4095);

    if (!mem)
        abort();
    memset(mem, 0, size);
    return mem;
}

static void set_up(void)
{
    static const uint8_t device[WIRE_DEVICE_ID_LEN];
    struct session *s;

    if (aead_init() < 0 || aead_choose(NULL) < 0 || (bell = bell_create()) < 0)
        abort();
    area = block(sizeof(*area));
    ks = keystore_new(block(keystore_size(2, 2)), 1, 2, 2);
    handle = keystore_peer_handle(ks, keystore_peer_add(ks, 1, device));
    s = keystore_session_new(ks, IPC_PEER_SLOT(handle));
    s->mtu = 1400;
    clock_init(0);
    s->created_ms = clock_mono_ms();
    index_ours = s->index;
    keystore_session_publish(ks, s, SESSION_CURRENT);
}

/* One change of the caller's side, somewhere. */
static void change(const uint8_t *step)
{
    uint32_t value, at;

    memcpy(&value, step + 4, sizeof(value));
    memcpy(&at, step + 8, sizeof(at));
    switch (step[0] % 8) {
    case 0:
        atomic_store(&area->submit.tail, value);
        break;
    case 1:
        atomic_store(&area->submit.tail, atomic_load(&area->submit.tail) + 1 + step[1] % 4);
        break;
    case 2:
        atomic_store(&area->complete.head, value);
        break;
    case 3:
        atomic_store(&area->complete.head, atomic_load(&area->complete.tail));
        break;
    case 4: /* an entry that is right */
        atomic_store(&area->submit.entries[at % RING_ENTRIES],
                     (1 + value % 8) << 24 | (1 + (value >> 8) % 2) << 16 | step[1] % RING_SLOTS);
        break;
    case 5:
        atomic_store(&area->submit.entries[at % RING_ENTRIES], value);
        break;
    case 6:
        memcpy(&area->slots[step[1] % RING_SLOTS].packets[step[2] % 8], step, STEP);
        break;
    case 7: { /* a packet that is nearly right */
        struct ring_slot *slot = &area->slots[step[1] % RING_SLOTS];
        uint8_t *datagram = slot->data;

        slot->packets[step[2] % 8] = (struct ring_packet){.offset = RING_TABLE_SIZE + step[3] % 64,
                                                          .length = (uint16_t)value,
                                                          .type = step[8] % 8,
                                                          .peer = handle};
        wire_header_put(datagram, (enum wire_type)(step[8] % 8), (uint16_t)value, 0, 0);
        be32_put(datagram + WIRE_HEADER_LEN, index_ours);
        break;
    }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!area)
        set_up();
    memset(area, 0, offsetof(struct ring_area, slots));
    if (!worker.transport.aead) {
        if (worker_init(&worker, ks, TRANSPORT_RESPONDER, 0, area, bell, bell) < 0)
            abort();
    }
    ring_end_init(&worker.submit, &area->submit);
    ring_end_init(&worker.complete, &area->complete);
    atomic_store(&area->complete.sleeping, 1);
    for (; size >= STEP; data += STEP, size -= STEP) {
        change(data);
        if (data[STEP - 1] & 1 && worker_serve(&worker) < 0)
            break;
    }
    (void)worker_serve(&worker);
    return 0;
}

/*
 * The ring service.
 *
 * Theory of operation
 * -------------------
 * The caller can write to the ring and to the slots at any moment.  So the table of a batch is
 * copied once and checked in the copy; packet bytes are copied into private memory before the AEAD
 * looks at them (43 ns for 1400 bytes) and results are copied back.  Nothing is fetched twice.
 *
 * A worker that has run dry sleeps at once.  To look again for a while first costs a lone packet a
 * tenth of its round trip, where lane and worker share a core, and spares a stream nothing.
 *
 * A sleeping lane is not woken for each of many batches: it is told when nothing is left to do, and
 * after so many that its other work waits no longer than a time slice would make it wait.  A batch
 * alone is told of at once.
 */
#include "enclave/worker.h"

#include <errno.h>
#include <sodium.h>
#include <string.h>

#include "common/bell.h"
#include "common/clock.h"
#include "enclave/end.h"

/* Batches that a sleeping lane is told of together: 0.2 ms of work on a desktop, 2 on a Pi. */
#define TOGETHER 4
/* How long those at work may take to notice that the process ends; a batch takes under 1 ms. */
#define HALT_MS  100

static atomic_bool halting;

int worker_init(struct worker *w, struct keystore *ks, enum transport_role role, uint32_t lane,
                struct ring_area *area, int bell, int lane_bell)
{
    w->area = area;
    w->bell = bell;
    w->lane_bell = lane_bell;
    atomic_init(&w->at_work, true);
    w->transport = (struct transport){.ks = ks, .aead = aead_new(), .role = role, .lane = lane};
    ring_end_init(&w->submit, &area->submit);
    ring_end_init(&w->complete, &area->complete);
    return w->transport.aead ? 0 : -ENOMEM;
}

/* Does a message of @length at @offset lie in the slot's data, with room for a whole datagram? */
static bool packet_in_slot(const struct ring_packet *p, size_t extent)
{
    return p->offset >= RING_TABLE_SIZE && p->offset <= RING_SLOT_SIZE &&
           extent <= RING_SLOT_SIZE - p->offset;
}

static void open_packet(struct worker *w, const struct clock *now, uint8_t *slot,
                        struct ring_packet *p)
{
    struct transport_opened opened = {0};

    if (p->length > WIRE_DATAGRAM_MAX || !packet_in_slot(p, p->length)) {
        p->status = RING_STATUS_MALFORMED;
        return;
    }
    memcpy(w->datagram, slot + p->offset, p->length);
    p->status =
        (uint8_t)transport_open(&w->transport, now, w->datagram, p->length, w->plain, &opened);
    p->peer = opened.peer;
    p->flags = opened.flags;
    p->type = opened.type;
    if (p->status != RING_STATUS_OK)
        return;
    memcpy(slot + p->offset + WIRE_OVERHEAD, w->plain, opened.length);
    p->length = opened.length;
}

static void seal_packet(struct worker *w, const struct clock *now, uint8_t *slot,
                        struct ring_packet *p)
{
    size_t len = p->length;

    if (len > WIRE_MTU_MAX || !packet_in_slot(p, WIRE_OVERHEAD + wire_padded(len) + WIRE_PAD)) {
        p->status = RING_STATUS_MALFORMED;
        return;
    }
    memcpy(w->datagram + WIRE_OVERHEAD, slot + p->offset + WIRE_OVERHEAD, len);
    p->status = (uint8_t)transport_seal(&w->transport, now, p->peer, p->type, w->datagram, &len);
    if (p->status != RING_STATUS_OK)
        return;
    memcpy(slot + p->offset, w->datagram, len);
    p->length = (uint16_t)len;
}

static void serve_batch(struct worker *w, const struct ring_entry *entry)
{
    struct ring_slot *slot = &w->area->slots[entry->slot];
    struct clock now;
    unsigned int i;

    clock_read(&now);
    memcpy(w->packets, slot->packets, entry->count * sizeof(w->packets[0]));
    for (i = 0; i < entry->count; i++) {
        if (entry->op == RING_OPEN)
            open_packet(w, &now, (uint8_t *)slot, &w->packets[i]);
        else
            seal_packet(w, &now, (uint8_t *)slot, &w->packets[i]);
    }
    memcpy(slot->packets, w->packets, entry->count * sizeof(w->packets[0]));
}

/*
 * The process is about to end, and another thread is wiping: @w is looked at no more.  The order is
 * Dekker's: here at_work is set and then halting looked at, in workers_halt() the other way round.
 */
static void halt(struct worker *w, int bell)
{
    sodium_stackzero(AEAD_STACK); /* nobody else can */
    atomic_store(&w->at_work, false);
    for (;;)
        (void)bell_wait(bell);
}

/*
 * The lane sees what is done by itself, unless it sleeps.  A caller may have filled its bell, so
 * that this blocks: meanwhile the worker is not at work.
 */
static void tell_lane(struct worker *w)
{
    const int bell = w->bell, lane_bell = w->lane_bell;

    if (!ring_wants_bell(&w->complete))
        return;
    atomic_store(&w->at_work, false);
    bell_ring(lane_bell);
    atomic_store(&w->at_work, true);
    if (atomic_load(&halting))
        halt(w, bell);
}

int worker_serve(struct worker *w)
{
    struct epoch *epoch = keystore_epoch(w->transport.ks);
    struct ring_entry entry;
    unsigned int untold = 0;
    int batches = 0;
    int rc;

    while ((rc = ring_pop(&w->submit, &entry)) > 0) {
        /* A caller with much to do is no reason to go on. */
        if (atomic_load_explicit(&halting, memory_order_relaxed))
            halt(w, w->bell);
        epoch_enter(epoch, w->transport.lane);
        serve_batch(w, &entry);
        epoch_leave(epoch, w->transport.lane);
        rc = ring_push(&w->complete, entry);
        if (rc < 0)
            return rc;
        batches++;
        if (++untold == TOGETHER) {
            tell_lane(w);
            untold = 0;
        }
    }
    if (untold > 0)
        tell_lane(w);
    return rc < 0 ? rc : batches;
}

void workers_halt(struct worker *workers, uint32_t n)
{
    struct clock begun, now;
    uint32_t i;

    atomic_store(&halting, true);
    clock_read(&begun);
    now = begun;
    for (i = 0; i < n; i++)
        while (atomic_load(&workers[i].at_work) && now.mono_ms - begun.mono_ms < HALT_MS) {
            ring_pause();
            clock_read(&now);
        }
}

/* @w is not looked at while asleep: it may be wiped meanwhile. */
static void worker_sleep(struct worker *w)
{
    const int bell = w->bell;

    if (!ring_sleep(&w->submit)) {
        ring_awake(&w->submit);
        return;
    }
    atomic_store(&w->at_work, false);
    if (bell_wait(bell) < 0)
        enclave_end("the caller's bell is none");
    atomic_store(&w->at_work, true);
    if (atomic_load(&halting))
        halt(w, bell);
    ring_awake(&w->submit);
}

void *worker_main(void *worker)
{
    struct worker *w = worker;

    /* A new thread still makes system calls of its own (rseq, robust list): the seal must wait. */
    pthread_barrier_wait(w->started);

    for (;;) {
        if (atomic_load(&halting))
            halt(w, w->bell);
        if (worker_serve(w) < 0) {
            atomic_store(&w->at_work, false);
            enclave_end("the ring was violated");
        }
        /* What was decrypted last, and with which key, does not wait for the next packet. */
        sodium_memzero(w->datagram, sizeof(w->datagram));
        sodium_memzero(w->plain, sizeof(w->plain));
        aead_forget(w->transport.aead);
        sodium_stackzero(AEAD_STACK);
        worker_sleep(w);
    }
    return NULL;
}

/*
 * The lane's end of the ring: an enclave that has gone mad fills in results, and the lane delivers
 * them.  It may give up on the ring but must stay within its memory and its slots.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "common/bell.h"
#include "daemon/datapath/lane.c"

#define STEP 16

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct datapath dp;
static struct ring_area *area;
static int wire[2], device[2], bell;

/* Of two peers, the first has a device. */
#define PEER(n) (1U << 16 | (1 + (n) % 3))

static void set_up(void)
{
    struct path to = {.remote = {.addr = {.family = 4, .bytes = {192, 0, 2, 1}}, .port = 9}};
    struct ip_addr inner = {.family = 4, .bytes = {10, 8, 0, 2}};
    struct err err;

    area = aligned_alloc(4096, (sizeof(*area) + 4095) & ~(size_t)4095);
    if (!area || socketpair(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0, wire) < 0 ||
        socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0, device) < 0 ||
        (bell = bell_create()) < 0 || datapath_init(&dp, DP_SERVER, 1, 16, 4, &err) < 0 ||
        datapath_add_port(&dp, true) != 0)
        abort();
    dp.sockets[0][0] = wire[0];
    dp.n_sockets = 1;
    dp.ports[0].queue[0] = device[0];
    clock_init(0);
    peers_add(&dp.peers, PEER(0), 0, 1400, &to, 1);
    peers_add(&dp.peers, PEER(1), 7, 1280, &to, 1); /* a port that there is not */
    if (lookup_add(dp.lookup, &inner, PEER(0)) < 0)
        abort();
}

static void empty(int fd)
{
    static uint8_t buf[1 << 16];

    while (recv(fd, buf, sizeof(buf), MSG_DONTWAIT) > 0)
        ;
}

static void restart(struct lane *l)
{
    unsigned int i;

    memset(area, 0, offsetof(struct ring_area, slots));
    l->dp = &dp;
    l->area = area;
    l->bell = l->worker_bell = bell;
    l->broken = false;
    l->n_free = l->under_way = 0;
    for (i = 0; i < RING_SLOTS; i++)
        lane_slot_give(l, RING_SLOTS - 1 - i);
    l->small = (struct lane_fill){.slot = -1, .urgent = true};
    ring_end_init(&l->submit, &area->submit);
    ring_end_init(&l->complete, &area->complete);
    clock_read(&l->now);
}

/* The lane gives the worker something. */
static void work(struct lane *l, const uint8_t *step)
{
    struct lane_request req = {.kind = LANE_REQUEST_DATAGRAM, .length = 60U + step[1]};

    if (step[2] & 1) {
        lane_seal_small(l, PEER(step[3]), WIRE_PING, step, STEP);
        lane_fill_submit(l, &l->small, RING_SEAL);
    } else {
        req.from.remote.addr.family = step[3] & 1 ? 4 : 6;
        lane_take_datagram(l, &req);
    }
    /* An honest pair never fills the ring: what was submitted has been taken. */
    atomic_store(&area->submit.head, atomic_load(&area->submit.tail));
}

/* One change of the enclave's side. */
static void change(const uint8_t *step)
{
    struct ring_slot *slot = &area->slots[step[1] % RING_SLOTS];
    uint32_t value, tail = atomic_load(&area->complete.tail);

    memcpy(&value, step + 4, sizeof(value));
    switch (step[0] % 8) {
    case 0:
        atomic_store(&area->complete.tail, value);
        break;
    case 1:
        atomic_store(&area->submit.head, value);
        break;
    case 2: /* whatever it is */
        atomic_store(&area->complete.entries[tail % RING_ENTRIES], value);
        atomic_store(&area->complete.tail, tail + 1);
        break;
    case 3: /* an entry that is right; perhaps with more packets than it was given */
        atomic_store(&area->complete.entries[tail % RING_ENTRIES],
                     (1 + value % RING_PACKETS) << 24 | (1 + (value >> 8) % 2) << 16 |
                         (RING_SLOTS - 1 - step[1] % 4));
        atomic_store(&area->complete.tail, tail + 1);
        break;
    case 4:
        memcpy(&slot->packets[step[2] % 8], step, STEP);
        break;
    default: /* a packet that is nearly right */
        slot = &area->slots[RING_SLOTS - 1 - step[1] % 4];
        slot->packets[step[2] % 8] = (struct ring_packet){
            .offset = step[3] & 1 ? value : RING_TABLE_SIZE + 2048U * (step[3] % 30),
            .length = (uint16_t)(step[0] & 8 ? value : value % 1500),
            .type = step[8] % 8,
            .status = step[8] & 8 ? step[9] : RING_STATUS_OK,
            .peer = PEER(step[10]),
            .flags = step[11],
        };
        /* An inner packet from here to the user, or elsewhere. */
        if (step[3] % 30 < 8) {
            uint8_t *ip =
                (uint8_t *)slot + RING_TABLE_SIZE + 2048U * (step[3] % 30) + WIRE_OVERHEAD;

            memcpy(ip,
                   (const uint8_t[]){0x45, 0, step[6], step[7], 0, 0,        0,  0, 64, step[12],
                                     0,    0, 10,      8,       0, step[13], 10, 8, 0,  step[14]},
                   20);
        }
        break;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct lane *l;

    if (!area)
        set_up();
    l = &dp.lanes[0];
    restart(l);
    for (; size >= STEP && !l->broken; data += STEP, size -= STEP) {
        if (data[STEP - 1] & 2)
            work(l, data);
        else
            change(data);
        if (data[STEP - 1] & 1)
            (void)complete_batches(l);
        if (l->n_free > RING_SLOTS ||
            l->n_free + (uint32_t)__builtin_popcount(l->under_way) > RING_SLOTS)
            abort();
    }
    (void)complete_batches(l);
    empty(wire[1]);
    empty(device[1]);
    empty(dp.event_fds[0]);
    empty(dp.stranger_fds[0]);
    empty(dp.inbox_fds[0][0]);
    return 0;
}

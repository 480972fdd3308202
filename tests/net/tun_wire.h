/*
 * A wire between two TUN devices: what the lanes do with packets, cut by gso.c and merged by
 * coalesce.c, and between the two a stretch that loses, doubles, swaps and damages packets.
 *
 *      tun[0] ═ cut ─ wire ─ merge ═ tun[1]
 */
#ifndef TESTS_NET_TUN_WIRE_H
#define TESTS_NET_TUN_WIRE_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/datapath/coalesce.h"
#include "daemon/datapath/gso.h"

#define TUN_WIRE_ROOM     2048
#define TUN_WIRE_HEADROOM 64

struct tun_wire {
    int tun[2]; /* with virtio headers, not blocking */
    bool uso;   /* the devices take super-packets of UDP as well */
    bool faults;
    atomic_bool stop;
    pthread_t thread;
    uint32_t random;
    uint8_t frame[GSO_HEADER_LEN + 65535];
    uint8_t cells[COALESCE_PACKETS][TUN_WIRE_HEADROOM + TUN_WIRE_ROOM];
    size_t lens[COALESCE_PACKETS];
    unsigned int n;
    struct coalesce merge;
    /* What happened. */
    unsigned long supers, pieces, frames, faulty, refused;
};

/** tun_wire_start() - carry both ways, in a thread; @faults: some packets meet with an accident */
void tun_wire_start(struct tun_wire *w, bool faults);
/** tun_wire_stop() - the end of it; no frame may have been refused by a device */
void tun_wire_stop(struct tun_wire *w);

#endif

/* A wire between two TUN devices. */
#include "tests/net/tun_wire.h"

#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>
#include <cmocka.h>

static uint32_t chance(struct tun_wire *w, uint32_t n)
{
    w->random ^= w->random << 13;
    w->random ^= w->random >> 17;
    w->random ^= w->random << 5;
    return w->random % n;
}

/* The last packet meets with an accident. */
static void accident(struct tun_wire *w)
{
    uint8_t *last = w->cells[w->n - 1] + TUN_WIRE_HEADROOM;
    size_t len = w->lens[w->n - 1];

    switch (chance(w, 150)) {
    case 0: /* lost */
        w->n--;
        break;
    case 1: /* doubled */
        if (w->n < COALESCE_PACKETS) {
            memcpy(w->cells[w->n] + TUN_WIRE_HEADROOM, last, len);
            w->lens[w->n++] = len;
        }
        break;
    case 2: /* swapped */
        if (w->n > 1) {
            uint8_t other[TUN_WIRE_ROOM];

            memcpy(other, last, len);
            memcpy(last, w->cells[w->n - 2] + TUN_WIRE_HEADROOM, w->lens[w->n - 2]);
            memcpy(w->cells[w->n - 2] + TUN_WIRE_HEADROOM, other, len);
            w->lens[w->n - 1] = w->lens[w->n - 2];
            w->lens[w->n - 2] = len;
        }
        break;
    case 3: /* damaged, in what TCP's checksum covers */
        if (len > 60)
            last[len - 1 - chance(w, 20)] ^= (uint8_t)(1 << chance(w, 8));
        break;
    default:
        return;
    }
    w->faulty++;
}

static void pass_on(struct tun_wire *w, int to)
{
    struct iovec iov[COALESCE_PACKETS];
    unsigned int i;

    coalesce_begin(&w->merge);
    for (i = 0; i < w->n; i++)
        coalesce_add(&w->merge, w->cells[i] + TUN_WIRE_HEADROOM, w->lens[i], 0,
                     COALESCE_TCP | (w->uso ? COALESCE_UDP : 0));
    for (i = 0; i < w->merge.n_groups; i++) {
        unsigned int n = coalesce_frame(&w->merge, i, iov);

        w->refused += writev(to, iov, (int)n) < 0;
        w->frames++;
    }
    w->n = 0;
}

static void carry(struct tun_wire *w, int from, int to)
{
    struct gso_split split;
    ssize_t len;

    while ((len = read(from, w->frame, sizeof(w->frame))) > 0) {
        assert_int_equal(gso_split_begin(&split, w->frame, (size_t)len), 0);
        w->supers += split.headers > 0;
        while (gso_split_more(&split)) {
            size_t size = gso_split_size(&split);

            assert_true(size <= 1400);
            if (w->n == COALESCE_PACKETS)
                pass_on(w, to);
            w->lens[w->n] = size;
            gso_split_next(&split, w->cells[w->n++] + TUN_WIRE_HEADROOM);
            w->pieces++;
            if (w->faults)
                accident(w);
        }
    }
    pass_on(w, to);
}

static void *wire_main(void *arg)
{
    struct tun_wire *w = arg;

    while (!atomic_load(&w->stop)) {
        struct pollfd p[2] = {{.fd = w->tun[0], .events = POLLIN},
                              {.fd = w->tun[1], .events = POLLIN}};

        if (poll(p, 2, 50) <= 0)
            continue;
        carry(w, w->tun[0], w->tun[1]);
        carry(w, w->tun[1], w->tun[0]);
    }
    return NULL;
}

void tun_wire_start(struct tun_wire *w, bool faults)
{
    w->faults = faults;
    w->random = 2463534242U;
    w->supers = w->pieces = w->frames = w->faulty = w->refused = 0;
    atomic_store(&w->stop, false);
    assert_int_equal(pthread_create(&w->thread, NULL, wire_main, w), 0);
}

void tun_wire_stop(struct tun_wire *w)
{
    atomic_store(&w->stop, true);
    pthread_join(w->thread, NULL);
    printf("# %lu super-packets, %lu packets, %lu frames, %lu accidents\n", w->supers, w->pieces,
           w->frames, w->faulty);
    assert_int_equal(w->refused, 0);
}

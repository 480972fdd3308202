/* A lane's loop, mostly with a worker that is slower than everything else. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <netinet/in.h>
#include <cmocka.h>

#include "common/bell.h"

/* The lane's own bells are ours: the worker may be there at once. */
static void lane_rings(int which);
#define bell_ring lane_rings
#include "daemon/datapath/lane.c"
#undef bell_ring

#define PEER   (1U << 16 | 1)
#define ROUNDS 12

static struct datapath dp;
static int device[2], bell, stranger;

/* The shortest packet for the user. */
static void put_packet(uint8_t packet[20])
{
    packet[0] = 0x45;
    be16_put(packet + 2, 20);
    memcpy(packet + 12, (const uint8_t[]){192, 0, 2, 1, 10, 8, 0, 2}, 8);
}

/* A datagram of a session, a packet for a user: more than a round can take. */
static void flood(void)
{
    uint8_t datagram[WIRE_TRANSPORT_MIN] = {0}, frame[GSO_HEADER_LEN + 20] = {0};

    wire_header_put(datagram, WIRE_DATA, sizeof(datagram), 0, 0);
    put_packet(frame + GSO_HEADER_LEN);
    for (int i = 0; i < 100; i++) {
        (void)send(stranger, datagram, sizeof(datagram), MSG_DONTWAIT);
        (void)send(device[1], frame, sizeof(frame), MSG_DONTWAIT);
    }
}

static int set_up(void **state)
{
    const struct ip_endpoint loopback = {.addr = {.family = 4, .bytes = {127, 0, 0, 1}}};
    const struct ip_addr inner = {.family = 4, .bytes = {10, 8, 0, 2}};
    const struct path to = {.remote = {.addr = {.family = 4, .bytes = {192, 0, 2, 1}}, .port = 9}};
    struct ip_endpoint here = loopback;
    struct sockaddr_storage ss;
    socklen_t len;
    struct err err;

    (void)state;
    clock_init(0);
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0, device), 0);
    bell = bell_create();
    assert_true(bell >= 0);
    assert_int_equal(datapath_init(&dp, DP_SERVER, 1, 16, 4, &err), 0);
    assert_int_equal(datapath_add_port(&dp, true), 0);
    dp.ports[0].queue[0] = device[0];
    dp.sockets[0][0] = udp_open(&loopback, false, 0, &err);
    assert_true(dp.sockets[0][0] >= 0);
    dp.n_sockets = 1;
    stranger = udp_open(&loopback, false, 0, &err);
    here.port = udp_bound_port(dp.sockets[0][0]);
    len = ip_endpoint_to_sockaddr(&here, &ss);
    assert_int_equal(connect(stranger, (struct sockaddr *)&ss, len), 0);
    peers_add(&dp.peers, PEER, 0, 1400, &to, 1);
    assert_int_equal(lookup_add(dp.lookup, &inner, PEER), 0);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    free(dp.lanes[0].area);
    close(dp.lanes[0].epoll);
    close(device[1]);
    close(bell);
    close(stranger);
    datapath_clear(&dp);
    return 0;
}

/* The worker has all slots but one for traffic, and gives that one back after each round. */
static struct lane *busy_lane(struct ring_end *worker)
{
    struct lane *l = &dp.lanes[0];

    l->dp = &dp;
    l->area = aligned_alloc(4096, (sizeof(*l->area) + 4095) & ~(size_t)4095);
    assert_non_null(l->area);
    memset(l->area, 0, offsetof(struct ring_area, slots));
    l->bell = l->worker_bell = bell;
    l->under_way = ~0U << (LANE_SPARE + 1);
    for (unsigned int i = 0; i <= LANE_SPARE; i++)
        lane_slot_give(l, i);
    ring_end_init(&l->submit, &l->area->submit);
    ring_end_init(&l->complete, &l->area->complete);
    ring_end_init(worker, &l->area->submit);
    l->small = (struct lane_fill){.slot = -1, .urgent = true};
    l->epoll = epoll_create1(EPOLL_CLOEXEC);
    assert_int_equal(watch_all(l), 0);
    clock_read(&l->now);
    return l;
}

/* Floods from both sides, and one slot for the two of them. */
static void test_turns(void **state)
{
    unsigned int served[RING_SEAL + 1] = {0};
    struct epoll_event events[32];
    struct ring_entry entry;
    struct ring_end worker;
    struct lane *l = busy_lane(&worker);

    (void)state;
    for (int i = 0; i < ROUNDS; i++) {
        flood();
        serve_sources(l, events, epoll_wait(l->epoll, events, 32, 1000));
        while (ring_pop(&worker, &entry) > 0) {
            served[entry.op]++;
            l->under_way &= ~(1U << entry.slot);
            lane_slot_give(l, entry.slot);
        }
    }
    assert_false(l->broken);
    assert_int_equal(l->n_free, LANE_SPARE + 1);
    assert_int_equal(served[RING_OPEN], ROUNDS / 2);
    assert_int_equal(served[RING_SEAL], ROUNDS / 2);
}

/* What stands behind a packet does not enter the tunnel: the other end would refuse it. */
static void test_trailing(void **state)
{
    uint8_t frame[GSO_HEADER_LEN + 20 + 17] = {[GSO_HEADER_LEN + 20] = 1};
    struct ring_entry entry;
    struct ring_end worker;
    struct lane *l = busy_lane(&worker);

    (void)state;
    put_packet(frame + GSO_HEADER_LEN);
    assert_int_equal(send(device[1], frame, sizeof(frame), 0), sizeof(frame));
    assert_int_equal(lane_read_tun(l, 0), 1);
    assert_int_equal(ring_pop(&worker, &entry), 1);
    assert_int_equal(entry.count, 1);
    assert_int_equal(lane_slot(l, entry.slot)->packets[0].length, 20);
}

/* A user may have agreed on less than the device carries: the sender is told. */
static void test_too_big(void **state)
{
    uint8_t frame[GSO_HEADER_LEN + 1450] = {0}, answer[GSO_HEADER_LEN + ICMP_ANSWER_MAX];
    uint8_t *packet = frame + GSO_HEADER_LEN;
    struct ring_end worker;
    struct lane *l = busy_lane(&worker);

    (void)state;
    put_packet(packet);
    be16_put(packet + 2, 1450);
    be16_put(packet + 6, 0x4000); /* not to be fragmented */
    assert_int_equal(send(device[1], frame, sizeof(frame), 0), sizeof(frame));
    assert_int_equal(lane_read_tun(l, 0), 1);
    assert_int_equal(l->n_free, LANE_SPARE + 1);
    assert_true(recv(device[1], answer, sizeof(answer), 0) > GSO_HEADER_LEN + 28);
    packet = answer + GSO_HEADER_LEN;
    assert_memory_equal(packet + 16, ((const uint8_t[]){192, 0, 2, 1}), 4);
    assert_int_equal(be16_get(packet + 20), 3 << 8 | 4); /* too big */
    assert_int_equal(be16_get(packet + 26), 1400);
}

/* Whoever asks during a flood is answered, and many take no more room than one. */
static void test_answer(void **state)
{
    const uint8_t pong[16] = {0};
    struct epoll_event events[32];
    struct ring_entry entry;
    struct ring_end worker;
    struct lane *l = busy_lane(&worker);

    (void)state;
    for (int i = 0; i < 2; i++) {
        flood();
        serve_sources(l, events, epoll_wait(l->epoll, events, 32, 1000));
    }
    assert_int_equal(l->n_free, LANE_SPARE);
    while (ring_pop(&worker, &entry) > 0)
        ;
    for (int i = 0; i < RING_PACKETS; i++)
        lane_seal_small(l, PEER, WIRE_PONG, pong, sizeof(pong));
    assert_int_equal(ring_pop(&worker, &entry), 0);
    lane_fill_submit(l, &l->small, RING_SEAL);
    assert_int_equal(atomic_load(&l->stats.drops[DP_DROP_QUEUE_FULL]), 0);
    assert_int_equal(l->n_free, LANE_SPARE - 1);
    assert_int_equal(ring_pop(&worker, &entry), 1);
    assert_int_equal(entry.op, RING_SEAL);
    assert_int_equal(entry.count, RING_PACKETS);
}

/* ---- the loop, as a thread ---------------------------------------------------------------------
 */

static struct ring_end worker_in, worker_out;
static _Atomic unsigned int sealed; /* packets that the quick worker was to seal */
static bool quick;

/* A worker so quick that it has done everything before the lane goes on. */
static void serve_at_once(void)
{
    struct ring_entry entry;

    while (ring_pop(&worker_in, &entry) > 0) {
        struct ring_packet *p = dp.lanes[0].area->slots[entry.slot].packets;

        if (entry.op == RING_OPEN) {
            *p = (struct ring_packet){.offset = p->offset, .peer = PEER, .status = RING_STATUS_OK};
            p->type = WIRE_PING;
            p->length = 16;
        } else {
            for (unsigned int i = 0; i < entry.count; i++)
                p[i].status = RING_STATUS_NO_SESSION;
            sealed += entry.count;
        }
        (void)ring_push(&worker_out, entry);
    }
    atomic_store(&dp.lanes[0].area->submit.sleeping, 1);
}

static void lane_rings(int which)
{
    if (quick)
        serve_at_once();
    else
        bell_ring(which);
}

static struct lane *idle_lane(void)
{
    struct lane *l = &dp.lanes[0];

    l->dp = &dp;
    l->area = aligned_alloc(4096, (sizeof(*l->area) + 4095) & ~(size_t)4095);
    assert_non_null(l->area);
    memset(l->area, 0, offsetof(struct ring_area, slots));
    l->bell = bell;
    l->worker_bell = bell_create();
    assert_true(l->worker_bell >= 0);
    ring_end_init(&worker_in, &l->area->submit);
    ring_end_init(&worker_out, &l->area->complete);
    ring_end_init(&l->submit, &l->area->submit); /* what a lane does itself unless it goes on */
    ring_end_init(&l->complete, &l->area->complete);
    atomic_store(&l->area->submit.sleeping, 1);
    assert_int_equal(pthread_create(&l->thread, NULL, lane_main, l), 0);
    l->started = dp.running = true;
    return l;
}

static uint64_t stop_lane(struct lane *l)
{
    uint64_t start = clock_mono_ms();

    datapath_stop(&dp, false);
    close(l->worker_bell);
    l->epoll = -1; /* closed by its thread */
    return clock_mono_ms() - start;
}

static void send_ping(void)
{
    uint8_t datagram[WIRE_TRANSPORT_MIN] = {0};

    wire_header_put(datagram, WIRE_PING, sizeof(datagram), 0, 0);
    assert_int_equal(send(stranger, datagram, sizeof(datagram), 0), sizeof(datagram));
}

/* What a result asks for is submitted before the lane sleeps, whenever the result came. */
static void test_pong_at_once(void **state)
{
    uint64_t slowest = 0;
    struct lane *l;

    (void)state;
    quick = true;
    sealed = 0;
    l = idle_lane();
    for (unsigned int i = 1; i <= 5; i++) {
        uint64_t start = clock_mono_ms(), ms;

        send_ping();
        while (sealed < i && clock_mono_ms() - start < 3000)
            usleep(100);
        assert_int_equal(sealed, i);
        ms = clock_mono_ms() - start;
        slowest = ms > slowest ? ms : slowest;
    }
    stop_lane(l);
    if (slowest >= 500) /* a sleeping lane looks around each second */
        fail_msg("an answer took %u ms", (unsigned int)slowest);
}

/* A pause may come when slots were found for some pieces of a super-packet: the others need no more
 * than its end. */
static void test_pause_between_pieces(void **state)
{
    struct lane *l = &dp.lanes[0];
    uint64_t start, ms;

    (void)state;
    quick = false;
    l->resumed = true;
    for (unsigned int i = 0; i < RING_SLOTS; i++)
        lane_slot_give(l, i);
    l->small.slot = -1;
    put_packet(l->frame.bytes);
    l->frame.peer = PEER;
    l->frame.split = (struct gso_split){.packet = l->frame.bytes, .len = 20, .stride = 20};
    start = clock_mono_ms();
    idle_lane();
    while (atomic_load(&l->area->submit.tail) == 0 && clock_mono_ms() - start < 3000)
        usleep(100);
    ms = clock_mono_ms() - start;
    stop_lane(l);
    if (ms >= 500) /* a sleeping lane looks around each second */
        fail_msg("what was left took %u ms", (unsigned int)ms);
}

/* The last super-packet of a burst may find slots for some of its pieces alone.  A worker that is
 * done with everything by then leaves no result to wake the lane for the others. */
static void test_pieces_at_once(void **state)
{
    /* 100 pieces of one byte each: 39 of these are more than the slots for traffic take. */
    const unsigned int pieces = 100, frames = 39, headers = 20 + 8;
    struct virtio_net_hdr hdr = {.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
                                 .gso_type = VIRTIO_NET_HDR_GSO_UDP_L4,
                                 .gso_size = 1,
                                 .csum_start = 20,
                                 .csum_offset = 6};
    uint8_t frame[GSO_HEADER_LEN + 20 + 8 + 100] = {0}, *packet = frame + GSO_HEADER_LEN;
    uint64_t start, ms;
    struct lane *l;

    (void)state;
    assert_true(pieces * frames > (RING_SLOTS - LANE_SPARE) * RING_PACKETS);
    put_packet(packet);
    be16_put(packet + 2, (uint16_t)(headers + pieces));
    packet[9] = IPPROTO_UDP;
    memcpy(frame, &hdr, sizeof(hdr));
    for (unsigned int i = 0; i < frames; i++)
        assert_int_equal(send(device[1], frame, sizeof(frame), MSG_DONTWAIT), sizeof(frame));
    quick = true;
    sealed = 0;
    start = clock_mono_ms();
    l = idle_lane();
    while (sealed < pieces * frames && clock_mono_ms() - start < 3000)
        usleep(100);
    ms = clock_mono_ms() - start;
    stop_lane(l);
    assert_int_equal(sealed, pieces * frames);
    if (ms >= 500) /* a sleeping lane looks around each second */
        fail_msg("the last pieces took %u ms", (unsigned int)ms);
}

/* An enclave that has filled the bell which the lane rings cannot keep it from ending. */
static void test_full_bell(void **state)
{
    const uint64_t most = UINT64_MAX - 1;
    struct lane *l;

    (void)state;
    quick = false;
    l = idle_lane();
    assert_int_equal(write(l->worker_bell, &most, sizeof(most)), sizeof(most));
    send_ping();
    while (atomic_load(&l->area->submit.tail) == 0)
        usleep(100);
    assert_true(stop_lane(l) < 5000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_turns, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_answer, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_trailing, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_too_big, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_pong_at_once, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_pause_between_pieces, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_pieces_at_once, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_full_bell, set_up, tear_down),
    };

    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/*
 * Sealed batches that the kernel will not take as they are.
 *
 * A device has become too small for them: DATA is cut by the network, a probe of the path never is.
 * A device has no checksum offload: before Linux 6.10 that refuses UDP_SEGMENT, although the kernel
 * has it.  A device does not keep up: what has no room is dropped, and nobody waits for long.
 *
 *      lane's socket ──┬── lo, 1300 bytes ── the peers' socket
 *                      ├── tun0, 192.0.2.1, a bare device ── what is read from it
 *                      └── tap0, 198.51.100.1, where nobody says who has the others' addresses
 */
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <netinet/in.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>
#include <cmocka.h>

#include "daemon/datapath/checksum.h"
#include "daemon/datapath/lane.h"
#include "tests/net/netns.h"

#define ONE     (1U << 16 | 1)
#define OTHER   (1U << 16 | 2)
#define MTU     1300
#define INNER   1360
#define SEALED  (WIRE_OVERHEAD + INNER)
#define MESSAGE WIRE_DATAGRAM_MAX

static struct datapath dp;
static struct lane *lane;
static int far, tuns[2];

static void set_lo(void)
{
    struct ifreq ifr = {.ifr_name = "lo", .ifr_mtu = MTU};
    int fd = socket(AF_INET, SOCK_DGRAM, 0);

    assert_int_equal(ioctl(fd, SIOCSIFMTU, &ifr), 0);
    ifr.ifr_flags = IFF_UP;
    assert_int_equal(ioctl(fd, SIOCSIFFLAGS, &ifr), 0);
    close(fd);
}

/* No vnet header, and TUNSETOFFLOAD was never called: this device can do nothing by itself. */
static void set_device(int fd, const char *name, short mode, uint32_t host)
{
    struct ifreq ifr = {.ifr_flags = (short)(mode | IFF_NO_PI)};
    struct sockaddr_in *address = (struct sockaddr_in *)&ifr.ifr_addr;
    int ctl = socket(AF_INET, SOCK_DGRAM, 0);

    strcpy(ifr.ifr_name, name);
    assert_int_equal(ioctl(fd, TUNSETIFF, &ifr), 0);
    *address = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(host)};
    assert_int_equal(ioctl(ctl, SIOCSIFADDR, &ifr), 0);
    address->sin_addr.s_addr = htonl(0xffffff00U);
    assert_int_equal(ioctl(ctl, SIOCSIFNETMASK, &ifr), 0);
    ifr.ifr_flags = IFF_UP;
    assert_int_equal(ioctl(ctl, SIOCSIFFLAGS, &ifr), 0);
    assert_int_equal(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
    close(ctl);
}

static int set_devices(void **state)
{
    (void)state;
    clock_init(0);
    set_lo();
    set_device(tuns[0], "tun0", IFF_TUN, 0xc0000201U);
    set_device(tuns[1], "tap0", IFF_TAP, 0xc6336401U);
    return 0;
}

static int set_up(void **state)
{
    const struct ip_endpoint loopback = {.addr = {.family = 4, .bytes = {127, 0, 0, 1}}};
    const struct ip_endpoint any = {.addr = {.family = 4}};
    struct path to = {.remote = loopback};
    struct err err;

    (void)state;
    assert_int_equal(datapath_init(&dp, DP_SERVER, 1, 16, 4, &err), 0);
    dp.sockets[0][0] = udp_open(&any, false, 0, &err);
    far = udp_open(&loopback, false, 0, &err);
    assert_true(dp.sockets[0][0] >= 0 && far >= 0);
    dp.n_sockets = 1;
    assert_int_equal(datapath_socket_offload(&dp, dp.sockets[0][0], &err), 0);
    to.remote.port = udp_bound_port(far);
    lane = &dp.lanes[0];
    lane->dp = &dp;
    lane->area = aligned_alloc(4096, (sizeof(*lane->area) + 4095) & ~(size_t)4095);
    assert_non_null(lane->area);
    for (uint32_t peer = ONE; peer <= OTHER; peer++) {
        peers_add(&dp.peers, peer, 0, INNER, &to, 1);
        /* Until now so much arrived in one piece. */
        atomic_store(&peers_get(&dp.peers, peer)->whole, INNER);
    }
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    free(lane->area);
    close(far);
    datapath_clear(&dp);
    return 0;
}

static void put(unsigned int entry, enum wire_type type, uint32_t peer)
{
    struct ring_slot *slot = lane_slot(lane, 0);
    const uint32_t offset = (uint32_t)(RING_TABLE_SIZE + entry * MESSAGE);

    slot->packets[entry] = (struct ring_packet){
        .offset = offset, .length = SEALED, .status = RING_STATUS_OK, .peer = peer};
    wire_header_put((uint8_t *)slot + offset, type, SEALED, entry, 0);
}

/* The types of what arrives, in order, each a digit. */
static unsigned int arrived(void)
{
    struct pollfd p = {.fd = far, .events = POLLIN};
    uint8_t datagram[MESSAGE];
    unsigned int types = 0;

    while (poll(&p, 1, 50) > 0)
        if (recv(far, datagram, sizeof(datagram), 0) == SEALED)
            types = types * 10 + datagram[0];
    return types;
}

/* All of one length, so with UDP_SEGMENT in one send. */
static void test_one_peer(void **state)
{
    (void)state;
    put(0, WIRE_DATA, ONE);
    put(1, WIRE_PING, ONE);
    put(2, WIRE_DATA, ONE);
    lane_sealed(lane, 0, 3);
    assert_int_equal(arrived(), WIRE_DATA * 10 + WIRE_DATA);
    assert_int_equal(atomic_load(&peers_get(&dp.peers, ONE)->shrunk), 1);
}

static void test_two_peers(void **state)
{
    (void)state;
    put(0, WIRE_DATA, ONE);
    put(1, WIRE_PING, OTHER);
    put(2, WIRE_DATA, ONE);
    put(3, WIRE_DATA, OTHER);
    lane_sealed(lane, 0, 4);
    /* Each peer's in a run of their own: the first one's before the other's. */
    assert_int_equal(arrived(), WIRE_DATA * 100 + WIRE_DATA * 10 + WIRE_DATA);
    assert_int_equal(atomic_load(&peers_get(&dp.peers, OTHER)->shrunk), 1);
    assert_int_equal(atomic_load(&lane->stats.drops[DP_DROP_SEND]), 0);
}

/* Where the kernel cannot do it, one by one. */
static void test_no_segmentation(void **state)
{
    atomic_store(&dp.offloads_used, 0);
    test_two_peers(state);
}

/* An IPv4 packet's UDP checksum. */
static bool sum_right(const uint8_t *packet, size_t len)
{
    uint64_t sum = checksum_add16(checksum_add(0, packet + 12, 8), IPPROTO_UDP);

    sum = checksum_add16(sum, (uint16_t)(len - 20));
    return checksum_finish(checksum_add(sum, packet + 20, len - 20)) == 0;
}

static void test_bare_device(void **state)
{
    const struct path to = {.remote = {.addr = {.family = 4, .bytes = {192, 0, 2, 2}}, .port = 9}};
    uint8_t packet[MESSAGE];

    (void)state;
    peer_place(peers_get(&dp.peers, ONE), &to);
    for (unsigned int i = 0; i < 3; i++)
        put(i, WIRE_DATA, ONE);
    lane_sealed(lane, 0, 3);
    for (unsigned int i = 0; i < 3;) {
        const ssize_t len = read(tuns[0], packet, sizeof(packet));

        assert_true(len > 0);
        if (packet[0] != 0x45) /* the kernel looks for IPv6 neighbours */
            continue;
        assert_int_equal(len, 28 + SEALED);
        assert_true(sum_right(packet, (size_t)len));
        assert_int_equal(be32_get(packet + 28 + 4), i++);
    }
    assert_int_equal(atomic_load(&lane->stats.drops[DP_DROP_SEND]), 0);
    printf("# UDP_SEGMENT %s this device\n",
           atomic_load(&dp.offloads_used) & OFFLOAD_BIT(OFFLOAD_UDP_SEGMENT) ? "works with"
                                                                             : "is refused by");
}

/*
 * A batch for many peers, by one address of ours or by two in turn, and sockets that are full, of
 * what waits for the neighbour's answer: the lane has others to serve.
 */
static void check_full(uint32_t sockets)
{
    struct path to = {.remote = {.addr = {.family = 4, .bytes = {198, 51, 100, 2}}, .port = 9}};
    const int small = 4096;
    uint64_t start, ms;

    for (uint32_t i = 0; i < sockets; i++)
        assert_int_equal(setsockopt(dp.sockets[0][i], SOL_SOCKET, SO_SNDBUF, &small, sizeof(small)),
                         0);
    peers_remove(&dp.peers, ONE);
    peers_remove(&dp.peers, OTHER);
    for (unsigned int i = 0; i < RING_PACKETS / 4; i++) {
        to.socket = i % sockets;
        peers_add(&dp.peers, ONE + i, 0, INNER, &to, 1);
        atomic_store(&peers_get(&dp.peers, ONE + i)->whole, INNER);
        put(i, WIRE_DATA, ONE + i);
    }
    start = clock_mono_ms();
    lane_sealed(lane, 0, RING_PACKETS / 4);
    ms = clock_mono_ms() - start;
    assert_true(atomic_load(&lane->stats.drops[DP_DROP_SEND]) > RING_PACKETS / 8);
    if (ms > 30) /* 2 are meant; for each of them it would be 64 at most */
        fail_msg("the lane stood still for %u ms", (unsigned int)ms);
}

static void test_full_socket(void **state)
{
    (void)state;
    check_full(1);
}

static void test_full_sockets(void **state)
{
    const struct ip_endpoint any = {.addr = {.family = 4}};
    struct err err;

    (void)state;
    dp.sockets[0][1] = udp_open(&any, false, 0, &err);
    assert_true(dp.sockets[0][1] >= 0);
    dp.n_sockets = 2;
    check_full(2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_one_peer, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_two_peers, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_no_segmentation, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_bare_device, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_full_socket, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_full_sockets, set_up, tear_down),
    };
    int rc = netns_enter();

    if (rc == 0)
        rc = netns_open_tuns(tuns, 2);
    if (rc)
        return rc;
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, set_devices, NULL);
}

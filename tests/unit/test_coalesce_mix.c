/* Merging: what goes in comes out again, in its flow's order, whatever the mix. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <netinet/in.h>
#include <string.h>
#include <cmocka.h>

#include "daemon/datapath/coalesce.h"
#include "tests/unit/coalesce_rig.h"
#include "tests/unit/packets.h"

#define FLOWS 24

/* A flow's packets carry their number in the batch, so that each can be told from all others. */
struct expected {
    uint8_t bytes[ROOM];
    size_t len;
    uint32_t flow;
};
static struct expected expected[COALESCE_PACKETS];

static void flows_make(struct shape *flows)
{
    for (unsigned int f = 0; f < FLOWS; f++) {
        flows[f] = segment(1 + random_below(900));
        flows[f].family = random_below(2) ? 4 : 6;
        flows[f].protocol = random_below(3) ? IPPROTO_TCP : IPPROTO_UDP;
        flows[f].host = (uint8_t)random_below(4);
        flows[f].port = (uint16_t)(1000 + f);
        flows[f].dont_fragment = random_below(2);
        flows[f].seq = random_next();
        flows[f].options = (uint8_t)(4 * random_below(4));
    }
}

/* The next packet of a flow, sometimes with something odd about it. */
static size_t next_packet(struct shape *flow, uint8_t *p)
{
    struct shape s = *flow;
    size_t len;

    switch (random_below(40)) {
    case 0:
        s.seq += 100;
        break;
    case 1:
        s.flags |= PSH;
        break;
    case 2:
        s.flags |= FIN;
        break;
    case 3:
        s.flags |= CWR;
        break;
    case 4:
        s.data = random_below((uint32_t)flow->data + 1);
        break;
    case 5:
        s.data = flow->data + 1;
        break;
    case 6:
        s.ttl = 63;
        break;
    case 7:
        s.tos = 3;
        break;
    case 8:
        flow->ack++;
        break;
    case 9:
        flow->stamp++;
        break;
    case 10:
        s.protocol = IPPROTO_SCTP;
        break;
    case 11:
        flow->id = (uint16_t)random_next();
        break;
    default:
        break;
    }
    len = packet_make(&s, p);
    if (random_below(60) == 0)
        p[len - 1] ^= 0x10;
    flow->seq += (uint32_t)s.data;
    flow->id++;
    return len;
}

/* Identification of a packet that must not be fragmented means nothing (RFC 6864). */
static void level(uint8_t *p)
{
    if (p[0] >> 4 == 4 && p[6] & 0x40) {
        be16_put(p + 4, 0);
        put_ip_sum(p);
    }
}

static bool same_packet(const struct expected *e, unsigned int i)
{
    static uint8_t a[ROOM], b[ROOM];

    if (e->len != out[i].len)
        return false;
    memcpy(a, e->bytes, e->len);
    memcpy(b, out[i].bytes, e->len);
    level(a);
    level(b);
    return memcmp(a, b, e->len) == 0;
}

static void test_mix(void **state)
{
    unsigned long packets = 0, frames = 0;
    int round;

    (void)state;
    for (round = 0; round < 3000; round++) {
        const unsigned int n = 1 + random_below(COALESCE_PACKETS);
        const unsigned int used = 1 + random_below(FLOWS);
        struct shape flows[FLOWS];
        bool taken[COALESCE_PACKETS] = {false};
        unsigned int i, f, current = 0;

        flows_make(flows);
        coalesce_begin(&merge);
        for (i = 0; i < n; i++) {
            if (random_below(8) == 0)
                current = random_below(used);
            expected[i].flow = current;
            expected[i].len = next_packet(&flows[current], cell(i));
            memcpy(expected[i].bytes, cell(i), expected[i].len);
            add(i, expected[i].len);
        }
        take_out();
        assert_int_equal(n_out, n);
        /* Each flow by itself: its packets are found in their order, and nothing else is left. */
        for (f = 0; f < used; f++) {
            unsigned int at = 0;

            for (i = 0; i < n; i++) {
                if (expected[i].flow != f)
                    continue;
                while (at < n && (taken[at] || !same_packet(&expected[i], at)))
                    at++;
                if (at == n)
                    fail_msg("round %d: packet %u of flow %u is missing or was overtaken", round, i,
                             f);
                taken[at++] = true;
            }
        }
        packets += n;
        frames += n_frames;
    }
    /* All of this is about merging: a third of the frames at most would be left without oddities.
     */
    assert_true(frames * 2 < packets);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_mix),
    };

    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("coalesce mix", tests, NULL, NULL);
}

/* What follows from a rate: bursts, quanta, queue lengths.  See qos.h. */
#include "daemon/qos.h"

#define SUPER_BYTES   65536  /* the largest packet with offloads */
#define BURST_US      5000   /* timers are late by up to this on a busy or virtual machine */
#define QUANTUM_MAX   200000 /* beyond, the kernel warns */
#define INNER_QUANTUM 60000  /* any will do: it is not used */
#define TURN_US       5000   /* is bearable for a turn, at the total rate: CoDel's target */
#define TURN_PACKETS  4      /* or so many, where that takes longer */

/*
 * What is forwarded comes merged to 64,756 bytes at 60 Mbit already: 8.6 ms of the line.  At 100
 * Mbit that is 5.2 ms, CoDel's target, and a user's own ping waits half of it in the mean; below,
 * 9,000 single packets a second cost a few per cent of a core.
 */
#define OFFLOAD_TOTAL_BITS UINT64_C(100000000)
#define OFFLOAD_CEIL_BITS  UINT64_C(100000000)

/* CoDel's own numbers, RFC 8289, and what to do below 4 Mbit: 4.3 there. */
#define CODEL_TARGET_US   5000
#define CODEL_INTERVAL_US 100000
#define FQ_FLOWS          64 /* a flow costs 64 bytes; a user has few at once */
#define FQ_QUEUE_MS       250
#define FQ_PACKETS_MIN    64
#define FQ_PACKETS_MAX    10240
#define FQ_MEMORY_MIN     (256u << 10)
#define FQ_MEMORY_MAX     (32u << 20)

#define BFIFO_QUEUE_MS 60
/*
 * TCP begins with ten packets (RFC 6928), and sends some again that are late, not lost.  With room
 * for eight, users of 36 kbit got next to nothing for many seconds; with twenty their rate.
 */
#define BFIFO_PACKETS  20
#define BFIFO_MAX      (8u << 20)

static uint64_t max_u64(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

static uint32_t clamp(uint64_t value, uint64_t low, uint64_t high)
{
    return (uint32_t)(value < low ? low : value > high ? high : value);
}

/* How long @bytes take. */
static uint64_t time_us(uint64_t bytes, uint64_t bytes_s)
{
    return bytes * 1000000 / (bytes_s ? bytes_s : 1);
}

/* That a class may have to send in one piece. */
static uint64_t largest_packet(const struct qos_tree *tree)
{
    return tree->split ? tree->mtu : SUPER_BYTES;
}

/* A packet, and what a late timer would lose, as tc(8) has it; measured: tests/bench/RESULTS.md. */
static uint32_t burst_us(uint32_t mtu, uint64_t bytes_s)
{
    /* A minute is more than any burst, and fits the kernel's number. */
    return clamp(time_us(mtu, bytes_s) + BURST_US, BURST_US, 60000000);
}

/*
 * What is left over is shared in turns of a quantum: in proportion to the rates, and as small as
 * can be, so that a turn comes soon.  So the slowest class's is one packet.  But one class of 8
 * kbit shall not make those of the others hundreds of packets: then the fastest one's is as much
 * as is bearable and the others' follow from it, one packet at least.
 */
static uint32_t quantum(const struct qos_tree *tree, enum qos_direction direction, uint64_t rate)
{
    uint64_t packet = largest_packet(tree);
    uint64_t most =
        clamp(max_u64(tree->total[direction] * TURN_US / 1000000, TURN_PACKETS * packet), packet,
              QUANTUM_MAX);
    uint64_t by_slowest = packet * rate / max_u64(tree->smallest[direction], 1);
    uint64_t by_fastest = most * rate / max_u64(tree->largest[direction], 1);

    return clamp(by_slowest < by_fastest ? by_slowest : by_fastest, packet, most);
}

void qos_class_params(const struct qos_tree *tree, enum qos_direction direction,
                      struct net_class *cls)
{
    cls->burst_us = burst_us(tree->mtu, cls->rate_bytes_s);
    cls->cburst_us = burst_us(tree->mtu, cls->ceil_bytes_s);
    cls->quantum = cls->inner ? INNER_QUANTUM : quantum(tree, direction, cls->rate_bytes_s);
}

static void fq_params(const struct qos_tree *tree, uint64_t rate, uint64_t ceil,
                      struct net_fq_codel *fq)
{
    uint64_t packet = largest_packet(tree);
    uint64_t queue = ceil * FQ_QUEUE_MS / 1000;

    fq->flows = FQ_FLOWS;
    fq->quantum = tree->mtu;
    /* A target below one packet's time would drop the only packet there is. */
    fq->target_us = clamp(time_us((uint64_t)tree->mtu * 3 / 2, rate), CODEL_TARGET_US, 1000000);
    fq->interval_us = CODEL_INTERVAL_US - CODEL_TARGET_US + fq->target_us;
    fq->limit = clamp(2 * queue / tree->mtu, FQ_PACKETS_MIN, FQ_PACKETS_MAX);
    /* Memory is counted with the kernel's overhead: about twice the bytes of a packet. */
    fq->memory_limit = clamp(2 * queue, max_u64(FQ_MEMORY_MIN, 8 * packet), FQ_MEMORY_MAX);
    fq->ecn = true;
}

void qos_leaf_params(const struct qos_tree *tree, uint64_t rate, uint64_t ceil,
                     struct net_qdisc *qdisc)
{
    uint64_t packet = largest_packet(tree);

    qdisc->kind = tree->leaf_kind;
    if (qdisc->kind == NET_QDISC_FQ_CODEL)
        fq_params(tree, rate, ceil, &qdisc->fq);
    else
        qdisc->bfifo_limit_bytes =
            clamp(ceil * BFIFO_QUEUE_MS / 1000,
                  max_u64(BFIFO_PACKETS * (uint64_t)tree->mtu, 2 * packet), BFIFO_MAX);
}

bool qos_offload(const struct config *config)
{
    const struct config_qos *qos = &config->qos;

    if (!qos_wanted(config))
        return true;
    for (size_t i = 0; i < qos->n_classes; i++) {
        if (qos->classes[i].download.ceil < OFFLOAD_CEIL_BITS ||
            qos->classes[i].upload.ceil < OFFLOAD_CEIL_BITS)
            return false;
    }
    return qos->download >= OFFLOAD_TOTAL_BITS && qos->upload >= OFFLOAD_TOTAL_BITS;
}
